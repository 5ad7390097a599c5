//! The protocol on a model of the disk: every crash, with every effect lost or kept that was not synchronised;
//! every failing write; a second owner between any two writes.
//!
//! `TIDEGATE_MODEL=5` makes the scripts longer than the usual 2 acts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::manifest::SourceState;
use super::model::{Disk, Fault, Machine};
use super::store::StoreBatch;
use super::survey::Survey;
use super::*;
use crate::error::Result;
use crate::sink::Mark;
use crate::step::{ContentHash, Incarnation, StepNumber, StepTime};

/// What an owner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Commit,
    RetainOne,
    Reopen,
}

const ACTS: [Act; 3] = [Act::Commit, Act::RetainOne, Act::Reopen];

/// All scripts of that many acts, after two commits.
fn scripts() -> Vec<Vec<Act>> {
    let length = std::env::var("TIDEGATE_MODEL").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut scripts = vec![vec![Act::Commit, Act::Commit]];
    for _ in 0..length {
        scripts = scripts.iter().flat_map(|script| ACTS.map(|act| [&script[..], &[act]].concat())).collect();
    }
    scripts
}

/// What the outside has been told, which must hold for ever; and what has been tried.
#[derive(Debug, Clone, Default)]
struct History {
    /// The newest checkpoint whose commit has returned.
    promised: u64,
    /// The newest mark that was stored.
    mark: u64,
    /// The states that were to be committed under each number.
    tried: BTreeMap<u64, BTreeSet<String>>,
    /// The manifest of each checkpoint that was ever listed.
    listed: BTreeMap<u64, ContentHash>,
    states: u64,
}

fn open(machine: &Machine) -> Result<CheckpointStore> {
    CheckpointStore::open_on(&machine.root(), machine.segments(), machine.store(), false)
}

fn section(text: &str) -> Section {
    Section { node: "fresh".into(), name: "kept.v1".into(), content: Content::Bytes(text.as_bytes().to_vec()) }
}

fn manifest(checkpoints: &CheckpointStore, segments: Vec<ContentHash>, definition: ContentHash) -> Manifest {
    let number = checkpoints.next_number();
    Manifest {
        format: FORMAT,
        number,
        step: StepNumber(number.0 * 10),
        time: StepTime(0),
        incarnation: Incarnation(1),
        owner: OwnerEpoch::default(),
        definition,
        parent: None,
        sources: BTreeMap::from([("events".to_owned(), SourceState::default())]),
        nodes: BTreeMap::from([("fresh".to_owned(), NodeState { segments })]),
        marks: BTreeMap::from([("out".to_owned(), Mark { step: StepNumber(number.0), ..Mark::default() })]),
        finished: false,
        created: number.0 as i64,
        took_ms: 0,
        bytes: 0,
        ..Manifest::default()
    }
}

/// Commits a checkpoint that shares the state of the one before it.
fn commit(checkpoints: &CheckpointStore, history: &mut History) -> Result<()> {
    history.states += 1;
    let text = format!("state {}", history.states);
    let before = match checkpoints.list().last() {
        Some(newest) => checkpoints.load(newest.number)?.nodes["fresh"].segments.last().cloned(),
        None => None,
    };
    let state = checkpoints.write_state(&[section(&text)])?;
    let definition = checkpoints.write_state(&[section("the definition")])?;
    let manifest = manifest(checkpoints, before.into_iter().chain([state]).collect(), definition);
    let number = manifest.number.0;
    history.tried.entry(number).or_default().insert(text);
    checkpoints.put_marks(&manifest.marks)?;
    history.mark = history.mark.max(number);
    checkpoints.commit(manifest)?;
    history.promised = number;
    Ok(())
}

/// Plays a script until the machine dies. A write that fails ends an act, not the life.
fn play(machine: &Machine, script: &[Act], history: &mut History) {
    let mut life = None;
    for act in script {
        if machine.is_dead() {
            return;
        }
        if life.is_none() || *act == Act::Reopen {
            drop(life.take());
            life = open(machine).and_then(|opened| opened.latest().map(|_| opened)).ok();
        }
        let Some(checkpoints) = &life else { continue };
        // An act that fails is over; what it has promised is in the history.
        let _ = match act {
            Act::Commit => commit(checkpoints, history),
            Act::RetainOne => checkpoints.retain(Retention::last(1), None).map(drop),
            Act::Reopen => Ok(()),
        };
        if !machine.is_dead() {
            note_listed(checkpoints, history);
        }
    }
}

/// A number names the same contents for ever.
fn note_listed(checkpoints: &CheckpointStore, history: &mut History) {
    for summary in checkpoints.list() {
        let first = history.listed.entry(summary.number.0).or_insert_with(|| summary.manifest.clone());
        assert_eq!(*first, summary.manifest, "checkpoint {} has other contents than before", summary.number);
    }
}

/// Everything that is listed is whole, and is what was to be committed under its number.
fn assert_whole(checkpoints: &CheckpointStore, history: &History) {
    for summary in checkpoints.list() {
        let manifest = checkpoints.whole(&summary).unwrap_or_else(|error| panic!("{}: {error:?}", summary.number));
        let sections = checkpoints.read_state(&manifest.nodes["fresh"], "fresh").unwrap();
        let Some(Section { content: Content::Bytes(text), .. }) = sections.last() else { panic!("no state") };
        let text = String::from_utf8(text.clone()).unwrap();
        let tried = history.tried.get(&summary.number.0);
        assert!(tried.is_some_and(|tried| tried.contains(&text)), "{}: {text}, {history:?}", summary.number);
    }
}

/// The store is lost as well: what the segments alone bring back holds everything promised, too.
fn assert_rebuilds(disk: &Disk, history: &History) {
    let machine = Machine::with(disk.without_store(), None);
    let survey = Survey::of(&SegmentStore::on(machine.segments())).unwrap();
    let head = head::read(machine.root().as_ref()).unwrap();
    let rebuilt = rebuild::decide(&survey, head.as_ref());
    if let (Some(tried), false) = (history.tried.keys().last(), survey.manifests.is_empty()) {
        assert!(rebuilt.highest.0 >= history.promised && rebuilt.highest.0 <= *tried, "{rebuilt:?}, {history:?}");
    }
    let mut batch = StoreBatch::default();
    rebuild::values(&rebuilt).unwrap().into_iter().for_each(|(key, value)| batch.put(key, value).unwrap());
    machine.store().apply(&batch).unwrap();
    let checkpoints = open(&machine).unwrap();
    let latest = checkpoints.latest().unwrap().map_or(0, |manifest| manifest.number.0);
    assert!(latest >= history.promised, "checkpoint {latest}, {history:?}");
    assert!(checkpoints.marks().unwrap().get("out").map_or(0, |mark| mark.step.0) >= history.promised);
    assert_whole(&checkpoints, history);
    let mut history = history.clone();
    note_listed_again(&checkpoints, &history);
    commit(&checkpoints, &mut history).unwrap();
    checkpoints.retain(Retention::last(1), None).unwrap();
    assert_whole(&checkpoints, &history);
}

/// Of what was listed before, nothing has other contents now.
fn note_listed_again(checkpoints: &CheckpointStore, history: &History) {
    for summary in checkpoints.list() {
        if let Some(before) = history.listed.get(&summary.number.0) {
            assert_eq!(*before, summary.manifest, "checkpoint {} has other contents than before", summary.number);
        }
    }
}

/// A life on what a crash has left: everything promised is there, and it can go on.
fn assert_recovers(disk: &Disk, history: &History) {
    let mut history = history.clone();
    let machine = Machine::with(disk.clone(), None);
    let checkpoints = open(&machine).unwrap();
    let latest = checkpoints.latest().unwrap().map_or(0, |manifest| manifest.number.0);
    assert!(latest >= history.promised, "checkpoint {latest}, {history:?}");
    assert_eq!(checkpoints.notes(), [] as [String; 0]);
    let mark = checkpoints.marks().unwrap().get("out").map_or(0, |mark| mark.step.0);
    assert!(mark >= history.mark, "mark {mark}, {history:?}");
    note_listed(&checkpoints, &mut history);
    assert_whole(&checkpoints, &history);
    for _ in 0..2 {
        commit(&checkpoints, &mut history).unwrap();
        note_listed(&checkpoints, &mut history);
        assert_eq!(checkpoints.retain(Retention::last(1), None).unwrap().failed, 0);
        assert_whole(&checkpoints, &history);
    }
}

/// How many writes a script makes when nothing goes wrong.
fn writes(script: &[Act]) -> usize {
    let machine = Machine::default();
    play(&machine, script, &mut History::default());
    machine.writes()
}

#[test]
fn a_crash_at_any_write_leaves_everything_promised_whatever_was_not_synchronised() {
    for script in scripts() {
        let mut seen: Vec<(Disk, u64, u64)> = Vec::new();
        for at in 0..=writes(&script) {
            let machine = Machine::with(Disk::default(), Some(Fault::Dies(at)));
            let mut history = History::default();
            play(&machine, &script, &mut history);
            for disk in machine.survivors() {
                let key = (disk, history.promised, history.mark);
                if !seen.contains(&key) {
                    assert_recovers(&key.0, &history);
                    assert_rebuilds(&key.0, &history);
                    seen.push(key);
                }
            }
        }
    }
}

#[test]
fn a_second_crash_while_recovering_leaves_everything_promised() {
    let script = [Act::Commit, Act::Commit, Act::RetainOne, Act::Commit, Act::RetainOne];
    let again = [Act::Reopen, Act::Commit, Act::RetainOne];
    for first in 0..=writes(&script) {
        let machine = Machine::with(Disk::default(), Some(Fault::Dies(first)));
        let mut history = History::default();
        play(&machine, &script, &mut history);
        let survivors = machine.survivors();
        for disk in survivors.first().into_iter().chain(survivors.last()) {
            for second in 0..24 {
                let machine = Machine::with(disk.clone(), Some(Fault::Dies(second)));
                let mut history = history.clone();
                play(&machine, &again, &mut history);
                let [few, .., many] = &machine.survivors()[..] else { continue };
                assert_recovers(few, &history);
                assert_recovers(many, &history);
            }
        }
    }
}

#[test]
fn a_write_that_fails_costs_an_act_and_never_a_checkpoint() {
    for script in scripts() {
        let mut seen: Vec<(Disk, u64, u64)> = Vec::new();
        for at in 0..writes(&script) {
            for fault in [Fault::Fails(at), Fault::FailsAndIsDone(at)] {
                let machine = Machine::with(Disk::default(), Some(fault));
                let mut history = History::default();
                play(&machine, &[&script[..], &[Act::Commit, Act::RetainOne]].concat(), &mut history);
                let committed = history.tried.keys().last().copied();
                assert_eq!(Some(history.promised), committed, "{fault:?}: checkpoints go on afterwards");
                for disk in machine.survivors() {
                    let key = (disk, history.promised, history.mark);
                    if !seen.contains(&key) {
                        assert_recovers(&key.0, &history);
                        seen.push(key);
                    }
                }
            }
        }
    }
}

#[test]
fn a_second_owner_between_any_two_writes_takes_over_and_nothing_is_mixed() {
    let script = [Act::Commit, Act::Commit, Act::RetainOne, Act::Commit];
    for at in 0..writes(&script) {
        let machine = Machine::default();
        let taken: Arc<Mutex<Option<(CheckpointStore, History)>>> = Arc::default();
        let (elsewhere, into) = (machine.clone(), Arc::clone(&taken));
        machine.intrude(
            at,
            Box::new(move || {
                // It begins with other states than the first owner's.
                let mut history = History { states: 100, ..History::default() };
                let second = open(&elsewhere).and_then(|second| {
                    second.latest()?;
                    commit(&second, &mut history)?;
                    Ok(second)
                });
                *into.lock() = second.ok().map(|second| (second, history));
            }),
        );
        let mut first = History::default();
        play(&machine, &script, &mut first);
        let Some((second, mut history)) = taken.lock().take() else { continue };
        // Of two that open at the same time the later one may win.
        if second.still_owner().is_err() {
            continue;
        }
        assert!(first.promised <= history.promised, "write {at}: {first:?}, {history:?}");
        for (number, tried) in first.tried {
            history.tried.entry(number).or_default().extend(tried);
        }
        assert_whole(&second, &history);
        commit(&second, &mut history).unwrap();
        for disk in machine.survivors() {
            assert_recovers(&disk, &history);
        }
    }
}

#[test]
fn what_nobody_needs_is_removed_after_crashes_too() {
    let script = [Act::Commit, Act::Commit, Act::RetainOne, Act::Commit, Act::RetainOne];
    let mut disk = Disk::default();
    let mut history = History::default();
    for at in (0..60).rev() {
        let machine = Machine::with(disk.clone(), Some(Fault::Dies(at)));
        play(&machine, &script, &mut history);
        disk = machine.survivors().pop().unwrap();
    }
    let machine = Machine::with(disk, None);
    let checkpoints = open(&machine).unwrap();
    for _ in 0..4 {
        commit(&checkpoints, &mut history).unwrap();
        checkpoints.retain(Retention::last(1), None).unwrap();
    }
    let left = checkpoints.segments().list().unwrap().len();
    assert!(left <= 12, "{left} segments are left");
}
