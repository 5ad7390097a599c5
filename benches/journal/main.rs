//! What the journal costs, and what the disk itself would take.
//!
//! `cargo bench --bench journal -- [callers|seekable|compression] [SECONDS] [FOLDER]`: without a name all three. Everything that
//! is compared is measured in turn, in one run, on the disk of FOLDER (the working directory); what counts are ratios.

mod callers;
mod compression;
mod disk;
mod engine;
#[allow(dead_code, reason = "each bench takes what it needs of it")]
#[path = "../frame/mod.rs"]
mod frame;
mod seekable;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tidegate_pipeline::journal::{InlinePart, Record, StepBody, StepRecord};
use tidegate_pipeline::step::{Position, SchemaVersion, StepHeader, StepNumber, StepTime, Unit};

use frame::{Outcome, median};

fn main() -> ExitCode {
    frame::ended(run)
}

fn run(arguments: &[&str]) -> Outcome<()> {
    let seconds: f64 = arguments.get(1).map_or(Ok(1.0), |seconds| seconds.parse())?;
    let place = arguments.get(2).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let folder = tempfile::tempdir_in(place)?;
    let each = Duration::from_secs_f64(seconds);
    match arguments.first().copied() {
        None => {
            callers::report(folder.path(), each)?;
            seekable::report(folder.path())?;
            compression::report()
        }
        Some("callers") => callers::report(folder.path(), each),
        Some("seekable") => seekable::report(folder.path()),
        Some("compression") => compression::report(),
        Some(other) => Err(format!("there is no bench {other}").into()),
    }
}

/// A step with these parts.
fn step(number: u64, parts: Vec<InlinePart>) -> Record {
    record(number, StepBody::Inline { parts, rejected: Vec::new(), position: Position(number.to_string().into()) })
}

fn record(number: u64, body: StepBody) -> Record {
    let header = StepHeader {
        number: StepNumber(number),
        time: StepTime(1_795_200_000_000 + number as i64),
        source: "events".into(),
        unit: Unit::Rows,
        schema_version: SchemaVersion(1),
        watermark: None,
    };
    Record::Step(StepRecord { header, body })
}
