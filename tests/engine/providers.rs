//! Providers and checks inside a running pipeline.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{Record, StepBody};
use tidegate_pipeline::runtime::RunOutcome;
use tidegate_pipeline::step::{Scope, StepNumber, Unit};
use tidegate_pipeline::table::TableDefinition;
use tidegate_pipeline::testing::provider::{ScriptedProvider, ScriptedScope};

use crate::stage::{Stage, rows_in, steps};

const CHECKED: &str = "
sources: {things: {inventory: {}}}
operators:
  found:
    from: things
    check: {sql: \"SELECT arn AS resource, CASE WHEN value > 10 THEN 'alarm' ELSE 'ok' END AS status, 'v' AS reason FROM thing\"}
sinks:
  changes: {from: things, collect: {}}
  findings: {from: found, collect: {}}
";

fn definition() -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = vec![text("account_id"), text("region"), text("arn"), number("id"), number("value")];
    let schema = Arc::new(Schema::new(fields));
    TableDefinition::new("thing", "Things", schema, ["id"])
}

fn complete(things: &[(i64, i64)]) -> ScriptedScope {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; things.len()])) };
    let arns: StringArray = things.iter().map(|(id, _)| Some(format!("arn:{id}"))).collect();
    let columns: Vec<ArrayRef> = vec![
        text("a"),
        text("r"),
        Arc::new(arns),
        Arc::new(things.iter().map(|(id, _)| *id).collect::<Int64Array>()),
        Arc::new(things.iter().map(|(_, value)| *value).collect::<Int64Array>()),
    ];
    let scope = Scope { account_id: "a".into(), region: "r".into(), table: "thing".into() };
    ScriptedScope::complete(scope, vec![RecordBatch::try_new(definition().schema, columns).unwrap()])
}

pub(crate) fn provider(refreshes: &[&[(i64, i64)]]) -> Arc<ScriptedProvider> {
    let script = ScriptedProvider::new(vec![definition()]);
    Arc::new(refreshes.iter().fold(script, |script, things| script.refresh(vec![complete(things)])))
}

/// A provider that gives these things and never says that this was all.
pub(crate) fn hanging(things: &[(i64, i64)]) -> Arc<ScriptedProvider> {
    let scope = ScriptedScope { hangs: true, ..complete(things) };
    Arc::new(ScriptedProvider::new(vec![definition()]).refresh(vec![scope]))
}

/// The steps of the provider in the journal: how many began a scope, how many ended one.
fn scope_steps(stage: &Stage) -> (usize, usize) {
    let (mut begun, mut ended) = (0, 0);
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        let Record::Step(step) = record.unwrap().1 else { continue };
        begun += usize::from(matches!(step.header.unit, Unit::Begin(_)));
        ended += usize::from(matches!(step.header.unit, Unit::End(..)));
        assert!(!matches!(step.body, StepBody::Reference { .. }), "changes cannot be read again");
    }
    (begun, ended)
}

#[test]
fn a_second_refresh_that_finds_the_same_writes_nothing() {
    let mut stage = Stage::new(CHECKED);
    let script = provider(&[&[(1, 5), (2, 50)]]);
    stage.provider = Some((Arc::clone(&script), Some(Duration::from_millis(5))));
    stage.stop_when(|_| script.begun() >= 5).unwrap();
    assert_eq!(scope_steps(&stage), (1, 1));
    assert_eq!(stage.collected("changes").len(), 2);
}

#[test]
fn an_alarm_is_new_at_first_and_resolved_when_its_row_is_mended_also_across_a_restart() {
    let mut stage = Stage::new(CHECKED);
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), Some(Duration::from_millis(5))));
    stage.stop_when(|status| rows_in(status, "findings") >= 1).unwrap();
    let first = stage.collected("findings");
    let alarms: Vec<_> = first.iter().filter(|row| row.contains("\"status\":\"alarm\"")).collect();
    assert!(alarms.len() == 1 && alarms[0].contains("arn:2") && alarms[0].contains("new"), "{first:?}");

    let script = provider(&[&[(1, 5), (2, 50)]]);
    stage.provider = Some((Arc::clone(&script), Some(Duration::from_millis(5))));
    stage.stop_when(|_| script.begun() >= 3).unwrap();
    assert_eq!(stage.collected("findings"), [] as [String; 0], "nothing has changed since");

    stage.provider = Some((provider(&[&[(1, 5), (2, 7)]]), Some(Duration::from_millis(5))));
    stage.stop_when(|status| rows_in(status, "findings") >= 1).unwrap();
    let mended = stage.collected("findings");
    assert!(mended.len() == 1 && mended[0].contains("arn:2") && mended[0].contains("resolved"), "{mended:?}");
}

#[test]
fn a_provider_without_a_schedule_collects_once_and_ends() {
    let mut stage = Stage::new(CHECKED);
    stage.provider = Some((provider(&[&[(1, 50)]]), None));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.collected("findings").len(), 1);
    assert_eq!(scope_steps(&stage), (1, 1));
}

#[test]
fn a_scope_that_a_crash_left_open_deletes_nothing_and_is_collected_again() {
    let mut stage = Stage::new(&CHECKED.replace("sources:", "checkpoint: {every: off}\nsources:"));
    stage.provider = Some((provider(&[&[(1, 50), (2, 60)]]), Some(Duration::from_millis(5))));
    stage.stop_when(|status| rows_in(status, "findings") >= 2).unwrap();
    stage.collected("findings");
    stage.collected("changes");

    // Pages of a second refresh arrive, and the process dies before the scope has ended.
    let half = ScriptedScope { outcome: None, ..complete(&[(3, 70)]) };
    let script = Arc::new(ScriptedProvider::new(vec![definition()]).refresh(vec![half]));
    stage.provider = Some((Arc::clone(&script), Some(Duration::from_secs(3_600))));
    stage.crash_when(|status| script.begun() >= 1 && steps(status) >= 1);
    stage.collected("findings");

    let script = provider(&[&[(1, 50), (2, 60)]]);
    stage.provider = Some((Arc::clone(&script), Some(Duration::from_millis(5))));
    stage.stop_when(|_| script.begun() >= 4).unwrap();
    let findings = stage.collected("findings");
    // The scope itself may be told as failed and mended again; its things have never been away.
    assert!(!findings.iter().any(|row| row.contains("arn:") && row.contains("resolved")), "{findings:?}");
    let changes = stage.collected("changes");
    assert!(!changes.iter().any(|row| row.contains("delete") && !row.contains("arn:3")), "{changes:?}");
}
