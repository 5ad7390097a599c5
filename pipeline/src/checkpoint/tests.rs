//! What checkpoints promise.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use super::store::StoreBatch;
use super::*;
use crate::error::Result;
use crate::row_hash::RunningHash;
use crate::sink::Mark;
use crate::step::{ContentHash, Incarnation, Position, SchemaVersion, StepNumber, StepTime};

/// A store in memory that outlives the checkpoints that are opened on it.
#[derive(Clone, Default)]
struct Shared(Arc<MemoryStore>);

impl Store for Shared {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.0.get(key)
    }
    fn apply(&self, batch: &StoreBatch) -> Result<()> {
        self.0.apply(batch)
    }
    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.0.scan(prefix)
    }
    fn flush(&self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct Pipeline {
    pub(super) directory: TempDir,
    store: Shared,
    pub(super) checkpoints: CheckpointStore,
}

impl Pipeline {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Shared::default();
        let checkpoints = CheckpointStore::open(directory.path(), Box::new(store.clone())).unwrap();
        Self { directory, store, checkpoints }
    }

    pub(super) fn reopen(&mut self) {
        self.checkpoints = CheckpointStore::open(self.directory.path(), Box::new(self.store.clone())).unwrap();
    }

    pub(super) fn state(&self, text: &str) -> ContentHash {
        self.checkpoints.write_state(&[section(text)]).unwrap()
    }

    pub(super) fn manifest(&self, states: &[ContentHash]) -> Manifest {
        let number = self.checkpoints.next_number();
        let source = SourceState {
            position: Some(Position("[17]".into())),
            schemas: vec![(SchemaVersion(1), vec![0, 255, 16])],
            ..SourceState::default()
        };
        Manifest {
            format: FORMAT,
            number,
            step: StepNumber(number.0 * 10),
            time: StepTime(number.0 as i64 * 1_000),
            incarnation: Incarnation(1),
            owner: self.checkpoints.fence().epoch(),
            definition: self.state("the definition"),
            parent: None,
            sources: BTreeMap::from([("events".to_owned(), source)]),
            nodes: BTreeMap::from([("fresh".to_owned(), NodeState { segments: states.to_vec() })]),
            marks: BTreeMap::from([("rest".to_owned(), mark(number.0 * 10))]),
            finished: false,
            created: number.0 as i64 * 60_000,
            took_ms: 3,
            bytes: 100,
            ..Manifest::default()
        }
    }

    /// Commits a checkpoint whose state is `text`; the segments that it names.
    pub(super) fn commit(&self, text: &str) -> Manifest {
        let manifest = self.manifest(&[self.state(text)]);
        self.checkpoints.commit(manifest.clone()).unwrap();
        manifest
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.checkpoints.list().iter().map(|summary| summary.number.0).collect()
    }

    pub(super) fn damage(&self, hash: &ContentHash) {
        let path = self.directory.path().join("segments").join(format!("{hash}.segment"));
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

fn section(text: &str) -> Section {
    Section { node: "fresh".into(), name: "kept.v1".into(), content: Content::Bytes(text.as_bytes().to_vec()) }
}

fn mark(step: u64) -> Mark {
    Mark { step: StepNumber(step), detail: format!("{{\"length\":{step}}}"), rows: RunningHash::default() }
}

#[test]
fn the_newest_committed_checkpoint_is_found_again_by_its_owner_and_by_readers() {
    let mut pipeline = Pipeline::new();
    assert_eq!(pipeline.checkpoints.latest().unwrap(), None);
    assert_eq!(read_head(pipeline.directory.path()).unwrap(), None);
    pipeline.commit("one");
    let second = pipeline.commit("two");
    pipeline.reopen();
    let latest = pipeline.checkpoints.latest().unwrap().unwrap();
    assert_eq!(Manifest { retained: Vec::new(), ..latest.clone() }, second);
    let listed = list_checkpoints(pipeline.directory.path()).unwrap();
    assert_eq!(listed.iter().map(|summary| summary.number.0).collect::<Vec<_>>(), [2, 1], "the newest is listed, too");
    assert_eq!(latest.retained.iter().map(|summary| summary.number.0).collect::<Vec<_>>(), [1]);
    assert_eq!(pipeline.numbers(), [1, 2]);
    assert_eq!(pipeline.checkpoints.load(CheckpointNumber(1)).unwrap().step, StepNumber(10));
    assert_eq!(pipeline.checkpoints.read_state(&latest.nodes["fresh"], "fresh").unwrap(), [section("two")]);
    assert_eq!(read_head(pipeline.directory.path()).unwrap(), Some(latest.clone()));
    assert_eq!(read_node_state(pipeline.directory.path(), &latest.nodes["fresh"], "fresh").unwrap(), [section("two")]);
    let first = read_manifest(pipeline.directory.path(), &latest.retained[0].manifest).unwrap();
    assert_eq!(first.number, CheckpointNumber(1));
    assert!(pipeline.checkpoints.notes().is_empty());
    assert!(pipeline.checkpoints.load(CheckpointNumber(7)).unwrap_err().message.contains("no checkpoint 7"));
}

#[test]
fn a_checkpoint_that_was_not_committed_does_not_exist() {
    let mut pipeline = Pipeline::new();
    pipeline.commit("one");
    pipeline.state("two");
    pipeline.reopen();
    assert_eq!(pipeline.checkpoints.latest().unwrap().unwrap().number, CheckpointNumber(1));
}

#[test]
fn a_number_is_committed_once_and_only_with_all_its_segments() {
    let pipeline = Pipeline::new();
    let again = pipeline.commit("one");
    assert!(pipeline.checkpoints.commit(again).is_err());
    let unknown = pipeline.manifest(&[ContentHash::of(b"never written")]);
    assert!(pipeline.checkpoints.commit(unknown).unwrap_err().message.contains("is not there"));
    assert_eq!(pipeline.numbers(), [1]);
}

#[test]
fn a_damaged_newest_manifest_or_state_falls_back_to_the_one_before_and_says_so() {
    for of_the_manifest in [true, false] {
        let mut pipeline = Pipeline::new();
        pipeline.commit("one");
        let second = pipeline.commit("two");
        let hash = match of_the_manifest {
            true => pipeline.checkpoints.list()[1].manifest.clone(),
            false => second.nodes["fresh"].segments[0].clone(),
        };
        pipeline.damage(&hash);
        pipeline.reopen();
        assert_eq!(pipeline.checkpoints.latest().unwrap().unwrap().number, CheckpointNumber(1));
        let notes = pipeline.checkpoints.notes();
        assert!(notes.len() == 1 && notes[0].contains("checkpoint 2 cannot be used"), "{notes:?}");
        assert_eq!(read_head(pipeline.directory.path()).unwrap().unwrap().number, CheckpointNumber(1));
        pipeline.commit("two again");
        assert_eq!(pipeline.numbers(), [1, 3], "the number of a damaged checkpoint is not given again");
    }
}

#[test]
fn when_no_checkpoint_is_whole_nothing_begins_anew_by_itself() {
    let pipeline = Pipeline::new();
    let only = pipeline.commit("one");
    pipeline.damage(&only.definition);
    assert!(pipeline.checkpoints.latest().unwrap_err().to_string().contains("--fresh"));
}

#[test]
fn a_collected_segment_is_one_that_nobody_needs() {
    let pipeline = Pipeline::new();
    let base = pipeline.state("base");
    let mut committed = Vec::new();
    for round in 0..12 {
        let manifest = pipeline.manifest(&[base.clone(), pipeline.state(&format!("change {round}"))]);
        pipeline.checkpoints.commit(manifest.clone()).unwrap();
        committed.push(manifest);
        let removed = pipeline.checkpoints.retain(Retention::last(3), None).unwrap();
        assert_eq!(removed.failed, 0);
        let kept: Vec<_> = committed.iter().rev().take(3).collect();
        for manifest in kept {
            for hash in manifest.segments() {
                pipeline.checkpoints.segments().verify(&hash).unwrap();
            }
            pipeline.checkpoints.load(manifest.number).unwrap();
        }
    }
    assert_eq!(pipeline.numbers(), [10, 11, 12]);
    // definition, base, and of each of the last three and of the slack: a change and a manifest.
    assert_eq!(pipeline.checkpoints.segments().list().unwrap().len(), 2 + 2 * 4);
}

#[test]
fn garbage_is_collected_over_many_short_lives_too() {
    let mut pipeline = Pipeline::new();
    for round in 0..10 {
        pipeline.commit(&format!("state {round}"));
        pipeline.checkpoints.retain(Retention::last(1), None).unwrap();
        pipeline.reopen();
    }
    assert!(pipeline.checkpoints.segments().list().unwrap().len() <= 1 + 2 * 3);
}

#[test]
fn contents_that_only_the_journal_names_stay_as_long_as_it_reaches_back() {
    let mut pipeline = Pipeline::new();
    for round in 0..4 {
        pipeline.commit(&format!("state {round}"));
    }
    let lookup = pipeline.state("a file that is replaced before the next checkpoint");
    for round in 4..7 {
        pipeline.reopen();
        pipeline.commit(&format!("state {round}"));
        pipeline.checkpoints.retain(Retention::last(3), None).unwrap();
        pipeline.checkpoints.segments().verify(&lookup).unwrap();
        if round == 5 {
            // Read once more: as good as new.
            pipeline.state("a file that is replaced before the next checkpoint");
        }
    }
    for round in 7..14 {
        pipeline.commit(&format!("state {round}"));
        pipeline.checkpoints.retain(Retention::last(3), None).unwrap();
    }
    assert!(pipeline.checkpoints.segments().verify(&lookup).is_err());
}

#[test]
fn a_segment_that_is_held_outlives_any_number_of_checkpoints_until_it_is_named_or_let_go() {
    let pipeline = Pipeline::new();
    let held = pipeline.checkpoints.write_held(&[section("merged while checkpoints go on")]).unwrap();
    let second = pipeline.checkpoints.hold(held.hash()).unwrap().unwrap();
    let hash = held.hash().clone();
    let more = |count: usize| {
        for _ in 0..count {
            pipeline.commit(&format!("state {}", pipeline.checkpoints.next_number()));
            pipeline.checkpoints.retain(Retention::last(1), None).unwrap();
        }
    };
    let there = || pipeline.checkpoints.segments().verify(&hash).is_ok();
    more(6);
    drop(held);
    more(6);
    assert!(there(), "somebody else still holds it");
    pipeline.checkpoints.commit(pipeline.manifest(std::slice::from_ref(&hash))).unwrap();
    drop(second);
    pipeline.checkpoints.retain(Retention::last(1), None).unwrap();
    assert!(there(), "a checkpoint names it");
    more(3);
    assert!(!there(), "nobody needs it");
    assert!(pipeline.checkpoints.hold(&hash).unwrap().is_none());
}

#[test]
fn what_the_journal_names_stays_as_long_as_the_journal_reaches_back_to_the_step_that_names_it() {
    let mut pipeline = Pipeline::new();
    let first = pipeline.commit("state 0");
    let replaced = pipeline.state("a file that is replaced before the next checkpoint");
    pipeline.checkpoints.journaled(&replaced, first.step.next());
    let definition = pipeline.state("another definition");
    let second = Manifest { definition: definition.clone(), ..pipeline.manifest(&[]) };
    pipeline.checkpoints.commit(second.clone()).unwrap();
    let mut third = pipeline.manifest(&[]);
    third.definition = first.definition.clone();
    pipeline.checkpoints.commit(third).unwrap();
    for round in 3..12 {
        pipeline.commit(&format!("state {round}"));
        pipeline.checkpoints.retain(Retention::last(2), Some(first.step.next())).unwrap();
        pipeline.reopen();
    }
    let there = |hash| pipeline.checkpoints.segments().verify(hash).is_ok();
    assert!(there(&replaced) && there(&definition), "the journal still names them");
    assert!(!there(&first.nodes["fresh"].segments[0]), "it never named the state of a checkpoint");

    pipeline.checkpoints.retain(Retention::last(2), Some(second.step)).unwrap();
    assert!(!there(&replaced) && there(&definition));
    pipeline.checkpoints.retain(Retention::last(2), Some(second.step.next())).unwrap();
    assert!(!there(&definition) && there(&first.definition), "the definition of today stays");
}

#[test]
fn what_cannot_be_deleted_is_counted_and_tried_again() {
    let pipeline = Pipeline::new();
    let stuck = pipeline.commit("one").nodes["fresh"].segments[0].clone();
    let path = pipeline.directory.path().join("segments").join(format!("{stuck}.segment"));
    let aside = path.with_extension("aside");
    fs::rename(&path, &aside).unwrap();
    // A directory of that name cannot be removed as a file.
    fs::create_dir(&path).unwrap();
    let mut failed = 0;
    for round in 0..5 {
        pipeline.commit(&format!("state {round}"));
        failed += pipeline.checkpoints.retain(Retention::last(1), None).unwrap().failed;
    }
    assert!(failed > 0);
    fs::remove_dir(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    for round in 5..9 {
        pipeline.commit(&format!("state {round}"));
        assert_eq!(pipeline.checkpoints.retain(Retention::last(1), None).unwrap().failed, 0);
    }
    assert!(!path.exists());
}

#[test]
fn marks_and_values_are_there_again_and_may_be_long() {
    let mut pipeline = Pipeline::new();
    let long = Mark { step: StepNumber(7), detail: "x".repeat(10_000), rows: RunningHash::default() };
    let marks = BTreeMap::from([("rest".to_owned(), long), ("page/old".to_owned(), mark(3))]);
    pipeline.checkpoints.put_marks(&marks).unwrap();
    pipeline.checkpoints.put_value("incarnation", &Incarnation(4)).unwrap();
    pipeline.reopen();
    assert_eq!(pipeline.checkpoints.marks().unwrap(), marks);
    assert_eq!(pipeline.checkpoints.value("incarnation").unwrap(), Some(Incarnation(4)));
    assert_eq!(pipeline.checkpoints.value::<u32>("clock").unwrap(), None);
    pipeline.checkpoints.put_marks(&BTreeMap::from([("rest".to_owned(), mark(8))])).unwrap();
    let expected = BTreeMap::from([("rest".to_owned(), mark(8)), ("page/old".to_owned(), mark(3))]);
    assert_eq!(pipeline.checkpoints.marks().unwrap(), expected);
    assert!(pipeline.checkpoints.put_value("clock", &"x".repeat(5_000)).is_err());
}

#[test]
fn a_store_that_has_lost_what_it_knew_is_refused_with_the_command_that_rebuilds_it() {
    let pipeline = Pipeline::new();
    pipeline.commit("one");
    let before = pipeline.store.0.scan("").unwrap();
    pipeline.commit("two");
    let open = |store: Shared| CheckpointStore::open(pipeline.directory.path(), Box::new(store)).unwrap_err();
    let old = Shared::default();
    let mut batch = StoreBatch::default();
    before.into_iter().for_each(|(key, value)| batch.put(key, value).unwrap());
    old.0.apply(&batch).unwrap();
    for store in [Shared::default(), old] {
        let (listed, error) = (store.0.scan("").unwrap(), open(store.clone()));
        assert!(error.message.contains("checkpoint 2, which the file `head` names"), "{error}");
        assert!(error.to_string().contains("checkpoint verify") && error.to_string().contains("--rebuild"), "{error}");
        assert_eq!(store.0.scan("").unwrap(), listed, "nothing was changed");
    }
    fs::remove_file(pipeline.directory.path().join("head")).unwrap();
    assert!(open(Shared::default()).message.contains("although there are segments or a journal"));
    fs::remove_dir_all(pipeline.directory.path().join("segments")).unwrap();
    fs::create_dir(pipeline.directory.path().join("journal")).unwrap();
    fs::write(pipeline.directory.path().join("journal/00000000000000000001.journal"), "").unwrap();
    assert!(open(Shared::default()).message.contains("although there are segments or a journal"));
}

#[test]
fn an_owner_that_was_taken_over_can_neither_commit_nor_remove_nor_mark() {
    let pipeline = Pipeline::new();
    pipeline.commit("one");
    let manifest = pipeline.manifest(&[pipeline.state("two")]);
    pipeline.checkpoints.still_owner().unwrap();
    let second = CheckpointStore::open(pipeline.directory.path(), Box::new(pipeline.store.clone())).unwrap();
    assert!(pipeline.checkpoints.still_owner().is_err());
    assert!(
        pipeline.checkpoints.commit(manifest).unwrap_err().message.contains("taken this pipeline's directory over")
    );
    assert!(pipeline.checkpoints.retain(Retention::last(1), None).is_err());
    assert!(pipeline.checkpoints.put_marks(&BTreeMap::from([("rest".to_owned(), mark(99))])).is_err());
    assert_eq!(second.list().len(), 1);
    second.still_owner().unwrap();
    assert_eq!(second.latest().unwrap().unwrap().owner, OwnerEpoch(1));
}

#[test]
fn a_reader_begins_again_when_what_it_reads_is_collected() {
    let pipeline = Pipeline::new();
    let first = pipeline.commit("one");
    let mut seen = Vec::new();
    let read = at_head(pipeline.directory.path(), |manifest| {
        seen.push(manifest.number.0);
        if manifest.number == first.number {
            pipeline.checkpoints.segments().remove(&first.nodes["fresh"].segments[0]).unwrap();
            pipeline.commit("two");
        }
        read_node_state(pipeline.directory.path(), &manifest.nodes["fresh"], "fresh")
    });
    assert_eq!(read.unwrap(), Some(vec![section("two")]));
    assert_eq!(seen, [1, 2]);
}

#[test]
fn checkpoints_in_sled_survive_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let open =
        || CheckpointStore::open(directory.path(), Box::new(SledStore::open(directory.path()).unwrap())).unwrap();
    let pipeline = Pipeline { directory: tempfile::tempdir().unwrap(), store: Shared::default(), checkpoints: open() };
    pipeline.commit("one");
    pipeline.checkpoints.put_marks(&BTreeMap::from([("rest".to_owned(), mark(12))])).unwrap();
    drop(pipeline);
    let checkpoints = open();
    assert_eq!(checkpoints.latest().unwrap().unwrap().number, CheckpointNumber(1));
    assert_eq!(checkpoints.marks().unwrap()["rest"], mark(12));
}
