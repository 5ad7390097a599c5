//! The whole program on a disk that fails: it says so and stops, or goes on; what it has written in the end is what an
//! undisturbed run writes.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_pipeline::testing::fault::{POINTS, VARIABLE};

use crate::crash_points::{OUTPUTS, home, life, undisturbed};
use crate::program::{Folder, Outputs};

/// How many programs run at a time.
const WORKERS: usize = 4;
/// Set, every kind of fault is tried at many passes of each point; otherwise some.
const ALL: &str = "TIDEGATE_ALL_FAULTS";

/// The faults to try, as the program reads them.
fn faults() -> Vec<String> {
    let all = std::env::var_os(ALL).is_some();
    let mut faults = Vec::new();
    for (index, point) in POINTS.iter().enumerate() {
        let kinds = ["eio", "enospc", "short"];
        if all {
            let tries = (1..=12).flat_map(|pass| kinds.map(|kind| format!("{point}:{pass}={kind}")));
            faults.extend(tries.chain(kinds.map(|kind| format!("{point}:2+={kind}"))));
        } else {
            let kind = |offset: usize| kinds[(index + offset) % kinds.len()];
            faults.extend([
                format!("{point}:1={}", kind(0)),
                format!("{point}:3={}", kind(1)),
                format!("{point}:2+=enospc"),
            ]);
        }
    }
    faults
}

#[test]
fn with_each_fault_of_the_disk_the_program_says_so_and_ends_with_the_same_output() {
    let expected = undisturbed();
    let (faults, next, stopped) = (faults(), AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if fails_and_ends(fault, &expected) {
                        stopped.lock().unwrap().insert(fault.split(':').next().unwrap_or_default());
                    }
                }
            });
        }
    });
    let stopped = stopped.into_inner().unwrap();
    // After a crash only, or where there is something to remove.
    let seldom = ["journal.rewrite", "journal.remove"];
    let never: Vec<_> = POINTS.iter().filter(|point| !stopped.contains(*point) && !seldom.contains(point)).collect();
    assert!(never.is_empty(), "no fault there has ever stopped the program: {never:?}");
}

/// Lets the program meet a fault, then runs it to its end. Says whether the fault stopped it.
fn fails_and_ends(fault: &str, expected: &Outputs) -> bool {
    let folder = home();
    let first = life(&folder, &[(VARIABLE, fault)]);
    let stopped = first.code != Some(0);
    if stopped {
        let reason = if fault.ends_with("eio") { "Input/output error" } else { "No space left on device" };
        first.code(2).said(&["error: ", reason]);
        life(&folder, &[]).code(0);
    }
    Outputs::of(folder.path(), OUTPUTS).assert_same(expected, fault);
    stopped
}

const ENDLESS: &str = "
version: 1
name: small
checkpoint: {every: 20ms}
sources: {t: {tick: {delay: 0.01}}}
sinks: {out: {from: t, file: {path: out.jsonl}}}
";

/// Neither the journal nor a sink gets a second chance to say that it has made durable what it has not.
#[test]
fn a_pipeline_without_an_end_stops_when_something_could_not_be_made_durable_and_goes_on_without_a_gap() {
    for fault in ["journal.sync:4=eio", "output.sync:3=eio", "journal.write:5=short"] {
        let folder = Folder::with(&[("small.yaml", ENDLESS)]);
        life(&folder, &[(VARIABLE, fault)]).code(2).said(&["error: ", "cannot "]);

        let before = numbers(&folder).len();
        let mut second = folder.start(&["run", "small.yaml"]);
        second.until("it goes on", || numbers(&folder).len() >= before + 10);
        second.kill();
        let numbers = numbers(&folder);
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{fault}");
    }
}

/// The numbers in the whole lines of the output.
fn numbers(folder: &Folder) -> Vec<u64> {
    folder.rows("out.jsonl").iter().filter_map(|row| row["i"].as_u64()).collect()
}
