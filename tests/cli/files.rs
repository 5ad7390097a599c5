//! Bad rows leave by the port `errors`, with the reason and the place; they are counted and stop nothing.

use std::fmt::Write as _;

use crate::program::{Done, Folder};

/// Runs a pipeline over a file; rows go to `out.jsonl`, what could not be read to `bad.jsonl`.
fn read(name: &str, content: impl AsRef<[u8]>) -> (Folder, Done) {
    let folder = Folder::new();
    folder.write(name, content);
    let pipeline = format!(
        "version: 1\nname: p\nsources: {{a: {{file: {{path: {name}}}}}}}\nsinks:\n  out: {{from: a, file: {{path: out.jsonl}}}}\n  bad: {{from: a.errors, file: {{path: bad.jsonl}}}}\n"
    );
    folder.write("p.yaml", pipeline);
    let done = folder.run(&["run", "p.yaml"]).code(0);
    (folder, done)
}

/// Position and reason of everything that was rejected.
fn rejected(folder: &Folder) -> Vec<(String, String)> {
    let text = folder.read("bad.jsonl");
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let cell = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.map(|row| (cell(&row, "position"), cell(&row, "reason"))).collect()
}

#[track_caller]
fn assert_rejected(folder: &Folder, expected: &[(&str, &str)]) {
    let rejected = rejected(folder);
    assert_eq!(rejected.len(), expected.len(), "{rejected:?}");
    for ((position, reason), (wanted_position, wanted_reason)) in rejected.iter().zip(expected) {
        assert_eq!(position, wanted_position, "{rejected:?}");
        assert!(reason.contains(wanted_reason), "{rejected:?}");
    }
}

#[test]
fn broken_and_truncated_lines_leave_by_the_port_errors() {
    let (folder, done) = read("in.jsonl", "{\"a\":1}\nnot json\n{\"a\":2\n{\"a\":3}\n{\"a\":4");
    assert_eq!(folder.read("out.jsonl"), "{\"a\":1}\n{\"a\":3}\n");
    assert_rejected(
        &folder,
        &[("in.jsonl:2", "not JSON"), ("in.jsonl:3", "ends too early"), ("in.jsonl:5", "ends too early")],
    );
    done.said(&["a (file): 2 rows, 3 could not be handled", "bad (file): 3 rows"]);
}

#[test]
fn lines_that_are_no_objects_leave_by_the_port_errors() {
    let (folder, _) = read("in.jsonl", "{\"a\":1}\n[1]\n7\nnull\n");
    assert_rejected(&folder, &[("in.jsonl:2", "a list"), ("in.jsonl:3", "a number"), ("in.jsonl:4", "null")]);
}

#[test]
fn a_line_that_is_too_long_leaves_by_the_port_errors_cut() {
    let long = "x".repeat(2 << 20);
    let (folder, _) = read("in.jsonl", format!("{{\"a\":\"ok\"}}\n{{\"a\":\"{long}\"}}\n{{\"a\":\"fine\"}}\n"));
    assert_eq!(folder.read("out.jsonl"), "{\"a\":\"ok\"}\n{\"a\":\"fine\"}\n");
    assert_rejected(&folder, &[("in.jsonl:2", "`max_line`")]);
    assert!(folder.read("bad.jsonl").len() < 70_000, "the raw input is cut");
}

#[test]
fn changing_types_are_widened_and_what_cannot_be_is_rejected() {
    let (folder, _) = read("in.jsonl", "{\"a\":1}\n{\"a\":1.5}\n{\"a\":\"x\"}\n{\"a\":{\"b\":1}}\n{\"a\":[1]}\n");
    assert_eq!(folder.read("out.jsonl"), "{\"a\":\"1\"}\n{\"a\":\"1.5\"}\n{\"a\":\"x\"}\n");
    assert_rejected(&folder, &[("in.jsonl:4", "an object"), ("in.jsonl:5", "a list")]);
}

#[test]
fn a_type_that_changes_after_the_sample_neither_stops_nor_loses_a_row() {
    let mut text = "{\"a\":1}\n".repeat(1_500);
    text.push_str("{\"a\":{\"b\":1}}\n{\"a\":2,\"new\":true}\n");
    let (folder, done) = read("in.jsonl", text);
    assert_rejected(&folder, &[("in.jsonl:1501", "an object")]);
    assert_eq!(folder.read("out.jsonl").lines().count(), 1_501);
    assert!(folder.read("out.jsonl").ends_with("{\"a\":2,\"new\":true}\n"));
    done.said(&["a (file): 1501 rows, 1 could not be handled"]);
}

#[test]
fn ten_thousand_columns_are_read() {
    let mut text = "{\"c0\":0".to_owned();
    (1..10_000).for_each(|column| write!(text, ",\"c{column}\":{column}").expect("a string"));
    text.push_str("}\n{\"c9999\":1}\n");
    let (folder, done) = read("in.jsonl", text);
    assert!(folder.read("out.jsonl").ends_with("{\"c9999\":1}\n"));
    done.said(&["a (file): 2 rows\n"]);
}

#[test]
fn invalid_utf8_leaves_by_the_port_errors_readably() {
    let (folder, _) = read("in.jsonl", b"{\"a\":\"ok\"}\n{\"a\":\"\xff\xfe\"}\n{\"a\":\"fine\"}\n");
    assert_eq!(folder.read("out.jsonl"), "{\"a\":\"ok\"}\n{\"a\":\"fine\"}\n");
    assert_rejected(&folder, &[("in.jsonl:2", "not valid UTF-8")]);
    assert!(folder.read("bad.jsonl").contains("\u{fffd}"));
}

#[test]
fn ragged_rows_of_a_csv_leave_by_the_port_errors() {
    let (folder, done) = read("in.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n");
    assert_eq!(folder.read("out.jsonl"), "{\"a\":1,\"b\":2}\n{\"a\":7,\"b\":8}\n");
    assert_rejected(&folder, &[("in.csv:3", "1 field"), ("in.csv:4", "3 fields")]);
    done.said(&["2 could not be handled"]);
}

#[test]
fn a_bad_row_stops_the_pipeline_where_that_is_asked_for() {
    let folder = Folder::with(&[
        ("in.csv", "a,b\n1,2\n3\n"),
        (
            "p.yaml",
            "version: 1\nname: p\nsources: {a: {on_error: fail, file: {path: in.csv}}}\nsinks: {s: {from: a, drop: {}}}\n",
        ),
    ]);
    let done = folder.run(&["run", "p.yaml"]).said(&["in.csv:3", "node `a`", "on_error: errors"]);
    assert_eq!(done.code, Some(2));
}

#[test]
fn an_empty_file_gives_no_rows() {
    let (folder, _) = read("in.jsonl", "");
    assert_eq!(folder.read("out.jsonl"), "");
    assert!(rejected(&folder).is_empty());
}
