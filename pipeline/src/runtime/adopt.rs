//! Going on under another definition: the journal's tail is executed under the one that it was recorded with,
//! then the state moves over, as one step.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use super::checkpointing::{PIPELINE_SECTIONS, blocking};
use super::clock::{Clock, wall};
use super::effects::{Bounds, EffectIdentity, Ledger};
use super::open::{Storage, fold_outbox};
use super::reconfigure::{Fate, Reconfiguration};
use super::{Pipeline, RunOptions};
use crate::checkpoint::{CheckpointStore, Content, LookupState, Manifest, NodeState, Section, at_head, read_segment};
use crate::error::{Error, Result};
use crate::graph::{Definition, Graph};
use crate::journal::record::{EngineEvent, Record, StepBody, StepRecord};
use crate::journal::{Journal, read_directory};
use crate::operator::SnapshotMode;
use crate::sink::Mark;
use crate::step::{ContentHash, ENGINE, SchemaVersion, Shard, StepHeader, StepNumber, Unit};

/// Makes graphs of recorded definitions.
pub trait Replanner: Debug + Send + Sync {
    /// The graph of a definition as it was recorded.
    ///
    /// # Errors
    /// When this program knows a kind no more, or something that the definition names has gone.
    fn replan(&self, recorded: &Definition) -> Result<Graph>;
}

/// What the user has agreed to.
#[derive(Debug, Clone, Default)]
pub struct Acceptance {
    /// Nodes whose state may be lost.
    pub state_loss: Vec<String>,
    /// The tail of the journal may be executed under the new definition, and input that cannot be read again, or
    /// reads differently, left out. Marks hold: nothing is written or sent twice.
    pub divergence: bool,
}

/// The definition that the pipeline directory `directory` (`.tidegate/NAME`) was last run with, for readers that do
/// not own it; `None` where it was never run.
///
/// # Errors
/// When it cannot be read.
pub fn recorded_definition(directory: &Path) -> Result<Option<Definition>> {
    let read = |hash: &ContentHash| read_segment(directory, hash).map(Definition::from_sections);
    if let Some(definition) = at_head(directory, |head| read(&head.definition))? {
        return Ok(Some(definition));
    }
    if !directory.join("journal").is_dir() {
        return Ok(None);
    }
    match first_definition(read_directory(directory, StepNumber::ZERO)?)? {
        Some(hash) => read(&hash).map(Some),
        None => Ok(None),
    }
}

/// The definition that a journal begins with.
pub(super) fn first_definition(
    records: impl Iterator<Item = Result<(crate::journal::JournalPosition, Record)>>,
) -> Result<Option<ContentHash>> {
    for record in records {
        if let Record::Step(step) = record?.1 {
            return Ok(match step.body {
                StepBody::Engine(EngineEvent::Definition { hash }) => Some(hash),
                _ => None,
            });
        }
    }
    Ok(None)
}

impl Pipeline {
    /// Brings a pipeline whose definition has changed since it last ran to the point from which it can be opened as
    /// `graph`; says what becomes of its nodes. `None` where nothing has changed.
    ///
    /// # Errors
    /// When state would be lost that nobody agreed to lose, when the recorded definition cannot be planned any more,
    /// when a finished pipeline has changed: then nothing was changed. Whatever executing the tail ends with.
    pub async fn adopt(
        graph: &Arc<Graph>,
        options: &RunOptions,
        accepted: &Acceptance,
    ) -> Result<Option<Reconfiguration>> {
        let now = graph.definition.hash()?;
        let Some(change) = Change::find(graph, options, &now).await? else { return Ok(None) };
        change.decide(graph)?.accept(&accepted.state_loss, graph)?;
        if change.tail > 0 && !accepted.divergence {
            let replanner = options.replanner.as_ref().ok_or_else(|| changed(graph, &change.recorded, &now))?;
            let old = replanner.replan(&change.definition).map_err(|error| unplannable(&error, graph, change.tail))?;
            tracing::info!(
                steps = change.tail,
                "The steps after the newest checkpoint are executed under the definition that they were recorded with."
            );
            Self::open(Arc::new(old), options.clone()).await?.catch_up().await?;
        }
        let decided = move_over(graph, options, now, &change.definition, accepted).await?;
        Ok(Some(decided))
    }
}

/// A change of the definition that was found.
struct Change {
    before: Manifest,
    recorded: ContentHash,
    definition: Definition,
    /// How many steps lie after the newest checkpoint.
    tail: u64,
}

impl Change {
    async fn find(graph: &Graph, options: &RunOptions, now: &ContentHash) -> Result<Option<Self>> {
        if !options.directory.join("journal").is_dir() {
            return Ok(None);
        }
        let storage = Storage::open(&options.directory).await?;
        let manifest = storage.manifest;
        let recorded = match &manifest {
            Some(manifest) => Some(manifest.definition.clone()),
            None => first_definition(storage.journal.read(StepNumber(1))?)?,
        };
        let Some(recorded) = recorded.filter(|recorded| recorded != now) else { return Ok(None) };
        if manifest.as_ref().is_some_and(|manifest| manifest.finished) {
            return Err(finished(graph));
        }
        let definition = Definition::from_sections(storage.store.segments().read(&recorded)?);
        let before = manifest.unwrap_or_default();
        let mut tail = 0;
        for record in storage.journal.read(before.step.next())? {
            tail += u64::from(matches!(record?.1, Record::Step(_)));
        }
        Ok(Some(Self { before, recorded, definition, tail }))
    }

    fn decide(&self, graph: &Graph) -> Result<Reconfiguration> {
        Reconfiguration::decide(&self.before, &self.definition, graph)
    }
}

fn finished(graph: &Graph) -> Error {
    let message = "the pipeline has finished, and has been changed since";
    let remedy =
        "`--fresh` runs it anew from the beginning; `replay --with` shows what the change makes of the recorded input";
    Error::user(message).with_remedy(remedy).at_place(&graph.file)
}

/// A pipeline that cannot go on as what it was.
pub(super) fn changed(graph: &Graph, recorded: &ContentHash, now: &ContentHash) -> Error {
    let name = &graph.spec.name.value;
    let message = format!(
        "pipeline `{name}` has been changed since it last ran (definition {} then, {} now)",
        short(recorded),
        short(now)
    );
    let remedy = "`tidegate run` takes its state over (`--accept-state-loss NODE` where some would be lost, \
                  `--accept-divergence` where what was recorded cannot be planned any more); `--fresh` begins anew and drops \
                  its state; as it was, it goes on as it did";
    Error::user(message).with_remedy(remedy).at_place(&graph.file)
}

fn unplannable(error: &Error, graph: &Graph, tail: u64) -> Error {
    let message = format!(
        "{tail} steps after the newest checkpoint were recorded under a definition that cannot be planned any more: {}",
        error.message
    );
    let remedy = "nothing was changed; run the program and files that wrote them once more, or let the steps be executed under the new definition with `--accept-divergence` (nothing is written or sent twice)";
    Error::external(message).never_retry().with_remedy(remedy).at_place(&graph.file)
}

/// Journals the new definition and commits a checkpoint in which its nodes have the state that they take over.
async fn move_over(
    graph: &Arc<Graph>,
    options: &RunOptions,
    now: ContentHash,
    recorded: &Definition,
    accepted: &Acceptance,
) -> Result<Reconfiguration> {
    let storage = Storage::open(&options.directory).await?;
    let (graph, accepted, accept_clock) = (Arc::clone(graph), accepted.clone(), options.accept_clock);
    let known = storage.manifest.is_some();
    let mut before = storage.manifest.unwrap_or_default();
    if before.finished {
        return Err(finished(&graph));
    }
    // A crash may have left marks ahead of the checkpoint: those hold.
    let marks = storage.store.marks()?;
    before.marks.extend(marks.clone());
    let decided = Reconfiguration::decide(&before, recorded, &graph)?;
    decided.accept(&accepted.state_loss, &graph)?;
    let effects = effects_now(&storage.store, &storage.journal, &before, &graph)?;
    let moved = Moved { store: &storage.store, before: &before, decided: &decided, graph: &graph, effects: &effects };
    let mut after = moved.manifest(now.clone())?;
    after.effects = written(&storage.store, &effects)?;
    if !known {
        after.marks = marks_of_the_first_start(marks, &graph);
    }
    let mut clock = Clock::start(wall(), before.time.max(storage.last_time), accept_clock)?;
    if accepted.divergence {
        // The tail is still to come: it is executed under this definition.
        (after.step, after.time) = (before.step, before.time);
    } else {
        let header = StepHeader {
            number: before.step.next(),
            time: clock.next(),
            source: ENGINE.into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        };
        (after.step, after.time) = (header.number, header.time);
        let body = StepBody::Engine(EngineEvent::Definition { hash: now });
        let position = storage.journal.append(&Record::Step(StepRecord { header, body }))?;
        storage.journal.sync(position).await?;
    }
    let store = Arc::clone(&storage.store);
    blocking(move || {
        let sections = graph.definition.to_sections();
        store.write_state(&sections)?;
        store.replace_marks(&after.marks)?;
        after.number = store.next_number();
        after.parent = store.list().pop().map(|newest| newest.number);
        store.commit(after)
    })
    .await?;
    Ok(decided)
}

/// The effects as the journal says now: they may have ended behind the newest checkpoint without any step.
fn effects_now(store: &CheckpointStore, journal: &Journal, before: &Manifest, graph: &Graph) -> Result<Ledger> {
    let effects = Ledger::new(Bounds::NONE);
    effects.restore(store.read_state(&before.effects, PIPELINE_SECTIONS)?)?;
    let pipeline: Arc<str> = graph.spec.name.value.to_string().into();
    let identity = EffectIdentity { pipeline, shard: Shard(0), incarnation: store.incarnation() };
    fold_outbox(journal, before.step, &identity, &effects)?;
    Ok(effects)
}

/// Writes all effects anew.
fn written(store: &CheckpointStore, effects: &Ledger) -> Result<NodeState> {
    let section = |(name, batch)| Section { node: PIPELINE_SECTIONS.to_owned(), name, content: Content::Batch(batch) };
    let sections: Vec<Section> = effects.snapshot(SnapshotMode::Full)?.into_iter().map(section).collect();
    match sections.is_empty() {
        true => Ok(NodeState::default()),
        false => Ok(NodeState { segments: vec![store.write_state(&sections)?] }),
    }
}

/// The marks of a pipeline that has no checkpoint yet, where nothing says what the nodes were: those of the sinks
/// that are still there, by their names.
fn marks_of_the_first_start(marks: BTreeMap<String, Mark>, graph: &Graph) -> BTreeMap<String, Mark> {
    let sink = |mark: &String| mark.split_once('/').map_or(mark.as_str(), |(sink, _)| sink).to_owned();
    marks.into_iter().filter(|(mark, _)| graph.node(&sink(mark)).is_some()).collect()
}

/// The state after a change of the definition.
pub(super) struct Moved<'a> {
    pub(super) store: &'a CheckpointStore,
    pub(super) before: &'a Manifest,
    pub(super) decided: &'a Reconfiguration,
    pub(super) graph: &'a Graph,
    /// The effects of the pipeline.
    pub(super) effects: &'a Ledger,
}

impl Moved<'_> {
    /// The manifest, without number, step, time and effects.
    ///
    /// # Errors
    /// When state cannot be read or written.
    pub(super) fn manifest(&self, definition: ContentHash) -> Result<Manifest> {
        let (before, decided) = (self.before, self.decided);
        let mut after = Manifest {
            incarnation: self.store.incarnation(),
            definition,
            joined: decided.joined.clone(),
            created: wall(),
            states: self.graph.nodes.iter().map(|node| (node.name.to_string(), node.state.clone())).collect(),
            retired: self.retired(),
            ..Manifest::default()
        };
        for (new, old) in &decided.taken_over {
            if let Some(state) = before.sources.get(old) {
                let mut state = state.clone();
                state.tables = self.renamed(&state.tables, old, new)?;
                after.sources.insert(new.clone(), state);
            }
            if let Some(state) = before.nodes.get(old) {
                after.nodes.insert(new.clone(), self.renamed(state, old, new)?);
            }
            after.marks.extend(named_after(&before.marks, old, new));
            after.rows.extend(named_after(&before.rows, old, new));
            let lookups = before.lookups.iter().filter(|lookup| lookup.node == *old);
            after.lookups.extend(lookups.map(|lookup| LookupState { node: new.clone(), ..lookup.clone() }));
        }
        Ok(after)
    }

    /// The state of a node under its new name: sections carry the name of their node.
    fn renamed(&self, state: &NodeState, old: &str, new: &str) -> Result<NodeState> {
        if old == new || state.segments.is_empty() {
            return Ok(state.clone());
        }
        let sections = self.store.read_state(state, old)?;
        let sections: Vec<Section> =
            sections.into_iter().map(|section| Section { node: new.to_owned(), ..section }).collect();
        Ok(NodeState { segments: vec![self.store.write_state(&sections)?] })
    }

    /// The sinks that are gone and have effects left, with the definition that knows them.
    fn retired(&self) -> BTreeMap<String, ContentHash> {
        let mut retired = self.before.retired.clone();
        for node in self.decided.nodes.iter().filter(|node| node.fate == Fate::Removed) {
            retired.insert(node.node.clone(), self.before.definition.clone());
        }
        // A sink that is back, under its name or another one, sends what is left itself.
        let back = |sink: &String| {
            self.graph.nodes.iter().any(|node| *node.name == **sink || node.was.as_deref() == Some(sink.as_str()))
        };
        retired.retain(|sink, _| !back(sink) && !self.effects.intended_of(sink).is_empty());
        retired
    }
}

/// What stands under the name of a sink, or under that of one of its inputs (`SINK/0`), under its new name.
fn named_after<T: Clone>(all: &BTreeMap<String, T>, old: &str, new: &str) -> BTreeMap<String, T> {
    let renamed = |(name, value): (&String, &T)| {
        let input = name.strip_prefix(old)?;
        (input.is_empty() || input.starts_with('/')).then(|| (format!("{new}{input}"), value.clone()))
    };
    all.iter().filter_map(renamed).collect()
}

fn short(hash: &ContentHash) -> &str {
    hash.0.get(..12).unwrap_or(&hash.0)
}
