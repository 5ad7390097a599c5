//! What a running pipeline says of itself: counters per node, read by the live display and the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::delivery::CircuitStatus;
use super::edge::EdgeGauge;
use super::effects::{EffectCounts, Ledger};
use crate::checkpoint::CheckpointSummary;
use crate::checkpoint::copies::CopyStatus;
use crate::error::Error;
use crate::graph::{Node, Planned};
use crate::provider::RefreshControl;
use crate::spec::pipeline::Section;

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Not started yet.
    Starting,
    /// At work, or ready for it.
    Running,
    /// A source that failed and will be opened again.
    Retrying,
    /// A source that has given nothing for longer than its `stall_after`.
    Stalled,
    /// A source that has ended, or a node that has done everything.
    Ended,
    /// Failed; its error ended the pipeline.
    Failed,
}

/// The counters of one node.
pub struct NodeStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Source, operator or sink.
    pub section: Section,
    /// Rows taken.
    pub rows_in: AtomicU64,
    /// Rows emitted on data ports.
    pub rows_out: AtomicU64,
    /// Rows that could not be handled.
    pub rejected: AtomicU64,
    /// Steps that had something for it.
    pub steps: AtomicU64,
    /// Time spent at work, in nanoseconds.
    pub busy: AtomicU64,
    /// The last step that each of its bodies has finished.
    progress: Mutex<Vec<Arc<AtomicU64>>>,
    /// How often it was opened again after a failure.
    pub restarts: AtomicU64,
    /// What the refreshes of a provider have done.
    pub refresh: Option<Arc<RefreshControl>>,
    /// When a source last gave something, in ms since 1970; 0 before the first time in this process.
    last_arrival: AtomicI64,
    state: AtomicU8,
    trouble: Mutex<Option<String>>,
    queues: Mutex<Vec<EdgeGauge>>,
}

impl NodeStatus {
    pub(crate) fn new(name: Arc<str>, kind: Arc<str>, section: Section) -> Self {
        let zero = AtomicU64::default;
        Self {
            name,
            kind,
            section,
            rows_in: zero(),
            rows_out: zero(),
            rejected: zero(),
            steps: zero(),
            busy: zero(),
            progress: Mutex::default(),
            restarts: zero(),
            refresh: None,
            last_arrival: AtomicI64::default(),
            state: AtomicU8::new(0),
            trouble: Mutex::default(),
            queues: Mutex::default(),
        }
    }

    /// The counters of a node; of a provider, with those of its refreshes.
    pub(crate) fn of(node: &Node) -> Self {
        let refresh = match &node.planned {
            Planned::Source(planned) => planned.refresh.clone(),
            Planned::Operator(_) | Planned::Sink(_) => None,
        };
        Self { refresh, ..Self::new(Arc::clone(&node.name), Arc::clone(&node.kind), node.section) }
    }

    /// How it is.
    pub fn state(&self) -> NodeState {
        match self.state.load(Ordering::Relaxed) {
            0 => NodeState::Starting,
            1 => NodeState::Running,
            2 => NodeState::Retrying,
            3 => NodeState::Stalled,
            4 => NodeState::Ended,
            _ => NodeState::Failed,
        }
    }

    pub(crate) fn set_state(&self, state: NodeState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Why a source is being opened again; `None` while it is well.
    pub fn trouble_now(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// A source failed and will be opened again.
    pub(crate) fn trouble(&self, error: &Error) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        *self.trouble.lock() = Some(error.message.clone());
        self.set_state(NodeState::Retrying);
    }

    /// When a source last gave something, in ms since 1970; `None` before the first time in this process.
    pub fn last_arrival(&self) -> Option<i64> {
        Some(self.last_arrival.load(Ordering::Relaxed)).filter(|time| *time > 0)
    }

    /// A source gave something.
    pub(crate) fn arrived(&self) {
        self.last_arrival.store(jiff::Timestamp::now().as_millisecond(), Ordering::Relaxed);
        if self.state() == NodeState::Stalled {
            self.set_state(NodeState::Running);
        }
    }

    /// A source is open.
    pub(crate) fn well(&self) {
        *self.trouble.lock() = None;
        self.set_state(NodeState::Running);
    }

    /// Where a body of the node says how far it has come.
    pub(crate) fn new_progress(&self) -> Arc<AtomicU64> {
        let progress = Arc::default();
        self.progress.lock().push(Arc::clone(&progress));
        progress
    }

    /// The last step that all its bodies have finished.
    fn progress(&self) -> u64 {
        self.progress.lock().iter().map(|progress| progress.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    pub(crate) fn watch_queue(&self, gauge: EdgeGauge) {
        self.queues.lock().push(gauge);
    }

    /// Rows waiting before it.
    pub fn queued_rows(&self) -> usize {
        self.queues.lock().iter().map(EdgeGauge::rows).sum()
    }
}

/// The counters of a pipeline.
pub struct PipelineStatus {
    /// The nodes, in topological order.
    pub nodes: Vec<Arc<NodeStatus>>,
    /// The last step made.
    pub step: AtomicU64,
    /// The time of the last step, in ms.
    pub step_time: AtomicI64,
    /// Checkpoints committed by this process.
    pub checkpoints: AtomicU64,
    /// Checkpoints that failed.
    pub checkpoints_failed: AtomicU64,
    /// Bytes of the journal.
    pub journal_bytes: AtomicU64,
    /// The newest checkpoint.
    pub last_checkpoint: Mutex<Option<CheckpointSummary>>,
    /// Why the last checkpoint failed, if it did.
    pub last_checkpoint_error: Mutex<Option<String>>,
    /// How copies of checkpoints elsewhere go.
    pub copies: Arc<CopyStatus>,
    effects: Ledger,
}

impl PipelineStatus {
    pub(crate) fn new(nodes: Vec<Arc<NodeStatus>>, effects: Ledger) -> Self {
        Self {
            effects,
            nodes,
            step: AtomicU64::default(),
            step_time: AtomicI64::default(),
            checkpoints: AtomicU64::default(),
            checkpoints_failed: AtomicU64::default(),
            journal_bytes: AtomicU64::default(),
            last_checkpoint: Mutex::default(),
            last_checkpoint_error: Mutex::default(),
            copies: Arc::default(),
        }
    }

    /// The effects of each sink that has had any.
    pub fn effects(&self) -> BTreeMap<String, EffectCounts> {
        self.effects.counts()
    }

    /// The circuits to the destinations of sinks that are left alone, or just tried again, by sink.
    pub fn circuits(&self) -> BTreeMap<String, CircuitStatus> {
        self.effects.circuits()
    }

    /// The status of a node.
    pub fn node(&self, name: &str) -> Option<&Arc<NodeStatus>> {
        self.nodes.iter().find(|node| &*node.name == name)
    }

    /// The last step that every node has finished.
    pub(crate) fn slowest(&self) -> u64 {
        let consumers = self.nodes.iter().filter(|node| node.section != Section::Source);
        consumers.map(|node| node.progress()).min().unwrap_or(u64::MAX)
    }
}
