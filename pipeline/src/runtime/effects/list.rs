//! Reading effects without owning the pipeline's directory: what the newest checkpoint holds, and the journal
//! behind it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::book::{Book, Bounds, Entry};
use super::{Effect, EffectIdentity, EffectState, stored};
use crate::checkpoint::{Manifest, at_head, read_node_state};
use crate::error::Result;
use crate::journal::record::{Outcome, OutcomeRecord, Record};
use crate::journal::{begins_in, read_directory};
use crate::runtime::checkpointing::PIPELINE_SECTIONS;
use crate::runtime::control::{self, ControlAnswer, ControlRequest};
use crate::runtime::delivery::CircuitStatus;
use crate::step::{Shard, StepNumber};

/// How far back a list reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectReach {
    /// What has not come to an end, and what has since the newest checkpoint.
    Checkpoint,
    /// Also everything that the journal still holds. Reads the whole journal.
    Journal,
}

/// An effect and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEffect {
    /// How it stands.
    pub state: EffectState,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it is dead, was not delivered, or failed last; or, as a line of JSON, what has come of it or would.
    pub reason: Option<String>,
    /// What it is.
    pub effect: Arc<Effect>,
}

impl ListedEffect {
    pub(super) fn of(entry: &Entry) -> Self {
        let standing = &entry.standing;
        let reason = standing.reason().map(str::to_owned);
        Self { state: standing.state(), attempts: standing.attempts(), reason, effect: Arc::clone(&entry.effect) }
    }

    fn ended(effect: Arc<Effect>, record: OutcomeRecord) -> Self {
        let state = match record.outcome {
            Outcome::Done => EffectState::Done,
            Outcome::Discarded => EffectState::Discarded,
            Outcome::Suppressed => EffectState::Suppressed,
            Outcome::Dead => EffectState::Dead,
            Outcome::Held => EffectState::AwaitingApproval,
            Outcome::Retried | Outcome::Tried | Outcome::Approved => EffectState::Intended,
        };
        Self { state, attempts: record.attempts, reason: record.reason, effect }
    }
}

/// The effects of the pipeline `pipeline` in `directory` (`.tidegate/NAME`), by sink in the order of intent. Needs no
/// ownership; what the owner is writing just now may be missing. Blocks.
///
/// # Errors
/// When the checkpoint or the journal cannot be read.
pub fn list_effects(directory: &Path, pipeline: &str, reach: EffectReach) -> Result<Vec<ListedEffect>> {
    let mut ended: BTreeMap<Arc<str>, ListedEffect> = BTreeMap::new();
    let book = fold(directory, pipeline, reach, Bounds::NONE, |found| match found {
        Found::Begins => ended.clear(),
        Found::Ended(effect, record) => {
            ended.insert(Arc::clone(&effect.id), ListedEffect::ended(effect, record));
        }
        Found::After(record) => {
            if let Some(known) = ended.get_mut(record.effect.as_str()) {
                *known = ListedEffect::ended(Arc::clone(&known.effect), record);
            }
        }
    })?;
    let mut all: Vec<ListedEffect> = book.entries().map(ListedEffect::of).collect();
    all.extend(ended.into_values().filter(|ended| book.get(&ended.effect.id).is_none()));
    all.sort_by(|a, b| (&a.effect.sink, a.effect.order()).cmp(&(&b.effect.sink, b.effect.order())));
    Ok(all)
}

/// The circuits to the destinations of sinks that are not closed, as the pipeline that runs in `directory` says; none where
/// none runs, or an older program does. Blocks.
pub fn open_circuits(directory: &Path) -> BTreeMap<String, CircuitStatus> {
    match control::ask(directory, &ControlRequest::Circuits) {
        Ok(Some(ControlAnswer::Circuits(circuits))) => circuits,
        _ => BTreeMap::new(),
    }
}

/// The book as the newest checkpoint and the journal behind it say.
pub(super) fn read_book(directory: &Path, pipeline: &str, bounds: Bounds) -> Result<Book> {
    fold(directory, pipeline, EffectReach::Checkpoint, bounds, |_| {})
}

/// What is met while a book is read.
enum Found {
    /// Reading begins (again): what was found before does not count.
    Begins,
    /// An effect has come to its end.
    Ended(Arc<Effect>, OutcomeRecord),
    /// The record of an effect that goes on, or of one that had ended already: discarded while it was under way, it
    /// may have been delivered all the same.
    After(OutcomeRecord),
}

fn fold(
    directory: &Path,
    pipeline: &str,
    reach: EffectReach,
    bounds: Bounds,
    mut found: impl FnMut(Found),
) -> Result<Book> {
    let mut read = |manifest: Option<&Manifest>| {
        found(Found::Begins);
        let mut book = Book::new(bounds);
        if let Some(manifest) = manifest {
            stored::restore(&mut book, read_node_state(directory, &manifest.effects, PIPELINE_SECTIONS)?)?;
        }
        let from = match (reach, manifest) {
            (EffectReach::Checkpoint, Some(manifest)) => manifest.step,
            _ => StepNumber::ZERO,
        };
        if manifest.is_none() && begins_in(directory)?.is_none() {
            // The pipeline is only just beginning.
            return Ok(book);
        }
        let mut records = read_directory(directory, from)?;
        while let Some(record) = records.next() {
            match record? {
                (_, Record::Outbox(record)) => {
                    // Its id is that of the incarnation that journaled it.
                    let (pipeline, incarnation) = (pipeline.into(), records.incarnation());
                    let identity = EffectIdentity { pipeline, shard: Shard(0), incarnation };
                    identity.effects_of(record).into_iter().for_each(|effect| book.intend(effect));
                }
                (at, Record::Outcome(record)) => {
                    let ended = book.apply(&record, at);
                    found(match ended {
                        Some(effect) => Found::Ended(effect, record),
                        None => Found::After(record),
                    });
                }
                _ => {}
            }
        }
        Ok(book)
    };
    match at_head(directory, |manifest| read(Some(manifest)))? {
        Some(book) => Ok(book),
        None => read(None),
    }
}
