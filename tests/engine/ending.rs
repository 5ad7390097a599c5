//! How pipelines end themselves, and how a source that gives nothing is seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_pipeline::runtime::{EffectReach, EffectState, NodeState, PipelineStatus, RunOutcome, list_effects};
use tidegate_pipeline::sink::Attempt;

use crate::given::{Given, batches, rows};
use crate::stage::{Stage, rows_in};

/// Ends when a row has the number 15.
fn ending(how: &str) -> String {
    format!(
        "
sources: {{in: {{given: {{}}}}}}
operators: {{last: {{from: in, filter: 'n = 15'}}}}
sinks: {{end: {{from: last, shutdown: {how}}}, all: {{from: in, collect: {{}}}}, page: {{from: in, dispatch: {{}}}}}}
"
    )
}

#[test]
fn a_graceful_shutdown_works_through_what_was_taken_in_and_the_next_start_goes_on_behind_it() {
    let stage = &mut Stage::new(&ending("{message: enough}")).give("in", Given::new(batches(20, 10)).endless());
    stage.answer = Arc::new(|_| {
        std::thread::sleep(Duration::from_millis(3));
        Attempt::Done
    });
    assert_eq!(stage.run().unwrap(), RunOutcome::Stopped);
    assert_eq!(stage.numbers("all"), (0..20).collect::<Vec<_>>());
    assert_eq!(stage.take_attempts().len(), 20, "effects were delivered before the end");
    stage.given.insert("in".to_owned(), Given::new(batches(30, 10)));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all"), (20..30).collect::<Vec<_>>());
    assert_eq!(stage.take_attempts().len(), 10);
}

#[test]
fn effects_that_are_not_delivered_in_time_are_left_for_the_next_start() {
    for how in ["{delay: 0.1}", "{kind: now}"] {
        let mut stage = Stage::new(&ending(how)).give("in", Given::new(batches(20, 10)).endless());
        stage.options.delivery.attempts = 100_000;
        stage.answer = Arc::new(|_| Attempt::Again { reason: "not now".to_owned(), after: None });
        let started = Instant::now();
        assert_eq!(stage.run().unwrap(), RunOutcome::Stopped, "{how}");
        assert!(started.elapsed() < Duration::from_secs(20), "{how}");
        let left = list_effects(&stage.directory(), "stage", EffectReach::Checkpoint).unwrap();
        assert_eq!(left.iter().filter(|effect| effect.state == EffectState::Intended).count(), 20, "{how}");
    }
}

#[test]
fn the_end_of_the_last_source_is_the_end_of_the_pipeline_whatever_it_means() {
    let text = "
sources: {a: {given: {}, on_end: stop}}
sinks: {all: {from: a, collect: {}}}
";
    let stage = Stage::new(text).give("a", Given::new(batches(4, 2)));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished);
}

#[test]
fn a_source_that_ends_it_all_lets_effects_be_delivered() {
    let text = "
sources: {a: {given: {}, on_end: stop}, ever: {given: {}}}
sinks: {page: {from: a, dispatch: {}}}
";
    let mut stage =
        Stage::new(text).give("a", Given::new(batches(20, 10))).give("ever", Given::new(vec![rows([100])]).endless());
    stage.answer = Arc::new(|_| {
        std::thread::sleep(Duration::from_millis(3));
        Attempt::Done
    });
    assert_eq!(stage.run().unwrap(), RunOutcome::Stopped);
    assert_eq!(stage.take_attempts().len(), 20);
}

fn state(status: &PipelineStatus, node: &str) -> Option<NodeState> {
    status.node(node).map(|node| node.state())
}

#[test]
fn a_source_that_gives_nothing_for_too_long_is_stalled_and_another_is_not() {
    let text = "
sources: {quiet: {given: {}, stall_after: 30ms}, still: {given: {}}}
sinks: {all: {from: [quiet, still], collect: {}}}
";
    let given = || Given::new(batches(4, 2)).endless().stalling_at(1);
    let stage = Stage::new(text).give("quiet", given()).give("still", given());
    let outcome = stage.stop_when(|status| {
        let stalled = state(status, "quiet") == Some(NodeState::Stalled);
        assert_ne!(state(status, "still"), Some(NodeState::Stalled));
        stalled && rows_in(status, "all") == 4 && status.node("quiet").is_some_and(|node| node.last_arrival().is_some())
    });
    assert_eq!(outcome.unwrap(), RunOutcome::Stopped);
}

#[test]
fn what_leaves_a_source_passes_its_filters() {
    let text = "
sources:
- name: in
  given: {}
  filters:
  - ansible.eda.json_filter: {exclude_keys: [t]}
  - eda.builtin.noop:
sinks: {all: {from: in, collect: {}}}
";
    let stage = Stage::new(text).give("in", Given::new(batches(2, 1)));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.collected("all"), [r#"{"k":"k0","n":0}"#, r#"{"k":"k1","n":1}"#]);
}
