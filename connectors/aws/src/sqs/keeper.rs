//! The task that deletes messages that are durable, and keeps the others from coming again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use parking_lot::Mutex;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::pause::doubled;
use tidegate_pipeline::step::Position;
use tokio::sync::Notify;

use super::custody::Custody;
use super::queue::{BATCH, Queue};

/// How many requests are made at the same time.
const AT_ONCE: usize = 4;
/// How often messages are looked at that are to be extended.
const TICK: Duration = Duration::from_secs(1);
/// The pause after a request that failed; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What receiver, keeper and whoever takes the messages share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) custody: Mutex<Custody>,
    /// There are messages to be deleted.
    pub(super) work: Notify,
    /// Messages were deleted.
    pub(super) room: Notify,
}

impl Shared {
    pub(super) fn new(custody: Custody) -> Self {
        Self { custody: Mutex::new(custody), work: Notify::new(), room: Notify::new() }
    }

    /// Everything that these messages have led to is durable: they are deleted.
    pub(crate) fn settle<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) {
        self.custody.lock().settle(ids);
        self.work.notify_one();
    }

    /// These messages are left to come again, when their visibility timeout has passed.
    pub(crate) fn release<I: AsRef<str>>(&self, ids: impl IntoIterator<Item = I>) {
        self.custody.lock().release(ids);
        self.room.notify_one();
    }

    /// Everything up to a position is durable.
    ///
    /// # Errors
    /// When it is none of this source.
    pub(crate) fn durable(&self, position: &Position) -> Result<()> {
        self.custody.lock().durable(position)?;
        self.work.notify_one();
        Ok(())
    }
}

/// Deletes and extends until it is dropped.
pub(super) async fn keep(queue: Queue, shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pause = Pause::default();
    loop {
        tokio::select! {
            () = shared.work.notified() => {}
            _ = ticks.tick() => extend(&queue, &shared).await,
        }
        while pause.is_over() && shared.custody.lock().has_leaving() {
            match delete(&queue, &shared).await {
                true => pause.end(),
                false => pause.begin(),
            }
        }
    }
}

/// The time in which nothing is tried.
#[derive(Debug, Default)]
struct Pause {
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    fn begin(&mut self) {
        let length = doubled(FIRST_PAUSE, self.failures, LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + length);
    }

    fn end(&mut self) {
        *self = Self::default();
    }

    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }
}

/// Deletes what is to be deleted, in a few requests; whether none of them failed.
async fn delete(queue: &Queue, shared: &Shared) -> bool {
    let messages = shared.custody.lock().next_leaving(BATCH * AT_ONCE);
    let deletions = messages.chunks(BATCH).map(|batch| async move {
        let receipts: Vec<String> = batch.iter().map(|(_, receipt)| receipt.clone()).collect();
        (batch, queue.delete(&receipts).await)
    });
    let mut all = true;
    for (batch, outcome) in join_all(deletions).await {
        let mut custody = shared.custody.lock();
        let refused = match outcome {
            Ok(refused) => refused,
            Err(error) => {
                tracing::warn!(queue = queue.name(), %error, "Messages could not be deleted; they will be tried again.");
                batch.iter().for_each(|(id, _)| custody.kept(id.clone()));
                all = false;
                continue;
            }
        };
        for (index, (id, _)) in batch.iter().enumerate() {
            match refused.iter().find(|refused| refused.index == index) {
                None => custody.deleted(id),
                Some(refused) if refused.for_good => {
                    tracing::warn!(
                        queue = queue.name(),
                        id,
                        reason = refused.reason,
                        "A message could not be deleted; it will be when it comes again."
                    );
                    custody.lost(id, Instant::now());
                }
                Some(refused) => {
                    tracing::debug!(
                        queue = queue.name(),
                        id,
                        reason = refused.reason,
                        "A message could not be deleted; it will be tried again."
                    );
                    custody.kept(id.clone());
                    all = false;
                }
            }
        }
    }
    shared.room.notify_one();
    all
}

/// Extends the visibility timeout of what is not deleted and has used up a third of it.
async fn extend(queue: &Queue, shared: &Shared) {
    let messages = {
        let mut custody = shared.custody.lock();
        custody.forget(Instant::now());
        custody.next_overdue(queue.visibility() / 3, Instant::now())
    };
    for batches in messages.chunks(BATCH * AT_ONCE) {
        join_all(batches.chunks(BATCH).map(|batch| extend_batch(queue, batch))).await;
    }
}

async fn extend_batch(queue: &Queue, batch: &[(String, String)]) {
    let receipts: Vec<String> = batch.iter().map(|(_, receipt)| receipt.clone()).collect();
    // What is not extended comes again while it is held, which is noticed: nothing is emitted twice.
    match queue.extend(&receipts).await {
        Ok(refused) => refused.iter().for_each(|refused| {
            tracing::debug!(queue = queue.name(), reason = refused.reason, "A message was not extended.");
        }),
        Err(error) => tracing::warn!(queue = queue.name(), %error, "Messages were not extended and may come again."),
    }
}
