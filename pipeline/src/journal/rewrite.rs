//! What an earlier life has written and not seen on the disk is written again before it is trusted.
//!
//! After a failed `fsync` the system may show bytes that are not on the disk, and the next `fsync` succeeds
//! without writing them: it has forgotten that it owes them. So it is made to owe them again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};

use super::JournalPosition;
use super::recover::PlacedFile;
use crate::disk::{Disk, failed};
use crate::error::Result;

/// How much is written at once.
const CHUNK: usize = 256 * 1024;

/// Writes everything from `durable` on again, and waits until it is on the disk. Nothing after an orderly end.
///
/// # Errors
/// When the disk fails.
pub(super) fn rewrite(disk: &Disk, files: &[PlacedFile], durable: JournalPosition) -> Result<()> {
    for file in files.iter().filter(|file| file.start.0.saturating_add(file.length) > durable.0) {
        let from = durable.0.saturating_sub(file.start.0);
        let opened = OpenOptions::new().read(true).write(true).open(&file.path);
        let rewritten = opened.and_then(|open| {
            rewrite_from(disk, &open, from, file.length)?;
            disk.sync_data("journal.sync", &open)
        });
        rewritten.map_err(|error| failed("write again the end of", &file.path, &error))?;
    }
    Ok(())
}

fn rewrite_from(disk: &Disk, file: &File, from: u64, to: u64) -> io::Result<()> {
    let mut file = file;
    let mut offset = from;
    while offset < to {
        let length = (to - offset).min(CHUNK as u64);
        let mut chunk = Vec::new();
        file.seek(SeekFrom::Start(offset))?;
        file.take(length).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.seek(SeekFrom::Start(offset))?;
        disk.write_all("journal.rewrite", &mut file, &chunk)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}
