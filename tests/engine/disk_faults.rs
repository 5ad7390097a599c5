//! The whole program on a disk that fails: it says so and stops, or goes on; what it has written in the end is what an
//! undisturbed run writes.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_pipeline::testing::fault::{POINTS, VARIABLE};

use crate::crash_points::{assert_same, outputs, tidegate, write};

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
