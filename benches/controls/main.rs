//! Controls: the core of the pack `aws` over a large account against bare DataFusion, one changed row, many controls.
//!
//! `cargo bench --bench controls` runs all; `-- core`, `-- changed 1000000` and `-- many 1000` one of them.

#[path = "../frame/mod.rs"]
mod frame;

mod changed;
mod core;
mod estate;
mod many;

use std::process::ExitCode;

use frame::{Outcome, ended, median, peak_memory};

fn main() -> ExitCode {
    ended(|arguments| match arguments {
        ["core"] => core::report(100_000),
        ["core", rows] => core::report(rows.parse()?),
        ["changed", rows] => changed::report(rows.parse()?),
        ["many", controls] => many::report(controls.parse()?),
        [] => {
            // Each in a process of its own, so that the peak of one is not that of another.
            for arguments in [&["core"][..], &["changed", "1000"], &["changed", "1000000"], &["many", "1000"]] {
                let done = std::process::Command::new(std::env::current_exe()?).args(arguments).status()?;
                if !done.success() {
                    return Err(format!("{arguments:?}: {done}").into());
                }
            }
            Ok(())
        }
        other => Err(format!("no such bench: {other:?}").into()),
    })
}

/// Two threads, as on the machine that the figures are of.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
