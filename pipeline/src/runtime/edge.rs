//! Edges: bounded queues of steps between node tasks.
//!
//! An edge carries every step, as rows or as a blank. Blanks coalesce in the queue, so that a branch that
//! nothing concerns costs nothing. An edge admits a step whole, also one larger than its bound when it is
//! empty; together with "a node sends a step to all its outputs before it takes the next" no graph without
//! cycles can deadlock at any capacity.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::checkpointing::Barrier;
use super::event::Event;
use crate::rows::PortIndex;
use crate::step::{StepHeader, StepNumber};
use crate::table::TableSet;

/// What an edge carries.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A step that has something for this edge.
    Step(Arc<StepHeader>, Payload),
    /// Nothing up to and including this step.
    Blank(StepNumber),
    /// "After step n" of a checkpoint: everything before it on this edge belongs to the checkpoint.
    Barrier(Arc<Barrier>),
}

/// What a step has for an edge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload {
    /// Rows by port of the producer.
    pub(crate) rows: Vec<(PortIndex, RecordBatch)>,
    /// The tables of the provider that produced the step, when a scope ended.
    pub(crate) tables: Option<TableSet>,
    /// What the engine says to nodes. Goes over every edge.
    pub(crate) event: Option<Arc<Event>>,
}

impl Payload {
    fn row_count(&self) -> usize {
        self.rows.iter().map(|(_, batch)| batch.num_rows()).sum()
    }

    fn byte_count(&self) -> usize {
        self.rows.iter().map(|(_, batch)| batch.get_array_memory_size()).sum()
    }
}

/// How much an edge holds before its producer waits.
#[derive(Debug, Clone, Copy)]
pub struct EdgeCapacity {
    /// Rows.
    pub rows: usize,
    /// Bytes of Arrow buffers.
    pub bytes: usize,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<(Item, usize, usize)>,
    rows: usize,
    bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    capacity: EdgeCapacity,
    pushed: Arc<Notify>,
    popped: Notify,
}

/// The producer's end.
pub(crate) struct EdgeSender(Arc<Shared>);

/// The consumer's end.
pub(crate) struct EdgeReceiver(Arc<Shared>);

/// Reads how full an edge is.
#[derive(Clone)]
pub(crate) struct EdgeGauge(Arc<Shared>);

/// The consumer has gone: it failed, and its error is on the way.
#[derive(Debug)]
pub(crate) struct Closed;

/// What stands at the head of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// Nothing yet.
    Empty,
    /// A step that has something.
    Step(StepNumber),
    /// Nothing up to this step.
    Blank(StepNumber),
    /// A barrier after this step.
    Barrier(StepNumber),
    /// The producer has ended.
    Ended,
}

/// A new edge. `pushed` wakes the consumer; all edges of one consumer share it.
pub(crate) fn edge(capacity: EdgeCapacity, pushed: Arc<Notify>) -> (EdgeSender, EdgeReceiver, EdgeGauge) {
    let queue = Mutex::new(Queue::default());
    let shared = Arc::new(Shared { queue, capacity, pushed, popped: Notify::new() });
    (EdgeSender(Arc::clone(&shared)), EdgeReceiver(Arc::clone(&shared)), EdgeGauge(shared))
}

impl EdgeSender {
    /// Puts an item into the edge; waits for room if it is a step.
    pub(crate) async fn send(&self, item: Item) -> Result<(), Closed> {
        let (rows, bytes) = match &item {
            Item::Step(_, payload) => (payload.row_count(), payload.byte_count()),
            Item::Blank(_) | Item::Barrier(_) => (0, 0),
        };
        loop {
            let room = self.0.popped.notified();
            {
                let mut queue = self.0.queue.lock();
                if queue.receiver_gone {
                    return Err(Closed);
                }
                if queue.admits(rows, bytes, self.0.capacity) {
                    queue.push(item, rows, bytes);
                    break;
                }
            }
            room.await;
        }
        self.0.pushed.notify_one();
        Ok(())
    }
}

impl Queue {
    fn admits(&self, rows: usize, bytes: usize, capacity: EdgeCapacity) -> bool {
        rows == 0 || self.rows == 0 || (self.rows + rows <= capacity.rows && self.bytes + bytes <= capacity.bytes)
    }

    fn push(&mut self, item: Item, rows: usize, bytes: usize) {
        if let (Item::Blank(through), Some((Item::Blank(last), _, _))) = (&item, self.items.back_mut()) {
            *last = *through;
            return;
        }
        self.rows += rows;
        self.bytes += bytes;
        self.items.push_back((item, rows, bytes));
    }
}

impl EdgeReceiver {
    /// What stands at the head.
    pub(crate) fn head(&self) -> Head {
        let queue = self.0.queue.lock();
        match queue.items.front() {
            Some((Item::Step(header, _), _, _)) => Head::Step(header.number),
            Some((Item::Blank(through), _, _)) => Head::Blank(*through),
            Some((Item::Barrier(barrier), _, _)) => Head::Barrier(barrier.step),
            None if queue.sender_gone => Head::Ended,
            None => Head::Empty,
        }
    }

    /// Takes the head.
    pub(crate) fn pop(&self) -> Option<Item> {
        let item = {
            let mut queue = self.0.queue.lock();
            let (item, rows, bytes) = queue.items.pop_front()?;
            queue.rows -= rows;
            queue.bytes -= bytes;
            item
        };
        self.0.popped.notify_one();
        Some(item)
    }

    /// Takes the head if it is a blank that says nothing beyond `through`.
    pub(crate) fn pop_blank(&self, through: StepNumber) {
        let mut queue = self.0.queue.lock();
        if matches!(queue.items.front(), Some((Item::Blank(last), _, _)) if *last <= through) {
            queue.items.pop_front();
        }
    }
}

impl EdgeGauge {
    /// Rows in the queue.
    pub(crate) fn rows(&self) -> usize {
        self.0.queue.lock().rows
    }
}

impl Drop for EdgeSender {
    fn drop(&mut self) {
        self.0.queue.lock().sender_gone = true;
        self.0.pushed.notify_one();
    }
}

impl Drop for EdgeReceiver {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.receiver_gone = true;
        queue.items.clear();
        drop(queue);
        self.0.popped.notify_one();
    }
}
