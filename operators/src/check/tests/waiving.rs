//! Alarms that somebody answers for.

use arrow::array::{Array, AsArray};
use tidegate_pipeline::operator::{InputIndex, Operator, Output, SnapshotMode, StateReader, StateWriter};
use tidegate_pipeline::step::{ScopeOutcome, StepHeader, StepTime, Unit};
use tidegate_pipeline::table::TableSet;

use super::over_tables::{Inventory, operator};
use super::{ENCRYPTED, TIME, Volume, pack_of};
use crate::check::waiver::{Waivers, lint};

const CHECK: &str = "sql: select arn as resource, case when encrypted then 'ok' else 'alarm' end as status, \
                     volume_id || '.' as reason, account_id, region from volume";
const BAD: Volume<'static> = ("r", "v1", "in-use", false);
const OTHER: Volume<'static> = ("r", "v2", "in-use", false);
const MENDED: Volume<'static> = ("r", "v1", "in-use", true);
/// Waives the first volume for 50 ms.
const WAIVER: &str = "- {id: W-1, control: hyg*, resource: 'arn:v1', account: '1', reason: Gone soon., owner: ops, \
                      expires: '2026-01-01T00:00:00.050Z'}";

/// What leaves, as `resource status drift waiver`.
fn lines(out: Output) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, batch) in &out.rows {
        let text = |name: &str, row| {
            let texts = batch.column_by_name(name).unwrap().as_string::<i32>();
            if texts.is_valid(row) { texts.value(row).to_owned() } else { "-".to_owned() }
        };
        let words = |row| ["resource", "status", "drift", "waiver"].map(|name| text(name, row)).join(" ");
        lines.extend((0..batch.num_rows()).map(words));
    }
    lines
}

async fn after(check: &mut dyn Operator, (header, tables): (StepHeader, TableSet)) -> Vec<String> {
    let mut out = Output::default();
    check.tables(&header, InputIndex(0), &tables, &mut out).await.unwrap();
    check.end_of_step(&header, &mut out).await.unwrap();
    lines(out)
}

async fn waive(check: &mut dyn Operator, inventory: &mut Inventory, contents: &str) -> Vec<String> {
    let mut out = Output::default();
    check.lookup(&inventory.header(Unit::Rows), "waivers", contents.as_bytes(), &mut out).await.unwrap();
    lines(out)
}

async fn at(check: &mut dyn Operator, inventory: &mut Inventory, time: i64) -> Vec<String> {
    let mut out = Output::default();
    let header = StepHeader { time: StepTime(TIME.0 + time), ..inventory.header(Unit::Rows) };
    check.on_deadline(&header, &mut out).await.unwrap();
    lines(out)
}

#[tokio::test]
async fn a_waived_alarm_stays_an_alarm_and_says_who_answers_for_it() {
    let (mut inventory, mut check) = (Inventory::new(), operator(CHECK));
    assert_eq!(waive(&mut *check, &mut inventory, WAIVER).await, [""; 0]);
    let first = inventory.volumes("r", &[("insert", BAD), ("insert", OTHER)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, first).await, ["arn:v1 alarm new W-1", "arn:v2 alarm new -"]);
    let mended = inventory.volumes("r", &[("update", MENDED)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, mended).await, ["arn:v1 ok resolved -"]);
}

#[tokio::test]
async fn when_a_waiver_expires_its_findings_are_told_again() {
    let (mut inventory, mut check) = (Inventory::new(), operator(CHECK));
    waive(&mut *check, &mut inventory, WAIVER).await;
    let first = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    after(&mut *check, first).await;
    assert_eq!(check.deadline(), Some(StepTime(TIME.0 + 50)));
    assert_eq!(at(&mut *check, &mut inventory, 49).await, [""; 0]);
    assert_eq!(at(&mut *check, &mut inventory, 50).await, ["arn:v1 alarm changed -"]);
    assert_eq!(check.deadline(), None);
}

#[tokio::test]
async fn a_waiver_that_is_taken_away_or_added_while_it_runs_counts_at_once() {
    let (mut inventory, mut check) = (Inventory::new(), operator(CHECK));
    let first = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, first).await, ["arn:v1 alarm new -"]);
    assert_eq!(waive(&mut *check, &mut inventory, WAIVER).await, ["arn:v1 alarm changed W-1"]);
    assert_eq!(waive(&mut *check, &mut inventory, WAIVER).await, [""; 0]);
    assert_eq!(waive(&mut *check, &mut inventory, "").await, ["arn:v1 alarm changed -"]);
}

#[tokio::test]
async fn a_waiver_that_cannot_be_read_is_an_error_until_it_can_and_the_others_count() {
    let (mut inventory, mut check) = (Inventory::new(), operator(CHECK));
    let first = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    after(&mut *check, first).await;
    let broken = format!("{WAIVER}\n- {{id: W-2, control: a, resource: b, reason: c, owner: d}}");
    let said = waive(&mut *check, &mut inventory, &broken).await;
    assert_eq!(said, ["arn:v1 alarm changed W-1", "waivers::2 error new -"]);
    let again = inventory.volumes("r", &[("insert", OTHER)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, again).await, ["arn:v2 alarm new -"], "the error stays");
    assert_eq!(waive(&mut *check, &mut inventory, WAIVER).await, ["waivers::2 ok resolved -"]);
}

#[tokio::test]
async fn after_a_restart_nothing_is_told_of_waivers_that_are_the_same() {
    let (mut inventory, mut first) = (Inventory::new(), operator(CHECK));
    waive(&mut *first, &mut inventory, WAIVER).await;
    let step = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    after(&mut *first, step).await;
    let mut writer = StateWriter::new(SnapshotMode::Full);
    first.snapshot(&mut writer).unwrap();
    let mut second = operator(CHECK);
    second.restore(StateReader { batches: writer.batches }).unwrap();
    assert_eq!(second.deadline(), first.deadline());
    assert_eq!(waive(&mut *second, &mut inventory, WAIVER).await, [""; 0]);
    assert_eq!(at(&mut *second, &mut inventory, 50).await, ["arn:v1 alarm changed -"]);
}

#[test]
fn what_is_missing_or_wrong_in_a_waiver_is_told_with_its_place() {
    let text = "waivers:\n\
                - {id: W-1, control: a, resource: b, reason: r, owner: o, expires: soon}\n\
                - {control: a, resource: b, reason: r, owner: o, expires: never}\n\
                - {id: W-3, control: a, resource: b, reason: r, expires: never, ownr: o}\n\
                - {id: W-4, control: a, resource: b, reason: r, owner: o, expires: never}\n\
                - {id: W-4, control: a, resource: c, reason: r, owner: o, expires: never}\n";
    let (waivers, problems) = Waivers::read("w.yaml", text.as_bytes());
    assert_eq!(waivers.0.len(), 1);
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
    for hostile in ["- [", "17", "\u{fffd}: {", "- {id: {}}"] {
        assert!(!Waivers::read("w.yaml", hostile.as_bytes()).1.is_empty(), "{hostile}");
    }
    assert!(!Waivers::read("w.yaml", b"\xff").1.is_empty());
}

#[test]
fn lint_questions_what_can_be_read_and_should_not_be_so() {
    let text = "- {id: past, control: a, resource: x, reason: r, owner: o, expires: 2025-12-31}\n\
                - {id: endless, control: a, resource: y, reason: r, owner: o, expires: never}\n\
                - {id: long, control: a, resource: z, reason: r, owner: o, expires: 2028-01-01}\n\
                - {id: stray, control: nothing_*, resource: x, reason: r, owner: o, expires: 2026-02-01}\n\
                - {id: all, control: '*', resource: '*', reason: r, owner: o, expires: 2026-02-01}\n\
                - {id: covered, control: a, resource: q, reason: r, owner: o, expires: 2026-01-15}\n\
                - {id: fine, control: a, resource: q, reason: r, owner: o, expires: 2026-03-01}\n";
    let (waivers, problems) = Waivers::read("w.yaml", text.as_bytes());
    assert_eq!(problems, []);
    let pack = pack_of(&[("a", ENCRYPTED)]);
    let controls: Vec<_> = pack.controls.iter().map(AsRef::as_ref).collect();
    let said: Vec<String> = lint("w.yaml", &waivers, &controls, TIME).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
}
