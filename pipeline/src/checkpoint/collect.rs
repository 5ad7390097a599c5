//! Removing what nobody needs: everything is decided before anything is deleted.

use crate::error::Result;
use crate::step::StepNumber;
use crate::testing::crash;

use super::head;
use super::keys::{self, CHECKPOINT, DAMAGED};
use super::known::{Decision, Known};
use super::manifest::CheckpointNumber;
use super::owned::CheckpointStore;
use super::retention::Retention;
use super::store::StoreBatch;

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
}

impl CheckpointStore {
    /// Removes the checkpoints that `keep` does not keep, and the segments that nobody needs any more: no kept
    /// checkpoint, and no step of the journal, which begins with step `journal` (`None`: there is none). What cannot
    /// be deleted is counted and logged, and tried again next time.
    ///
    /// # Errors
    /// When the store fails, or somebody else has taken the directory over.
    pub fn retain(&self, keep: Retention, journal: Option<StepNumber>) -> Result<Removed> {
        self.fence.check()?;
        self.read_names()?;
        let mut known = self.known.lock();
        let decision = known.decide(keep, journal);
        if decision != Decision::default() {
            crash::point("retain.apply");
            self.store.apply(&forgetting(self.batch()?, &decision))?;
            // Nothing that a listed checkpoint names is deleted: so the list must be durable first.
            self.store.flush()?;
            crash::point("retain.applied");
        }
        decision.checkpoints.iter().for_each(|number| known.forget_checkpoint(*number));
        decision.damaged.iter().for_each(|number| known.forget_damaged(*number));
        decision.unnamed.iter().for_each(|hash| known.forget_named(hash));
        let listed = known.summaries();
        if let (Some(newest), false) = (listed.last(), decision.checkpoints.is_empty()) {
            head::write(self.root.as_ref(), newest, &listed)?;
        }
        let mut removed = Removed::default();
        for hash in &decision.segments {
            self.remove(&mut known, hash, &mut removed);
        }
        removed.checkpoints = decision.checkpoints;
        Ok(removed)
    }

    fn remove(&self, known: &mut Known, hash: &crate::step::ContentHash, removed: &mut Removed) {
        crash::point("retain.remove");
        // A new owner may want what this one wanted no longer.
        match self.fence.check().and_then(|()| self.segments.remove(hash)) {
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
}

/// What the store forgets by a decision.
fn forgetting(mut batch: StoreBatch, decision: &Decision) -> StoreBatch {
    decision.checkpoints.iter().for_each(|number| batch.delete(keys::numbered(CHECKPOINT, *number)));
    decision.damaged.iter().for_each(|number| batch.delete(keys::numbered(DAMAGED, *number)));
    decision.segments.iter().for_each(|hash| batch.delete(keys::segment(hash)));
    decision.unnamed.iter().for_each(|hash| batch.delete(keys::named(hash)));
    batch
}
