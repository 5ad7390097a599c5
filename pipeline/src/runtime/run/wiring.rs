//! Wiring: the nodes, the sequencer, the coordinator and the channels between them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::intake::Intake;
use super::tasks::Tasks;
use crate::checkpoint::{Retention, SourceState};
use crate::error::Result;
use crate::graph::{NodeIndex, Planned};
use crate::journal::Quarantine;
use crate::runtime::Pipeline;
use crate::runtime::assembly::{Assembly, assemble};
use crate::runtime::chains::Chains;
use crate::runtime::checkpointing::{CheckpointRequest, CheckpointResult, Coordinator, Part};
use crate::runtime::clock::StepTimes;
use crate::runtime::commits::Commits;
use crate::runtime::compacting::Compactor;
use crate::runtime::control::{Controlled, serve};
use crate::runtime::edge::EdgeCapacity;
use crate::runtime::feeder::{Backlog, Feed, Feeder};
use crate::runtime::lookups::LookupChange;
use crate::runtime::sequencer::{Progress, Sequencer, SequencerSettings};
use crate::runtime::source_slot::SourceSlot;
use crate::runtime::trail::TrailFile;
use crate::spec::pipeline::{CheckpointInterval, JournalInline, Keep};
use crate::step::ContentHash;

/// How many changes of files that nodes read wait for the sequencer.
const LOOKUP_CHANGES: usize = 16;

/// A pipeline whose parts are connected. All but the sequencer and the sources are at work.
pub(super) struct Wired {
    pub(super) intake: Intake,
    pub(super) tasks: Tasks,
    pub(super) trail: Arc<TrailFile>,
}

/// The sequencer's ends of channels.
struct SequencerEnds {
    feed: mpsc::UnboundedSender<Feed>,
    backlog: Backlog,
    lookup_changes: mpsc::Receiver<LookupChange>,
    checkpoints: mpsc::Sender<CheckpointRequest>,
    checkpoint_results: mpsc::Receiver<CheckpointResult>,
}

/// The coordinator's ends of channels.
struct CoordinatorEnds {
    parts: mpsc::UnboundedReceiver<Part>,
    requests: mpsc::Receiver<CheckpointRequest>,
    results: mpsc::Sender<CheckpointResult>,
}

impl Pipeline {
    /// Connects everything, and starts what waits for the first step.
    pub(super) fn wire(&mut self) -> Result<Wired> {
        let (part_sender, parts) = mpsc::unbounded_channel();
        let (checkpoints, requests) = mpsc::channel(1);
        let (results, checkpoint_results) = mpsc::channel(1);
        let (feed, inbox) = mpsc::unbounded_channel();
        let (lookups, lookup_changes) = mpsc::channel(LOOKUP_CHANGES);
        let backlog = Backlog::default();
        let times = StepTimes::default();

        let mut assembly = self.assemble(part_sender, &times);
        let quarantine = Quarantine::read(&self.options.directory)?;
        let trail = Arc::new(assembly.watch(&self.options.directory, &quarantine));
        let coordinator = self.coordinator(assembly.parts, CoordinatorEnds { parts, requests, results });
        let ends = SequencerEnds { feed, backlog: backlog.clone(), lookup_changes, checkpoints, checkpoint_results };
        let mut sequencer = self.sequencer(&assembly, times, Arc::clone(&trail), ends);
        sequencer.progress.full_next = coordinator.full_next();

        let mut tasks = Tasks::default();
        assembly.tasks.into_iter().for_each(|task| tasks.nodes.spawn(task.run()));
        let deliverers = std::mem::take(&mut self.deliverers);
        if !self.only_tail {
            deliverers.into_iter().for_each(|deliverer| tasks.nodes.spawn(deliverer.run()));
        }
        tasks.others.spawn(Feeder { sources: assembly.source_edges, inbox, backlog }.run());
        tasks.others.spawn(coordinator.run());
        let controlled = Controlled {
            ledger: self.effects.clone(),
            journal: self.journal.clone(),
            status: Arc::clone(&self.status),
        };
        tasks.others.spawn(serve(self.options.directory.clone(), controlled, self.cancel.clone()));
        let recorded = self.recorded.take();
        Ok(Wired { intake: Intake { sequencer, sources: assembly.sources, recorded, lookups }, tasks, trail })
    }

    /// The tasks of the nodes, and the edges between them.
    fn assemble(&mut self, parts: mpsc::UnboundedSender<Part>, times: &StepTimes) -> Assembly {
        let edge = &self.graph.spec.limits.edge;
        let as_specified = EdgeCapacity { rows: edge.rows as usize, bytes: edge.bytes.bytes() };
        let capacity = self.options.edges.unwrap_or(as_specified);
        let (bodies, from) = (std::mem::take(&mut self.bodies), self.checkpointed());
        assemble(&self.graph, bodies, &self.status.nodes, &parts, times, from, capacity)
    }

    fn coordinator(&self, expected_parts: usize, ends: CoordinatorEnds) -> Coordinator {
        let Keep { last, hourly, daily } = self.graph.spec.checkpoint.keep;
        Coordinator {
            store: Arc::clone(&self.store),
            journal: self.journal.clone(),
            definition: self.definition.clone(),
            incarnation: self.incarnation,
            retention: Retention { last, hourly, daily },
            journal_settings: self.graph.spec.journal.clone(),
            ledger: self.effects.clone(),
            expected_parts,
            parts: ends.parts,
            requests: ends.requests,
            results: ends.results,
            chains: self.chains(),
            states: self.graph.nodes.iter().map(|node| (node.name.to_string(), node.state.clone())).collect(),
            retired: self.manifest.as_ref().map(|manifest| manifest.retired.clone()).unwrap_or_default(),
            waypoints: BTreeMap::new(),
            compactor: Compactor::new(Arc::clone(&self.store), &self.graph),
            commits: Commits::new(self.options.commit_within),
        }
    }

    /// The chains that the checkpoint names.
    fn chains(&self) -> Chains {
        let Some(manifest) = &self.manifest else { return Chains::default() };
        let mut lengths = HashMap::new();
        for segment in manifest.segments() {
            // One that cannot be read now has been read before, when the state was restored.
            let bytes = self.store.segments().bytes_by_node(&segment).unwrap_or_default();
            lengths.insert(segment, bytes);
        }
        let bytes = |segment: &ContentHash, node: &str| lengths.get(segment).and_then(|of| of.get(node)).copied();
        Chains::of(manifest, |segment, node| bytes(segment, node).unwrap_or_default())
    }

    fn sequencer(
        &mut self,
        assembly: &Assembly,
        times: StepTimes,
        trail: Arc<TrailFile>,
        ends: SequencerEnds,
    ) -> Sequencer {
        let from = self.checkpointed();
        Sequencer {
            slots: self.slots(&assembly.sources),
            journal: self.journal.clone(),
            trail,
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            times,
            deadlines: assembly.deadlines.clone(),
            feed: ends.feed,
            backlog: ends.backlog,
            status: Arc::clone(&self.status),
            effects: self.effects.clone(),
            lookups: self.manifest.as_ref().map(|manifest| manifest.lookups.clone()).unwrap_or_default(),
            lookup_changes: ends.lookup_changes,
            checkpoints: ends.checkpoints,
            checkpoint_results: ends.checkpoint_results,
            settings: self.sequencer_settings(),
            progress: Progress {
                step: from,
                checkpointed: from,
                finished: self.manifest.as_ref().is_some_and(|manifest| manifest.finished),
                ..Progress::default()
            },
        }
    }

    fn sequencer_settings(&self) -> SequencerSettings {
        let spec = &self.graph.spec;
        SequencerSettings {
            every: match spec.checkpoint.every {
                CheckpointInterval::Every(every) => Some(every.0),
                CheckpointInterval::Off => None,
            },
            lag: spec.journal.lag.bytes(),
            once: self.options.once,
            accept_divergence: self.options.accept_divergence,
            is_replay: self.recorded.is_some(),
            inline_all: spec.journal.inline == JournalInline::All,
            journal_bytes: spec.journal.bytes.map(|bytes| bytes.0),
            depth: self.graph.depths().into_iter().max().unwrap_or(0),
            tellers: self.tellers(),
            joined: self.joined.clone(),
            pipeline: Arc::clone(&spec.name.value),
        }
    }

    fn slots(&mut self, sources: &[NodeIndex]) -> Vec<SourceSlot> {
        let slot = |index: &NodeIndex| {
            let node = &self.graph.nodes[index.0];
            let Planned::Source(planned) = &node.planned else { return None };
            let known = self.manifest.as_ref().and_then(|manifest| manifest.sources.get(&*node.name));
            Some(SourceSlot {
                name: Arc::clone(&node.name),
                place: node.shown_place.clone(),
                delivery: planned.delivery,
                acknowledges: planned.acknowledges,
                envelope: planned.envelope,
                on_end: node.on_end,
                on_error: node.on_error,
                errors_port: node.errors_port(),
                status: Arc::clone(&self.status.nodes[index.0]),
                state: known.cloned().unwrap_or_else(SourceState::default),
                tables: self.tables.remove(&node.name),
                table_ports: planned.tables.iter().map(|table| Arc::clone(&table.name)).collect(),
                arrivals: None,
                acknowledge: None,
            })
        };
        sources.iter().filter_map(slot).collect()
    }
}
