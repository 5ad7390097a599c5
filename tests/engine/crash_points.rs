//! The whole program dies at each of its crash points; what it has written in the end is what an undisturbed
//! run writes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_pipeline::testing::crash::{POINTS, VARIABLE};

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

/// How many programs run at a time.
const WORKERS: usize = 4;
/// Enough for several chunks of input, so that several checkpoints are made.
const EVENTS: usize = 1_500;

pub(crate) fn write(folder: &Path) {
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
    std::fs::write(folder.join("events.jsonl"), events).unwrap();
    std::fs::write(folder.join("small.yaml"), PIPELINE).unwrap();
}

pub(crate) fn command(folder: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(folder).env_remove("TIDEGATE_DIR").env_remove(VARIABLE).stdin(Stdio::null());
    command.envs(environment.iter().copied()).args(["run", "small.yaml"]);
    command
}

pub(crate) fn tidegate(folder: &Path, environment: &[(&str, &str)]) -> Output {
    command(folder, environment).output().unwrap()
}

pub(crate) fn outputs(folder: &Path) -> [Vec<u8>; 2] {
    ["out.jsonl", "wrong.jsonl"].map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
}

/// Panics with the first line that differs.
pub(crate) fn assert_same(found: &[Vec<u8>; 2], expected: &[Vec<u8>; 2], after: &str) {
    if let Some((found, expected)) = found.iter().zip(expected).find(|(found, expected)| found != expected) {
        let (found, expected) = (String::from_utf8_lossy(found), String::from_utf8_lossy(expected));
        let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        let lines = (found.lines().count(), expected.lines().count());
        panic!("after {after} the output differs; found and expected: {lines:?} lines, {differing:?}");
    }
}

#[test]
fn killed_at_each_crash_point_the_program_ends_with_the_same_output() {
    let undisturbed = tempfile::tempdir().unwrap();
    write(undisturbed.path());
    assert!(tidegate(undisturbed.path(), &[]).status.success());
    let expected = outputs(undisturbed.path());
    assert!(expected.iter().all(|bytes| !bytes.is_empty()));
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
fn dies_and_ends(point: &str, expected: &[Vec<u8>; 2]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let crashed = !tidegate(folder.path(), &[(VARIABLE, point)]).status.success();
    if crashed {
        let ended = tidegate(folder.path(), &[]);
        assert!(ended.status.success(), "{point}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    assert_same(&outputs(folder.path()), expected, &format!("a crash at {point}"));
    crashed
}
