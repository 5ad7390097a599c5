//! Collecting from AWS, against parsing the same answers with the bare SDK: DescribeInstances as a server on loopback
//! gives it, in pages of a thousand.
//!
//! `cargo bench --bench aws -- [refresh [ROUNDS] | memory | event]`; without a word, all three. TIDEGATE_BENCH_ROWS says how
//! many instances there are (100,000; each has two block devices and a network interface). The server and each contender
//! run in processes of their own.

mod bare;
mod canned;
mod event;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
mod memory;
mod refresh;
mod running;
mod server;

use std::process::{Command, ExitCode};

use frame::{Outcome, median, peak_memory};

/// The region of everything.
const REGION: &str = "us-east-1";
/// The tables that are made of DescribeInstances.
const TABLES: [&str; 3] = ["aws_ec2_instance", "aws_ec2_instance_block_device", "aws_ec2_instance_network_interface"];
/// How many rows of all tables an instance becomes.
const ROWS_OF_ONE: u64 = 4;

fn main() -> ExitCode {
    frame::ended(|words| match words {
        ["contender", "serve", instances] => server::serve(instances),
        ["contender", "bare", address] => bare::contender(address),
        ["contender", "refresh", address, instances, folder] => refresh::contender(address, instances, folder),
        ["contender", "memory", address, accounts] => memory::contender(address, accounts),
        ["contender", "event", address, instances, folder] => event::contender(address, instances, folder),
        ["refresh", rest @ ..] => refresh::report(rest),
        ["memory"] => memory::report(),
        ["event"] => event::report(),
        [] => refresh::report(&[]).and_then(|()| memory::report()).and_then(|()| event::report()),
        other => Err(format!("there is no bench `{}`", other.join(" ")).into()),
    })
}

/// How many instances there are.
fn instances() -> Outcome<u64> {
    Ok(std::env::var("TIDEGATE_BENCH_ROWS").map_or(Ok(100_000), |count| count.parse())?)
}

/// Runs a contender in a process of its own; the numbers that it printed.
fn contender(arguments: &[&str]) -> Outcome<Vec<f64>> {
    let mut command = Command::new(std::env::current_exe()?);
    // Nothing of this machine's own credentials and settings has a say.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    let output = command.arg("contender").args(arguments).env("AWS_EC2_METADATA_DISABLED", "true").output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    String::from_utf8(output.stdout)?.split_whitespace().map(|number| Ok(number.parse()?)).collect()
}

/// What contenders run in.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
