//! How long a start takes, and what it holds, with many effects that wait for a destination that is not there.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_pipeline::runtime::{Pipeline, RunOptions};

use super::{Outcome, pipeline};

/// Makes so many effects that cannot be delivered, stops, and starts again.
pub(crate) fn measure(effects: usize, place: &Path) -> Outcome<()> {
    let folder = tempfile::tempdir_in(place)?;
    let mut options = RunOptions::new(folder.path().join("state"));
    options.delivery.bound = effects;
    options.delivery.bound_bytes = usize::MAX;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // Nobody listens on the port of the discard protocol here.
    let graph = pipeline::graph("http://127.0.0.1:9/", effects)?;
    let before = resident()?;
    runtime.block_on(async {
        let opened = Pipeline::open(graph.clone(), options.clone()).await?;
        let (status, cancel) = (opened.status(), opened.cancellation());
        let intended = async {
            while status.effects().get("page").is_none_or(|page| page.intended < effects) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            cancel.cancel();
        };
        tokio::join!(opened.run(), intended).0
    })?;
    let between = resident()?;
    let begun = Instant::now();
    let opened = runtime.block_on(Pipeline::open(graph, options))?;
    let (took, after) = (begun.elapsed(), resident()?);
    let waiting = opened.status().effects().get("page").map_or(0, |page| page.intended);
    println!("| effects that wait | start | resident before, after the first life, after the start (MB) |");
    println!("|---|---|---|");
    println!("| {waiting} | {took:.2?} | {before:.0}, {between:.0}, {after:.0} |");
    Ok(())
}

/// What this process holds, in megabytes.
fn resident() -> Outcome<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
