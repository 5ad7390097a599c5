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

mod alignment;
mod assembly;
mod chain;
mod checkpointing;
mod clock;
mod crashed;
mod deadlines;
mod delivery;
mod edge;
mod event;
mod feeder;
mod fenced;
mod lookups;
mod node;
mod open;
mod outbox;
mod replay;
mod run;
mod sequencer;
mod sink_node;
mod source_slot;
mod source_task;
mod status;

use std::path::PathBuf;

pub use edge::EdgeCapacity;
pub use open::{Pipeline, SetAside};
pub use outbox::DeliveryPolicy;
pub use run::RunOutcome;
pub use status::{NodeState, NodeStatus, PipelineStatus};

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
    /// Bounds of each edge; `None`: as the spec says.
    pub edges: Option<EdgeCapacity>,
}

impl RunOptions {
    /// The usual options for a pipeline in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            once: false,
            accept_clock: false,
            delivery: DeliveryPolicy::default(),
            edges: None,
        }
    }
}
