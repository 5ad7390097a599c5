//! Replays: recorded steps executed again, beside the original, in a directory of their own. Nothing of the
//! original is changed, no effect leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tempfile::TempDir;

use super::adopt::Moved;
use super::comparison::{Comparison, Difference, Differences};
use super::effects::{Bounds, Ledger};
use super::open::Storage;
use super::reconfigure::Reconfiguration;
use super::recorded_input::check_input;
use super::recording::{Recording, Stretch};
use super::row_trail::Waypoint;
use super::sink_node::SinkNode;
use super::{Pipeline, RunOptions};
use crate::checkpoint::{CheckpointStore, Manifest, MemoryStore, NodeState, OwnerLock, SegmentStore};
use crate::error::{Error, Result};
use crate::graph::{Definition, Graph};
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::journal::{Journal, JournalPosition};
use crate::row_hash::RunningHash;
use crate::sink::TransactionalSink;
use crate::step::{ContentHash, Incarnation, Shard, StepNumber, StepTime};

/// Opens the output of a sink in a replay, by the name of its mark (`page/0`: the first input of a sink that
/// dispatches). Asked again where another definition begins: then what was written before stays.
pub type OpenOutput = Arc<dyn Fn(&str) -> Result<Box<dyn TransactionalSink>> + Send + Sync>;

/// What a recording is executed again through.
#[derive(Clone)]
pub enum ReplayThrough {
    /// Each stretch through the graph of the definition that it was recorded with: one for each of
    /// [`Recording::definitions`].
    Recorded(Vec<Arc<Graph>>),
    /// All of it through one graph. Where that is the graph of the only definition, this is the same.
    One(Arc<Graph>),
}

/// What a replay found.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// The step that it began after.
    pub from: StepNumber,
    /// The last step.
    pub through: StepNumber,
    /// How many steps were executed.
    pub steps: u64,
    /// The steps after which another definition held.
    pub changes: Vec<StepNumber>,
    /// The sinks whose rows were compared with those of the original run.
    pub compared: Vec<String>,
    /// Where they differ; empty where every sink was given the same rows in the same steps.
    pub differences: Vec<Difference>,
    /// What became of the nodes' state, where the graph is another than the one that was recorded.
    pub reconfiguration: Option<Reconfiguration>,
}

/// How the sinks of a replay are made.
pub(super) struct ReplaySinks {
    waypoints: BTreeMap<String, Vec<Waypoint>>,
    /// The marks that the original has: they tell which sinks take each input on its own.
    marks: Arc<BTreeSet<String>>,
    from: StepNumber,
    found: Differences,
    output: Option<OpenOutput>,
}

impl ReplaySinks {
    /// The sinks of a node: one for each mark that the original has for it, with the inputs that it takes.
    pub(super) fn of(
        &self,
        node: &str,
        inputs: usize,
        rows: impl Fn(&str) -> RunningHash,
    ) -> Result<Vec<(Vec<usize>, SinkNode)>> {
        let by_input = self.marks.contains(&format!("{node}/0"));
        let groups: Vec<(String, Vec<usize>)> = match by_input {
            true => (0..inputs).map(|input| (format!("{node}/{input}"), vec![input])).collect(),
            false => vec![(node.to_owned(), (0..inputs).collect())],
        };
        let sink = |(mark, inputs): (String, Vec<usize>)| {
            let output = self.output.as_ref().map(|open| open(&mark)).transpose()?;
            let expected = self.waypoints.get(&mark).cloned().unwrap_or_default();
            let from = rows(&mark);
            let comparison = Comparison::new(mark, self.from, expected, self.found.clone());
            Ok((inputs, SinkNode::replayed(comparison, output, from)))
        };
        groups.into_iter().map(sink).collect()
    }
}

/// The steps of a replay, in place of those of the pipeline's own journal.
pub(super) struct Recorded {
    pub(super) records: Box<dyn Iterator<Item = Result<(JournalPosition, Record)>> + Send>,
    /// A step by which these nodes begin with the tables that they read goes before them.
    pub(super) joined: Vec<String>,
}

impl Pipeline {
    /// Executes a recording again. Through graphs of its own definitions, what sinks are given is compared with what
    /// they were given; through another one, state moves over as far as it means the same, and nothing is compared.
    /// Sinks write to `output`, or nowhere.
    ///
    /// # Errors
    /// When input cannot be read again or reads differently, or a node fails.
    pub async fn replay(
        through: &ReplayThrough,
        recording: &Recording,
        output: Option<OpenOutput>,
    ) -> Result<ReplayReport> {
        check_input(through, recording).await?;
        let marks = recording.stretches.iter().flat_map(|stretch| stretch.waypoints.keys()).cloned().collect();
        let replay = Replay { recording, output, marks: Arc::new(marks), found: Differences::default() };
        let (from, through_step) = recording.range();
        let mut report = ReplayReport {
            from,
            through: through_step,
            steps: recording.steps(),
            changes: recording.stretches.iter().skip(1).map(|stretch| stretch.after).collect(),
            compared: Vec::new(),
            differences: Vec::new(),
            reconfiguration: None,
        };
        match (through, recording.stretches.as_slice()) {
            (ReplayThrough::Recorded(graphs), stretches) if graphs.len() == stretches.len() => {
                replay.as_recorded(graphs, &mut report).await?;
            }
            (ReplayThrough::One(graph), [only]) if graph.definition.hash()? == only.hash => {
                replay.as_recorded(std::slice::from_ref(graph), &mut report).await?;
            }
            (ReplayThrough::One(graph), [first, ..]) => {
                report.reconfiguration = Some(replay.through_another(graph, first).await?);
            }
            _ => return Err(Error::internal("a replay needs a graph for each definition of the recording")),
        }
        report.differences = replay.found.all();
        Ok(report)
    }
}

/// A replay under way.
struct Replay<'a> {
    recording: &'a Recording,
    output: Option<OpenOutput>,
    marks: Arc<BTreeSet<String>>,
    found: Differences,
}

/// What a part of a replay begins with.
struct Beginning<'a> {
    manifest: Manifest,
    /// The definition of that state.
    recorded: &'a Definition,
    /// Where its segments are.
    segments: SegmentStore,
}

/// What a part of a replay has come to.
struct Ended {
    /// Holds the segments of the state.
    directory: TempDir,
    manifest: Manifest,
}

impl Replay<'_> {
    /// Executes each stretch under its own definition. A stretch begins with the checkpoint that the change before it
    /// committed; where that is not kept any more, with what the one before has come to.
    async fn as_recorded(&self, graphs: &[Arc<Graph>], report: &mut ReplayReport) -> Result<()> {
        let mut compared = BTreeSet::new();
        let mut before: Option<(Ended, &Definition)> = None;
        for (stretch, graph) in self.recording.stretches.iter().zip(graphs) {
            let beginning = match (&stretch.start, &before) {
                (Some(manifest), _) => Beginning {
                    manifest: manifest.clone(),
                    recorded: &stretch.definition,
                    segments: SegmentStore::of(&self.recording.directory),
                },
                (None, Some((ended, recorded))) => Beginning {
                    manifest: ended.manifest.clone(),
                    recorded,
                    segments: SegmentStore::of(ended.directory.path()),
                },
                (None, None) => return Err(not_kept(stretch.after)),
            };
            let same = graph.definition.hash()? == stretch.hash;
            let waypoints = if same { stretch.waypoints.clone() } else { BTreeMap::new() };
            compared.extend(waypoints.keys().cloned());
            let (place, _) = self.place(graph, &beginning, &stretch.lookups, Joining::AsRecorded)?;
            let recorded =
                Recorded { records: Box::new(self.recording.records(stretch.after, stretch.end)?), joined: Vec::new() };
            before = Some((self.execute(graph, place, recorded, waypoints).await?, &stretch.definition));
        }
        report.compared = compared.into_iter().collect();
        Ok(())
    }

    /// Executes everything through one graph, from the state at the beginning on.
    async fn through_another(&self, graph: &Arc<Graph>, first: &Stretch) -> Result<Reconfiguration> {
        let manifest = first.start.clone().ok_or_else(|| not_kept(first.after))?;
        let segments = SegmentStore::of(&self.recording.directory);
        let beginning = Beginning { manifest, recorded: &first.definition, segments };
        let lookups = self.recording.stretches.iter().flat_map(|stretch| &stretch.lookups).cloned().collect();
        let (place, decided) = self.place(graph, &beginning, &lookups, Joining::AtOnce)?;
        let (after, end) = self.recording.range();
        let records = self.recording.records(after, end)?.map(|record| record.map(without_joining));
        let joined = decided.joined.clone();
        self.execute(graph, place, Recorded { records: Box::new(records), joined }, BTreeMap::new()).await?;
        Ok(decided)
    }

    /// A directory that holds the state at the beginning and nothing else.
    fn place(
        &self,
        graph: &Graph,
        beginning: &Beginning<'_>,
        lookups: &BTreeSet<ContentHash>,
        joining: Joining,
    ) -> Result<((TempDir, Storage), Reconfiguration)> {
        let directory = tempfile::Builder::new()
            .prefix("tidegate-replay-")
            .tempdir()
            .map_err(|error| Error::external(format!("a directory for the replay cannot be made: {error}")))?;
        let original = SegmentStore::of(&self.recording.directory);
        let owner = OwnerLock::acquire(directory.path())?;
        // Opened while it is empty: a store that knows nothing of segments that are there counts as lost.
        let store = CheckpointStore::open(directory.path(), Box::new(MemoryStore::default()))?;
        let borrow = |from: &SegmentStore, hash: &ContentHash| {
            store.segments().borrow(from, hash)?;
            store.wrote(hash).map(drop)
        };
        let named = beginning.manifest.segments();
        named.iter().filter(|hash| !hash.0.is_empty()).try_for_each(|hash| borrow(&beginning.segments, hash))?;
        lookups.difference(&named.into_iter().collect()).try_for_each(|hash| borrow(&original, hash))?;
        store.write_state(&graph.definition.to_sections())?;
        let (mut start, decided) = begin(&store, graph, beginning, joining)?;
        (start.effects, start.retired) = (NodeState::default(), BTreeMap::new());
        if start.number.0 > 0 {
            store.commit(start)?;
        }
        let manifest = store.latest()?;
        let (journal, _) = Journal::open(directory.path(), Incarnation(1), Shard(0))?;
        let storage = Storage { owner, store: Arc::new(store), manifest, journal, last_time: StepTime(0) };
        Ok(((directory, storage), decided))
    }

    /// Executes recorded steps in a directory of their own.
    async fn execute(
        &self,
        graph: &Arc<Graph>,
        (directory, storage): (TempDir, Storage),
        recorded: Recorded,
        waypoints: BTreeMap<String, Vec<Waypoint>>,
    ) -> Result<Ended> {
        let store = Arc::clone(&storage.store);
        let from = storage.manifest.as_ref().map_or(StepNumber::ZERO, |manifest| manifest.step);
        let (marks, found) = (Arc::clone(&self.marks), self.found.clone());
        let sinks = ReplaySinks { waypoints, marks, from, found, output: self.output.clone() };
        let mut options = RunOptions::new(directory.path());
        options.accept_clock = true;
        let mut pipeline = Pipeline::open_in(storage, Arc::clone(graph), options, Some(sinks)).await?;
        pipeline.recorded = Some(recorded);
        pipeline.catch_up().await?;
        let manifest = store.latest()?.ok_or_else(|| Error::internal("a replay has ended without a checkpoint"))?;
        Ok(Ended { directory, manifest })
    }
}

/// When nodes that are new to the graph begin with the tables that they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joining {
    /// When a recorded step says so.
    AsRecorded,
    /// Before the first step.
    AtOnce,
}

/// The state to begin with, under the definition of `graph`.
fn begin(
    store: &CheckpointStore,
    graph: &Graph,
    beginning: &Beginning<'_>,
    joining: Joining,
) -> Result<(Manifest, Reconfiguration)> {
    let before = &beginning.manifest;
    let hash = graph.definition.hash()?;
    if joining == Joining::AsRecorded && (before.definition == hash || before.number.0 == 0) {
        return Ok((before.clone(), Reconfiguration::default()));
    }
    let mut decided = Reconfiguration::decide(before, beginning.recorded, graph)?;
    if joining == Joining::AsRecorded && decided.may_rename(before, graph) {
        // What a node was called before is not recorded: only the checkpoint of the change knows it.
        return Err(not_kept(before.step));
    }
    if before.step == StepNumber::ZERO {
        // Before the first step there are no tables to begin with.
        decided.joined.clear();
    }
    let effects = Ledger::new(Bounds::NONE);
    let moved = Moved { store, before, decided: &decided, graph, effects: &effects }.manifest(hash)?;
    // The step by which new nodes join at once takes the number of the last step before.
    let step = match joining == Joining::AtOnce && !decided.joined.is_empty() {
        true => StepNumber(before.step.0.saturating_sub(1)),
        false => before.step,
    };
    Ok((Manifest { number: before.number, step, time: before.time, ..moved }, decided))
}

/// A record for another graph than the original's: its new nodes have joined already.
fn without_joining((at, mut record): (JournalPosition, Record)) -> (JournalPosition, Record) {
    if let Record::Step(step) = &mut record
        && matches!(step.body, StepBody::Engine(EngineEvent::Joined { .. }))
    {
        step.body = StepBody::Engine(EngineEvent::Tick);
    }
    (at, record)
}

fn not_kept(after: StepNumber) -> Error {
    Error::user(format!(
        "the definition changed after step {after}, and the checkpoint of that change is not kept any more"
    ))
    .with_remedy("begin with a later checkpoint: `checkpoint list`")
}
