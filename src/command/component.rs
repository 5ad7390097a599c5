//! `tidegate component`: the kinds of nodes, and what each takes.

use std::path::Path;

use schemars::Schema;
use serde::Serialize;
use serde_json::Value;
use tidegate_pipeline::source::Guarantee;

use crate::arguments::{ComponentCommand, Format};
use crate::catalog::{catalog, packs};
use crate::exit::{DONE, Failure};
use crate::output;

/// One kind of node.
#[derive(Debug, Serialize)]
struct Component {
    kind: &'static str,
    section: &'static str,
    summary: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    aliases: &'static [&'static str],
    /// What becomes of a source's input in a crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    guarantee: Option<Guarantee>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Schema>,
}

/// Lists the kinds or shows one.
pub(crate) fn component(command: ComponentCommand, queries: Option<&Path>) -> Result<u8, Failure> {
    let components = components(queries)?;
    match command {
        ComponentCommand::List { format } => {
            let list: Vec<Component> =
                components.into_iter().map(|component| Component { options: None, ..component }).collect();
            output::records(format, &["kind", "section", "what it does"], &list, |component| {
                vec![component.kind.to_owned(), component.section.to_owned(), component.summary.to_owned()]
            })?;
        }
        ComponentCommand::Show { kind, format } => {
            let known = |component: &&Component| component.kind == kind || component.aliases.contains(&kind.as_str());
            let found: Vec<&Component> = components.iter().filter(known).collect();
            if found.is_empty() {
                let names: Vec<String> = components.iter().map(|component| component.kind.to_owned()).collect();
                return Err(Failure::unknown("kind", &kind, &names));
            }
            match format {
                Format::Text => found.iter().try_for_each(|component| output::print(&page(component)))?,
                Format::Json | Format::Jsonl => output::records(format, &[], &found, |_| Vec::new())?,
            }
        }
    }
    Ok(DONE)
}

fn components(queries: Option<&Path>) -> Result<Vec<Component>, Failure> {
    let catalog = catalog(packs(queries)?);
    let sources = catalog.sources.iter().map(|kind| Component {
        kind: kind.name(),
        section: "source",
        summary: kind.summary(),
        aliases: kind.aliases(),
        guarantee: Some(kind.guarantee()),
        options: Some(kind.schema()),
    });
    let operators = catalog.operators.iter().map(|kind| Component {
        kind: kind.name(),
        section: "operator",
        summary: kind.summary(),
        aliases: &[],
        guarantee: None,
        options: Some(kind.schema()),
    });
    let sinks = catalog.sinks.iter().map(|kind| Component {
        kind: kind.name(),
        section: "sink",
        summary: kind.summary(),
        aliases: &[],
        guarantee: None,
        options: Some(kind.schema()),
    });
    Ok(sources.chain(operators).chain(sinks).collect())
}

/// The page of a kind for people: what it does and its options.
fn page(component: &Component) -> String {
    let mut page = format!("{} ({})\n  {}\n", component.kind, component.section, component.summary);
    if !component.aliases.is_empty() {
        page.push_str(&format!("  also: {}\n", component.aliases.join(", ")));
    }
    if let Some(guarantee) = &component.guarantee {
        page.push_str(&format!("  delivery: {}. {}\n", guarantee.class, guarantee.on_crash));
    }
    let Some(schema) = component.options.as_ref().map(Schema::as_value) else { return page };
    if let Some(description) = schema.get("description").and_then(Value::as_str) {
        page.push_str(&format!("\n{description}\n"));
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return page };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut table = output::table(&["option", "type", "default", "what it is"]);
    for (name, option) in properties {
        let star = if required.contains(&name.as_str()) { "*" } else { "" };
        let default =
            option.get("default").filter(|default| !default.is_null()).map(Value::to_string).unwrap_or_default();
        let what = option.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        table.add_row(vec![format!("{name}{star}"), type_name(option), default, what]);
    }
    format!("{page}\n{}\n  * required\n", table.trim_fmt())
}

/// The type of an option, in a word.
fn type_name(option: &Value) -> String {
    if let Some(reference) = option.get("$ref").and_then(Value::as_str) {
        return reference.rsplit('/').next().unwrap_or(reference).to_owned();
    }
    if let Some(names) = option.get("enum").and_then(Value::as_array) {
        return names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ");
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(variants) = option.get(several).and_then(Value::as_array) {
            let names: Vec<String> = variants.iter().map(type_name).filter(|name| name != "null").collect();
            return names.join(" | ");
        }
    }
    match option.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect::<Vec<_>>().join(" | ")
        }
        _ => option.get("const").map(Value::to_string).unwrap_or_else(|| "any".to_owned()),
    }
}
