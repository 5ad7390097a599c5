//! Whole-program tests of what survives: the program is killed, started again, and its output compared with
//! that of a run that nobody disturbed.

#![allow(clippy::expect_used, clippy::panic, reason = "what a test needs and does not get fails it")]

mod child;
mod commands;
mod events;
mod kills;
mod machine;
mod numbers;
mod ownership;
mod points;
mod recorded;
mod resume;
mod server;
mod subjects;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The program under test.
pub(crate) fn tidegate(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(directory).env_remove("TIDEGATE_DIR").env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a pipeline to its end, which must be a good one.
pub(crate) fn run_to_the_end(directory: &Path, pipeline: &str) -> Output {
    let output = tidegate(directory).args(["run", pipeline]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{pipeline} ended with {}: {said}", output.status);
    output
}

/// The bytes of the outputs of a pipeline.
pub(crate) fn outputs(directory: &Path, names: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    names.iter().map(|name| (PathBuf::from(name), std::fs::read(directory.join(name)).unwrap_or_default())).collect()
}

/// Panics with the first line that differs.
pub(crate) fn assert_same(found: &[(PathBuf, Vec<u8>)], expected: &[(PathBuf, Vec<u8>)], when: &str) {
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        if found == expected {
            continue;
        }
        let lines = found.split(|byte| *byte == b'\n').zip(expected.split(|byte| *byte == b'\n')).enumerate();
        let differing = lines.into_iter().find(|(_, (found, expected))| found != expected);
        let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        let shown = differing.map(|(number, (found, expected))| {
            format!("line {}:\n  found    {}\n  expected {}", number + 1, text(found), text(expected))
        });
        panic!(
            "{when}: {} has {} bytes instead of {}; {}",
            name.display(),
            found.len(),
            expected.len(),
            shown.unwrap_or_default()
        );
    }
}
