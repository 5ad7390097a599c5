//! What of a pipeline or a pack `check` evaluates, with which values, and when.

use crate::program::Folder;

const CONTROLS: &str = r#"
controls:
  - id: low_uid
    title: Accounts should have high ids
    severity: high
    remediation: {text: Give it another id., cli: usermod -u 2000 NAME}
    sql: |
      select arn as resource, case when uid < $least then 'alarm' else 'ok' end as status,
             name || ' has the id ' || uid || '.' as reason
      from host_user
    params: {least: {type: int, default: 0}}
  - id: known_name
    aliases: [name_known]
    title: Accounts should be known
    severity: low
    sql: |
      select arn as resource, case when name = any($names) then 'ok' else 'alarm' end as status,
             name || ' is a name.' as reason
      from host_user
    params: {names: {type: list of text, default: [root, bob]}}
"#;

const PIPELINE: &str = r#"version: 1
name: p
sources: {inventory: {host: {root: root}}}
operators:
  mine: {from: inventory, check: {pack: ./mine, except: [known_name], params: {low_uid: {least: 0}}}}
  names: {from: inventory, check: {pack: ./mine, controls: [known_name]}}
  late:
    from: inventory
    check:
      title: It should not be late
      severity: low
      params: {year: 2030}
      sql: >-
        select arn as resource, case when date_part('year', now()) > $year then 'alarm' else 'ok' end as status,
        'It is ' || cast(now() as varchar) || '.' as reason from host_user where name = 'root'
sinks: {s: {from: [mine, names, late], file: {path: findings.jsonl}}}
"#;

/// A machine with two accounts, and three checks of them that find nothing.
fn machine() -> Folder {
    let benchmark = "benchmark: {id: ids, version: '1', title: All about ids}\nchildren: [{id: i.1, title: Ids of accounts, controls: [low_uid]}]\n";
    Folder::with(&[
        ("root/etc/machine-id", "c0de\n"),
        ("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbob:x:1000:1000::/home/bob:/bin/sh\n"),
        ("root/etc/group", "root:x:0:\n"),
        ("mine/pack.yaml", "name: mine\nversion: \"1.0\"\ntitle: Mine\nengine: \">=0.1\"\nproviders: [host]\n"),
        ("mine/user/controls.yaml", CONTROLS),
        ("mine/benchmarks/ids.yaml", benchmark),
        ("p.yaml", PIPELINE),
    ])
}

#[test]
fn what_a_pipeline_selects_is_narrowed_and_never_widened() {
    let folder = machine();
    let check = |more: &[&str]| folder.run(&[&["check", "p.yaml"], more].concat());
    check(&[]).code(0).printed(&["3 controls: 5 ok"]);
    check(&["--controls", "low_*"]).code(0).printed(&["1 control: 2 ok"]);
    check(&["--controls", "*_*", "--except", "low_uid"]).code(0).printed(&["1 control: 2 ok"]);
    check(&["--controls", "name_known"]).code(0).printed(&["1 control: 2 ok"]);
    check(&["--controls", "late"]).code(0).printed(&["1 control: 1 ok"]);
    check(&["--except", "late,lowuid"]).code(3).said(&["no control of p.yaml matches `lowuid`", "`low_uid`"]);
    check(&["--controls", "late", "--except", "late"]).code(3).said(&["nothing is left to check"]);
}

#[test]
fn a_benchmark_has_its_own_controls_alone_and_its_tree_shown() {
    let folder = machine();
    let done = folder.run(&["check", "p.yaml", "--benchmark", "ids"]).code(0);
    done.printed(&["All about ids (ids 1)", "└─ Ids of accounts", "1 control: 2 ok"]);
    folder.run(&["check", "p.yaml", "--benchmark", "ides"]).code(3).said(&["benchmark `ides`", "did you mean `ids`"]);
}

#[test]
fn parameters_are_of_the_types_that_their_declarations_say() {
    let folder = machine();
    let check = |params: &[&str]| {
        let params = params.iter().flat_map(|param| ["--param", param]);
        folder.run(&["check", "p.yaml"].into_iter().chain(params).collect::<Vec<_>>())
    };
    check(&["low_uid.least=500"]).code(1).printed(&["root has the id 0.", "1 alarm"]);
    check(&["*.least=5000"]).code(1).printed(&["2 alarm"]);
    check(&["low_uid.least=0", "*.least=5000"]).code(0);
    check(&["known_name.names=root"]).code(1).printed(&["bob is a name."]);
    check(&["name_known.names=[root, bob]", "late.year=1999"]).code(1).printed(&["It should not be late", "1 alarm"]);
    check(&["low_uid.least=many"]).code(3).said(&["`many` is not int", "low_uid.least=30"]);
    check(&["low_uid.lest=1"]).code(3).said(&["has not the parameter `lest`", "did you mean `least`"]);
    check(&["lowuid.least=1"]).code(3).said(&["no control `lowuid`", "did you mean `low_uid`"]);
    check(&["least=1"]).code(3).said(&["write CONTROL.NAME=VALUE"]);
}

#[test]
fn at_a_given_time_the_same_inventory_gives_the_same_report() {
    let folder = machine();
    let check = ["check", "p.yaml", "--all", "--now", "2031-05-06T07:08:09Z", "--format", "snapshot"];
    let first = folder.run(&check).code(1).stdout;
    assert!(first.contains("It is 2031-05-06T07:08:09Z."), "{first}");
    assert_eq!(first, folder.run(&check).code(1).stdout);
    folder.run(&["check", "p.yaml", "--now", "yesterday"]).code(3).said(&["--now", "2026-11-22T08:00:00Z"]);
}

#[test]
fn a_saved_report_is_what_a_later_one_is_compared_with() {
    let folder = machine();
    let strict = ["check", "p.yaml", "--controls", "low_uid", "--param", "low_uid.least=500"];
    folder.run(&[&strict[..], &["--save", "before.json"]].concat()).code(1);
    let again = [&strict[..], &["--baseline", "before.json", "--fail-on-new"]].concat();
    folder.run(&again).code(0).printed(&["unchanged  ", "0 new, 1 unchanged"]);
    folder.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ntoor:x:7:7::/root:/bin/sh\n");
    folder.run(&again).code(1).printed(&["new  ", "toor has the id 7.", "1 new, 1 unchanged"]);
    folder.write("root/etc/passwd", "bob:x:1000:1000::/home/bob:/bin/sh\n");
    folder.run(&again).code(0).printed(&["resolved", "0 new, 1 resolved"]);
}

#[test]
fn how_to_mend_an_alarm_is_shown_when_asked() {
    let folder = machine();
    let strict = ["check", "p.yaml", "--param", "low_uid.least=500", "--remediation"];
    folder.run(&strict).code(1).printed(&["mend: Give it another id.", "$ usermod -u 2000 NAME"]);
}

#[test]
fn a_pack_is_checked_with_the_same_options() {
    let folder = Folder::new();
    let done = folder.run(&[
        "check",
        "host",
        "--benchmark",
        "hardening",
        "--controls",
        "user_*",
        "--except",
        "user_duplicate_*",
        "--format",
        "snapshot",
    ]);
    let report = done.json();
    let ids: Vec<&str> =
        report["controls"].as_array().expect("controls").iter().filter_map(|c| c["id"].as_str()).collect();
    assert!(
        ids.contains(&"user_uid_zero_only_root") && !ids.iter().any(|id| id.starts_with("user_duplicate")),
        "{ids:?}"
    );
    assert_eq!(report["benchmark"], "hardening");
    assert!(report["controls"][0]["remediation"]["text"].is_string(), "{}", report["controls"][0]);
}
