//! What state costs: checkpoints against none, bytes against changes, restoring, memory.
//!
//! `cargo bench --bench state -- [bytes | restore [ROUNDS] | overhead [ROUNDS [ROWS]]]`; without a word, all three. Contenders run in processes of
//! their own, alternating; what is printed are medians, ratios and curves, since machines are noisy.

mod bytes;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
mod numbers;
mod overhead;
mod restore;

use std::process::{Command, ExitCode};

use frame::{Outcome, median, peak_memory};

fn main() -> ExitCode {
    frame::ended(|words| match words {
        ["contender", "overhead", every, rows, folder] => overhead::contender(every, rows, folder),
        ["contender", "build", keys, folder] => restore::build(keys, folder),
        ["contender", "restore", folder] => restore::contender(folder),
        ["overhead", rest @ ..] => overhead::report(rest),
        ["bytes", ..] => bytes::report(),
        ["restore", rest @ ..] => restore::report(rest),
        [] => bytes::report().and_then(|()| restore::report(&[])).and_then(|()| overhead::report(&[])),
        other => Err(format!("there is no bench `{}`", other.join(" ")).into()),
    })
}

/// Runs a contender in a process of its own; what it printed.
fn contender(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(std::env::current_exe()?).arg("contender").args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
