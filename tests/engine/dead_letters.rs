//! What a sink has given up comes out of its port `dead_letter`: once each, in a step, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{EngineEvent, Record, StepBody};
use tidegate_pipeline::runtime::{EffectChange, RunOutcome, change_effects};
use tidegate_pipeline::sink::Attempt;
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches};
use crate::stage::Stage;

const TOLD: &str = "
sources: {in: {given: {}}}
sinks:
  page: {from: in, dispatch: {}}
  letters: {from: page.dead_letter, collect: {}}
";

fn refused() -> Attempt {
    Attempt::Refused { reason: "no such place".to_owned() }
}

/// The letters that a collecting sink has taken.
fn letters(stage: &Stage, sink: &str) -> Vec<serde_json::Value> {
    stage.collected(sink).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often the journal tells each effect's death.
fn told(stage: &Stage) -> Vec<String> {
    let mut told = Vec::new();
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        if let Record::Step(step) = record.unwrap().1
            && let StepBody::Engine(EngineEvent::GivenUp { letters, .. }) = step.body
        {
            told.extend(letters.into_iter().map(|letter| letter.effect));
        }
    }
    told.sort();
    told
}

#[test]
fn an_effect_that_is_given_up_becomes_a_row_that_says_why_before_the_run_ends() {
    let mut stage = Stage::new(TOLD).give("in", Given::new(batches(3, 3)));
    stage.options.delivery.attempts = 3;
    stage.answer = Arc::new(|body| match body {
        body if body.contains("\"n\":0") => refused(),
        body if body.contains("\"n\":1") => Attempt::Again { reason: "busy".to_owned(), after: None },
        _ => Attempt::Done,
    });
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let mut found = letters(&stage, "letters");
    found.sort_by_key(|letter| letter["row"].as_u64());
    assert_eq!(found.len(), 2);
    let text = |letter: usize, name: &str| found[letter][name].to_string();
    assert_eq!(
        (text(0, "node"), text(0, "reason"), text(0, "attempts")),
        ("\"page\"".into(), "\"no such place\"".into(), "1".into())
    );
    assert!(text(0, "body").contains("\\\"n\\\":0"), "{}", found[0]);
    assert_eq!(found[1]["history"].as_array().unwrap().len(), 3, "{}", found[1]);
    assert_eq!(found[1]["history"][0]["reason"], "busy");
    assert!(text(1, "given_up_at").contains("20"), "{}", found[1]);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished);
}

#[test]
fn what_overflows_the_outbox_is_told_too_and_letters_of_letters_come_before_the_end() {
    let text = "
sources: {in: {given: {}}}
sinks:
  page: {from: in, dispatch: {}}
  ticket: {from: page.dead_letter, dispatch: {}}
  lost: {from: ticket.dead_letter, collect: {}}
";
    let mut stage = Stage::new(text).give("in", Given::new(batches(20, 20)));
    stage.options.delivery.bound = 5;
    stage.options.delivery.attempts = 1;
    stage.answer = Arc::new(|_| refused());
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let found = letters(&stage, "lost");
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|letter| letter["node"] == "ticket"));
    let overflown = found.iter().filter(|letter| letter["body"].to_string().contains("overflow")).count();
    assert!(overflown >= 15, "{overflown}");
}

#[test]
fn a_crash_between_a_death_and_its_row_neither_loses_nor_doubles_the_row() {
    for round in 0..12_u64 {
        let mut stage = Stage::new(TOLD).give("in", Given::new(batches(40, 4)));
        stage.answer = Arc::new(|_| refused());
        stage.options.delivery.concurrency = 2;
        for life in 0..4 {
            let attempts = Arc::clone(&stage.attempts);
            let enough = attempts.lock().len() + 3 + (round as usize * 7 + life * 5) % 11;
            if !stage.crash_or_end_when(|_| attempts.lock().len() >= enough) {
                break;
            }
        }
        stage.run().unwrap();
        let told = told(&stage);
        let mut once = told.clone();
        once.dedup();
        assert_eq!((told.len(), once.len()), (40, 40), "round {round}");
    }
}

#[test]
fn letters_that_a_stop_has_left_are_told_by_the_next_start() {
    let mut stage = Stage::new(TOLD).give("in", Given::new(batches(5, 5)).endless());
    stage.answer = Arc::new(|_| Attempt::Again { reason: "busy".to_owned(), after: None });
    stage.options.delivery.attempts = 1_000;
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| attempts.lock().len() >= 5).unwrap();
    stage.options.delivery.attempts = 1;
    stage.stop_when(|status| status.effects().get("page").is_some_and(|page| page.tally.given_up == 5)).unwrap();
    stage.stop_when(|_| told(&stage).len() == 5).unwrap();
    assert_eq!(told(&stage).len(), 5);
}

#[test]
fn a_retry_of_what_was_given_up_leads_to_another_letter_if_it_fails_again() {
    let mut stage = Stage::new(TOLD).give("in", Given::new(batches(1, 1)).endless());
    stage.answer = Arc::new(|_| refused());
    stage.stop_when(|_| told(&stage).len() == 1).unwrap();
    let id = told(&stage).remove(0);
    change_effects(&stage.directory(), "stage", EffectChange::Retry, &[id]).unwrap();
    stage.stop_when(|_| told(&stage).len() == 2).unwrap();
    assert_eq!(told(&stage).len(), 2);
}

#[test]
fn a_sink_does_not_feed_itself_and_one_that_does_not_dispatch_has_no_such_port() {
    let wrong = |text: &str| Stage::new(text).give("in", Given::new(batches(1, 1))).wrong();
    let cycle = "
sources: {in: {given: {}}}
sinks: {page: {from: [in, page.dead_letter], dispatch: {}}}
";
    assert!(wrong(cycle).contains("feed each other"), "{}", wrong(cycle));
    let plain = "
sources: {in: {given: {}}}
sinks: {kept: {from: in, collect: {}}, letters: {from: kept.dead_letter, collect: {}}}
";
    assert!(wrong(plain).contains("is a sink"), "{}", wrong(plain));
}

#[test]
fn a_destination_that_fails_is_left_alone_and_its_effects_are_given_up_in_time() {
    let mut stage = Stage::new(TOLD).give("in", Given::new(batches(30, 30)));
    stage.options.delivery.attempts = 4;
    stage.options.delivery.initial = Duration::from_millis(20);
    stage.options.delivery.longest = Duration::from_millis(40);
    stage.options.delivery.concurrency = 2;
    let rest = Duration::from_millis(20);
    stage.options.delivery.breaker = Some(tidegate_pipeline::sink::Breaker { failures: 3, rest });
    stage.answer = Arc::new(|_| Attempt::Again { reason: "down".to_owned(), after: None });
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(letters(&stage, "letters").len(), 30);
    let attempts = stage.take_attempts().len();
    assert!(attempts < 60, "{attempts} attempts instead of 120: it was left alone");
}
