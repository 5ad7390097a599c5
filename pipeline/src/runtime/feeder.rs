//! The feeder: brings journaled steps into the graph, behind the sequencer.
//!
//! The sequencer journals without waiting for the graph, up to a backlog; so what cannot be read again is
//! taken in (and answered for) also while nodes are busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use super::chain::Outgoing;
use super::checkpointing::Barrier;
use super::edge::{Closed, Item, Payload};
use crate::step::StepHeader;

/// What goes into the graph.
pub(crate) enum Feed {
    /// A step of a source (its slot), or of the engine (no slot).
    Step { header: Arc<StepHeader>, source: Option<usize>, payload: Payload, bytes: usize },
    /// A barrier after the last step.
    Barrier(Arc<Barrier>),
}

/// How much lies between the journal and the graph.
#[derive(Clone, Default)]
pub(crate) struct Backlog {
    bytes: Arc<AtomicUsize>,
    shrunk: Arc<Notify>,
}

impl Backlog {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.shrunk.notify_one();
    }

    /// Waits until it has shrunk since the last look.
    pub(crate) async fn shrunk(&self) {
        self.shrunk.notified().await;
    }
}

/// Sends steps over the edges that leave the sources.
pub(crate) struct Feeder {
    /// The edges of each source, by slot.
    pub(crate) sources: Vec<Vec<Outgoing>>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Feed>,
    pub(crate) backlog: Backlog,
}

impl Feeder {
    /// Runs until the sequencer has gone, or a node has.
    pub(crate) async fn run(mut self) {
        while let Some(feed) = self.inbox.recv().await {
            let sent = match feed {
                Feed::Step { header, source, payload, bytes } => {
                    let sent = self.step(&header, source, payload).await;
                    self.backlog.remove(bytes);
                    sent
                }
                Feed::Barrier(barrier) => self.barrier(&barrier).await,
            };
            if sent.is_err() {
                return;
            }
        }
    }

    async fn step(&self, header: &Arc<StepHeader>, source: Option<usize>, payload: Payload) -> Result<(), Closed> {
        for (slot, edges) in self.sources.iter().enumerate() {
            let own = source == Some(slot);
            for outgoing in edges {
                let rows: Vec<_> = if own {
                    payload.rows.iter().filter(|(port, _)| outgoing.ports.contains(port)).cloned().collect()
                } else {
                    Vec::new()
                };
                let tables = payload.tables.clone().filter(|_| own);
                let item = if rows.is_empty() && tables.is_none() && payload.event.is_none() {
                    Item::Blank(header.number)
                } else {
                    Item::Step(Arc::clone(header), Payload { rows, tables, event: payload.event.clone() })
                };
                outgoing.edge.send(item).await?;
            }
        }
        Ok(())
    }

    async fn barrier(&self, barrier: &Arc<Barrier>) -> Result<(), Closed> {
        for outgoing in self.sources.iter().flatten() {
            outgoing.edge.send(Item::Barrier(Arc::clone(barrier))).await?;
        }
        Ok(())
    }
}
