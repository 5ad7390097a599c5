//! Clocks that jump, and checkpoints that are slower than their interval.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::Record;
use tidegate_pipeline::runtime::RunOutcome;
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches, rows};
use crate::stage::{Stage, checkpoints, rows_in, steps};

const YEAR: i64 = 365 * 24 * 3600 * 1000;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[test]
fn a_clock_that_jumps_back_and_forth_by_years_between_lives_loses_nothing_and_time_never_goes_back() {
    let text = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
operators: {fresh: {from: in, dedupe: {key: n, within: 1s}}}
sinks: {all: {from: fresh, file: {path: all.jsonl}}}
";
    let given = Given::new(batches(60, 6));
    let mut stage = Stage::new(text).give("in", given.clone());
    stage.options.accept_clock = true;
    let walls: [fn() -> i64; 5] = [now, || now() - 5 * YEAR, || now() + 7 * YEAR, || 0, || now() + 8 * YEAR];
    for (life, wall) in walls.into_iter().enumerate() {
        stage.options.wall = wall;
        let stalling = given.clone().endless().stalling_at(2 * (life + 1));
        stage = stage.give("in", stalling);
        let through = 2 * (life as u64 + 1) + 1;
        if life % 2 == 0 {
            stage.crash_when(|status| steps(status) >= through && rows_in(status, "fresh") >= 6);
        } else {
            assert_eq!(stage.stop_when(|status| steps(status) >= through).unwrap(), RunOutcome::Stopped);
        }
    }
    let stage = stage.give("in", given);
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let text = std::fs::read_to_string(stage.folder().join("all.jsonl")).unwrap();
    let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_i64().unwrap();
    assert_eq!(text.lines().map(number).collect::<Vec<_>>(), (0..60).collect::<Vec<_>>());
    let mut times = Vec::new();
    for record in read_directory(&stage.directory(), StepNumber::ZERO).unwrap() {
        if let Record::Step(step) = record.unwrap().1 {
            times.push(step.header.time.0);
        }
    }
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[times.len() - 1] - times[0] > 7 * YEAR, "the jumps were seen");
}

#[test]
fn wake_ups_are_in_the_checkpoint_and_come_although_the_clock_was_set_back_by_years() {
    let text = "
sources: {in: {given: {}}}
operators: {last: {from: in, dedupe: {key: k, within: 200ms, keep: last}}}
sinks: {all: {from: last, collect: {}}}
";
    let mut stage = Stage::new(text).give("in", Given::new(vec![rows([1, 6, 11, 2])]).endless());
    stage.stop_when(|status| rows_in(status, "last") == 4).unwrap();
    assert_eq!(stage.numbers("all"), [] as [i64; 0]);
    stage.options.wall = || now() - 5 * YEAR;
    stage.stop_when(|status| rows_in(status, "all") == 2).unwrap();
    assert_eq!(stage.numbers("all"), [11, 2]);
}

#[test]
fn a_slow_checkpoint_makes_no_bigger_epoch_holds_up_no_step_and_leaves_nothing_behind() {
    let text = "
checkpoint: {every: 1ms, keep: 2}
sources: {in: {given: {}}}
operators: {fresh: {from: in, dedupe: {key: n, within: 1s}}}
sinks: {slow: {from: fresh, hindered: {}}}
";
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    let mut stage = Stage::new(text).give("in", Given::new(vec![rows(0..3)]).repeating().with_hook(pause));
    stage.hindered.commit = Duration::from_millis(40);
    let (seen, steps_between) = (Cell::new((0, 0)), Cell::new(Vec::new()));
    stage
        .stop_when(|status| {
            let (known, at) = seen.get();
            if checkpoints(status) > known {
                let mut between = steps_between.take();
                between.push(steps(status) - at);
                steps_between.set(between);
                seen.set((checkpoints(status), steps(status)));
            }
            checkpoints(status) >= 12
        })
        .unwrap();
    let between = steps_between.take();
    assert!(between[1..].iter().all(|steps| *steps >= 2), "steps go on during a checkpoint: {between:?}");
    let segments = std::fs::read_dir(stage.directory().join("segments")).unwrap().count();
    assert!(segments <= 40, "{segments} segments");
}
