use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::book::{Book, Bounds, Entry, Standing};
use super::{Effect, EffectChange, EffectReach, EffectState, change_effects, list_effects, stored};
use crate::checkpoint::{Content, Section};
use crate::journal::record::{OutboxEffect, OutboxRecord, Outcome, OutcomeRecord, Record};
use crate::journal::{Journal, JournalPosition};
use crate::operator::SnapshotMode;
use crate::sink::EffectPayload;
use crate::step::{Incarnation, Shard, StepNumber};

fn effect(row: u32) -> Arc<Effect> {
    let payload = EffectPayload { key: None, body: vec![b'x'; 100] };
    let id = format!("p/0/1/page/0/7/{row}").into();
    Arc::new(Effect { id, sink: "page".to_owned(), input: 0, step: StepNumber(7), row, payload })
}

fn ended(row: u32, outcome: Outcome) -> OutcomeRecord {
    let reason = (outcome == Outcome::Dead).then(|| "refused".to_owned());
    OutcomeRecord { sink: "page".to_owned(), effect: effect(row).id.to_string(), outcome, attempts: 1, reason, time: 5 }
}

fn rows_by_state(book: &Book) -> BTreeMap<EffectState, Vec<u32>> {
    let mut rows: BTreeMap<EffectState, Vec<u32>> = BTreeMap::new();
    book.entries().for_each(|entry| rows.entry(entry.standing.state()).or_default().push(entry.effect.row));
    rows
}

#[test]
fn beyond_the_bound_the_oldest_dead_effects_are_forgotten() {
    let one = effect(0).bytes();
    for bounds in [Bounds { dead: 2, ..Bounds::NONE }, Bounds { dead_bytes: 2 * one + one / 2, ..Bounds::NONE }] {
        let mut book = Book::new(bounds);
        (0..5).for_each(|row| book.intend(effect(row)));
        for (row, at) in [(4, 10), (0, 20), (2, 30)] {
            assert_eq!(book.apply(&ended(row, Outcome::Dead), JournalPosition(at)), None);
        }
        let expected = [(EffectState::Intended, vec![1, 3]), (EffectState::Dead, vec![0, 2])];
        assert_eq!(rows_by_state(&book), BTreeMap::from(expected));
    }
}

#[test]
fn the_room_of_a_sink_is_what_its_own_intended_effects_leave() {
    let one = effect(0).bytes();
    let mut book = Book::new(Bounds { intended: 3, intended_bytes: 10 * one, ..Bounds::NONE });
    (0..2).for_each(|row| book.intend(effect(row)));
    book.intend(effect(1));
    let mut room = book.room("page");
    assert!(room.take(one) && !room.take(one));
    let mut other = book.room("other");
    assert!(other.take(one) && other.take(9 * one) && !other.take(1), "bytes are bounded, too");
    book.apply(&ended(0, Outcome::Dead), JournalPosition(1));
    let mut room = book.room("page");
    assert!(room.take(one) && room.take(one) && !room.take(one), "what is dead does not wait");
}

#[test]
fn what_comes_and_goes_between_two_checkpoints_is_in_neither() {
    let mut book = Book::new(Bounds::NONE);
    for row in 0..1000 {
        book.intend(effect(row));
        book.apply(&ended(row, Outcome::Done), JournalPosition(row.into()));
    }
    assert_eq!(stored::snapshot(&mut book, SnapshotMode::Changes).unwrap(), []);
}

fn sections(batches: Vec<(String, arrow::array::RecordBatch)>) -> Vec<Section> {
    let section = |(name, batch)| Section { node: String::new(), name, content: Content::Batch(batch) };
    batches.into_iter().map(section).collect()
}

/// What may happen to an effect, as numbers that a property test chooses.
fn happen(book: &mut Book, log: &mut Vec<(u32, Option<Outcome>)>, row: u32, what: u8) {
    let standing = book.get(&effect(row).id).map(|entry| entry.standing.clone());
    let known = log.iter().any(|(of, _)| *of == row);
    let outcome = match (standing, what) {
        (None, _) if !known => None,
        (Some(Standing::Intended { .. }), 0) => Some(Outcome::Done),
        (Some(Standing::Intended { .. }), 1) => Some(Outcome::Dead),
        (Some(_), 2) => Some(Outcome::Discarded),
        (Some(Standing::Dead { .. }), _) => Some(Outcome::Retried),
        _ => return,
    };
    log.push((row, outcome));
    replay(book, log, log.len() - 1);
}

#[test]
fn what_a_sink_has_given_up_is_kept_until_it_is_told_and_an_outcome_read_twice_is_one() {
    let mut book = Book::new(Bounds { dead: 1, ..Bounds::NONE });
    book.read_letters_of(std::iter::once("page".to_owned()).collect());
    (0..3).for_each(|row| book.intend(effect(row)));
    let tried = |attempts, time| {
        let reason = Some(format!("failure {attempts}"));
        OutcomeRecord { attempts, time, reason, ..ended(0, Outcome::Tried) }
    };
    for record in [tried(1, 1), tried(2, 2), tried(1, 1), tried(2, 2)] {
        book.apply(&record, JournalPosition(1));
    }
    for (row, at) in [(0, 10), (1, 20), (2, 30)] {
        book.apply(&OutcomeRecord { attempts: 3, ..ended(row, Outcome::Dead) }, JournalPosition(at));
    }
    let (sink, letters) = book.letters(2, usize::MAX).unwrap();
    let history: Vec<u64> = letters[0].history.iter().map(|failure| failure.attempt.into()).collect();
    assert_eq!(
        (sink.as_str(), letters.len(), history),
        ("page", 2, vec![1, 2, 3]),
        "more are kept than the bound says"
    );
    letters.iter().for_each(|letter| book.told(&letter.effect));
    assert!(book.has_letters() && book.letters(9, 1).unwrap().1.len() == 1);
    book.told(&effect(2).id);
    assert!(!book.has_letters());
    assert_eq!(
        rows_by_state(&book),
        BTreeMap::from([(EffectState::Dead, vec![2])]),
        "what is told is forgotten as ever"
    );
}

fn replay(book: &mut Book, log: &[(u32, Option<Outcome>)], from: usize) {
    for (index, (row, outcome)) in log.iter().enumerate().skip(from) {
        match outcome {
            None => book.intend(effect(*row)),
            Some(outcome) => drop(book.apply(&ended(*row, *outcome), JournalPosition(index as u64))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_checkpoint_and_any_journal_that_reaches_behind_it_give_the_same_book(
        events in prop::collection::vec((0_u32..6, 0_u8..4), 1..60),
        checkpoints in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..5),
        reach in any::<prop::sample::Index>(),
    ) {
        let (mut book, mut log, mut chain) = (Book::new(Bounds::NONE), Vec::new(), Vec::new());
        let mut newest = 0;
        for (number, (row, what)) in events.iter().enumerate() {
            happen(&mut book, &mut log, *row, *what);
            for (_, full) in checkpoints.iter().filter(|(at, _)| at.index(events.len()) == number) {
                let mode = if *full { SnapshotMode::Full } else { SnapshotMode::Changes };
                if *full {
                    chain.clear();
                }
                chain.extend(sections(stored::snapshot(&mut book, mode).unwrap()));
                newest = log.len();
            }
        }
        let mut again = Book::new(Bounds::NONE);
        stored::restore(&mut again, chain).unwrap();
        // The journal behind the checkpoint's step: it may begin before what the checkpoint holds of effects.
        replay(&mut again, &log, reach.index(newest + 1));
        let all = |book: &Book| book.entries().cloned().collect::<Vec<Entry>>();
        prop_assert_eq!(all(&again), all(&book));
    }
}

/// A directory whose journal intends three effects and gives up the first.
fn directory_with_effects(directory: &Path) -> Vec<String> {
    let (journal, _) = Journal::open(directory, Incarnation(1), Shard(0)).unwrap();
    let effects = (0..3).map(|row| {
        let effect = effect(row);
        OutboxEffect { step: effect.step, row, payload: effect.payload.clone() }
    });
    let (sink, through) = ("page".to_owned(), StepNumber(7));
    let record = OutboxRecord { sink, input: 0, through, effects: effects.collect() };
    journal.append(&Record::Outbox(record)).unwrap();
    journal.append(&Record::Outcome(ended(0, Outcome::Dead))).unwrap();
    journal.append(&Record::Outcome(ended(1, Outcome::Done))).unwrap();
    (0..3).map(|row| effect(row).id.to_string()).collect()
}

fn states(directory: &Path, reach: EffectReach) -> Vec<EffectState> {
    list_effects(directory, "p", reach).unwrap().iter().map(|listed| listed.state).collect()
}

#[test]
fn without_an_owner_effects_are_listed_and_changed_under_their_ids() {
    let directory = tempfile::tempdir().unwrap();
    let ids = directory_with_effects(directory.path());
    let states = |reach| states(directory.path(), reach);
    assert_eq!(states(EffectReach::Journal), [EffectState::Dead, EffectState::Done, EffectState::Intended]);

    let retried = change_effects(directory.path(), "p", EffectChange::Retry, &ids).unwrap();
    assert_eq!(retried.changed, ids[..1]);
    let reasons: Vec<&str> = retried.unchanged.iter().map(|unchanged| unchanged.reason.as_str()).collect();
    assert!(reasons[0].contains("done") && reasons[1].contains("being tried"), "{reasons:?}");
    assert_eq!(states(EffectReach::Checkpoint), [EffectState::Intended, EffectState::Done, EffectState::Intended]);

    let discarded = change_effects(directory.path(), "p", EffectChange::Discard, &ids[2..]).unwrap();
    assert_eq!(discarded.changed, ids[2..]);
    let expected = [EffectState::Intended, EffectState::Done, EffectState::Discarded];
    assert_eq!(states(EffectReach::Checkpoint), expected);
}

#[test]
fn changing_effects_of_a_pipeline_that_never_ran_is_an_error_and_makes_no_directory() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("never");
    let error = change_effects(&directory, "never", EffectChange::Retry, &["x".to_owned()]).unwrap_err();
    assert!(error.message.contains("never") && !directory.exists(), "{error}");
}

#[test]
fn an_effect_that_was_delivered_while_it_was_discarded_is_listed_as_done() {
    let directory = tempfile::tempdir().unwrap();
    let ids = directory_with_effects(directory.path());
    change_effects(directory.path(), "p", EffectChange::Discard, &ids[2..]).unwrap();
    let (journal, _) = Journal::open(directory.path(), Incarnation(1), Shard(0)).unwrap();
    journal.append(&Record::Outcome(ended(2, Outcome::Done))).unwrap();
    drop(journal);
    assert_eq!(states(directory.path(), EffectReach::Checkpoint)[2], EffectState::Done);
}

#[test]
fn effects_of_a_checkpoint_in_the_first_form_are_read() {
    #[derive(serde::Serialize)]
    struct First {
        effect: Arc<Effect>,
        standing: FirstStanding,
    }
    #[derive(serde::Serialize)]
    enum FirstStanding {
        Intended,
        Dead { at: JournalPosition, attempts: u32, reason: Option<String> },
    }
    let dead = FirstStanding::Dead { at: JournalPosition(7), attempts: 3, reason: Some("refused".to_owned()) };
    let entries = [(1, FirstStanding::Intended), (2, dead)];
    let (ids, bytes): (Vec<String>, Vec<Vec<u8>>) = entries
        .into_iter()
        .map(|(row, standing)| {
            let first = First { effect: effect(row), standing };
            (first.effect.id.to_string(), postcard::to_stdvec(&first).unwrap())
        })
        .unzip();
    let batch = arrow::array::RecordBatch::try_from_iter([
        ("id", Arc::new(arrow::array::StringArray::from(ids)) as _),
        ("entry", Arc::new(arrow::array::BinaryArray::from_iter_values(bytes)) as _),
    ]);
    let mut book = Book::new(Bounds::NONE);
    stored::restore(&mut book, sections(vec![("effects.v1".to_owned(), batch.unwrap())])).unwrap();
    let standings: Vec<Standing> = book.entries().map(|entry| entry.standing.clone()).collect();
    let (at, reason, history) = (JournalPosition(7), Some("refused".to_owned()), Vec::new());
    let dead = Standing::Dead { at, attempts: 3, reason, time: 0, history, told: true };
    assert_eq!(standings, [Standing::NEW, dead]);
}

#[test]
fn only_what_is_to_be_delivered_is_pending() {
    let mut book = Book::new(Bounds::NONE);
    (0..2).for_each(|row| book.intend(effect(row)));
    book.apply(&ended(0, Outcome::Dead), JournalPosition(1));
    let one_waits = sections(stored::snapshot(&mut book, SnapshotMode::Full).unwrap());
    assert!(super::any_intended(one_waits).unwrap());
    book.apply(&ended(1, Outcome::Dead), JournalPosition(2));
    let all_dead = sections(stored::snapshot(&mut book, SnapshotMode::Full).unwrap());
    assert!(!super::any_intended(all_dead).unwrap() && !super::any_intended(Vec::new()).unwrap());
}

#[test]
fn an_effect_has_the_id_of_the_incarnation_that_journaled_it() {
    let directory = tempfile::tempdir().unwrap();
    for incarnation in [1, 5] {
        let (journal, _) = Journal::open(directory.path(), Incarnation(incarnation), Shard(0)).unwrap();
        let payload = EffectPayload { key: None, body: b"{}".to_vec() };
        let effects = vec![OutboxEffect { step: StepNumber(7), row: incarnation, payload }];
        let (sink, through) = ("page".to_owned(), StepNumber(7));
        journal.append(&Record::Outbox(OutboxRecord { sink, input: 0, through, effects })).unwrap();
        futures::executor::block_on(journal.sync(journal.end())).unwrap();
    }
    let listed = list_effects(directory.path(), "p", EffectReach::Journal).unwrap();
    let ids: Vec<&str> = listed.iter().map(|listed| &*listed.effect.id).collect();
    assert_eq!(ids, ["p/0/1/page/0/7/1", "p/0/5/page/0/7/5"]);
}
