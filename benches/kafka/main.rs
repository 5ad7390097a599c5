//! Kafka JSON → filter → drop, against a bare consumer that decodes the same messages with arrow-json.
//!
//! `cargo bench --bench kafka -- [EVENTS] [ROUNDS]`: starts Apache Kafka (`tests/services/kafka.sh`), writes the events
//! once, and lets both read them in turn. What counts is the ratio; durable positions and the journal are included.

mod bare;
mod broker;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
#[allow(dead_code, clippy::expect_used, reason = "the tests need more of it")]
#[path = "../../tests/connectors/service.rs"]
mod service;
mod tidegate;

use std::process::ExitCode;

use frame::{Outcome, median};

/// The topic that is read.
const TOPIC: &str = "events";
/// How many partitions it has.
const PARTITIONS: i32 = 4;

fn main() -> ExitCode {
    frame::ended(run)
}

fn run(arguments: &[&str]) -> Outcome<()> {
    let events: u64 = arguments.first().map_or(Ok(1_000_000), |count| count.parse())?;
    let rounds: usize = arguments.get(1).map_or(Ok(3), |count| count.parse())?;
    let folder = tempfile::tempdir()?;
    let broker = broker::Broker::start()?;
    eprintln!("writing {events} events");
    broker.write(events)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut bare, mut tidegate) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        bare.push(bare::read(&broker.address(), events)?);
        let state = folder.path().join(format!("state-{round}"));
        tidegate.push(runtime.block_on(tidegate::read(broker.port(), events, &state))?);
        eprintln!("round {round}: bare {:.2} s, tidegate {:.2} s", bare[round], tidegate[round]);
    }
    let (bare, tidegate) = (median(bare), median(tidegate));
    let rate = |seconds: f64| events as f64 / seconds;
    println!("a bare consumer with arrow-json: {:.0} events/s", rate(bare));
    println!("tidegate: {:.0} events/s", rate(tidegate));
    println!("ratio: {:.2} (wanted: 0.7)", bare / tidegate);
    Ok(())
}
