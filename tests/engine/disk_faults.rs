//! The whole program on a disk that fails: it says so and stops, or goes on; what it has written in the end is what an
//! undisturbed run writes.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate_pipeline::testing::fault::{POINTS, VARIABLE};

use crate::crash_points::{assert_same, command, outputs, tidegate, write};

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
    let undisturbed = tempfile::tempdir().unwrap();
    write(undisturbed.path());
    assert!(tidegate(undisturbed.path(), &[]).status.success());
    let expected = outputs(undisturbed.path());
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
fn fails_and_ends(fault: &str, expected: &[Vec<u8>; 2]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let first = tidegate(folder.path(), &[(VARIABLE, fault)]);
    let said = String::from_utf8_lossy(&first.stderr).into_owned();
    let stopped = !first.status.success();
    if stopped {
        assert_eq!(first.status.code(), Some(2), "{fault}: {said}");
        let reason = if fault.ends_with("eio") { "Input/output error" } else { "No space left on device" };
        assert!(said.contains("error: ") && said.contains(reason), "{fault}: {said}");
        let again = tidegate(folder.path(), &[]);
        assert!(again.status.success(), "{fault}, then: {}", String::from_utf8_lossy(&again.stderr));
    }
    assert_same(&outputs(folder.path()), expected, fault);
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
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small.yaml"), ENDLESS).unwrap();
        let mut first = command(folder.path(), &[(VARIABLE, fault)]).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while first.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        // Does nothing where it has ended.
        let _ = first.kill();
        let first = first.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&first.stderr);
        assert_eq!(first.status.code(), Some(2), "{fault}: {said}");
        assert!(said.contains("error: ") && said.contains("cannot "), "{fault}: {said}");

        let before = numbers(folder.path()).len();
        let mut second = command(folder.path(), &[]).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while numbers(folder.path()).len() < before + 10 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        second.kill().unwrap();
        second.wait().unwrap();
        let numbers = numbers(folder.path());
        assert!(numbers.len() >= before + 10, "{fault}: it does not go on");
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{fault}");
    }
}

/// The numbers in the whole lines of the output.
fn numbers(folder: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(folder.join("out.jsonl")).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["i"].as_u64()).collect()
}
