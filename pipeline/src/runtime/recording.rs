//! What a pipeline's directory holds of an earlier run, for executing it again beside the original.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::adopt::first_definition;
use super::checkpointing::WAYPOINTS;
use super::row_trail::Waypoint;
use super::stretches::{DefinitionChange, changes};
use crate::checkpoint::{
    CheckpointNumber, CheckpointSummary, Content, Manifest, list_checkpoints, read_manifest, read_segment,
};
use crate::error::{Error, Result};
use crate::graph::Definition;
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::journal::{JournalPosition, read_directory};
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

/// A part of a pipeline's journal, and the state that it begins with.
#[derive(Debug)]
pub struct Recording {
    pub(super) directory: PathBuf,
    /// One for each definition, in order; at least one.
    pub(super) stretches: Vec<Stretch>,
}

/// Steps that were recorded under one definition.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The step before the first.
    pub(super) after: StepNumber,
    /// The last step.
    pub(super) end: StepNumber,
    /// The state before the first step, empty at the beginning of all. `None`: the checkpoint that the change of the
    /// definition committed is not kept any more; then what the stretch before ends with moves over.
    pub(super) start: Option<Manifest>,
    /// The segment that holds the definition.
    pub(super) hash: ContentHash,
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
    /// When there is no such checkpoint, or the journal does not reach back so far.
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
        let mut this = Self { directory: directory.to_owned(), stretches: Vec::new() };
        this.divide(start, last.step, &checkpoints)?;
        this.survey()?;
        this.collect_waypoints(&checkpoints)?;
        Ok(this)
    }

    /// The definitions that the steps were recorded with, in order: each holds for a stretch of them.
    pub fn definitions(&self) -> impl Iterator<Item = &Definition> {
        self.stretches.iter().map(|stretch| &stretch.definition)
    }

    /// The step before the first, and the last step.
    pub fn range(&self) -> (StepNumber, StepNumber) {
        let ends = |stretch: Option<&Stretch>, of: fn(&Stretch) -> StepNumber| stretch.map_or(StepNumber::ZERO, of);
        (ends(self.stretches.first(), |first| first.after), ends(self.stretches.last(), |last| last.end))
    }

    /// How many steps there are.
    pub(super) fn steps(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.steps).sum()
    }

    /// The records after step `after`, through the end of step `end`.
    pub(super) fn records(
        &self,
        after: StepNumber,
        end: StepNumber,
    ) -> Result<impl Iterator<Item = Result<(JournalPosition, Record)>> + Send + 'static> {
        let until_end = move |record: &Result<(JournalPosition, Record)>| !matches!(record, Ok((_, Record::Step(step))) if step.header.number > end);
        Ok(read_directory(&self.directory, after.next())?.take_while(until_end))
    }

    /// Finds where definitions begin and end.
    fn divide(&mut self, start: Manifest, end: StepNumber, checkpoints: &[CheckpointSummary]) -> Result<()> {
        let directory = self.directory.clone();
        let hash = match start.step {
            StepNumber::ZERO => first_definition(read_directory(&directory, StepNumber::ZERO)?)?
                .ok_or_else(|| Error::external("the journal does not begin with a definition"))?,
            _ => start.definition.clone(),
        };
        let changes = changes(&directory, &start, &hash, end, checkpoints)?;
        let first = DefinitionChange { after: start.step, definition: hash, committed: Some(start) };
        let begun: Vec<DefinitionChange> = std::iter::once(first).chain(changes).collect();
        let ends = begun.iter().skip(1).map(|next| next.after).chain([end]).collect::<Vec<_>>();
        for (DefinitionChange { after, definition: hash, committed }, end) in begun.into_iter().zip(ends) {
            // A definition that was changed again before there was any step has nothing to be executed.
            if after < end {
                self.stretches.push(Stretch {
                    after,
                    end,
                    start: committed,
                    definition: Definition::from_sections(read_segment(&directory, &hash)?),
                    steps: 0,
                    lookups: BTreeSet::from([hash.clone()]),
                    waypoints: BTreeMap::new(),
                    hash,
                });
            }
        }
        Ok(())
    }

    /// Counts the steps and looks for what they name.
    fn survey(&mut self) -> Result<()> {
        let (after, end) = self.range();
        let records = self.records(after, end)?;
        let mut stretches = self.stretches.iter_mut().peekable();
        for record in records {
            let Record::Step(step) = record?.1 else { continue };
            while stretches.next_if(|stretch| stretch.end < step.header.number).is_some() {}
            let Some(stretch) = stretches.peek_mut() else { break };
            stretch.steps += 1;
            if let StepBody::Engine(EngineEvent::Lookup { hash, .. }) = step.body {
                stretch.lookups.insert(hash);
            }
        }
        Ok(())
    }

    fn collect_waypoints(&mut self, checkpoints: &[CheckpointSummary]) -> Result<()> {
        for stretch in &mut self.stretches {
            let within = |kept: &&CheckpointSummary| kept.step > stretch.after && kept.step <= stretch.end;
            for checkpoint in checkpoints.iter().rev().filter(within) {
                let manifest = read_manifest(&self.directory, &checkpoint.manifest)?;
                // The checkpoint of the next definition stands at the same step.
                if manifest.definition != stretch.hash {
                    continue;
                }
                for (sink, points) in waypoints(&self.directory, &manifest)? {
                    stretch.waypoints.entry(sink).or_default().extend(points);
                }
                for (sink, rows) in manifest.rows {
                    stretch.waypoints.entry(sink).or_default().push(Waypoint { step: manifest.step, rows });
                }
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
