//! Messages of a queue of SQS, in custody until what they have led to is durable.
//!
//! ```text
//! queue ──► receiver ──► messages ──► whoever makes something of them
//!   ▲                                              │
//!   └── keeper: extends until settled ◄────────────┘ then deletes
//! ```
//! What makes events of messages (`aws_sqs_queue`) and what makes targets of them (`feed`) share this.

mod custody;
mod keeper;
mod queue;
mod receiver;

use std::sync::Arc;

use aws_sdk_sqs::types::Message;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

pub(crate) use custody::Custody;
pub(crate) use keeper::Shared;
pub(crate) use queue::{Queue, QueueSettings};
pub(crate) use receiver::Received;

/// How many answers of the queue wait to be looked at.
const WAITING: usize = 4;

/// Messages as they are received. The tasks behind it end when it is dropped.
pub(crate) struct Reception {
    received: mpsc::Receiver<Received>,
    shared: Arc<Shared>,
    receiver: AbortHandle,
    _tasks: JoinSet<()>,
}

impl Reception {
    /// Begins to receive.
    pub(crate) fn start(queue: &Queue, custody: Custody) -> Self {
        let shared = Arc::new(Shared::new(custody));
        let (messages, received) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        tasks.spawn(keeper::keep(queue.clone(), Arc::clone(&shared)));
        let receiver = tasks.spawn(receiver::receive(queue.clone(), Arc::clone(&shared), messages));
        Self { received, shared, receiver, _tasks: tasks }
    }

    /// The next messages of one answer of the queue, each with whether an earlier life has given it to the journal.
    /// Cancel-safe. `None` when nothing is received any more.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        self.received.recv().await
    }

    /// Takes no more messages, and waits until those are deleted that are to be.
    pub(crate) async fn close(&self) {
        self.receiver.abort();
        while self.shared.custody.lock().is_leaving() {
            self.shared.room.notified().await;
        }
    }

    /// The messages that are not deleted yet.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// The id of a message.
pub(crate) fn id_of(message: &Message) -> &str {
    message.message_id().unwrap_or_default()
}
