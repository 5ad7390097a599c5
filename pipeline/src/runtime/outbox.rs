//! The outbox: effects are journaled, payload and all, before they leave; `delivery` tries them until they are
//! done or dead.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::effects::{Bounds, Effect, EffectIdentity, Ledger, OVERFLOW};
use crate::error::Result;
use crate::journal::Journal;
use crate::journal::record::{OutboxEffect, OutboxRecord, Record};
use crate::sink::{Breaker, DeliveryTerms, Rate};
use crate::step::StepNumber;
use crate::testing::crash;

/// How often and how patiently an effect is tried, and how many wait.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryPolicy {
    /// The wait after the first failure; it doubles.
    pub initial: Duration,
    /// The longest wait of our own.
    pub longest: Duration,
    /// The longest wait that the other side may ask for (`Retry-After`).
    pub longest_asked: Duration,
    /// How long one attempt may take.
    pub attempt: Duration,
    /// Attempts before the effect is dead, over all starts. They are counted anew after a retry.
    pub attempts: u32,
    /// How many effects of one sink are under way at once. One that waits for its next attempt is not.
    pub concurrency: usize,
    /// How many effects of one sink may leave; without, as many as there are.
    pub rate: Option<Rate>,
    /// When a destination that fails is left alone; without, never.
    pub breaker: Option<Breaker>,
    /// Whether waits of our own are of any length up to what they could be. Otherwise they are of that length.
    pub jitter: bool,
    /// Effects of one sink that may wait at once; beyond it new ones are dead, reason `overflow`.
    pub bound: usize,
    /// Their memory, in bytes; beyond it new ones are dead, too.
    pub bound_bytes: usize,
    /// Dead effects of a pipeline that are kept, to be looked at and retried; the oldest go first.
    pub dead: usize,
    /// Their memory, in bytes.
    pub dead_bytes: usize,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            longest_asked: Duration::from_secs(3600),
            attempt: Duration::from_secs(60),
            attempts: 12,
            concurrency: 16,
            rate: None,
            breaker: None,
            jitter: true,
            bound: 100_000,
            bound_bytes: 256 * 1024 * 1024,
            dead: 10_000,
            dead_bytes: 64 * 1024 * 1024,
        }
    }
}

impl DeliveryPolicy {
    /// The policy for a sink with terms of its own.
    pub(crate) fn on(self, terms: &DeliveryTerms) -> Self {
        Self {
            initial: terms.initial.unwrap_or(self.initial),
            longest: terms.longest.unwrap_or(self.longest),
            attempts: terms.attempts.unwrap_or(self.attempts),
            attempt: terms.attempt.unwrap_or(self.attempt),
            concurrency: terms.concurrency.unwrap_or(self.concurrency).max(1),
            rate: terms.rate.or(self.rate),
            breaker: terms.breaker.or(self.breaker),
            ..self
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { intended: self.bound, intended_bytes: self.bound_bytes, dead: self.dead, dead_bytes: self.dead_bytes }
    }
}

/// The outbox of one sink.
#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) sink: Arc<str>,
    pub(crate) identity: EffectIdentity,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) deliver: mpsc::UnboundedSender<Arc<Effect>>,
}

impl Outbox {
    /// Journals the effects of one step of one input edge, with the mark, then lets them leave.
    pub(crate) async fn intend(&self, input: u32, through: StepNumber, effects: Vec<OutboxEffect>) -> Result<()> {
        let record = OutboxRecord { sink: self.sink.to_string(), input, through, effects };
        crash::point("outbox.append");
        self.journal.append(&Record::Outbox(record.clone()))?;
        let effects = self.identity.effects_of(record);
        let refused = self.ledger.refuse_overflow(&self.journal, &self.sink, &effects)?;
        crash::point("outbox.appended");
        self.journal.sync(self.journal.end()).await?;
        crash::point("outbox.synced");
        self.ledger.intend(&effects);
        for (outcome, at) in &refused {
            self.ledger.replay(outcome, *at);
        }
        if !refused.is_empty() {
            let (sink, count) = (&self.sink, refused.len());
            tracing::error!(%sink, count, reason = OVERFLOW, "Effects were given up: too many wait already.");
        }
        for effect in effects.into_iter().filter(|effect| self.ledger.is_intended(&effect.id)) {
            // The deliverer ends only with the pipeline; what it did not take stays intended.
            let _ = self.deliver.send(effect);
        }
        Ok(())
    }
}
