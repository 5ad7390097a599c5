//! A source at work: its own task, its own queue to the sequencer, its own restarts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crashed::guarded;
use super::set_up::SetUp;
use super::stall::Stall;
use super::status::{NodeState, NodeStatus};
use crate::error::{Domain, Error, Result, Retry};
use crate::graph::{Graph, NodeIndex, Planned};
use crate::journal::JournalPosition;
use crate::pause::doubled;
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

/// Why nothing more is read.
enum Read {
    /// The source has ended by itself.
    Ended(Option<String>),
    /// It was told to stop, or nobody takes what it gives.
    Stopped,
}

/// The task of one source.
pub(crate) struct SourceTask {
    graph: Arc<Graph>,
    index: NodeIndex,
    context: SourceContext,
    policy: RestartSettings,
    set_up: SetUp,
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
        set_up: SetUp,
        status: Arc<NodeStatus>,
    ) -> (Self, SourceQueue) {
        let (queue, arrivals) = mpsc::channel(QUEUE);
        let (acknowledge, acknowledged) = watch::channel(None);
        let policy = graph.spec.restart.clone();
        let bytes = Arc::new(Semaphore::new(QUEUE_BYTES));
        (
            Self { graph, index, context, policy, set_up, status, queue, bytes, acknowledged, proven: None },
            SourceQueue { arrivals, acknowledge },
        )
    }

    /// Runs the source until it ends, fails for good or is told to stop, and lets it leave.
    pub(crate) async fn run(mut self, mut open: Option<Box<dyn Source>>) {
        let last_word = self.work(&mut open).await;
        let failed = matches!(last_word, Some(FromSource::Failed(_)));
        self.status.set_state(if failed { NodeState::Failed } else { NodeState::Ended });
        if let Some(last_word) = last_word {
            let _ = self.queue.send(last_word).await;
        }
        if let Some(source) = open {
            self.leave(source).await;
        }
    }

    /// Takes from the source, which is left open where it has not failed. What the sequencer is to be told at last;
    /// nothing where the source was told to stop.
    async fn work(&mut self, open: &mut Option<Box<dyn Source>>) -> Option<FromSource> {
        let stop = self.context.cancel.clone();
        let mut failures = 0;
        loop {
            let outcome = guarded(self.read(open, &stop, &mut failures)).await;
            // A source that was told to stop ends too; that is not the end of its input.
            let told = stop.is_cancelled();
            let wait = match outcome {
                Ok(Read::Stopped) => return None,
                Ok(Read::Ended(_)) if told => return None,
                Ok(Read::Ended(_)) if self.restarts_at_its_end() => {
                    *open = None;
                    self.begin_again();
                    // A source that ends at once is not asked again and again without a pause.
                    self.policy.initial.0
                }
                Ok(Read::Ended(fingerprint)) => return Some(FromSource::Ended { fingerprint }),
                Err(error) => {
                    *open = None;
                    if told {
                        return None;
                    }
                    failures += 1;
                    match self.wait_after(error, failures) {
                        Ok(wait) => wait,
                        Err(error) => return Some(FromSource::Failed(error)),
                    }
                }
            };
            self.pause(wait, &stop).await?;
        }
    }

    /// How long a source that has failed is not opened again.
    ///
    /// # Errors
    /// The error itself, where it is not to be opened again.
    fn wait_after(&self, error: Error, failures: u32) -> Result<Duration> {
        if self.is_final(&error) || (failures > self.policy.attempts && !self.waits_for_ever()) {
            let node = &self.graph.nodes[self.index.0];
            return Err(error.at_node(&node.name).at_place(&node.shown_place));
        }
        self.status.trouble(&error);
        let wait = back_off(&self.policy, failures);
        tracing::warn!(node = %self.context.node, %error, attempt = failures, ?wait, "A source failed and will be opened again.");
        Ok(wait)
    }

    /// Behind the last arrival: goes on acknowledging what becomes durable, for as long as something can, and lets the
    /// source say goodbye.
    async fn leave(mut self, mut source: Box<dyn Source>) {
        let left = async {
            while self.acknowledged.changed().await.is_ok() {
                acknowledge(source.as_mut(), &mut self.acknowledged).await?;
            }
            source.close().await
        };
        if let Err(error) = guarded(left).await {
            tracing::warn!(node = %self.context.node, %error, "A source could not leave in order: what it was not told of may come again.");
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

    /// Hands over what the source gives, until its end or until nobody takes more. It is opened first where it is not.
    async fn read(
        &mut self,
        open: &mut Option<Box<dyn Source>>,
        stop: &CancellationToken,
        failures: &mut u32,
    ) -> Result<Read> {
        let source = match open.take() {
            Some(source) => source,
            None => match stop.run_until_cancelled(self.open()).await {
                Some(opened) => opened?,
                None => return Ok(Read::Stopped),
            },
        };
        let source = open.insert(source);
        self.set_up.done();
        self.status.well();
        self.proven.get_or_insert_with(|| Instant::now() + PROBATION);
        let mut stall = Stall::new(self.graph.nodes[self.index.0].stall_after);
        let queue = self.queue.clone();
        let stopped = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = queue.closed() => {}
            }
        };
        tokio::pin!(stopped);
        loop {
            // An acknowledgement that has begun is never dropped for a stop.
            let arrival = tokio::select! {
                biased;
                () = &mut stopped => return Ok(Read::Stopped),
                Ok(()) = self.acknowledged.changed() => {
                    acknowledge(source.as_mut(), &mut self.acknowledged).await?;
                    continue;
                }
                arrival = source.next() => arrival?,
                () = stall.comes() => {
                    stall.tell(&self.status);
                    continue;
                }
            };
            let Some(arrival) = arrival else {
                return Ok(Read::Ended(source.fingerprint()));
            };
            *failures = 0;
            self.proven = Some(Instant::now());
            self.status.arrived();
            let taken = tokio::select! {
                biased;
                () = &mut stopped => false,
                taken = self.hand_over(arrival) => taken,
            };
            if !taken {
                return Ok(Read::Stopped);
            }
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

    /// Whether it is opened again however often it has failed. A provider that is to collect once is not.
    fn waits_for_ever(&self) -> bool {
        self.reconnects() && !(self.context.once && self.is_provider())
    }

    fn is_provider(&self) -> bool {
        matches!(&self.graph.nodes[self.index.0].planned, Planned::Source(planned) if !planned.tables.is_empty())
    }

    fn reconnects(&self) -> bool {
        matches!(&self.graph.nodes[self.index.0].planned, Planned::Source(planned) if planned.reconnects)
    }

    async fn open(&self) -> Result<Box<dyn Source>> {
        let Planned::Source(planned) = &self.graph.nodes[self.index.0].planned else {
            return Err(Error::internal("not a source"));
        };
        self.set_up.of_others().await;
        planned.open.open(self.context.clone()).await
    }

    /// Waits until there is room; whether anybody takes it.
    async fn hand_over(&mut self, arrival: Arrival) -> bool {
        self.context.position = Some(arrival.position.clone());
        if let Some(schema) = &arrival.new_schema {
            self.context.schemas.push((arrival.schema_version, Arc::clone(schema)));
        }
        let bytes: usize = arrival.rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum();
        let bytes = bytes.clamp(1, QUEUE_BYTES) as u32;
        let Ok(permit) = Arc::clone(&self.bytes).acquire_many_owned(bytes).await else { return false };
        self.queue.send(FromSource::Arrival(Box::new(arrival), permit)).await.is_ok()
    }
}

/// Tells the source what is durable.
async fn acknowledge(source: &mut dyn Source, acknowledged: &mut watch::Receiver<Durable>) -> Result<()> {
    let durable = acknowledged.borrow_and_update().clone();
    match durable {
        Some((_, position)) => source.acknowledge(&position).await,
        None => Ok(()),
    }
}

fn back_off(policy: &RestartSettings, failures: u32) -> Duration {
    doubled(policy.initial.0, failures - 1, policy.max.0)
}
