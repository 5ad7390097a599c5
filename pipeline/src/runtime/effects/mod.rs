//! Effects: what dispatching sinks want done outside, from the intent to the end.
//!
//! ```text
//!                    ┌──────────── retry ───────────┐
//!                    ▼                              │
//! outbox ─────► intended ──── given up ──────────► dead ──► forgotten, once there are too many
//!   │ too many    │  ▲  │  └── delivered ─► done    │
//!   └──────► dead │  │  └──────── discard ──────────┴─► discarded
//!                 ▼  └ approve
//!          awaiting approval ── discard ──────────────► discarded
//! ```
//! What is done with a report of what came of it is kept, as what is dead is.
//! Every change of state is a record of the journal; the [`book::Book`] is a fold of them, and what it
//! holds is carried into checkpoints. An effect keeps its id through all of it.

mod book;
mod change;
mod ledger;
mod list;
mod stored;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Section;
use crate::error::Result;
use crate::journal::record::OutboxRecord;
use crate::sink::EffectPayload;
use crate::step::{Incarnation, Shard, StepNumber};

use book::Book;
pub(crate) use book::Bounds;
pub use change::{ChangedEffects, EffectChange, UnchangedEffect, change_effects};
pub(crate) use ledger::Ledger;
pub use ledger::{EffectCounts, Tally};
pub use list::{EffectReach, ListedEffect, list_effects, open_circuits};

/// The reason of effects for which the outbox had no room.
pub(crate) const OVERFLOW: &str = "overflow";

/// Whether the effects that a checkpoint holds have some that are still to be delivered, or may be.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn any_intended(sections: Vec<Section>) -> Result<bool> {
    let mut book = Book::new(Bounds::NONE);
    stored::restore(&mut book, sections)?;
    Ok(book.intended() > 0 || book.held_by_sink().any(|(_, count)| count > 0))
}

/// Where an effect stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// It leaves when somebody has approved it.
    AwaitingApproval,
    /// It is tried until it is done or dead.
    Intended,
    /// It was delivered.
    Done,
    /// It was given up, with a reason; it can be retried for as long as it is kept.
    Dead,
    /// Somebody decided that it shall not leave.
    Discarded,
    /// A rule decided that it shall not leave.
    Suppressed,
}

impl fmt::Display for EffectState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Intended => "intended",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Suppressed => "suppressed",
        })
    }
}

/// Something that a sink wants done outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Its id, the same for every attempt and in every life of the pipeline.
    pub id: Arc<str>,
    /// The node of the sink.
    pub sink: String,
    /// The index of the sink's input that it comes from.
    pub input: u32,
    /// The step that it comes from.
    pub step: StepNumber,
    /// The index of the row (or batch) in that step.
    pub row: u32,
    /// What is sent.
    pub payload: EffectPayload,
}

impl Effect {
    /// Its place in the order in which the effects of its sink were intended.
    pub(crate) fn order(&self) -> (StepNumber, u32, u32) {
        (self.step, self.input, self.row)
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let key = self.payload.key.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.id.len() + self.sink.len() + key + self.payload.body.len()
    }
}

/// What the ids of a pipeline's effects begin with.
#[derive(Debug, Clone)]
pub(crate) struct EffectIdentity {
    pub(crate) pipeline: Arc<str>,
    pub(crate) shard: Shard,
    pub(crate) incarnation: Incarnation,
}

impl EffectIdentity {
    fn id(&self, sink: &str, input: u32, step: StepNumber, row: u32) -> String {
        let Self { pipeline, shard, incarnation } = self;
        format!("{pipeline}/{}/{}/{sink}/{input}/{step}/{row}", shard.0, incarnation.0)
    }

    /// The effects of an outbox record.
    pub(crate) fn effects_of(&self, record: OutboxRecord) -> Vec<Arc<Effect>> {
        let OutboxRecord { sink, input, effects, .. } = record;
        let made = effects.into_iter().map(|effect| {
            let id = self.id(&sink, input, effect.step, effect.row).into();
            let (step, row, payload) = (effect.step, effect.row, effect.payload);
            Arc::new(Effect { id, sink: sink.clone(), input, step, row, payload })
        });
        made.collect()
    }
}
