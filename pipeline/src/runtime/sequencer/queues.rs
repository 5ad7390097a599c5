//! The queues of the sources, taken from in turn.

use std::future::poll_fn;
use std::task::Poll;

use tokio::sync::mpsc;

use crate::runtime::source_task::FromSource;

/// What a queue gives: a message, or the news that its source has gone without one.
pub(super) type Taken = (usize, Option<FromSource>);

/// The queues of all sources of one kind of delivery, by slot.
#[derive(Default)]
pub(super) struct Queues {
    queues: Vec<(usize, mpsc::Receiver<FromSource>)>,
    /// Where the next look begins, so that no source is taken from before others for ever.
    turn: usize,
    /// A message that was taken and has to wait for its own turn.
    held: Option<Taken>,
}

impl Queues {
    /// Adds the queue of a slot.
    pub(super) fn add(&mut self, slot: usize, queue: mpsc::Receiver<FromSource>) {
        self.queues.push((slot, queue));
    }

    /// Drops the queue of a slot.
    pub(super) fn remove(&mut self, slot: usize) {
        self.queues.retain(|(of, _)| *of != slot);
    }

    /// Whether nothing can come any more.
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.held.is_none()
    }

    /// The queue of a slot.
    pub(super) fn of(&mut self, slot: usize) -> Option<&mut mpsc::Receiver<FromSource>> {
        self.queues.iter_mut().find(|(of, _)| *of == slot).map(|(_, queue)| queue)
    }

    /// Puts a message back: it is what [`Queues::next`] gives next.
    pub(super) fn hold(&mut self, slot: usize, message: FromSource) {
        self.held = Some((slot, Some(message)));
    }

    /// The next message of any source; pends for ever when there are no queues. Cancel-safe.
    pub(super) async fn next(&mut self) -> Taken {
        if let Some(held) = self.held.take() {
            return held;
        }
        poll_fn(|context| {
            let count = self.queues.len();
            for offset in 0..count {
                let index = (self.turn + offset) % count;
                let (slot, queue) = &mut self.queues[index];
                if let Poll::Ready(message) = queue.poll_recv(context) {
                    self.turn = index + 1;
                    return Poll::Ready((*slot, message));
                }
            }
            Poll::Pending
        })
        .await
    }
}
