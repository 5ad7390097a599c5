//! What a dispatching sink and its outbox promise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{Outcome, Record};
use tidegate_pipeline::runtime::{EffectChange, EffectReach, EffectState, RunOutcome, change_effects, list_effects};
use tidegate_pipeline::sink::Attempt;
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches, rows};
use crate::stage::{Stage, checkpoints, rows_in, steps};

const PLAIN: &str = "
sources: {in: {given: {}}}
sinks: {page: {from: in, dispatch: {}}}
";

fn again() -> Attempt {
    Attempt::Again { reason: "not now".to_owned(), after: None }
}

/// How the effects of a stage ended, by outcome and reason, as its journal says.
fn outcomes(stage: &Stage) -> BTreeMap<(&'static str, Option<String>), usize> {
    let mut counts = BTreeMap::new();
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        if let Record::Outcome(ended) = record.unwrap().1
            && ended.outcome != Outcome::Tried
        {
            let outcome = if ended.outcome == Outcome::Done { "done" } else { "dead" };
            *counts.entry((outcome, ended.reason)).or_default() += 1;
        }
    }
    counts
}

#[test]
fn effects_that_were_not_delivered_before_a_stop_arrive_after_it_under_the_same_ids() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(30, 10)).endless());
    stage.options.delivery.attempts = 1_000;
    stage.answer = Arc::new(|_| again());
    let attempts = Arc::clone(&stage.attempts);
    let all_tried = |attempts: &Vec<(String, String)>| attempts.iter().collect::<BTreeSet<_>>().len() == 30;
    let outcome = stage.stop_when(|_| all_tried(&attempts.lock())).unwrap();
    assert_eq!(outcome, RunOutcome::Stopped);
    let before: BTreeSet<_> = stage.take_attempts().into_iter().collect();

    stage.answer = Arc::new(|_| Attempt::Done);
    stage.stop_when(|_| attempts.lock().len() >= 30).unwrap();
    let after = stage.take_attempts();
    assert_eq!(after.len(), 30, "each is delivered once");
    assert_eq!(after.into_iter().collect::<BTreeSet<_>>(), before);
}

#[test]
fn attempts_are_counted_over_stops_and_crashes() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(1, 1)).endless());
    stage.options.delivery.attempts = 7;
    stage.answer = Arc::new(|_| again());
    let attempts = Arc::clone(&stage.attempts);
    let listed = |stage: &Stage| list_effects(&stage.directory(), "stage", EffectReach::Checkpoint).unwrap();
    stage.options.delivery.longest = Duration::from_secs(3_600);
    stage.options.delivery.initial = Duration::from_millis(40);
    stage.stop_when(|_| !attempts.lock().is_empty()).unwrap();
    let one = listed(&stage);
    assert_eq!((one[0].state, one[0].attempts), (EffectState::Intended, attempts.lock().len() as u32));
    stage.crash_when(|_| attempts.lock().len() >= 3);
    stage.options.delivery.initial = Duration::from_millis(1);
    stage.options.delivery.longest = Duration::from_millis(5);
    stage.stop_when(|status| status.effects().get("page").is_some_and(|page| page.tally.given_up == 1)).unwrap();
    // An attempt whose record the crash has swallowed is made once more.
    assert!((7..=8).contains(&attempts.lock().len()), "{:?}", attempts.lock().len());
    let dead = listed(&stage);
    assert_eq!((dead[0].state, dead[0].attempts), (EffectState::Dead, 7));
}

#[test]
fn a_status_counts_what_becomes_of_effects() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(3, 3)).endless());
    stage.options.delivery.attempts = 2;
    stage.answer = Arc::new(|body| match body.contains("\"n\":1,") {
        true => again(),
        false => Attempt::Done,
    });
    let counted = std::cell::Cell::default();
    stage
        .stop_when(|status| {
            counted.set(status.effects().get("page").copied().unwrap_or_default());
            let tally = counted.get().tally;
            tally.done + tally.given_up == 3
        })
        .unwrap();
    let (counts, tally) = (counted.get(), counted.get().tally);
    assert_eq!((counts.intended, tally.attempts, tally.done, tally.given_up), (0, 4, 2, 1));
}

#[test]
fn what_was_delivered_is_not_delivered_again_by_the_next_start() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(40, 10)));
    // Slow enough that the last checkpoint is made before the last effects are done.
    stage.answer = Arc::new(|_| {
        std::thread::sleep(Duration::from_millis(3));
        Attempt::Done
    });
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.take_attempts().len(), 40);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished);
    assert_eq!(stage.take_attempts(), []);
}

#[test]
fn a_refused_effect_is_dead_and_one_that_fails_too_often_too_and_then_the_run_ends() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(3, 1)));
    stage.options.delivery.attempts = 4;
    stage.answer = Arc::new(|body| match body {
        body if body.contains("\"n\":0") => Attempt::Refused { reason: "no such place".to_owned() },
        body if body.contains("\"n\":1") => again(),
        _ => Attempt::Done,
    });
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let attempts = stage.take_attempts();
    let tried = |n: &str| attempts.iter().filter(|(_, body)| body.contains(n)).count();
    assert_eq!([tried("\"n\":0"), tried("\"n\":1"), tried("\"n\":2")], [1, 4, 1]);
    let refused = ("dead", Some("no such place".to_owned()));
    let expected = [(refused, 1), (("dead", Some("not now".to_owned())), 1), (("done", None), 1)];
    assert_eq!(outcomes(&stage), BTreeMap::from(expected));
}

#[test]
fn effects_beyond_the_bound_of_the_outbox_are_dead_by_overflow() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(20, 20)));
    stage.options.delivery.bound = 5;
    stage.options.delivery.initial = Duration::from_millis(200);
    stage.options.delivery.longest = Duration::from_millis(200);
    stage.options.delivery.attempts = 2;
    stage.answer = Arc::new(|_| again());
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let overflow = ("dead", Some("overflow".to_owned()));
    assert_eq!(outcomes(&stage), BTreeMap::from([(("dead", Some("not now".to_owned())), 5), (overflow, 15)]));
}

#[test]
fn an_effect_that_waits_for_its_next_attempt_does_not_hold_up_others() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(60, 60)).endless());
    stage.options.delivery.initial = Duration::from_secs(60);
    stage.options.delivery.longest = Duration::from_secs(60);
    stage.answer = Arc::new(|body| if body.contains("\"n\":59") { Attempt::Done } else { again() });
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| attempts.lock().len() == 60).unwrap();
    assert_eq!(outcomes(&stage), BTreeMap::from([(("done", None), 1)]));
}

#[test]
fn a_slow_branch_does_not_delay_the_effects_of_a_fast_one_and_each_edge_has_its_own_mark() {
    let text = "
sources: {in: {given: {}}}
operators: {slow: {from: in, probe: {}}}
sinks: {page: {from: [slow, in], dispatch: {}}}
";
    let stage = Stage::new(text).give("in", Given::new(batches(10, 1)).endless());
    stage.gate.send_replace(false);
    let attempts = Arc::clone(&stage.attempts);
    stage.crash_when(|_| attempts.lock().len() == 10);
    let fast = stage.take_attempts();
    assert!(fast.iter().all(|(id, _)| id.contains("/page/1/")), "{fast:?}");

    stage.gate.send_replace(true);
    stage.stop_when(|status| steps(status) >= 11 && attempts.lock().len() >= 10).unwrap();
    let after = stage.take_attempts();
    let slow: BTreeSet<_> = after.iter().filter(|(id, _)| id.contains("/page/0/")).collect();
    assert_eq!(slow.len(), 10, "what the slow branch owed comes");
    let known: BTreeSet<_> = fast.iter().collect();
    let repeated = after.iter().filter(|(id, _)| id.contains("/page/1/"));
    assert!(repeated.into_iter().all(|attempt| known.contains(attempt)), "no effect leaves under a second id");
}

#[test]
fn nothing_at_or_below_the_mark_is_intended_twice_on_re_execution() {
    let text = "
checkpoint: {every: off}
sources: {in: {given: {}}}
sinks: {page: {from: in, dispatch: {}}, all: {from: in, collect: {}}}
";
    let stage = Stage::new(text).give("in", Given::new(batches(50, 5)).endless());
    let attempts = Arc::clone(&stage.attempts);
    for _ in 0..3 {
        stage.crash_when(|status| attempts.lock().len() >= 50 && rows_in(status, "page") >= 50);
    }
    let mut intended = Vec::new();
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        if let Record::Outbox(record) = record.unwrap().1 {
            intended.extend(record.effects.iter().map(|effect| (effect.step, effect.row)));
        }
    }
    assert_eq!(intended.len(), 50);
    assert_eq!(intended.iter().collect::<BTreeSet<_>>().len(), 50);
    let tried: BTreeSet<_> = stage.take_attempts().into_iter().collect();
    assert_eq!(tried.len(), 50, "one id and one body for each row, in three lives");
}

/// The ids of the effects in a state, as a reader beside the pipeline sees them.
fn ids_in(stage: &Stage, state: EffectState) -> Vec<String> {
    let listed = list_effects(&stage.directory(), "stage", EffectReach::Checkpoint).unwrap();
    listed.iter().filter(|listed| listed.state == state).map(|listed| listed.effect.id.to_string()).collect()
}

fn change(stage: &Stage, change: EffectChange, ids: &[String]) -> usize {
    change_effects(&stage.directory(), "stage", change, ids).unwrap().changed.len()
}

fn refused() -> Attempt {
    Attempt::Refused { reason: "no such place".to_owned() }
}

#[test]
fn a_dead_effect_that_is_retried_between_two_runs_is_delivered_under_its_id() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(3, 1)));
    stage.answer = Arc::new(|body| if body.contains("\"n\":1") { refused() } else { Attempt::Done });
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let dead = ids_in(&stage, EffectState::Dead);
    assert_eq!(dead.len(), 1);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished, "what is dead holds up no end");
    stage.take_attempts();

    assert_eq!(change(&stage, EffectChange::Retry, &dead), 1);
    stage.answer = Arc::new(|_| Attempt::Done);
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let delivered: Vec<String> = stage.take_attempts().into_iter().map(|(id, _)| id).collect();
    assert_eq!(delivered, dead);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished);
}

#[test]
fn dead_effects_are_carried_through_checkpoints_and_retried_by_the_process_that_runs() {
    let text = "checkpoint: {every: 5ms, keep: 1}".to_owned() + PLAIN;
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    let given = Given::new(batches(100, 1)).repeating().with_hook(pause);
    let mut stage = Stage::new(&text).give("in", given);
    stage.answer = Arc::new(|body| if body.contains("\"n\":1,") { refused() } else { Attempt::Done });
    stage.stop_when(|status| checkpoints(status) >= 3 && steps(status) > 20).unwrap();
    stage.crash_when(|status| checkpoints(status) >= 3);
    let dead = ids_in(&stage, EffectState::Dead);
    assert_eq!(dead.len(), 1, "many checkpoints later, after a stop and a crash");

    stage.take_attempts();
    stage.answer = Arc::new(|_| Attempt::Done);
    let (attempts, asked) = (Arc::clone(&stage.attempts), std::cell::Cell::new(false));
    stage
        .stop_when(|status| {
            if checkpoints(status) >= 1 && !asked.replace(true) {
                assert_eq!(change(&stage, EffectChange::Retry, &dead), 1);
                assert_eq!(change(&stage, EffectChange::Retry, &["nothing".to_owned()]), 0);
            }
            attempts.lock().iter().any(|(id, _)| *id == dead[0])
        })
        .unwrap();
    stage.stop_when(|status| checkpoints(status) >= 2).unwrap();
    let times = stage.take_attempts().iter().filter(|(id, _)| *id == dead[0]).count();
    assert_eq!(times, 1, "once, and not again by the next start");
}

#[test]
fn a_discarded_effect_leaves_no_more_and_what_waited_behind_it_goes() {
    let text = "
sources: {in: {given: {}}}
sinks: {page: {from: in, dispatch: {key: k}}}
";
    let mut stage = Stage::new(text).give("in", Given::new(vec![rows([1, 6, 11])]));
    stage.options.delivery.initial = Duration::from_secs(60);
    stage.options.delivery.longest = Duration::from_secs(60);
    stage.answer = Arc::new(|body| if body.contains("\"n\":1,") { again() } else { Attempt::Done });
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| !attempts.lock().is_empty()).unwrap();
    assert!(attempts.lock().iter().all(|(_, body)| body.contains("\"n\":1,")), "its key goes in order");

    let asked = std::cell::Cell::new(false);
    let begun = std::time::Instant::now();
    let outcome = stage.stop_when(|_| {
        if attempts.lock().len() >= 2 && !asked.replace(true) {
            let first = ids_in(&stage, EffectState::Intended)[..1].to_vec();
            assert_eq!(change(&stage, EffectChange::Discard, &first), 1);
        }
        false
    });
    assert_eq!(outcome.unwrap(), RunOutcome::Finished);
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for what was discarded");
    assert_eq!(attempts.lock().iter().filter(|(_, body)| !body.contains("\"n\":1,")).count(), 2);
    assert_eq!(ids_in(&stage, EffectState::Discarded).len(), 1);
}

#[test]
fn what_the_other_side_asks_for_is_waited_for_up_to_a_bound() {
    for (asked, longest, least) in [(150, 1_000, 150), (3_600_000, 100, 100)] {
        let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(1, 1)));
        stage.options.delivery.longest_asked = Duration::from_millis(longest);
        let first = std::sync::atomic::AtomicBool::new(true);
        stage.answer = Arc::new(move |_| match first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => Attempt::Again { reason: "busy".to_owned(), after: Some(Duration::from_millis(asked)) },
            false => Attempt::Done,
        });
        let begun = std::time::Instant::now();
        assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
        assert!(begun.elapsed() >= Duration::from_millis(least) && stage.take_attempts().len() == 2);
    }
}

#[test]
fn one_dead_endpoint_stops_neither_checkpoints_nor_the_effects_of_another_sink() {
    let text = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
operators: {other: {from: in, select: 'n AS m'}}
sinks: {page: {from: in, dispatch: {}}, mail: {from: other, dispatch: {}}}
";
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(5));
        Ok(())
    };
    let mut stage = Stage::new(text).give("in", Given::new(batches(4, 4)).repeating().with_hook(pause));
    stage.options.delivery.bound = 5;
    stage.options.delivery.initial = Duration::from_secs(60);
    stage.options.delivery.longest = Duration::from_secs(60);
    stage.answer = Arc::new(|body| if body.contains("\"m\"") { Attempt::Done } else { again() });
    let attempts = Arc::clone(&stage.attempts);
    let mailed = |attempts: &Vec<(String, String)>| attempts.iter().filter(|(_, body)| body.contains("\"m\"")).count();
    stage.stop_when(|status| checkpoints(status) >= 2 && mailed(&attempts.lock()) >= 20).unwrap();
    assert_eq!(ids_in(&stage, EffectState::Intended).iter().filter(|id| id.contains("/page/")).count(), 5);
    let dead = list_effects(&stage.directory(), "stage", EffectReach::Checkpoint).unwrap();
    let dead = dead.iter().filter(|listed| listed.state == EffectState::Dead && listed.effect.sink == "page");
    assert!(dead.clone().count() > 0 && dead.into_iter().all(|listed| listed.reason.as_deref() == Some("overflow")));
}
