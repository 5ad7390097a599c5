//! Checkpoints: "after step n" rides on step n; each node hands over what changed; the manifest commits when
//! all have.
//!
//! Order: journal ≥ n durable → every sink's mark ≥ n and the state segment durable → manifest. One
//! checkpoint is in flight at a time; steps go on meanwhile. What a failed checkpoint had taken is kept and
//! goes into the next one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::future::{BoxFuture, try_join_all};
use tokio::sync::mpsc;

use super::clock::wall;
use super::outbox::PendingEffects;
use crate::checkpoint::{
    CheckpointStore, CheckpointSummary, Content, LookupState, Manifest, NodeState, Retention, Section,
    SectionReference, SourceState,
};
use crate::error::{Error, Result};
use crate::journal::{Journal, JournalPosition};
use crate::sink::Mark;
use crate::step::{ContentHash, Incarnation, StepNumber, StepTime};

/// The name under which the effects that are neither done nor dead stand in a state segment.
pub(crate) const PENDING_EFFECTS: &str = "effects.pending.v1";
/// The node name of sections that belong to no node.
pub(crate) const PIPELINE_SECTIONS: &str = "";
/// A chain of changes this long is written anew as a whole.
const LONGEST_CHAIN: usize = 64;

/// A barrier: the point between step `step` and the next one, on every edge.
#[derive(Debug)]
pub(crate) struct Barrier {
    pub(crate) step: StepNumber,
    /// Nodes that shall write everything, not only changes.
    pub(crate) full: HashSet<Arc<str>>,
}

/// What a node hands over at a barrier.
pub(crate) enum Part {
    /// The state of a node: everything or what changed.
    State { node: Arc<str>, full: bool, batches: Vec<(String, RecordBatch)> },
    /// A sink's commit, to be waited for.
    Sink { mark: String, commit: BoxFuture<'static, Result<Mark>> },
}

/// Takes parts from node tasks.
#[derive(Clone)]
pub(crate) struct PartSender(pub(crate) mpsc::UnboundedSender<Part>);

impl PartSender {
    /// Hands over a part. When nobody takes it, the pipeline is stopping.
    pub(crate) fn send(&self, part: Part) {
        let _ = self.0.send(part);
    }
}

/// What the sequencer knows of a checkpoint when it sends the barrier.
pub(crate) struct CheckpointRequest {
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) time: StepTime,
    pub(crate) sources: BTreeMap<String, SourceState>,
    /// The state of sources (their tables), as parts of nodes.
    pub(crate) source_parts: Vec<Part>,
    pub(crate) lookups: Vec<LookupState>,
    pub(crate) finished: bool,
    /// The journal up to the barrier.
    pub(crate) journaled: JournalPosition,
}

/// How a checkpoint went.
pub(crate) struct CheckpointResult {
    pub(crate) step: StepNumber,
    pub(crate) result: Result<CheckpointSummary>,
    /// Nodes that shall write everything next time.
    pub(crate) full_next: HashSet<Arc<str>>,
}

/// Collects the parts of checkpoints and commits them.
pub(crate) struct Coordinator {
    pub(crate) store: Arc<CheckpointStore>,
    pub(crate) journal: Journal,
    pub(crate) definition: ContentHash,
    pub(crate) incarnation: Incarnation,
    pub(crate) retention: Retention,
    pub(crate) pending_effects: PendingEffects,
    /// How many parts node tasks send at a barrier.
    pub(crate) expected_parts: usize,
    pub(crate) parts: mpsc::UnboundedReceiver<Part>,
    pub(crate) requests: mpsc::Receiver<CheckpointRequest>,
    pub(crate) results: mpsc::Sender<CheckpointResult>,
    pub(crate) chains: Chains,
}

/// The segments that make up the state of each node, base first, and changes not yet in any.
#[derive(Default)]
pub(crate) struct Chains {
    segments: HashMap<Arc<str>, Vec<ContentHash>>,
    unsaved: BTreeMap<Arc<str>, Unsaved>,
}

#[derive(Default)]
struct Unsaved {
    full: bool,
    batches: Vec<(String, RecordBatch)>,
}

impl Chains {
    /// The chains as a manifest names them.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let nodes = manifest.nodes.iter().map(|(node, state)| (node.as_str().into(), state.segments.clone()));
        let tables = manifest.sources.iter().map(|(node, state)| (node.as_str().into(), state.tables.segments.clone()));
        Self { segments: nodes.chain(tables).collect(), unsaved: BTreeMap::new() }
    }

    /// Takes the state of a node; a full one replaces what was not saved yet.
    fn take(&mut self, node: Arc<str>, full: bool, batches: Vec<(String, RecordBatch)>) {
        let unsaved = self.unsaved.entry(node).or_default();
        if full {
            *unsaved = Unsaved { full: true, batches };
        } else {
            unsaved.batches.extend(batches);
        }
    }

    fn sections(&self) -> Vec<Section> {
        let section = |node: &Arc<str>, name: &String, batch: &RecordBatch| Section {
            node: node.to_string(),
            name: name.clone(),
            content: Content::Batch(batch.clone()),
        };
        let of = |(node, unsaved): (&Arc<str>, &Unsaved)| {
            unsaved.batches.iter().map(|(name, batch)| section(node, name, batch)).collect::<Vec<_>>()
        };
        self.unsaved.iter().flat_map(of).collect()
    }

    /// The chain of each node once `segment` holds what was not saved.
    fn with(&self, segment: Option<&ContentHash>) -> HashMap<Arc<str>, Vec<ContentHash>> {
        let mut segments = self.segments.clone();
        for (node, unsaved) in &self.unsaved {
            let chain = segments.entry(Arc::clone(node)).or_default();
            if unsaved.full {
                chain.clear();
            }
            if let (false, Some(segment)) = (unsaved.batches.is_empty(), segment) {
                chain.push(segment.clone());
            }
        }
        segments
    }

    fn saved(&mut self, segments: HashMap<Arc<str>, Vec<ContentHash>>) {
        self.segments = segments;
        self.unsaved.clear();
    }

    fn long(&self) -> HashSet<Arc<str>> {
        self.segments
            .iter()
            .filter(|(_, chain)| chain.len() >= LONGEST_CHAIN)
            .map(|(node, _)| Arc::clone(node))
            .collect()
    }
}

impl Coordinator {
    /// Runs until the sequencer has gone.
    pub(crate) async fn run(mut self) {
        while let Some(request) = self.requests.recv().await {
            let step = request.barrier.step;
            let result = self.checkpoint(request).await;
            let full_next = self.chains.long();
            if self.results.send(CheckpointResult { step, result, full_next }).await.is_err() {
                return;
            }
        }
    }

    async fn checkpoint(&mut self, request: CheckpointRequest) -> Result<CheckpointSummary> {
        let started = Instant::now();
        let commits = self.collect(request.source_parts).await?;
        self.journal.sync(request.journaled).await?;
        let marks = try_join_all(
            commits.into_iter().map(|(name, commit)| async move { Ok::<_, Error>((name, commit.await?)) }),
        );
        let marks: BTreeMap<String, Mark> = marks.await?.into_iter().collect();

        let number = self.store.next_number();
        let parent = self.store.list().pop().map(|newest| newest.number);
        let mut sections = self.chains.sections();
        let effects = self.pending_effects.all();
        if !effects.is_empty() {
            let bytes = postcard::to_stdvec(&effects).map_err(Error::internal)?;
            let (node, name) = (PIPELINE_SECTIONS.to_owned(), PENDING_EFFECTS.to_owned());
            sections.push(Section { node, name, content: Content::Bytes(bytes) });
        }
        let manifest = Manifest {
            format: crate::checkpoint::FORMAT,
            number,
            step: request.barrier.step,
            time: request.time,
            incarnation: self.incarnation,
            owner: crate::checkpoint::OwnerEpoch::default(),
            definition: self.definition.clone(),
            parent,
            sources: request.sources,
            nodes: BTreeMap::new(),
            marks,
            lookups: request.lookups,
            pending_effects: None,
            finished: request.finished,
            created: wall(),
            took_ms: 0,
            bytes: 0,
            retained: Vec::new(),
        };
        self.write(manifest, sections, !effects.is_empty(), started).await
    }

    /// Waits for a part of every node; gives back the commits of sinks.
    async fn collect(&mut self, source_parts: Vec<Part>) -> Result<Vec<(String, BoxFuture<'static, Result<Mark>>)>> {
        let mut commits = Vec::new();
        let mut received = Vec::new();
        while received.len() < self.expected_parts {
            let part = self.parts.recv().await.ok_or_else(|| Error::internal("a node stopped before it was saved"))?;
            received.push(part);
        }
        for part in source_parts.into_iter().chain(received) {
            match part {
                Part::State { node, full, batches } => self.chains.take(node, full, batches),
                Part::Sink { mark, commit } => commits.push((mark, commit)),
            }
        }
        Ok(commits)
    }

    /// Makes state, marks and manifest durable, in this order.
    async fn write(
        &mut self,
        mut manifest: Manifest,
        sections: Vec<Section>,
        effects: bool,
        started: Instant,
    ) -> Result<CheckpointSummary> {
        let (store, journal, retention) = (Arc::clone(&self.store), self.journal.clone(), self.retention);
        let segment = blocking({
            let store = Arc::clone(&store);
            move || if sections.is_empty() { Ok(None) } else { store.write_state(&sections).map(Some) }
        })
        .await?;
        manifest.bytes = segment.as_ref().map_or(0, |segment| store.segments().length(segment));
        let segments = self.chains.with(segment.as_ref());
        if effects {
            manifest.pending_effects = segment.map(|segment| SectionReference {
                segment,
                node: PIPELINE_SECTIONS.to_owned(),
                name: PENDING_EFFECTS.to_owned(),
            });
        }
        for (node, chain) in &segments {
            let state = NodeState { segments: chain.clone() };
            match manifest.sources.get_mut(&**node) {
                Some(source) => source.tables = state,
                None => drop(manifest.nodes.insert(node.to_string(), state)),
            }
        }
        let summary = blocking(move || {
            store.put_marks(&manifest.marks)?;
            manifest.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            store.commit(manifest)?;
            tidy(&store, &journal, retention);
            store.list().pop().ok_or_else(|| Error::internal("a committed checkpoint is not listed"))
        })
        .await?;
        self.chains.saved(segments);
        Ok(summary)
    }
}

/// Drops what no retained checkpoint needs. A failure is told and tried again at the next checkpoint.
fn tidy(store: &CheckpointStore, journal: &Journal, retention: Retention) {
    // The checkpoint's own step stays: recovery reads from there.
    let discarded = |step: StepNumber| journal.discard_before(step).map(drop);
    let result = store.retain(retention).and_then(|removed| removed.reach.map_or(Ok(()), discarded));
    if let Err(error) = result {
        tracing::warn!(%error, "Old checkpoints could not be removed.");
    }
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("background work failed: {error}")))?
}
