//! A source at work: its own task, its own queue to the sequencer, its own restarts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crashed::guarded;
use super::stall::Stall;
use super::status::{NodeState, NodeStatus};
use crate::error::{Domain, Error, Result, Retry};
use crate::graph::{Graph, NodeIndex, Planned};
use crate::journal::JournalPosition;
use crate::source::{Arrival, Source, SourceContext};
use crate::spec::pipeline::{OnEnd, RestartSettings};
use crate::step::Position;

/// How many arrivals of one source wait for the sequencer. Small ones that wait are joined into one step.
const QUEUE: usize = 8192;
/// How many bytes of arrivals of one source wait for the sequencer.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// How long a source must be open, or until it gives something, to have shown that its options are good: what is refused
/// at once may be refused a moment after the connection is there.
const PROBATION: Duration = Duration::from_secs(10);

/// What a source task tells the sequencer.
pub(crate) enum FromSource {
    /// Rows, with the part of the queue's bytes that they hold.
    Arrival(Box<Arrival>, OwnedSemaphorePermit),
    /// The source has ended by itself.
    Ended { fingerprint: Option<String> },
    /// The source failed for good.
    Failed(Error),
}

impl FromSource {
    /// Whether a caller waits until it is durable.
    pub(crate) fn is_waited_for(&self) -> bool {
        matches!(self, Self::Arrival(arrival, _) if !arrival.replies.is_empty())
    }
}

/// Up to where a source's input is durable: in the journal, and in the source.
pub(crate) type Durable = Option<(JournalPosition, Position)>;

/// The sequencer's end of a source.
pub(crate) struct SourceQueue {
    pub(crate) arrivals: mpsc::Receiver<FromSource>,
    pub(crate) acknowledge: watch::Sender<Durable>,
}

/// The task of one source.
pub(crate) struct SourceTask {
    graph: Arc<Graph>,
    index: NodeIndex,
    context: SourceContext,
    policy: RestartSettings,
    status: Arc<NodeStatus>,
    queue: mpsc::Sender<FromSource>,
    bytes: Arc<Semaphore>,
    acknowledged: watch::Receiver<Durable>,
    /// From when on it has shown that its options are good.
    proven: Option<Instant>,
}

impl SourceTask {
    /// A task and its queue.
    pub(crate) fn new(
        graph: Arc<Graph>,
        index: NodeIndex,
        context: SourceContext,
        status: Arc<NodeStatus>,
    ) -> (Self, SourceQueue) {
        let (queue, arrivals) = mpsc::channel(QUEUE);
        let (acknowledge, acknowledged) = watch::channel(None);
        let policy = graph.spec.restart.clone();
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES));
        (
            Self { graph, index, context, policy, status, queue, bytes, acknowledged, proven: None },
            SourceQueue { arrivals, acknowledge },
        )
    }

    /// Runs the source until it ends, fails for good or is told to stop.
    pub(crate) async fn run(mut self, mut opened: Option<Box<dyn Source>>) {
        let cancel = self.context.cancel.clone();
        let mut failures = 0;
        loop {
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => return self.status.set_state(NodeState::Ended),
                outcome = guarded(self.read(&mut opened, &mut failures)) => outcome,
            };
            // A source that was told to stop ends too; that is not the end of its input.
            if cancel.is_cancelled() {
                return self.status.set_state(NodeState::Ended);
            }
            let error = match outcome {
                Ok(_) if self.restarts_at_its_end() => {
                    // A source that ends at once is not asked again and again without a pause.
                    if self.pause(self.policy.initial.0, &cancel).await.is_none() {
                        return self.status.set_state(NodeState::Ended);
                    }
                    self.begin_again();
                    continue;
                }
                Ok(fingerprint) => {
                    self.status.set_state(NodeState::Ended);
                    let _ = self.queue.send(FromSource::Ended { fingerprint }).await;
                    return;
                }
                Err(error) => error,
            };
            failures += 1;
            if self.is_final(&error) || (failures > self.policy.attempts && !self.reconnects()) {
                self.status.set_state(NodeState::Failed);
                let node = &self.graph.nodes[self.index.0];
                let error = error.at_node(&node.name).at_place(&node.shown_place);
                let _ = self.queue.send(FromSource::Failed(error)).await;
                return;
            }
            self.status.trouble(&error);
            let wait = back_off(&self.policy, failures);
            tracing::warn!(node = %self.context.node, %error, attempt = failures, ?wait, "A source failed and will be opened again.");
            if self.pause(wait, &cancel).await.is_none() {
                return self.status.set_state(NodeState::Ended);
            }
        }
    }

    /// Waits before the source is opened again; `None` when it was told to stop meanwhile.
    async fn pause(&self, wait: Duration, cancel: &CancellationToken) -> Option<()> {
        let waited = async {
            tokio::time::sleep(wait).await;
            self.queue_taken().await;
        };
        cancel.run_until_cancelled(waited).await
    }

    /// `on_end: restart`; a run that reads everything once does not begin anything again.
    fn restarts_at_its_end(&self) -> bool {
        self.graph.nodes[self.index.0].on_end == OnEnd::Restart && !self.context.once
    }

    /// The source is opened anew at its beginning. A provider goes on with the next refresh instead: its
    /// position only counts them.
    fn begin_again(&mut self) {
        let Planned::Source(planned) = &self.graph.nodes[self.index.0].planned else { return };
        if planned.tables.is_empty() {
            self.context.position = None;
        }
    }

    /// Waits until the sequencer has taken all that an earlier life of the source has given: what it remembers
    /// is a fold of that.
    async fn queue_taken(&self) {
        // Each arrival holds its part of the bytes until its step is made.
        let all = self.bytes.acquire_many(QUEUE_BYTES as u32);
        tokio::select! {
            _ = all => {}
            () = self.queue.closed() => {}
        }
    }

    /// Opens the source and hands over what it gives, until its end.
    async fn read(&mut self, opened: &mut Option<Box<dyn Source>>, failures: &mut u32) -> Result<Option<String>> {
        let mut source = match opened.take() {
            Some(source) => source,
            None => self.open().await?,
        };
        self.status.well();
        self.proven.get_or_insert_with(|| Instant::now() + PROBATION);
        let mut stall = Stall::new(self.graph.nodes[self.index.0].stall_after);
        loop {
            let arrival = tokio::select! {
                arrival = source.next() => arrival?,
                () = stall.comes() => {
                    stall.tell(&self.status);
                    continue;
                }
                Ok(()) = self.acknowledged.changed() => {
                    let durable = self.acknowledged.borrow_and_update().clone();
                    if let Some((_, position)) = durable {
                        source.acknowledge(&position).await?;
                    }
                    continue;
                }
            };
            let Some(arrival) = arrival else {
                return Ok(source.fingerprint());
            };
            *failures = 0;
            self.proven = Some(Instant::now());
            self.status.arrived();
            self.hand_over(arrival).await?;
            stall.begin_anew(&self.status);
        }
    }

    /// Whether no other attempt mends it. What only the user can mend (a password that was changed, a queue that is
    /// gone) ends a source that has never worked, but not one that did: it is mended outside, while it is tried again.
    fn is_final(&self, error: &Error) -> bool {
        let worked = self.proven.is_some_and(|from| from <= Instant::now());
        let waits = worked && error.domain == Domain::User && self.reconnects() && !self.context.once;
        error.retry == Retry::Never && !waits
    }

    fn reconnects(&self) -> bool {
        matches!(&self.graph.nodes[self.index.0].planned, Planned::Source(planned) if planned.reconnects)
    }

    async fn open(&self) -> Result<Box<dyn Source>> {
        let Planned::Source(planned) = &self.graph.nodes[self.index.0].planned else {
            return Err(Error::internal("not a source"));
        };
        planned.open.open(self.context.clone()).await
    }

    async fn hand_over(&mut self, arrival: Arrival) -> Result<()> {
        self.context.position = Some(arrival.position.clone());
        if let Some(schema) = &arrival.new_schema {
            self.context.schemas.push((arrival.schema_version, Arc::clone(schema)));
        }
        let bytes: usize = arrival.rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
        let bytes = bytes.clamp(1, QUEUE_BYTES) as u32;
        let gone = || Error::internal("the sequencer has stopped");
        let permit = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| gone())?;
        self.queue.send(FromSource::Arrival(Box::new(arrival), permit)).await.map_err(|_| gone())
    }
}

fn back_off(policy: &RestartSettings, failures: u32) -> Duration {
    let doubled = policy.initial.0.saturating_mul(1 << (failures - 1).min(16));
    doubled.min(policy.max.0)
}
