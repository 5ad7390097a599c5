//! What state costs: checkpoints against none, bytes against changes, restoring, memory.
//!
//! `cargo bench --bench state -- [bytes | restore [ROUNDS] | overhead [ROUNDS [ROWS]]]`; without a word, all three. Contenders run in processes of
//! their own, alternating; what is printed are medians, ratios and curves, since machines are noisy.

mod bytes;
mod numbers;
mod overhead;
mod restore;

use std::process::{Command, ExitCode};

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["contender", "overhead", every, rows, folder] => overhead::contender(every, rows, folder),
        ["contender", "build", keys, folder] => restore::build(keys, folder),
        ["contender", "restore", folder] => restore::contender(folder),
        ["overhead", rest @ ..] => overhead::report(rest),
        ["bytes", ..] => bytes::report(),
        ["restore", rest @ ..] => restore::report(rest),
        [] => bytes::report().and_then(|()| restore::report(&[])).and_then(|()| overhead::report(&[])),
        other => Err(format!("there is no bench `{}`", other.join(" ")).into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a contender in a process of its own; what it printed.
fn contender(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(std::env::current_exe()?).arg("contender").args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The peak of this process's memory in MiB.
fn peak_memory() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib / 1024.0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
