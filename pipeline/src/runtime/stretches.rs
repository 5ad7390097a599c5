//! Where a recording changes its definition: in a journal, and in the checkpoints beside it.

use std::path::Path;

use crate::checkpoint::{CheckpointSummary, Manifest, read_manifest};
use crate::error::Result;
use crate::journal::read_directory;
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::step::{ContentHash, StepNumber};

/// A change of the definition that came into force.
#[derive(Debug)]
pub(super) struct DefinitionChange {
    /// The last step before it.
    pub(super) after: StepNumber,
    /// What holds from then on.
    pub(super) definition: ContentHash,
    /// The checkpoint that the change committed, where it is still kept.
    pub(super) committed: Option<Manifest>,
}

/// The changes behind `start`, through step `end`. `checkpoints` are all that are kept, newest first.
///
/// # Errors
/// When the journal or a manifest cannot be read.
pub(super) fn changes(
    directory: &Path,
    start: &Manifest,
    first: &ContentHash,
    end: StepNumber,
    checkpoints: &[CheckpointSummary],
) -> Result<Vec<DefinitionChange>> {
    let behind = |checkpoint: &&CheckpointSummary| {
        checkpoint.number > start.number && checkpoint.step >= start.step && checkpoint.step <= end
    };
    let manifests = checkpoints.iter().rev().filter(behind);
    let manifests = manifests.map(|kept| read_manifest(directory, &kept.manifest)).collect::<Result<Vec<_>>>()?;
    Ok(merge(journaled(directory, start.step, end)?, manifests, first, end))
}

/// The steps of the journal that name a definition.
fn journaled(directory: &Path, after: StepNumber, end: StepNumber) -> Result<Vec<(StepNumber, ContentHash)>> {
    let mut found = Vec::new();
    for record in read_directory(directory, after.next())? {
        let Record::Step(step) = record?.1 else { continue };
        if step.header.number > end {
            break;
        }
        if let StepBody::Engine(EngineEvent::Definition { hash }) = step.body {
            found.push((step.header.number, hash));
        }
    }
    Ok(found)
}

/// The changes that steps and manifests (oldest first) tell of together.
///
/// A step alone is not enough: a crash before its checkpoint leaves the definition as it was. Nor are manifests: of
/// the older ones few are kept, and with `--accept-divergence` a change has a checkpoint and no step.
fn merge(
    journaled: Vec<(StepNumber, ContentHash)>,
    manifests: Vec<Manifest>,
    first: &ContentHash,
    end: StepNumber,
) -> Vec<DefinitionChange> {
    let next = journaled.iter().skip(1).map(|(step, _)| *step).chain([end.next()]).collect::<Vec<_>>();
    let in_force = |((step, definition), next): &((StepNumber, ContentHash), StepNumber)| {
        let witness = manifests.iter().find(|manifest| manifest.step >= *step && manifest.step < *next);
        witness.is_none_or(|witness| witness.definition == *definition)
    };
    let mut steps = journaled.into_iter().zip(next).filter(in_force).collect::<Vec<_>>().into_iter().peekable();
    let mut now = first.clone();
    let mut changes: Vec<DefinitionChange> = Vec::new();
    for manifest in manifests {
        while let Some(((after, definition), _)) = steps.next_if(|((step, _), _)| *step <= manifest.step) {
            note(&mut changes, &mut now, DefinitionChange { after, definition, committed: None });
        }
        let unsaved = changes.last_mut().filter(|last| last.after == manifest.step && last.committed.is_none());
        match unsaved {
            Some(change) if change.definition == manifest.definition => change.committed = Some(manifest),
            _ => {
                let (after, definition) = (manifest.step, manifest.definition.clone());
                note(&mut changes, &mut now, DefinitionChange { after, definition, committed: Some(manifest) });
            }
        }
    }
    for ((after, definition), _) in steps {
        note(&mut changes, &mut now, DefinitionChange { after, definition, committed: None });
    }
    changes
}

fn note(changes: &mut Vec<DefinitionChange>, now: &mut ContentHash, change: DefinitionChange) {
    if change.definition != *now {
        now.clone_from(&change.definition);
        changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(name: &str) -> ContentHash {
        ContentHash(name.into())
    }

    fn manifest(step: u64, definition: &str) -> Manifest {
        Manifest { step: StepNumber(step), definition: hash(definition), ..Manifest::default() }
    }

    /// The changes as `step definition`, with `*` where the checkpoint is kept.
    fn found(journaled: &[(u64, &str)], manifests: &[(u64, &str)]) -> Vec<String> {
        let journaled = journaled.iter().map(|(step, name)| (StepNumber(*step), hash(name))).collect();
        let manifests = manifests.iter().map(|(step, name)| manifest(*step, name)).collect();
        let text = |change: DefinitionChange| {
            let kept = if change.committed.is_some() { "*" } else { "" };
            format!("{} {}{kept}", change.after, change.definition.0)
        };
        merge(journaled, manifests, &hash("a"), StepNumber(100)).into_iter().map(text).collect()
    }

    #[test]
    fn a_step_with_its_checkpoint_is_a_change_and_one_without_it_is_none() {
        assert_eq!(found(&[(10, "b")], &[(9, "a"), (10, "b"), (20, "b")]), ["10 b*"]);
        assert_eq!(found(&[(10, "b")], &[(9, "a"), (20, "a")]), [""; 0], "a crash, and the change was taken back");
        assert_eq!(found(&[(10, "b"), (11, "c")], &[(10, "a"), (11, "c")]), ["11 c*"], "a crash, and another change");
    }

    #[test]
    fn a_change_whose_checkpoint_is_not_kept_any_more_is_known_by_its_step() {
        assert_eq!(found(&[(10, "b")], &[(20, "b")]), ["10 b"]);
        assert_eq!(found(&[(10, "b"), (30, "a")], &[(50, "a")]), ["10 b", "30 a"]);
        assert_eq!(found(&[(10, "b"), (30, "a")], &[(30, "a")]), ["10 b", "30 a*"]);
    }

    #[test]
    fn a_change_without_a_step_is_known_by_its_checkpoint() {
        assert_eq!(found(&[], &[(9, "a"), (9, "b"), (20, "b")]), ["9 b*"]);
    }

    #[test]
    fn a_definition_that_comes_back_is_a_change_like_any_other() {
        assert_eq!(found(&[(10, "b"), (11, "a")], &[(10, "b"), (11, "a")]), ["10 b*", "11 a*"]);
        assert_eq!(found(&[(10, "a")], &[(10, "a")]), [""; 0]);
    }
}
