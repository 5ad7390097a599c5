//! Waivers, as a pipeline and the command line give them; the findings of a pipeline as a table.

use crate::program::Folder;

const PIPELINE: &str = r#"version: 1
name: p
sources: {inventory: {host: {root: root, tables: [host_user]}}}
operators:
  shells:
    from: inventory
    check:
      title: Nobody should have zsh
      severity: low
      waivers: waivers.yaml
      sql: >-
        select arn as resource, account_id, region, name || ' has ' || shell as reason,
        case when shell like '%zsh' then 'alarm' else 'ok' end as status from host_user
sinks: {s: {from: shells, drop: {}}}
"#;

const ANN: &str =
    "- {id: W-1, control: shells, resource: '*/ann', reason: She asked., owner: ops, expires: 2030-01-01}\n";

fn machine() -> Folder {
    Folder::with(&[
        ("root/etc/machine-id", "c0de\n"),
        ("root/etc/passwd", "ann:x:1:1::/home/ann:/bin/zsh\nbob:x:2:2::/home/bob:/bin/sh\n"),
        ("waivers.yaml", ANN),
        ("p.yaml", PIPELINE),
    ])
}

#[test]
fn a_waived_alarm_is_shown_as_waived_and_fails_nothing_until_it_expires() {
    let folder = machine();
    let check = |more: &[&str]| folder.run(&[&["check", "p.yaml"], more].concat());
    check(&["--now", "2029-12-31T23:00:00Z"]).code(0).printed(&["waived"]);
    let expired = check(&["--now", "2030-01-01T00:00:00Z"]).code(1);
    expired.said(&["waivers.yaml:1: waiver `W-1` has expired: 1 alarm counts again"]);
    folder.write("none.yaml", "");
    check(&["--waivers", "none.yaml"]).code(1);
}

#[test]
fn waivers_that_are_not_needed_are_told() {
    let folder = machine();
    folder.write(
        "waivers.yaml",
        format!(
            "{ANN}{}{}",
            ANN.replace("W-1", "W-2").replace("ann", "carl"),
            ANN.replace("W-1", "W-3").replace("ann", "bob")
        ),
    );
    folder.run(&["check", "p.yaml"]).code(0).said(&[
        "waivers.yaml:2: waiver `W-2` matches nothing",
        "waivers.yaml:3: waiver `W-3` is not needed: none of what it matches is an alarm",
    ]);
}

#[test]
fn a_malformed_waiver_is_an_error_with_its_place_and_the_others_count() {
    let folder = machine();
    folder.write("waivers.yaml", format!("{ANN}- {{id: W-2, control: a}}\n"));
    let checked = folder.run(&["check", "p.yaml"]).code(2);
    checked.printed(&["waivers:waivers.yaml:2", "`W-2` has no `resource`;", "waived"]);
    folder.run(&["waivers", "lint", "waivers.yaml"]).code(3).printed(&["error: waivers.yaml:2:3: waiver `W-2` has no"]);
}

#[test]
fn lint_questions_waivers_and_says_nothing_of_good_ones() {
    let folder = Folder::with(&[
        (
            "good.yaml",
            "- {id: W-1, control: user_uid_zero_only_root, resource: a, reason: r, owner: o, expires: 2999-01-01}\n",
        ),
        ("odd.yaml", "- {id: W-1, control: no_such, resource: a, reason: r, owner: o, expires: 2020-01-01}\n"),
    ]);
    folder.run(&["waivers", "lint", "good.yaml"]).code(1).printed(&["lasts another"]);
    let odd = folder.run(&["waivers", "lint", "odd.yaml"]).code(1);
    odd.printed(&["has expired", "names no control: `no_such`", "1 waivers, 0 errors, 2 warnings"]);
    let lines = folder.run(&["waivers", "lint", "odd.yaml", "--format", "jsonl"]).code(1).json_lines();
    assert_eq!((lines.len(), lines[0]["line"].as_u64()), (2, Some(1)));
    folder.run(&["waivers", "lint", "nowhere.yaml"]).code(3).said(&["nowhere.yaml"]);
}

#[test]
fn the_findings_of_a_pipeline_are_a_table_now_and_as_it_was() {
    let folder = machine();
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    folder.write("root/etc/passwd", "ann:x:1:1::/home/ann:/bin/sh\nbob:x:2:2::/home/bob:/bin/zsh\n");
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    let query = |sql: &str, more: &[&str]| {
        let rows = folder.run(&[&["query", "p.yaml", sql, "--format", "jsonl"], more].concat()).code(0).json_lines();
        rows.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let sql = "select node, split_part(resource, '/', 2) as name, waiver from findings order by 2";
    assert_eq!(query(sql, &[]), [r#"{"node":"shells","name":"bob"}"#]);
    assert_eq!(query(sql, &["--at", "1"]), [r#"{"node":"shells","name":"ann","waiver":"W-1"}"#]);
    let both = "select count(*) as n from at('findings', '1') o join findings n on o.resource <> n.resource";
    assert_eq!(query(both, &[]), [r#"{"n":1}"#]);
}
