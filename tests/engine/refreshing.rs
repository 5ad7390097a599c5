//! Objects that are read by themselves, inside a running pipeline: what a kill in the midst of it does, what commands
//! reach, and that it is replayed as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parking_lot::Mutex;
use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::Record;
use tidegate_pipeline::provider::{Notice, RefreshRequest, Schedule, ScopeGroup, Target};
use tidegate_pipeline::runtime::{PipelineStatus, request_refresh};
use tidegate_pipeline::step::{Scope, StepNumber, Unit};
use tidegate_pipeline::table::TableDefinition;
use tidegate_pipeline::testing::world::World;
use tokio::sync::oneshot;

use crate::stage::{Stage, rows_in};

const CHANGES: &str = "
checkpoint: {every: off}
sources: {things: {cloud: {}}}
sinks: {changes: {from: things, collect: {}}}
";

fn definition() -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let fields =
        vec![text("account_id"), text("region"), text("arn"), text("id"), Field::new("value", DataType::Int64, true)];
    let definition = TableDefinition::new("thing", "Things", Arc::new(Schema::new(fields)), ["id"]);
    TableDefinition { target: Some("id"), ..definition }
}

fn scope() -> Scope {
    Scope { account_id: "a".into(), region: "r".into(), table: "thing".into() }
}

fn set(world: &World, things: &[(&str, i64)]) {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; things.len()])) };
    let ids: StringArray = things.iter().map(|(id, _)| Some(*id)).collect();
    let columns: Vec<ArrayRef> = vec![
        text("a"),
        text("r"),
        Arc::new(ids.clone()),
        Arc::new(ids),
        Arc::new(things.iter().map(|(_, value)| *value).collect::<Int64Array>()),
    ];
    world.set(&scope(), vec![RecordBatch::try_new(definition().schema, columns).unwrap()]);
}

/// A stage with a world that is refreshed wholly once a day.
fn stage(things: &[(&str, i64)]) -> (Stage, Arc<World>) {
    let world = World::new(vec![definition()], vec![ScopeGroup::new("a", "r", ["thing"])]);
    set(&world, things);
    let mut stage = Stage::new(CHANGES);
    stage.world = Some((Arc::clone(&world), Schedule::Every(Duration::from_secs(86_400))));
    (stage, world)
}

fn notice(id: &str) -> (Notice, oneshot::Receiver<()>) {
    let (done, told) = oneshot::channel();
    (Notice { targets: vec![Target { scope: scope(), id: id.into() }], done: Some(done), ..Notice::default() }, told)
}

fn refreshes(status: &PipelineStatus) -> u64 {
    status.node("things").and_then(|node| node.refresh.as_ref()).map_or(0, |refresh| refresh.status.report().refreshes)
}

/// `insert x 1` of each change that a sink has taken since the last look, in order.
fn changes(stage: &Stage) -> Vec<String> {
    let change = |line: String| {
        let row: serde_json::Value = serde_json::from_str(&line).unwrap();
        format!("{} {} {}", row["_op"].as_str().unwrap(), row["id"].as_str().unwrap(), row["value"])
    };
    stage.collected("changes").into_iter().map(change).collect()
}

/// How many steps of the journal are changes of targets.
fn targeted_steps(stage: &Stage) -> usize {
    let records = read_directory(&stage.directory(), StepNumber::ZERO).unwrap();
    let is_targeted =
        |record: Record| matches!(record, Record::Step(step) if matches!(step.header.unit, Unit::Targeted(_)));
    records.filter(|record| is_targeted(record.as_ref().unwrap().1.clone())).count()
}

#[test]
fn a_kill_in_the_midst_of_reading_an_object_loses_no_notice_and_changes_nothing() {
    let (stage, world) = stage(&[("x", 1), ("y", 2)]);
    world.hang_at_targets(true);
    let told = Mutex::new(None);
    stage.crash_when(|status| {
        if refreshes(status) == 1 && told.lock().is_none() {
            set(&world, &[("x", 5), ("y", 9)]);
            let (notice, done) = notice("x");
            world.notify(notice);
            *told.lock() = Some(done);
        }
        world.targeted() > 0 && rows_in(status, "changes") == 2
    });
    let mut told = told.into_inner().unwrap();
    assert!(told.try_recv().is_err(), "nobody was told that it is done");
    assert_eq!(changes(&stage), ["insert x 1", "insert y 2"]);
    assert_eq!(targeted_steps(&stage), 0);

    // It comes again, because nobody was told; the whole refresh at the start finds what has changed, too.
    world.hang_at_targets(false);
    let (again, done) = notice("x");
    world.notify(again);
    let done = Mutex::new(done);
    stage.stop_when(|_| done.lock().try_recv().is_ok()).unwrap();
    let after: Vec<String> = changes(&stage).into_iter().filter(|line| !line.starts_with("insert")).collect();
    assert_eq!(after, ["update x 5", "update y 9"]);
}

#[test]
fn what_a_notice_has_changed_is_there_after_a_kill_that_follows_its_end() {
    let (stage, world) = stage(&[("x", 1), ("y", 2)]);
    let told = Mutex::new(None);
    stage.crash_when(|status| {
        if refreshes(status) == 1 && told.lock().is_none() {
            // y changes too, but nothing says so.
            set(&world, &[("x", 5), ("y", 9), ("z", 3)]);
            let (notice, done) = notice("x");
            world.notify(notice);
            *told.lock() = Some(done);
        }
        let done = || told.lock().as_mut().is_some_and(|done| done.try_recv().is_ok());
        rows_in(status, "changes") == 3 && done()
    });
    assert_eq!(targeted_steps(&stage), 1);
    assert_eq!(changes(&stage), ["insert x 1", "insert y 2", "update x 5"]);
    // What was told as done is in the journal: the next life finds the rest only.
    stage.stop_when(|status| rows_in(status, "changes") >= 5).unwrap();
    let again = ["insert x 1", "insert y 2", "update x 5"];
    assert_eq!(changes(&stage), [&again[..], &["update y 9", "insert z 3"]].concat());
}

#[test]
fn a_command_reaches_the_provider_and_an_unknown_node_or_table_is_an_error() {
    let (stage, world) = stage(&[("x", 1), ("y", 2)]);
    let directory = stage.directory();
    let ask = |node: Option<&str>, table: &str, ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).into()).collect();
        request_refresh(&directory, node, &RefreshRequest { table: Some(table.into()), ids, ..Default::default() })
    };
    assert!(ask(None, "thing", &[]).unwrap_err().message.contains("no pipeline runs in"));
    let step = AtomicUsize::new(0);
    stage
        .stop_when(|status| {
            if refreshes(status) == 1 && step.fetch_max(1, Ordering::SeqCst) == 0 {
                set(&world, &[("x", 5), ("y", 9)]);
                // The closure is called where the pipeline runs: who asks must not wait there for its answer.
                let asked = std::thread::scope(|scope| {
                    let asking = scope.spawn(|| {
                        let wrong = [ask(Some("thigs"), "thing", &[]), ask(None, "thin", &[])];
                        (wrong.map(|wrong| wrong.unwrap_err().to_string()), ask(None, "thing", &["x"]))
                    });
                    asking.join().unwrap()
                });
                assert_eq!(asked.0[0], "there is no provider `thigs` (did you mean `things`?)");
                assert!(asked.0[1].ends_with("there is no table `thin` (did you mean `thing`?)"), "{}", asked.0[1]);
                assert_eq!(asked.1.unwrap(), ["things"]);
            }
            world.targeted() == 1 && rows_in(status, "changes") == 3
        })
        .unwrap();
    assert_eq!(changes(&stage), ["insert x 1", "insert y 2", "update x 5"]);
}
