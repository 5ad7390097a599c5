//! `check` and `query`, over a small machine that never changes.

use crate::program::Folder;

/// A pipeline over a machine on which bob has the uid of root and no password.
fn machine() -> Folder {
    Folder::with(&[
        ("root/etc/machine-id", "c0de\n"),
        ("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbob::0:0::/home/bob:/bin/sh\n"),
        ("root/etc/group", "root:x:0:\n"),
        (
            "p.yaml",
            "version: 1\nname: p\nsources: {inventory: {host: {root: root}}}\noperators: {c: {from: inventory, check: {pack: host, controls: [user_*]}}}\nsinks: {s: {from: c, file: {path: findings.jsonl}}}\n",
        ),
    ])
}

#[test]
fn check_reports_alarms_by_control_and_ends_with_1() {
    let done = machine().run(&["check", "p.yaml"]).code(1).printed(&[
        "critical  user_uid_zero_only_root: Only root should have uid 0",
        "The account bob has uid 0",
        "controls:",
        "alarm",
    ]);
    assert!(done.stdout.lines().all(|line| line.chars().count() <= 120), "{}", done.stdout);
}

#[test]
fn check_writes_no_sink_and_keeps_no_state() {
    let folder = machine();
    folder.run(&["check", "p.yaml"]).code(1);
    assert!(!folder.path().join("findings.jsonl").exists());
    assert!(!folder.path().join(".tidegate").exists());
}

#[test]
fn rows_of_check_have_what_programs_read_each_finding_once() {
    let folder = machine();
    let lines = folder.run(&["check", "p.yaml", "--format", "jsonl"]).code(1).json_lines();
    let document = folder.run(&["check", "p.yaml", "--format", "json"]).code(1).json();
    assert_eq!(document.as_array().map(Vec::len), Some(lines.len()));
    for column in ["control", "resource", "status", "reason", "severity", "dimensions"] {
        assert!(lines.iter().all(|line| line[column].is_string()), "{column}");
    }
    let mut identities: Vec<String> =
        lines.iter().map(|line| format!("{} {}", line["control"], line["resource"])).collect();
    let before = identities.len();
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), before, "a finding is there twice");
    assert!(lines.iter().all(|line| line["status"] != "ok"));
}

#[test]
fn check_ends_with_0_where_nothing_is_found_and_shows_what_is_ok_when_asked() {
    let folder = machine();
    folder.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n");
    let controls = ["check", "p.yaml", "--controls", "user_uid_zero_only_root"];
    folder.run(&controls).code(0).printed(&["1 control: 1 ok"]);
    folder.run(&[&controls[..], &["--all"]].concat()).code(0).printed(&["ok", "root has uid 0"]);
    folder.run(&["check", "p.yaml", "--controls", "no_such"]).code(3).said(&["no_such"]);
}

#[test]
fn check_tells_what_has_changed_since_the_newest_checkpoint() {
    let folder = machine();
    folder.run(&["check", "p.yaml", "--fail-on-new"]).code(3).said(&["nothing to compare with"]);
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    let before = folder.run(&["check", "p.yaml", "--fail-on-new"]).code(0).stdout;
    assert!(before.contains("alarm  unchanged") && !before.contains("alarm  new"), "{before}");
    folder.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\n");
    let after = folder.run(&["check", "p.yaml", "--fail-on-new"]).code(1);
    after.printed(&["The account toor has uid 0", "2 new, 1 changed, 3 resolved", "checkpoint 1"]);
    // Nothing was written: the pipeline still knows what it knew.
    folder.run(&["check", "p.yaml", "--fail-on-new"]).code(1).printed(&["2 new, 1 changed, 3 resolved"]);
    let rows = folder.run(&["check", "p.yaml", "--format", "jsonl", "--dir", "elsewhere"]).json_lines();
    let found = rows.iter().find(|row| row["control"] == "user_uid_zero_only_root").map(|row| &row["evidence"]);
    assert_eq!(found, Some(&r#"{"name":"toor","uid":0}"#.into()));
}

#[test]
fn check_of_this_machine_needs_no_pipeline() {
    let done =
        Folder::new().run(&["check", "host", "--controls", "user_uid_zero_only_root", "--format", "jsonl", "--all"]);
    assert!(matches!(done.code, Some(0 | 1)), "{}", done.stderr);
    assert!(done.json_lines().iter().all(|line| line["control"] == "user_uid_zero_only_root"));
}

#[test]
fn check_of_something_unknown_is_told() {
    Folder::new().run(&["check", "hst"]).code(3).said(&["hst", "did you mean `host`?"]);
    Folder::with(&[("p.yaml", "version: 1\nsources: {a: {range: {limit: 3}}}\nsinks: {s: {from: a, drop: {}}}\n")])
        .run(&["check", "p.yaml"])
        .code(3)
        .said(&["no `check` node"]);
}

#[test]
fn query_answers_over_the_newest_checkpoint() {
    let folder = machine();
    let sql = "select name, uid from host_user order by name";
    folder.run(&["query", "p.yaml", sql]).code(3).said(&["no checkpoint yet", "tidegate run p.yaml --once"]);
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    folder.run(&["query", "p.yaml", sql]).code(0).printed(&["name", "bob", "root", "2 rows"]);
    let rows = folder.run(&["query", "p.yaml", sql, "--format", "jsonl"]).code(0).stdout;
    assert_eq!(rows, "{\"name\":\"bob\",\"uid\":0}\n{\"name\":\"root\",\"uid\":0}\n");
    let none = folder.run(&["query", "p.yaml", "select name from host_user where uid = 7", "--format", "json"]).code(0);
    assert_eq!(none.json(), serde_json::json!([]));
    folder.run(&["query", "p.yaml", "selec"]).code(3).said(&["SQL"]);
    folder.run(&["query", "p.yaml", "select nme from host_user"]).code(3).said(&["nme"]);
}

#[test]
fn the_shell_of_query_reads_statements_from_stdin() {
    let folder = machine();
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    let query = ["query", "p.yaml", "--format", "jsonl"];
    let input = "select name\nfrom host_user order by name;\nselect count(*) as n from host_user";
    let done = folder.run_with_input(&query, input).code(0);
    assert_eq!(done.stdout, "{\"name\":\"bob\"}\n{\"name\":\"root\"}\n{\"n\":2}\n");
    folder.run_with_input(&query, "\\d\n\\d host_user\n").code(0).printed(&["\"host_user\"", "\"uid\""]);
    let done = folder.run_with_input(&query, "select nope from host_user;\nselect 1 as one;\n").code(3).said(&["nope"]);
    assert_eq!(done.stdout, "{\"one\":1}\n", "an error ends none but its own statement");
}
