//! Behaviour of tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::common::ScalarValue;
use proptest::prelude::*;

use super::*;
use crate::operator::{SnapshotMode, StateReader, StateWriter};
use crate::step::{ScopeOutcome, Unit};

fn definition() -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let fields = vec![
        text("account_id"),
        text("region"),
        text("arn"),
        Field::new("pid", DataType::Int64, true),
        text("name"),
        Field::new("_collected_at", DataType::Int64, true),
    ];
    TableDefinition::new("process", "Processes", Arc::new(Schema::new(fields)), ["pid"])
}

fn scope(region: &str) -> Scope {
    Scope { account_id: "a".into(), region: region.into(), table: "process".into() }
}

fn rows(region: &str, rows: &[(i64, &str)]) -> RecordBatch {
    let text = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let columns: Vec<ArrayRef> = vec![
        text(rows.iter().map(|_| "a".to_owned()).collect()),
        text(rows.iter().map(|_| region.to_owned()).collect()),
        text(rows.iter().map(|(pid, _)| format!("host:a:process/{pid}")).collect()),
        Arc::new(rows.iter().map(|(pid, _)| *pid).collect::<Int64Array>()),
        text(rows.iter().map(|(_, name)| (*name).to_owned()).collect()),
        Arc::new(rows.iter().map(|_| Some(7)).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(definition().schema, columns).unwrap()
}

fn changes(operation: Operation, batch: &RecordBatch) -> RecordBatch {
    Layout::new(definition()).unwrap().changes(operation, batch).unwrap()
}

/// A table of one region with rows `pids`, all named `name`.
fn table_with(region: &str, pids: std::ops::Range<i64>, name: &str) -> Table {
    let mut table = Table::new(definition()).unwrap();
    let all: Vec<_> = pids.map(|pid| (pid, name)).collect();
    refresh(&mut table, region, &[changes(Operation::Insert, &rows(region, &all))]);
    table
}

fn refresh(table: &mut Table, region: &str, pages: &[RecordBatch]) -> Arc<TableVersion> {
    table.begin(&scope(region)).unwrap();
    pages.iter().for_each(|page| table.stage(&scope(region), page).unwrap());
    table.end(&scope(region), ScopeOutcome::Complete).unwrap()
}

fn contents(version: &TableVersion) -> Vec<(String, i64, String)> {
    let batch = version.to_batch().unwrap();
    let (regions, names) = (batch.column(1).as_string::<i32>(), batch.column(4).as_string::<i32>());
    let pids = batch.column(3).as_primitive::<Int64Type>();
    (0..batch.num_rows()).map(|i| (regions.value(i).into(), pids.value(i), names.value(i).into())).collect()
}

#[test]
fn what_lies_between_begin_and_end_becomes_visible_as_one_version_at_the_end() {
    let mut tables = Tables::new(vec![definition()]).unwrap();
    let scope = scope("r");
    assert!(tables.apply(&Unit::Begin(scope.clone()), []).unwrap().is_none());
    assert!(tables.current().open.contains(&scope));
    for pid in 0..3 {
        let page = changes(Operation::Insert, &rows("r", &[(pid, "x")]));
        assert!(tables.apply(&Unit::Page(scope.clone()), [&page]).unwrap().is_none());
        assert_eq!(tables.current().get("process").unwrap().row_count(), 0);
    }
    let end = Unit::End(scope.clone(), ScopeOutcome::Complete);
    let set = tables.apply(&end, []).unwrap().unwrap();
    assert_eq!(set.get("process").unwrap().row_count(), 3);
    assert!(set.get("process").unwrap().complete_for("a", "r"));
    assert!(set.open.is_empty());
    assert_eq!(tables.shared().current().get("process").unwrap().row_count(), 3);
}

#[test]
fn leaves_hold_at_most_4096_rows_in_key_order() {
    let table = table_with("r", -5_000..5_000, "x");
    let version = table.visible();
    assert_eq!(version.leaves().len(), 3);
    assert!(version.batches().all(|batch| batch.num_rows() <= LEAF_ROWS));
    let pids: Vec<i64> = contents(version).into_iter().map(|(_, pid, _)| pid).collect();
    assert_eq!(pids, (-5_000..5_000).collect::<Vec<_>>());
}

#[test]
fn unchanged_leaves_are_shared() {
    let mut table = table_with("r", 0..20_000, "x");
    let before = Arc::clone(table.visible());
    let after = refresh(&mut table, "r", &[changes(Operation::Update, &rows("r", &[(10_000, "y")]))]);
    assert_eq!(before.leaves().len(), after.leaves().len());
    let copied = before.leaves().iter().zip(after.leaves()).filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
    assert_eq!(copied, 1);
}

#[test]
fn leaves_that_become_small_join_their_neighbours() {
    let mut table = table_with("r", 0..20_000, "x");
    for pid in (0..20_000).step_by(4_000) {
        let gone: Vec<_> = (pid..pid + 3_990).map(|pid| (pid, "x")).collect();
        refresh(&mut table, "r", &[changes(Operation::Delete, &rows("r", &gone))]);
    }
    assert_eq!(table.visible().row_count(), 50);
    assert_eq!(table.visible().leaves().len(), 1);
}

#[test]
fn rows_of_other_scopes_stay_as_they_are() {
    let mut table = table_with("m", 0..5_000, "x");
    let before = table.visible().rows_of_scope(&scope("m")).unwrap();
    for region in ["a", "z", "ma", "l"] {
        let all: Vec<_> = (0..100).map(|pid| (pid, "other")).collect();
        refresh(&mut table, region, &[changes(Operation::Insert, &rows(region, &all))]);
    }
    let after = table.visible().rows_of_scope(&scope("m")).unwrap();
    let schema = definition().schema;
    let join = |slices: &[RecordBatch]| arrow::compute::concat_batches(&schema, slices).unwrap();
    assert_eq!(join(&before), join(&after));
    assert_eq!(
        table.visible().rows_of_scope(&scope("ma")).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(),
        100
    );
}

#[test]
fn a_page_with_rows_of_another_scope_is_refused() {
    let mut table = Table::new(definition()).unwrap();
    table.begin(&scope("r")).unwrap();
    let error = table.stage(&scope("r"), &changes(Operation::Insert, &rows("s", &[(1, "x")]))).unwrap_err();
    assert!(error.message.contains("another scope"), "{error}");
}

#[test]
fn a_page_or_an_end_without_a_begin_is_an_error() {
    let mut table = Table::new(definition()).unwrap();
    assert!(table.stage(&scope("r"), &changes(Operation::Insert, &rows("r", &[(1, "x")]))).is_err());
    assert!(table.end(&scope("r"), ScopeOutcome::Complete).is_err());
}

#[test]
fn a_begin_left_open_ends_as_failed_at_the_next_begin() {
    let mut table = table_with("r", 0..3, "x");
    table.begin(&scope("r")).unwrap();
    table.stage(&scope("r"), &changes(Operation::Insert, &rows("r", &[(9, "new")]))).unwrap();
    let ended = table.begin(&scope("r")).unwrap().unwrap();
    assert!(matches!(ended.scopes()[&scope("r")], ScopeOutcome::Failed(_)));
    assert!(!ended.complete_for("a", "r"));
    assert_eq!(ended.row_count(), 4);
}

#[test]
fn a_row_is_found_by_its_key() {
    let table = table_with("r", 0..10_000, "x");
    let get = |region: &str, pid: i64| table.visible().get("a", region, &[ScalarValue::from(pid)]).unwrap();
    assert_eq!(get("r", 7_777).unwrap(), rows("r", &[(7_777, "x")]));
    assert!(get("r", 10_000).is_none());
    assert!(get("s", 7_777).is_none());
    assert!(table.visible().get("a", "r", &[]).is_err());
}

#[test]
fn a_definition_without_its_key_column_is_refused() {
    let definition = TableDefinition { key: vec!["nothing"], ..definition() };
    assert!(Tables::new(vec![definition]).unwrap_err().message.contains("`nothing`"));
}

fn snapshot(tables: &mut Tables, mode: SnapshotMode) -> Vec<(String, RecordBatch)> {
    let mut writer = StateWriter::new(mode);
    tables.snapshot(&mut writer).unwrap();
    writer.batches
}

#[test]
fn a_snapshot_writes_only_changed_rows() {
    let mut tables = Tables::new(vec![definition()]).unwrap();
    let all: Vec<_> = (0..10_000).map(|pid| (pid, "x")).collect();
    let scope = scope("r");
    tables.begin(&scope).unwrap();
    tables.page(&scope, &changes(Operation::Insert, &rows("r", &all))).unwrap();
    tables.end(&scope, ScopeOutcome::Complete).unwrap();
    let row_count = |batches: &[(String, RecordBatch)]| {
        batches.iter().filter(|(name, _)| name == "process.rows.v1").map(|(_, b)| b.num_rows()).sum::<usize>()
    };
    assert_eq!(row_count(&snapshot(&mut tables, SnapshotMode::Changes)), 10_000);
    assert!(snapshot(&mut tables, SnapshotMode::Changes).is_empty());

    tables.begin(&scope).unwrap();
    tables.page(&scope, &changes(Operation::Update, &rows("r", &[(5, "y")]))).unwrap();
    tables.page(&scope, &changes(Operation::Delete, &rows("r", &[(6, "x")]))).unwrap();
    tables.end(&scope, ScopeOutcome::Complete).unwrap();
    let written = snapshot(&mut tables, SnapshotMode::Changes);
    assert_eq!(row_count(&written), 2);
    assert_eq!(written.len(), 2, "one batch of scopes, one of rows");
    assert_eq!(row_count(&snapshot(&mut tables, SnapshotMode::Full)), 9_999);
}

#[test]
fn state_of_an_unknown_format_is_refused_with_a_remedy() {
    let mut tables = Tables::new(vec![definition()]).unwrap();
    let reader = StateReader { batches: vec![("process.rows.v9".into(), rows("r", &[]))] };
    let error = tables.restore(reader).unwrap_err().to_string();
    assert!(error.contains("process.rows.v9") && error.contains("newer program"), "{error}");
}

#[test]
fn state_of_each_earlier_version_is_read() {
    let mut tables = Tables::new(vec![definition()]).unwrap();
    let put = |tables: &mut Tables, region: &str, operation, values: &[(i64, &str)]| {
        tables.page(&scope(region), &changes(operation, &rows(region, values))).unwrap();
    };
    tables.begin(&scope("r")).unwrap();
    put(&mut tables, "r", Operation::Insert, &[(1, "init"), (2, "sshd"), (3, "cron")]);
    tables.end(&scope("r"), ScopeOutcome::Complete).unwrap();
    tables.begin(&scope("open")).unwrap();
    put(&mut tables, "open", Operation::Insert, &[(7, "not yet visible")]);
    let mut now = snapshot(&mut tables, SnapshotMode::Changes);
    tables.begin(&scope("r")).unwrap();
    put(&mut tables, "r", Operation::Update, &[(2, "sshd: ann")]);
    put(&mut tables, "r", Operation::Delete, &[(3, "cron")]);
    tables.end(&scope("r"), ScopeOutcome::Failed("no answer".into())).unwrap();
    now.extend(snapshot(&mut tables, SnapshotMode::Changes));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/tables.v1.segment");
    let batches = crate::testing::golden::golden_state(&path, &now).unwrap();
    let mut read = Tables::new(vec![definition()]).unwrap();
    read.restore(StateReader { batches }).unwrap();
    assert_eq!(observed(&read), observed(&tables));
    assert_eq!(contents(read.current().get("process").unwrap()).len(), 2);
}

/// What a random history does.
#[derive(Debug, Clone)]
enum Action {
    Begin(u8),
    Put(u8, Vec<(i64, u8)>),
    Delete(u8, Vec<i64>),
    End(u8, bool),
    Snapshot,
    FullSnapshot,
}

fn action() -> impl Strategy<Value = Action> {
    let region = 0..3_u8;
    prop_oneof![
        3 => region.clone().prop_map(Action::Begin),
        4 => (region.clone(), prop::collection::vec((0..40_i64, 0..3_u8), 0..12)).prop_map(|(r, v)| Action::Put(r, v)),
        2 => (region.clone(), prop::collection::vec(0..40_i64, 0..6)).prop_map(|(r, v)| Action::Delete(r, v)),
        3 => (region, any::<bool>()).prop_map(|(r, complete)| Action::End(r, complete)),
        2 => Just(Action::Snapshot),
        1 => Just(Action::FullSnapshot),
    ]
}

/// Does what can be done of `action`; a page of a scope that is not open is left out.
fn perform(tables: &mut Tables, action: &Action, snapshots: &mut Vec<(String, RecordBatch)>) {
    let region = |r: u8| scope(&format!("r{r}"));
    let is_open = |tables: &Tables, r: u8| tables.current().open.contains(&region(r));
    match action {
        Action::Begin(r) => drop(tables.begin(&region(*r)).unwrap()),
        Action::Put(r, values) if is_open(tables, *r) => {
            let names = ["p", "q", "s"];
            let values: Vec<_> = values.iter().map(|(pid, name)| (*pid, names[usize::from(*name)])).collect();
            let page = changes(Operation::Update, &rows(&region(*r).region, &values));
            tables.page(&region(*r), &page).unwrap();
        }
        Action::Delete(r, pids) if is_open(tables, *r) => {
            let values: Vec<_> = pids.iter().map(|pid| (*pid, "gone")).collect();
            let page = changes(Operation::Delete, &rows(&region(*r).region, &values));
            tables.page(&region(*r), &page).unwrap();
        }
        Action::End(r, complete) if is_open(tables, *r) => {
            let outcome = if *complete { ScopeOutcome::Complete } else { ScopeOutcome::Failed("no".into()) };
            tables.end(&region(*r), outcome).unwrap();
        }
        Action::Snapshot => snapshots.extend(snapshot(tables, SnapshotMode::Changes)),
        Action::FullSnapshot => *snapshots = snapshot(tables, SnapshotMode::Full),
        _ => {}
    }
}

/// Everything about the tables that a reader or a later step can see.
fn observed(tables: &Tables) -> impl PartialEq + std::fmt::Debug {
    let version = tables.current().get("process").cloned().unwrap();
    let staged: BTreeMap<_, _> = tables.table("process").unwrap().staged.iter().collect();
    let staged_rows = |staged: &super::staging::Staged| {
        let batches: Vec<_> = staged.changes.iter().filter(|batch| batch.num_rows() > 0).cloned().collect();
        batches
    };
    let staged: Vec<_> = staged.into_iter().map(|(scope, staged)| (scope.clone(), staged_rows(staged))).collect();
    (version.to_batch().unwrap(), version.scopes().clone(), staged)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_snapshots_restore_equals_the_live_tables(history in prop::collection::vec(action(), 0..40)) {
        let mut live = Tables::new(vec![definition()]).unwrap();
        let mut snapshots = Vec::new();
        for action in &history {
            perform(&mut live, action, &mut snapshots);
        }
        perform(&mut live, &Action::Snapshot, &mut snapshots);
        let mut restored = Tables::new(vec![definition()]).unwrap();
        restored.restore(StateReader { batches: snapshots }).unwrap();
        prop_assert_eq!(observed(&restored), observed(&live));
        prop_assert!(snapshot(&mut restored, SnapshotMode::Changes).is_empty());
    }

    #[test]
    fn what_was_merged_restores_the_live_tables(
        history in prop::collection::vec(action(), 0..40),
        keys in 1..20_usize,
        whole in any::<bool>(),
    ) {
        let mut live = Tables::new(vec![definition()]).unwrap();
        let mut chain: Vec<Vec<(String, RecordBatch)>> = Vec::new();
        for action in history.iter().chain([&Action::Snapshot]) {
            let mut snapshots = Vec::new();
            perform(&mut live, action, &mut snapshots);
            match action {
                Action::FullSnapshot => chain = vec![snapshots],
                Action::Snapshot => chain.push(snapshots),
                _ => {}
            }
        }
        let layout = Tables::layout(&[definition()]);
        let kept = if whole { 0 } else { 1 };
        let merged = crate::testing::compaction::merge_batches(&layout, &chain[kept..], whole, keys).unwrap();
        chain.truncate(kept);
        chain.push(merged);
        let mut restored = Tables::new(vec![definition()]).unwrap();
        restored.restore(StateReader { batches: chain.concat() }).unwrap();
        prop_assert_eq!(observed(&restored), observed(&live));
    }

    #[test]
    fn a_difference_applied_to_the_older_version_gives_the_newer(
        history in prop::collection::vec(action(), 0..30),
        later in prop::collection::vec(action(), 0..30),
    ) {
        let mut tables = Tables::new(vec![definition()]).unwrap();
        history.iter().for_each(|action| perform(&mut tables, action, &mut Vec::new()));
        let older = tables.current().get("process").cloned().unwrap();
        later.iter().for_each(|action| perform(&mut tables, action, &mut Vec::new()));
        let newer = tables.current().get("process").cloned().unwrap();
        let forward = newer.difference(&older).unwrap();
        prop_assert_eq!(contents(&older.with_changes(forward.batches()).unwrap()), contents(&newer));
        let back = older.difference(&newer).unwrap();
        prop_assert_eq!(contents(&newer.with_changes(back.batches()).unwrap()), contents(&older));
        prop_assert!(newer.difference(&newer).unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn random_changes_of_large_tables_give_what_a_map_gives(
        edits in prop::collection::vec((0..30_000_i64, any::<bool>(), 1..3_000_i64), 1..8),
    ) {
        let mut table = table_with("r", 0..10_000, "x");
        let mut model: BTreeMap<i64, &str> = (0..10_000).map(|pid| (pid, "x")).collect();
        for (from, delete, count) in edits {
            let values: Vec<_> = (from..from + count).map(|pid| (pid, "y")).collect();
            let operation = if delete { Operation::Delete } else { Operation::Insert };
            refresh(&mut table, "r", &[changes(operation, &rows("r", &values))]);
            for (pid, name) in values {
                if delete { model.remove(&pid); } else { model.insert(pid, name); }
            }
        }
        let found = contents(table.visible());
        prop_assert!(found.iter().map(|(_, pid, name)| (*pid, name.as_str())).eq(model.iter().map(|(k, v)| (*k, *v))));
        prop_assert!(table.visible().batches().all(|batch| (1..=LEAF_ROWS).contains(&batch.num_rows())));
    }
}
