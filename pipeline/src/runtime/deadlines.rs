//! The deadlines that nodes declare, so that the sequencer can journal a tick when none else comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

use crate::step::StepTime;

const NONE: i64 = i64::MAX;

/// One slot per node task; the sequencer reads the earliest.
#[derive(Clone)]
pub(crate) struct Deadlines {
    slots: Arc<[AtomicI64]>,
    changed: Arc<Notify>,
}

impl Deadlines {
    pub(crate) fn new(tasks: usize) -> Self {
        Self { slots: (0..tasks).map(|_| AtomicI64::new(NONE)).collect(), changed: Arc::default() }
    }

    /// Says when a task wants to be called.
    pub(crate) fn set(&self, slot: usize, deadline: Option<StepTime>) {
        let value = deadline.map_or(NONE, |time| time.0);
        if self.slots[slot].swap(value, Ordering::Relaxed) != value {
            self.changed.notify_one();
        }
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> Option<StepTime> {
        let earliest = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed)).min()?;
        (earliest != NONE).then_some(StepTime(earliest))
    }

    /// Waits until some deadline has changed since the last look.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
