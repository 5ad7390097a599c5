//! `check` over the tables of a provider, as the engine maintains them and hands them over.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use tidegate_pipeline::operator::{InputIndex, Operator, Output, SnapshotMode, StateReader, StateWriter};
use tidegate_pipeline::step::{ScopeOutcome, StepHeader, StepNumber, StepTime, Unit};
use tidegate_pipeline::table::{TableSet, Tables, change_schema};

use super::operating::plan;
use super::{TIME, Volume, definitions, scope, volume_rows};

const VOLUMES: &str = "sql: select arn as resource, case when encrypted then 'ok' else 'alarm' end as status, \
                       volume_id || '.' as reason, account_id, region from volume";
const SNAPSHOTS: &str = "sql: select arn as resource, 'alarm' as status, volume_id || '.' as reason from snapshot";
const AGE: &str = "sql: select arn as resource, 'alarm' as status, cast(now() as text) as reason from volume";

/// The tables `volume` and `snapshot`, and the number of the next step.
pub(super) struct Inventory {
    tables: Tables,
    number: u64,
}

impl Inventory {
    pub(super) fn new() -> Self {
        Self { tables: Tables::new(definitions()).unwrap(), number: 0 }
    }

    pub(super) fn header(&mut self, unit: Unit) -> StepHeader {
        self.number += 1;
        StepHeader {
            number: StepNumber(self.number),
            time: StepTime(TIME.0 + self.number as i64),
            source: "in".into(),
            unit,
            schema_version: tidegate_pipeline::step::SchemaVersion::default(),
            watermark: None,
        }
    }

    /// Refreshes the volumes of a region: what changes (`insert`, `update`, `delete`), and how it ends.
    pub(super) fn volumes(
        &mut self,
        region: &str,
        changes: &[(&str, Volume<'_>)],
        outcome: ScopeOutcome,
    ) -> (StepHeader, TableSet) {
        let rows: Vec<Volume<'_>> = changes.iter().map(|(_, row)| *row).collect();
        let operations: Vec<&str> = changes.iter().map(|(operation, _)| *operation).collect();
        self.refresh(region, "volume", &operations, &volume_rows(&rows), outcome)
    }

    /// Refreshes the snapshots: one more of them.
    fn snapshot(&mut self, volume: &str) -> (StepHeader, TableSet) {
        let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let columns = vec![text("1"), text("r"), text(&format!("arn:of-{volume}")), text(volume)];
        let rows = RecordBatch::try_new(Arc::clone(&definitions()[1].schema), columns).unwrap();
        self.refresh("r", "snapshot", &["insert"], &rows, ScopeOutcome::Complete)
    }

    fn refresh(
        &mut self,
        region: &str,
        table: &str,
        operations: &[&str],
        rows: &RecordBatch,
        outcome: ScopeOutcome,
    ) -> (StepHeader, TableSet) {
        let scope = scope(region, table);
        let definition = definitions().into_iter().find(|definition| &*definition.name == table).unwrap();
        let names: ArrayRef = Arc::new(StringArray::from(vec![table; rows.num_rows()]));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(operations.to_vec())), names];
        columns.extend(rows.columns().iter().cloned());
        let changes = RecordBatch::try_new(change_schema(&definition), columns).unwrap();
        self.tables.apply(&Unit::Begin(scope.clone()), []).unwrap();
        self.tables.apply(&Unit::Page(scope.clone()), [&changes]).unwrap();
        let end = Unit::End(scope, outcome);
        let tables = self.tables.apply(&end, []).unwrap().unwrap();
        (self.header(end), tables)
    }
}

pub(super) fn operator(options: &str) -> Box<dyn Operator> {
    (plan(options, definitions()).0.unwrap().build)().unwrap()
}

/// What leaves, as `resource status drift`.
async fn after(operator: &mut dyn Operator, (header, tables): &(StepHeader, TableSet)) -> Vec<String> {
    let mut out = Output::default();
    operator.tables(header, InputIndex(0), tables, &mut out).await.unwrap();
    operator.end_of_step(header, &mut out).await.unwrap();
    let mut lines = Vec::new();
    for (_, batch) in &out.rows {
        let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
        let line = |row| format!("{} {} {}", text("resource", row), text("status", row), text("drift", row));
        lines.extend((0..batch.num_rows()).map(line));
    }
    lines
}

const BAD: Volume<'static> = ("r", "v1", "in-use", false);
const MENDED: Volume<'static> = ("r", "v1", "in-use", true);
const OTHER: Volume<'static> = ("r", "v2", "in-use", false);

#[tokio::test]
async fn findings_follow_the_table() {
    let (mut inventory, mut check) = (Inventory::new(), operator(VOLUMES));
    let first = inventory.volumes("r", &[("insert", BAD), ("insert", OTHER)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &first).await, ["arn:v1 alarm new", "arn:v2 alarm new"]);
    let second = inventory.volumes("r", &[("update", MENDED)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &second).await, ["arn:v1 ok resolved"]);
    let third = inventory.volumes("r", &[("delete", OTHER)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &third).await, ["arn:v2 ok resolved"]);
    let fourth = inventory.volumes("r", &[], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &fourth).await, [""; 0]);
}

#[tokio::test]
async fn a_control_is_evaluated_only_when_a_table_that_it_reads_has_changed() {
    let (mut inventory, mut check) = (Inventory::new(), operator(&format!("{VOLUMES}\nemit: all")));
    let first = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &first).await, ["arn:v1 alarm new"]);
    let of_another_table = inventory.snapshot("v1");
    assert_eq!(after(&mut *check, &of_another_table).await, [""; 0]);
    let mut snapshots = operator(SNAPSHOTS);
    assert_eq!(after(&mut *snapshots, &of_another_table).await, ["arn:of-v1 alarm new"]);
    let unchanged = inventory.volumes("r", &[], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &unchanged).await, [""; 0]);
}

#[tokio::test]
async fn where_it_waits_for_settled_tables_nothing_is_said_while_a_scope_is_open() {
    let (mut inventory, mut check) = (Inventory::new(), operator(&format!("{VOLUMES}\nevaluate: settled")));
    inventory.tables.apply(&Unit::Begin(scope("s", "volume")), []).unwrap();
    let first = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &first).await, [""; 0]);
    let end = Unit::End(scope("s", "volume"), ScopeOutcome::Complete);
    let tables = inventory.tables.apply(&end, []).unwrap().unwrap();
    let second = (inventory.header(end), tables);
    assert_eq!(after(&mut *check, &second).await, ["arn:v1 alarm new"]);
}

#[tokio::test]
async fn a_failed_scope_is_an_error_and_what_was_said_about_it_stays() {
    let (mut inventory, mut check) = (Inventory::new(), operator(VOLUMES));
    let first = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    after(&mut *check, &first).await;
    let failed = inventory.volumes("r", &[], ScopeOutcome::Failed("no answer".to_owned()));
    assert_eq!(after(&mut *check, &failed).await, ["scope:1/r/volume error new"]);
    let gone = inventory.volumes("r", &[("delete", BAD)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &gone).await, ["arn:v1 ok resolved", "scope:1/r/volume ok resolved"]);
}

#[tokio::test]
async fn a_failed_region_leaves_the_others_evaluated() {
    let (mut inventory, mut check) = (Inventory::new(), operator(VOLUMES));
    let failed = inventory.volumes("s", &[], ScopeOutcome::Failed("no answer".to_owned()));
    assert_eq!(after(&mut *check, &failed).await, ["scope:1/s/volume error new"]);
    let there = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
    assert_eq!(after(&mut *check, &there).await, ["arn:v1 alarm new"]);
}

#[tokio::test]
async fn a_skipped_scope_is_a_skip() {
    let (mut inventory, mut check) = (Inventory::new(), operator(VOLUMES));
    let skipped = inventory.volumes("r", &[], ScopeOutcome::Skipped("not permitted".to_owned()));
    assert_eq!(after(&mut *check, &skipped).await, ["scope:1/r/volume skip new"]);
}

#[tokio::test]
async fn after_a_restart_the_tables_of_that_moment_come_as_no_news() {
    for options in [VOLUMES.to_owned(), format!("{VOLUMES}\nemit: all"), AGE.to_owned(), SNAPSHOTS.to_owned()] {
        let (mut inventory, mut first) = (Inventory::new(), operator(&options));
        let step = inventory.volumes("r", &[("insert", BAD)], ScopeOutcome::Complete);
        after(&mut *first, &step).await;
        let mut writer = StateWriter::new(SnapshotMode::Changes);
        first.snapshot(&mut writer).unwrap();
        assert!(!writer.batches.is_empty(), "there is a state, also where nothing is held");
        let mut second = operator(&options);
        second.restore(StateReader { batches: writer.batches }).unwrap();
        let (header, tables) = (inventory.header(Unit::Rows), inventory.tables.current());
        second.tables(&header, InputIndex(0), &tables, &mut Output::default()).await.unwrap();
        for step in [inventory.snapshot("v1"), inventory.volumes("r", &[("insert", OTHER)], ScopeOutcome::Complete)] {
            assert_eq!(after(&mut *second, &step).await, after(&mut *first, &step).await, "{options}");
        }
    }
}
