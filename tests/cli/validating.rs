//! What is wrong with a pipeline's text is told with its place and a remedy; the code is 3.

use crate::program::{Done, Folder};

fn validated(text: &str) -> Done {
    Folder::with(&[("p.yaml", text)]).run(&["validate", "p.yaml"])
}

/// A pipeline of three numbers with an operator.
fn with_operator(operator: &str) -> String {
    format!(
        "version: 1\nsources: {{a: {{range: {{limit: 3}}}}}}\noperators:\n  f: {operator}\nsinks: {{s: {{from: f, drop: {{}}}}}}\n"
    )
}

#[test]
fn a_missing_file_is_told_and_so_is_a_folder_in_its_place() {
    let folder = Folder::with(&[("folder/inside", "")]);
    folder
        .run(&["validate", "absent.yaml"])
        .code(3)
        .said(&["absent.yaml cannot be read: No such file", "tidegate init"]);
    folder.run(&["run", "absent.yaml"]).code(3).said(&["absent.yaml cannot be read"]);
    folder.run(&["run", "folder"]).code(3).said(&["folder cannot be read: Is a directory"]);
}

#[test]
fn one_unreadable_file_does_not_hide_what_is_wrong_with_the_next() {
    let folder = Folder::with(&[("p.yaml", "sources: {a: {rnge: {}}}\n")]);
    folder
        .run(&["validate", "absent.yaml", "p.yaml"])
        .code(3)
        .said(&["absent.yaml cannot be read", "did you mean `range`?"]);
}

#[test]
fn a_file_that_is_not_utf8_is_told_with_the_byte() {
    let folder = Folder::new();
    folder.write("p.yaml", b"name: \xff\n");
    folder.run(&["validate", "p.yaml"]).code(3).said(&["p.yaml is not UTF-8: byte 6"]);
}

#[test]
fn an_empty_file_is_told_how_a_pipeline_begins() {
    validated("").code(3).said(&["the file is empty", "p.yaml:1:1", "version: 1"]);
}

#[test]
fn a_tab_is_told_with_its_place() {
    validated("sources:\n\ta: {}\n").code(3).said(&["p.yaml:2:1", "a tab indents this line", "replace the tab"]);
}

#[test]
fn a_key_that_stands_twice_is_told_with_both_places() {
    let text = "version: 1\nsources: {a: {range: {limit: 3}}}\nsources: {b: {range: {limit: 3}}}\nsinks: {s: {from: a, drop: {}}}\n";
    validated(text).code(3).said(&["p.yaml:3:1", "`sources` stands here a second time", "line 2"]);
}

#[test]
fn an_unknown_kind_is_told_with_the_one_that_is_meant() {
    validated("version: 1\nsources: {a: {rnge: {limit: 3}}}\nsinks: {s: {from: a, drop: {}}}\n").code(3).said(&[
        "p.yaml:2:15",
        "unknown kind of source `rnge`",
        "did you mean `range`?",
    ]);
}

#[test]
fn an_unknown_node_or_port_is_told_with_the_one_that_is_meant() {
    let text = "version: 1\nsources: {events: {range: {limit: 3}}}\nsinks: {s: {from: event, drop: {}}, t: {from: events.erors, drop: {}}}\n";
    validated(text).code(3).said(&[
        "p.yaml:3:19",
        "there is no node `event`",
        "did you mean `events`?",
        "node `events` has no port `erors`",
        "did you mean `errors`?",
    ]);
}

#[test]
fn an_unknown_column_is_told_with_the_one_that_is_meant() {
    let folder = Folder::with(&[
        ("events.jsonl", "{\"severity\": \"info\"}\n"),
        (
            "p.yaml",
            "version: 1\nsources: {a: {file: {path: events.jsonl}}}\noperators: {f: {from: a, filter: \"1 = 1 and sevrity = 'x'\"}}\nsinks: {s: {from: f, drop: {}}}\n",
        ),
    ]);
    folder.run(&["validate", "p.yaml"]).code(3).said(&[
        "p.yaml:3:45",
        "there is no column `sevrity`",
        "did you mean `severity`?",
    ]);
}

#[test]
fn a_circle_is_told_with_its_nodes() {
    let text = "version: 1\nsources: {a: {range: {limit: 3}}}\noperators:\n  f: {from: [a, g], filter: \"true\"}\n  g: {from: f, filter: \"true\"}\nsinks: {s: {from: g, drop: {}}}\n";
    validated(text).code(3).said(&["p.yaml:4:3", "in a circle", "g → f → g"]);
}

#[test]
fn what_a_source_uses_is_another_source_and_never_in_a_circle() {
    let pipeline =
        |sources: &str| format!("version: 1\nsources:\n{sources}sinks: {{s: {{from: [a, b], drop: {{}}}}}}\n");
    let range = "{range: {limit: 3}";
    validated(&pipeline(&format!("  a: {range}, uses: b}}\n  b: {range}}}\n"))).code(0);
    validated(&pipeline(&format!("  a: {range}, uses: b}}\n  b: {range}, uses: a}}\n")))
        .code(3)
        .said(&["p.yaml:3:3", "these sources need each other to be set up first in a circle: b → a → b"]);
    validated(&pipeline(&format!("  a: {range}, uses: s}}\n  b: {range}}}\n"))).code(3).said(&[
        "p.yaml:3:32",
        "`s` is a sink, and a source uses sources",
        "set up before any source is",
    ]);
    validated(&pipeline(&format!("  a: {range}, uses: bb}}\n  b: {range}}}\n")))
        .code(3)
        .said(&["there is no source `bb`", "did you mean `b`?"]);
}

#[test]
fn a_node_that_nobody_reads_is_a_warning() {
    validated(
        "version: 1\nsources: {a: {range: {limit: 3}}, b: {range: {limit: 2}}}\nsinks: {s: {from: b, drop: {}}}\n",
    )
    .code(0)
    .said(&["warning: nobody reads node `a`", "p.yaml:2:11"])
    .printed(&["p.yaml: valid (p: 3 nodes)"]);
}

#[test]
fn a_node_whose_reader_is_not_valid_is_read_all_the_same() {
    let done = validated(&with_operator("{from: a, filter: \"1 +\"}")).code(3);
    assert!(!done.stderr.contains("nobody reads"), "{}", done.stderr);
}

#[test]
fn sql_that_does_not_parse_is_told_with_its_place() {
    validated(&with_operator("{from: a, filter: \"i > \"}")).code(3).said(&["p.yaml:4:2", "this is not SQL"]);
}

#[test]
fn a_volatile_function_is_refused() {
    validated(&with_operator("{from: a, filter: \"random() > 0.5\"}")).code(3).said(&[
        "p.yaml:4:25",
        "`random` is different at every evaluation",
        "replay",
    ]);
}

#[test]
fn a_condition_that_is_no_condition_and_a_type_error_are_told() {
    validated(&with_operator("{from: a, filter: \"i + 1\"}")).code(3).said(&["p.yaml:4:24"]);
    validated(&with_operator("{from: a, select: \"i + make_array(1) AS x\"}")).code(3).said(&["p.yaml:4:"]);
}

#[test]
fn everything_that_is_wrong_is_told_in_one_go() {
    let text = "version: 1\nsources: {a: {range: {limit: 3}}}\noperators:\n  f: {from: a, filter: \"nope > 1\"}\n  g: {from: a, filter: \"1 +\"}\nsinks: {s: {from: [f, g, h], drop: {}}}\n";
    let folder = Folder::with(&[("p.yaml", text)]);
    folder
        .run(&["validate", "p.yaml"])
        .code(3)
        .said(&["nope", "this is not SQL", "there is no node `h`"])
        .printed(&["3 errors"]);
    let document = folder.run(&["validate", "--format", "json", "p.yaml"]).code(3).json();
    assert_eq!(document[0]["file"], "p.yaml");
    assert_eq!(document[0]["valid"], false);
    let diagnostics = document[0]["diagnostics"].as_array().expect("a list");
    let lines: Vec<u64> = diagnostics.iter().filter_map(|found| found["place"]["line"].as_u64()).collect();
    assert_eq!(lines, [4, 5, 6]);
    assert!(diagnostics.iter().all(|found| found["file"] == "p.yaml" && found["severity"] == "error"));
}

#[test]
fn a_control_that_does_not_exist_is_told() {
    let text = "version: 1\nsources: {m: {host: {}}}\noperators: {c: {from: m, check: {pack: host, controls: [no_such_control]}}}\nsinks: {s: {from: c, drop: {}}}\n";
    validated(text).code(3).said(&["no_such_control"]);
}

#[test]
fn a_source_whose_file_is_missing_is_told_with_its_place() {
    validated("version: 1\nsources: {a: {file: {path: absent.jsonl}}}\nsinks: {s: {from: a, drop: {}}}\n")
        .code(3)
        .said(&["p.yaml:2:28", "there is no file `absent.jsonl`"]);
}
