//! Checkpoints: the state after a step, from which a pipeline goes on.
//!
//! A checkpoint is a [`Manifest`] that names [`segment`]s; it exists when the manifest and everything that it
//! names are durable and the store lists it. The order of a commit is: segments, manifest segment, entry in
//! the store (only if its number is free), file `head`. Readers that do not own the directory begin at `head`
//! ([`read_head`]) and never open the store.
//!
//! All calls block.

pub mod compact;
#[cfg(test)]
mod crash_tests;
mod head;
mod known;
mod manifest;
mod marks;
mod owner;
mod retention;
pub mod segment;
mod sled_store;
pub mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::sink::Mark;
use crate::step::{ContentHash, StepNumber};
use crate::testing::crash;

use known::{Decision, Known};
use segment::Unreadable;
use store::StoreBatch;

pub use head::{at_head, list_checkpoints, read_head, read_manifest, read_node_state};
pub use manifest::{
    CheckpointNumber, CheckpointSummary, FORMAT, LookupState, Manifest, NodeState, SectionReference, SourceState,
};
pub use owner::OwnerLock;
pub use retention::Retention;
pub use segment::{Content, Section, SegmentStore};
pub use sled_store::SledStore;
pub use store::{MemoryStore, Store};

/// Keys of checkpoints: `checkpoint/` and the number in 20 digits.
const CHECKPOINT: &str = "checkpoint/";
/// Keys of checkpoints that turned out to be damaged.
const DAMAGED: &str = "damaged/";
/// Keys of segments: the hash; the value is the first checkpoint that was committed after they were written.
const SEGMENT: &str = "segment/";
/// Keys of small named values.
const VALUE: &str = "value/";

fn segment_key(hash: &ContentHash) -> String {
    format!("{SEGMENT}{hash}")
}

fn checkpoint_key(prefix: &str, number: CheckpointNumber) -> String {
    format!("{prefix}{:020}", number.0)
}

/// What [`CheckpointStore::retain`] has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// The checkpoints that are gone, oldest first.
    pub checkpoints: Vec<CheckpointNumber>,
    /// How many segments are gone.
    pub segments: u64,
    /// How many bytes that has freed.
    pub bytes: u64,
    /// How many things could not be deleted; they are tried again next time.
    pub failed: u64,
    /// The step of the oldest checkpoint of `keep.last`: the journal may be discarded before the step after it.
    pub reach: Option<StepNumber>,
}

/// The checkpoints of a pipeline directory, in the hands of its owner.
pub struct CheckpointStore {
    directory: PathBuf,
    segments: SegmentStore,
    store: Box<dyn Store>,
    known: Mutex<Known>,
    notes: Mutex<Vec<String>>,
}

impl std::fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointStore").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl CheckpointStore {
    /// Opens the checkpoints of the pipeline directory `directory` (`.tidegate/NAME`), whose owner the caller
    /// is. When `store` lists none although the file `head` names one, the list is rebuilt from there.
    ///
    /// # Errors
    /// When the store or the disk fails.
    pub fn open(directory: &Path, store: Box<dyn Store>) -> Result<Self> {
        let segments = SegmentStore::open(directory)?;
        let opened =
            Self { directory: directory.to_owned(), segments, store, known: Mutex::default(), notes: Mutex::default() };
        let mut listed = opened.listed()?;
        if listed.is_empty() && opened.rebuild()? {
            listed = opened.listed()?;
        }
        let dated = opened.dated()?;
        *opened.known.lock() = Known::new(listed, opened.segments.list()?, &dated);
        Ok(opened)
    }

    fn listed(&self) -> Result<Vec<CheckpointSummary>> {
        let entries = self.store.scan(CHECKPOINT)?;
        entries.iter().map(|(key, json)| from_json(key, json)).collect()
    }

    fn dated(&self) -> Result<BTreeMap<ContentHash, CheckpointNumber>> {
        let dated = |(key, json): (String, Vec<u8>)| {
            let hash = ContentHash(key.strip_prefix(SEGMENT).unwrap_or(&key).into());
            from_json(&key, &json).map(|number| (hash, number))
        };
        self.store.scan(SEGMENT)?.into_iter().map(dated).collect()
    }

    /// Fills an empty store with what `head` names; whether there was anything.
    fn rebuild(&self) -> Result<bool> {
        let Some((newest, hash)) = head::read_head_with_hash(&self.directory)? else {
            return Ok(false);
        };
        let mut batch = StoreBatch::default();
        for summary in newest.retained.iter().cloned().chain([newest.summary(hash)]) {
            batch.put(checkpoint_key(CHECKPOINT, summary.number), to_json(&summary)?)?;
        }
        marks::put(self.store.as_ref(), &mut batch, &newest.marks)?;
        self.store.apply(&batch)?;
        self.store.flush()?;
        self.note(format!(
            "the store was empty; checkpoints up to {} were found through the file `head`",
            newest.number
        ));
        Ok(true)
    }

    fn note(&self, note: String) {
        tracing::warn!(directory = %self.directory.display(), "{note}");
        self.notes.lock().push(note);
    }

    /// What has been mended or passed over since opening, in sentences for the user.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().clone()
    }

    /// The segments.
    pub fn segments(&self) -> &SegmentStore {
        &self.segments
    }

    /// The newest checkpoint all of whose segments are whole; `None` where none was ever committed. A damaged
    /// one is taken from the list, with a note ([`CheckpointStore::notes`]), and the one before it is tried.
    ///
    /// # Errors
    /// When there are checkpoints and none of them can be used, or the disk fails.
    pub fn latest(&self) -> Result<Option<Manifest>> {
        let mut passed_over = None;
        for summary in self.list().iter().rev() {
            let error = match self.whole(summary) {
                Ok(manifest) => {
                    head::write(&self.directory, summary)?;
                    return Ok(Some(manifest));
                }
                Err(Unreadable::Other(error)) => return Err(error),
                Err(Unreadable::Missing(error) | Unreadable::Damaged(error)) => error,
            };
            self.put_aside(summary)?;
            self.note(format!("checkpoint {} cannot be used and was passed over: {error}", summary.number));
            passed_over = Some(error);
        }
        match passed_over {
            None => Ok(None),
            Some(error) => Err(Error::external(format!("no checkpoint can be used: {}", error.message))
                .never_retry()
                .with_remedy("restore the pipeline's directory from a copy, or begin anew with `run --fresh`")),
        }
    }

    /// The manifest of a checkpoint, when it and all that it names are whole.
    fn whole(&self, summary: &CheckpointSummary) -> Result<Manifest, Unreadable> {
        let manifest = self.manifest(summary)?;
        let names = manifest.segments();
        for hash in &names {
            self.segments.verified(hash)?;
        }
        self.known.lock().names(summary.number, names);
        Ok(manifest)
    }

    fn manifest(&self, summary: &CheckpointSummary) -> Result<Manifest, Unreadable> {
        let sections = self.segments.read_all(&summary.manifest)?;
        Manifest::from_sections(&sections).map_err(Unreadable::Other)
    }

    /// Takes a damaged checkpoint from the list; its number is free again.
    fn put_aside(&self, summary: &CheckpointSummary) -> Result<()> {
        let mut batch = StoreBatch::default();
        batch.put(checkpoint_key(DAMAGED, summary.number), to_json(summary)?)?;
        batch.delete(checkpoint_key(CHECKPOINT, summary.number));
        self.store.apply(&batch)?;
        self.store.flush()?;
        self.known.lock().forget_checkpoint(summary.number);
        Ok(())
    }

    /// All checkpoints, oldest first.
    pub fn list(&self) -> Vec<CheckpointSummary> {
        self.known.lock().summaries()
    }

    /// The number for the next checkpoint.
    pub fn next_number(&self) -> CheckpointNumber {
        self.list().last().map_or(CheckpointNumber(1), |newest| newest.number.next())
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// When there is none of that number, or it is damaged.
    pub fn load(&self, number: CheckpointNumber) -> Result<Manifest> {
        let summary = self.known.lock().summary(number).cloned();
        match summary {
            Some(summary) => Ok(self.manifest(&summary)?),
            None => Err(Error::user(format!("there is no checkpoint {number}"))
                .with_remedy("`checkpoint list` shows those that there are")),
        }
    }

    /// Writes state into a segment; durable when this returns. It is safe from [`CheckpointStore::retain`] as
    /// long as a manifest or the part of the journal behind the oldest of `keep.last` may name it: so the
    /// contents that a journal record names are written here too, before that record.
    ///
    /// # Errors
    /// When a batch cannot be encoded, or the disk fails.
    pub fn write_state(&self, sections: &[Section]) -> Result<ContentHash> {
        self.write_segment(sections, "segment")
    }

    fn write_segment(&self, sections: &[Section], point: &str) -> Result<ContentHash> {
        loop {
            let hash = self.segments.write_at(sections, point)?;
            let mut known = self.known.lock();
            // It may have been there, and have been collected since.
            if !self.segments.contains(&hash) {
                continue;
            }
            if known.wrote(&hash) {
                let mut batch = StoreBatch::default();
                batch.delete(segment_key(&hash));
                self.store.apply(&batch)?;
                self.store.flush()?;
            }
            return Ok(hash);
        }
    }

    /// The sections of one node, from the base through all changes.
    ///
    /// # Errors
    /// When a segment is missing or damaged.
    pub fn read_state(&self, state: &NodeState, node: &str) -> Result<Vec<Section>> {
        head::node_state(&self.segments, state, node)
    }

    /// Stores the marks of sinks; those not named keep theirs. Durable when this returns.
    ///
    /// # Errors
    /// When the store fails.
    pub fn put_marks(&self, marks: &BTreeMap<String, Mark>) -> Result<()> {
        let mut batch = StoreBatch::default();
        marks::put(self.store.as_ref(), &mut batch, marks)?;
        crash::point("marks.apply");
        self.store.apply(&batch)?;
        crash::point("marks.applied");
        self.store.flush()
    }

    /// The marks of all sinks. They may be ahead of the newest manifest.
    ///
    /// # Errors
    /// When the store fails.
    pub fn marks(&self) -> Result<BTreeMap<String, Mark>> {
        marks::all(self.store.as_ref())
    }

    /// Commits a checkpoint whose segments have all been written: when this returns it is the newest, durably.
    ///
    /// # Errors
    /// When its number is taken or not the highest, it names a segment that is not there, or the disk fails.
    pub fn commit(&self, manifest: Manifest) -> Result<()> {
        let mut manifest = manifest;
        manifest.format = FORMAT;
        manifest.retained = self.list();
        let number = manifest.number;
        if let Some(newest) = manifest.retained.last().filter(|newest| newest.number >= number) {
            return Err(Error::internal(format!("checkpoint {number} was to be committed after {}", newest.number)));
        }
        let names = manifest.segments();
        if let Some(missing) = names.iter().find(|hash| !self.known.lock().has(hash)) {
            return Err(Error::internal(format!(
                "checkpoint {number} names the segment {missing}, which is not there"
            )));
        }
        let hash = self.write_segment(&[manifest.to_section()?], "manifest")?;
        let summary = manifest.summary(hash);
        let key = checkpoint_key(CHECKPOINT, number);
        let mut batch = StoreBatch::default();
        batch.absent(key.clone());
        batch.put(key, to_json(&summary)?)?;
        let dated = self.known.lock().undated();
        for hash in &dated {
            batch.put(segment_key(hash), to_json(&number)?)?;
        }
        crash::point("manifest.apply");
        self.store.apply(&batch)?;
        crash::point("manifest.applied");
        self.store.flush()?;
        head::write(&self.directory, &summary)?;
        self.known.lock().commit(summary, names, &dated);
        Ok(())
    }

    /// Removes the checkpoints that `keep` does not keep, and the segments that nobody needs any more. What
    /// cannot be deleted is counted and logged, and tried again next time.
    ///
    /// # Errors
    /// When the store fails.
    pub fn retain(&self, keep: Retention) -> Result<Removed> {
        self.read_names()?;
        let mut known = self.known.lock();
        let decision = known.decide(keep);
        let mut removed = Removed::default();
        let mut batch = StoreBatch::default();
        for number in &decision.checkpoints {
            batch.delete(checkpoint_key(CHECKPOINT, *number));
        }
        for hash in &decision.segments {
            batch.delete(segment_key(hash));
        }
        if decision != Decision::default() {
            crash::point("retain.apply");
            self.store.apply(&batch)?;
            // Nothing that a listed checkpoint names is deleted: so the list must be durable first.
            self.store.flush()?;
            crash::point("retain.applied");
        }
        for number in &decision.checkpoints {
            known.forget_checkpoint(*number);
        }
        for hash in &decision.segments {
            crash::point("retain.remove");
            match self.segments.remove(hash) {
                Ok(bytes) => {
                    known.forget_segment(hash);
                    removed.segments += 1;
                    removed.bytes += bytes;
                }
                Err(error) => {
                    tracing::warn!(%error, "a segment that nobody needs could not be removed");
                    known.wrote(hash);
                    removed.failed += 1;
                }
            }
        }
        removed.reach = keep.oldest_of_last(&known.summaries()).map(|oldest| oldest.step);
        removed.checkpoints = decision.checkpoints;
        Ok(removed)
    }

    /// Reads the manifests that this process has not seen yet: nothing is decided without them.
    fn read_names(&self) -> Result<()> {
        let unread = self.known.lock().unread();
        for summary in unread {
            match self.manifest(&summary) {
                Ok(manifest) => self.known.lock().names(summary.number, manifest.segments()),
                Err(Unreadable::Missing(error) | Unreadable::Damaged(error)) => {
                    self.put_aside(&summary)?;
                    self.note(format!("checkpoint {} is damaged and was taken from the list: {error}", summary.number));
                }
                Err(Unreadable::Other(error)) => {
                    tracing::warn!(%error, "a manifest cannot be read; nothing is removed");
                }
            }
        }
        Ok(())
    }

    /// Stores a small named value (at most 4 KiB as JSON). Durable when this returns.
    ///
    /// # Errors
    /// When it is too long, or the store fails.
    pub fn put_value<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        let mut batch = StoreBatch::default();
        batch.put(format!("{VALUE}{name}"), to_json(value)?)?;
        self.store.apply(&batch)?;
        self.store.flush()
    }

    /// A small named value; `None` where there is none of that name.
    ///
    /// # Errors
    /// When it is not of this type, or the store fails.
    pub fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let key = format!("{VALUE}{name}");
        self.store.get(&key)?.map(|json| from_json(&key, &json)).transpose()
    }
}

fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::internal(format!("a value of the store cannot be encoded: {error}")))
}

fn from_json<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        Error::external(format!("the value `{key}` of the store is unreadable: {error}")).never_retry()
    })
}
