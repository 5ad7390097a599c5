use super::super::pack::Pack;
use super::super::testing::run_pack_tests;
use super::{ENCRYPTED, HEAD, definitions, files};

/// The outcome of each case: name and message.
async fn outcomes(sql: &str, cases: &str) -> Vec<(String, String)> {
    let controls =
        "controls:\n  - {id: a, title: T, severity: high, query: a.sql, params: {x: {type: int, default: 1}}}\n";
    let all = [HEAD, ("p/ec2/controls.yaml", controls), ("p/ec2/a.sql", sql), ("p/tests/a.yaml", cases)];
    let (pack, problems) = Pack::load(&files(&all), "p");
    assert_eq!(problems, []);
    let outcomes = run_pack_tests(&pack, &definitions()).await;
    assert!(outcomes.iter().all(|outcome| outcome.passed == outcome.message.is_empty()));
    outcomes.into_iter().map(|outcome| (outcome.name, outcome.message)).collect()
}

#[tokio::test]
async fn a_case_passes_when_its_findings_are_the_expected_ones() {
    let cases = "
- name: passes
  tables: {volume: [{arn: a, volume_id: v-1, state: in-use, encrypted: false, account_id: 1, region: r}]}
  expect: [{resource: a, status: alarm, reason: not encrypted}]
- name: other status
  tables: {volume: [{arn: a, volume_id: v-1, state: in-use, encrypted: true}]}
  expect: [{resource: a, status: alarm}]
- name: one too many
  tables: {volume: [{arn: a, volume_id: v, state: x}, {arn: b, volume_id: w, state: x}]}
  expect: [{resource: a, status: skip}]
- name: one too many, partial
  partial: true
  tables: {volume: [{arn: a, volume_id: v, state: x}, {arn: b, volume_id: w, state: x}]}
  expect: [{resource: a, status: skip}]
- name: unknown column
  tables: {volume: [{arm: a}]}
  expect: []
";
    let outcomes = outcomes(ENCRYPTED, cases).await;
    let message = |name: &str| outcomes.iter().find(|(known, _)| known == name).unwrap().1.as_str();
    assert_eq!(message("passes"), "");
    assert_eq!(message("other status"), "expected `a` to be alarm; found: `a` is ok (v-1 is encrypted.)");
    assert!(message("one too many").starts_with("expected 1 findings, found 2"));
    assert_eq!(message("one too many, partial"), "");
    assert_eq!(message("unknown column"), "line 16: the table `volume` has no column `arm`");
}

#[tokio::test]
async fn a_column_that_a_row_leaves_out_is_null_even_where_the_table_says_otherwise() {
    let sql = "select coalesce(arn, 'none') as resource, case when encrypted is null then 'skip' else 'ok' end as status, 'r.' as reason from volume";
    let cases = "- {name: n, tables: {volume: [{volume_id: v}]}, expect: [{resource: none, status: skip}]}\n";
    assert_eq!(outcomes(sql, cases).await, [("n".to_owned(), String::new())]);
}

#[tokio::test]
async fn the_time_and_parameters_of_a_case_are_what_it_says() {
    let sql = "select arn as resource, case when created < now() - cast($x || ' days' as interval) then 'alarm' else 'ok' end as status, 'r.' as reason from volume";
    let cases = "
- {name: young, now: '2026-01-02T00:00:00Z', tables: {volume: [{arn: a, created: '2026-01-01T12:00:00'}]}, expect: [{resource: a, status: ok}]}
- {name: old, now: 2026-01-03, tables: {volume: [{arn: a, created: '2026-01-01T12:00:00'}]}, expect: [{resource: a, status: alarm}]}
- {name: parameter, now: 2026-01-03, params: {x: 9}, tables: {volume: [{arn: a, created: '2026-01-01T12:00:00'}]}, expect: [{resource: a, status: ok}]}
- {name: bad time, now: soon, expect: []}
";
    let outcomes = outcomes(sql, cases).await;
    assert!(outcomes[..3].iter().all(|(_, message)| message.is_empty()), "{outcomes:?}");
    assert!(outcomes[3].1.contains("is not a time"));
}

#[tokio::test]
async fn a_policy_is_tested_like_a_query() {
    let controls = "controls:\n  - {id: a, title: T, severity: high, rego: a.rego, reads: [volume]}\n";
    let policy = r#"package p
findings contains {"resource": v.arn, "status": "ok", "reason": input.now} if some v in input.tables.volume
"#;
    let cases = "- {name: n, now: 2026-01-02, tables: {volume: [{arn: a}]}, expect: [{resource: a, status: ok, reason: '2026-01-02T00:00:00Z'}]}\n";
    let all = [HEAD, ("p/ec2/controls.yaml", controls), ("p/ec2/a.rego", policy), ("p/tests/a.yaml", cases)];
    let (pack, problems) = Pack::load(&files(&all), "p");
    assert_eq!(problems, []);
    let outcomes = run_pack_tests(&pack, &definitions()).await;
    assert_eq!(outcomes[0].message, "");
}
