//! How sources fail, end, wait and are joined.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::runtime::{NodeState, PipelineStatus, RunOutcome};

use crate::given::{Given, batches, rows};
use crate::stage::{Stage, rows_in, steps};

const PLAIN: &str = "
restart: {attempts: 3, initial: 5ms, max: 10ms}
sources: {in: {given: {}}}
sinks: {all: {from: in, collect: {}}}
";

/// Fails the first `times` times at `index`.
fn failing(index: usize, times: usize) -> (Arc<AtomicUsize>, impl Fn(usize) -> Result<(), Error>) {
    failing_with(index, times, || Error::external("the line is cut"))
}

/// The same, with this error.
fn failing_with(
    index: usize,
    times: usize,
    error: fn() -> Error,
) -> (Arc<AtomicUsize>, impl Fn(usize) -> Result<(), Error>) {
    let failed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&failed);
    let hook = move |at| match at == index && counted.load(Ordering::SeqCst) < times {
        true => {
            counted.fetch_add(1, Ordering::SeqCst);
            Err(error())
        }
        false => Ok(()),
    };
    (failed, hook)
}

#[test]
fn a_source_that_fails_twice_is_opened_again_where_it_was() {
    let (failed, hook) = failing(3, 2);
    let stage = Stage::new(PLAIN).give("in", Given::new(batches(50, 10)).with_hook(hook));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all"), (0..50).collect::<Vec<_>>());
    assert_eq!(failed.load(Ordering::SeqCst), 2);
}

#[test]
fn a_source_is_opened_after_those_that_it_uses_however_often_they_fail_first() {
    let text = "
restart: {attempts: 3, initial: 5ms, max: 10ms}
sources: {c: {given: {}, uses: b}, b: {given: {}, uses: [a]}, a: {given: {}}}
sinks: {all: {from: [a, b, c], collect: {}}}
";
    let opened = Arc::new(Mutex::new(Vec::new()));
    let source = |name: &'static str, failures: usize| {
        let opened = Arc::clone(&opened);
        let opening = move || {
            let mut opened = opened.lock();
            opened.push(name);
            let times = opened.iter().filter(|other| **other == name).count();
            if times <= failures { Err(Error::external("not yet")) } else { Ok(()) }
        };
        Given::new(batches(10, 10)).opening(opening)
    };
    let stage =
        Stage::new(text).give("a", source("a", 2)).give("b", source("b", 0)).give("c", source("c", 0).endless());
    let read = |status: &PipelineStatus| status.node("c").unwrap().rows_out.load(Ordering::Relaxed) == 10;
    assert_eq!(stage.stop_when(read).unwrap(), RunOutcome::Stopped);
    assert_eq!(*opened.lock(), ["a", "a", "a", "b", "c"]);

    // Those that it uses have ended: nobody opens them again, and nobody waits for them.
    opened.lock().clear();
    let open = Arc::clone(&opened);
    assert_eq!(stage.stop_when(move |_| !open.lock().is_empty()).unwrap(), RunOutcome::Stopped);
    assert_eq!(*opened.lock(), ["c"]);
}

#[test]
fn a_source_that_fails_for_good_stops_the_pipeline_and_is_named() {
    let (failed, hook) = failing(3, usize::MAX);
    let stage = Stage::new(PLAIN).give("in", Given::new(batches(50, 10)).with_hook(hook));
    let error = stage.run().unwrap_err();
    assert_eq!(error.node.as_deref(), Some("in"));
    assert!(error.place.is_some() && error.message.contains("the line is cut"), "{error}");
    assert_eq!(failed.load(Ordering::SeqCst), 4, "once and three attempts more");
}

#[test]
fn credentials_that_are_refused_end_a_source_that_never_worked_and_one_that_did_waits_for_others() {
    let refused = || Error::user("the password is refused");
    let source = |index, times| {
        let (failed, hook) = failing_with(index, times, refused);
        (failed, Given::new(batches(50, 10)).reconnecting().with_hook(hook))
    };
    let (failed, never_worked) = source(0, usize::MAX);
    let error = Stage::new(PLAIN).give("in", never_worked).run().unwrap_err();
    assert_eq!((error.message.as_str(), failed.load(Ordering::SeqCst)), ("the password is refused", 1));

    let (failed, worked) = source(3, 10);
    let stage = Stage::new(PLAIN).give("in", worked);
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all"), (0..50).collect::<Vec<_>>());
    assert_eq!(failed.load(Ordering::SeqCst), 10, "longer than `attempts`");

    let (_, waits) = source(3, usize::MAX);
    let seen = |status: &PipelineStatus| {
        let node = status.node("in").unwrap();
        node.state() == NodeState::Retrying
            && node.trouble_now().is_some_and(|trouble| trouble.contains("the password is refused"))
    };
    assert_eq!(Stage::new(PLAIN).give("in", waits).stop_when(seen).unwrap(), RunOutcome::Stopped);

    let (failed, hook) = failing_with(3, usize::MAX, refused);
    let error = Stage::new(PLAIN).give("in", Given::new(batches(50, 10)).with_hook(hook)).run().unwrap_err();
    assert_eq!(
        (error.message.as_str(), failed.load(Ordering::SeqCst)),
        ("the password is refused", 1),
        "does not reconnect"
    );
}

#[test]
fn an_end_is_ignored_or_stops_the_pipeline_or_begins_the_source_again() {
    let with = |on_end: &str| {
        let text = format!(
            "
restart: {{initial: 1ms}}
sources: {{short: {{given: {{}}, on_end: {on_end}}}, ever: {{given: {{}}}}}}
sinks: {{all: {{from: [short, ever], collect: {{}}}}}}
"
        );
        Stage::new(&text).give("short", Given::new(batches(4, 2))).give("ever", Given::new(vec![rows([100])]).endless())
    };
    assert_eq!(with("stop").run().unwrap(), RunOutcome::Stopped);
    let ignoring = with("ignore");
    ignoring.stop_when(|status| rows_in(status, "all") == 5).unwrap();
    let mut numbers = ignoring.numbers("all");
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 100]);
    let restarting = with("restart");
    restarting.stop_when(|status| rows_in(status, "all") >= 13).unwrap();
    assert!(restarting.numbers("all").iter().filter(|n| **n == 3).count() >= 3);
}

#[test]
fn once_reads_what_there_is_and_records_no_end() {
    let text = "
sources: {in: {given: {}}, push: {given: {}}}
sinks: {all: {from: [in, push], collect: {}}}
";
    let mut stage = Stage::new(text)
        .give("in", Given::new(batches(4, 2)))
        .give("push", Given::new(vec![rows([100])]).endless().inline());
    stage.options.once = true;
    assert_eq!(stage.run().unwrap(), RunOutcome::Once);
    assert_eq!(stage.numbers("all"), [0, 1, 2, 3], "what cannot be read again stays closed");
    // More has come since.
    let mut stage = stage.give("in", Given::new(batches(8, 2)));
    assert_eq!(stage.run().unwrap(), RunOutcome::Once);
    assert_eq!(stage.numbers("all"), [4, 5, 6, 7]);
    stage.options.once = false;
    stage.stop_when(|status| rows_in(status, "all") == 1).unwrap();
    assert_eq!(stage.numbers("all"), [100]);
}

#[test]
fn a_hundred_thousand_small_arrivals_become_few_steps() {
    let one = vec![rows([1])];
    let left = AtomicUsize::new(100_000);
    let many = move |_| {
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .map(drop)
            .map_err(|_| Error::external("enough").never_retry())
    };
    let stage = Stage::new(PLAIN).give("in", Given::new(one).inline().repeating().with_hook(many));
    let made = std::cell::Cell::new(0);
    let taken = std::cell::Cell::new(0);
    let error = stage.stop_when(|status| {
        made.set(steps(status));
        taken.set(rows_in(status, "all"));
        taken.get() >= 100_000
    });
    drop(error);
    assert!(made.get() < 20_000, "{} steps for {} rows", made.get(), taken.get());
    assert!(taken.get() > 50_000, "{} rows", taken.get());
}

#[test]
fn a_fast_source_waits_for_a_slow_sink() {
    let text = "
limits: {edge: {rows: 1000}}
journal: {lag: 1MiB}
stop: {within: 1ms}
sources: {in: {given: {}}}
sinks: {slow: {from: in, hindered: {}}}
";
    for inline in [false, true] {
        let given = Given::new(vec![rows(0..5_000)]).repeating();
        let mut stage = Stage::new(text).give("in", if inline { given.inline() } else { given });
        stage.hindered.write = Duration::from_millis(10);
        let started = std::time::Instant::now();
        let most = std::cell::Cell::new((0, 0));
        let _ = stage.stop_when(|status| {
            let queued = status.node("slow").map_or(0, |node| node.queued_rows());
            let ahead = steps(status).saturating_sub(rows_in(status, "slow") / 5_000);
            most.set((most.get().0.max(queued), most.get().1.max(ahead)));
            started.elapsed() > Duration::from_millis(700)
        });
        assert!(most.get().0 <= 6_000, "{most:?}");
        // A step has about 120 kB; 8 MiB and what is joined may lie before the graph.
        assert!(most.get().1 < 200, "{most:?}");
    }
}

#[test]
fn a_small_lag_does_not_stall_a_pipeline_without_checkpoints() {
    let text = "
checkpoint: {every: off}
journal: {lag: 64KiB}
sources: {in: {given: {}}}
sinks: {all: {from: in, collect: {}}}
";
    let stage = Stage::new(text).give("in", Given::new(batches(200_000, 4_000)).inline());
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all").len(), 200_000);
}
