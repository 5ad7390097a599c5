//! Tables as they were: at a checkpoint, or at any moment that the journal still reaches from one.
//!
//! A provider's changes are journaled whole, so the tables after any step are those of a checkpoint and the changes
//! after it, exactly. Reads without owning the directory, beside a running pipeline.

mod history;
mod moment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};

use super::{TableDefinition, TableSet, Tables};
use crate::checkpoint::{
    CheckpointNumber, CheckpointSummary, Content, Manifest, Section, at_head, list_checkpoints, read_manifest,
    read_node_state,
};
use crate::error::{Domain, Error, Result};
use crate::journal::record::{Record, StepBody, StepRecord, decode_batch};
use crate::journal::{JournalReader, read_directory};
use crate::operator::{StateReader, StateTable};
use crate::step::{StepNumber, StepTime};

pub use history::{Change, History};
pub use moment::Moment;

/// The tables of the sources of one pipeline, through all of its time.
#[derive(Debug, Clone)]
pub struct Past {
    directory: PathBuf,
    sources: Vec<(Arc<str>, Vec<TableDefinition>)>,
    states: Vec<(Arc<str>, StateTable)>,
}

/// Which moment was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The checkpoint that it was found from; `None`: from the journal alone.
    pub checkpoint: Option<CheckpointNumber>,
    /// The last step whose changes are in.
    pub step: StepNumber,
    /// The time of that step.
    pub time: StepTime,
    /// Why it is not exactly the moment that was asked for, where it is not.
    pub note: Option<String>,
}

/// The tables of all sources at one moment.
#[derive(Debug)]
pub struct Found {
    /// A set for each source with tables.
    pub tables: Vec<TableSet>,
    /// The tables that states of operators are, with the column `node` before theirs: as of the checkpoint of `shown`.
    pub states: Vec<(&'static str, RecordBatch)>,
    /// Which moment it is.
    pub shown: Shown,
}

/// Which steps after a checkpoint belong to a moment.
#[derive(Debug, Clone, Copy)]
enum Until {
    Time(StepTime),
    Step(StepNumber),
}

impl Until {
    fn covers(self, step: StepNumber, time: StepTime) -> bool {
        match self {
            Self::Time(until) => time <= until,
            Self::Step(until) => step <= until,
        }
    }
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Step(step) => write!(f, "step {step}"),
        }
    }
}

impl Past {
    /// Of the pipeline directory `directory` (`.tidegate/NAME`), whose sources have these tables.
    pub fn new(directory: &Path, sources: Vec<(Arc<str>, Vec<TableDefinition>)>) -> Self {
        let sources = sources.into_iter().filter(|(_, tables)| !tables.is_empty()).collect();
        Self { directory: directory.to_owned(), sources, states: Vec::new() }
    }

    /// With the states of these operators.
    #[must_use]
    pub fn with_states(mut self, states: Vec<(Arc<str>, StateTable)>) -> Self {
        self.states = states;
        self
    }

    /// The definitions of all tables.
    pub fn definitions(&self) -> impl Iterator<Item = &TableDefinition> {
        self.sources.iter().flat_map(|(_, tables)| tables)
    }

    /// The tables of the newest checkpoint; `None` where there is none yet.
    ///
    /// # Errors
    /// When it is damaged, or holds what this program cannot read.
    pub fn newest(&self) -> Result<Option<Found>> {
        at_head(&self.directory, |head| self.of_checkpoint(head))
    }

    /// The tables at a moment; `None` where there is no checkpoint yet. What cannot be given exactly, because the
    /// journal does not reach there any more, is given as the checkpoint before, with a note.
    ///
    /// # Errors
    /// When there is no such moment, or what was stored cannot be read.
    pub fn at(&self, moment: Moment) -> Result<Option<Found>> {
        at_head(&self.directory, |_| {
            let checkpoints = list_checkpoints(&self.directory)?;
            match moment {
                Moment::Checkpoint(number) => self.at_checkpoint(number, &checkpoints),
                Moment::Time(time) => self.until(Until::Time(time), &checkpoints),
                Moment::Step(step) => self.until(Until::Step(step), &checkpoints),
            }
        })
    }

    fn at_checkpoint(&self, number: CheckpointNumber, checkpoints: &[CheckpointSummary]) -> Result<Found> {
        let Some(found) = checkpoints.iter().find(|checkpoint| checkpoint.number == number) else {
            let numbers = checkpoints.iter().rev().map(|checkpoint| checkpoint.number.to_string());
            let message = format!("there is no checkpoint {number}; those kept are {}", shortened(numbers.collect()));
            return Err(Error::user(message).with_remedy("`checkpoint list` shows them with their times"));
        };
        self.of_checkpoint(&read_manifest(&self.directory, &found.manifest)?)
    }

    /// From the newest checkpoint at or before the moment, then step by step. `checkpoints` are newest first.
    fn until(&self, until: Until, checkpoints: &[CheckpointSummary]) -> Result<Found> {
        let before = checkpoints.iter().find(|checkpoint| until.covers(checkpoint.step, checkpoint.time));
        let mut tables = self.empty()?;
        let mut shown = Shown { checkpoint: None, step: StepNumber::ZERO, time: StepTime::default(), note: None };
        let mut states = Vec::new();
        if let Some(checkpoint) = before {
            let manifest = read_manifest(&self.directory, &checkpoint.manifest)?;
            self.restore(&mut tables, &manifest)?;
            states = self.states_of(&manifest)?;
            shown = shown_of(&manifest);
        }
        match self.journal_after(shown.step)? {
            Some(journal) => apply(&mut tables, journal, until, &mut shown)?,
            None if before.is_some() => {
                let after = checkpoints.iter().rev().find(|checkpoint| checkpoint.step > shown.step);
                // When the next checkpoint is of a later moment, something may have happened in between.
                let exact = matches!(until, Until::Step(step) if step == shown.step);
                if !exact {
                    let next = after.map(|next| format!(", the next one kept is of {}", next.time)).unwrap_or_default();
                    shown.note = Some(format!(
                        "the journal does not reach back to {until} any more: these are the tables of {}{next}",
                        shown.time
                    ));
                }
            }
            None => return Err(too_early(until, checkpoints)),
        }
        if let (Until::Step(step), None) = (until, &shown.note)
            && shown.step < step
        {
            let message = format!("step {step} has not been made yet; the last one is {}", shown.step);
            return Err(Error::user(message));
        }
        Ok(Found { tables: tables.iter().map(|(_, tables)| tables.current()).collect(), states, shown })
    }

    fn of_checkpoint(&self, manifest: &Manifest) -> Result<Found> {
        let mut tables = self.empty()?;
        self.restore(&mut tables, manifest)?;
        let (states, shown) = (self.states_of(manifest)?, shown_of(manifest));
        Ok(Found { tables: tables.iter().map(|(_, tables)| tables.current()).collect(), states, shown })
    }

    /// The states of operators at a checkpoint, as tables.
    fn states_of(&self, manifest: &Manifest) -> Result<Vec<(&'static str, RecordBatch)>> {
        let mut tables: BTreeMap<&'static str, Vec<RecordBatch>> = BTreeMap::new();
        for (node, shown) in &self.states {
            let batches = match manifest.nodes.get(&**node) {
                Some(state) => batches(read_node_state(&self.directory, state, node)?),
                None => Vec::new(),
            };
            let rows = (shown.rows)(&StateReader { batches })?;
            tables.entry(shown.name).or_default().push(with_node(node, &rows)?);
        }
        let whole = |(name, parts): (&'static str, Vec<RecordBatch>)| {
            let schema = parts.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
            Ok((name, concat_batches(&schema, &parts)?))
        };
        tables.into_iter().map(whole).collect()
    }

    fn empty(&self) -> Result<Vec<(Arc<str>, Tables)>> {
        let empty = |(name, definitions): &(Arc<str>, Vec<TableDefinition>)| {
            Ok((Arc::clone(name), Tables::new(definitions.clone())?))
        };
        self.sources.iter().map(empty).collect()
    }

    fn restore(&self, tables: &mut [(Arc<str>, Tables)], manifest: &Manifest) -> Result<()> {
        for (name, tables) in tables {
            let Some(state) = manifest.sources.get(&**name) else { continue };
            let sections = read_node_state(&self.directory, &state.tables, name)?;
            tables.restore(StateReader { batches: batches(sections) })?;
        }
        Ok(())
    }

    /// The journal from the step after `step` on; `None` where that has been discarded.
    fn journal_after(&self, step: StepNumber) -> Result<Option<JournalReader>> {
        match read_directory(&self.directory, step.next()) {
            Ok(reader) => Ok(Some(reader)),
            // Whoever asks for a step that was discarded is told so as a user.
            Err(error) if error.domain == Domain::User => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The sections that are rows, by name.
fn batches(sections: Vec<Section>) -> Vec<(String, RecordBatch)> {
    let rows = |section: Section| match section.content {
        Content::Batch(batch) => Some((section.name, batch)),
        Content::Bytes(_) => None,
    };
    sections.into_iter().filter_map(rows).collect()
}

/// Rows with the name of the node that they are of before them.
fn with_node(node: &str, rows: &RecordBatch) -> Result<RecordBatch> {
    let fields = std::iter::once(Arc::new(Field::new("node", DataType::Utf8, false)));
    let schema = Schema::new(fields.chain(rows.schema().fields().iter().cloned()).collect::<Vec<_>>());
    let nodes: ArrayRef = Arc::new(StringArray::from_iter_values(std::iter::repeat_n(node, rows.num_rows())));
    let columns = std::iter::once(nodes).chain(rows.columns().iter().cloned()).collect();
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn shown_of(manifest: &Manifest) -> Shown {
    Shown { checkpoint: Some(manifest.number), step: manifest.step, time: manifest.time, note: None }
}

/// Takes in the journaled changes of the sources up to a moment.
fn apply(tables: &mut [(Arc<str>, Tables)], journal: JournalReader, until: Until, shown: &mut Shown) -> Result<()> {
    let mut previous = shown.step;
    for record in journal {
        let Record::Step(StepRecord { header, body }) = record?.1 else { continue };
        if !until.covers(header.number, header.time) {
            break;
        }
        if header.number != previous.next() {
            return Err(Error::internal(format!("the journal goes on with step {} after {previous}", header.number)));
        }
        previous = header.number;
        (shown.step, shown.time) = (header.number, header.time);
        let StepBody::Inline { parts, .. } = body else { continue };
        let Some((_, tables)) = tables.iter_mut().find(|(name, _)| **name == *header.source) else { continue };
        let batches = parts.iter().map(|part| decode_batch(&part.ipc)).collect::<Result<Vec<_>>>()?;
        tables.apply(&header.unit, &batches)?;
    }
    Ok(())
}

fn too_early(until: Until, checkpoints: &[CheckpointSummary]) -> Error {
    let oldest = checkpoints.last().map(|oldest| format!("; the oldest moment kept is {}", oldest.time));
    Error::user(format!("nothing is kept of {until}{}", oldest.unwrap_or_default()))
        .with_remedy("`checkpoint: {keep: {daily: 30}}` keeps a checkpoint of every day for a month")
}

/// A list of numbers, its middle left out where it is long.
fn shortened(numbers: Vec<String>) -> String {
    match numbers.as_slice() {
        [first, second, .., last] if numbers.len() > 12 => {
            format!("{first}, {second}, … {last} ({} of them)", numbers.len())
        }
        all => all.join(", "),
    }
}
