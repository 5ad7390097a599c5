//! What goes wrong is said, with its place, and stops the pipeline without a hang and without a loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_pipeline::error::Error;
use tidegate_pipeline::runtime::RunOutcome;
use tidegate_pipeline::sink::Attempt;

use crate::given::{Given, batches};
use crate::stage::{Stage, checkpoints, rows_in, steps};

const PROBED: &str = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
operators:
  probed: {from: in, probe: {}}
sinks:
  all: {from: probed, collect: {}}
";

/// A stage that has checkpointed the numbers below 60, and whose operator does something at 70.
fn failing_at_70(what: impl Fn() -> Result<(), Error> + Send + Sync + 'static) -> Stage {
    let given = Given::new(batches(100, 10));
    let mut stage = Stage::new(PROBED).give("in", given.clone().endless().stalling_at(6));
    stage.stop_when(|status| rows_in(status, "all") == 60).unwrap();
    assert_eq!(stage.numbers("all"), (0..60).collect::<Vec<_>>());
    stage.probe.at = Arc::new(move |n| if n == 70 { what() } else { Ok(()) });
    stage.give("in", given)
}

/// The stage fails, naming the node and its place; mended, it gives what was still owed and no more.
fn fails_and_goes_on(mut stage: Stage, said: &str) {
    let error = stage.run().unwrap_err();
    assert_eq!(error.node.as_deref(), Some("probed"), "{error}");
    assert!(error.place.as_deref().is_some_and(|place| place.starts_with("stage.yaml:")), "{error}");
    assert!(error.message.contains(said), "{error}");
    let before = stage.numbers("all");
    assert!(before.iter().all(|n| (60..70).contains(n)), "{before:?}");
    stage.probe.at = Arc::new(|_| Ok(()));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let after = stage.numbers("all");
    assert!([60, 70].contains(&after[0]), "what was checkpointed is kept: {after:?}");
    assert_eq!(after, (after[0]..100).collect::<Vec<_>>(), "nothing is lost");
}

#[test]
fn an_operators_error_names_node_and_place_and_keeps_the_newest_checkpoint() {
    fails_and_goes_on(failing_at_70(|| Err(Error::internal("no seventies"))), "no seventies");
}

#[test]
fn a_panic_in_a_node_is_an_error_and_not_a_hang() {
    fails_and_goes_on(failing_at_70(|| panic!("seventy!")), "seventy!");
}

#[test]
fn a_source_that_crashes_is_an_error_and_never_the_end_of_its_input() {
    let text = "
sources: {in: {given: {}}}
sinks: {all: {from: in, collect: {}}}
";
    let crash = |index| if index == 3 { panic!("the source is broken") } else { Ok(()) };
    let mut stage = Stage::new(text).give("in", Given::new(batches(50, 10)).with_hook(crash));
    let error = stage.run().unwrap_err();
    assert_eq!(error.node.as_deref(), Some("in"), "{error}");
    assert!(error.message.contains("the source is broken"), "{error}");
    stage = stage.give("in", Given::new(batches(50, 10)));
    stage.collected("all");
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all").last(), Some(&49));
}

#[test]
fn a_sink_that_crashes_while_it_delivers_is_an_error_also_after_the_last_checkpoint() {
    let text = "
sources: {in: {given: {}}}
sinks: {page: {from: in, dispatch: {}}}
";
    let mut stage = Stage::new(text).give("in", Given::new(batches(1, 1)));
    let tried = AtomicUsize::new(0);
    stage.options.delivery.initial = Duration::from_millis(300);
    stage.options.delivery.longest = Duration::from_millis(300);
    stage.answer = Arc::new(move |_| match tried.fetch_add(1, Ordering::SeqCst) {
        0 => Attempt::Again { reason: "not now".to_owned(), after: None },
        _ => panic!("the pager is broken"),
    });
    let error = stage.run().unwrap_err();
    assert_eq!(error.node.as_deref(), Some("page"), "{error}");
}

#[test]
fn a_stop_while_the_journals_tail_is_executed_again_is_heard_and_loses_nothing() {
    let text = "
checkpoint: {every: off}
stop: {within: 20s}
sources: {in: {given: {}}}
operators: {probed: {from: in, probe: {}}}
sinks: {all: {from: probed, hindered: {}}, rows: {from: in, collect: {}}}
";
    let stage = Stage::new(text).give("in", Given::new(batches(4_000, 10)).endless());
    stage.crash_when(|status| steps(status) >= 401 && rows_in(status, "rows") >= 4_000);
    stage.collected("rows");

    let started = Instant::now();
    let outcome = stage.stop_when(|_| true).unwrap();
    assert_eq!(outcome, RunOutcome::Stopped);
    assert!(started.elapsed() < Duration::from_secs(10));
    let mut numbers = stage.numbers("rows");
    stage
        .stop_when(|status| {
            steps(status) >= 401 && checkpoints(status) == 0 && rows_in(status, "all") + numbers.len() as u64 >= 4_000
        })
        .unwrap();
    numbers.extend(stage.numbers("rows"));
    assert_eq!(numbers, (0..4_000).collect::<Vec<_>>(), "each row of the tail once, in order");
}

#[test]
fn a_sink_that_is_stuck_is_cut_off_when_the_time_to_stop_is_over() {
    let text = "
stop: {within: 200ms}
sources: {in: {given: {}}}
sinks: {stuck: {from: in, hindered: {}}}
";
    let mut stage = Stage::new(text).give("in", Given::new(batches(10, 10)).endless());
    stage.hindered.write = Duration::from_secs(3_600);
    let started = Instant::now();
    let error = stage.stop_when(|status| rows_in(status, "stuck") > 0).unwrap_err();
    assert!(error.message.contains("stop.within"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}
