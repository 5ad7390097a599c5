//! The page `sources.md`: which test shows what of each source. A test says so in a comment before it:
//! `// matrix: KIND: CASE, CASE`; what a source cannot meet is said beside its code: `// matrix: KIND: CASE: WHY NOT`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{printed, read, root};

/// What every source is shown to survive, with what the page calls it.
const CASES: [(&str, &str); 5] = [
    ("happy", "happy"),
    ("malformed", "malformed"),
    ("disconnect", "disconnect"),
    ("kill-before-ack", "kill -9 before the acknowledgement"),
    ("kill-after-ack", "kill -9 after it"),
];

/// Where tests and sources are.
const FOLDERS: [&str; 4] = ["connectors", "tests", "src", "operators"];

/// What is known of a kind, by case.
type Row = BTreeMap<String, Vec<String>>;

/// The page.
pub(crate) fn page() -> String {
    let kinds = kinds();
    let mut page = String::from(
        "<!-- Generated from the program and its tests by tests/docs; do not edit. -->\n# What is shown of each source\n\n\
         The delivery class of each source, what a crash does, and the tests that show it. `tidegate component show KIND` \
         says the same of the first two.\n",
    );
    let matrix = matrix();
    for (kind, guarantee) in &kinds {
        let class = guarantee["class"].as_str().unwrap_or_default().replace('_', " ");
        let on_crash = guarantee["on_crash"].as_str().unwrap_or_default();
        page.push_str(&format!("\n## {kind}\n\nDelivery: **{class}**. {on_crash}\n\n| case | shown by |\n|---|---|\n"));
        let row = matrix.get(kind);
        for (case, title) in CASES {
            let shown = row.and_then(|row| row.get(case)).map(|tests| tests.join("<br>")).unwrap_or_default();
            page.push_str(&format!("| {title} | {shown} |\n"));
        }
    }
    page
}

#[test]
fn every_source_that_is_listed_has_a_test_or_a_reason_for_each_case() {
    let matrix = matrix();
    let known = kinds();
    let mut missing = Vec::new();
    for (kind, _) in &known {
        let row = matrix.get(kind);
        let lacks = |case: &&(&str, &str)| row.is_none_or(|row| !row.contains_key(case.0));
        missing.extend(CASES.iter().filter(lacks).map(|(case, _)| format!("{kind}: {case}")));
    }
    assert!(missing.is_empty(), "no test says `// matrix: KIND: CASE` for {missing:?}");
    let strangers: Vec<&String> = matrix.keys().filter(|kind| !known.iter().any(|(known, _)| known == *kind)).collect();
    assert!(strangers.is_empty(), "the program does not list {strangers:?}");
}

/// The sources that the program lists, with their guarantees.
fn kinds() -> Vec<(String, Value)> {
    let list: Value = serde_json::from_str(&printed(&["component", "list", "--format", "json"])).expect("a list");
    let kinds = list.as_array().expect("a list of kinds").iter().filter(|kind| kind["section"] == "source");
    kinds.map(|kind| (kind["kind"].as_str().expect("a name").to_owned(), kind["guarantee"].clone())).collect()
}

fn matrix() -> BTreeMap<String, Row> {
    let mut matrix: BTreeMap<String, Row> = BTreeMap::new();
    for file in FOLDERS.iter().flat_map(|folder| sources(&root().join(folder))) {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((kind, cases)) = line.strip_prefix("// matrix: ").and_then(|said| said.split_once(": ")) else {
                continue;
            };
            let row = matrix.entry(kind.to_owned()).or_default();
            if let Some((case, reason)) = cases.split_once(": ") {
                row.entry(known_case(case, &file)).or_default().push(format!("—: {reason}"));
                continue;
            }
            let test = lines[at..].iter().find_map(|line| name_of_function(line));
            let test = test.unwrap_or_else(|| panic!("{}:{}: no test follows", file.display(), at + 1));
            for case in cases.split(", ") {
                row.entry(known_case(case, &file)).or_default().push(format!("`{test}`"));
            }
        }
    }
    matrix
}

fn known_case(case: &str, file: &Path) -> String {
    assert!(CASES.iter().any(|(known, _)| *known == case), "{}: there is no case `{case}`", file.display());
    case.to_owned()
}

fn name_of_function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "))?;
    rest.split_once('(').map(|(name, _)| name)
}

/// The Rust files below a folder, in order; not this one, whose text speaks of the comments.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    let files = entries.into_iter().flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("docs/matrix.rs"))
        .collect()
}
