//! The outbox: effects are journaled before they leave; `delivery` tries them until they are done or dead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

use crate::error::Result;
use crate::journal::Journal;
use crate::journal::record::{OutboxEffect, OutboxRecord, Outcome, OutcomeRecord, Record};
use crate::sink::EffectPayload;
use crate::step::{Incarnation, Shard, StepNumber};

/// How often and how patiently an effect is tried.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryPolicy {
    /// The wait after the first failure; it doubles.
    pub initial: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Attempts before the effect is dead.
    pub attempts: u32,
    /// Effects that may wait at once; beyond it new ones are dead, reason `overflow`.
    pub bound: usize,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), longest: Duration::from_secs(300), attempts: 12, bound: 100_000 }
    }
}

/// An effect that is neither done nor dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingEffect {
    pub(crate) sink: String,
    pub(crate) id: String,
    /// The order in which it was intended, within its sink.
    pub(crate) order: (u64, u32, u32),
    pub(crate) payload: EffectPayload,
}

/// Every effect of a pipeline that is neither done nor dead.
#[derive(Clone, Default)]
pub(crate) struct PendingEffects {
    effects: Arc<Mutex<BTreeMap<String, PendingEffect>>>,
    settled: Arc<Notify>,
}

impl PendingEffects {
    pub(crate) fn add(&self, effect: PendingEffect) {
        self.effects.lock().insert(effect.id.clone(), effect);
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut effects = self.effects.lock();
        effects.remove(id);
        if effects.is_empty() {
            self.settled.notify_waiters();
        }
    }

    /// All of them, in the order of intent.
    pub(crate) fn all(&self) -> Vec<PendingEffect> {
        let mut all: Vec<PendingEffect> = self.effects.lock().values().cloned().collect();
        all.sort_by(|a, b| (&a.sink, a.order).cmp(&(&b.sink, b.order)));
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.effects.lock().len()
    }

    /// Waits until there are none.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            if self.effects.lock().is_empty() {
                return;
            }
            settled.await;
        }
    }
}

/// What the ids of a pipeline's effects begin with.
#[derive(Debug, Clone)]
pub(crate) struct EffectIdentity {
    pub(crate) pipeline: Arc<str>,
    pub(crate) shard: Shard,
    pub(crate) incarnation: Incarnation,
}

impl EffectIdentity {
    pub(crate) fn id(&self, sink: &str, input: u32, step: StepNumber, row: u32) -> String {
        let Self { pipeline, shard, incarnation } = self;
        format!("{pipeline}/{}/{}/{sink}/{input}/{step}/{row}", shard.0, incarnation.0)
    }
}

/// The outbox of one sink.
#[derive(Clone)]
pub(crate) struct Outbox {
    pub(crate) sink: Arc<str>,
    pub(crate) identity: EffectIdentity,
    pub(crate) journal: Journal,
    pub(crate) pending: PendingEffects,
    pub(crate) policy: DeliveryPolicy,
    pub(crate) deliver: mpsc::UnboundedSender<PendingEffect>,
}

impl Outbox {
    /// Journals the effects of one step of one input edge, with the mark, then lets them leave.
    pub(crate) async fn intend(&self, input: u32, through: StepNumber, effects: Vec<OutboxEffect>) -> Result<()> {
        let record = OutboxRecord { sink: self.sink.to_string(), input, through, effects };
        let position = self.journal.append(&Record::Outbox(record.clone()))?;
        self.journal.sync(position).await?;
        for effect in pending_of(&record, &self.identity) {
            if self.pending.len() >= self.policy.bound {
                record_outcome(&self.journal, &effect, Outcome::Dead, 0, Some("overflow".to_owned()))?;
                tracing::error!(sink = %self.sink, effect = %effect.id, "An effect was given up: the outbox is full.");
                continue;
            }
            self.pending.add(effect.clone());
            // The deliverer ends only with the pipeline; what it did not take stays pending.
            let _ = self.deliver.send(effect);
        }
        Ok(())
    }
}

/// The effects of an outbox record.
pub(crate) fn pending_of(record: &OutboxRecord, identity: &EffectIdentity) -> Vec<PendingEffect> {
    let pending = |effect: &OutboxEffect| PendingEffect {
        sink: record.sink.clone(),
        id: identity.id(&record.sink, record.input, effect.step, effect.row),
        order: (effect.step.0, record.input, effect.row),
        payload: effect.payload.clone(),
    };
    record.effects.iter().map(pending).collect()
}

pub(super) fn record_outcome(
    journal: &Journal,
    effect: &PendingEffect,
    outcome: Outcome,
    attempts: u32,
    reason: Option<String>,
) -> Result<()> {
    let record = OutcomeRecord { sink: effect.sink.clone(), effect: effect.id.clone(), outcome, attempts, reason };
    journal.append(&Record::Outcome(record)).map(drop)
}
