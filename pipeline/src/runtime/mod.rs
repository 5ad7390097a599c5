//! Drives steps through a graph: sequencer, edges, node tasks, checkpoints, recovery, shutdown.
//!
//! A runtime is a value: several pipelines can live in one process. [`Pipeline::open`] takes ownership of the
//! pipeline's directory and brings everything back to the newest checkpoint; [`Pipeline::run`] executes the
//! tail of the journal again, then goes on with new input.
//!
//! ```text
//! source tasks ─► sequencer ─► journal
//!                     └─► feeder ─► edges ─► node tasks ─► edges ─► node tasks (sinks) ─► outbox
//!                                              └────────── parts ──────────┴─► coordinator ─► checkpoint
//! ```

mod adopt;
mod alignment;
mod assembly;
mod chain;
mod chains;
mod checkpointing;
mod clock;
mod commits;
mod compacting;
mod comparison;
mod control;
mod crashed;
mod deadlines;
mod delivery;
mod edge;
mod effects;
mod ending;
mod event;
mod feeder;
mod fenced;
mod lookups;
mod node;
mod open;
mod outbox;
mod quarantined;
mod reconfigure;
mod recorded_input;
mod recording;
mod refreshing;
mod replay;
mod rerun;
mod row_trail;
mod run;
mod sequencer;
mod set_up;
mod sink_node;
mod source_slot;
mod source_task;
mod stall;
mod status;
mod stretches;
mod trail;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::copies::OpenRemote;
use crate::step::StepTime;

pub use adopt::{Acceptance, Replanner, recorded_definition};
pub(crate) use checkpointing::PIPELINE_SECTIONS;
pub use comparison::Difference;
pub use delivery::{CircuitState, CircuitStatus};
pub use edge::EdgeCapacity;
pub(crate) use effects::any_intended;
pub use effects::{
    ChangedEffects, Effect, EffectChange, EffectCounts, EffectReach, EffectState, ListedEffect, Tally, UnchangedEffect,
    change_effects, list_effects, open_circuits,
};
pub use open::{Pipeline, SetAside};
pub use outbox::DeliveryPolicy;
pub use reconfigure::{Fate, NodeFate, Reconfiguration};
pub use recording::{Recording, ReplayFrom};
pub use refreshing::request_refresh;
pub use rerun::{OpenOutput, ReplayReport, ReplayThrough};
pub use run::RunOutcome;
pub use status::{NodeState, NodeStatus, PipelineStatus};
pub use trail::{Suspect, suspects};

/// How a pipeline is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The pipeline's own directory: journal, segments, store.
    pub directory: PathBuf,
    /// Providers refresh once, re-readable sources are read to what is their end now, others stay closed;
    /// nothing is recorded as ended.
    pub once: bool,
    /// Go on although the clock is far past the last step.
    pub accept_clock: bool,
    /// How effects are tried.
    pub delivery: DeliveryPolicy,
    /// How long a sink may take to make its output durable before the checkpoint fails.
    pub commit_within: Duration,
    /// Bounds of each edge; `None`: as the spec says.
    pub edges: Option<EdgeCapacity>,
    /// Input that cannot be read again, or reads differently, is left out of what is executed again.
    pub accept_divergence: bool,
    /// Plans definitions that the directory was run with before; without it a change of the definition is refused.
    pub replanner: Option<Arc<dyn Replanner>>,
    /// Opens the place that `checkpoint.copy_to` names; without it no copies are made.
    pub copies: Option<Arc<dyn OpenRemote>>,
    /// The wall clock: milliseconds since 1970. It is asked once, at the start.
    pub wall: fn() -> i64,
    /// The time of every step, instead of what the clocks say: the same input then gives the same output at any time.
    /// For runs that end by themselves; deadlines later than this are not served.
    pub now: Option<StepTime>,
}

impl RunOptions {
    /// The usual options for a pipeline in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            once: false,
            accept_clock: false,
            delivery: DeliveryPolicy::default(),
            commit_within: Duration::from_secs(600),
            edges: None,
            accept_divergence: false,
            replanner: None,
            copies: None,
            wall: clock::wall,
            now: None,
        }
    }
}
