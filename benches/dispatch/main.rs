//! What a webhook costs that arrives whatever happens, against the bare HTTP client.
//!
//! `cargo bench --bench dispatch -- [REQUESTS] [FOLDER]`: both post as many small JSON bodies to the same server over 256
//! connections, in turn, in one run; what counts is the ratio. The pipeline's outbox is on the disk of FOLDER.
//! `cargo bench --bench dispatch -- pending [EFFECTS] [FOLDER]`: how long a start takes, and what it holds, with so many
//! effects that wait.

mod bare;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
mod pending;
mod pipeline;
mod receiver;

use std::path::PathBuf;
use std::process::ExitCode;

use frame::{Outcome, median};
use receiver::Receiver;

/// Each contender is measured so often, in turn.
const ROUNDS: usize = 5;
/// Requests under way at once.
const CONNECTIONS: usize = 256;

fn main() -> ExitCode {
    frame::ended(run)
}

fn run(arguments: &[&str]) -> Outcome<()> {
    if let ["pending", rest @ ..] = arguments {
        let effects = rest.first().map_or(Ok(1_000_000), |count| count.parse())?;
        return pending::measure(effects, &rest.get(1).map_or_else(|| PathBuf::from("."), PathBuf::from));
    }
    let requests: usize = arguments.first().map_or(Ok(20_000), |count| count.parse())?;
    let place = arguments.get(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = tempfile::tempdir_in(place)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let receiver = Receiver::start()?;
    let (mut bare, mut webhook) = (vec![], vec![]);
    for round in 0..ROUNDS {
        bare.push(runtime.block_on(bare::measure(&receiver, requests))?);
        let state = folder.path().join(format!("state-{round}"));
        webhook.push(runtime.block_on(pipeline::measure(&receiver, &state, requests))?);
    }
    let (bare, webhook) = (median(bare), median(webhook));
    println!("| {requests} requests, {CONNECTIONS} at once | per second | ratio | wanted |");
    println!("|---|---|---|---|");
    println!("| reqwest | {bare:.0} | 1.00 | |");
    println!("| sink `webhook`, through the outbox | {webhook:.0} | {:.2} | 0.60 |", webhook / bare);
    Ok(())
}
