//! What may follow.

use std::collections::BTreeMap;

use clap::ValueEnum;
use datafusion::prelude::SessionContext;

use super::command::COMMANDS;
use crate::arguments::RowFormat;

const KEYWORDS: &[&str] = &[
    "and",
    "array",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "cross",
    "date",
    "desc",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "explain",
    "false",
    "filter",
    "from",
    "full",
    "group",
    "having",
    "ilike",
    "in",
    "inner",
    "intersect",
    "interval",
    "is",
    "join",
    "left",
    "like",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "or",
    "order",
    "over",
    "partition",
    "right",
    "select",
    "then",
    "timestamp",
    "true",
    "union",
    "using",
    "when",
    "where",
    "with",
];

/// What there is to be named.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The columns of each table.
    tables: BTreeMap<String, Vec<String>>,
    functions: Vec<String>,
}

impl Names {
    /// What the session has. Where it cannot be told, nothing is offered.
    pub(super) async fn of(session: &SessionContext) -> Self {
        let state = session.state();
        let mut functions: Vec<String> = state.scalar_functions().keys().cloned().collect();
        functions.extend(state.aggregate_functions().keys().cloned());
        functions.extend(state.window_functions().keys().cloned());
        functions.extend(state.table_functions().keys().cloned());
        functions.sort();
        functions.dedup();
        let mut tables = BTreeMap::new();
        let catalog = session.catalog(super::super::session::CATALOG);
        if let Some(schema) = catalog.and_then(|catalog| catalog.schema(super::super::session::SCHEMA)) {
            for name in schema.table_names() {
                if let Ok(Some(table)) = schema.table(&name).await {
                    let columns = table.schema().fields().iter().map(|field| field.name().clone()).collect();
                    tables.insert(name, columns);
                }
            }
        }
        Self { tables, functions }
    }

    /// What the word before the cursor may become, and how long that word is. `before` is the line up to the cursor,
    /// `statement` what was written above it.
    pub(super) fn complete(&self, statement: &str, before: &str) -> (usize, Vec<String>) {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        if statement.is_empty() && before.starts_with('\\') {
            return self.complete_command(before);
        }
        let word: String = before.chars().rev().take_while(|character| is_part(*character)).collect();
        let word: String = word.chars().rev().collect();
        let length = word.chars().count();
        let in_front = &before[..before.len() - word.len()];
        let written = format!("{statement} {before}");
        let offered: Vec<&str> = match in_front.ends_with('.') {
            true => self.columns(&written),
            false if word.is_empty() => Vec::new(),
            false => {
                let names = KEYWORDS.iter().copied().chain(self.tables.keys().map(String::as_str));
                names.chain(self.columns(&written)).chain(self.functions.iter().map(String::as_str)).collect()
            }
        };
        (length, beginning_with(&word, offered))
    }

    fn complete_command(&self, before: &str) -> (usize, Vec<String>) {
        let Some((command, word)) = before.split_once(' ') else {
            let commands = COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next());
            return (before.chars().count(), beginning_with(before, commands.collect()));
        };
        let word = word.trim_start();
        let formats: Vec<String> = RowFormat::value_variants()
            .iter()
            .filter_map(|format| Some(format.to_possible_value()?.get_name().to_owned()))
            .collect();
        let offered: Vec<&str> = match command {
            "\\d" => self.tables.keys().map(String::as_str).collect(),
            "\\df" => self.functions.iter().map(String::as_str).collect(),
            "\\format" => formats.iter().map(String::as_str).collect(),
            "\\x" | "\\timing" => vec!["on", "off"],
            _ => Vec::new(),
        };
        (word.chars().count(), beginning_with(word, offered))
    }

    /// The columns of the tables that are written, else of all.
    fn columns(&self, written: &str) -> Vec<&str> {
        let between = |character: char| !(character.is_alphanumeric() || character == '_');
        let words: Vec<String> = written.split(between).map(str::to_lowercase).collect();
        let named: Vec<_> = self.tables.iter().filter(|(table, _)| words.contains(table)).collect();
        match named.is_empty() {
            true => self.tables.values().flatten().map(String::as_str).collect(),
            false => named.into_iter().flat_map(|(_, columns)| columns).map(String::as_str).collect(),
        }
    }
}

fn beginning_with(word: &str, offered: Vec<&str>) -> Vec<String> {
    let word = word.to_lowercase();
    let mut fitting: Vec<String> =
        offered.into_iter().filter(|name| name.to_lowercase().starts_with(&word)).map(str::to_owned).collect();
    fitting.sort();
    fitting.dedup();
    fitting
}

/// The longest text that all of `offered` begin with.
pub(super) fn common(offered: &[String]) -> String {
    let Some(first) = offered.first() else { return String::new() };
    let shared = |other: &String| first.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let length = offered.iter().map(shared).min().unwrap_or(0);
    first.chars().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let tables = [("host_user", columns(&["uid", "name"])), ("host_group", columns(&["gid", "name"]))];
        Names {
            tables: tables.into_iter().map(|(table, columns)| (table.to_owned(), columns)).collect(),
            functions: columns(&["upper", "unnest"]),
        }
    }

    #[test]
    fn keywords_tables_columns_and_functions_are_offered() {
        for (statement, before, expected) in [
            ("", "sel", vec!["select"]),
            ("", "select * from host_", vec!["host_group", "host_user"]),
            ("", "select u", vec!["uid", "union", "unnest", "upper", "using"]),
            ("select * from host_group ", "where g", vec!["gid", "group"]),
            ("", "select * from host_user u where u.", vec!["name", "uid"]),
            ("", "SEL", vec!["select"]),
            ("", "select ", vec![]),
            ("", "\\t", vec!["\\timing"]),
            ("", "\\d host_u", vec!["host_user"]),
            ("", "\\format j", vec!["json", "jsonl"]),
            ("", "\\x o", vec!["off", "on"]),
        ] {
            assert_eq!(names().complete(statement, before).1, expected, "{statement}{before}");
        }
        assert_eq!(names().complete("", "select host_u").0, 6);
    }

    #[test]
    fn what_all_have_in_common_is_written_at_once() {
        assert_eq!(common(&["host_group".to_owned(), "host_user".to_owned()]), "host_");
        assert_eq!(common(&[]), "");
    }
}
