//! The journal on a disk that fails: nothing that was promised is lost, nothing is promised afterwards, and the next
//! life goes on.

use super::*;
use crate::error::Retry;

/// What happens at each of these points in the life below.
const POINTS: [&str; 5] = ["journal.create", "journal.write", "journal.sync", "journal.mark", "directory.sync"];

/// Long enough that each step but the first begins a file.
const LENGTH: usize = 1_200;

/// Appends the steps from `first` to 6, waiting for every second one; how many were promised, and what went wrong.
fn live(journal: &Journal, first: u64) -> (u64, Option<Error>) {
    let mut promised = first - 1;
    for number in first..=6 {
        let appended = journal.append(&step(number, LENGTH));
        let synced = appended.and_then(|position| match number % 2 {
            0 => futures::executor::block_on(journal.sync(position)).map(|()| promised = number),
            _ => Ok(()),
        });
        if let Err(error) = synced {
            return (promised, Some(error));
        }
    }
    (promised, None)
}

fn all() -> Vec<Record> {
    (1..=6).map(|number| step(number, LENGTH)).collect()
}

/// Lives once on a disk with `fault` and once on a good one. Whether the fault was met.
fn assert_survived(fault: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let (promised, error) = match Journal::open_on(Disk::failing(fault), directory.path()) {
        Ok((journal, _)) => live(&journal, 1),
        Err(error) => (0, Some(error)),
    };
    if let Some(error) = &error {
        assert!(error.message.contains("cannot"), "{fault}: {error}");
        assert!(error.message.contains(&directory.path().display().to_string()), "{fault}: no place: {error}");
        let full = !fault.ends_with("eio");
        assert_eq!(
            error.remedy.as_deref().is_some_and(|remedy| remedy.contains("make room")),
            full,
            "{fault}: {error}"
        );
    }
    let (journal, recovery) = open_rotating(directory.path()).unwrap_or_else(|error| panic!("{fault}: {error}"));
    assert!(recovery.last_step.0 >= promised, "{fault}: {recovery:?}, but step {promised} was promised");
    let found = records(journal.read(StepNumber::ZERO)).unwrap();
    assert_eq!(found, all()[..found.len()], "{fault}");
    let (promised, went_wrong) = live(&journal, recovery.last_step.0 + 1);
    assert_eq!((promised, went_wrong.is_none()), (6, true), "{fault}");
    assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), all(), "{fault}");
    error.is_some()
}

#[test]
fn each_fault_at_each_place_stops_with_its_reason_and_loses_nothing_that_was_promised() {
    for point in POINTS {
        for kind in ["eio", "enospc", "short"] {
            let met = (1..=4).filter(|pass| assert_survived(&format!("{point}:{pass}={kind}"))).count();
            assert!(met >= 2, "{point}={kind} was met {met} times");
            assert!(assert_survived(&format!("{point}:1+={kind}")));
        }
    }
}

#[tokio::test]
async fn after_a_failed_synchronisation_the_journal_has_failed_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open_on(Disk::failing("journal.sync:2=eio"), directory.path()).unwrap();
    let first = append_and_sync(&journal, &step(1, 10)).await;
    let second = journal.append(&step(2, 10)).unwrap();
    // The fault is over, but what it has cost nobody knows: a second attempt would succeed without writing anything.
    for _ in 0..2 {
        let error = journal.sync(second).await.unwrap_err();
        assert!(error.message.contains("cannot synchronise") && error.retry == Retry::Never, "{error}");
    }
    assert!(journal.append(&step(3, 10)).is_err());
    assert!(journal.read(StepNumber::ZERO).is_err());
    assert_eq!(journal.durable(), first);
    journal.sync(first).await.unwrap();
}

#[tokio::test]
async fn what_was_not_known_to_be_durable_is_written_again_before_it_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let written = crashed(directory.path(), 4, 2, 10_000).await;
    let error = Journal::open_on(Disk::failing("journal.rewrite=eio"), directory.path()).unwrap_err();
    assert!(error.message.contains("cannot write again"), "{error}");
    let (journal, recovery) = open(directory.path()).unwrap();
    assert_eq!((recovery.last_step, recovery.torn), (StepNumber(4), None));
    assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), written);
    drop(journal);
    // After an orderly end there is nothing to write again.
    assert!(Journal::open_on(Disk::failing("journal.rewrite=eio"), directory.path()).is_ok());
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open_on(Disk::failing("journal.remove:2=eio"), directory.path()).unwrap();
    for number in 1..=5 {
        append_and_sync(&journal, &step(number, LENGTH)).await;
    }
    assert!(journal.discard_before(StepNumber(4)).is_err());
    assert!(!file_of(directory.path(), 1).exists() && file_of(directory.path(), 2).exists());
    assert!(journal.discard_before(StepNumber(4)).unwrap() > 0);
    assert_eq!(records(journal.read(StepNumber(4))).unwrap(), [step(4, LENGTH), step(5, LENGTH)]);
}
