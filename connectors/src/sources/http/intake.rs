//! The queue between the callers and the source.

use std::time::Duration;

use tidegate_pipeline::source::Reply;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::timeout;

use super::refusal::Refusal;
use super::seen::SeenId;

/// How many requests wait until the source takes them. More are told to come again.
pub(super) const QUEUE: usize = 1024;

/// A request that has been checked, on its way into the journal.
#[derive(Debug)]
pub(crate) struct Submission {
    /// What its sender calls it.
    pub(super) id: Option<SeenId>,
    /// Its events, as lines.
    pub(super) lines: Vec<Vec<u8>>,
    /// Its caller.
    pub(super) reply: Reply,
    /// The room that its body takes.
    pub(super) _room: OwnedSemaphorePermit,
}

/// The callers' end.
pub(super) struct Intake {
    queue: mpsc::Sender<Submission>,
    patience: Duration,
}

impl Intake {
    pub(super) fn new(patience: Duration) -> (Self, mpsc::Receiver<Submission>) {
        let (queue, submissions) = mpsc::channel(QUEUE);
        (Self { queue, patience }, submissions)
    }

    /// Hands events over and waits until they are durable.
    pub(super) async fn submit(
        &self,
        id: Option<SeenId>,
        lines: Vec<Vec<u8>>,
        room: OwnedSemaphorePermit,
    ) -> Result<(), Refusal> {
        let (reply, durable) = oneshot::channel();
        self.queue.try_send(Submission { id, lines, reply, _room: room }).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::later("Too many events wait to be taken: come again later"),
            TrySendError::Closed(_) => stopping(),
        })?;
        match timeout(self.patience, durable).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(Refusal::later("The event has not become durable in time: send it again")),
        }
    }
}

fn stopping() -> Refusal {
    Refusal::later("The pipeline is stopping: come again later").closing()
}
