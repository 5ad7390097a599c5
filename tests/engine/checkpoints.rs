//! Stopping, resuming and what checkpoints hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{EngineEvent, Record, StepBody};
use tidegate_pipeline::runtime::RunOutcome;
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches, rows};
use crate::stage::{Stage, checkpoints, rows_in, steps};

const STATEFUL: &str = "
checkpoint: {every: 1s}
sources: {in: {given: {}}}
operators:
  owned: {from: in, enrich: {table: FOLDER/owners.csv, on: k}}
  fresh: {from: owned, dedupe: {key: [k, n / 9], within: 10s, time: t}}
  last: {from: in, dedupe: {key: k, within: 7s, time: t, keep: last}}
sinks:
  first: {from: fresh, collect: {}}
  last: {from: last, collect: {}}
";

fn stateful(given: Given) -> Stage {
    let stage = Stage::new(&STATEFUL.replace("\n  last: {from: last", "\n  final: {from: last")).give("in", given);
    std::fs::write(stage.folder().join("owners.csv"), "k,owner\nk1,ann\nk2,bob\n").unwrap();
    stage
}

#[test]
fn stopped_at_any_position_and_resumed_it_gives_the_same() {
    let given = Given::new(batches(60, 6));
    let whole = stateful(given.clone());
    whole.run().unwrap();
    let expected = [whole.collected("first"), whole.collected("final")];
    assert!(expected.iter().all(|rows| rows.len() > 5), "{expected:?}");
    for position in 0..=10 {
        let stage = stateful(given.clone()).give("in", given.clone().endless().stalling_at(position));
        let outcome = stage.stop_when(|status| steps(status) >= position as u64 + 2).unwrap();
        assert_eq!(outcome, RunOutcome::Stopped);
        let stage = stage.give("in", given.clone());
        assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
        assert_eq!([stage.collected("first"), stage.collected("final")], expected, "stopped after {position} batches");
    }
}

#[test]
fn checkpoints_go_on_after_one_of_two_sources_has_ended() {
    let text = "
checkpoint: {every: 5ms}
sources: {once: {given: {}}, ever: {given: {}}}
operators: {both: {from: [once, ever], select: n}}
sinks: {all: {from: both, collect: {}}}
";
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    };
    let stage = Stage::new(text)
        .give("once", Given::new(vec![rows(0..3)]))
        .give("ever", Given::new(vec![rows(7..8)]).repeating().with_hook(pause));
    let seen = std::cell::Cell::new(None);
    stage
        .stop_when(|status| {
            let ended =
                status.node("once").is_some_and(|node| node.state() == tidegate_pipeline::runtime::NodeState::Ended);
            if ended && seen.get().is_none() {
                seen.set(Some(checkpoints(status)));
            }
            seen.get().is_some_and(|before| checkpoints(status) >= before + 4)
        })
        .unwrap();
    stage.collected("all");
    stage.stop_when(|status| rows_in(status, "all") > 20).unwrap();
    assert!(stage.numbers("all").iter().all(|n| *n == 7), "what had ended does not begin again");
}

#[test]
fn a_checkpoint_slower_than_its_interval_never_stacks_up() {
    let text = "
checkpoint: {every: 1ms}
sources: {in: {given: {}}}
sinks: {slow: {from: in, hindered: {}}}
";
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    let mut stage = Stage::new(text).give("in", Given::new(vec![rows(0..1)]).repeating().with_hook(pause));
    stage.hindered.commit = Duration::from_millis(40);
    stage.stop_when(|status| checkpoints(status) >= 5).unwrap();
    assert_eq!(stage.hindered.most.load(Ordering::SeqCst), 1);
}

#[test]
fn a_sink_that_does_not_commit_fails_the_checkpoint_by_its_name_and_steps_go_on() {
    let text = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
sinks: {slow: {from: in, hindered: {}}}
";
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    let mut stage = Stage::new(text).give("in", Given::new(vec![rows(0..1)]).repeating().with_hook(pause));
    // The first commit, when the sink is opened, is not one of a checkpoint.
    stage.hindered.commit = Duration::from_millis(200);
    stage.options.commit_within = Duration::from_millis(20);
    let told = std::cell::RefCell::new(String::new());
    let seen = std::cell::Cell::new(0);
    stage
        .stop_when(|status| {
            if let Some(error) = status.last_checkpoint_error.lock().clone() {
                told.replace(error);
                seen.set(if seen.get() == 0 { steps(status) } else { seen.get() });
            }
            status.checkpoints_failed.load(Ordering::Relaxed) >= 2 && steps(status) > seen.get()
        })
        .unwrap_err();
    assert!(told.borrow().contains("has not made its output durable within 20ms"), "{}", told.borrow());
    stage.hindered.commit = Duration::from_millis(1);
    stage.options.commit_within = Duration::from_secs(10);
    stage.stop_when(|status| checkpoints(status) >= 1).unwrap();
}

#[test]
fn the_state_of_a_failed_checkpoint_goes_into_the_next_one() {
    let given = Given::new(batches(60, 6));
    let whole = stateful(given.clone());
    whole.run().unwrap();
    let expected = [whole.collected("first"), whole.collected("final")];

    let mut stage = stateful(given.clone()).give("in", given.clone().endless().stalling_at(7));
    stage.text = stage.text.replace("every: 1s", "every: 5ms");
    let (segments, aside) = (stage.directory().join("segments"), stage.directory().join("aside"));
    let phase = std::cell::Cell::new(0);
    stage
        .stop_when(|status| {
            let failed = status.checkpoints_failed.load(Ordering::Relaxed);
            match phase.get() {
                // Once the files that operators read are in: no segment can be written any more.
                0 if segments.is_dir() && steps(status) >= 2 => {
                    std::fs::rename(&segments, &aside).unwrap();
                    std::fs::write(&segments, "in the way").unwrap();
                    phase.set(1);
                }
                1 if failed >= 2 && steps(status) >= 9 => {
                    std::fs::remove_file(&segments).unwrap();
                    std::fs::rename(&aside, &segments).unwrap();
                    phase.set(2);
                }
                2 => return status.last_checkpoint_error.lock().is_none(),
                _ => {}
            }
            false
        })
        .unwrap();
    let stage = stage.give("in", given);
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!([stage.collected("first"), stage.collected("final")], expected);
}

#[test]
fn a_long_chain_of_changes_is_written_anew_and_restores_right() {
    let given = Given::new(batches(400, 4));
    let whole = stateful(given.clone());
    whole.run().unwrap();
    let expected = [whole.collected("first"), whole.collected("final")];

    let pause = |_| {
        std::thread::sleep(Duration::from_millis(15));
        Ok(())
    };
    let mut stage = stateful(given.clone()).give("in", given.clone().with_hook(pause).endless().stalling_at(90));
    stage.text = stage.text.replace("every: 1s", "every: 1ms");
    stage.stop_when(|status| steps(status) >= 92).unwrap();
    let store = stage.directory();
    let made = std::fs::read_dir(store.join("segments")).unwrap().count();
    assert!(made > 0);
    let stage = stage.give("in", given);
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!([stage.collected("first"), stage.collected("final")], expected);
}

const HELD: &str = "
sources: {in: {given: {}}}
operators: {last: {from: in, dedupe: {key: k, within: 400ms, keep: last}}}
sinks: {all: {from: last, collect: {}}}
";

#[test]
fn a_deadline_is_met_by_a_tick_when_no_other_step_comes() {
    let stage = Stage::new(HELD).give("in", Given::new(vec![rows([1, 6, 11, 2])]).endless());
    stage.stop_when(|status| rows_in(status, "all") == 2).unwrap();
    assert_eq!(stage.numbers("all"), [11, 2]);
}

#[test]
fn a_deadline_survives_a_restart() {
    let stage = Stage::new(HELD).give("in", Given::new(vec![rows([1, 6, 11, 2])]).endless());
    stage.stop_when(|status| rows_in(status, "last") == 4).unwrap();
    assert_eq!(stage.numbers("all"), [] as [i64; 0]);
    stage.stop_when(|status| rows_in(status, "all") == 2).unwrap();
    assert_eq!(stage.numbers("all"), [11, 2]);
}

#[test]
fn a_deadline_survives_a_crash_and_is_met_once() {
    let stage = Stage::new(HELD).give("in", Given::new(vec![rows([1, 6, 11, 2])]).endless());
    stage.crash_when(|status| rows_in(status, "last") == 4);
    stage.stop_when(|status| rows_in(status, "all") == 2).unwrap();
    assert_eq!(stage.numbers("all"), [11, 2]);
    stage.stop_when(|status| steps(status) > 0 || status.node("all").is_some()).unwrap();
    assert_eq!(stage.numbers("all"), [] as [i64; 0]);
}

#[test]
fn a_file_that_changes_is_journaled_as_a_step_and_in_force_after_a_restart() {
    let text = "
sources: {in: {given: {}}}
operators: {owned: {from: in, enrich: {table: FOLDER/owners.csv, on: k}}}
sinks: {all: {from: owned, collect: {}}}
";
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    };
    let stage = Stage::new(text).give("in", Given::new(vec![rows([1])]).repeating().with_hook(pause));
    let owners = stage.folder().join("owners.csv");
    std::fs::write(&owners, "k,owner\nk1,ann\n").unwrap();
    let (before, changed) = (std::cell::Cell::new(false), std::cell::Cell::new(false));
    let collected = Arc::new(parking_lot::Mutex::new(Vec::new()));
    stage
        .stop_when(|status| {
            if rows_in(status, "all") > 3 && !before.replace(true) {
                std::fs::write(&owners, "k,owner\nk1,barbara\n").unwrap();
            }
            collected.lock().extend(stage.collected("all"));
            changed.set(collected.lock().iter().any(|row| row.contains("barbara")));
            changed.get()
        })
        .unwrap();
    let mut loads = 0;
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        if let Record::Step(step) = record.unwrap().1 {
            loads += usize::from(matches!(step.body, StepBody::Engine(EngineEvent::Lookup { .. })));
        }
    }
    assert_eq!(loads, 2);
    stage.collected("all");
    stage.stop_when(|status| rows_in(status, "all") > 3).unwrap();
    let after = stage.collected("all");
    assert!(after.iter().all(|row| row.contains("barbara")), "{after:?}");
}
