//! What a pipeline's directory holds of an earlier run, for executing it again beside the original.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::adopt::first_definition;
use super::checkpointing::WAYPOINTS;
use super::open::short;
use super::row_trail::Waypoint;
use crate::checkpoint::{
    CheckpointNumber, CheckpointSummary, Content, Manifest, list_checkpoints, read_manifest, read_segment,
};
use crate::error::{Error, Result};
use crate::graph::Definition;
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::journal::{JournalReader, read_directory};
use crate::step::{ContentHash, StepNumber};

/// Where a replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayFrom {
    /// With the first step that there ever was.
    Beginning,
    /// With the step after a checkpoint.
    Checkpoint(CheckpointNumber),
    /// As far back as the journal reaches under the definition that the last step was recorded with.
    Earliest,
}

/// A stretch of a pipeline's journal, and the state that it begins with.
#[derive(Debug)]
pub struct Recording {
    pub(super) directory: PathBuf,
    /// The state before the first step; empty at the beginning of all.
    pub(super) start: Manifest,
    /// The last step.
    pub(super) end: StepNumber,
    pub(super) definition: Definition,
    /// How many steps there are.
    pub(super) steps: u64,
    /// Segments that the steps name.
    pub(super) lookups: BTreeSet<ContentHash>,
    /// What each sink was given, by the name of its mark.
    pub(super) waypoints: BTreeMap<String, Vec<Waypoint>>,
}

impl Recording {
    /// Finds what is to be executed again, in the pipeline directory `directory` (`.tidegate/NAME`), without owning
    /// it. `to`: through the step of that checkpoint; of the newest one where it is `None`.
    ///
    /// # Errors
    /// When there is no such checkpoint, the journal does not reach back so far, or the definition changes on the
    /// way.
    pub fn open(directory: &Path, from: ReplayFrom, to: Option<CheckpointNumber>) -> Result<Self> {
        let checkpoints = list_checkpoints(directory)?;
        let Some(newest) = checkpoints.first() else {
            return Err(Error::user(format!("{} holds no checkpoint yet", directory.display()))
                .with_remedy("`tidegate run` makes one"));
        };
        let last = match to {
            None => newest,
            Some(number) => numbered(&checkpoints, number)?,
        };
        let first = first_step(directory)?;
        let start = match from {
            ReplayFrom::Beginning => None,
            ReplayFrom::Checkpoint(number) => Some(numbered(&checkpoints, number)?),
            ReplayFrom::Earliest => earliest(directory, &checkpoints, last, first)?,
        };
        let start = start.map(|start| read_manifest(directory, &start.manifest)).transpose()?.unwrap_or_default();
        if start.step.next() < first {
            let message =
                format!("the journal begins at step {first}; it does not hold the step {} any more", start.step.next());
            return Err(Error::user(message).with_remedy(
                "begin with a later checkpoint (`checkpoint list`), or let `journal: {keep: 7d}` keep more from now on",
            ));
        }
        if start.step >= last.step {
            let message = format!("there is nothing between step {} and step {}", start.step, last.step);
            return Err(Error::user(message).with_remedy("begin with an earlier checkpoint: `checkpoint list`"));
        }
        let hash = match start.step {
            StepNumber::ZERO => first_definition(read_directory(directory, StepNumber::ZERO)?)?
                .ok_or_else(|| Error::external("the journal does not begin with a definition"))?,
            _ => start.definition.clone(),
        };
        let mut this = Self {
            directory: directory.to_owned(),
            definition: Definition::from_sections(read_segment(directory, &hash)?),
            end: last.step,
            steps: 0,
            lookups: BTreeSet::from([hash.clone()]),
            waypoints: BTreeMap::new(),
            start,
        };
        this.survey(&hash)?;
        this.collect_waypoints(&checkpoints)?;
        Ok(this)
    }

    /// The definition that the steps were recorded with.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The step before the first, and the last step.
    pub fn range(&self) -> (StepNumber, StepNumber) {
        (self.start.step, self.end)
    }

    /// The records, from the first step on.
    pub(super) fn records(&self) -> Result<JournalReader> {
        read_directory(&self.directory, self.start.step.next())
    }

    /// Counts the steps and looks for what they name.
    fn survey(&mut self, definition: &ContentHash) -> Result<()> {
        for record in self.records()? {
            let Record::Step(step) = record?.1 else { continue };
            if step.header.number > self.end {
                break;
            }
            self.steps += 1;
            match step.body {
                StepBody::Engine(EngineEvent::Lookup { hash, .. }) => drop(self.lookups.insert(hash)),
                StepBody::Engine(EngineEvent::Definition { hash }) if hash != *definition => {
                    let number = step.header.number;
                    let message = format!("the definition changes at step {number} (to {})", short(&hash));
                    return Err(Error::user(message)
                        .with_remedy("replay up to a checkpoint before that step with `--to`, or from one after it"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn collect_waypoints(&mut self, checkpoints: &[CheckpointSummary]) -> Result<()> {
        let within = |checkpoint: &&CheckpointSummary| checkpoint.step > self.start.step && checkpoint.step <= self.end;
        for checkpoint in checkpoints.iter().rev().filter(within) {
            let manifest = read_manifest(&self.directory, &checkpoint.manifest)?;
            for (sink, points) in waypoints(&self.directory, &manifest)? {
                self.waypoints.entry(sink).or_default().extend(points);
            }
            for (sink, rows) in manifest.rows {
                self.waypoints.entry(sink).or_default().push(Waypoint { step: manifest.step, rows });
            }
        }
        Ok(())
    }
}

fn waypoints(directory: &Path, manifest: &Manifest) -> Result<BTreeMap<String, Vec<Waypoint>>> {
    let Some(segment) = &manifest.waypoints else { return Ok(BTreeMap::new()) };
    for section in read_segment(directory, segment)? {
        if let (Content::Bytes(bytes), WAYPOINTS) = (&section.content, section.name.as_str()) {
            return postcard::from_bytes(bytes).map_err(Error::external);
        }
    }
    Ok(BTreeMap::new())
}

/// The oldest checkpoint from which all steps through `last` are in the journal, which begins with step `first`, and were
/// recorded under one definition; `None` for the beginning of all.
fn earliest<'a>(
    directory: &Path,
    checkpoints: &'a [CheckpointSummary],
    last: &CheckpointSummary,
    first: StepNumber,
) -> Result<Option<&'a CheckpointSummary>> {
    let definition = read_manifest(directory, &last.manifest)?.definition;
    let mut oldest = None;
    for checkpoint in checkpoints.iter().filter(|checkpoint| checkpoint.step <= last.step) {
        if checkpoint.step.next() < first || read_manifest(directory, &checkpoint.manifest)?.definition != definition {
            return Ok(oldest);
        }
        oldest = Some(checkpoint);
    }
    let from_the_beginning = first <= StepNumber(1)
        && first_definition(read_directory(directory, StepNumber::ZERO)?)?.is_some_and(|begun| begun == definition);
    Ok(oldest.filter(|_| !from_the_beginning))
}

fn numbered(checkpoints: &[CheckpointSummary], number: CheckpointNumber) -> Result<&CheckpointSummary> {
    checkpoints.iter().find(|checkpoint| checkpoint.number == number).ok_or_else(|| {
        Error::user(format!("there is no checkpoint {number}"))
            .with_remedy("`checkpoint list` shows those that there are")
    })
}

/// The first step that the journal holds.
fn first_step(directory: &Path) -> Result<StepNumber> {
    for record in read_directory(directory, StepNumber::ZERO)? {
        if let Record::Step(step) = record?.1 {
            return Ok(step.header.number);
        }
    }
    Ok(StepNumber::ZERO.next())
}
