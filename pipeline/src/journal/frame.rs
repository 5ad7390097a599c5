//! The bytes of a journal file: a head, then frames.
//!
//! ```text
//! file head   magic 8 | format u32 | incarnation u32 | shard u16 | 0 u16 | previous u32 | start u64 | first step u64 | durable u64 | 0 u32 | crc u32
//! frame       length u32 | kind u8 | version u8 | shard u16 | incarnation u32 | previous u32 | durable u64 | crc u32 | payload
//! ```
//! All numbers are little endian. `crc` is the CRC-32 of everything else in the head or frame; `previous`
//! is the `crc` of the frame before (in the first frame of a file, of the head; in a head, of the last frame of the
//! file before): so frames form a chain, and yet each can be recognised on its own after a broken one.
//! `durable` is a position below which everything was on the disk when the frame was written.

use crate::error::Error;
use crate::step::{Incarnation, Shard, StepNumber};

use super::JournalPosition;

/// The length of a file's head.
pub(super) const FILE_HEAD: usize = 56;
/// The length of a frame's head.
pub(super) const FRAME_HEAD: usize = 28;
/// The longest payload.
pub(super) const MAX_PAYLOAD: usize = 256 * 1024 * 1024;

const MAGIC: &[u8; 8] = b"TIDEJRNL";
/// The format of files that this program writes.
const FORMAT: u32 = 1;

/// The last format that a later program may come to; a number beyond it is what a crash has left.
const FARTHEST_FORMAT: u32 = 1_000;

/// Why there is no head where one should be.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Something else stands there.
    Broken(String),
    /// A newer program has written it.
    Newer(Error),
}

/// The head of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHead {
    /// The incarnation that created the file.
    pub(super) incarnation: Incarnation,
    /// The shard that it belongs to.
    pub(super) shard: Shard,
    /// The checksum of the frame before.
    pub(super) previous: u32,
    /// The position of the file's first byte.
    pub(super) start: JournalPosition,
    /// The step that the file is named by.
    pub(super) first_step: StepNumber,
    /// What was durable when the file was created.
    pub(super) durable: JournalPosition,
}

impl FileHead {
    /// The head as bytes; the last four are its checksum.
    pub(super) fn encode(&self) -> [u8; FILE_HEAD] {
        let mut bytes = [0; FILE_HEAD];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.incarnation.0.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.shard.0.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.previous.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.start.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_step.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.durable.0.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..FILE_HEAD - 4]);
        bytes[FILE_HEAD - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head and its checksum.
    ///
    /// # Errors
    /// Why the bytes are no head of a journal file; for a later format, that a newer program is needed.
    pub(super) fn decode(bytes: &[u8; FILE_HEAD]) -> Result<(Self, u32), Unusable> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(Unusable::Broken("its head is all zeros".into()));
        }
        if &bytes[0..8] != MAGIC {
            return Err(Unusable::Broken("it does not begin like a journal file".into()));
        }
        let format = u32_at(bytes, 8);
        if (FORMAT + 1..=FARTHEST_FORMAT).contains(&format) {
            let error = Error::user(format!("it has format {format}, this program reads format {FORMAT}"));
            let remedy = "a newer program is needed: run the one that wrote this journal";
            return Err(Unusable::Newer(error.with_remedy(remedy)));
        }
        let crc = u32_at(bytes, FILE_HEAD - 4);
        if crc32fast::hash(&bytes[..FILE_HEAD - 4]) != crc || format != FORMAT {
            return Err(Unusable::Broken("the checksum of its head is wrong".into()));
        }
        let head = Self {
            incarnation: Incarnation(u32_at(bytes, 12)),
            shard: Shard(u16_at(bytes, 16)),
            previous: u32_at(bytes, 20),
            start: JournalPosition(u64_at(bytes, 24)),
            first_step: StepNumber(u64_at(bytes, 32)),
            durable: JournalPosition(u64_at(bytes, 40)),
        };
        Ok((head, crc))
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    /// The length of the payload.
    pub(super) length: u32,
    /// The kind of record.
    pub(super) kind: u8,
    /// The version of the kind.
    pub(super) version: u8,
    /// The shard that wrote it.
    pub(super) shard: Shard,
    /// The incarnation that wrote it.
    pub(super) incarnation: Incarnation,
    /// The checksum of the frame before.
    pub(super) previous: u32,
    /// What was durable when it was written.
    pub(super) durable: JournalPosition,
}

impl FrameHead {
    /// The head as bytes and the checksum in it.
    pub(super) fn encode(&self, payload: &[u8]) -> ([u8; FRAME_HEAD], u32) {
        let mut bytes = [0; FRAME_HEAD];
        bytes[0..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4] = self.kind;
        bytes[5] = self.version;
        bytes[6..8].copy_from_slice(&self.shard.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.incarnation.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.previous.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.durable.0.to_le_bytes());
        let crc = checksum(&bytes, payload);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        (bytes, crc)
    }

    /// The head, and the checksum that its payload must lead to.
    pub(super) fn decode(bytes: &[u8; FRAME_HEAD]) -> (Self, u32) {
        let head = Self {
            length: u32_at(bytes, 0),
            kind: bytes[4],
            version: bytes[5],
            shard: Shard(u16_at(bytes, 6)),
            incarnation: Incarnation(u32_at(bytes, 8)),
            previous: u32_at(bytes, 12),
            durable: JournalPosition(u64_at(bytes, 16)),
        };
        (head, u32_at(bytes, 24))
    }
}

/// The checksum of a frame.
pub(super) fn checksum(head: &[u8; FRAME_HEAD], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..FRAME_HEAD - 4]);
    hasher.update(payload);
    hasher.finalize()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
