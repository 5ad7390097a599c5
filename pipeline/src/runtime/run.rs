//! Running an open pipeline to its end: assemble, execute the journal's tail again, go on, stop in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assembly::{Assembly, assemble};
use super::chain::DOWNSTREAM_STOPPED;
use super::chains::Chains;
use super::checkpointing::{Coordinator, blocking};
use super::clock::StepTimes;
use super::commits::Commits;
use super::compacting::Compactor;
use super::control::{Controlled, serve};
use super::edge::EdgeCapacity;
use super::feeder::{Backlog, Feeder};
use super::fenced::taken_over;
use super::lookups::{LookupWatch, watched_files};
use super::open::Pipeline;
use super::replay::RereadSources;
use super::rerun::Recorded;
use super::sequencer::{Progress, Sequencer, SequencerEnd, SequencerSettings};
use super::source_slot::SourceSlot;
use super::source_task::SourceTask;
use crate::checkpoint::{Retention, SourceState};
use crate::error::{Error, Result};
use crate::graph::{NodeIndex, Planned};
use crate::journal::Quarantine;
use crate::journal::record::EngineEvent;
use crate::source::{Delivery, Source};
use crate::spec::pipeline::{CheckpointInterval, JournalInline, Keep};
use crate::step::{ContentHash, StepNumber, StepTime};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every source has ended and every effect is done or dead.
    Finished,
    /// It had finished before: nothing was done.
    AlreadyFinished,
    /// Everything there was has been read (`--once`).
    Once,
    /// It was told to stop, and went down in order.
    Stopped,
}

/// What runs beside the sequencer.
struct Tasks {
    nodes: JoinSet<Result<()>>,
    others: JoinSet<()>,
}

impl Pipeline {
    /// Runs to the end, or until [`Pipeline::cancellation`] is told.
    ///
    /// # Errors
    /// The error of the node, source, journal or checkpoint that stopped it. Everything up to the newest
    /// checkpoint is kept; the next start goes on from there.
    pub async fn run(mut self) -> Result<RunOutcome> {
        if self.is_done()? {
            return Ok(RunOutcome::AlreadyFinished);
        }
        if let Some(bytes) = self.graph.spec.journal.bytes {
            self.journal.keep_within(bytes.0);
        }
        let (parts_sender, parts) = mpsc::unbounded_channel();
        let times = StepTimes::default();
        let capacity = self.options.edges.unwrap_or(EdgeCapacity {
            rows: self.graph.spec.limits.edge.rows as usize,
            bytes: self.graph.spec.limits.edge.bytes.bytes(),
        });
        let bodies = std::mem::take(&mut self.bodies);
        let from = self.checkpointed();
        let mut assembly = assemble(&self.graph, bodies, &self.status.nodes, &parts_sender, &times, from, capacity);
        drop(parts_sender);
        let trail = Arc::new(assembly.watch(&self.options.directory, &Quarantine::read(&self.options.directory)?));
        let (requests_sender, requests) = mpsc::channel(1);
        let (results_sender, results) = mpsc::channel(1);
        let compactor = Compactor::new(Arc::clone(&self.store), &self.graph);
        let chains = self.chains();
        let full_next = chains.full_next(&|node| compactor.can_merge(node));
        let coordinator = Coordinator {
            store: Arc::clone(&self.store),
            journal: self.journal.clone(),
            definition: self.definition.clone(),
            incarnation: self.incarnation,
            retention: retention(self.graph.spec.checkpoint.keep),
            journal_settings: self.graph.spec.journal.clone(),
            ledger: self.effects.clone(),
            expected_parts: assembly.parts,
            parts,
            requests,
            results: results_sender,
            chains,
            states: self.graph.nodes.iter().map(|node| (node.name.to_string(), node.state.clone())).collect(),
            retired: self.manifest.as_ref().map(|manifest| manifest.retired.clone()).unwrap_or_default(),
            waypoints: BTreeMap::new(),
            compactor,
            commits: Commits::new(self.options.commit_within),
        };
        let (feed, inbox) = mpsc::unbounded_channel();
        let (lookup_sender, lookup_changes) = mpsc::channel(16);
        let backlog = Backlog::default();
        let sequencer = Sequencer {
            slots: self.slots(&assembly),
            journal: self.journal.clone(),
            trail: Arc::clone(&trail),
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            times,
            deadlines: assembly.deadlines.clone(),
            feed,
            backlog: backlog.clone(),
            status: Arc::clone(&self.status),
            lookups: self.manifest.as_ref().map(|manifest| manifest.lookups.clone()).unwrap_or_default(),
            lookup_changes,
            checkpoints: requests_sender,
            checkpoint_results: results,
            settings: SequencerSettings {
                every: match self.graph.spec.checkpoint.every {
                    CheckpointInterval::Every(every) => Some(every.0),
                    CheckpointInterval::Off => None,
                },
                lag: self.graph.spec.journal.lag.bytes(),
                once: self.options.once,
                accept_divergence: self.options.accept_divergence,
                is_replay: self.recorded.is_some(),
                inline_all: self.graph.spec.journal.inline == JournalInline::All,
                journal_bytes: self.graph.spec.journal.bytes.map(|bytes| bytes.0),
                joined: self.joined.clone(),
                pipeline: Arc::clone(&self.graph.spec.name.value),
            },
            progress: Progress {
                step: from,
                checkpointed: from,
                finished: self.manifest.as_ref().is_some_and(|manifest| manifest.finished),
                full_next,
                ..Progress::default()
            },
        };
        let mut tasks = Tasks { nodes: JoinSet::new(), others: JoinSet::new() };
        let sources = assembly.sources.clone();
        for task in assembly.tasks {
            tasks.nodes.spawn(task.run());
        }
        let deliverers = std::mem::take(&mut self.deliverers);
        if !self.only_tail {
            deliverers.into_iter().for_each(|deliverer| drop(tasks.nodes.spawn(deliverer.run())));
        }
        tasks.others.spawn(Feeder { sources: assembly.source_edges, inbox, backlog }.run());
        tasks.others.spawn(coordinator.run());
        let controlled = Controlled {
            ledger: self.effects.clone(),
            journal: self.journal.clone(),
            status: Arc::clone(&self.status),
        };
        tasks.others.spawn(serve(self.options.directory.clone(), controlled, self.cancel.clone()));
        let outcome = self.drive(sequencer, sources, tasks, lookup_sender).await;
        if outcome.is_ok() {
            trail.end();
        }
        outcome
    }

    /// Executes what the journal holds after the newest checkpoint, makes a checkpoint there and ends. Nothing new
    /// is taken, no effect leaves.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub(super) async fn catch_up(mut self) -> Result<()> {
        self.only_tail = true;
        self.ending.ignore_sinks();
        self.run().await.map(drop)
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

    /// A bounded pipeline that has finished is done, unless effects are left to deliver.
    ///
    /// # Errors
    /// When the input of a finished pipeline has changed.
    fn is_done(&self) -> Result<bool> {
        let Some(manifest) = self.manifest.as_ref().filter(|manifest| manifest.finished) else { return Ok(false) };
        for node in &self.graph.nodes {
            let Planned::Source(source) = &node.planned else { continue };
            let fingerprint = manifest.sources.get(&*node.name).and_then(|state| state.fingerprint.as_ref());
            if let Some(fingerprint) = fingerprint
                && !source.open.unchanged(fingerprint)?
            {
                let message = "its input has changed since the pipeline finished";
                let remedy = "`--fresh` runs it anew from the beginning; `replay --with` shows what another pipeline makes of recorded input";
                return Err(Error::user(message).with_remedy(remedy).at_node(&node.name).at_place(&node.shown_place));
            }
        }
        Ok(self.effects.intended() == 0)
    }

    fn slots(&mut self, assembly: &Assembly) -> Vec<SourceSlot> {
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
        assembly.sources.iter().filter_map(slot).collect()
    }

    async fn drive(
        mut self,
        mut sequencer: Sequencer,
        sources: Vec<NodeIndex>,
        mut tasks: Tasks,
        lookups: mpsc::Sender<super::lookups::LookupChange>,
    ) -> Result<RunOutcome> {
        // Whoever ends the pipeline, from outside or from within: nothing more is taken in.
        let (cancel, within) = (self.ending.intake().clone(), self.graph.spec.stop.within.0);
        let deadline = stop_deadline(cancel.clone(), within);
        let recorded = self.recorded.take();
        tokio::pin!(deadline);
        let sequenced = async {
            let mut reread = self.reread_sources(&sequencer, &sources)?;
            let replayed = match recorded {
                Some(Recorded { records, joined }) => {
                    let time = self.manifest.as_ref().map_or(StepTime(0), |manifest| manifest.time);
                    sequencer.begin_replay(joined, time)?;
                    sequencer.replay(records, &mut reread, &cancel).await?
                }
                None => {
                    let tail = self.journal.read(self.checkpointed().next())?;
                    sequencer.replay(tail, &mut reread, &cancel).await?
                }
            };
            if replayed > 0 {
                tracing::info!(steps = replayed, "The steps after the newest checkpoint were executed again.");
            }
            if cancel.is_cancelled() || self.only_tail {
                // What of the tail was not executed yet stays in the journal for the next start.
                return sequencer.stop().await;
            }
            self.begin(&mut sequencer).await?;
            self.start(&mut sequencer, &sources, reread.into_open(), &mut tasks.others, lookups)?;
            sequencer.run(cancel.clone()).await
        };
        let end = tokio::select! {
            end = sequenced => end,
            error = first_failure(&mut tasks.nodes) => Err(error),
            error = taken_over(self.store.fence()) => Err(error),
            () = &mut deadline => Err(overdue(within)),
        };
        let outcome = match end {
            Ok(end) => self.settle(end, &mut tasks, &mut deadline, within).await,
            // The sequencer sees a node's failure as a closed channel; the node's own error says more.
            Err(error) => Err(cause(error, &mut tasks.nodes).await),
        };
        self.cancel.cancel();
        cut_off(&mut tasks.others).await;
        cut_off(&mut tasks.nodes).await;
        if outcome.is_ok() && self.graph.spec.checkpoint.copy_to.is_some() {
            let store = Arc::clone(&self.store);
            let settled = blocking(move || Ok(store.settle_copies(within))).await?;
            if !settled {
                tracing::warn!("The last checkpoint was not copied within `stop.within`; the next start copies it.");
            }
        }
        outcome
    }

    /// After the last checkpoint: nodes end, effects are delivered.
    async fn settle(
        &self,
        end: SequencerEnd,
        tasks: &mut Tasks,
        deadline: &mut (impl Future<Output = ()> + Unpin),
        within: Duration,
    ) -> Result<RunOutcome> {
        let outcome = match end {
            SequencerEnd::Stopped => return self.settle_stopped(tasks).await,
            SequencerEnd::Finished => RunOutcome::Finished,
            SequencerEnd::Once => RunOutcome::Once,
        };
        let settled = async {
            tokio::select! {
                () = self.effects.settled() => {}
                error = first_failure(&mut tasks.nodes) => return Err(error),
            }
            while let Some(ended) = tasks.nodes.join_next().await {
                ended.map_err(|error| Error::internal(format!("a node crashed: {error}")))??;
            }
            Ok(())
        };
        tokio::select! {
            settled = settled => settled?,
            () = self.cancel.cancelled() => return Ok(RunOutcome::Stopped),
            () = deadline => return Err(overdue(within)),
        }
        Ok(outcome)
    }

    /// After a stop: where the pipeline has ended itself, effects have some time to be delivered.
    async fn settle_stopped(&self, tasks: &mut Tasks) -> Result<RunOutcome> {
        let Some(delay) = self.ending.delay().filter(|_| !self.only_tail) else { return Ok(RunOutcome::Stopped) };
        self.ending.intake().cancel();
        tokio::select! {
            () = self.effects.settled() => {}
            error = first_failure(&mut tasks.nodes) => return Err(error),
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(delay) => {
                let left = self.effects.intended();
                tracing::warn!(left, ?delay, "Effects were not delivered in time; the next start delivers them.");
            }
        }
        Ok(RunOutcome::Stopped)
    }

    /// The sources with the contexts that the checkpoint gives them.
    fn reread_sources(&self, sequencer: &Sequencer, sources: &[NodeIndex]) -> Result<RereadSources> {
        let context = |(index, slot): (&NodeIndex, &SourceSlot)| {
            Ok((*index, self.source_context(&self.graph.nodes[index.0], &slot.state)?))
        };
        let sources = sources.iter().zip(&sequencer.slots).map(context).collect::<Result<_>>()?;
        Ok(RereadSources::new(Arc::clone(&self.graph), sources))
    }

    /// The steps that come before any row: the definition, and the files that operators read, as far as they
    /// are new.
    async fn begin(&self, sequencer: &mut Sequencer) -> Result<()> {
        if sequencer.progress.step == StepNumber::ZERO {
            let hash = self.definition.clone();
            sequencer.engine_step(EngineEvent::Definition { hash }, None)?;
        }
        for file in watched_files(&self.graph) {
            let change = file.read(&self.store).await?;
            let known = sequencer
                .lookups
                .iter()
                .any(|known| known.node == *change.node && known.name == change.name && known.hash == change.hash);
            if !known {
                sequencer.lookup_changed(change).await?;
            }
        }
        if !self.joined.is_empty() && !sequencer.progress.joined {
            let nodes = self.joined.clone();
            sequencer.joined_step(nodes)?;
        }
        Ok(())
    }

    /// Starts the sources that have not ended, where the journal's tail left them.
    fn start(
        &self,
        sequencer: &mut Sequencer,
        sources: &[NodeIndex],
        open: Vec<Option<Box<dyn Source>>>,
        others: &mut JoinSet<()>,
        lookups: mpsc::Sender<super::lookups::LookupChange>,
    ) -> Result<()> {
        for ((index, slot), opened) in sources.iter().zip(&mut sequencer.slots).zip(open) {
            let node = &self.graph.nodes[index.0];
            let Planned::Source(planned) = &node.planned else { continue };
            if slot.state.ended {
                continue;
            }
            if self.options.once
                && planned.delivery == Delivery::Inline
                && planned.tables.is_empty()
                && !planned.bounded
            {
                tracing::warn!(node = %node.name, "This source stays closed with --once: what it gives cannot be read again.");
                continue;
            }
            let context = self.source_context(node, &slot.state)?;
            let (task, queue) = SourceTask::new(Arc::clone(&self.graph), *index, context, Arc::clone(&slot.status));
            slot.arrivals = Some(queue.arrivals);
            slot.acknowledge = Some(queue.acknowledge);
            others.spawn(task.run(opened));
        }
        let watch = LookupWatch {
            files: watched_files(&self.graph),
            known: sequencer
                .lookups
                .iter()
                .map(|known| ((known.node.as_str().into(), known.name.clone()), known.hash.clone()))
                .collect(),
            store: Arc::clone(&self.store),
            changes: lookups,
        };
        others.spawn(watch.run(self.cancel.clone()));
        Ok(())
    }
}

fn retention(keep: Keep) -> Retention {
    Retention { last: keep.last, hourly: keep.hourly, daily: keep.daily }
}

/// Ends some time after the pipeline was told to stop.
async fn stop_deadline(cancel: CancellationToken, within: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(within).await;
}

/// Ends tasks without waiting for one that blocks its thread: such a task is left behind.
async fn cut_off<T: 'static>(tasks: &mut JoinSet<T>) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let _ = tokio::time::timeout(PATIENCE, tasks.shutdown()).await;
    tasks.detach_all();
}

fn overdue(within: Duration) -> Error {
    let message = format!("the pipeline did not stop within {within:?} (`stop.within`) and was cut off");
    Error::external(message).with_remedy("nothing is lost: the next start goes on from the newest checkpoint")
}

/// The first error of a node task. Pends for ever when all end well.
async fn first_failure(nodes: &mut JoinSet<Result<()>>) -> Error {
    let mut echo = None;
    while let Some(ended) = nodes.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) if is_echo(&error) => echo = Some(error),
            Ok(Err(error)) => return error,
            Err(error) => return Error::internal(format!("a node crashed: {error}")),
        }
    }
    match echo {
        Some(echo) => echo,
        None => std::future::pending().await,
    }
}

/// The error behind an error: a node's own, where the first one seen only says that a node has gone, or that
/// the last checkpoint failed because of that.
async fn cause(error: Error, nodes: &mut JoinSet<Result<()>>) -> Error {
    // An error that names its node says enough; one that names none (a checkpoint that lacks a part, a queue that
    // nobody empties) may be the echo of a node's.
    if error.node.is_some() {
        return error;
    }
    let patience = Duration::from_secs(1);
    match tokio::time::timeout(patience, first_failure(nodes)).await {
        Ok(found) if !is_echo(&found) => found,
        _ => error,
    }
}

fn is_echo(error: &Error) -> bool {
    error.remedy.as_deref() == Some(DOWNSTREAM_STOPPED)
}
