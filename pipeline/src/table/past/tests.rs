//! A pipeline's past, made by hand: steps in a journal, checkpoints here and there.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::*;
use crate::checkpoint::{CheckpointStore, MemoryStore, NodeState, Section, SourceState};
use crate::journal::record::{InlinePart, encode_batch};
use crate::journal::{Journal, JournalPosition};
use crate::operator::{SnapshotMode, StateWriter};
use crate::step::{Incarnation, Position, SchemaVersion, Scope, ScopeOutcome, StepHeader, Unit};
use crate::table::{OPERATION, change_schema};

const SOURCE: &str = "inventory";
/// From step to step, in ms.
const TICK: i64 = 10;

type Contents = Vec<(i64, i64)>;

fn definition() -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, false);
    let fields = vec![text("account_id"), text("region"), text("arn"), number("id"), number("value")];
    let schema = Arc::new(Schema::new(fields));
    TableDefinition::new("thing", "Things", schema, ["id"])
}

fn scope() -> Scope {
    Scope { account_id: "a".into(), region: "r".into(), table: "thing".into() }
}

/// Changes: operation, id and value.
fn changes(rows: &[(&str, i64, i64)]) -> RecordBatch {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows.len()])) };
    let number =
        |of: fn(&(&str, i64, i64)) -> i64| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    let operations: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(operation, ..)| *operation)));
    let columns =
        vec![operations, text("thing"), text("a"), text("r"), text("arn"), number(|row| row.1), number(|row| row.2)];
    RecordBatch::try_new(change_schema(&definition()), columns).unwrap()
}

fn contents(tables: &TableSet) -> Contents {
    let rows = tables.get("thing").unwrap().to_batch().unwrap();
    let number = |column: usize| rows.column(column).as_primitive::<Int64Type>().values().to_vec();
    number(3).into_iter().zip(number(4)).collect()
}

struct World {
    directory: tempfile::TempDir,
    store: CheckpointStore,
    journal: Journal,
    end: JournalPosition,
    tables: Tables,
    chain: NodeState,
    /// The contents after each step, from none on.
    after: Vec<Contents>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = CheckpointStore::open(directory.path(), Box::new(MemoryStore::default())).unwrap();
        let (journal, _) = Journal::open_with_files_of(600, directory.path()).unwrap();
        let tables = Tables::new(vec![definition()]).unwrap();
        let (chain, after) = (NodeState::default(), vec![Vec::new()]);
        Self { directory, store, journal, end: JournalPosition::START, tables, chain, after }
    }

    fn past(&self) -> Past {
        Past::new(self.directory.path(), vec![(SOURCE.into(), vec![definition()])])
    }

    fn step(&mut self, unit: Unit, rows: Option<RecordBatch>) {
        let number = self.after.len() as u64;
        let header = StepHeader {
            number: StepNumber(number),
            time: StepTime(number as i64 * TICK),
            source: SOURCE.into(),
            unit: unit.clone(),
            schema_version: SchemaVersion(1),
            watermark: None,
        };
        let part = |rows: &RecordBatch| InlinePart { port: 0, ipc: encode_batch(rows).unwrap() };
        let parts = rows.iter().map(part).collect();
        let body = StepBody::Inline { parts, rejected: Vec::new(), position: Position("{}".into()) };
        self.end = self.journal.append(&Record::Step(StepRecord { header, body })).unwrap();
        self.tables.apply(&unit, &rows).unwrap();
        self.after.push(contents(&self.tables.current()));
    }

    /// A whole refresh: three steps.
    fn refresh(&mut self, rows: &[(&str, i64, i64)]) {
        self.step(Unit::Begin(scope()), None);
        self.step(Unit::Page(scope()), Some(changes(rows)));
        self.step(Unit::End(scope(), ScopeOutcome::Complete), None);
    }

    fn checkpoint(&mut self) {
        futures::executor::block_on(self.journal.sync(self.end)).unwrap();
        let mut writer = StateWriter::new(SnapshotMode::Changes);
        self.tables.snapshot(&mut writer).unwrap();
        let section = |(name, batch)| Section { node: SOURCE.into(), name, content: Content::Batch(batch) };
        let sections: Vec<Section> = writer.batches.into_iter().map(section).collect();
        let segment = self.store.write_state(&sections).unwrap();
        self.chain.segments.push(segment.clone());
        let step = self.after.len() as u64 - 1;
        let source = SourceState { tables: self.chain.clone(), ..SourceState::default() };
        self.store
            .commit(Manifest {
                number: self.store.next_number(),
                step: StepNumber(step),
                time: StepTime(step as i64 * TICK),
                incarnation: Incarnation(1),
                definition: segment,
                sources: BTreeMap::from([(SOURCE.to_owned(), source)]),
                ..Manifest::default()
            })
            .unwrap();
    }

    /// Checkpoints after steps 3, 7 (in the middle of a refresh) and 12; then two more refreshes.
    fn lived() -> Self {
        let mut world = Self::new();
        world.refresh(&[("insert", 1, 10), ("insert", 2, 20)]);
        world.checkpoint();
        world.refresh(&[("update", 1, 11)]);
        world.step(Unit::Begin(scope()), None);
        world.checkpoint();
        world.step(Unit::Page(scope()), Some(changes(&[("delete", 2, 20), ("insert", 3, 30)])));
        world.step(Unit::End(scope(), ScopeOutcome::Complete), None);
        world.refresh(&[("update", 3, 31)]);
        world.checkpoint();
        world.refresh(&[("insert", 4, 40)]);
        world.refresh(&[("delete", 1, 11)]);
        futures::executor::block_on(world.journal.sync(world.end)).unwrap();
        world
    }
}

#[test]
fn every_step_and_every_time_in_between_is_shown_as_it_was() {
    let world = World::lived();
    let past = world.past();
    for (step, expected) in world.after.iter().enumerate() {
        let found = past.at(Moment::Step(StepNumber(step as u64))).unwrap().unwrap();
        assert_eq!((contents(&found.tables[0]), found.shown.note), (expected.clone(), None), "step {step}");
        for later in [0, 1, TICK - 1] {
            let found = past.at(Moment::Time(StepTime(step as i64 * TICK + later))).unwrap().unwrap();
            assert_eq!(
                (contents(&found.tables[0]), found.shown.step.0),
                (expected.clone(), step as u64),
                "+{later} ms"
            );
        }
    }
    for (checkpoint, step) in [(1, 3), (2, 7), (3, 12)] {
        let found = past.at(Moment::Checkpoint(CheckpointNumber(checkpoint))).unwrap().unwrap();
        assert_eq!(contents(&found.tables[0]), world.after[step]);
    }
    assert_eq!(past.newest().unwrap().unwrap().shown.step, StepNumber(12));
    assert!(past.at(Moment::Step(StepNumber(99))).unwrap_err().message.contains("has not been made yet"));
}

#[test]
fn where_the_journal_was_discarded_the_checkpoint_before_answers_with_a_note() {
    let world = World::lived();
    assert!(world.journal.discard_before(StepNumber(12)).unwrap() > 0);
    let past = world.past();
    for (step, shown) in [(3, 3), (5, 3), (7, 7), (11, 7), (12, 12), (14, 14), (18, 18)] {
        let found = past.at(Moment::Step(StepNumber(step))).unwrap().unwrap();
        assert_eq!(contents(&found.tables[0]), world.after[shown], "step {step}");
        assert_eq!(found.shown.note.is_some(), step as usize != shown, "step {step}: {:?}", found.shown);
    }
    let error = past.at(Moment::Step(StepNumber(2))).unwrap_err();
    assert!(error.message.contains("nothing is kept of step 2") && error.remedy.is_some(), "{error}");
}

fn told(history: &History) -> Vec<(u64, String, i64)> {
    let of = |change: &Change| {
        let operations = change.rows.column_by_name(OPERATION).unwrap().as_string::<i32>().clone();
        let ids = change.rows.column_by_name("id").unwrap().as_primitive::<Int64Type>().clone();
        let step = change.step.0;
        (0..change.rows.num_rows()).map(move |row| (step, operations.value(row).to_owned(), ids.value(row)))
    };
    history.changes.iter().flat_map(of).collect()
}

#[test]
fn a_history_tells_each_change_with_the_step_that_made_it_visible() {
    let mut world = World::lived();
    // A refresh that is interrupted becomes visible with the next begin; one that has not ended, not at all.
    world.step(Unit::Begin(scope()), None);
    world.step(Unit::Page(scope()), Some(changes(&[("insert", 5, 50)])));
    world.step(Unit::Begin(scope()), None);
    world.step(Unit::Page(scope()), Some(changes(&[("insert", 6, 60)])));
    world.checkpoint();
    let history = world.past().history("thing").unwrap().unwrap();
    assert!(history.before.is_none() && history.missing().is_none());
    let all = told(&history);
    let expected = [
        (3, "insert", 1),
        (3, "insert", 2),
        (6, "update", 1),
        (9, "delete", 2),
        (9, "insert", 3),
        (12, "update", 3),
        (15, "insert", 4),
        (18, "delete", 1),
        (21, "insert", 5),
    ];
    assert_eq!(all, expected.map(|(step, operation, id)| (step, operation.to_owned(), id)));
    world.journal.discard_before(StepNumber(8)).unwrap();
    let history = world.past().history("thing").unwrap().unwrap();
    assert!(history.missing().is_some());
    let before = history.before.as_ref().map(contents).unwrap();
    assert_eq!(before, world.after[history.from.0 as usize]);
    assert_eq!(told(&history), all.into_iter().filter(|(step, ..)| *step > history.from.0).collect::<Vec<_>>());
    assert!(world.past().history("thng").is_err());
}
