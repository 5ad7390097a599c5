//! The durable mark outside the journal: a small file with two slots that are written in turn.
//!
//! It is written after each synchronisation of the journal, without one of its own: what reaches the disk is
//! late at worst, never ahead. A slot that a crash has torn leaves the other.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, failed};
use crate::error::Result;

use super::JournalPosition;

/// The name of the file in the journal's directory.
pub(super) const NAME: &str = "durable";

/// A slot: sequence u64 | position u64 | crc u32, at the beginning of its sector.
const SLOT: usize = 20;
/// The distance of the slots, so that they lie in different sectors.
const SECTOR: u64 = 512;

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Slots {
    disk: Disk,
    file: File,
    path: PathBuf,
    sequence: u64,
}

impl Slots {
    /// Opens the file, creating it where it is missing.
    pub(super) fn open(disk: Disk, directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        let sequence = newest(directory)?.map_or(0, |slot| slot.sequence);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| failed("open", &path, &error))?;
        Ok(Self { disk, file, path, sequence })
    }

    /// Writes the mark into the slot whose turn it is.
    pub(super) fn write(&mut self, durable: JournalPosition) -> Result<()> {
        self.sequence += 1;
        let bytes = encode(self.sequence, durable);
        let offset = (self.sequence % 2) * SECTOR;
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.disk.write_all("journal.mark", &mut self.file, &bytes))
            .map_err(|error| failed("write", &self.path, &error))
    }
}

/// The mark that the file of `directory` holds; the beginning where there is none that can be read.
pub(super) fn read(directory: &Path) -> Result<JournalPosition> {
    Ok(newest(directory)?.map_or(JournalPosition::START, |slot| slot.durable))
}

struct Slot {
    sequence: u64,
    durable: JournalPosition,
}

fn newest(directory: &Path) -> Result<Option<Slot>> {
    let path = directory.join(NAME);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(SECTOR * 2).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, &error)),
    }
    let slots = bytes.chunks(SECTOR as usize).filter_map(decode);
    Ok(slots.max_by_key(|slot| slot.sequence))
}

fn encode(sequence: u64, durable: JournalPosition) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[0..8].copy_from_slice(&sequence.to_le_bytes());
    bytes[8..16].copy_from_slice(&durable.0.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..16]);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Slot> {
    let (sequence, rest) = bytes.split_first_chunk::<8>()?;
    let (durable, rest) = rest.split_first_chunk::<8>()?;
    let (crc, _) = rest.split_first_chunk::<4>()?;
    let good = crc32fast::hash(&bytes[..16]) == u32::from_le_bytes(*crc);
    let sequence = u64::from_le_bytes(*sequence);
    (good && sequence > 0).then(|| Slot { sequence, durable: JournalPosition(u64::from_le_bytes(*durable)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_mark_is_read_back_and_a_torn_slot_leaves_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), JournalPosition::START);
        let mut slots = Slots::open(Disk::default(), directory.path()).unwrap();
        for position in [10, 20, 30] {
            slots.write(JournalPosition(position)).unwrap();
        }
        drop(slots);
        let mut slots = Slots::open(Disk::default(), directory.path()).unwrap();
        slots.write(JournalPosition(40)).unwrap();
        assert_eq!(read(directory.path()).unwrap(), JournalPosition(40));
        let path = directory.path().join(NAME);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[9] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(directory.path()).unwrap(), JournalPosition(30));
    }
}
