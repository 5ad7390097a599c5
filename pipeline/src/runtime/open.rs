//! Opening a pipeline: ownership of its directory, then everything as the newest checkpoint says.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::adopt::{changed, first_definition};
use super::assembly::{NodeBody, runs_in_a_task};
use super::chain::Body;
use super::checkpointing::{PIPELINE_SECTIONS, blocking};
use super::clock::Clock;
use super::delivery::Deliverer;
use super::effects::{EffectIdentity, Ledger};
use super::ending::Ending;
use super::fenced::fenced;
use super::lookups::stored_contents;
use super::outbox::Outbox;
use super::rerun::{Recorded, ReplaySinks};
use super::sink_node::{SinkNode, edge_mark};
use super::status::{NodeStatus, PipelineStatus};
use crate::checkpoint::{CheckpointStore, Content, Manifest, NodeState, OwnerLock, SledStore};
use crate::error::{Error, Result};
use crate::graph::{Definition, Graph, Node, NodeIndex, Planned};
use crate::journal::Journal;
use crate::journal::record::Record;
use crate::operator::{InputIndex, Operator, Output, StateReader};
use crate::row_hash::RunningHash;
use crate::sink::{DispatchingSink, Mark, Sink, SinkContext};
use crate::source::SourceContext;
use crate::step::{ContentHash, ENGINE, Incarnation, SchemaVersion, Shard, StepHeader, StepNumber, StepTime, Unit};
use crate::table::{SharedTables, TableSet, Tables};

/// The state of a pipeline that was set aside: to be removed when the pipeline has begun anew, or put back when it
/// could not.
#[derive(Debug)]
pub struct SetAside {
    directory: PathBuf,
    aside: PathBuf,
}

impl SetAside {
    /// Puts the state back where it was.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn put_back(self) -> Result<()> {
        let moved = match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::rename(&self.aside, &self.directory),
        };
        moved.map_err(|error| {
            Error::external(format!(
                "{} cannot be put back from {}: {error}",
                self.directory.display(),
                self.aside.display()
            ))
        })
    }

    /// Removes the state for good.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_dir_all(&self.aside)
            .map_err(|error| Error::external(format!("{} cannot be removed: {error}", self.aside.display())))
    }
}

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

/// What is stored of a pipeline, in the hands of its owner.
pub(super) struct Storage {
    pub(super) owner: OwnerLock,
    pub(super) store: Arc<CheckpointStore>,
    /// The newest checkpoint.
    pub(super) manifest: Option<Manifest>,
    pub(super) journal: Journal,
    /// The time of the journal's last step.
    pub(super) last_time: StepTime,
}

impl Storage {
    /// Takes ownership of a pipeline's directory and opens what is in it.
    ///
    /// # Errors
    /// When another process owns it, or what is stored is damaged.
    pub(super) async fn open(directory: &Path) -> Result<Self> {
        let directory = directory.to_owned();
        blocking(move || {
            let owner = OwnerLock::acquire(&directory)?;
            let sled = SledStore::open(&directory)?;
            let store = CheckpointStore::open(&directory, Box::new(sled))?;
            let manifest = store.latest()?;
            let (journal, recovery) = Journal::open(&directory, store.incarnation(), Shard(0))?;
            store.check_journal(manifest.as_ref(), recovery.last_step)?;
            Ok(Self { owner, store: Arc::new(store), manifest, journal, last_time: recovery.last_time })
        })
        .await
    }
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
        let Storage { owner, store, manifest, journal, last_time: recovered } = storage;
        let incarnation = store.incarnation();
        let definition = definition(&graph, &store).await?;
        check_definition(&graph, &definition, manifest.as_ref(), &journal)?;
        let last_time = manifest.as_ref().map_or(StepTime(0), |manifest| manifest.time).max(recovered);
        let clock = Clock::start((options.wall)(), last_time, options.accept_clock)?;
        let effects = Ledger::new(options.delivery.bounds());
        let joined = manifest.as_ref().map(|manifest| manifest.joined.clone()).unwrap_or_default();
        let statuses = graph.nodes.iter().map(|node| Arc::new(NodeStatus::of(node)));
        let status = Arc::new(PipelineStatus::new(statuses.collect(), effects.clone()));
        if let (Some(place), Some(copies)) = (&graph.spec.checkpoint.copy_to, &options.copies) {
            store.copy_to(copies.open(place)?, &graph.spec.name.value, &status.copies)?;
        }
        let checkpointed = manifest.as_ref().map_or(StepNumber::ZERO, |manifest| manifest.step);
        status.step.store(checkpointed.0, Ordering::Relaxed);
        let cancel = CancellationToken::new();
        let mut pipeline = Self {
            graph,
            options,
            store,
            journal,
            manifest,
            incarnation,
            definition,
            clock,
            status,
            tables: HashMap::new(),
            shared_tables: HashMap::new(),
            bodies: Vec::new(),
            deliverers: Vec::new(),
            effects,
            ending: Ending::new(&cancel),
            cancel,
            joined,
            only_tail: false,
            recorded: None,
            _owner: owner,
        };
        pipeline.restore_tables()?;
        let outbox_marks = pipeline.restore_outbox()?;
        match sinks {
            Some(sinks) => pipeline.restore_replayed(&sinks).await?,
            None => pipeline.restore_bodies(outbox_marks).await?,
        }
        pipeline.restore_retired().await?;
        Ok(pipeline)
    }

    /// Sets aside everything that a pipeline's directory holds, so that the pipeline begins anew. Outputs are
    /// elsewhere and are left alone. `None` where there is nothing.
    ///
    /// # Errors
    /// When another process owns the directory, or it cannot be moved.
    pub fn set_aside(directory: &Path) -> Result<Option<SetAside>> {
        if !directory.exists() {
            return Ok(None);
        }
        let owner = OwnerLock::acquire(directory)?;
        let mut name = directory.as_os_str().to_owned();
        name.push(".before-fresh");
        let aside = PathBuf::from(name);
        let failed =
            |error: std::io::Error| Error::external(format!("{} cannot be set aside: {error}", directory.display()));
        if aside.exists() {
            std::fs::remove_dir_all(&aside).map_err(failed)?;
        }
        std::fs::rename(directory, &aside).map_err(failed)?;
        drop(owner);
        Ok(Some(SetAside { directory: directory.to_owned(), aside }))
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

    fn restore_tables(&mut self) -> Result<()> {
        for node in &self.graph.nodes {
            let Planned::Source(source) = &node.planned else { continue };
            if source.tables.is_empty() {
                continue;
            }
            let mut tables = Tables::new(source.tables.clone())?;
            let state = self.manifest.as_ref().and_then(|manifest| manifest.sources.get(&*node.name));
            if let Some(state) = state {
                tables.restore(self.read_state(&node.name, &state.tables)?)?;
            }
            self.shared_tables.insert(Arc::clone(&node.name), tables.shared());
            self.tables.insert(Arc::clone(&node.name), tables);
        }
        Ok(())
    }

    fn read_state(&self, node: &str, state: &NodeState) -> Result<StateReader> {
        let mut batches = Vec::new();
        for section in self.store.read_state(state, node)? {
            if let Content::Batch(batch) = section.content {
                batches.push((section.name, batch));
            }
        }
        Ok(StateReader { batches })
    }

    /// Effects that were intended, and those that were given up; and the marks that the outbox implies.
    fn restore_outbox(&mut self) -> Result<BTreeMap<String, StepNumber>> {
        let identity = self.identity();
        if let Some(manifest) = &self.manifest {
            self.effects.restore(self.store.read_state(&manifest.effects, PIPELINE_SECTIONS)?)?;
        }
        let mut marks: BTreeMap<String, StepNumber> = BTreeMap::new();
        // From the checkpoint's own step on: what was delivered since stands behind it, also when no step came.
        for ((sink, input), through) in fold_outbox(&self.journal, self.checkpointed(), &identity, &self.effects)? {
            // Steps that are executed under another definition may have been recorded under a sink's former name.
            let renamed = |node: &&Node| node.was.as_deref() == Some(sink.as_str());
            let now = match self.graph.node(&sink) {
                Some(_) => None,
                None => self.graph.nodes.iter().find(renamed),
            };
            let mark = marks.entry(edge_mark(now.map_or(&sink, |node| &node.name), input)).or_default();
            *mark = (*mark).max(through);
        }
        Ok(marks)
    }

    /// The hash of what a sink was given up to the checkpoint.
    fn rows_of(&self, mark: &str) -> RunningHash {
        let known = self.manifest.as_ref().and_then(|manifest| manifest.rows.get(mark));
        known.copied().unwrap_or_default()
    }

    fn identity(&self) -> EffectIdentity {
        let pipeline: Arc<str> = self.graph.spec.name.value.to_string().into();
        EffectIdentity { pipeline, shard: Shard(0), incarnation: self.incarnation }
    }

    async fn restore_bodies(&mut self, outbox_marks: BTreeMap<String, StepNumber>) -> Result<()> {
        let mut marks = self.store.marks()?;
        // A store that was lost and rebuilt may know less than the checkpoint.
        for (name, mark) in self.manifest.iter().flat_map(|manifest| &manifest.marks) {
            marks.entry(name.clone()).or_insert_with(|| mark.clone());
        }
        for (name, step) in outbox_marks {
            let mark =
                marks.entry(name).or_insert(Mark { step, detail: "{}".to_owned(), rows: RunningHash::default() });
            if step > mark.step {
                // What the outbox implies says nothing of the rows up to there.
                (mark.step, mark.rows) = (step, RunningHash::default());
            }
        }
        let mut first_marks = BTreeMap::new();
        let graph = Arc::clone(&self.graph);
        for (index, node) in graph.nodes.iter().enumerate().filter(|(_, node)| runs_in_a_task(node)) {
            let at_node = |error: Error| error.at_node(&node.name).at_place(&node.shown_place);
            let all: Vec<usize> = (0..node.inputs.len()).collect();
            let index = NodeIndex(index);
            match &node.planned {
                Planned::Source(_) => {}
                Planned::Operator(planned) => {
                    let mut operator = (planned.build)().map_err(at_node)?;
                    self.restore_operator(node, operator.as_mut()).await.map_err(at_node)?;
                    self.bodies.push(NodeBody { node: index, inputs: all, body: Body::Operator(operator) });
                }
                Planned::Sink(planned) => {
                    let mark = marks.get(&*node.name).cloned();
                    let context = SinkContext { node: Arc::clone(&node.name), mark: mark.clone() };
                    match planned.open.open(context).await.map_err(at_node)? {
                        Sink::Transactional(mut sink) => {
                            if mark.is_none() {
                                let step = self.checkpointed();
                                let detail = sink.commit().await.map_err(at_node)?.await.map_err(at_node)?;
                                let mark = Mark { step, detail, rows: RunningHash::default() };
                                first_marks.insert(node.name.to_string(), mark);
                            }
                            let body =
                                SinkNode::transactional(&node.name, sink, mark.as_ref(), self.rows_of(&node.name))
                                    .with_ending(self.ending.clone());
                            let body = Body::Sink(Box::new(body));
                            self.bodies.push(NodeBody { node: index, inputs: all, body });
                        }
                        Sink::Dispatching(sink) => {
                            let outbox = self.outbox(&node.name, Arc::clone(&sink));
                            for input in all {
                                let name = edge_mark(&node.name, input as u32);
                                let (mark, rows) = (marks.get(&name), self.rows_of(&name));
                                let (sink, outbox) = (Arc::clone(&sink), outbox.clone());
                                let sink = SinkNode::dispatching(sink, outbox, input as u32, mark, rows);
                                let body = Body::Sink(Box::new(sink));
                                self.bodies.push(NodeBody { node: index, inputs: vec![input], body });
                            }
                        }
                    }
                }
            }
        }
        // A sink's output is its own from here on: a crash before the first checkpoint must not leave an output
        // that the next start takes for somebody else's.
        let store = Arc::clone(&self.store);
        blocking(move || if first_marks.is_empty() { Ok(()) } else { store.put_marks(&first_marks) }).await
    }

    /// The bodies of a replay: operators as ever, sinks that only compare, or write elsewhere.
    async fn restore_replayed(&mut self, sinks: &ReplaySinks) -> Result<()> {
        let graph = Arc::clone(&self.graph);
        for (index, node) in graph.nodes.iter().enumerate() {
            let at_node = |error: Error| error.at_node(&node.name).at_place(&node.shown_place);
            let (index, all) = (NodeIndex(index), node.inputs.len());
            match &node.planned {
                Planned::Source(_) => {}
                Planned::Operator(planned) => {
                    let mut operator = (planned.build)().map_err(at_node)?;
                    self.restore_operator(node, operator.as_mut()).await.map_err(at_node)?;
                    self.bodies.push(NodeBody {
                        node: index,
                        inputs: (0..all).collect(),
                        body: Body::Operator(operator),
                    });
                }
                Planned::Sink(_) => {
                    for (inputs, sink) in sinks.of(&node.name, all, |mark| self.rows_of(mark)).map_err(at_node)? {
                        self.bodies.push(NodeBody { node: index, inputs, body: Body::Sink(Box::new(sink)) });
                    }
                }
            }
        }
        Ok(())
    }

    /// The outbox of a sink, with what is still pending on its way again.
    fn outbox(&mut self, node: &Arc<str>, sink: Arc<dyn DispatchingSink>) -> Outbox {
        let (deliver, inbox) = mpsc::unbounded_channel();
        let (names, sink_effects) = (self.names_of(node), self.effects.clone());
        let of_name = |name: &String| {
            sink_effects.delivers(name, &deliver);
            sink_effects.intended_of(name)
        };
        for effect in names.iter().flat_map(of_name) {
            // The receiver is held by the deliverer below.
            let _ = deliver.send(effect);
        }
        self.deliverers.push(Deliverer::new(
            fenced(sink, self.store.fence()),
            self.journal.clone(),
            self.effects.clone(),
            self.options.delivery,
            inbox,
            self.cancel.clone(),
        ));
        Outbox {
            sink: Arc::clone(node),
            identity: self.identity(),
            journal: self.journal.clone(),
            ledger: self.effects.clone(),
            deliver,
        }
    }

    /// The names under which effects of a sink may stand: its own, and the one that it had before.
    fn names_of(&self, sink: &str) -> Vec<String> {
        let was = self.graph.node(sink).and_then(|(_, node)| node.was.as_ref());
        let was = was.filter(|was| self.graph.node(was).is_none());
        std::iter::once(sink.to_owned()).chain(was.map(ToString::to_string)).collect()
    }

    /// Opens the sinks that are not in the pipeline any more and have effects left, as they were.
    async fn restore_retired(&mut self) -> Result<()> {
        let retired = self.manifest.as_ref().map(|manifest| manifest.retired.clone()).unwrap_or_default();
        for (name, hash) in retired {
            if self.effects.intended_of(&name).is_empty() {
                continue;
            }
            match self.retired(&name, &hash).await {
                Ok(sink) => drop(self.outbox(&name.as_str().into(), sink)),
                Err(error) => tracing::error!(
                    sink = %name, %error,
                    "The effects of a sink that was removed cannot be sent; they stay until it is back or they are discarded."
                ),
            }
        }
        Ok(())
    }

    async fn retired(&self, name: &str, definition: &ContentHash) -> Result<Arc<dyn DispatchingSink>> {
        let replanner = self.options.replanner.as_ref().ok_or_else(|| Error::user("nothing plans its definition"))?;
        let definition = Definition::from_sections(self.store.segments().read(definition)?);
        let graph = replanner.replan(&definition)?;
        let Some((_, Node { planned: Planned::Sink(planned), .. })) = graph.node(name) else {
            return Err(Error::internal("its definition does not know it"));
        };
        match planned.open.open(SinkContext { node: name.into(), mark: None }).await? {
            Sink::Dispatching(sink) => Ok(sink),
            Sink::Transactional(_) => Err(Error::internal("it has no effects")),
        }
    }

    /// Gives an operator its state, the files that it reads and the tables behind its inputs.
    async fn restore_operator(&self, node: &Node, operator: &mut dyn Operator) -> Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        if let Some(state) = manifest.nodes.get(&*node.name) {
            operator.restore(self.read_state(&node.name, state)?)?;
        }
        let header = StepHeader {
            number: manifest.step,
            time: manifest.time,
            source: ENGINE.into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        };
        // What an operator says while it is brought back was said when the step was first made.
        let mut said_before = Output::default();
        for lookup in manifest.lookups.iter().filter(|lookup| lookup.node == *node.name) {
            let contents = stored_contents(&self.store, &lookup.hash)?;
            operator.lookup(&header, &lookup.name, &contents, &mut said_before).await?;
        }
        // A node that has just joined is told by a step what is there.
        let joined = self.joined.iter().any(|joined| **joined == *node.name);
        let evaluates = matches!(&node.planned, Planned::Operator(planned) if planned.evaluates_tables);
        if joined && !evaluates {
            return Ok(());
        }
        for (index, input) in node.inputs.iter().enumerate() {
            let producer = &self.graph.nodes[input.producer.0].name;
            if let Some(tables) = self.tables.get(producer) {
                // Against nothing, what is there is news.
                let current = if joined { TableSet::default() } else { tables.current() };
                operator.tables(&header, InputIndex(index), &current, &mut said_before).await?;
            }
        }
        Ok(())
    }

    /// What a source is opened with.
    pub(super) fn source_context(&self, node: &Node, state: &crate::checkpoint::SourceState) -> Result<SourceContext> {
        let decode =
            |(version, bytes): &(SchemaVersion, Vec<u8>)| Ok((*version, crate::journal::record::decode_schema(bytes)?));
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

/// Brings effects to what the journal says from a step on. Gives back how far each input edge is complete by that.
pub(super) fn fold_outbox(
    journal: &Journal,
    from: StepNumber,
    identity: &EffectIdentity,
    effects: &Ledger,
) -> Result<BTreeMap<(String, u32), StepNumber>> {
    let mut through: BTreeMap<(String, u32), StepNumber> = BTreeMap::new();
    let mut records = journal.read(from)?;
    while let Some(record) = records.next() {
        match record? {
            (_, Record::Outbox(record)) => {
                // Its id is that of the incarnation that journaled it.
                let identity = EffectIdentity { incarnation: records.incarnation(), ..identity.clone() };
                let complete = through.entry((record.sink.clone(), record.input)).or_default();
                *complete = (*complete).max(record.through);
                effects.intend(&identity.effects_of(record));
            }
            (at, Record::Outcome(record)) => effects.replay(&record, at),
            (_, Record::Step(_)) => {}
        }
    }
    Ok(through)
}

/// A pipeline goes on only as what it was: its journal means something only under the definition that it was
/// recorded with.
fn check_definition(graph: &Graph, now: &ContentHash, manifest: Option<&Manifest>, journal: &Journal) -> Result<()> {
    let recorded = match manifest {
        Some(manifest) => Some(manifest.definition.clone()),
        None => first_definition(journal.read(StepNumber(1))?)?,
    };
    let Some(recorded) = recorded.filter(|recorded| recorded != now) else { return Ok(()) };
    Err(changed(graph, &recorded, now))
}

/// Stores the definition as a segment: its hash is the definition's name in journal and manifests.
async fn definition(graph: &Graph, store: &Arc<CheckpointStore>) -> Result<ContentHash> {
    let sections = graph.definition.to_sections();
    let store = Arc::clone(store);
    blocking(move || store.write_state(&sections)).await
}

pub(super) fn short(hash: &ContentHash) -> &str {
    hash.0.get(..12).unwrap_or(&hash.0)
}
