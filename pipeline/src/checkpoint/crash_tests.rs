//! A process that dies at any crash point leaves a directory that the next one goes on from.
//!
//! The test starts this test program again, as a child that runs [`a_life`] and dies where it is told to.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};

use super::*;
use crate::journal::{Journal, Record, StepBody, StepRecord};
use crate::row_hash::RunningHash;
use crate::sink::Mark;
use crate::step::{Incarnation, Position, SchemaVersion, StepHeader, StepNumber, StepTime, Unit};
use crate::testing::crash;

/// Names the directory to the child.
const DIRECTORY: &str = "TIDEGATE_TEST_DIRECTORY";
const STEPS: u64 = 12;
const STEPS_PER_CHECKPOINT: u64 = 2;
const KEEP: Retention = Retention { last: 1, hourly: 0, daily: 0 };

/// What the child has told the outside, which must hold for ever: the last durable step and mark, and the
/// step of the last checkpoint.
#[derive(Debug, Default)]
struct Promised {
    step: u64,
    mark: u64,
    checkpoint: u64,
}

fn promise(directory: &Path, what: &str, step: u64) {
    let mut file = OpenOptions::new().create(true).append(true).open(directory.join("promised")).unwrap();
    writeln!(file, "{what} {step}").unwrap();
}

fn promised(directory: &Path) -> Promised {
    let mut promised = Promised::default();
    for line in fs::read_to_string(directory.join("promised")).unwrap_or_default().lines() {
        match line.split_once(' ').unwrap() {
            ("step", step) => promised.step = step.parse().unwrap(),
            ("mark", step) => promised.mark = step.parse().unwrap(),
            (_, step) => promised.checkpoint = step.parse().unwrap(),
        }
    }
    promised
}

fn step(number: u64) -> Record {
    let header = StepHeader {
        number: StepNumber(number),
        time: StepTime(number as i64),
        source: "events".into(),
        unit: Unit::Rows,
        schema_version: SchemaVersion(1),
        watermark: None,
    };
    let position = Position(number.to_string().into());
    Record::Step(StepRecord { header, body: StepBody::Inline { parts: Vec::new(), rejected: Vec::new(), position } })
}

/// The state after a step.
fn state(step: u64) -> Vec<Section> {
    let text = format!("the sum of 1 to {step} is {}", step * (step + 1) / 2);
    vec![Section { node: "sum".into(), name: "sum.v1".into(), content: Content::Bytes(text.into_bytes()) }]
}

/// Checks that everything promised is there, and goes on to the last step.
fn live(directory: &Path) {
    let _owner = OwnerLock::acquire(directory).unwrap();
    let store = SledStore::open(directory).unwrap();
    let checkpoints = CheckpointStore::open(directory, Box::new(store)).unwrap();
    let (journal, recovery) = Journal::open_with_files_of(400, directory).unwrap();
    let promised = promised(directory);
    let latest = checkpoints.latest().unwrap();
    let from = latest.as_ref().map_or(StepNumber::ZERO, |manifest| manifest.step);
    assert!(from.0 >= promised.checkpoint, "checkpoint {from}, {promised:?}");
    assert!(recovery.last_step.0 >= promised.step.max(from.0), "{recovery:?}, {promised:?}");
    let marks = checkpoints.marks().unwrap();
    assert!(marks.get("out").map_or(0, |mark| mark.step.0) >= promised.mark, "{marks:?}, {promised:?}");
    if let Some(manifest) = &latest {
        assert_eq!(checkpoints.read_state(&manifest.nodes["sum"], "sum").unwrap(), state(manifest.step.0));
        assert_eq!(read_head(directory).unwrap().as_ref(), Some(manifest));
    }
    let tail: Vec<_> = journal.read(from.next()).unwrap().map(|record| record.unwrap().1).collect();
    assert_eq!(tail, (from.0 + 1..=recovery.last_step.0).map(step).collect::<Vec<_>>());
    assert!(checkpoints.notes().is_empty(), "{:?}", checkpoints.notes());
    for number in recovery.last_step.0 + 1..=STEPS {
        go_on(directory, &journal, &checkpoints, number);
    }
}

fn go_on(directory: &Path, journal: &Journal, checkpoints: &CheckpointStore, number: u64) {
    let position = journal.append(&step(number)).unwrap();
    futures::executor::block_on(journal.sync(position)).unwrap();
    promise(directory, "step", number);
    if !number.is_multiple_of(STEPS_PER_CHECKPOINT) {
        return;
    }
    let mark = Mark { step: StepNumber(number), detail: String::new(), rows: RunningHash::default() };
    let marks = BTreeMap::from([("out".to_owned(), mark)]);
    checkpoints.put_marks(&marks).unwrap();
    promise(directory, "mark", number);
    let segments = vec![checkpoints.write_state(&state(number)).unwrap()];
    let manifest = Manifest {
        format: FORMAT,
        number: checkpoints.next_number(),
        step: StepNumber(number),
        time: StepTime(number as i64),
        incarnation: Incarnation(1),
        owner: OwnerEpoch::default(),
        definition: segments[0].clone(),
        parent: None,
        sources: BTreeMap::new(),
        nodes: BTreeMap::from([("sum".to_owned(), NodeState { segments })]),
        marks,
        finished: false,
        created: number as i64,
        took_ms: 0,
        bytes: 0,
        ..Manifest::default()
    };
    checkpoints.commit(manifest).unwrap();
    promise(directory, "checkpoint", number);
    let removed = checkpoints.retain(KEEP, None).unwrap();
    assert_eq!(removed.failed, 0);
    journal.discard_before(KEEP.oldest_of_last(&checkpoints.list()).unwrap().step.next()).unwrap();
}

#[test]
#[ignore = "started by the test below, in a process of its own"]
fn a_life() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        live(Path::new(&directory));
    }
}

fn start(directory: &Path, crash_at: Option<&str>) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "checkpoint::crash_tests::a_life", "--ignored", "--quiet"]).env(DIRECTORY, directory);
    if let Some(crash_at) = crash_at {
        child.env(crash::VARIABLE, crash_at);
    }
    child.output().unwrap()
}

fn has_crashed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status).is_some()
}

/// Dies at a point, and in a second life at the second pass of it, at what the first has left.
fn die_and_go_on(point: &str) {
    let directory = tempfile::tempdir().unwrap();
    for pass in 1..=2 {
        let crash_at = format!("{point}:{pass}");
        let status = start(directory.path(), Some(&crash_at)).status;
        assert!(has_crashed(status) || (pass > 1 && status.success()), "{crash_at}: {status}");
    }
    let last = start(directory.path(), None);
    assert!(last.status.success(), "after {point}: {}", String::from_utf8_lossy(&last.stdout));
    assert_eq!(promised(directory.path()).step, STEPS, "after {point}");
}

#[test]
fn a_process_that_dies_at_any_point_leaves_what_it_has_promised() {
    // The disk is what takes the time: others may wait for it at the same time.
    std::thread::scope(|scope| {
        for points in crash::POINTS.chunks(crash::POINTS.len().div_ceil(4)) {
            scope.spawn(|| points.iter().for_each(|point| die_and_go_on(point)));
        }
    });
}
