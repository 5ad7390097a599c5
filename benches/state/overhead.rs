//! Checkpoints every second against none: a million keys of state, one row in a hundred brings a new one.

use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_pipeline::runtime::{Pipeline, RunOptions};

use super::numbers::{Numbers, Shape, graph, text};
use super::{Outcome, contender as run, median};

const ROWS: &str = "60000000";
const CONTENDERS: [&str; 2] = ["off", "1s"];

/// Prints the rows per second of one run.
pub(crate) fn contender(every: &str, rows: &str, folder: &str) -> Outcome<()> {
    let shape = Shape { known: 1_000_000, rows: rows.parse()?, new_every: 100 };
    let warm = Arc::new(Mutex::new(None));
    let graph = graph(&text(every), Numbers { shape, warm: Arc::clone(&warm) })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let checkpoints = runtime.block_on(async {
        let pipeline = Pipeline::open(Arc::new(graph), RunOptions::new(folder)).await?;
        let status = pipeline.status();
        pipeline.run().await?;
        Ok::<_, tidegate_pipeline::error::Error>(status.checkpoints.load(std::sync::atomic::Ordering::Relaxed))
    })?;
    let seconds = warm.lock().ok_or("it never became warm")?.elapsed().as_secs_f64();
    println!("{} {checkpoints}", shape.rows as f64 / seconds);
    Ok(())
}

/// Alternates, prints the ratio. Arguments: rounds and rows.
pub(crate) fn report(arguments: &[&str]) -> Outcome<()> {
    let rounds: usize = arguments.first().map_or(Ok(5), |rounds| rounds.parse())?;
    let rows = arguments.get(1).copied().unwrap_or(ROWS);
    let mut rates = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        for (every, rates) in CONTENDERS.iter().zip(&mut rates) {
            let folder = tempfile::tempdir()?;
            let printed = run(&["overhead", every, rows, &folder.path().display().to_string()])?;
            let (rate, checkpoints) = printed.trim().split_once(' ').ok_or("two numbers")?;
            eprintln!(
                "round {round}: checkpoints {every:<4} {:.2} M rows/s, {checkpoints} checkpoints",
                rate.parse::<f64>()? / 1e6
            );
            rates.push(rate.parse()?);
        }
    }
    let [off, on] = rates.map(median);
    println!("\n| checkpoints | M rows/s |\n|---|---|\n| off | {:.2} |\n| every second | {:.2} |", off / 1e6, on / 1e6);
    println!(
        "\ncheckpoints every second against none, 1 M keys, 1 % changing: {:.3} (wanted: at least 0.95)",
        on / off
    );
    Ok(())
}
