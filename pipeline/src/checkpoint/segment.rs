//! Segments: immutable files named by the BLAKE3 hash of their contents, in which all state lives.
//!
//! ```text
//! magic 8 | format u32 | length of index u32 | crc u32 of all before and of the index | index | sections
//! ```
//! The index says of each section to which node it belongs, its name, encoding, length and CRC-32; so one
//! node's sections are read without the rest.

use std::io::{self, SeekFrom};
use std::path::Path;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::disk::failed;
use crate::error::{Error, Result};
use crate::journal::batch::{read_stream, write_stream};
use crate::step::ContentHash;

use super::folder::Contents;

const MAGIC: &[u8; 8] = b"TIDESEGM";
/// The format of segments that this program writes.
const FORMAT: u32 = 1;
const HEAD: usize = 20;

/// A part of a segment.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The node that it belongs to.
    pub node: String,
    /// What it is to that node, with the version of its format (`kept.v1`).
    pub name: String,
    /// The contents.
    pub content: Content,
}

/// What a section holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Rows, written as an Arrow IPC stream without what they were cut from.
    Batch(RecordBatch),
    /// Bytes, written as they are.
    Bytes(Vec<u8>),
}

/// The encoding byte of a batch.
const BATCH: u8 = 1;
/// The encoding byte of plain bytes.
const BYTES: u8 = 2;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) node: String,
    pub(super) name: String,
    encoding: u8,
    pub(super) length: u64,
    crc: u32,
}

/// Why a segment cannot be had.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is not there.
    Missing(Error),
    /// It is there and is not what it was.
    Damaged(Error),
    /// It may be good: the disk, a permission, a newer format.
    Other(Error),
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Missing(error) | Unreadable::Damaged(error) | Unreadable::Other(error) => error,
        }
    }
}

pub(super) fn damaged(path: &Path, why: &str) -> Unreadable {
    Unreadable::Damaged(Error::external(format!("the segment {} is damaged: {why}", path.display())).never_retry())
}

/// The name that a segment of these sections has.
///
/// # Errors
/// When a batch cannot be encoded.
pub fn hash_of(sections: &[Section]) -> Result<ContentHash> {
    encode(sections).map(|bytes| ContentHash::of(&bytes))
}

pub(super) fn encode(sections: &[Section]) -> Result<Vec<u8>> {
    let mut bodies = Vec::new();
    let index = sections.iter().map(|section| encode_section(section, &mut bodies)).collect::<Result<Vec<_>>>()?;
    let mut bytes = encode_head(&index)?;
    bytes.append(&mut bodies);
    Ok(bytes)
}

/// Appends a section to `bodies`; what the index says of it.
pub(super) fn encode_section(section: &Section, bodies: &mut Vec<u8>) -> Result<Entry> {
    let start = bodies.len();
    let encoding = match &section.content {
        Content::Batch(batch) => {
            write_stream(bodies, batch)?;
            BATCH
        }
        Content::Bytes(bytes) => {
            bodies.extend_from_slice(bytes);
            BYTES
        }
    };
    let body = &bodies[start..];
    let (length, crc) = (body.len() as u64, crc32fast::hash(body));
    Ok(Entry { node: section.node.clone(), name: section.name.clone(), encoding, length, crc })
}

/// All that precedes the sections.
pub(super) fn encode_head(index: &[Entry]) -> Result<Vec<u8>> {
    let index =
        postcard::to_stdvec(index).map_err(|error| Error::internal(format!("an index cannot be encoded: {error}")))?;
    let index_length = u32::try_from(index.len()).map_err(|_| Error::internal("a segment has too many sections"))?;
    let mut bytes = Vec::with_capacity(HEAD + index.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&index_length.to_le_bytes());
    let crc = head_checksum(&bytes, &index);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&index);
    Ok(bytes)
}

fn head_checksum(head: &[u8], index: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(index);
    hasher.finalize()
}

/// The sections of a segment of `length` bytes that are wanted, in the order in which they were written. `path`
/// is named in errors.
pub(super) fn read_sections(
    file: &mut dyn Contents,
    path: &Path,
    length: u64,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<Section>, Unreadable> {
    let (index, mut offset) = read_index(file, path, length)?;
    let mut sections = Vec::new();
    for entry in index {
        let start = offset;
        offset = offset.saturating_add(entry.length);
        if offset > length {
            return Err(damaged(path, "it ends early"));
        }
        if wanted(&entry) {
            sections.push(read_section(file, path, start, entry)?);
        }
    }
    if offset != length {
        return Err(damaged(path, "it is longer than its sections"));
    }
    Ok(sections)
}

/// The index, and where the first section begins.
pub(super) fn read_index(file: &mut dyn Contents, path: &Path, length: u64) -> Result<(Vec<Entry>, u64), Unreadable> {
    let mut head = [0; HEAD];
    fill(file, path, &mut head)?;
    if &head[..8] != MAGIC {
        return Err(damaged(path, "it does not begin like a segment"));
    }
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(8) != FORMAT {
        let message =
            format!("the segment {} has format {}, this program reads format {FORMAT}", path.display(), number(8));
        return Err(Unreadable::Other(
            Error::user(message).with_remedy("a newer program is needed: run the one that wrote it"),
        ));
    }
    let start = HEAD as u64 + u64::from(number(12));
    if start > length {
        return Err(damaged(path, "it ends within its index"));
    }
    let mut index = vec![0; number(12) as usize];
    fill(file, path, &mut index)?;
    if head_checksum(&head[..HEAD - 4], &index) != number(HEAD - 4) {
        return Err(damaged(path, "the checksum of its index is wrong"));
    }
    let entries =
        postcard::from_bytes(&index).map_err(|error| damaged(path, &format!("its index is unreadable: {error}")))?;
    Ok((entries, start))
}

pub(super) fn read_section(
    file: &mut dyn Contents,
    path: &Path,
    start: u64,
    entry: Entry,
) -> Result<Section, Unreadable> {
    file.seek(SeekFrom::Start(start)).map_err(|error| Unreadable::Other(failed("read", path, &error)))?;
    let length = usize::try_from(entry.length).map_err(|error| damaged(path, &error.to_string()))?;
    let mut body = vec![0; length];
    fill(file, path, &mut body)?;
    if crc32fast::hash(&body) != entry.crc {
        return Err(damaged(
            path,
            &format!("the checksum of section `{}` of node `{}` is wrong", entry.name, entry.node),
        ));
    }
    let content = match entry.encoding {
        BATCH => Content::Batch(read_stream(body).map_err(Unreadable::Other)?),
        BYTES => Content::Bytes(body),
        encoding => {
            let message = format!("the segment {} holds a section of encoding {encoding}", path.display());
            return Err(Unreadable::Other(Error::user(message).with_remedy("a newer program is needed")));
        }
    };
    Ok(Section { node: entry.node, name: entry.name, content })
}

fn fill(file: &mut dyn Contents, path: &Path, bytes: &mut [u8]) -> Result<(), Unreadable> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it ends early"),
        _ => Unreadable::Other(failed("read", path, &error)),
    })
}
