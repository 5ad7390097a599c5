//! The feeder: brings journaled steps into the graph, behind the sequencer.
//!
//! The sequencer journals without waiting for the graph, up to a backlog; so what cannot be read again is
//! taken in (and answered for) also while nodes are busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use tokio::sync::{Notify, mpsc};

use super::chain::Outgoing;
use super::checkpointing::Barrier;
use super::edge::{Closed, Item, Payload};
use super::event::Event;
use crate::rows::PortIndex;
use crate::step::StepHeader;
use crate::table::TableSet;

/// What goes into the graph.
pub(crate) enum Feed {
    /// A step of a source (its slot), or of the engine (no slot).
    Step { header: Arc<StepHeader>, source: Option<usize>, payload: Payload, bytes: usize },
    /// A step by which some nodes begin with what is there: a payload for each source, by slot.
    Joined { header: Arc<StepHeader>, nodes: Vec<String>, payloads: Vec<Payload> },
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
                Feed::Joined { header, nodes, payloads } => self.joined(&header, &nodes, &payloads).await,
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
                let (rows, tables): (&[_], _) = if own { (&payload.rows, payload.tables.clone()) } else { (&[], None) };
                outgoing.edge.send(item(header, outgoing, rows, tables, payload.event.clone())).await?;
            }
        }
        Ok(())
    }

    async fn joined(&self, header: &Arc<StepHeader>, nodes: &[String], payloads: &[Payload]) -> Result<(), Closed> {
        for (edges, payload) in self.sources.iter().zip(payloads) {
            for outgoing in edges {
                let is_new = nodes.iter().any(|node| **node == *outgoing.consumer);
                let (rows, tables): (&[_], _) =
                    if is_new { (&payload.rows, payload.tables.clone()) } else { (&[], None) };
                outgoing.edge.send(item(header, outgoing, rows, tables, None)).await?;
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

/// What a step has for one edge; a blank where it has nothing.
fn item(
    header: &Arc<StepHeader>,
    outgoing: &Outgoing,
    rows: &[(PortIndex, RecordBatch)],
    tables: Option<TableSet>,
    event: Option<Arc<Event>>,
) -> Item {
    let rows: Vec<_> = rows.iter().filter(|(port, _)| outgoing.ports.contains(port)).cloned().collect();
    match rows.is_empty() && tables.is_none() && event.is_none() {
        true => Item::Blank(header.number),
        false => Item::Step(Arc::clone(header), Payload { rows, tables, event }),
    }
}
