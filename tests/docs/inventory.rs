//! The pages of tables, from the providers.

use tidegate_pipeline::provider::ProviderKind;
use tidegate_pipeline::source::SourceKind;
use tidegate_pipeline::table::TableDefinition;

use super::components::cell;

pub(crate) const NOTE: &str = "<!-- Generated from the program by tests/docs; do not edit. -->\n";

/// A page for each kind of provider: its name, and every table of it.
pub(crate) fn tables() -> Vec<(String, String)> {
    let sources = tidegate_connectors::sources().into_iter().chain(tidegate_aws::sources());
    sources
        .filter_map(|kind| Some((format!("tables-{}.md", kind.name()), tables_of(&*kind, kind.provider()?))))
        .collect()
}

fn tables_of(kind: &dyn SourceKind, provider: &dyn ProviderKind) -> String {
    let (name, definitions) = (kind.name(), provider.tables());
    let mut page = format!(
        "{NOTE}# Tables of `{name}`\n\n{} Use them in `check`, in `enrich: {{node: …}}` and in `tidegate query`. \
         `account_id`, `region` and the columns marked *key* identify a row. What may be NULL is so where it could not be \
         read, or there is no such thing.\n\n| table | what it holds |\n|---|---|\n",
        kind.summary()
    );
    for table in &definitions {
        page.push_str(&format!("| [`{0}`](#{0}) | {1} |\n", table.name, cell(table.description)));
    }
    views(&mut page, &definitions);
    for table in &definitions {
        page.push_str(&table_section(table, &actions(provider, table)));
    }
    page
}

/// The names that tables have elsewhere.
fn views(page: &mut String, definitions: &[TableDefinition]) {
    let mut views = definitions.iter().flat_map(|table| &table.views).peekable();
    if views.peek().is_none() {
        return;
    }
    page.push_str("\nViews: the same under other names, as SQL over the tables.\n\n| view | what it holds | query |\n|---|---|---|\n");
    for view in views {
        page.push_str(&format!("| `{}` | {} | `{}` |\n", view.name, cell(view.description), cell(view.sql)));
    }
}

/// What the provider must be allowed to do for one table, besides what it needs for any.
fn actions(provider: &dyn ProviderKind, table: &TableDefinition) -> Vec<String> {
    let of = |tables: &[String]| -> Vec<String> {
        let policy = provider.policy(Some(tables), &[]).unwrap_or_default();
        let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
        let actions =
            statements.iter().flat_map(|statement| statement["Action"].as_array().cloned().unwrap_or_default());
        actions.filter_map(|action| action.as_str().map(str::to_owned)).collect()
    };
    let common = of(&[]);
    of(&[table.name.to_string()]).into_iter().filter(|action| !common.contains(action)).collect()
}

fn table_section(table: &TableDefinition, actions: &[String]) -> String {
    let actions: Vec<String> = actions.iter().map(|action| format!("`{action}`")).collect();
    let needs = if actions.is_empty() { String::new() } else { format!(" Needs {}.", actions.join(", ")) };
    let mut section = format!(
        "\n## {}\n\n{}{needs}\n\n| column | type | NULL | what it is |\n|---|---|---|---|\n",
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
