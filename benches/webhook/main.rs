//! What a webhook costs whose answers are durable, against a bare handler that shares one fsync among its callers.
//!
//! `cargo bench --bench webhook -- [SECONDS] [FOLDER]`: both are measured in turn, in one run, on the disk of FOLDER (the
//! working directory), by the same clients; what counts is the ratio.

mod bare;
mod clients;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
mod pipeline;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use frame::{Outcome, median};

/// Each contender is measured so often, in turn.
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    frame::ended(run)
}

fn run(arguments: &[&str]) -> Outcome<()> {
    let seconds: f64 = arguments.first().map_or(Ok(1.0), |seconds| seconds.parse())?;
    let place = arguments.get(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let (folder, each) = (tempfile::tempdir_in(place)?, Duration::from_secs_f64(seconds));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut bare, mut webhook, mut with_ids, mut joined) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        let place = |name: &str| folder.path().join(format!("{name}-{round}"));
        bare.push(runtime.block_on(bare::measure(&place("bare"), each))?);
        let (rate, together) = runtime.block_on(pipeline::measure(&place("webhook"), false, each))?;
        webhook.push(rate);
        joined.push(together);
        with_ids.push(runtime.block_on(pipeline::measure(&place("ids"), true, each))?.0);
    }
    let (bare, webhook, with_ids) = (median(bare), median(webhook), median(with_ids));
    println!("| {} connections, each answered when durable | per second | ratio | wanted |", clients::CONNECTIONS);
    println!("|---|---|---|---|");
    println!("| axum, one group-committed fdatasync | {bare:.0} | 1.00 | |");
    println!("| webhook through a pipeline | {webhook:.0} | {:.2} | 0.60 |", webhook / bare);
    println!("| webhook through a pipeline, each event with an id | {with_ids:.0} | {:.2} | |", with_ids / bare);
    println!("events in each step: {:.1}", median(joined));
    Ok(())
}
