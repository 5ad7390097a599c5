//! What a dispatching sink and its outbox promise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{Outcome, Record};
use tidegate_pipeline::runtime::RunOutcome;
use tidegate_pipeline::sink::Attempt;
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches};
use crate::stage::{Stage, rows_in, steps};

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
        if let Record::Outcome(ended) = record.unwrap().1 {
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
