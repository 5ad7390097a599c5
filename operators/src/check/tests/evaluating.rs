use std::collections::{BTreeMap, BTreeSet};

use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::step::{ScopeOutcome, StepTime};

use super::super::evaluate::{Evaluator, Interest};
use super::super::finding::Status;
use super::super::pack::Pack;
use super::super::plan::Overrides;
use super::super::report::evaluate_all;
use super::{ENCRYPTED, HEAD, TIME, complete, evaluate, files, findings, line, pack_of, plan, plan_with, tables};

#[tokio::test]
async fn rows_become_findings_in_the_order_of_their_resources() {
    let rows = [("r", "v3", "available", false), ("r", "v2", "in-use", false), ("r", "v1", "in-use", true)];
    let found = findings(&pack_of(&[("a", ENCRYPTED)]), &complete(&rows)).await;
    let expected =
        ["arn:v1 ok v1 is encrypted.", "arn:v2 alarm v2 is not encrypted.", "arn:v3 skip v3 is not encrypted."];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_broken_control_is_one_error_and_the_others_go_on() {
    let pack = pack_of(&[("bad", "select nothing from volume"), ("good", ENCRYPTED)]);
    let found = findings(&pack, &complete(&[("r", "v1", "in-use", true)])).await;
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("control:bad error p/ec2/bad.sql:1:8: "), "{}", found[0]);
    assert_eq!(found[1], "arn:v1 ok v1 is encrypted.");
}

#[tokio::test]
async fn a_control_that_fails_on_the_data_is_one_error_that_freezes_what_it_said() {
    let sql = "select arn as resource, 'ok' as status, cast(1 / (size - 8) as text) as reason from volume";
    let pack = pack_of(&[("bad", sql), ("good", ENCRYPTED)]);
    let evaluations = evaluate(&pack, &complete(&[("r", "v1", "in-use", true)]), TIME).await;
    assert!(evaluations[0].frozen.everything);
    assert_eq!(evaluations[0].findings.len(), 1);
    assert!(line(&evaluations[0].findings[0]).starts_with("control:bad error "));
    assert_eq!(evaluations[1].findings.iter().map(line).collect::<Vec<_>>(), ["arn:v1 ok v1 is encrypted."]);
}

#[tokio::test]
async fn null_resource_unknown_status_and_missing_reason_are_errors_with_the_text_of_the_row() {
    for (columns, says) in [
        ("cast(null as text) as resource, 'ok' as status, 'r.' as reason", "The row has no resource: {"),
        ("arn as resource, 'fine' as status, 'r.' as reason", "`fine` is not a status"),
        ("arn as resource, cast(null as text) as status, 'r.' as reason", "The row has no status: {"),
        ("arn as resource, 'ok' as status, cast(null as text) as reason", "The row has no reason: {"),
        ("arn as resource, 'ok' as status, 'r.' as reason, 'huge' as severity", "`huge` is not a severity"),
    ] {
        let pack = pack_of(&[("a", &format!("select {columns}, volume_id from volume"))]);
        let found = findings(&pack, &complete(&[("r", "v1", "in-use", true)])).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(" error ") && found[0].contains(says), "{}", found[0]);
        assert!(found[0].contains(r#""volume_id":"v1""#), "{}", found[0]);
    }
}

#[tokio::test]
async fn of_duplicates_the_worst_status_counts_and_a_warning_says_so() {
    let sql = "select 'x' as resource, case when encrypted then 'ok' else 'alarm' end as status, volume_id || '.' as reason from volume";
    let pack = pack_of(&[("a", sql)]);
    let rows = [("r", "v1", "in-use", true), ("r", "v2", "in-use", false), ("r", "v3", "in-use", true)];
    let evaluations = evaluate(&pack, &complete(&rows), TIME).await;
    assert_eq!(evaluations[0].findings.iter().map(line).collect::<Vec<_>>(), ["x alarm v2."]);
    assert!(evaluations[0].warnings[0].contains("2 times"), "{:?}", evaluations[0].warnings);
}

#[tokio::test]
async fn dimensions_tell_findings_about_one_resource_apart() {
    let sql = "select 'x' as resource, 'alarm' as status, 'r.' as reason, volume_id, size from volume";
    let rows = [("r", "v2", "in-use", true), ("r", "v1", "in-use", false)];
    let evaluations = evaluate(&pack_of(&[("a", sql)]), &complete(&rows), TIME).await;
    let dimensions: Vec<&str> = evaluations[0].findings.iter().map(|finding| &*finding.dimensions).collect();
    assert_eq!(dimensions, [r#"{"size":8,"volume_id":"v1"}"#, r#"{"size":8,"volume_id":"v2"}"#]);
    assert_ne!(evaluations[0].findings[0].identity, evaluations[0].findings[1].identity);
}

#[tokio::test]
async fn the_order_of_columns_does_not_change_who_a_finding_is() {
    let rows = [("r", "v1", "in-use", true)];
    let one = "select arn as resource, 'alarm' as status, 'r.' as reason, volume_id, size from volume";
    let two = "select size, volume_id, 'other.' as reason, 'info' as status, arn as resource from volume";
    let one = evaluate(&pack_of(&[("a", one)]), &complete(&rows), TIME).await;
    let two = evaluate(&pack_of(&[("a", two)]), &complete(&rows), TIME).await;
    assert_eq!(one[0].findings[0].identity, two[0].findings[0].identity);
}

#[tokio::test]
async fn no_rows_are_no_resources_and_not_ok() {
    let evaluator = Evaluator::new(plan(&pack_of(&[("a", ENCRYPTED)])).0);
    let report = evaluate_all(&evaluator, &complete(&[]), TIME).await.unwrap();
    assert_eq!(report.without_resources, ["a".into()]);
    assert!(report.findings.is_empty() && report.by_status.is_empty());
}

#[tokio::test]
async fn a_report_counts_statuses_and_severities() {
    let rows = [("r", "v1", "in-use", true), ("r", "v2", "in-use", false), ("r", "v3", "in-use", false)];
    let evaluator = Evaluator::new(plan(&pack_of(&[("a", ENCRYPTED)])).0);
    let report = evaluate_all(&evaluator, &complete(&rows), TIME).await.unwrap();
    assert_eq!(report.by_status, BTreeMap::from([(Status::Ok, 1), (Status::Alarm, 2)]));
    assert_eq!(report.alarms_from(super::super::finding::Severity::High), 2);
    assert_eq!(report.alarms_from(super::super::finding::Severity::Critical), 0);
    assert!(!report.has_errors());
}

#[tokio::test]
async fn now_is_the_time_of_the_step() {
    let sql =
        "select arn as resource, case when created < now() - interval '30 days' then 'alarm' else 'ok' end as status,
        cast(cast(now() as date) as text) || ' ' || cast(current_date as text) || '.' as reason from volume";
    let pack = pack_of(&[("a", sql)]);
    let contents = complete(&[("r", "v1", "in-use", true)]);
    let day = 86_400_000;
    let at = async |time: i64| line(&evaluate(&pack, &contents, StepTime(time)).await[0].findings[0]);
    assert_eq!(at(TIME.0).await, "arn:v1 alarm 2026-01-01 2026-01-01.");
    assert_eq!(at(TIME.0 - 20 * day).await, "arn:v1 ok 2025-12-12 2025-12-12.");
    assert_eq!(at(0).await, "arn:v1 ok 1970-01-01 1970-01-01.");
}

#[tokio::test]
async fn one_evaluator_gives_each_evaluation_its_own_data_and_time() {
    let sql =
        "select arn as resource, 'alarm' as status, cast(cast(now() as date) as text) || '.' as reason from volume";
    let evaluator = Evaluator::new(plan(&pack_of(&[("a", sql)])).0);
    for (volume, time, expected) in [("v1", TIME.0, "arn:v1 alarm 2026-01-01."), ("v2", 0, "arn:v2 alarm 1970-01-01.")]
    {
        let contents = complete(&[("r", volume, "in-use", true)]);
        let said = evaluator.evaluate(&contents, &[0], |_| Interest::All, StepTime(time)).await.unwrap();
        assert_eq!(said[0].findings.iter().map(line).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn a_runtime_that_shuts_down_meanwhile_says_nothing_of_a_control() {
    let evaluator = Evaluator::new(plan(&pack_of(&[("a", ENCRYPTED)])).0);
    let contents = complete(&[("r", "v1", "in-use", false)]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _inside = handle.enter();
    let said = futures::executor::block_on(evaluator.evaluate(&contents, &[0], |_| Interest::All, TIME));
    assert!(said.unwrap_err().message.contains("shut down"));
}

fn with_params() -> Pack {
    let yaml = "controls:
  - id: a
    title: T
    severity: low
    params:
      name: {type: text, default: v1}
      names: {type: list of text, default: [v1, v2]}
      sizes: {type: list of int, default: [8, 9]}
      days: {type: int, default: 30}
      share: {type: float, default: 0.5}
      loud: {type: bool, default: true}
    query: a.sql
";
    let sql = "select arn as resource, case when volume_id = $name then 'alarm' else 'ok' end as status, $name || '.' as reason
from volume
where volume_id = any($names) and size = any($sizes) and $loud and size > $share
  and created < now() - cast($days || ' days' as interval)";
    let (pack, problems) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", yaml), ("p/ec2/a.sql", sql)]), "p");
    assert_eq!(problems, []);
    pack
}

async fn with_name(name: &str) -> Vec<String> {
    let given = BTreeMap::from([("name".to_owned(), Tree::Text(name.into()))]);
    let (planned, problems) = plan_with(&with_params(), &Overrides::from([("a".to_owned(), given)]));
    assert_eq!(problems.queries, []);
    let contents = complete(&[("r", "v1", "x", true), ("r", "v2", "x", true), ("r", "v3", "x", true)]);
    let report = evaluate_all(&Evaluator::new(planned), &contents, TIME).await.unwrap();
    report.findings.iter().map(line).collect()
}

#[tokio::test]
async fn parameters_of_every_type_are_bound() {
    assert_eq!(with_name("v2").await, ["arn:v1 ok v2.", "arn:v2 alarm v2."]);
}

#[tokio::test]
async fn a_parameter_stays_a_value_whatever_it_holds() {
    let hostile = "' or 1=1 --";
    let expected = [format!("arn:v1 ok {hostile}."), format!("arn:v2 ok {hostile}.")];
    assert_eq!(with_name(hostile).await, expected);
}

#[test]
fn a_control_is_evaluated_only_when_a_table_that_it_reads_has_changed() {
    let by_time = "select arn as resource, 'ok' as status, cast(now() as text) as reason from volume";
    let other = "select arn as resource, 'ok' as status, 'r.' as reason from snapshot";
    let evaluator = Evaluator::new(plan(&pack_of(&[("a", ENCRYPTED), ("b", other), ("c", by_time)])).0);
    let set = |tables: &[&str]| tables.iter().map(|table| (*table).into()).collect::<BTreeSet<_>>();
    assert_eq!(evaluator.affected(&set(&["volume"]), &set(&[])), [0, 2]);
    assert_eq!(evaluator.affected(&set(&["snapshot"]), &set(&[])), [1]);
    // Collected again without a change: only what depends on the time can answer differently.
    assert_eq!(evaluator.affected(&set(&[]), &set(&["volume"])), [2]);
    assert_eq!(evaluator.affected(&set(&[]), &set(&[])), [0_usize; 0]);
}

#[tokio::test]
async fn a_failed_scope_is_one_error_and_its_findings_are_frozen() {
    let rows = [("bad", "v1", "in-use", false), ("good", "v2", "in-use", false)];
    let scopes = [("good", ScopeOutcome::Complete), ("bad", ScopeOutcome::Failed("no answer".to_owned()))];
    let evaluations = evaluate(&pack_of(&[("a", ENCRYPTED)]), &tables(&rows, &scopes), TIME).await;
    let found: Vec<String> = evaluations[0].findings.iter().map(line).collect();
    assert_eq!(
        found,
        ["arn:v2 alarm v2 is not encrypted.", "scope:1/bad/volume error Collecting volume failed: no answer."]
    );
    assert!(evaluations[0].frozen.covers("arn:v1", Some("1"), Some("bad")));
    assert!(!evaluations[0].frozen.covers("arn:v2", Some("1"), Some("good")));
    assert!(evaluations[0].frozen.covers("arn:v", None, None), "it may rest on the failed scope");
}

#[tokio::test]
async fn a_skipped_scope_is_one_skip_per_control_with_the_reason() {
    let scopes = [("r", ScopeOutcome::Skipped("it needs root".to_owned()))];
    let found = findings(&pack_of(&[("a", ENCRYPTED)]), &tables(&[], &scopes)).await;
    assert_eq!(found, ["scope:1/r/volume skip volume was not collected: it needs root."]);
}

#[tokio::test]
async fn a_table_that_was_never_collected_says_nothing_yet() {
    let rows = [("r", "v1", "in-use", false)];
    let evaluations = evaluate(&pack_of(&[("a", ENCRYPTED)]), &tables(&rows, &[]), TIME).await;
    assert!(evaluations[0].findings.is_empty() && evaluations[0].frozen.everything);
    assert!(!evaluations[0].without_resources);
}

#[tokio::test]
async fn a_region_that_one_of_two_tables_has_not_come_to_yet_says_nothing() {
    let sql = "select v.arn as resource, case when s.arn is null then 'alarm' else 'ok' end as status, 'r.' as reason, v.region
        from volume v left join snapshot s on s.volume_id = v.volume_id";
    let rows = [("r", "v1", "in-use", false), ("s", "v2", "in-use", false)];
    let mut contents = tables(&rows, &[("r", ScopeOutcome::Complete), ("s", ScopeOutcome::Complete)]);
    contents.get_mut("snapshot").unwrap().scopes.remove(&super::scope("s", "snapshot"));
    let found = findings(&pack_of(&[("a", sql)]), &contents).await;
    assert_eq!(found, ["arn:v1 alarm r."]);
}

#[tokio::test]
async fn a_global_table_serves_every_region() {
    let sql = "select v.arn as resource, 'ok' as status, 'r.' as reason, v.account_id, v.region
        from volume v left join snapshot s on s.volume_id = v.volume_id";
    let mut contents = tables(&[("r", "v1", "in-use", false)], &[("r", ScopeOutcome::Complete)]);
    let snapshot = contents.get_mut("snapshot").unwrap();
    snapshot.scopes = BTreeMap::from([(super::scope("global", "snapshot"), ScopeOutcome::Complete)]);
    assert_eq!(findings(&pack_of(&[("a", sql)]), &contents).await, ["arn:v1 ok r."]);
    let snapshot = contents.get_mut("snapshot").unwrap();
    let failed = ScopeOutcome::Failed("x".to_owned());
    snapshot.scopes = BTreeMap::from([(super::scope("global", "snapshot"), failed)]);
    let found = findings(&pack_of(&[("a", sql)]), &contents).await;
    assert_eq!(found, ["scope:1/global/snapshot error Collecting snapshot failed: x."]);
}

#[tokio::test]
async fn in_the_mode_violations_every_row_is_an_alarm() {
    let yaml = "controls:
  - {id: a, title: T, severity: low, mode: violations, sql: select arn as resource, 'r.' as reason from volume}
"
    .replace("sql: select arn as resource, 'r.' as reason from volume", "query: a.sql");
    let sql = "select arn as resource, 'r.' as reason from volume";
    let (pack, problems) = Pack::load(&files(&[HEAD, ("p/ec2/controls.yaml", &yaml), ("p/ec2/a.sql", sql)]), "p");
    assert_eq!(problems, []);
    assert_eq!(findings(&pack, &complete(&[("r", "v1", "in-use", true)])).await, ["arn:v1 alarm r."]);
}

#[tokio::test]
async fn a_control_that_fits_the_memory_alone_does_not_fail_for_what_runs_beside_it() {
    let names: Vec<String> = (0..4_000).map(|number| format!("vol-{number:06}")).collect();
    let many: Vec<_> = names.iter().map(|name| ("r", name.as_str(), "in-use", true)).collect();
    let query = "select volume_id as resource, 'ok' as status, 'r.' as reason from volume group by volume_id";
    let controls: Vec<String> = (0..8).map(|number| format!("control_{number}")).collect();
    let controls: Vec<(&str, &str)> = controls.iter().map(|id| (id.as_str(), query)).collect();
    let (planned, _) = super::super::plan::PlannedPack::plan(
        &pack_of(&controls),
        &super::definitions(),
        &super::super::plan::Selection::default(),
        &Overrides::new(),
        tidegate_pipeline::spec::ByteSize(1 << 20),
    )
    .unwrap();
    let report = evaluate_all(&Evaluator::new(planned), &complete(&many), TIME).await.unwrap();
    assert!(!report.has_errors(), "{:?}", report.by_status);
}

#[tokio::test]
async fn of_two_rows_that_say_the_same_the_more_severe_counts_whatever_their_order() {
    let query = |order: &str| {
        format!(
            "select 'a' as resource, 'alarm' as status, 'r.' as reason, severity from \
             (values ('low'), ('critical')) as said (severity) order by severity {order}"
        )
    };
    for order in ["asc", "desc"] {
        let pack = pack_of(&[("a", query(order).as_str())]);
        let evaluations = evaluate(&pack, &complete(&[]), TIME).await;
        assert_eq!(evaluations[0].findings[0].severity, super::super::finding::Severity::Critical, "{order}");
    }
}

#[tokio::test]
async fn a_finding_carries_the_values_that_decided() {
    let pack = pack_of(&[("a", &format!("{ENCRYPTED} where size > 1 and volume_id <> 'v9'"))]);
    let rows = [("r", "v1", "in-use", true), ("r", "v2", "in-use", false)];
    let evaluations = evaluate(&pack, &complete(&rows), TIME).await;
    let evidence: Vec<&str> = evaluations[0].findings.iter().map(|finding| &*finding.evidence).collect();
    // What is ok needs none.
    assert_eq!(evidence, ["{}", r#"{"encrypted":false,"size":8,"state":"in-use","volume_id":"v2"}"#]);
    let without = "select arn as resource, 'alarm' as status, 'r.' as reason from volume";
    let evaluations = evaluate(&pack_of(&[("a", without)]), &complete(&rows), TIME).await;
    assert_eq!(&*evaluations[0].findings[0].evidence, "{}");
}

#[tokio::test]
async fn evidence_is_no_part_of_who_a_finding_is_and_may_be_kept_back() {
    let controls = |more: &str| format!("controls:\n  - {{id: a, title: T, severity: high, query: a.sql{more}}}\n");
    let said = async |more: &str| {
        let all = [HEAD, ("p/ec2/controls.yaml", &controls(more)), ("p/ec2/a.sql", ENCRYPTED)];
        let (pack, problems) = Pack::load(&files(&all), "p");
        assert_eq!(problems, []);
        let mut evaluated = evaluate(&pack, &complete(&[("r", "v2", "in-use", false)]), TIME).await;
        evaluated.remove(0).findings.remove(0)
    };
    let (told, kept) = (said("").await, said(", evidence: false").await);
    assert_eq!(&*kept.evidence, "{}");
    assert_eq!((told.identity, &told.dimensions), (kept.identity, &kept.dimensions));
}

#[tokio::test]
async fn long_values_are_cut_short_in_evidence() {
    let sql = "select arn as resource, case when note like 'x%' then 'alarm' else 'ok' end as status, 'r.' as reason
               from (select arn, repeat('x', 5000) as note from volume) v";
    let evaluations = evaluate(&pack_of(&[("a", sql)]), &complete(&[("r", "v1", "in-use", true)]), TIME).await;
    assert_eq!(evaluations[0].findings[0].evidence.chars().count(), r#"{"note":"…"}"#.chars().count() + 200);
}
