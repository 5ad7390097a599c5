//! Handlers in a pipeline: what is reported, changed, held, and waited for, by way of files of this machine.

use serde_json::{Value, json};

use crate::program::Folder;

/// A pipeline whose rows want files, with more options for its handler.
fn pipeline(options: &str) -> Folder {
    let folder = Folder::new();
    folder.write(
        "pipeline.yaml",
        format!(
            "version: 1\nname: files\nsources: {{wanted: {{file: {{path: wanted.jsonl}}}}}}\nsinks:\n  files:\n    from: wanted\n    \
             file_resource:\n      id: path\n      desired: {{content: content, permissions: \"'0600'\"}}\n{options}"
        ),
    );
    folder
}

fn want(folder: &Folder, rows: &[Value]) {
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    folder.write("wanted.jsonl", lines.join("\n") + "\n");
}

fn files(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"path": name, "content": format!("{name}\n")})).collect()
}

/// State and reason of each effect, in order.
fn effects(folder: &Folder) -> Vec<(String, String)> {
    let listed = folder.run(&["effects", "list", "pipeline.yaml", "--format", "jsonl"]).code(0).json_lines();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    listed.iter().map(|effect| (text(&effect["state"]), text(&effect["reason"]))).collect()
}

fn ids(folder: &Folder, state: &str) -> Vec<String> {
    let arguments = ["effects", "list", "pipeline.yaml", "--state", state, "--format", "jsonl"];
    let listed = folder.run(&arguments).code(0).json_lines();
    listed.iter().map(|effect| effect["effect"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn without_apply_what_differs_is_only_reported_and_the_report_is_kept() {
    let folder = pipeline("");
    want(&folder, &files(&["a"]));
    folder.run(&["run", "pipeline.yaml"]).code(0);
    assert!(!folder.file("a").exists());
    let [(state, reason)] = &effects(&folder)[..] else { panic!("one effect") };
    assert_eq!((state.as_str(), reason.as_str()), ("done", "non_compliant: purged true → false"));
    let id = ids(&folder, "done").remove(0);
    let shown = folder.run(&["effects", "show", "pipeline.yaml", &id, "--format", "json"]).code(0).json();
    assert_eq!(shown["report"]["resource"], "std::File[local,path=a]");
    assert_eq!(shown["report"]["resource_state"], "non_compliant");
    assert_eq!(shown["report"]["changes"]["purged"], json!({"current": true, "desired": false}));
    assert_eq!(shown["body"]["why"]["step"], shown["step"]);
}

#[test]
fn with_apply_files_are_what_rows_want_and_the_last_row_counts() {
    let folder = pipeline("      apply: true\n");
    let rows = [files(&["a", "b"]), vec![json!({"path": "a", "content": "again\n"})]].concat();
    want(&folder, &rows);
    folder.run(&["run", "pipeline.yaml"]).code(0);
    assert_eq!((folder.read("a").as_str(), folder.read("b").as_str()), ("again\n", "b\n"));
    let states: Vec<String> = effects(&folder).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["done", "done", "done"]);
}

#[test]
fn what_needs_approval_waits_for_it_and_a_run_ends_meanwhile() {
    let folder = pipeline("      apply: true\n      approval: required\n");
    want(&folder, &files(&["a", "b", "c"]));
    folder.run(&["run", "pipeline.yaml"]).code(0);
    let held = ids(&folder, "awaiting_approval");
    assert_eq!(held.len(), 3);
    assert_eq!(effects(&folder)[0].1, "available: purged true → false (`approval: required`)");
    assert!(["a", "b", "c"].iter().all(|name| !folder.file(name).exists()));

    folder.run(&["effects", "approve", "pipeline.yaml", &held[0]]).code(0).printed(&["1 effect approved"]);
    folder.run(&["effects", "discard", "pipeline.yaml", &held[1]]).code(0);
    let again = folder.run(&["effects", "approve", "pipeline.yaml", &held[1]]).code(2);
    assert!(again.stdout.contains("was discarded"), "{}", again.stdout);
    folder.run(&["run", "pipeline.yaml"]).code(0);
    assert_eq!(["a", "b", "c"].map(|name| folder.file(name).exists()), [true, false, false]);
    assert_eq!(ids(&folder, "awaiting_approval"), held[2..]);

    folder.run(&["effects", "approve", "pipeline.yaml", "--all"]).code(0);
    folder.run(&["run", "pipeline.yaml"]).code(0);
    assert!(folder.file("c").exists());
}

#[test]
fn an_approval_reaches_a_pipeline_that_runs() {
    let folder = pipeline("      apply: true\n      approval: required\n");
    let text = folder.read("pipeline.yaml");
    folder.write(
        "pipeline.yaml",
        text.replace("sources: {wanted:", "sources: {clock: {tick: {delay: 3600}}, wanted:")
            .replace("sinks:\n", "sinks:\n  nothing: {from: clock, drop: {}}\n"),
    );
    want(&folder, &files(&["a"]));
    let mut running = folder.start(&["run", "pipeline.yaml"]);
    running.until("an effect that awaits approval", || ids(&folder, "awaiting_approval").len() == 1);
    folder.run(&["effects", "approve", "pipeline.yaml", "--sink", "files"]).code(0);
    running.until("the file", || folder.file("a").exists());
}

#[test]
fn beyond_max_changes_effects_await_approval_also_after_a_restart() {
    let folder = pipeline("      apply: true\n      max_changes: 2\n");
    want(&folder, &files(&["a", "b", "c", "d"]));
    folder.run(&["run", "pipeline.yaml"]).code(0);
    let held = ids(&folder, "awaiting_approval");
    assert_eq!(held.len(), 2);
    assert!(effects(&folder).iter().any(|(_, reason)| reason.contains("`max_changes: 2` of 4 known resources")));
    // An approval counts against the limit, and passes it.
    folder.run(&["effects", "approve", "pipeline.yaml", &held[0]]).code(0);
    folder.run(&["run", "pipeline.yaml"]).code(0);
    let made = ["a", "b", "c", "d"].iter().filter(|name| folder.file(name).exists()).count();
    assert_eq!((made, ids(&folder, "awaiting_approval").len()), (3, 1));
}

#[test]
fn what_is_required_comes_first_and_what_fails_takes_only_its_dependants_along() {
    let folder = pipeline("      apply: true\n      agent: agent\n      requires: needs\n");
    let row = |path: &str, agent: &str, needs: Value, content: &str| json!({"path": path, "agent": agent, "needs": needs, "content": content});
    let other = |path: &str| json!([format!("std::File[two,path={path}]")]);
    want(
        &folder,
        &[
            row("last", "one", json!(["first"]), "x"),
            row("first", "one", other("of-another"), "x"),
            row("of-another", "two", json!([]), "x"),
            row("no/such/folder", "two", json!([]), "x"),
            row("orphan", "one", other("no/such/folder"), "x"),
            row("sibling", "two", json!([]), "x"),
            row("round", "one", json!(["about"]), "x"),
            row("about", "one", json!(["round"]), "x"),
        ],
    );
    folder.run(&["run", "pipeline.yaml"]).code(0);
    for name in ["last", "first", "of-another", "sibling"] {
        assert!(folder.file(name).exists(), "{name}: {:?}", effects(&folder));
    }
    assert!(["orphan", "round", "about"].iter().all(|name| !folder.file(name).exists()));
    let dead: Vec<String> =
        effects(&folder).into_iter().filter(|(state, _)| state == "dead").map(|(_, reason)| reason).collect();
    assert_eq!(dead.len(), 4, "{dead:?}");
    let said = |text: &str| dead.iter().filter(|reason| reason.contains(text)).count();
    assert_eq!(
        (said("requires what was not deployed: std::File[two,path=no/such/folder]"), said("requires itself")),
        (1, 2),
        "{dead:?}"
    );
}

#[test]
fn a_row_that_names_no_resource_and_a_host_that_is_not_allowed_are_kept_as_dead() {
    let folder = pipeline("      apply: true\n      hosts: hosts\n");
    want(
        &folder,
        &[
            json!({"path": null, "content": "x", "hosts": []}),
            json!({"path": "a", "content": "x", "hosts": ["somebody-else"]}),
            json!({"path": "b", "content": "x", "hosts": ["b"]}),
            json!({"path": "c", "content": "x", "hosts": ["local"]}),
        ],
    );
    folder.run(&["run", "pipeline.yaml"]).code(0);
    assert_eq!(["a", "b", "c"].map(|name| folder.file(name).exists()), [false, true, true]);
    let found = effects(&folder);
    assert_eq!((found[0].0.as_str(), found[0].1.as_str()), ("dead", "`id` is NULL"));
    assert!(found[1].0 == "dead" && found[1].1.contains("`hosts` allows only somebody-else"), "{found:?}");
}

#[test]
fn mistakes_in_the_options_of_a_handler_have_a_place_and_a_remedy() {
    let folder = pipeline("      apply: true\n      max_changes: many\n      window: {cron: 'never', for: 1h}\n");
    want(&folder, &files(&["a"]));
    folder
        .run(&["validate", "pipeline.yaml"])
        .code(3)
        .said(&["`many` is no number of changes", "`never` is no cron pattern"]);
    let text = folder.read("pipeline.yaml");
    let text = text.replace("permissions:", "permisions:").replace("content: content", "content: contents");
    folder.write("pipeline.yaml", text.split("      max_changes").next().expect("the rest"));
    folder.run(&["validate", "pipeline.yaml"]).code(3).said(&[
        "no field `permisions`",
        "did you mean `permissions`?",
        "`contents`",
    ]);
}

#[test]
fn a_plan_shows_what_would_be_made_changed_and_removed_and_leaves_everything() {
    let folder = pipeline("      apply: true\n      agent: \"'here'\"\n");
    let text = folder.read("pipeline.yaml");
    folder.write("pipeline.yaml", text.replace("desired: {", "desired: {purged: gone, "));
    folder.write("old", "old\n");
    folder.write("gone", "gone\n");
    folder.write("same", "same\n");
    folder.run(&["validate", "pipeline.yaml"]);
    let row = |path: &str, content: &str, gone: bool| json!({"path": path, "content": content, "gone": gone});
    want(&folder, &[row("new", "new\n", false), row("old", "changed\n", false), row("gone", "", true)]);
    let plan = folder.run(&["plan", "pipeline.yaml", "--format", "json"]).code(1).json();
    let summary = &plan["summary"];
    assert_eq!([&summary["add"], &summary["change"], &summary["remove"]], [&json!(1); 3], "{plan:#}");
    let shown = folder.run(&["plan", "pipeline.yaml"]).code(1);
    let shown = shown.printed(&[
        "- std::File[here,path=gone] would be removed",
        "+ std::File[here,path=new] would be made",
        "+ permissions: \"0600\"",
        "~ std::File[here,path=old] would be changed",
        "~ permissions: ",
        "because of a row of step",
        "files: 1 to make, 1 to change, 1 to remove, 0 as they shall be",
    ]);
    assert!(!shown.stdout.contains("changed\\n") && !shown.stdout.contains('\u{1b}'), "{}", shown.stdout);
    assert!(!folder.file("new").exists() && folder.file("gone").exists() && !folder.file(".tidegate").exists());
    folder.run(&["run", "pipeline.yaml"]).code(0);
    folder.run(&["plan", "pipeline.yaml"]).code(0).printed(&["3 as they shall be"]);
    let lines = folder.run(&["plan", "pipeline.yaml", "--format", "jsonl"]).code(0).json_lines();
    assert!(lines.len() == 3 && lines.iter().all(|line| line["node"] == "files" && line["status"] == "unmodified"));
}

#[test]
fn a_plan_that_cannot_find_something_out_says_so_and_fails() {
    let folder = pipeline("      apply: true\n");
    want(&folder, &files(&["no/such/folder/a"]));
    folder.write("no", "a file\n");
    folder.run(&["plan", "pipeline.yaml"]).code(2).printed(&["could not be found out", "cannot look at"]);
    folder.write(
        "none.yaml",
        "version: 1\nname: none\nsources: {a: {range: {count: 1}}}\nsinks: {b: {from: a, drop: {}}}\n",
    );
    folder.run(&["plan", "none.yaml"]).code(3).said(&["has no handler"]);
}
