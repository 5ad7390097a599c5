//! The small commands: what they print is what programs and people rely on.

use std::path::PathBuf;

use crate::program::{Done, Folder, command, repository};

#[test]
fn help_mentions_every_command_and_the_exit_codes() {
    let commands = [
        "run",
        "check",
        "query",
        "validate",
        "graph",
        "test",
        "checkpoint",
        "component",
        "source",
        "init",
        "schema",
        "completions",
    ];
    let done = Folder::new().run(&["--help"]).code(0).printed(&commands).printed(&["Exit codes: 0 done"]);
    assert!(done.stderr.is_empty());
}

#[test]
fn usage_errors_end_with_3() {
    let folder = Folder::new();
    folder.run(&["--nope"]).code(3).said(&["--nope"]);
    folder.run(&["valdate"]).code(3).said(&["valdate", "validate"]);
    folder.run(&["run"]).code(3).said(&["PIPELINE"]);
    folder.run(&["checkpoint", "list", "x", "--format", "xml"]).code(3).said(&["json"]);
    folder.run(&["--queries", "absent", "component", "list"]).code(3).said(&["absent", "no such folder"]);
}

#[test]
fn a_reader_of_messages_that_has_gone_is_no_reason_to_panic() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let folder = Folder::new();
    let done = folder.command(&["validate", "absent.yaml"]).stderr(writer).status().expect("it starts");
    assert_eq!(done.code(), Some(3));
}

#[test]
fn graph_draws_for_people_and_programs() {
    let text = "version: 1\nname: p\nsources: {a: {range: {limit: 3}}}\noperators: {r: {from: a, route: {low: \"i < 1\"}}}\nsinks: {s: {from: r.low, drop: {}}}\n";
    let folder = Folder::with(&[("p.yaml", text)]);
    folder.run(&["graph", "p.yaml"]).code(0).printed(&["flowchart LR", "low"]);
    folder.run(&["graph", "p.yaml", "--format", "dot"]).code(0).printed(&["digraph", "->"]);
    let graph = folder.run(&["graph", "p.yaml", "--format", "json"]).code(0).json();
    assert_eq!(graph["name"], "p");
    let names: Vec<&str> =
        graph["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["name"].as_str()).collect();
    assert_eq!(names, ["a", "r", "s"]);
}

#[test]
fn components_are_listed_and_shown() {
    let folder = Folder::new();
    folder.run(&["component", "list"]).code(0).printed(&["dedupe", "operator", "console", "sink", "host", "source"]);
    let list = folder.run(&["component", "list", "--format", "json"]).code(0).json();
    assert!(
        list.as_array()
            .expect("a list")
            .iter()
            .all(|kind| kind["summary"].as_str().is_some_and(|text| !text.is_empty()))
    );
    folder.run(&["component", "show", "dedupe"]).code(0).printed(&["dedupe (operator)", "within*", "* required"]);
    let shown = folder.run(&["component", "show", "file", "--format", "json"]).code(0).json();
    assert_eq!(shown.as_array().map(Vec::len), Some(2), "a source and a sink");
    folder.run(&["component", "show", "ddupe"]).code(3).said(&["did you mean `dedupe`?"]);
}

#[test]
fn a_source_can_be_tried() {
    let folder = Folder::new();
    let done = folder.run(&["source", "run", "range", "--arg", "limit=3"]).code(0);
    assert_eq!(done.stdout, "{\"i\":0}\n{\"i\":1}\n{\"i\":2}\n");
    let done = folder.run(&["source", "run", "tick", "--arg", "delay=0.01", "--limit", "2"]).code(0);
    assert_eq!(done.json_lines().len(), 2);
    folder.run(&["source", "run", "rang"]).code(3).said(&["did you mean `range`?"]);
    folder
        .run(&["source", "run", "range", "--arg", "limt=3"])
        .code(3)
        .said(&["unknown key `limt`", "did you mean `limit`?"]);
    folder.run(&["source", "run", "range", "--arg", "limit"]).code(3).said(&["KEY=VALUE"]);
}

#[test]
fn what_init_writes_is_valid_and_never_overwrites() {
    let folder = Folder::new();
    folder.run(&["init"]).code(0).printed(&["wrote pipeline.yaml", "tidegate validate pipeline.yaml"]);
    folder.run(&["validate", "pipeline.yaml"]).code(0).printed(&["valid"]);
    folder.run(&["init"]).code(3).said(&["exists already", "--force"]);
    folder.run(&["init", "--force"]).code(0);
}

#[test]
fn completions_are_printed_for_every_usual_shell() {
    for shell in ["bash", "zsh", "fish"] {
        Folder::new().run(&["completions", shell]).code(0).printed(&["tidegate", "checkpoint"]);
    }
}

#[test]
fn the_schema_accepts_every_example_and_refuses_what_validate_refuses() {
    let schema = Folder::new().run(&["schema"]).code(0).json();
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    for path in examples() {
        let document = json(&std::fs::read_to_string(&path).expect("it can be read"));
        let problems: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", path.display());
    }
    let wrong = "version: 1\nsources: {a: {range: {limt: 3}}}\nsinks: {s: {from: a, drop: {}}}\n";
    assert!(!validator.is_valid(&json(wrong)));
}

/// The pipelines of `examples/`.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join("examples")).expect("examples");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let examples: Vec<_> = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    examples
}

#[test]
fn every_example_is_valid() {
    for path in examples() {
        Done::of(&mut command(repository(), &["validate", &path.to_string_lossy()])).code(0);
    }
}

/// YAML as JSON, as the program reads it.
fn json(yaml: &str) -> serde_json::Value {
    use tidegate_pipeline::spec::{Tree, Variables, parse};
    fn value(tree: &Tree) -> serde_json::Value {
        match tree {
            Tree::Null => serde_json::Value::Null,
            Tree::Bool(truth) => (*truth).into(),
            Tree::Integer(number) => (*number).into(),
            Tree::Float(number) => (*number).into(),
            Tree::Text(text) => (&**text).into(),
            Tree::List(items) => items.iter().map(|item| value(&item.value)).collect(),
            Tree::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, inner)| (key.value.to_string(), value(inner))).collect(),
            ),
        }
    }
    value(&parse(yaml, &Variables::none()).expect("YAML").value)
}
