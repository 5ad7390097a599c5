//! `tidegate test`.

use crate::program::{Done, Folder, command, repository};

/// A folder with a pipeline of numbers and a file of tests.
fn tested(cases: &str) -> Folder {
    Folder::with(&[
        (
            "p.yaml",
            "version: 1\nsources: {numbers: {range: {limit: 3}}}\noperators:\n  big: {from: numbers, filter: \"i > 10\"}\n  size: {from: big, route: {huge: \"i > 100\"}}\nsinks: {out: {from: size.huge, file: {path: out.jsonl}}}\n",
        ),
        ("tests/p.test.yaml", &format!("pipeline: ../p.yaml\ncases:\n{cases}")),
    ])
}

const GREEN: &str = "  - name: huge numbers go out\n    given: {numbers: [{i: 5}, {i: 50}, {i: 500}]}\n    expect:\n      big: [{i: 500}, {i: 50}]\n      size.unmatched: [{i: 50}]\n      out: [{i: 500}]\n";

fn in_repository(arguments: &[&str]) -> Done {
    Done::of(&mut command(repository(), arguments))
}

#[test]
fn the_examples_and_the_packs_are_green() {
    in_repository(&["test", "examples", "queries"]).code(0).printed(&[" passed, 0 failed"]);
}

#[test]
fn a_pack_is_tested_by_its_absolute_path_too() {
    let queries = repository().join("queries");
    in_repository(&["test", queries.to_str().expect("UTF-8"), "--filter", "user_"]).code(0).printed(&[" 0 failed"]);
}

#[test]
fn a_pipeline_is_tested_without_touching_its_sources_sinks_or_state() {
    let folder = tested(GREEN);
    folder.run(&["test", "."]).code(0).printed(&["1 passed, 0 failed"]);
    assert!(!folder.path().join("out.jsonl").exists());
    assert!(!folder.path().join(".tidegate").exists());
}

#[test]
fn what_differs_is_told_with_its_place_and_ends_with_2() {
    let folder = tested(
        "  - name: wrong\n    given: {numbers: [{i: 50}]}\n    expect:\n      big: [{i: 51}]\n      out: [{i: 1}]\n",
    );
    folder.run(&["test", "tests/p.test.yaml"]).code(2).printed(&[
        "FAILED p.yaml: wrong",
        "tests/p.test.yaml:3:5",
        "tests/p.test.yaml:6:13: error: `big` has no row {\"i\":51} (there: {\"i\":50})",
        "tests/p.test.yaml:7:7: error: `out` has 0 rows, expected 1 row",
        "there are no rows",
        "0 passed, 1 failed",
    ]);
}

#[test]
fn partial_lets_other_rows_be() {
    let case =
        "  - name: some\n    partial: true\n    given: {numbers: [{i: 50}, {i: 60}]}\n    expect: {big: [{i: 60}]}\n";
    tested(case).run(&["test", "."]).code(0);
    tested(&case.replace("    partial: true\n", ""))
        .run(&["test", "."])
        .code(2)
        .printed(&["`big` has 2 rows, expected 1 row"]);
}

#[test]
fn a_source_that_is_not_given_gives_nothing() {
    tested("  - name: quiet\n    expect: {numbers: []}\n").run(&["test", "."]).code(0);
}

#[test]
fn unknown_names_are_told_with_those_that_are_meant() {
    let case = "  - name: typos\n    given: {number: [{i: 1}]}\n    expect: {bgi: [], size.hug: [], out.errors: []}\n";
    tested(case).run(&["test", "."]).code(2).printed(&[
        "no source `number`",
        "did you mean `numbers`?",
        "no node `bgi`",
        "did you mean `big`?",
        "no port `hug`",
        "did you mean `huge`?",
        "`out` is a sink",
    ]);
    let columns = "  - name: columns\n    given: {numbers: [{j: 1}]}\n    expect: {big: []}\n";
    tested(columns).run(&["test", "."]).code(2).printed(&["p.test.yaml:4:23", "source `numbers` has no column `j`"]);
    let expected = "  - name: columns\n    given: {numbers: [{i: 1}]}\n    expect: {big: [{ii: 1}]}\n";
    tested(expected)
        .run(&["test", "."])
        .code(2)
        .printed(&["the rows of `big` have no column `ii`", "did you mean `i`?"]);
}

#[test]
fn a_test_file_or_pipeline_that_is_not_valid_is_a_failed_test() {
    tested("  - nme: x\n    expect: {}\n").run(&["test", "."]).code(2).printed(&["p.test.yaml:3:5", "nme"]);
    let folder = tested(GREEN);
    folder.write("p.yaml", "version: 1\nsources: {numbers: {rnge: {}}}\n");
    folder.run(&["test", "."]).code(2).printed(&["the pipeline is valid", "p.yaml:2:21", "did you mean `range`?"]);
    std::fs::remove_file(folder.path().join("p.yaml")).expect("it is there");
    folder.run(&["test", "."]).code(2).printed(&["p.test.yaml:1:11", "cannot be read"]);
}

#[test]
fn tests_are_chosen_by_name_and_none_at_all_is_an_error() {
    let folder = tested(&format!("{GREEN}  - name: other\n    expect: {{big: [{{i: 1}}]}}\n"));
    folder.run(&["test", ".", "--filter", "huge numbers"]).code(0).printed(&["1 passed"]);
    folder.run(&["test", ".", "--filter", "nothing like it"]).code(3).said(&["nothing like it"]);
    Folder::new().run(&["test", "."]).code(3).said(&["there are no tests"]);
    Folder::new().run(&["test", "absent"]).code(3).said(&["absent does not exist"]);
}

#[test]
fn results_are_reported_to_programs_and_build_servers() {
    let folder = tested(&format!("{GREEN}  - name: a < b\n    expect: {{big: [{{i: 1}}]}}\n"));
    let lines = folder.run(&["test", ".", "--format", "jsonl", "--junit", "report.xml"]).code(2).json_lines();
    assert_eq!(lines.iter().map(|line| line["passed"].as_bool()).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert!(lines[1]["message"].as_str().is_some_and(|text| text.contains("no row")));
    let report = folder.read("report.xml");
    for piece in ["<testsuites tests=\"2\" failures=\"1\"", "name=\"a &lt; b\"", "<failure message="] {
        assert!(report.contains(piece), "{report}");
    }
    assert_eq!(folder.run(&["test", ".", "--format", "json"]).code(2).json().as_array().map(Vec::len), Some(2));
}
