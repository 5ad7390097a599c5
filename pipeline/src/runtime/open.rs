//! Opening a pipeline: ownership of its directory, then everything as the newest checkpoint says.

mod bodies;
mod pending;
mod set_aside;
mod state;
mod storage;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

pub(super) use self::pending::fold_outbox;
pub use self::set_aside::SetAside;
pub(super) use self::storage::Storage;

use self::bodies::Sinks;
use self::storage::{check_definition, store_definition};
use super::RunOptions;
use super::assembly::NodeBody;
use super::clock::Clock;
use super::delivery::Deliverer;
use super::effects::Ledger;
use super::ending::Ending;
use super::rerun::{Recorded, ReplaySinks};
use super::status::{NodeStatus, PipelineStatus};
use crate::checkpoint::{CheckpointStore, Manifest, OwnerLock, SourceState};
use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::journal::Journal;
use crate::journal::record::decode_schema;
use crate::source::SourceContext;
use crate::step::{ContentHash, Incarnation, SchemaVersion, StepNumber, StepTime};
use crate::table::{SharedTables, Tables};

/// A pipeline that owns its directory and stands at its newest checkpoint.
pub struct Pipeline {
    pub(super) graph: Arc<Graph>,
    pub(super) options: RunOptions,
    pub(super) store: Arc<CheckpointStore>,
    pub(super) journal: Journal,
    pub(super) manifest: Option<Manifest>,
    pub(super) incarnation: Incarnation,
    /// The segment that holds the definition.
    pub(super) definition: ContentHash,
    pub(super) clock: Clock,
    pub(super) status: Arc<PipelineStatus>,
    /// The tables of each source; the sequencer takes them over.
    pub(super) tables: HashMap<Arc<str>, Tables>,
    /// What sources see of their tables: they diff against them for as long as they live.
    pub(super) shared_tables: HashMap<Arc<str>, SharedTables>,
    pub(super) bodies: Vec<NodeBody>,
    pub(super) deliverers: Vec<Deliverer>,
    pub(super) effects: Ledger,
    pub(super) cancel: CancellationToken,
    /// Ends it from within.
    pub(super) ending: Ending,
    /// New nodes that have not been told yet what is in the tables that they read.
    pub(super) joined: Vec<String>,
    /// Stop when the journal's tail has been executed.
    pub(super) only_tail: bool,
    /// Steps to execute in place of the journal's tail.
    pub(super) recorded: Option<Recorded>,
    /// Held until the pipeline is dropped: no other process may write here.
    pub(super) _owner: OwnerLock,
}

impl Pipeline {
    /// Takes ownership of the directory and restores everything.
    ///
    /// # Errors
    /// When another process owns the directory, when what is stored is damaged, when the pipeline has been
    /// changed since, when a bounded pipeline is done and its input has changed, or when a sink's output is
    /// not what its mark says.
    pub async fn open(graph: Arc<Graph>, options: RunOptions) -> Result<Self> {
        let storage = Storage::open(&options.directory).await?;
        Self::open_in(storage, graph, options, None).await
    }

    /// Restores everything from what is stored; with `sinks`, for a replay.
    pub(super) async fn open_in(
        storage: Storage,
        graph: Arc<Graph>,
        options: RunOptions,
        sinks: Option<ReplaySinks>,
    ) -> Result<Self> {
        let mut pipeline = Self::empty(storage, graph, options).await?;
        pipeline.restore_tables()?;
        let outbox = pipeline.restore_outbox()?;
        let sinks = match sinks {
            Some(sinks) => Sinks::Replayed(sinks),
            None => Sinks::Own(pipeline.marks(outbox)?),
        };
        pipeline.restore_bodies(sinks).await?;
        pipeline.restore_retired().await?;
        Ok(pipeline)
    }

    /// A pipeline whose nodes are still to be restored.
    async fn empty(storage: Storage, graph: Arc<Graph>, options: RunOptions) -> Result<Self> {
        let Storage { owner, store, manifest, journal, last_time: recovered } = storage;
        let definition = store_definition(&graph, &store).await?;
        check_definition(&graph, &definition, manifest.as_ref(), &journal)?;
        let last_time = manifest.as_ref().map_or(StepTime(0), |manifest| manifest.time).max(recovered);
        let clock = match options.now {
            Some(time) => Clock::standing(time.max(last_time)),
            None => Clock::start((options.wall)(), last_time, options.accept_clock)?,
        };
        let effects = Ledger::new(options.delivery.bounds());
        let status = Arc::new(PipelineStatus::new(statuses(&graph), effects.clone()));
        if let (Some(place), Some(copies)) = (&graph.spec.checkpoint.copy_to, &options.copies) {
            store.copy_to(copies.open(place)?, &graph.spec.name.value, &status.copies)?;
        }
        let cancel = CancellationToken::new();
        let pipeline = Self {
            incarnation: store.incarnation(),
            joined: manifest.as_ref().map(|manifest| manifest.joined.clone()).unwrap_or_default(),
            ending: Ending::new(&cancel),
            graph,
            options,
            store,
            journal,
            manifest,
            definition,
            clock,
            status,
            tables: HashMap::new(),
            shared_tables: HashMap::new(),
            bodies: Vec::new(),
            deliverers: Vec::new(),
            effects,
            cancel,
            only_tail: false,
            recorded: None,
            _owner: owner,
        };
        pipeline.status.step.store(pipeline.checkpointed().0, Ordering::Relaxed);
        Ok(pipeline)
    }

    /// The counters of the pipeline, alive while it runs.
    pub fn status(&self) -> Arc<PipelineStatus> {
        Arc::clone(&self.status)
    }

    /// Told to stop the pipeline: sources first, then what is under way, a last checkpoint, then the end.
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// The step that restart goes on after.
    pub(super) fn checkpointed(&self) -> StepNumber {
        self.manifest.as_ref().map_or(StepNumber::ZERO, |manifest| manifest.step)
    }

    /// What a source is opened with.
    pub(super) fn source_context(&self, node: &Node, state: &SourceState) -> Result<SourceContext> {
        let decode = |(version, bytes): &(SchemaVersion, Vec<u8>)| Ok((*version, decode_schema(bytes)?));
        Ok(SourceContext {
            node: Arc::clone(&node.name),
            position: state.position.clone(),
            schemas: state.schemas.iter().map(decode).collect::<Result<_>>()?,
            once: self.options.once,
            tables: self.shared_tables.get(&node.name).cloned().unwrap_or_default(),
            cancel: self.ending.intake().clone(),
        })
    }
}

/// The counters of each node.
fn statuses(graph: &Graph) -> Vec<Arc<NodeStatus>> {
    graph.nodes.iter().map(|node| Arc::new(NodeStatus::of(node))).collect()
}
