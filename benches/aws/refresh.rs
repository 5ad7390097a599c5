//! How long a refresh takes: the first, which writes everything, and one that finds nothing changed.

use std::path::Path;

use super::running::with_pipeline;
use super::server::Server;
use super::{Outcome, ROWS_OF_ONE, contender as run, instances, median, runtime};

/// Prints seconds of the first and of the second refresh, how many rows each has written, and the peak of memory.
pub(crate) fn contender(address: &str, instances: &str, folder: &str) -> Outcome<()> {
    let expected = instances.parse::<u64>()? * ROWS_OF_ONE;
    let (first, second, written, again) =
        runtime()?.block_on(with_pipeline(address, None, Path::new(folder), async |pipeline| {
            let first = pipeline.refresh(expected).await?;
            let written = pipeline.rows();
            let second = pipeline.refresh(expected).await?;
            Ok((first, second, written, pipeline.rows() - written))
        }))?;
    println!("{first} {second} {written} {again} {}", super::peak_memory()?);
    Ok(())
}

/// Alternates, prints the ratios.
pub(crate) fn report(arguments: &[&str]) -> Outcome<()> {
    let rounds: usize = arguments.first().map_or(Ok(3), |rounds| rounds.parse())?;
    let instances = instances()?;
    let server = Server::start(instances)?;
    let (mut bare, mut firsts, mut seconds, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    for round in 1..=rounds {
        let [took, rows] = run(&["bare", &server.address])?[..] else { return Err("two numbers".into()) };
        let folder = tempfile::tempdir()?;
        let refreshed =
            run(&["refresh", &server.address, &instances.to_string(), &folder.path().display().to_string()])?;
        let [first, second, written, again, memory] = refreshed[..] else { return Err("five numbers".into()) };
        if rows != written || again != 0.0 {
            return Err(format!("the SDK has read {rows} rows, we {written}, and again {again}").into());
        }
        eprintln!("round {round}: bare {took:.2} s, first {first:.2} s, second {second:.2} s");
        bare.push(took);
        firsts.push(first);
        seconds.push(second);
        peak = peak.max(memory);
    }
    let (bare, first, second) = (median(bare), median(firsts), median(seconds));
    let rows = (instances * ROWS_OF_ONE) as f64;
    println!("\n| {instances} instances, {rows} rows | seconds | rows/s | ratio | wanted |\n|---|---|---|---|---|");
    println!("| the bare SDK | {bare:.2} | {:.0} | 1.00 | |", rows / bare);
    println!("| first refresh | {first:.2} | {:.0} | {:.2} | at least 0.7 |", rows / first, bare / first);
    println!(
        "| second refresh, nothing changed | {second:.2} | {:.0} | {:.2} × its time | at most 1.3 × |",
        rows / second,
        second / bare
    );
    println!("\npeak memory with all rows in the tables: {peak:.0} MiB");
    Ok(())
}
