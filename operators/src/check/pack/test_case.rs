//! The tests of a pack: rows that are given, findings that are expected.

use std::sync::Arc;

use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::spec::diagnostic::{Located, Place};

use super::fields::{Fields, Problems, text_of};
use crate::check::finding::Status;

/// One case of `tests/CONTROL.yaml`.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenTest {
    /// The id of the control: the file's name, or the case's own `control:`.
    pub control: Arc<str>,
    /// What it shows.
    pub name: String,
    /// The rows of each table: column → value.
    pub tables: Vec<(String, Vec<Located<Tree>>)>,
    /// Values of parameters.
    pub params: Vec<(String, Located<Tree>)>,
    /// What `now()` is, as RFC 3339.
    pub now: Option<Located<String>>,
    /// Whether findings besides the expected ones are fine.
    pub partial: bool,
    /// What is expected, in any order.
    pub expect: Vec<ExpectedFinding>,
    /// The file.
    pub file: Arc<str>,
    /// Where it stands there.
    pub place: Place,
}

/// A finding as a test expects it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFinding {
    /// Its resource.
    pub resource: String,
    /// Its status.
    pub status: Status,
    /// A piece of its reason.
    pub reason: Option<String>,
}

/// Reads a file of `tests/`; `control` is the file's name without its ending.
pub(super) fn read(tree: &Located<Tree>, control: &str, problems: &mut Problems<'_>) -> Vec<GivenTest> {
    let items = match &tree.value {
        Tree::List(items) => items.as_slice(),
        Tree::Null => &[],
        Tree::Map(_) => match Fields::of(tree, "a test file", &["tests"], problems) {
            Some(fields) => fields.list("tests", problems),
            None => &[],
        },
        _ => {
            problems.add(tree.place, "a test file must be a list of cases");
            &[]
        }
    };
    items.iter().filter_map(|item| case(item, control, problems)).collect()
}

fn case(tree: &Located<Tree>, control: &str, problems: &mut Problems<'_>) -> Option<GivenTest> {
    let known = &["name", "control", "tables", "params", "now", "partial", "expect"];
    let fields = Fields::of(tree, "a test", known, problems)?;
    let name = fields.required("name", "a test", problems)?.value;
    let control = fields.text("control", problems).map_or_else(|| control.to_owned(), |text| text.value);
    let mut tables = Vec::new();
    for (table, rows) in fields.map("tables", problems) {
        match &rows.value {
            Tree::List(rows) => tables.push((table.value.to_string(), rows.clone())),
            Tree::Null => tables.push((table.value.to_string(), Vec::new())),
            _ => problems.add(rows.place, format!("the rows of `{}` must be a list", table.value)),
        }
    }
    let partial = match fields.get("partial").map(|value| (&value.value, value.place)) {
        None => false,
        Some((Tree::Bool(value), _)) => *value,
        Some((_, place)) => {
            problems.add(place, "`partial` must be true or false");
            false
        }
    };
    if fields.get("expect").is_none() {
        problems.add(fields.place, format!("the test `{name}` has no `expect`"));
    }
    let expect = fields.list("expect", problems).iter().filter_map(|item| expected(item, problems)).collect();
    let params = fields.map("params", problems);
    Some(GivenTest {
        params: params.iter().map(|(key, value)| (key.value.to_string(), value.clone())).collect(),
        now: fields.text("now", problems),
        control: control.into(),
        name,
        tables,
        partial,
        expect,
        file: Arc::clone(&problems.file),
        place: tree.place,
    })
}

fn expected(tree: &Located<Tree>, problems: &mut Problems<'_>) -> Option<ExpectedFinding> {
    let fields = Fields::of(tree, "an expected finding", &["resource", "status", "reason"], problems)?;
    let resource = fields.get("resource").and_then(|value| text_of(&value.value));
    let Some(resource) = resource else {
        problems.add(fields.place, "an expected finding has no `resource`");
        return None;
    };
    let word = fields.required("status", "an expected finding", problems)?;
    let Ok(status) = word.parse::<Status>() else {
        let help = "use ok, alarm, skip, info or error".to_owned();
        problems.add_with_help(word.place, format!("`{}` is not a status", word.value), Some(help));
        return None;
    };
    let reason = fields.text("reason", problems).map(|text| text.value);
    Some(ExpectedFinding { resource, status, reason })
}
