//! The pages `cli.md` and `components.md`, from what the program prints.

use serde_json::Value;

use super::printed;

const NOTE: &str = "<!-- Generated from the program by tests/docs; do not edit. -->\n";

/// Every command with its help.
pub(crate) fn commands() -> String {
    let mut page = format!(
        "{NOTE}# Commands\n\nWhat `tidegate COMMAND --help` prints. Exit codes and streams are explained in \
         [exit codes and errors](exit-codes-and-errors.md).\n"
    );
    add_command(&mut page, &[]);
    page
}

fn add_command(page: &mut String, path: &[&str]) {
    let help = printed(&[path, &["--help"][..]].concat());
    let name = [&["tidegate"][..], path].concat().join(" ");
    // What every command repeats is said once, in the first block.
    let help = if path.is_empty() { help.as_str() } else { without_global_options(&help) };
    page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim_end()));
    for command in subcommands(help).into_iter().filter(|command| command != "help") {
        add_command(page, &[path, &[command.as_str()][..]].concat());
    }
}

fn without_global_options(help: &str) -> &str {
    help.find("      --log <FILTER>").map_or(help, |at| &help[..at])
}

/// The names under `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let name = |line: &str| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')).map(str::to_owned);
    lines.filter_map(name).filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

/// Every kind of node with its options.
pub(crate) fn kinds() -> String {
    let list: Value = serde_json::from_str(&printed(&["component", "list", "--format", "json"])).expect("a list");
    let kinds = list.as_array().expect("a list of kinds");
    let mut page = format!(
        "{NOTE}# Sources, operators and sinks\n\nEach kind and its options, as `tidegate component show KIND` gives \
         them. Keys that every node has besides (`from`, `on_error`, …) are in [the pipeline file](pipeline-file.md).\n"
    );
    for (section, title) in [("source", "Sources"), ("operator", "Operators"), ("sink", "Sinks")] {
        page.push_str(&format!("\n## {title}\n"));
        for kind in kinds.iter().filter(|kind| kind["section"] == section) {
            page.push_str(&kind_page(kind["kind"].as_str().expect("a name"), section));
        }
    }
    page
}

fn kind_page(name: &str, section: &str) -> String {
    let shown: Value = serde_json::from_str(&printed(&["component", "show", name, "--format", "json"])).expect("kinds");
    let kinds = shown.as_array().expect("kinds");
    let kind = kinds.iter().find(|kind| kind["section"] == section).expect("the kind of this section");
    let summary = sentence(kind["summary"].as_str().unwrap_or_default());
    let mut page = format!("\n### {name} ({section})\n\n{summary}\n");
    if let Some(aliases) = kind["aliases"].as_array().filter(|aliases| !aliases.is_empty()) {
        let aliases: Vec<String> = aliases.iter().filter_map(Value::as_str).map(|alias| format!("`{alias}`")).collect();
        page.push_str(&format!("\nAlso written {}.\n", aliases.join(", ")));
    }
    if let Some(on_crash) = kind["guarantee"]["on_crash"].as_str() {
        let class = kind["guarantee"]["class"].as_str().unwrap_or_default().replace('_', " ");
        page.push_str(&format!("\nDelivery: {class}. {on_crash}\n"));
    }
    let schema = &kind["options"];
    let about = schema["description"].as_str().unwrap_or_default();
    if !about.is_empty() && !about.trim_end_matches('.').ends_with(&format!("`{name}`")) {
        page.push_str(&format!("\n{}\n", one_line(about)));
    }
    let Some(options) = schema["properties"].as_object().filter(|options| !options.is_empty()) else {
        return page;
    };
    page.push_str("\n| option | type | default | what it is |\n|---|---|---|---|\n");
    let required =
        |option: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == option));
    for (option, value) in options {
        let default = match &value["default"] {
            _ if required(option) => "*required*".to_owned(),
            Value::Null => String::new(),
            default => format!("`{default}`"),
        };
        let text = one_line(value["description"].as_str().unwrap_or_default());
        page.push_str(&format!("| `{option}` | {} | {default} | {} |\n", cell(&type_name(value, schema)), cell(&text)));
    }
    page
}

/// A schema's type in a few words; what it refers to is looked up.
fn type_name(value: &Value, schema: &Value) -> String {
    if let Some(reference) = value["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        return match reference {
            "Duration" => "duration".to_owned(),
            "ByteSize" => "size".to_owned(),
            _ => type_name(&schema["$defs"][reference], schema),
        };
    }
    if let Some(names) = value["enum"].as_array() {
        return names
            .iter()
            .map(|name| format!("`{}`", name.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    if let Some(constant) = value["const"].as_str() {
        return format!("`{constant}`");
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(variants) = value[several].as_array() {
            let mut names: Vec<String> = Vec::new();
            for name in variants.iter().map(|variant| type_name(variant, schema)).filter(|name| name != "null") {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            return names.join(" or ");
        }
    }
    match &value["type"] {
        Value::String(name) if name == "array" => match &value["items"] {
            Value::Null => "list".to_owned(),
            items => format!("list of {}", type_name(items, schema)),
        },
        Value::String(name) => plain(name).to_owned(),
        Value::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            match (names.as_slice(), &value["items"]) {
                (["array"], items) if !items.is_null() => format!("list of {}", type_name(items, schema)),
                _ => names.into_iter().map(plain).collect::<Vec<_>>().join(" or "),
            }
        }
        _ => "any".to_owned(),
    }
}

/// The word that people use for a JSON type.
fn plain(name: &str) -> &str {
    match name {
        "string" => "text",
        "integer" => "whole number",
        "boolean" => "true or false",
        "object" => "map",
        "array" => "list",
        other => other,
    }
}

/// Text with a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let rest = letters.as_str().trim_end_matches('.');
    format!("{first}{rest}.")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text that does not end a table's cell.
pub(crate) fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}
