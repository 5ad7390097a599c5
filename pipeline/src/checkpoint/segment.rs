//! Segments: immutable files named by the BLAKE3 hash of their contents, in which all state lives.
//!
//! ```text
//! magic 8 | format u32 | length of index u32 | crc u32 of all before and of the index | index | sections
//! ```
//! The index says of each section to which node it belongs, its name, encoding, length and CRC-32; so one
//! node's sections are read without the rest.

mod stream;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::disk::{TEMPORARY, create_directory, failed, replace_file, sync_directory};
use crate::error::{Error, Result};
use crate::journal::batch::{read_stream, write_stream};
use crate::step::ContentHash;

pub(crate) use stream::{NodeSections, SegmentWriter};

/// The folder of segments in a pipeline's directory.
const FOLDER: &str = "segments";
const EXTENSION: &str = "segment";
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
struct Entry {
    node: String,
    name: String,
    encoding: u8,
    length: u64,
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

/// The segments of one pipeline directory.
#[derive(Debug, Clone)]
pub struct SegmentStore {
    folder: PathBuf,
    /// How many files were begun: tells those apart that are being written.
    written: Arc<AtomicU64>,
}

impl SegmentStore {
    /// Opens the segments of the pipeline directory `directory` (`.tidegate/NAME`) as its owner: creates the
    /// folder, removes what a crash has left half-written.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(directory: &Path) -> Result<Self> {
        let store = Self::of(directory);
        create_directory(&store.folder)?;
        for path in store.paths()? {
            if path.extension().is_some_and(|extension| extension == TEMPORARY) {
                fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
            }
        }
        Ok(store)
    }

    /// The segments of a pipeline directory that somebody else owns: to be read only.
    pub fn of(directory: &Path) -> Self {
        Self { folder: directory.join(FOLDER), written: Arc::default() }
    }

    /// Writes a segment; durable when this returns. One that is there already is left as it is.
    ///
    /// # Errors
    /// When a batch cannot be encoded, or the disk fails.
    pub fn write(&self, sections: &[Section]) -> Result<ContentHash> {
        self.write_at(sections, "segment")
    }

    /// Writes a segment with crash points of that name.
    pub(super) fn write_at(&self, sections: &[Section], point: &str) -> Result<ContentHash> {
        let bytes = encode(sections)?;
        let hash = ContentHash::of(&bytes);
        let path = self.path(&hash)?;
        // Comparing heals a file that has rotted since it was written.
        let present = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == bytes.len() as u64)
            && fs::read(&path).is_ok_and(|present| present == bytes);
        if !present {
            // Two threads may write the same contents.
            let count = self.written.fetch_add(1, Ordering::Relaxed);
            let temporary = path.with_extension(format!("{count}.{TEMPORARY}"));
            replace_file(&path, &temporary, &bytes, point)?;
        }
        sync_directory(&self.folder)?;
        Ok(hash)
    }

    /// Brings a segment here from another directory: as a second name of the file where the disk can, so that it
    /// stays when the other directory collects it; else as a copy.
    ///
    /// # Errors
    /// When it is not there, or the disk fails.
    pub fn borrow(&self, from: &Self, hash: &ContentHash) -> Result<()> {
        let (theirs, ours) = (from.path(hash)?, self.path(hash)?);
        if ours.exists() || fs::hard_link(&theirs, &ours).is_ok() {
            return Ok(());
        }
        fs::copy(&theirs, &ours).map(drop).map_err(|error| failed("copy the segment", &theirs, &error))
    }

    /// Whether a segment is there, whole or not.
    pub(super) fn contains(&self, hash: &ContentHash) -> bool {
        self.path(hash).is_ok_and(|path| path.exists())
    }

    /// All sections of a segment, in the order in which they were written.
    ///
    /// # Errors
    /// When it is missing or damaged, or a newer program is needed.
    pub fn read(&self, hash: &ContentHash) -> Result<Vec<Section>> {
        Ok(self.read_if(hash, |_| true)?)
    }

    /// The sections of one node, without reading the others.
    ///
    /// # Errors
    /// When the segment is missing or damaged there, or a newer program is needed.
    pub fn read_node(&self, hash: &ContentHash, node: &str) -> Result<Vec<Section>> {
        Ok(self.read_if(hash, |entry| entry.node == node)?)
    }

    pub(super) fn read_all(&self, hash: &ContentHash) -> Result<Vec<Section>, Unreadable> {
        self.read_if(hash, |_| true)
    }

    fn read_if(&self, hash: &ContentHash, wanted: impl Fn(&Entry) -> bool) -> Result<Vec<Section>, Unreadable> {
        let (mut file, path, length) = self.open_file(hash)?;
        let (index, mut offset) = read_index(&mut file, &path, length)?;
        let mut sections = Vec::new();
        for entry in index {
            let start = offset;
            offset = offset.saturating_add(entry.length);
            if offset > length {
                return Err(damaged(&path, "it ends early"));
            }
            if wanted(&entry) {
                sections.push(read_section(&mut file, &path, start, entry)?);
            }
        }
        if offset != length {
            return Err(damaged(&path, "it is longer than its sections"));
        }
        Ok(sections)
    }

    /// Compares the whole file with its name; its length in bytes. Needs little memory.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn verify(&self, hash: &ContentHash) -> Result<u64> {
        Ok(self.verified(hash)?)
    }

    pub(super) fn verified(&self, hash: &ContentHash) -> Result<u64, Unreadable> {
        let (mut file, path, length) = self.open_file(hash)?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; 256 * 1024];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => hasher.update(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Unreadable::Other(failed("read", &path, &error))),
            };
        }
        if hasher.finalize().to_hex().as_str() != hash.0.as_ref() {
            return Err(damaged(&path, "its contents do not have the hash that it is named by"));
        }
        Ok(length)
    }

    /// The hashes of all segments there are.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<BTreeSet<ContentHash>> {
        let hash = |path: PathBuf| {
            let named = path.extension().is_some_and(|extension| extension == EXTENSION);
            let stem = path.file_stem()?.to_str()?;
            (named && is_hash(stem)).then(|| ContentHash(stem.into()))
        };
        Ok(self.paths()?.into_iter().filter_map(hash).collect())
    }

    /// Removes a segment; how many bytes that frees, 0 where it is gone already.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, hash: &ContentHash) -> Result<u64> {
        let path = self.path(hash)?;
        let length = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        match fs::remove_file(&path) {
            Ok(()) => Ok(length),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(failed("remove", &path, &error)),
        }
    }

    /// The length of a segment in bytes; 0 where it is gone.
    pub fn length(&self, hash: &ContentHash) -> u64 {
        self.path(hash).ok().and_then(|path| fs::metadata(path).ok()).map_or(0, |metadata| metadata.len())
    }

    fn paths(&self) -> Result<Vec<PathBuf>> {
        let error = |error| failed("list", &self.folder, &error);
        fs::read_dir(&self.folder).map_err(error)?.map(|entry| Ok(entry.map_err(error)?.path())).collect()
    }

    fn path(&self, hash: &ContentHash) -> Result<PathBuf> {
        if !is_hash(&hash.0) {
            return Err(Error::external(format!("`{hash}` is no name of a segment")).never_retry());
        }
        Ok(self.folder.join(format!("{hash}.{EXTENSION}")))
    }

    fn open_file(&self, hash: &ContentHash) -> Result<(File, PathBuf, u64), Unreadable> {
        let path = self.path(hash).map_err(Unreadable::Damaged)?;
        let opened = File::open(&path).and_then(|file| file.metadata().map(|metadata| (file, metadata.len())));
        match opened {
            Ok((file, length)) => Ok((file, path, length)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Unreadable::Missing(failed("open the segment", &path, &error).never_retry()))
            }
            Err(error) => Err(Unreadable::Other(failed("open the segment", &path, &error))),
        }
    }
}

/// The name that a segment of these sections has.
///
/// # Errors
/// When a batch cannot be encoded.
pub fn hash_of(sections: &[Section]) -> Result<ContentHash> {
    encode(sections).map(|bytes| ContentHash::of(&bytes))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn damaged(path: &Path, why: &str) -> Unreadable {
    Unreadable::Damaged(Error::external(format!("the segment {} is damaged: {why}", path.display())).never_retry())
}

fn encode(sections: &[Section]) -> Result<Vec<u8>> {
    let mut bodies = Vec::new();
    let index = sections.iter().map(|section| encode_section(section, &mut bodies)).collect::<Result<Vec<_>>>()?;
    let mut bytes = encode_head(&index)?;
    bytes.append(&mut bodies);
    Ok(bytes)
}

/// Appends a section to `bodies`; what the index says of it.
fn encode_section(section: &Section, bodies: &mut Vec<u8>) -> Result<Entry> {
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
fn encode_head(index: &[Entry]) -> Result<Vec<u8>> {
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

/// The index, and where the first section begins.
fn read_index(file: &mut File, path: &Path, length: u64) -> Result<(Vec<Entry>, u64), Unreadable> {
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

fn read_section(file: &mut File, path: &Path, start: u64, entry: Entry) -> Result<Section, Unreadable> {
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

fn fill(file: &mut File, path: &Path, bytes: &mut [u8]) -> Result<(), Unreadable> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it ends early"),
        _ => Unreadable::Other(failed("read", path, &error)),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn sections() -> Vec<Section> {
        let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2, 3])) as _)]).unwrap();
        vec![
            Section { node: "fresh".into(), name: "kept.v1".into(), content: Content::Batch(rows) },
            Section { node: "owned".into(), name: "file.v1".into(), content: Content::Bytes(b"a,b\n1,2\n".to_vec()) },
        ]
    }

    fn written() -> (tempfile::TempDir, SegmentStore, ContentHash, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let store = SegmentStore::open(directory.path()).unwrap();
        let hash = store.write(&sections()).unwrap();
        let path = directory.path().join(FOLDER).join(format!("{hash}.segment"));
        (directory, store, hash, path)
    }

    #[test]
    fn sections_come_back_as_they_were_whole_and_by_node() {
        let (_directory, store, hash, path) = written();
        assert_eq!(store.read(&hash).unwrap(), sections());
        assert_eq!(store.read_node(&hash, "owned").unwrap(), sections()[1..]);
        assert_eq!(store.read_node(&hash, "nobody").unwrap(), []);
        assert_eq!(store.verify(&hash).unwrap(), fs::metadata(path).unwrap().len());
        assert_eq!(store.list().unwrap(), BTreeSet::from([hash]));
    }

    #[test]
    fn the_same_contents_are_one_file_which_is_removed_once() {
        let (_directory, store, hash, _) = written();
        assert_eq!(store.write(&sections()).unwrap(), hash);
        assert!(store.remove(&hash).unwrap() > 0);
        assert_eq!(store.remove(&hash).unwrap(), 0);
        assert!(store.read(&hash).is_err());
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_an_error() {
        let (_directory, store, hash, path) = written();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 0x08;
            fs::write(&path, flipped).unwrap();
            assert!(store.read(&hash).is_err() && store.verify(&hash).is_err(), "flip of byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(store.read(&hash).is_err() && store.verify(&hash).is_err(), "truncation to {at}");
        }
        fs::write(&path, [&good[..], b"more"].concat()).unwrap();
        assert!(store.read(&hash).is_err());
    }

    #[test]
    fn one_node_is_read_without_what_is_damaged_elsewhere() {
        let (_directory, store, hash, path) = written();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(store.read_node(&hash, "fresh").unwrap(), sections()[..1]);
        assert!(store.read_node(&hash, "owned").unwrap_err().message.contains("section `file.v1` of node `owned`"));
    }

    #[test]
    fn writing_again_heals_a_damaged_file_and_opening_removes_half_written_ones() {
        let (directory, store, hash, path) = written();
        fs::write(&path, b"rotten").unwrap();
        let half = path.with_extension(TEMPORARY);
        fs::write(&half, b"half").unwrap();
        store.write(&sections()).unwrap();
        assert_eq!(store.read(&hash).unwrap(), sections());
        fs::write(&half, b"half").unwrap();
        SegmentStore::open(directory.path()).unwrap();
        assert!(!half.exists() && path.exists());
    }

    #[test]
    fn a_later_format_asks_for_a_newer_program_and_a_foreign_name_opens_nothing() {
        let (_directory, store, hash, path) = written();
        let mut bytes = fs::read(&path).unwrap();
        bytes[8] = 9;
        fs::write(&path, bytes).unwrap();
        assert!(store.read(&hash).unwrap_err().to_string().contains("newer program is needed"));
        assert!(store.read(&ContentHash("../../etc/passwd".into())).is_err());
    }
}
