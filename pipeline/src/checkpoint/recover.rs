//! Coming back to a checkpoint.

use crate::error::{Error, Result};
use crate::step::StepNumber;

use super::head;
use super::import::JOURNAL_BEGINS;
use super::keys::{self, CHECKPOINT, DAMAGED, to_json};
use super::manifest::{CheckpointNumber, CheckpointSummary, Manifest, NodeState};
use super::owned::CheckpointStore;
use super::recovery::{self, Recovery};
use super::segment::{Section, Unreadable};

impl CheckpointStore {
    /// The newest checkpoint all of whose segments are whole; `None` where none was ever committed. A damaged
    /// one is taken from the list, with a note ([`CheckpointStore::notes`]), and the one before it is tried.
    ///
    /// # Errors
    /// When there are checkpoints and none of them can be used (then nothing is changed), or the disk fails.
    pub fn latest(&self) -> Result<Option<Manifest>> {
        match recovery::decide(&self.list(), |summary| self.whole(summary))? {
            Recovery::Begin => Ok(None),
            Recovery::Lost(passed_over) => Err(recovery::lost(&passed_over)),
            Recovery::GoOn { from, manifest, passed_over } => {
                for recovery::PassedOver { summary, error } in passed_over {
                    self.put_aside(&summary)?;
                    self.note(format!("checkpoint {} cannot be used and was passed over: {error}", summary.number));
                }
                head::write(self.root.as_ref(), &from, &self.list())?;
                let mut incarnation = self.incarnation.lock();
                *incarnation = manifest.incarnation.max(*incarnation);
                Ok(Some(*manifest))
            }
        }
    }

    /// The manifest of a checkpoint, when it and all that it names are whole.
    pub(super) fn whole(&self, summary: &CheckpointSummary) -> Result<Manifest, Unreadable> {
        let manifest = self.manifest(summary)?;
        let names = manifest.segments();
        for hash in &names {
            self.segments.verified(hash)?;
        }
        self.known.lock().names(summary.number, names);
        Ok(manifest)
    }

    fn manifest(&self, summary: &CheckpointSummary) -> Result<Manifest, Unreadable> {
        let manifest = head::manifest(&self.segments, &summary.manifest)?;
        if manifest.number != summary.number {
            let (listed, found) = (summary.number, manifest.number);
            let message = format!("the manifest that is listed as checkpoint {listed} is that of checkpoint {found}");
            return Err(Unreadable::Damaged(Error::external(message).never_retry()));
        }
        Ok(manifest)
    }

    /// Takes a damaged checkpoint from the list. Its number is not given again.
    fn put_aside(&self, summary: &CheckpointSummary) -> Result<()> {
        let mut batch = self.batch()?;
        batch.put(keys::numbered(DAMAGED, summary.number), to_json(summary)?)?;
        batch.delete(keys::numbered(CHECKPOINT, summary.number));
        self.store.apply(&batch)?;
        self.store.flush()?;
        self.known.lock().put_aside(summary.number);
        Ok(())
    }

    /// Reads the manifests that this process has not seen yet: nothing is decided without them.
    pub(super) fn read_names(&self) -> Result<()> {
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

    /// Compares the journal, which ends with step `last`, with the checkpoint to go on from: it was durable up to there
    /// before the checkpoint was. Only an imported pipeline begins without one.
    ///
    /// # Errors
    /// When it ends before the checkpoint: steps after the checkpoint may be lost, too.
    pub fn check_journal(&self, from: Option<&Manifest>, last: StepNumber) -> Result<()> {
        let Some(manifest) = from.filter(|manifest| last < manifest.step) else { return Ok(()) };
        if self.value(JOURNAL_BEGINS)? == Some(manifest.step) {
            return Ok(());
        }
        let (number, step) = (manifest.number, manifest.step);
        let message =
            format!("the journal ends with step {last}, before checkpoint {number}, which was taken after step {step}");
        Err(Error::external(message).never_retry().with_remedy(
            "the journal is lost or older than the checkpoints: restore all of the directory from one copy (`checkpoint export` and `import` begin without a journal)",
        ))
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

    /// The sections of one node, from the base through all changes.
    ///
    /// # Errors
    /// When a segment is missing or damaged.
    pub fn read_state(&self, state: &NodeState, node: &str) -> Result<Vec<Section>> {
        head::node_state(&self.segments, state, node)
    }
}
