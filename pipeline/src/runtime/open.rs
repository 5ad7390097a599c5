//! Opening a pipeline: ownership of its directory, then everything as the newest checkpoint says.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::RunOptions;
use super::assembly::{NodeBody, runs_in_a_task};
use super::chain::Body;
use super::checkpointing::{PENDING_EFFECTS, PIPELINE_SECTIONS, blocking};
use super::clock::Clock;
use super::delivery::Deliverer;
use super::fenced::fenced;
use super::lookups::stored_contents;
use super::outbox::{EffectIdentity, Outbox, PendingEffect, PendingEffects, pending_of};
use super::sink_node::{SinkNode, edge_mark};
use super::status::{NodeStatus, PipelineStatus};
use crate::checkpoint::{CheckpointStore, Content, Manifest, NodeState, OwnerLock, Section, SledStore};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, NodeIndex, Planned};
use crate::journal::Journal;
use crate::journal::record::Record;
use crate::operator::{InputIndex, Operator, Output, StateReader};
use crate::sink::{Mark, Sink, SinkContext};
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
    pub(super) pending: PendingEffects,
    pub(super) cancel: CancellationToken,
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
        let directory = options.directory.clone();
        let (owner, store, manifest, journal, recovery) = blocking(move || {
            std::fs::create_dir_all(&directory)
                .map_err(|error| Error::external(format!("{} cannot be made: {error}", directory.display())))?;
            let owner = OwnerLock::acquire(&directory)?;
            let sled = SledStore::open(&directory)?;
            let store = CheckpointStore::open(&directory, Box::new(sled))?;
            let manifest = store.latest()?;
            let (journal, recovery) = Journal::open(&directory, store.incarnation(), Shard(0))?;
            store.check_journal(manifest.as_ref(), recovery.last_step)?;
            Ok((owner, Arc::new(store), manifest, journal, recovery))
        })
        .await?;
        let incarnation = store.incarnation();
        let definition = definition(&graph, &store).await?;
        check_definition(&graph, &definition, manifest.as_ref(), &journal)?;
        let last_time = manifest.as_ref().map_or(StepTime(0), |manifest| manifest.time).max(recovery.last_time);
        let clock = Clock::start(last_time, options.accept_clock)?;
        let statuses = graph
            .nodes
            .iter()
            .map(|node| Arc::new(NodeStatus::new(Arc::clone(&node.name), Arc::clone(&node.kind), node.section)));
        let status = Arc::new(PipelineStatus::new(statuses.collect()));
        if let Some(place) = &graph.spec.checkpoint.copy_to {
            store.copy_to(place.remote(), &graph.spec.name.value, &status.copies)?;
        }
        let checkpointed = manifest.as_ref().map_or(StepNumber::ZERO, |manifest| manifest.step);
        status.step.store(checkpointed.0, Ordering::Relaxed);
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
            pending: PendingEffects::default(),
            cancel: CancellationToken::new(),
            _owner: owner,
        };
        pipeline.restore_tables()?;
        let outbox_marks = pipeline.restore_outbox()?;
        pipeline.restore_bodies(outbox_marks).await?;
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

    /// Effects that were intended and are neither done nor dead; and the marks that the outbox implies.
    fn restore_outbox(&mut self) -> Result<BTreeMap<String, StepNumber>> {
        let identity = self.identity();
        if let Some(reference) = self.manifest.as_ref().and_then(|manifest| manifest.pending_effects.clone()) {
            let state = NodeState { segments: vec![reference.segment] };
            for section in self.store.read_state(&state, PIPELINE_SECTIONS)? {
                if let (Content::Bytes(bytes), PENDING_EFFECTS) = (&section.content, section.name.as_str()) {
                    let effects: Vec<PendingEffect> = postcard::from_bytes(bytes).map_err(Error::external)?;
                    effects.into_iter().for_each(|effect| self.pending.add(effect));
                }
            }
        }
        let mut marks: BTreeMap<String, StepNumber> = BTreeMap::new();
        // From the checkpoint's own step on: what was delivered since stands behind it, also when no step came.
        for record in self.journal.read(self.checkpointed())? {
            match record?.1 {
                Record::Outbox(record) => {
                    let mark = marks.entry(edge_mark(&record.sink, record.input)).or_default();
                    *mark = (*mark).max(record.through);
                    pending_of(&record, &identity).into_iter().for_each(|effect| self.pending.add(effect));
                }
                Record::Outcome(record) => self.pending.remove(&record.effect),
                Record::Step(_) => {}
            }
        }
        Ok(marks)
    }

    fn identity(&self) -> EffectIdentity {
        let pipeline: Arc<str> = self.graph.spec.name.value.to_string().into();
        EffectIdentity { pipeline, shard: Shard(0), incarnation: self.incarnation }
    }

    async fn restore_bodies(&mut self, outbox_marks: BTreeMap<String, StepNumber>) -> Result<()> {
        let mut marks = self.store.marks()?;
        for (name, step) in outbox_marks {
            let mark = marks.entry(name).or_insert(Mark { step, detail: "{}".to_owned() });
            mark.step = mark.step.max(step);
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
                                first_marks.insert(node.name.to_string(), Mark { step, detail });
                            }
                            let body = Body::Sink(SinkNode::transactional(sink, mark.as_ref()));
                            self.bodies.push(NodeBody { node: index, inputs: all, body });
                        }
                        Sink::Dispatching(sink) => {
                            let sink = fenced(sink, self.store.fence());
                            let outbox = self.outbox(&node.name, Arc::clone(&sink));
                            for input in all {
                                let mark = marks.get(&edge_mark(&node.name, input as u32));
                                let sink = SinkNode::dispatching(Arc::clone(&sink), outbox.clone(), input as u32, mark);
                                let body = Body::Sink(sink);
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

    /// The outbox of a sink, with what is still pending on its way again.
    fn outbox(&mut self, node: &Arc<str>, sink: Arc<dyn crate::sink::DispatchingSink>) -> Outbox {
        let (deliver, inbox) = mpsc::unbounded_channel();
        for effect in self.pending.all().into_iter().filter(|effect| effect.sink == **node) {
            // The receiver is held by the deliverer below.
            let _ = deliver.send(effect);
        }
        self.deliverers.push(Deliverer::new(
            sink,
            self.journal.clone(),
            self.pending.clone(),
            self.options.delivery,
            inbox,
            self.cancel.clone(),
        ));
        Outbox {
            sink: Arc::clone(node),
            identity: self.identity(),
            journal: self.journal.clone(),
            pending: self.pending.clone(),
            policy: self.options.delivery,
            deliver,
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
        for (index, input) in node.inputs.iter().enumerate() {
            let producer = &self.graph.nodes[input.producer.0].name;
            if let Some(tables) = self.tables.get(producer) {
                let current: TableSet = tables.current();
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
            cancel: self.cancel.clone(),
        })
    }
}

/// A pipeline goes on only as what it was: its journal means something only under the definition that it was
/// recorded with.
fn check_definition(graph: &Graph, now: &ContentHash, manifest: Option<&Manifest>, journal: &Journal) -> Result<()> {
    let recorded = match manifest {
        Some(manifest) => Some(manifest.definition.clone()),
        None => recorded_definition(journal)?,
    };
    let Some(recorded) = recorded.filter(|recorded| recorded != now) else { return Ok(()) };
    let name = &graph.spec.name.value;
    let message = format!(
        "pipeline `{name}` has been changed since it last ran (definition {} then, {} now)",
        short(&recorded),
        short(now)
    );
    let remedy =
        "`--fresh` begins anew and drops its state; to try the change on recorded input, give it another `name:`";
    Err(Error::user(message).with_remedy(remedy).at_place(&graph.file))
}

/// Stores the definition as a segment: its hash is the definition's name in journal and manifests.
async fn definition(graph: &Graph, store: &Arc<CheckpointStore>) -> Result<ContentHash> {
    let section = |(name, bytes): &(String, Arc<[u8]>)| Section {
        node: PIPELINE_SECTIONS.to_owned(),
        name: name.clone(),
        content: Content::Bytes(bytes.to_vec()),
    };
    let sections: Vec<Section> = graph.definition.parts.iter().map(section).collect();
    let store = Arc::clone(store);
    blocking(move || store.write_state(&sections)).await
}

fn short(hash: &ContentHash) -> &str {
    hash.0.get(..12).unwrap_or(&hash.0)
}

/// The definition that a journal without any checkpoint begins with.
fn recorded_definition(journal: &Journal) -> Result<Option<ContentHash>> {
    use crate::journal::record::{EngineEvent, StepBody};
    for record in journal.read(StepNumber(1))? {
        if let Record::Step(step) = record?.1 {
            return Ok(match step.body {
                StepBody::Engine(EngineEvent::Definition { hash }) => Some(hash),
                _ => None,
            });
        }
    }
    Ok(None)
}
