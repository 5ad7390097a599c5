//! Segments section by section: for state that is too large to be held twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::super::segment::{Entry, Section, encode_head, encode_section, read_index, read_section};
use super::{SegmentStore, name};
use crate::disk::failed;
use crate::error::{Error, Result};
use crate::step::ContentHash;
use crate::testing::crash;

/// How much is written before it is brought to the disk: others wait for the disk too, and not for all at once.
const SYNC_EVERY: u64 = 16 * 1024 * 1024;
const CHUNK: usize = 256 * 1024;

/// The sections of one node in one segment, read when they are asked for.
#[derive(Debug)]
pub(crate) struct NodeSections {
    segments: SegmentStore,
    hash: ContentHash,
    names: Vec<String>,
    places: Vec<(u64, Entry)>,
}

impl NodeSections {
    /// The names of the sections, in the order in which they were written.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads one section.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub(crate) fn read(&self, index: usize) -> Result<Section> {
        let Some((start, entry)) = self.places.get(index) else {
            return Err(Error::internal("a section that is not there was asked for"));
        };
        let (mut file, path, _) = self.segments.open_file(&self.hash)?;
        Ok(read_section(file.as_mut(), &path, *start, entry.clone())?)
    }
}

impl SegmentStore {
    /// The sections of one node, to be read one at a time.
    ///
    /// # Errors
    /// When the segment is missing, its index is damaged, or a newer program is needed.
    pub(crate) fn node_sections(&self, hash: &ContentHash, node: &str) -> Result<NodeSections> {
        let (mut file, path, length) = self.open_file(hash)?;
        let (index, mut offset) = read_index(file.as_mut(), &path, length)?;
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for entry in index {
            let start = offset;
            offset = offset.saturating_add(entry.length);
            if entry.node == node {
                names.push(entry.name.clone());
                places.push((start, entry));
            }
        }
        Ok(NodeSections { segments: self.clone(), hash: hash.clone(), names, places })
    }

    /// How many bytes the sections of each node have in a segment.
    ///
    /// # Errors
    /// As for [`SegmentStore::node_sections`].
    pub(crate) fn bytes_by_node(&self, hash: &ContentHash) -> Result<BTreeMap<String, u64>> {
        let (mut file, path, length) = self.open_file(hash)?;
        let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
        for entry in read_index(file.as_mut(), &path, length)?.0 {
            *bytes.entry(entry.node).or_default() += entry.length;
        }
        Ok(bytes)
    }

    /// Begins a segment that is written section by section.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn begin(&self) -> Result<SegmentWriter> {
        let (bodies, whole) = (self.folder.scratch()?, self.folder.scratch()?);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&bodies);
        let file = file.map_err(|error| failed("create", &bodies, &error))?;
        Ok(SegmentWriter { store: self.clone(), file, bodies, whole, index: Vec::new() })
    }
}

/// A segment that is being written; nothing is left of one that is dropped before its end.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    store: SegmentStore,
    /// The sections without the head, which is known last.
    file: File,
    bodies: PathBuf,
    whole: PathBuf,
    index: Vec<Entry>,
}

impl SegmentWriter {
    /// Appends a section.
    ///
    /// # Errors
    /// When it cannot be encoded, or the disk fails.
    pub(crate) fn add(&mut self, section: &Section) -> Result<()> {
        let mut body = Vec::new();
        self.index.push(encode_section(section, &mut body)?);
        self.file.write_all(&body).map_err(|error| failed("write", &self.bodies, &error))
    }

    /// Gives the segment its name; durable when this returns. Its hash and length.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn finish(mut self) -> Result<(ContentHash, u64)> {
        let (hash, length) = self.assemble()?;
        let path = self.store.folder.place(&name(&hash)?);
        crash::point("merged.rename");
        fs::rename(&self.whole, &path).map_err(|error| failed("rename to", &path, &error))?;
        crash::point("merged.renamed");
        self.store.folder.synchronise()?;
        Ok((hash, length))
    }

    /// Writes head and sections into one file.
    fn assemble(&mut self) -> Result<(ContentHash, u64)> {
        let head = encode_head(&self.index)?;
        let at_bodies = |error| failed("read", &self.bodies, &error);
        let at_whole = |error| failed("write", &self.whole, &error);
        self.file.seek(SeekFrom::Start(0)).map_err(at_bodies)?;
        let mut whole = File::create(&self.whole).map_err(|error| failed("create", &self.whole, &error))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&head);
        whole.write_all(&head).map_err(at_whole)?;
        let (mut length, mut synced) = (head.len() as u64, 0);
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = self.file.read(&mut chunk).map_err(at_bodies)?;
            if count == 0 {
                break;
            }
            hasher.update(&chunk[..count]);
            whole.write_all(&chunk[..count]).map_err(at_whole)?;
            length += count as u64;
            if length - synced > SYNC_EVERY {
                whole.sync_data().map_err(at_whole)?;
                synced = length;
            }
        }
        crash::point("merged.sync");
        whole.sync_all().map_err(|error| failed("synchronise", &self.whole, &error))?;
        Ok((ContentHash(hasher.finalize().to_hex().as_str().into()), length))
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        // What is left is removed at the next start.
        for path in [&self.bodies, &self.whole] {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::segment::Content;
    use super::*;

    fn section(node: &str, text: &str) -> Section {
        Section { node: node.into(), name: "text.v1".into(), content: Content::Bytes(text.as_bytes().to_vec()) }
    }

    #[test]
    fn a_segment_written_piece_by_piece_is_the_one_that_is_written_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = SegmentStore::open(directory.path()).unwrap();
        let sections = [section("a", "one"), section("b", "two"), section("a", "three")];
        let mut writer = store.begin().unwrap();
        sections.iter().for_each(|section| writer.add(section).unwrap());
        let (hash, length) = writer.finish().unwrap();
        assert_eq!(hash, store.write(&sections).unwrap());
        assert_eq!((store.verify(&hash).unwrap(), store.length(&hash)), (length, length));
        let of_a = store.node_sections(&hash, "a").unwrap();
        assert_eq!(of_a.names(), ["text.v1", "text.v1"]);
        assert_eq!(of_a.read(1).unwrap(), sections[2]);
        assert_eq!(store.bytes_by_node(&hash).unwrap(), BTreeMap::from([("a".into(), 8), ("b".into(), 3)]));
        assert_eq!(std::fs::read_dir(directory.path().join("segments")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_segment_that_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = SegmentStore::open(directory.path()).unwrap();
        let mut writer = store.begin().unwrap();
        writer.add(&section("a", "one")).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(directory.path().join("segments")).unwrap().count(), 0);
    }
}
