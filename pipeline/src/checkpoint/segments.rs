//! The segments of a pipeline directory: written once, compared with their names, removed when nobody needs them.

mod receive;
mod stream;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::failed;
use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::folder::{Contents, DiskFolder, Folder};
use super::segment::{Entry, Section, Unreadable, damaged, encode, read_sections};

pub(crate) use stream::{NodeSections, SegmentWriter};

/// The folder of segments in a pipeline's directory.
pub(super) const FOLDER: &str = "segments";
/// The end of the name of each, with the point.
const ENDING: &str = ".segment";

/// The segments of one pipeline directory.
#[derive(Debug, Clone)]
pub struct SegmentStore {
    folder: Arc<dyn Folder>,
}

impl SegmentStore {
    /// Opens the segments of the pipeline directory `directory` (`.tidegate/NAME`) as its owner: creates the
    /// folder, removes what a crash has left half-written.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(directory: &Path) -> Result<Self> {
        Ok(Self::on(Arc::new(DiskFolder::create(&directory.join(FOLDER))?)))
    }

    /// The segments of a pipeline directory that somebody else owns: to be read only.
    pub fn of(directory: &Path) -> Self {
        Self::on(Arc::new(DiskFolder::of(&directory.join(FOLDER))))
    }

    /// The segments in a folder.
    pub(super) fn on(folder: Arc<dyn Folder>) -> Self {
        Self { folder }
    }

    /// Writes a segment; durable when this returns. One that is there already is left as it is.
    ///
    /// # Errors
    /// When a batch cannot be encoded, or the disk fails.
    pub fn write(&self, sections: &[Section]) -> Result<ContentHash> {
        let bytes = encode(sections)?;
        let hash = ContentHash::of(&bytes);
        self.write_bytes(&hash, &bytes, "segment")?;
        Ok(hash)
    }

    /// Writes the contents that have this hash.
    pub(super) fn write_bytes(&self, hash: &ContentHash, bytes: &[u8], point: &str) -> Result<()> {
        let name = name(hash)?;
        // Comparing heals a file that has rotted since it was written.
        let same_length = self.folder.open(&name).is_ok_and(|(_, length)| length == bytes.len() as u64);
        let present = same_length && self.folder.read(&name).is_ok_and(|present| present.as_deref() == Some(bytes));
        if !present {
            self.folder.replace(&name, bytes, point)?;
        }
        self.folder.synchronise()
    }

    /// Brings a segment here from another directory: as a second name of the file where the disk can, so that it
    /// stays when the other directory collects it; else as a copy.
    ///
    /// # Errors
    /// When it is not there, or the disk fails.
    pub fn borrow(&self, from: &Self, hash: &ContentHash) -> Result<()> {
        let name = name(hash)?;
        if self.contains(hash) || fs::hard_link(from.folder.place(&name), self.folder.place(&name)).is_ok() {
            return Ok(());
        }
        self.write_bytes(hash, &from.bytes(hash)?, "segment")
    }

    /// Whether a segment is there, whole or not.
    pub(super) fn contains(&self, hash: &ContentHash) -> bool {
        name(hash).is_ok_and(|name| self.folder.open(&name).is_ok())
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

    /// The sections of a segment that are wanted.
    pub(super) fn read_if(
        &self,
        hash: &ContentHash,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Section>, Unreadable> {
        let (mut file, path, length) = self.open_file(hash)?;
        read_sections(file.as_mut(), &path, length, wanted)
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
        Ok(self.folder.names()?.iter().filter_map(|name| hash(name)).collect())
    }

    /// Removes a segment; how many bytes that frees, 0 where it is gone already.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, hash: &ContentHash) -> Result<u64> {
        let name = name(hash)?;
        let length = self.length(hash);
        self.folder.remove(&name).map(|()| length)
    }

    /// The length of a segment in bytes; 0 where it is gone.
    pub fn length(&self, hash: &ContentHash) -> u64 {
        name(hash).ok().and_then(|name| self.folder.open(&name).ok()).map_or(0, |(_, length)| length)
    }

    /// Where the file of a segment is.
    pub(super) fn place(&self, hash: &ContentHash) -> Result<PathBuf> {
        Ok(self.folder.place(&name(hash)?))
    }

    /// Opens a segment, to be read as it is; with its length in bytes.
    pub(super) fn contents(&self, hash: &ContentHash) -> Result<(Box<dyn Contents>, u64), Unreadable> {
        self.open_file(hash).map(|(file, _, length)| (file, length))
    }

    /// The whole contents of a segment, compared with its name.
    pub(super) fn bytes(&self, hash: &ContentHash) -> Result<Vec<u8>, Unreadable> {
        let (mut file, path, _) = self.open_file(hash)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| Unreadable::Other(failed("read", &path, &error)))?;
        match ContentHash::of(&bytes) == *hash {
            true => Ok(bytes),
            false => Err(damaged(&path, "its contents do not have the hash that it is named by")),
        }
    }

    fn open_file(&self, hash: &ContentHash) -> Result<(Box<dyn Contents>, PathBuf, u64), Unreadable> {
        let name = name(hash).map_err(Unreadable::Damaged)?;
        let path = self.folder.place(&name);
        match self.folder.open(&name) {
            Ok((file, length)) => Ok((file, path, length)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Unreadable::Missing(failed("open the segment", &path, &error).never_retry()))
            }
            Err(error) => Err(Unreadable::Other(failed("open the segment", &path, &error))),
        }
    }
}

/// The name of the file of a segment.
pub(super) fn name(hash: &ContentHash) -> Result<String> {
    if !is_hash(&hash.0) {
        return Err(Error::external(format!("`{hash}` is no name of a segment")).never_retry());
    }
    Ok(format!("{hash}{ENDING}"))
}

/// The segment whose file has this name.
pub(super) fn hash(name: &str) -> Option<ContentHash> {
    name.strip_suffix(ENDING).filter(|stem| is_hash(stem)).map(|stem| ContentHash(stem.into()))
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};

    use super::*;
    use crate::checkpoint::segment::Content;
    use crate::disk::TEMPORARY;

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
