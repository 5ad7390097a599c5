//! Delivering effects until they are done or dead, always under the same id.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::crashed::guarded;
use super::outbox::{DeliveryPolicy, PendingEffect, PendingEffects, record_outcome};
use crate::error::Result;
use crate::journal::Journal;
use crate::journal::record::Outcome;
use crate::sink::{Attempt, DispatchingSink};

/// How many effects of one sink are under way at once. One that waits for its next attempt is not.
const CONCURRENCY: usize = 16;

/// An effect on its way: how often it was tried, and how long it waits after the next failure.
struct Try {
    effect: PendingEffect,
    attempts: u32,
    wait: Duration,
}

/// Delivers the effects of one sink. Effects of one key go in order; others do not wait for each other.
pub(crate) struct Deliverer {
    sink: Arc<dyn DispatchingSink>,
    journal: Journal,
    pending: PendingEffects,
    policy: DeliveryPolicy,
    inbox: mpsc::UnboundedReceiver<PendingEffect>,
    cancel: CancellationToken,
    /// What can be tried now.
    ready: VecDeque<Try>,
    /// The effects that wait behind the one of their key that is on its way.
    behind: HashMap<String, VecDeque<PendingEffect>>,
}

impl Deliverer {
    /// A deliverer of what comes through `inbox`.
    pub(crate) fn new(
        sink: Arc<dyn DispatchingSink>,
        journal: Journal,
        pending: PendingEffects,
        policy: DeliveryPolicy,
        inbox: mpsc::UnboundedReceiver<PendingEffect>,
        cancel: CancellationToken,
    ) -> Self {
        let (ready, behind) = (VecDeque::new(), HashMap::new());
        Self { sink, journal, pending, policy, inbox, cancel, ready, behind }
    }

    /// Runs until cancelled, or until the outbox is gone and everything is done or dead.
    ///
    /// # Errors
    /// When the journal cannot take an outcome, or the sink crashed.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut under_way: FuturesUnordered<BoxFuture<'static, Result<(Try, Attempt)>>> = FuturesUnordered::new();
        let mut resting: FuturesUnordered<BoxFuture<'static, Try>> = FuturesUnordered::new();
        let mut open = true;
        while open || !self.ready.is_empty() || !under_way.is_empty() || !resting.is_empty() {
            while under_way.len() < CONCURRENCY
                && let Some(next) = self.ready.pop_front()
            {
                under_way.push(Box::pin(attempt(Arc::clone(&self.sink), next)));
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                received = self.inbox.recv(), if open => match received {
                    Some(effect) => self.queue(effect),
                    None => open = false,
                },
                Some(rested) = resting.next() => self.ready.push_back(rested),
                Some(tried) = under_way.next() => {
                    let (tried, attempt) = tried?;
                    if let Some((tried, wait)) = self.settle(tried, attempt)? {
                        resting.push(Box::pin(async move { tokio::time::sleep(wait).await; tried }));
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts an effect where it can be tried, or behind the one of its key.
    fn queue(&mut self, effect: PendingEffect) {
        if let Some(key) = &effect.payload.key {
            if let Some(behind) = self.behind.get_mut(key) {
                return behind.push_back(effect);
            }
            self.behind.insert(key.clone(), VecDeque::new());
        }
        self.ready.push_back(Try { effect, attempts: 0, wait: self.policy.initial });
    }

    /// Takes note of how an attempt went; gives back an effect that is to be tried again, and after how long.
    fn settle(&mut self, mut tried: Try, attempt: Attempt) -> Result<Option<(Try, Duration)>> {
        tried.attempts += 1;
        let (attempts, effect) = (tried.attempts, &tried.effect);
        let (outcome, reason) = match attempt {
            Attempt::Done => (Outcome::Done, None),
            Attempt::Refused { reason } => (Outcome::Dead, Some(reason)),
            Attempt::Again { reason, .. } if attempts >= self.policy.attempts => (Outcome::Dead, Some(reason)),
            Attempt::Again { reason, after } => {
                tracing::warn!(sink = %effect.sink, effect = %effect.id, attempts, reason, "An effect will be tried again.");
                let wait = after.unwrap_or(tried.wait).min(self.policy.longest);
                tried.wait = (tried.wait * 2).min(self.policy.longest);
                return Ok(Some((tried, wait)));
            }
        };
        if let (Outcome::Dead, Some(reason)) = (&outcome, &reason) {
            tracing::error!(sink = %effect.sink, effect = %effect.id, attempts, reason, "An effect was given up.");
        }
        record_outcome(&self.journal, effect, outcome, attempts, reason)?;
        self.pending.remove(&effect.id);
        if let Some(key) = &effect.payload.key {
            match self.behind.get_mut(key).and_then(VecDeque::pop_front) {
                Some(next) => self.ready.push_back(Try { effect: next, attempts: 0, wait: self.policy.initial }),
                None => drop(self.behind.remove(key)),
            }
        }
        Ok(None)
    }
}

/// Tries an effect once.
async fn attempt(sink: Arc<dyn DispatchingSink>, next: Try) -> Result<(Try, Attempt)> {
    let tried = guarded(async { Ok(sink.deliver(&next.effect.id, &next.effect.payload).await) }).await;
    let attempt = tried.map_err(|error| error.at_node(&next.effect.sink))?;
    Ok((next, attempt))
}
