//! Checkpoints: "after step n" rides on step n; each node hands over what changed; the manifest commits when
//! all have.
//!
//! Order: journal ≥ n durable → every sink's mark ≥ n and the state segment durable → manifest. One
//! checkpoint is in flight at a time; steps go on meanwhile. What a failed checkpoint had taken is kept and
//! goes into the next one.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::chains::Chains;
use super::clock::wall;
use super::commits::Commits;
use super::compacting::Compactor;
use super::effects::Ledger;
use super::row_trail::Waypoint;
use super::sink_node::SinkCommit;
use crate::checkpoint::{
    CheckpointStore, CheckpointSummary, Content, LookupState, Manifest, NodeState, Retention, Section, SourceState,
};
use crate::error::{Error, Result};
use crate::graph::StateMeaning;
use crate::journal::{Journal, JournalPosition, Reach};
use crate::operator::SnapshotMode;
use crate::row_hash::RunningHash;
use crate::sink::Mark;
use crate::spec::pipeline::JournalSettings;
use crate::step::{ContentHash, Incarnation, StepNumber, StepTime};

/// The name of sections with the hashes of what sinks were given, and what stands for their node.
pub(crate) const WAYPOINTS: &str = "waypoints.v1";
const SINKS: &str = "#sinks";
/// The node name of sections that belong to no node: effects, definitions, lookup files.
pub(crate) const PIPELINE_SECTIONS: &str = "";

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
    Sink { mark: String, commit: SinkCommit },
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
    /// Nodes that are still to be told what is in the tables that they read.
    pub(crate) joined: Vec<String>,
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
    pub(crate) journal_settings: JournalSettings,
    pub(crate) ledger: Ledger,
    /// How many parts node tasks send at a barrier.
    pub(crate) expected_parts: usize,
    pub(crate) parts: mpsc::UnboundedReceiver<Part>,
    pub(crate) requests: mpsc::Receiver<CheckpointRequest>,
    pub(crate) results: mpsc::Sender<CheckpointResult>,
    pub(crate) chains: Chains,
    /// What the states of nodes mean, for a later definition.
    pub(crate) states: BTreeMap<String, StateMeaning>,
    /// Sinks of earlier definitions that have effects left, and the definitions.
    pub(crate) retired: BTreeMap<String, ContentHash>,
    /// The hashes of what sinks were given since the last checkpoint.
    pub(crate) waypoints: BTreeMap<String, Vec<Waypoint>>,
    pub(crate) compactor: Compactor,
    pub(crate) commits: Commits,
}

/// What sinks hand over at a barrier.
#[derive(Default)]
struct Sinks {
    commits: Vec<(String, BoxFuture<'static, Result<Mark>>)>,
    rows: BTreeMap<String, RunningHash>,
}

/// The section that holds the way of the sinks.
fn waypoint_section(waypoints: &BTreeMap<String, Vec<Waypoint>>) -> Result<Section> {
    let bytes = postcard::to_stdvec(waypoints).map_err(Error::internal)?;
    Ok(Section { node: SINKS.to_owned(), name: WAYPOINTS.to_owned(), content: Content::Bytes(bytes) })
}

impl Coordinator {
    /// Runs until the sequencer has gone.
    pub(crate) async fn run(mut self) {
        self.compactor.begin(&self.chains);
        loop {
            tokio::select! {
                request = self.requests.recv() => {
                    let Some(request) = request else { return };
                    let step = request.barrier.step;
                    let result = self.checkpoint(request).await;
                    if self.results.send(CheckpointResult { step, result, full_next: self.full_next() }).await.is_err() {
                        return;
                    }
                    self.compactor.begin(&self.chains);
                }
                merged = self.compactor.ended() => if let Some(merged) = merged { self.chains.merged(merged) },
            }
        }
    }

    /// The nodes that shall write everything at the next checkpoint.
    pub(crate) fn full_next(&self) -> HashSet<Arc<str>> {
        self.chains.full_next(&|node| self.compactor.can_merge(node))
    }

    async fn checkpoint(&mut self, request: CheckpointRequest) -> Result<CheckpointSummary> {
        let started = Instant::now();
        let Sinks { commits, rows } = self.collect(request.source_parts).await?;
        self.take_effects(&request.barrier)?;
        self.journal.sync(request.journaled).await?;
        let marks = self.commits.settle(commits).await?;

        let number = self.store.next_number();
        let parent = self.store.list().pop().map(|newest| newest.number);
        let mut sections = self.chains.sections();
        if self.waypoints.values().any(|points| !points.is_empty()) {
            sections.push(waypoint_section(&self.waypoints)?);
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
            effects: NodeState::default(),
            waypoints: None,
            rows,
            states: self.states.clone(),
            joined: request.joined,
            retired: self.retired.clone(),
            finished: request.finished,
            created: wall(),
            took_ms: 0,
            bytes: 0,
            retained: Vec::new(),
        };
        self.write(manifest, sections, started).await
    }

    /// Waits for a part of every node; gives back the commits of sinks.
    async fn collect(&mut self, source_parts: Vec<Part>) -> Result<Sinks> {
        let mut sinks = Sinks::default();
        let mut received = Vec::new();
        while received.len() < self.expected_parts {
            let part = self.parts.recv().await.ok_or_else(|| Error::internal("a node stopped before it was saved"))?;
            received.push(part);
        }
        for part in source_parts.into_iter().chain(received) {
            match part {
                Part::State { node, full, batches } => self.chains.take(node, full, batches),
                Part::Sink { mark, commit } => {
                    sinks.rows.insert(mark.clone(), commit.rows);
                    self.waypoints.entry(mark.clone()).or_default().extend(commit.waypoints);
                    sinks.commits.push((mark, commit.mark));
                }
            }
        }
        Ok(sinks)
    }

    /// Takes what has changed of the effects. It may be ahead of the barrier: what the journal behind the barrier
    /// says of an effect is the same or newer.
    fn take_effects(&mut self, barrier: &Barrier) -> Result<()> {
        let full = barrier.full.contains(PIPELINE_SECTIONS);
        let batches = self.ledger.snapshot(if full { SnapshotMode::Full } else { SnapshotMode::Changes })?;
        if full || !batches.is_empty() {
            self.chains.take(PIPELINE_SECTIONS.into(), full, batches);
        }
        Ok(())
    }

    /// Makes state, marks and manifest durable, in this order.
    async fn write(
        &mut self,
        mut manifest: Manifest,
        sections: Vec<Section>,
        started: Instant,
    ) -> Result<CheckpointSummary> {
        let (store, journal, retention) = (Arc::clone(&self.store), self.journal.clone(), self.retention);
        let settings = self.journal_settings.clone();
        let segment = blocking({
            let store = Arc::clone(&store);
            move || {
                if sections.is_empty() {
                    return Ok(None);
                }
                let segment = store.write_state(&sections)?;
                let bytes = store.segments().bytes_by_node(&segment)?;
                Ok(Some((segment, bytes)))
            }
        })
        .await?;
        manifest.bytes = segment.as_ref().map_or(0, |(segment, _)| store.segments().length(segment));
        let chains = self.chains.with(segment.as_ref());
        if self.waypoints.values().any(|points| !points.is_empty()) {
            manifest.waypoints = segment.map(|(segment, _)| segment);
        }
        for (node, chain) in &chains {
            let state = NodeState { segments: chain.iter().map(|link| link.segment.clone()).collect() };
            if **node == *PIPELINE_SECTIONS {
                manifest.effects = state;
                continue;
            }
            match manifest.sources.get_mut(&**node) {
                Some(source) => source.tables = state,
                None => drop(manifest.nodes.insert(node.to_string(), state)),
            }
        }
        let summary = blocking(move || {
            store.put_marks(&manifest.marks)?;
            manifest.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            store.commit(manifest)?;
            tidy(&store, &journal, retention, &settings);
            store.list().pop().ok_or_else(|| Error::internal("a committed checkpoint is not listed"))
        })
        .await?;
        self.chains.saved(chains);
        self.waypoints.clear();
        Ok(summary)
    }
}

/// Drops what no retained checkpoint needs. A failure is told and tried again at the next checkpoint.
fn tidy(store: &CheckpointStore, journal: &Journal, retention: Retention, settings: &JournalSettings) {
    let Some(reach) = reach(&store.list(), retention, settings) else { return };
    // The journal first: what its steps named may go once they have.
    let result = journal.discard_beyond(&reach).and_then(|_| store.retain(retention, journal.begins()));
    if let Err(error) = result {
        tracing::warn!(%error, "Old checkpoints could not be removed.");
    }
}

/// How far back the journal shall reach, with these checkpoints, oldest first. A checkpoint's own step stays: recovery
/// reads from there.
fn reach(checkpoints: &[CheckpointSummary], retention: Retention, settings: &JournalSettings) -> Option<Reach> {
    let newest = checkpoints.last()?;
    Some(Reach {
        needed: newest.step,
        wanted: retention.oldest_of_last(checkpoints)?.step,
        since: settings.keep.map(|keep| StepTime(newest.time.0.saturating_sub(keep.milliseconds()))),
        bytes: settings.bytes.map(|bytes| bytes.0),
    })
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("background work failed: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::CheckpointNumber;
    use crate::spec::{ByteSize, Duration as Span};

    /// Checkpoints at these steps and times, oldest first.
    fn checkpoints(of: &[(u64, i64)]) -> Vec<CheckpointSummary> {
        let summary = |(number, (step, time)): (u64, &(u64, i64))| CheckpointSummary {
            number: CheckpointNumber(number),
            step: StepNumber(*step),
            time: StepTime(*time),
            created: 0,
            took_ms: 0,
            bytes: 0,
            manifest: ContentHash("m".into()),
            finished: false,
        };
        (1..).zip(of).map(summary).collect()
    }

    #[test]
    fn the_journal_reaches_back_to_the_oldest_of_the_last_and_as_long_as_it_is_kept() {
        let kept = checkpoints(&[(10, 1_000), (20, 2_000), (30, 3_000)]);
        let retention = |last| Retention { last, hourly: 0, daily: 0 };
        let settings = JournalSettings::default();
        let plain = reach(&kept, retention(2), &settings).unwrap();
        assert_eq!((plain.needed, plain.wanted, plain.since), (StepNumber(30), StepNumber(20), None));
        assert_eq!(reach(&kept, retention(9), &settings).unwrap().wanted, StepNumber(10));
        let second = std::time::Duration::from_secs(1);
        let keeping = JournalSettings { keep: Some(Span(second)), bytes: Some(ByteSize(7)), ..settings.clone() };
        let longer = reach(&kept, retention(1), &keeping).unwrap();
        assert_eq!((longer.wanted, longer.since, longer.bytes), (StepNumber(30), Some(StepTime(2_000)), Some(7)));
        let ages = JournalSettings { keep: Some(Span(second * 3600)), ..settings.clone() };
        assert_eq!(reach(&kept, retention(1), &ages).unwrap().since, Some(StepTime(3_000 - 3_600_000)));
        assert!(reach(&[], retention(1), &settings).is_none(), "without a checkpoint everything stays");
    }
}
