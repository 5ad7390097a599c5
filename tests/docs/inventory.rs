//! The pages `tables-host.md` and `controls-host.md`, from the provider and the pack.

use tidegate_operators::check::pack::{Control, Pack, PackFiles};
use tidegate_pipeline::table::TableDefinition;

use super::components::cell;
use super::root;

const NOTE: &str = "<!-- Generated from the program by tests/docs; do not edit. -->\n";

/// Every table of the provider `host`.
pub(crate) fn tables() -> String {
    let definitions = tidegate_connectors::providers::host::definitions();
    let mut page = format!(
        "{NOTE}# Tables of `host`\n\nThe inventory of one Linux machine. Use them in `check`, in `enrich: {{node: …}}` and in \
         `tidegate query`. `account_id`, `region` and the columns marked *key* identify a row. A column that may be NULL \
         is NULL where this user may not read it or the machine has no such thing.\n\n| table | what it holds |\n|---|---|\n"
    );
    for table in &definitions {
        page.push_str(&format!("| [`{0}`](#{0}) | {1} |\n", table.name, cell(table.description)));
    }
    definitions.iter().for_each(|table| page.push_str(&table_section(table)));
    page
}

fn table_section(table: &TableDefinition) -> String {
    let mut section = format!(
        "\n## {}\n\n{}\n\n| column | type | NULL | what it is |\n|---|---|---|---|\n",
        table.name, table.description
    );
    for field in table.schema.fields() {
        let about = table.columns.iter().find(|(name, _)| name == field.name()).map_or("", |(_, about)| about);
        let key = if table.key.contains(&field.name().as_str()) { " *key*" } else { "" };
        let null = if field.is_nullable() { "yes" } else { "" };
        section.push_str(&format!("| `{}`{key} | {} | {null} | {} |\n", field.name(), field.data_type(), cell(about)));
    }
    section
}

/// Every control of the pack `host`.
pub(crate) fn controls() -> String {
    let files = PackFiles::from_directory(&root().join("queries/host"), "host").expect("the pack can be read");
    let (pack, problems) = Pack::load(&files, "host");
    assert_eq!(problems, [], "the pack is valid");
    let mut page = format!(
        "{NOTE}# Controls of the pack `host`\n\n{} controls, version {}. `tidegate check host` evaluates all of them; \
         `--controls GLOB` chooses.\n\n| control | severity | what should be |\n|---|---|---|\n",
        pack.controls.len(),
        pack.version
    );
    for control in &pack.controls {
        page.push_str(&format!("| [`{0}`](#{0}) | {1} | {2} |\n", control.id, control.severity, cell(&control.title)));
    }
    pack.controls.iter().for_each(|control| page.push_str(&control_section(control)));
    page
}

fn control_section(control: &Control) -> String {
    let mut section =
        format!("\n## {}\n\n**{}** Severity: {}.\n", control.id, full_stop(&control.title), control.severity);
    for text in [&control.description, &control.rationale] {
        if !text.is_empty() {
            section.push_str(&format!("\n{}\n", cell(text)));
        }
    }
    if !control.remediation.text.is_empty() {
        section.push_str(&format!("\nTo mend it: {}\n", full_stop(&cell(&control.remediation.text))));
    }
    if !control.remediation.cli.is_empty() {
        section.push_str(&format!("\n```sh\n{}\n```\n", control.remediation.cli.trim_end()));
    }
    if !control.parameters.is_empty() {
        section.push_str("\n| parameter | type | what it is |\n|---|---|---|\n");
        for (name, parameter) in &control.parameters {
            section.push_str(&format!("| `{name}` | {} | {} |\n", parameter.kind.name(), cell(&parameter.description)));
        }
    }
    section
}

fn full_stop(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}
