//! The whole program dies at each of its crash points; what it has written in the end is what an undisturbed
//! run writes.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_pipeline::testing::crash::{POINTS, VARIABLE};

use crate::program::{Done, Folder, Outputs};

const PIPELINE: &str = "
version: 1
name: small
checkpoint: {every: 2ms, keep: 2}
sources: {events: {file: {path: events.jsonl}}}
operators:
  loud: {from: events, filter: \"n % 3 <> 0\"}
  fresh: {from: loud, dedupe: {key: [k, n / 50], within: 30s, time: t}}
sinks:
  out: {from: fresh, file: {path: out.jsonl}}
  wrong: {from: events.errors, file: {path: wrong.jsonl}}
";

/// What it writes.
pub(crate) const OUTPUTS: &[&str] = &["out.jsonl", "wrong.jsonl"];
/// How many programs run at a time.
const WORKERS: usize = 4;
/// Enough for several chunks of input, so that several checkpoints are made.
const EVENTS: usize = 1_500;

/// A folder with the pipeline and its input.
pub(crate) fn home() -> Folder {
    use std::fmt::Write as _;
    let filler = "x".repeat(1_500);
    let mut events = String::new();
    for n in 0..EVENTS {
        // The schema widens on the way: integers, then fractions, then a new column.
        let size = if n < EVENTS / 2 { n.to_string() } else { format!("{n}.5") };
        let more = if n > EVENTS * 3 / 4 { ",\"late\":true" } else { "" };
        let _ = writeln!(
            events,
            "{{\"k\":\"k{}\",\"n\":{n},\"t\":{},\"size\":{size},\"text\":\"{filler}\"{more}}}",
            n % 7,
            n * 100
        );
        if n % 400 == 150 {
            events.push_str("{broken\n");
        }
    }
    Folder::with(&[("events.jsonl", &events), ("small.yaml", PIPELINE)])
}

/// Runs the pipeline with this environment.
pub(crate) fn life(folder: &Folder, environment: &[(&str, &str)]) -> Done {
    Done::of(folder.command(&["run", "small.yaml"]).envs(environment.iter().copied()))
}

/// What an undisturbed run writes.
pub(crate) fn undisturbed() -> Outputs {
    let folder = home();
    life(&folder, &[]).code(0);
    let outputs = Outputs::of(folder.path(), OUTPUTS);
    assert!(outputs.none_is_empty());
    outputs
}

#[test]
fn killed_at_each_crash_point_the_program_ends_with_the_same_output() {
    let expected = undisturbed();
    let next = AtomicUsize::new(0);
    let reached = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(point) = POINTS.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if [1, 3].map(|pass| dies_and_ends(&format!("{point}:{pass}"), &expected)).contains(&true) {
                        reached.lock().unwrap().insert(*point);
                    }
                }
            });
        }
    });
    let reached = reached.into_inner().unwrap();
    // A small journal is one file, and a short run has nothing to remove: those points are passed elsewhere.
    let seldom = ["journal.rotate", "journal.discard", "retain.remove"];
    let never: Vec<_> = POINTS.iter().filter(|point| !reached.contains(*point) && !seldom.contains(point)).collect();
    assert!(never.is_empty(), "never reached: {never:?}");
}

/// Lets the program die at a point, then runs it to its end. Says whether the point was reached.
fn dies_and_ends(point: &str, expected: &Outputs) -> bool {
    let folder = home();
    let crashed = life(&folder, &[(VARIABLE, point)]).code != Some(0);
    if crashed {
        life(&folder, &[]).code(0);
    }
    Outputs::of(folder.path(), OUTPUTS).assert_same(expected, &format!("after a crash at {point}"));
    crashed
}
