//! Replays: recorded steps executed again, beside the original, in a directory of their own. Nothing of the
//! original is changed, no effect leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tempfile::TempDir;

use super::adopt::Moved;
use super::comparison::{Comparison, Difference, Differences};
use super::effects::{Bounds, Ledger};
use super::open::Storage;
use super::reconfigure::Reconfiguration;
use super::recording::Recording;
use super::sink_node::SinkNode;
use super::{Pipeline, RunOptions};
use crate::checkpoint::{CheckpointStore, Manifest, MemoryStore, NodeState, OwnerLock, SegmentStore};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::journal::record::{EngineEvent, Record, StepBody};
use crate::journal::{Journal, JournalPosition};
use crate::row_hash::RunningHash;
use crate::sink::TransactionalSink;
use crate::step::{Incarnation, Range, SchemaVersion, Shard, StepNumber, StepTime};

/// Opens the output of a sink in a replay, by the name of its mark (`page/0`: the first input of a sink that
/// dispatches).
pub type OpenOutput = Arc<dyn Fn(&str) -> Result<Box<dyn TransactionalSink>> + Send + Sync>;

/// What a replay found.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// The step that it began after.
    pub from: StepNumber,
    /// The last step.
    pub through: StepNumber,
    /// How many steps were executed.
    pub steps: u64,
    /// The sinks whose rows were compared with those of the original run.
    pub compared: Vec<String>,
    /// Where they differ; empty where every sink was given the same rows in the same steps.
    pub differences: Vec<Difference>,
    /// What became of the nodes' state, where the graph is another than the one that was recorded.
    pub reconfiguration: Option<Reconfiguration>,
}

/// How the sinks of a replay are made.
pub(super) struct ReplaySinks {
    waypoints: BTreeMap<String, Vec<super::row_trail::Waypoint>>,
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
        let by_input = self.waypoints.contains_key(&format!("{node}/0"));
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
    /// Executes a recording again through `graph`, which is that of its own definition, or another one: then state
    /// moves over as far as it means the same, and nothing is compared. Sinks write to `output`, or nowhere.
    ///
    /// # Errors
    /// When input cannot be read again or reads differently, or a node fails.
    pub async fn replay(graph: Arc<Graph>, recording: &Recording, output: Option<OpenOutput>) -> Result<ReplayReport> {
        let same = graph.definition.hash()? == recording.definition.hash()?;
        let found = Differences::default();
        let waypoints = if same { recording.waypoints.clone() } else { BTreeMap::new() };
        let compared: Vec<String> = waypoints.keys().cloned().collect();
        let sinks = ReplaySinks { waypoints, from: recording.start.step, found: found.clone(), output };
        let directory = tempfile::Builder::new()
            .prefix("tidegate-replay-")
            .tempdir()
            .map_err(|error| Error::external(format!("a directory for the replay cannot be made: {error}")))?;
        let (storage, reconfiguration) = Self::private(&graph, recording, &directory, same)?;
        let mut options = RunOptions::new(directory.path());
        options.accept_clock = true;
        let mut pipeline = Self::open_in(storage, Arc::clone(&graph), options, Some(sinks)).await?;
        pipeline.check_input(recording).await?;
        let end = recording.end;
        let until_end = move |record: &Result<(JournalPosition, Record)>| !matches!(record, Ok((_, Record::Step(step))) if step.header.number > end);
        pipeline.recorded = Some(Recorded {
            records: Box::new(recording.records()?.take_while(until_end)),
            joined: reconfiguration.as_ref().map(|decided| decided.joined.clone()).unwrap_or_default(),
        });
        pipeline.catch_up().await?;
        let (from, through) = recording.range();
        let differences = found.all();
        Ok(ReplayReport { from, through, steps: recording.steps, compared, differences, reconfiguration })
    }

    /// A directory that holds the state at the beginning of the recording and nothing else.
    fn private(
        graph: &Graph,
        recording: &Recording,
        directory: &TempDir,
        same: bool,
    ) -> Result<(Storage, Option<Reconfiguration>)> {
        let owner = OwnerLock::acquire(directory.path())?;
        let store = CheckpointStore::open(directory.path(), Box::new(MemoryStore::default()))?;
        // Only now: a store that knows nothing beside segments would be one that has lost what it knew.
        let original = SegmentStore::of(&recording.directory);
        for hash in recording.start.segments().iter().chain(&recording.lookups).filter(|hash| !hash.0.is_empty()) {
            store.segments().borrow(&original, hash)?;
            store.wrote(hash)?;
        }
        store.write_state(&graph.definition.to_sections())?;
        let (mut start, mut decided) = (recording.start.clone(), None);
        if !same {
            let mut decision = Reconfiguration::decide(&start, &recording.definition, graph)?;
            if start.step == StepNumber::ZERO {
                // Before the first step there are no tables to begin with.
                decision.joined.clear();
            }
            let effects = Ledger::new(Bounds::NONE);
            let moved = Moved { store: &store, before: &start, decided: &decision, graph, effects: &effects }
                .manifest(graph.definition.hash()?)?;
            // The step by which new nodes join takes the number of the last step before.
            let step = if decision.joined.is_empty() { start.step } else { StepNumber(start.step.0.saturating_sub(1)) };
            start = Manifest { number: start.number, step, time: start.time, ..moved };
            decided = Some(decision);
        }
        (start.effects, start.retired) = (NodeState::default(), BTreeMap::new());
        if start.number.0 > 0 {
            store.commit(start)?;
        }
        let manifest = store.latest()?;
        let (journal, _) = Journal::open(directory.path(), Incarnation(1), Shard(0))?;
        Ok((Storage { owner, store: Arc::new(store), manifest, journal, last_time: StepTime(0) }, decided))
    }

    /// Reads the first and the last stretch of every source's recorded input, so that what has gone is said before
    /// anything runs.
    async fn check_input(&self, recording: &Recording) -> Result<()> {
        let mut ends: BTreeMap<Arc<str>, (Range, Range, SchemaVersion, SchemaVersion)> = BTreeMap::new();
        let mut schemas: Vec<(String, SchemaVersion, Vec<u8>)> = Vec::new();
        for record in recording.records()? {
            let Record::Step(step) = record?.1 else { continue };
            if step.header.number > recording.end {
                break;
            }
            let version = step.header.schema_version;
            match step.body {
                StepBody::Engine(EngineEvent::Schema { source, version, schema }) => {
                    schemas.push((source, version, schema))
                }
                StepBody::Reference { ranges, .. } => {
                    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { continue };
                    let known = ends
                        .entry(step.header.source)
                        .or_insert_with(|| (first.clone(), last.clone(), version, version));
                    (known.1, known.3) = (last.clone(), version);
                }
                _ => {}
            }
        }
        for (source, (first, last, first_version, last_version)) in ends {
            let Some((index, node)) = self.graph.node(&source) else { continue };
            let mut state =
                self.manifest.as_ref().and_then(|manifest| manifest.sources.get(&*source)).cloned().unwrap_or_default();
            state.schemas.extend(
                schemas
                    .iter()
                    .filter(|(of, ..)| **of == *source)
                    .map(|(_, version, schema)| (*version, schema.clone())),
            );
            let at_node = |error: Error| {
                let message = format!("its recorded input cannot be replayed: {}", error.message);
                let remedy = "what is read again must still be there, unchanged; `journal: {inline: all}` keeps a copy of everything from now on";
                Error { message, ..error }.with_remedy(remedy).at_node(&node.name).at_place(&node.shown_place)
            };
            let context = self.source_context(node, &state)?;
            let mut open = super::replay::RereadSources::new(Arc::clone(&self.graph), vec![(index, context)]);
            let open = open.get(0).await.map_err(at_node)?;
            open.reread(&first, first_version).await.map_err(at_node)?;
            open.reread(&last, last_version).await.map_err(at_node)?;
        }
        Ok(())
    }
}
