//! What `journal:` in a pipeline decides: which input is kept, how long, and how much of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{Record, StepBody};
use tidegate_pipeline::runtime::RunOutcome;
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches, rows};
use crate::stage::{Stage, rows_in, steps};

const PLAIN: &str = "
checkpoint: {every: off}
JOURNAL
sources: {in: {given: {}}}
sinks: {all: {from: in, collect: {}}}
";

fn stage(journal: &str, given: Given) -> Stage {
    Stage::new(&PLAIN.replace("JOURNAL", journal)).give("in", given)
}

/// The steps in the journal whose rows are in it, and those that refer to the source.
fn bodies(stage: &Stage) -> (usize, usize) {
    let (mut inline, mut references) = (0, 0);
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        if let Record::Step(step) = record.unwrap().1 {
            inline += usize::from(matches!(step.body, StepBody::Inline { .. }));
            references += usize::from(matches!(step.body, StepBody::Reference { .. }));
        }
    }
    (inline, references)
}

#[test]
fn with_inline_all_what_can_be_read_again_is_in_the_journal_and_a_restart_reads_none_of_it_twice() {
    let given = Given::new(batches(40, 10));
    let mut stage = stage("journal: {inline: all}", given.clone().endless());
    stage.crash_when(|status| rows_in(status, "all") == 40);
    assert_eq!(bodies(&stage), (4, 0));
    stage.collected("all");

    // What was there is gone at its source; what comes after it is read from there.
    let more: Vec<_> = batches(40, 10).into_iter().map(|_| rows([-1])).chain(batches(60, 10).split_off(4)).collect();
    stage = stage.give("in", Given::new(more));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all"), (0..60).collect::<Vec<_>>());
}

#[test]
fn a_tail_that_is_partly_in_the_journal_and_partly_at_its_source_is_executed_again_once() {
    let given = Given::new(batches(80, 10));
    let lives = [("journal: {inline: auto}", 2), ("journal: {inline: all}", 4), ("journal: {inline: auto}", 6)];
    let mut stage = stage("", given.clone());
    for (journal, until) in lives {
        stage.text = format!("version: 1\nname: stage\n{}", PLAIN.replace("JOURNAL", journal));
        stage = stage.give("in", given.clone().endless().stalling_at(until));
        stage.crash_when(|status| rows_in(status, "all") == 10 * until as u64);
        stage.collected("all");
    }
    assert_eq!(bodies(&stage), (2, 4));
    let stage = stage.give("in", given);
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all"), (0..80).collect::<Vec<_>>());
}

/// About 64 KiB a batch, in which nothing repeats itself.
fn noise(count: i64) -> Vec<arrow::array::RecordBatch> {
    let spread = |n: i64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64).rotate_left(29);
    (0..count).map(|batch| rows((batch * 3_000..(batch + 1) * 3_000).map(spread).map(|n| n / 2_000))).collect()
}

#[test]
fn a_full_journal_makes_sources_wait_for_a_checkpoint_and_stays_within_its_bound() {
    let stage = stage("journal: {bytes: 1MiB, inline: all}", Given::new(noise(80)).endless());
    let most = AtomicUsize::new(0);
    let length = |stage: &Stage| {
        let folder = std::fs::read_dir(stage.directory().join("journal"));
        let files = folder.into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
        files.map(|metadata| metadata.len() as usize).sum::<usize>()
    };
    stage
        .stop_when(|status| {
            most.fetch_max(length(&stage), Ordering::SeqCst);
            rows_in(status, "all") == 240_000
        })
        .unwrap();
    assert_eq!(stage.numbers("all").len(), 240_000, "nothing is lost");
    let most = most.load(Ordering::SeqCst);
    assert!((400_000..1_400_000).contains(&most), "{most} bytes");
}

#[test]
fn a_full_journal_whose_checkpoints_fail_waits_and_goes_on_when_they_no_longer_do() {
    let stage = stage("journal: {bytes: 1MiB, inline: all}", Given::new(noise(40)).endless());
    let (segments, aside) = (stage.directory().join("segments"), stage.directory().join("aside"));
    let phase = std::cell::Cell::new(0);
    let before = std::cell::Cell::new(0);
    stage
        .stop_when(|status| {
            match phase.get() {
                0 if segments.is_dir() && steps(status) >= 2 => {
                    std::fs::rename(&segments, &aside).unwrap();
                    std::fs::write(&segments, "in the way").unwrap();
                    phase.set(1);
                }
                1 if status.checkpoints_failed.load(Ordering::Relaxed) >= 1 => {
                    before.set(rows_in(status, "all"));
                    std::thread::sleep(Duration::from_millis(50));
                    std::fs::remove_file(&segments).unwrap();
                    std::fs::rename(&aside, &segments).unwrap();
                    phase.set(2);
                }
                _ => {}
            }
            rows_in(status, "all") == 120_000
        })
        .unwrap();
    assert!(before.get() < 120_000, "it waited");
    assert_eq!(stage.numbers("all").len(), 120_000);
}

#[test]
fn keep_lets_the_journal_reach_further_back_than_any_checkpoint() {
    let lives = |keep: &str| {
        let journal = format!("checkpoint: {{every: 5ms, keep: 1}}\njournal: {{bytes: 8MiB, inline: all{keep}}}");
        let text = PLAIN.replace("checkpoint: {every: off}", "").replace("JOURNAL", &journal);
        let stage = Stage::new(&text).give("in", Given::new(noise(60)));
        assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
        read_directory(&stage.directory(), StepNumber::ZERO).unwrap().count()
    };
    let (without, with) = (lives(""), lives(", keep: 1h"));
    assert!(without < with, "{without} records are left without, {with} with");
    assert!(with > 60, "all steps are there: {with}");
}
