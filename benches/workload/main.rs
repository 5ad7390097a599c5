//! The workload that is compared with peers: 2,000,000 operations events through filter, lookup, deduplication,
//! a computed column and a route, into two files.
//!
//! Every contender runs in a process of its own, alternating, in one run; what is printed are medians and
//! ratios, since machines are noisy. `cargo bench --bench workload -- [EVENTS] [ROUNDS]`.

mod checks;
mod datafusion_batch;
mod events;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
mod steps;
mod tidegate;

use std::path::Path;
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use frame::{Outcome, median, peak_memory};

/// What one run of a contender measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Measurement {
    seconds: f64,
    rows: u64,
    peak_mib: f64,
}

/// The contenders of the workload.
const CONTENDERS: [&str; 3] = ["datafusion", "tidegate-100ms", "tidegate-off"];

fn main() -> ExitCode {
    frame::ended(|arguments| match arguments {
        ["contender", rest @ ..] => contender(rest),
        ["steps", ..] => steps::report(),
        ["checks", ..] => checks::report(),
        _ => compare(arguments),
    })
}

/// Runs one contender in this process and prints what it measured.
fn contender(arguments: &[&str]) -> Outcome<()> {
    let [name, folder] = arguments else { return Err("contender NAME FOLDER".into()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = Path::new(folder);
    let (seconds, rows) = match *name {
        "datafusion" => runtime.block_on(datafusion_batch::run(folder))?,
        "tidegate-100ms" => runtime.block_on(tidegate::run(folder, "100ms"))?,
        "tidegate-off" => runtime.block_on(tidegate::run(folder, "off"))?,
        other => return Err(format!("there is no contender {other}").into()),
    };
    println!("{}", serde_json::to_string(&Measurement { seconds, rows, peak_mib: peak_memory()? })?);
    Ok(())
}

fn compare(arguments: &[&str]) -> Outcome<()> {
    let events: usize = arguments.first().map_or(Ok(2_000_000), |count| count.parse())?;
    let rounds: usize = arguments.get(1).map_or(Ok(3), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    eprintln!("writing {events} events");
    events::write(folder.path(), events)?;
    let mut measured: Vec<Vec<Measurement>> = vec![Vec::new(); CONTENDERS.len()];
    for round in 1..=rounds {
        for (name, measured) in CONTENDERS.iter().zip(&mut measured) {
            let measurement = run_contender(name, folder.path())?;
            eprintln!("round {round}: {name:<16} {:>8.2} s  {:>6.0} MiB", measurement.seconds, measurement.peak_mib);
            measured.push(measurement);
        }
    }
    report(events, &measured)
}

fn run_contender(name: &str, folder: &Path) -> Outcome<Measurement> {
    let work = folder.join(name);
    std::fs::remove_dir_all(&work).ok();
    std::fs::create_dir_all(&work)?;
    let output =
        Command::new(std::env::current_exe()?).args(["contender", name]).arg(folder).current_dir(&work).output()?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn report(events: usize, measured: &[Vec<Measurement>]) -> Outcome<()> {
    let median = |values: &[Measurement]| median(values.iter().map(|value| value.seconds).collect());
    let floor = median(&measured[0]);
    println!("| contender | median s | events/s | ratio to bare DataFusion | peak MiB | rows out |");
    println!("|---|---|---|---|---|---|");
    for (name, values) in CONTENDERS.iter().zip(measured) {
        let seconds = median(values);
        let peak = values.iter().map(|value| value.peak_mib).fold(0.0, f64::max);
        let rows = values.first().map_or(0, |value| value.rows);
        let rate = events as f64 / seconds;
        println!("| {name} | {seconds:.2} | {rate:.0} | {:.2} | {peak:.0} | {rows} |", floor / seconds);
    }
    let (with, without) = (median(&measured[1]), median(&measured[2]));
    println!("\ncheckpoints every 100 ms against none: {:.2}", without / with);
    Ok(())
}
