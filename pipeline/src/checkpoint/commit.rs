//! Making a checkpoint: segments first, then the manifest, then its entry in the store.

use std::collections::BTreeSet;
use std::io::Write;

use crate::error::{Error, Result};
use crate::step::{ContentHash, StepNumber};
use crate::testing::crash;

use super::head;
use super::held::Held;
use super::keys::{self, CHECKPOINT, HIGHEST, INCARNATION, to_json};
use super::manifest::{CheckpointSummary, FORMAT, Manifest};
use super::owned::CheckpointStore;
use super::segment::{Section, encode};
use super::store::StoreBatch;

impl CheckpointStore {
    /// Writes state into a segment; durable when this returns. It is safe from [`CheckpointStore::retain`] until the
    /// second checkpoint after it, and for as long as a manifest names it, or the journal does
    /// ([`CheckpointStore::journaled`]). What is named by something that waits for its turn beside checkpoints is
    /// written by [`CheckpointStore::write_held`].
    ///
    /// # Errors
    /// When a batch cannot be encoded, or the disk fails.
    pub fn write_state(&self, sections: &[Section]) -> Result<ContentHash> {
        self.write_segment(sections, "segment")
    }

    /// Writes what something will name that waits for its turn beside checkpoints; durable when this returns.
    ///
    /// # Errors
    /// As [`CheckpointStore::write_state`].
    pub fn write_held(&self, sections: &[Section]) -> Result<Held> {
        let bytes = encode(sections)?;
        let held = Held::new(&self.known, &ContentHash::of(&bytes));
        self.write_contents(held.hash(), &bytes, "segment")?;
        Ok(held)
    }

    /// Holds a segment that was written just now; `None` where it was there before, and has been collected since.
    ///
    /// # Errors
    /// When the store fails, or this is no longer its owner.
    pub(crate) fn hold(&self, hash: &ContentHash) -> Result<Option<Held>> {
        let held = Held::new(&self.known, hash);
        Ok(self.wrote(hash)?.then_some(held))
    }

    fn write_segment(&self, sections: &[Section], point: &str) -> Result<ContentHash> {
        let bytes = encode(sections)?;
        let hash = ContentHash::of(&bytes);
        self.write_contents(&hash, &bytes, point)?;
        Ok(hash)
    }

    /// Takes over a segment from elsewhere, whose contents `fill` writes; durable when this returns.
    ///
    /// # Errors
    /// When they are not what the segment is named by, `fill` fails, or the disk does.
    pub(super) fn adopt(&self, hash: &ContentHash, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        self.segments.receive(hash, fill)?;
        match self.wrote(hash)? {
            true => Ok(()),
            false => Err(Error::internal(format!("the segment {hash} was collected while it was taken over"))),
        }
    }

    fn write_contents(&self, hash: &ContentHash, bytes: &[u8], point: &str) -> Result<()> {
        loop {
            self.segments.write_bytes(hash, bytes, point)?;
            if self.wrote(hash)? {
                return Ok(());
            }
        }
    }

    /// Takes note that step `step` of the journal names a segment: it stays as long as the journal reaches back to it.
    /// The store is told with the next checkpoint; until then the segment is safe as one that was written just now.
    pub fn journaled(&self, hash: &ContentHash, step: StepNumber) {
        self.known.lock().journaled(hash, step);
    }

    /// Takes note of a segment that was written just now; from here on it is as safe as one of
    /// [`CheckpointStore::write_state`]. `false`: it was there before, and has been collected since.
    ///
    /// # Errors
    /// When the store fails, or this is no longer its owner.
    pub(crate) fn wrote(&self, hash: &ContentHash) -> Result<bool> {
        let mut known = self.known.lock();
        if !self.segments.contains(hash) {
            return Ok(false);
        }
        if known.wrote(hash) {
            let mut batch = self.batch()?;
            batch.delete(keys::segment(hash));
            self.store.apply(&batch)?;
            self.store.flush()?;
        }
        Ok(true)
    }

    /// Commits a checkpoint whose segments have all been written: when this returns it is the newest, durably.
    /// Its number is taken from now on, also when this fails: a commit whose end is not known may turn out to be
    /// listed after the next start.
    ///
    /// # Errors
    /// When its number was given before, it names a segment that is not there, somebody else has taken the
    /// directory over, or the disk fails.
    pub fn commit(&self, manifest: Manifest) -> Result<()> {
        self.fence.check()?;
        let mut manifest = manifest;
        (manifest.format, manifest.owner, manifest.retained) = (FORMAT, self.fence.epoch(), self.list());
        let names = manifest.segments();
        self.may_commit(&manifest, &names)?;
        let hash = self.write_segment(&[manifest.to_section()?], "manifest")?;
        let summary = manifest.summary(hash);
        let incarnation = manifest.incarnation.max(self.incarnation());
        let dated = self.known.lock().undated();
        let journaled = [&manifest.definition].into_iter().chain(manifest.lookups.iter().map(|lookup| &lookup.hash));
        self.known.lock().journaled_by(journaled, manifest.step);
        let named = self.known.lock().untold();
        let mut batch = self.entry(&summary, &dated)?;
        for (hash, step) in &named {
            batch.put(keys::named(hash), to_json(step)?)?;
        }
        batch.put(INCARNATION, to_json(&incarnation)?)?;
        self.known.lock().attempt(&summary, &names);
        crash::point("manifest.apply");
        self.store.apply(&batch)?;
        crash::point("manifest.applied");
        self.known.lock().commit(summary.clone(), names.clone(), &dated);
        self.known.lock().told(&named);
        *self.incarnation.lock() = incarnation;
        self.store.flush()?;
        head::write(self.root.as_ref(), &summary, &self.list())?;
        self.copy(summary, names);
        Ok(())
    }

    fn may_commit(&self, manifest: &Manifest, names: &BTreeSet<ContentHash>) -> Result<()> {
        let (number, known) = (manifest.number, self.known.lock());
        if number <= known.highest() {
            return Err(Error::internal(format!("checkpoint {number} was to be committed after {}", known.highest())));
        }
        match names.iter().find(|hash| !known.has(hash)) {
            Some(missing) => {
                Err(Error::internal(format!("checkpoint {number} names the segment {missing}, which is not there")))
            }
            None => Ok(()),
        }
    }

    /// What the store is told of a checkpoint: one batch, taken whole, once, and only from the owner.
    fn entry(&self, summary: &CheckpointSummary, dated: &[ContentHash]) -> Result<StoreBatch> {
        let key = keys::numbered(CHECKPOINT, summary.number);
        let mut batch = self.batch()?;
        batch.absent(key.clone());
        batch.put(key, to_json(summary)?)?;
        batch.put(HIGHEST, to_json(&summary.number)?)?;
        for hash in dated {
            batch.put(keys::segment(hash), to_json(&summary.number)?)?;
        }
        Ok(batch)
    }
}
