//! Changing effects on somebody's word: by the owner of the pipeline's directory, or by becoming its owner.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::book::{Bounds, Entry, Standing};
use super::list::read_book;
use super::{Effect, ledger};
use crate::checkpoint::{OwnerLock, read_head};
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::journal::record::{Outcome, Record};
use crate::runtime::control::{self, ControlAnswer, ControlRequest};
use crate::step::{Incarnation, Shard};
use crate::testing::crash;

/// How long a change waits for an owner that is just starting or ending.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it rests between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How many effects one request names.
const IDS: usize = 1000;

/// What somebody wants done with an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectChange {
    /// A dead effect is tried again, under its id.
    Retry,
    /// An effect that is intended, dead or awaits approval shall not leave.
    Discard,
    /// An effect that awaits approval shall leave.
    Approve,
}

impl EffectChange {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Retry => Outcome::Retried,
            Self::Discard => Outcome::Discarded,
            Self::Approve => Outcome::Approved,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Retry => "retried by command",
            Self::Discard => "discarded by command",
            Self::Approve => "approved by command",
        }
    }

    /// The effect, when it can be changed so; otherwise why not.
    pub(super) fn applies_to(self, entry: Option<&Entry>) -> Result<Arc<Effect>, &'static str> {
        match (self, entry.map(|entry| &entry.standing)) {
            (_, None) => Err("it is done, was discarded, or is no longer kept"),
            (_, Some(Standing::Done { .. })) => Err("it is done"),
            (Self::Retry, Some(standing)) if standing.is_intended() => Err("it is being tried already"),
            (Self::Retry, Some(Standing::AwaitingApproval { .. })) => Err("it awaits approval: approve or discard it"),
            (Self::Approve, Some(Standing::Dead { .. })) => Err("it was given up: retry it"),
            (Self::Approve, Some(standing)) if standing.is_intended() => Err("it does not await approval"),
            _ => entry.map(|entry| Arc::clone(&entry.effect)).ok_or("it is not there"),
        }
    }
}

/// What has become of the effects that were to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedEffects {
    /// The ids of those that were changed.
    pub changed: Vec<String>,
    /// Those that were not.
    pub unchanged: Vec<UnchangedEffect>,
}

/// An effect that was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnchangedEffect {
    /// Its id.
    pub id: String,
    /// Why not.
    pub reason: String,
}

impl ChangedEffects {
    pub(super) fn refuse(&mut self, id: &str, reason: &str) {
        self.unchanged.push(UnchangedEffect { id: id.to_owned(), reason: reason.to_owned() });
    }

    fn add(&mut self, more: Self) {
        self.changed.extend(more.changed);
        self.unchanged.extend(more.unchanged);
    }
}

/// Retries or discards effects of the pipeline `pipeline` in `directory` (`.tidegate/NAME`): through its owner
/// where it runs, otherwise as its owner. Durable when this returns. Blocks.
///
/// # Errors
/// When the pipeline has never run, its owner does not answer, or the disk fails.
pub fn change_effects(
    directory: &Path,
    pipeline: &str,
    change: EffectChange,
    ids: &[String],
) -> Result<ChangedEffects> {
    if !directory.is_dir() {
        return Err(Error::user(format!("pipeline `{pipeline}` has no state in {}", directory.display()))
            .with_remedy("run it first, or name its place with --dir"));
    }
    let mut all = ChangedEffects::default();
    for ids in ids.chunks(IDS) {
        all.add(change_some(directory, pipeline, change, ids)?);
    }
    Ok(all)
}

fn change_some(directory: &Path, pipeline: &str, change: EffectChange, ids: &[String]) -> Result<ChangedEffects> {
    let request = ControlRequest::ChangeEffects { change, ids: ids.to_vec() };
    let begun = Instant::now();
    loop {
        if let Some(answer) = control::ask(directory, &request)? {
            return match answer {
                ControlAnswer::EffectsChanged(changed) => Ok(changed),
                other => Err(Error::internal(format!("the pipeline that runs answers something else: {other:?}"))),
            };
        }
        // Nobody answers: there is no owner, or it is just starting or ending.
        match OwnerLock::acquire(directory) {
            Ok(owner) => {
                let changed = change_as_owner(directory, pipeline, change, ids);
                drop(owner);
                return changed;
            }
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Changes effects in the journal of a pipeline that does not run; the next start goes on from there.
fn change_as_owner(directory: &Path, pipeline: &str, change: EffectChange, ids: &[String]) -> Result<ChangedEffects> {
    let incarnation = read_head(directory)?.map_or(Incarnation(1), |manifest| manifest.incarnation);
    let (journal, _) = Journal::open(directory, incarnation, Shard(0))?;
    let mut book = read_book(directory, pipeline, Bounds::NONE)?;
    let mut answer = ChangedEffects::default();
    for id in ids {
        match change.applies_to(book.get(id)) {
            Ok(effect) => {
                let record = ledger::outcome(&effect, change.outcome(), 0, Some(change.reason().to_owned()));
                let at = journal.append(&Record::Outcome(record.clone()))?;
                book.apply(&record, at);
                answer.changed.push(id.clone());
            }
            Err(reason) => answer.refuse(id, reason),
        }
    }
    crash::point("effect.changed");
    futures::executor::block_on(journal.sync(journal.end()))?;
    Ok(answer)
}
