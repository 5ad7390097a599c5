//! The disk without anything around it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Outcome, median};

/// About what a one-row step takes in the journal.
const RECORD: usize = 600;

/// The median of appending a record to a file and waiting until it is on the disk, in seconds.
pub(crate) fn bare_fdatasync(folder: &Path, each: Duration) -> Outcome<f64> {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("bare"))?;
    let (bytes, started) = ([7_u8; RECORD], Instant::now());
    let mut taken = Vec::new();
    while started.elapsed() < each {
        file.write_all(&bytes)?;
        let began = Instant::now();
        file.sync_data()?;
        taken.push(began.elapsed().as_secs_f64());
    }
    Ok(median(taken))
}
