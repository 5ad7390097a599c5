//! Which checkpoint to go on from: a decision, without any effect.

use crate::error::{Error, Result};

use super::manifest::{CheckpointSummary, Manifest};
use super::segment::Unreadable;

/// A checkpoint that cannot be used, and why.
#[derive(Debug, Clone)]
pub(super) struct PassedOver {
    pub(super) summary: CheckpointSummary,
    pub(super) error: Error,
}

/// What there is to go on from.
#[derive(Debug)]
pub(super) enum Recovery {
    /// No checkpoint was ever committed: begin.
    Begin,
    /// Go on from this one; newer ones are damaged.
    GoOn { from: CheckpointSummary, manifest: Box<Manifest>, passed_over: Vec<PassedOver> },
    /// There are checkpoints, and none of them is whole; the last of these is the oldest.
    Lost(Vec<PassedOver>),
}

/// Decides by `examine`, which says whether a checkpoint and all that it names are whole: the newest that is,
/// wins. `listed` are oldest first.
///
/// # Errors
/// When a checkpoint may be whole and cannot be examined now (the disk, a permission, a newer format): going back
/// behind it would be wrong.
pub(super) fn decide(
    listed: &[CheckpointSummary],
    mut examine: impl FnMut(&CheckpointSummary) -> Result<Manifest, Unreadable>,
) -> Result<Recovery> {
    let mut passed_over = Vec::new();
    for summary in listed.iter().rev() {
        match examine(summary) {
            Ok(manifest) => {
                return Ok(Recovery::GoOn { from: summary.clone(), manifest: Box::new(manifest), passed_over });
            }
            Err(Unreadable::Other(error)) => return Err(error),
            Err(Unreadable::Missing(error) | Unreadable::Damaged(error)) => {
                passed_over.push(PassedOver { summary: summary.clone(), error });
            }
        }
    }
    Ok(if passed_over.is_empty() { Recovery::Begin } else { Recovery::Lost(passed_over) })
}

/// The error of a directory in which no checkpoint is whole.
pub(super) fn lost(passed_over: &[PassedOver]) -> Error {
    let why = passed_over.first().map_or_else(String::new, |first| format!(": {}", first.error.message));
    Error::external(format!("no checkpoint can be used{why}")).never_retry().with_remedy(NO_CHECKPOINT)
}

/// What to do when no checkpoint is whole.
pub(super) const NO_CHECKPOINT: &str =
    "restore the pipeline's directory from a copy (`checkpoint import`), or begin anew with `run --fresh`";
