//! What sources are told when a pipeline stops: everything that was taken from them, before they are dropped.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_pipeline::error::Error;
use tidegate_pipeline::runtime::RunOutcome;

use crate::given::{Given, batches, rows};
use crate::outside::{Outside, Temper};
use crate::stage::{Stage, rows_in};

const PLAIN: &str = "
sources: {in: {given: {}}}
sinks: {all: {from: in, collect: {}}}
";

/// Far less than sources may take to leave; more than any machine takes for what has to be done.
const SOON: Duration = Duration::from_secs(3);

/// A source that gives for as long as it is asked, one row at a time.
fn pouring(outside: &Outside) -> Given {
    Given::new(vec![rows([1])]).repeating().inline().telling(outside)
}

#[test]
fn what_was_taken_before_a_stop_is_acknowledged_before_the_source_is_dropped() {
    for temper in [Temper::Quick, Temper::Slow(Duration::from_millis(20))] {
        let outside = Outside::new(temper);
        let stage = Stage::new(PLAIN).give("in", pouring(&outside));
        assert_eq!(stage.stop_when(|status| rows_in(status, "all") > 100).unwrap(), RunOutcome::Stopped);
        let taken = stage.numbers("all").len() as u64;
        assert_eq!((outside.through(), outside.ends()), (taken, vec!["closed", "dropped"]), "{temper:?}");
    }
}

#[test]
fn what_a_source_gave_before_its_end_is_acknowledged_before_it_is_dropped() {
    let outside = Outside::new(Temper::Slow(Duration::from_millis(20)));
    let stage = Stage::new(PLAIN).give("in", Given::new(batches(40, 1)).inline().telling(&outside));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!((outside.through(), outside.ends()), (40, vec!["closed", "dropped"]));
}

#[test]
fn what_was_read_once_is_acknowledged_before_the_source_is_dropped() {
    let outside = Outside::new(Temper::Slow(Duration::from_millis(20)));
    let mut stage = Stage::new(PLAIN).give("in", Given::new(batches(40, 1)).telling(&outside));
    stage.options.once = true;
    assert_eq!(stage.run().unwrap(), RunOutcome::Once);
    assert_eq!((outside.through(), outside.ends()), (40, vec!["closed", "dropped"]));
}

#[test]
fn a_source_that_has_ended_leaves_while_the_others_go_on() {
    let text = "
sources: {short: {given: {}}, ever: {given: {}}}
sinks: {all: {from: [short, ever], collect: {}}}
";
    let outside = Outside::new(Temper::Quick);
    let stage = Stage::new(text)
        .give("short", Given::new(batches(4, 1)).inline().telling(&outside))
        .give("ever", Given::new(vec![rows([100])]).endless());
    let left = || outside.ends() == ["closed", "dropped"];
    assert_eq!(stage.stop_when(|_| left()).unwrap(), RunOutcome::Stopped);
    assert_eq!(outside.through(), 4);
}

#[test]
fn a_pipeline_that_ends_itself_tells_its_sources_too() {
    let text = "
sources: {a: {given: {}, on_end: stop}, ever: {given: {}}}
sinks: {all: {from: [a, ever], collect: {}}}
";
    let outside = Outside::new(Temper::Slow(Duration::from_millis(20)));
    let stage = Stage::new(text).give("a", Given::new(batches(20, 1))).give("ever", pouring(&outside));
    assert_eq!(stage.run().unwrap(), RunOutcome::Stopped);
    let taken = stage.numbers("all").len() as u64 - 20;
    assert_eq!((outside.through(), outside.ends()), (taken, vec!["closed", "dropped"]));
}

#[test]
fn a_source_that_hangs_in_acknowledge_does_not_hold_up_a_stop_for_longer_than_stop_within() {
    let text = &format!("stop: {{within: 1s}}\n{PLAIN}");
    let outside = Outside::new(Temper::Hanging);
    let stage = Stage::new(text).give("in", pouring(&outside));
    let told = Cell::new(None);
    let outcome = stage.stop_when(|status| {
        let now = rows_in(status, "all") > 0;
        told.set(now.then(Instant::now));
        now
    });
    assert_eq!(outcome.unwrap(), RunOutcome::Stopped);
    assert!(told.get().unwrap().elapsed() < SOON, "{:?}", told.get().unwrap().elapsed());
    assert_eq!((outside.through(), outside.ends()), (0, vec!["dropped"]));
}

#[test]
fn a_source_that_fails_or_crashes_while_it_leaves_does_not_spoil_the_stop() {
    for temper in [Temper::FailsAtTheEnd, Temper::PanicsAtTheEnd] {
        let outside = Outside::new(temper);
        let stage = Stage::new(PLAIN).give("in", pouring(&outside));
        assert_eq!(stage.stop_when(|status| rows_in(status, "all") > 10).unwrap(), RunOutcome::Stopped);
        assert_eq!((outside.through(), outside.ends()), (stage.numbers("all").len() as u64, vec!["closed", "dropped"]));
    }
}

#[test]
fn a_pipeline_that_fails_does_not_wait_for_its_sources() {
    let text = "
sources: {in: {given: {}}}
operators: {watched: {from: in, probe: {}}}
sinks: {all: {from: watched, collect: {}}}
";
    let outside = Outside::new(Temper::Hanging);
    let mut stage = Stage::new(text).give("in", pouring(&outside));
    stage.probe.at = Arc::new(|_| Err(Error::external("broken")));
    let begun = Instant::now();
    let error = stage.run().unwrap_err();
    assert!(error.message.contains("broken") && begun.elapsed() < SOON, "{error} after {:?}", begun.elapsed());
    assert_eq!(outside.ends().last(), Some(&"dropped"));
}
