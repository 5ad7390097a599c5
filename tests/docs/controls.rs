//! The pages of controls, from the packs: a list for each pack, a page for each control.

use tidegate_operators::check::pack::{BenchmarkNode, Control, Pack, PackFiles, ParameterValue};

use super::components::cell;
use super::inventory::NOTE;
use super::root;

/// The packs that the program brings.
const PACKS: [&str; 2] = ["aws", "host"];

/// Every page, by its name below `docs/reference`.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for name in PACKS {
        let files = PackFiles::from_directory(&root().join("queries").join(name), name).expect("the pack can be read");
        let (pack, problems) = Pack::load(&files, name);
        assert_eq!(problems, [], "the pack is valid");
        pages.push((format!("controls-{name}.md"), list(&pack)));
        pages.extend(
            pack.controls.iter().map(|control| (format!("controls/{name}/{}.md", control.id), page(&pack, control))),
        );
    }
    pages
}

fn list(pack: &Pack) -> String {
    let mut page = format!(
        "{NOTE}# Controls of the pack `{0}`\n\n{1} controls, version {2}. `tidegate check {0}` evaluates all of them; \
         `--controls GLOB` and `--benchmark ID` choose.\n\n",
        pack.name,
        pack.controls.len(),
        pack.version
    );
    for benchmark in &pack.benchmarks {
        let node = &benchmark.node;
        page.push_str(&format!("* `{}`: {} ({} controls)\n", node.id, node.title, node.all_controls().len()));
    }
    page.push_str("\n| control | severity | what should be |\n|---|---|---|\n");
    for control in &pack.controls {
        let (id, title) = (&control.id, cell(&control.title));
        page.push_str(&format!("| [`{id}`](controls/{}/{id}.md) | {} | {title} |\n", pack.name, control.severity));
    }
    page
}

fn page(pack: &Pack, control: &Control) -> String {
    let mut page = format!(
        "{NOTE}# {}\n\n**{}** Severity: {}. A control of the pack [`{}`](../../controls-{}.md).\n",
        control.id,
        full_stop(&control.title),
        control.severity,
        pack.name,
        pack.name
    );
    for text in [&control.description, &control.rationale] {
        if !text.is_empty() {
            page.push_str(&format!("\n{}\n", cell(text)));
        }
    }
    mending(&mut page, control);
    parameters(&mut page, control);
    facts(&mut page, pack, control);
    let sql = control.sql.as_str().trim_end();
    match control.rego {
        None => page.push_str(&format!("\n## Query\n\n```sql\n{sql}\n```\n")),
        Some(_) => page.push_str(&format!("\n## Policy\n\n```rego\n{sql}\n```\n")),
    }
    page
}

fn mending(page: &mut String, control: &Control) {
    let remediation = &control.remediation;
    if [&remediation.text, &remediation.cli, &remediation.terraform].iter().all(|text| text.is_empty()) {
        return;
    }
    page.push_str("\n## How to mend it\n");
    if !remediation.text.is_empty() {
        page.push_str(&format!("\n{}\n", full_stop(&cell(&remediation.text))));
    }
    for (language, text) in [("sh", &remediation.cli), ("hcl", &remediation.terraform)] {
        if !text.is_empty() {
            page.push_str(&format!("\n```{language}\n{}\n```\n", text.trim_end()));
        }
    }
}

fn parameters(page: &mut String, control: &Control) {
    if control.parameters.is_empty() {
        return;
    }
    page.push_str("\n## Parameters\n\n| parameter | type | default | what it is |\n|---|---|---|---|\n");
    for (name, parameter) in &control.parameters {
        let default = parameter.default.as_ref().map_or_else(|| "*must be given*".to_owned(), shown);
        let about = cell(&parameter.description);
        page.push_str(&format!("| `{name}` | {} | {default} | {about} |\n", parameter.kind.name()));
    }
}

fn shown(value: &ParameterValue) -> String {
    let list = |items: Vec<String>| match items.is_empty() {
        true => "none".to_owned(),
        false => items.iter().map(|item| format!("`{}`", cell(item))).collect::<Vec<_>>().join(", "),
    };
    match value {
        ParameterValue::Int(number) => format!("`{number}`"),
        ParameterValue::Float(number) => format!("`{number}`"),
        ParameterValue::Text(text) => format!("`{}`", cell(text)),
        ParameterValue::Bool(value) => format!("`{value}`"),
        ParameterValue::Texts(texts) => list(texts.clone()),
        ParameterValue::Ints(numbers) => list(numbers.iter().map(ToString::to_string).collect()),
    }
}

fn facts(page: &mut String, pack: &Pack, control: &Control) {
    let code = |words: Vec<String>| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let reads = control.reads.iter().map(|table| table.value.clone()).collect();
    let lines = [
        ("Reads", code(reads)),
        ("Looked at again after", code(control.triggers.clone())),
        ("Part of", code(pack.benchmarks.iter().flat_map(|benchmark| places(&benchmark.node, control, "")).collect())),
        ("Also called", code(control.aliases.clone())),
        ("Further reading", control.references.iter().map(|url| format!("<{url}>")).collect::<Vec<_>>().join(", ")),
    ];
    page.push_str("\n## More\n\n");
    for (what, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        page.push_str(&format!("* {what}: {text}\n"));
    }
}

/// Where a control stands in a benchmark: `fsbp/ec2.3`.
fn places(node: &BenchmarkNode, control: &Control, above: &str) -> Vec<String> {
    let here = if above.is_empty() { node.id.clone() } else { format!("{above} {}", node.id) };
    let own = node.controls.contains(&control.id).then(|| here.clone());
    let root = here.split(' ').next().unwrap_or_default();
    own.into_iter().chain(node.children.iter().flat_map(|child| places(child, control, root))).collect()
}

fn full_stop(text: &str) -> String {
    format!("{}.", text.trim_end().trim_end_matches('.'))
}
