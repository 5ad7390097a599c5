//! The sequencer: one order and one clock for everything that enters the graph.
//!
//! It takes arrivals from the sources, gives them step numbers and times, journals them and hands them to
//! the feeder. It also makes the engine's own steps (ticks, lookups, ends) and begins checkpoints.

mod drain;
mod join;
mod queues;
mod steps;

pub(super) use join::concatenate;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use self::queues::{Queues, Taken};
use super::checkpointing::{Barrier, CheckpointRequest, CheckpointResult, Part};
use super::clock::{Clock, StepTimes};
use super::deadlines::Deadlines;
use super::effects::Ledger;
use super::event::Event;
use super::feeder::{Backlog, Feed};
use super::lookups::LookupChange;
use super::source_slot::SourceSlot;
use super::source_task::FromSource;
use super::status::PipelineStatus;
use super::trail::TrailFile;
use crate::checkpoint::{CheckpointStore, LookupState};
use crate::error::{Error, Result, Retry};
use crate::journal::record::EngineEvent;
use crate::journal::{Journal, JournalPosition};
use crate::operator::{SnapshotMode, StateWriter};
use crate::source::Delivery;
use crate::spec::pipeline::OnEnd;
use crate::step::{StepNumber, StepTime};

/// Decoded rows of re-readable sources that may wait before the graph, in bytes: enough to keep nodes busy.
const SEEK_BACKLOG: usize = 8 * 1024 * 1024;

/// How long after a failed checkpoint the next one is made when the journal is full.
const AGAIN: Duration = Duration::from_secs(1);

/// How a run of the sequencer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequencerEnd {
    /// Every source has ended, and that is recorded.
    Finished,
    /// Every source was read to what was its end (`--once`); nothing is recorded as ended.
    Once,
    /// It was told to stop.
    Stopped,
}

/// See the module.
pub(crate) struct Sequencer {
    pub(crate) slots: Vec<SourceSlot>,
    pub(crate) journal: Journal,
    pub(crate) trail: Arc<TrailFile>,
    pub(crate) store: Arc<CheckpointStore>,
    pub(crate) clock: Clock,
    pub(crate) times: StepTimes,
    pub(crate) deadlines: Deadlines,
    pub(crate) feed: mpsc::UnboundedSender<Feed>,
    pub(crate) backlog: Backlog,
    pub(crate) status: Arc<PipelineStatus>,
    pub(crate) effects: Ledger,
    pub(crate) lookups: Vec<LookupState>,
    pub(crate) lookup_changes: mpsc::Receiver<LookupChange>,
    pub(crate) checkpoints: mpsc::Sender<CheckpointRequest>,
    pub(crate) checkpoint_results: mpsc::Receiver<CheckpointResult>,
    pub(crate) settings: SequencerSettings,
    pub(crate) progress: Progress,
}

/// What does not change while it runs.
#[derive(Debug, Clone)]
pub(crate) struct SequencerSettings {
    /// How often a checkpoint is made; `None`: only at the end.
    pub(crate) every: Option<Duration>,
    /// How many bytes may lie between the journal and the graph.
    pub(crate) lag: usize,
    /// Read to what is the end now.
    pub(crate) once: bool,
    /// Recorded input that cannot be read again, or reads differently, is left out.
    pub(crate) accept_divergence: bool,
    /// Recorded steps are executed again beside their original.
    pub(crate) is_replay: bool,
    /// Keep what can be read again in the journal, too.
    pub(crate) inline_all: bool,
    /// How long the journal may be.
    pub(crate) journal_bytes: Option<u64>,
    /// How many ports `dead_letter` that are read lie behind each other, at most.
    pub(crate) depth: u32,
    /// What is told by whom of the effects of a sink: its node, by the names under which effects of it stand.
    pub(crate) tellers: HashMap<String, Arc<str>>,
    /// Nodes that have to be told what is in the tables that they read.
    pub(crate) joined: Vec<String>,
    /// The name of the pipeline.
    pub(crate) pipeline: Arc<str>,
}

/// The next message of any source that is taken from now; none takes precedence.
async fn next_message(
    seek: &mut Queues,
    inline: &mut Queues,
    takes_seek: bool,
    takes_inline: bool,
) -> (Delivery, Taken) {
    tokio::select! {
        taken = seek.next(), if takes_seek => (Delivery::Seek, taken),
        taken = inline.next(), if takes_inline => (Delivery::Inline, taken),
        else => std::future::pending().await,
    }
}

/// Where it stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last step made.
    pub(crate) step: StepNumber,
    /// Its time.
    pub(crate) time: StepTime,
    /// The journal behind that step.
    pub(crate) journaled: JournalPosition,
    /// The step of the last checkpoint.
    pub(crate) checkpointed: StepNumber,
    /// A checkpoint is being written.
    pub(crate) in_flight: bool,
    /// Nodes that shall write everything at the next checkpoint.
    pub(crate) full_next: HashSet<Arc<str>>,
    /// The end of all input is journaled.
    pub(crate) finished: bool,
    /// It is journaled that new nodes have joined.
    pub(crate) joined: bool,
    /// When the last checkpoint failed, if it did.
    pub(crate) failed: Option<Instant>,
    /// That the journal is full has been told.
    pub(crate) told_full: bool,
}

impl Sequencer {
    /// Runs until all sources have ended or it is cancelled, then makes the final checkpoint.
    ///
    /// # Errors
    /// What a source or the journal failed with.
    pub(crate) async fn run(mut self, cancel: CancellationToken) -> Result<SequencerEnd> {
        let stopped = self.take_arrivals(&cancel).await? || self.drain(&cancel).await?;
        if !stopped && !self.settings.once && !self.progress.finished {
            self.engine_step(EngineEvent::Finished, Some(Event::EndOfInput { depth: u32::MAX }))?;
            self.progress.finished = true;
        }
        self.final_checkpoint().await?;
        Ok(match (stopped, self.settings.once) {
            (true, _) => SequencerEnd::Stopped,
            (false, true) => SequencerEnd::Once,
            (false, false) => SequencerEnd::Finished,
        })
    }

    /// Makes a last checkpoint where it stands, without taking anything more.
    ///
    /// # Errors
    /// When that checkpoint fails.
    pub(crate) async fn stop(mut self) -> Result<SequencerEnd> {
        self.final_checkpoint().await?;
        Ok(SequencerEnd::Stopped)
    }

    /// Takes arrivals until none can come any more; says whether it was told to stop.
    async fn take_arrivals(&mut self, cancel: &CancellationToken) -> Result<bool> {
        let mut seek = self.queues(Delivery::Seek);
        let mut inline = self.queues(Delivery::Inline);
        self.attend(&mut seek, &mut inline, false, cancel).await
    }

    /// Takes what these queues give until none can come any more; with `drains`, until also no effect can be given up
    /// any more. Says whether it was told to stop.
    async fn attend(
        &mut self,
        seek: &mut Queues,
        inline: &mut Queues,
        drains: bool,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        let mut due = self.settings.every.map(|every| Instant::now() + every);
        while !(seek.is_empty() && inline.is_empty()) || (drains && !self.is_drained()) {
            let backlog = self.backlog.bytes();
            let full = self.journal_is_full();
            let (takes_seek, takes_inline) = (!full && backlog < SEEK_BACKLOG, !full && backlog < self.settings.lag);
            let unserved = self.deadlines.earliest().filter(|deadline| self.progress.time < *deadline);
            let deadline = unserved.map(|deadline| self.clock.until(deadline));
            let checkpoint_wanted = !self.progress.in_flight && self.progress.step > self.progress.checkpointed;
            if full {
                due = Some(self.progress.failed.map_or_else(Instant::now, |failed| failed + AGAIN));
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(true),
                Some(result) = self.checkpoint_results.recv() => self.checkpoint_ended(result)?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && checkpoint_wanted => {
                    self.begin_checkpoint(false).await?;
                    due = self.settings.every.map(|every| Instant::now() + every);
                }
                Some(change) = self.lookup_changes.recv() => self.lookup_changed(change).await?,
                () = self.effects.letters() => self.tell_letters()?,
                () = sleep(deadline.unwrap_or(Duration::MAX)), if deadline.is_some() => {
                    // A step that came meanwhile may have served the deadline; then nodes have moved it on.
                    if self.tick_is_due() { self.engine_step(EngineEvent::Tick, None)?; }
                }
                (delivery, (slot, message)) = next_message(seek, inline, takes_seek, takes_inline) => {
                    let queues = if delivery == Delivery::Seek { &mut *seek } else { &mut *inline };
                    match message {
                        Some(message) => {
                            // Callers that were answered together come back together: one step for all of them.
                            if message.is_waited_for() { yield_now().await; }
                            if self.take(slot, message, queues)? { return Ok(true) }
                        }
                        None if cancel.is_cancelled() => return Ok(true),
                        None => return Err(self.gone(slot)),
                    }
                }
                () = self.backlog.shrunk(), if !takes_seek || !takes_inline => {}
                () = self.deadlines.changed() => {}
                () = sleep(drain::PACE), if drains => {}
            }
        }
        Ok(false)
    }

    /// Whether nothing may be taken in before a checkpoint has let the journal give up what is older. Tells it once.
    fn journal_is_full(&mut self) -> bool {
        let more = |bytes: &u64| self.progress.step > self.progress.checkpointed && self.journal.bytes() >= *bytes;
        let full = self.settings.journal_bytes.filter(more);
        if let (Some(bytes), false) = (full, self.progress.told_full) {
            tracing::warn!(bytes, step = %self.progress.step, "The journal is full (`journal.bytes`): sources wait for the next checkpoint.");
        }
        self.progress.told_full = full.is_some();
        full.is_some()
    }

    /// A tick is due when no step at or past the earliest deadline has been made yet.
    fn tick_is_due(&self) -> bool {
        self.deadlines.earliest().is_some_and(|deadline| self.progress.time < deadline && self.clock.now() >= deadline)
    }

    /// Waits while more than enough decoded rows lie before the graph.
    pub(super) async fn keep_backlog_small(&self) {
        while self.backlog.bytes() >= SEEK_BACKLOG && !self.feed.is_closed() {
            tokio::select! {
                () = self.backlog.shrunk() => {}
                () = self.feed.closed() => {}
            }
        }
    }

    fn queues(&mut self, delivery: Delivery) -> Queues {
        let mut queues = Queues::default();
        for (index, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.delivery == delivery) {
            if let Some(arrivals) = slot.arrivals.take() {
                queues.add(index, arrivals);
            }
        }
        queues
    }

    /// A source whose task has ended without a word; that must never pass for the end of its input.
    fn gone(&self, slot: usize) -> Error {
        let slot = &self.slots[slot];
        Error::internal("the source stopped without a word").at_node(&slot.name).at_place(&slot.place)
    }

    /// Takes one message of a source, joined with the small ones that wait behind it. Says whether the
    /// pipeline shall stop.
    fn take(&mut self, slot: usize, message: FromSource, queues: &mut Queues) -> Result<bool> {
        match message {
            FromSource::Arrival(arrival, permit) => {
                let mut joined = join::Joined::new(*arrival, permit);
                // What does not fit waits for its turn: the backlog and a stop come before it.
                if let Some(behind) = queues.of(slot).and_then(|queue| joined.fill(queue)) {
                    queues.hold(slot, behind);
                }
                self.rows_step(slot, joined)?;
                Ok(false)
            }
            FromSource::Ended { fingerprint } => {
                queues.remove(slot);
                // It waits for what is not durable yet; nothing more comes.
                self.slots[slot].acknowledge = None;
                self.source_ended(slot, fingerprint)
            }
            FromSource::Failed(error) => Err(error),
        }
    }

    /// Says whether the pipeline shall stop.
    fn source_ended(&mut self, slot: usize, fingerprint: Option<String>) -> Result<bool> {
        if self.settings.once {
            return Ok(false);
        }
        let state = &mut self.slots[slot];
        state.state.ended = true;
        state.state.fingerprint.clone_from(&fingerprint);
        let (source, position) = (state.name.to_string(), state.state.position.clone());
        // Where nothing is left to be stopped, the pipeline has finished.
        let stop = state.on_end == OnEnd::Stop && self.slots.iter().any(|slot| !slot.state.ended);
        self.engine_step(EngineEvent::SourceEnded { source, position, fingerprint }, None)?;
        Ok(stop)
    }

    /// Journals the contents of a file that a node reads.
    pub(super) async fn lookup_changed(&mut self, change: LookupChange) -> Result<()> {
        let LookupChange { node, name, segment, contents } = change;
        let hash = segment.hash().clone();
        self.lookups.retain(|known| *known.node != *node || known.name != name);
        self.lookups.push(LookupState { node: node.to_string(), name: name.clone(), hash: hash.clone() });
        self.store.journaled(&hash, self.progress.step.next());
        let record = EngineEvent::Lookup { node: node.to_string(), name: name.clone(), hash };
        self.engine_step(record, Some(Event::Lookup { node, name, contents }))
    }

    /// Sends a barrier after the last step and asks for a checkpoint there.
    pub(crate) async fn begin_checkpoint(&mut self, finished: bool) -> Result<()> {
        let full = std::mem::take(&mut self.progress.full_next);
        let mut sources = BTreeMap::new();
        let mut source_parts = Vec::new();
        for slot in &mut self.slots {
            sources.insert(slot.name.to_string(), slot.state.clone());
            if let Some(tables) = &mut slot.tables {
                let full = full.contains(&slot.name);
                let mut writer = StateWriter::new(if full { SnapshotMode::Full } else { SnapshotMode::Changes });
                tables.snapshot(&mut writer)?;
                source_parts.push(Part::State { node: Arc::clone(&slot.name), full, batches: writer.batches });
            }
        }
        let barrier = Arc::new(Barrier { step: self.progress.step, full });
        let _ = self.feed.send(Feed::Barrier(Arc::clone(&barrier)));
        let request = CheckpointRequest {
            barrier,
            time: self.progress.time,
            sources,
            source_parts,
            lookups: self.lookups.clone(),
            joined: if self.progress.joined { Vec::new() } else { self.settings.joined.clone() },
            finished,
            journaled: self.progress.journaled,
        };
        self.progress.in_flight = true;
        self.checkpoints.send(request).await.map_err(|_| Error::internal("the checkpoint coordinator has stopped"))
    }

    /// Takes note of how a checkpoint went. A failed one is told, and tried again when the next is due.
    ///
    /// # Errors
    /// That of a checkpoint which will fail again in the same way: a journal or a sink that could not make durable
    /// what it was given does not get a second chance to say that it has.
    fn checkpoint_ended(&mut self, ended: CheckpointResult) -> Result<()> {
        self.progress.in_flight = false;
        self.progress.full_next = ended.full_next;
        self.status.journal_bytes.store(self.journal.bytes(), Ordering::Relaxed);
        match ended.result {
            Ok(summary) => {
                self.progress.checkpointed = ended.step;
                self.progress.failed = None;
                self.trail.checkpointed();
                self.status.checkpoints.fetch_add(1, Ordering::Relaxed);
                *self.status.last_checkpoint.lock() = Some(summary);
                *self.status.last_checkpoint_error.lock() = None;
            }
            Err(error) => {
                self.progress.failed = Some(Instant::now());
                self.status.checkpoints_failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, step = %ended.step, "A checkpoint failed; the next one will hold what it would have.");
                *self.status.last_checkpoint_error.lock() = Some(error.to_string());
                if error.retry == Retry::Never {
                    return Err(error);
                }
            }
        }
        self.times.forget_before(StepNumber(self.status.slowest()));
        Ok(())
    }

    /// Waits for the checkpoint in flight, then makes the last one, if there is anything new.
    async fn final_checkpoint(&mut self) -> Result<()> {
        self.await_checkpoint().await?;
        if self.progress.step > self.progress.checkpointed {
            self.begin_checkpoint(self.progress.finished).await?;
            self.await_checkpoint().await?;
            if let Some(error) = self.status.last_checkpoint_error.lock().clone() {
                let remedy = "nothing is lost: the next start goes on from the checkpoint before";
                return Err(Error::external(format!("the final checkpoint failed: {error}")).with_remedy(remedy));
            }
        }
        Ok(())
    }

    async fn await_checkpoint(&mut self) -> Result<()> {
        while self.progress.in_flight {
            let gone = || Error::internal("the checkpoint coordinator has stopped");
            let result = self.checkpoint_results.recv().await.ok_or_else(gone)?;
            self.checkpoint_ended(result)?;
        }
        Ok(())
    }
}
