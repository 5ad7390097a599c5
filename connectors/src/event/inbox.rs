//! The way of messages from a task that receives them to their source.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::Arrival;
use tidegate_pipeline::step::Position;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{Event, EventDecoder};

/// The most messages that wait, and that become one arrival.
const MESSAGES: usize = 1024;
/// The most bytes that wait; a larger message waits alone.
const BYTES: usize = 16 * 1024 * 1024;

/// The receiving end: a source's own. What it has taken it keeps, so [`Inbox::next`] is cancel-safe.
pub(crate) struct Inbox<M> {
    messages: mpsc::Receiver<Sent<M>>,
    decoder: EventDecoder,
    ready: VecDeque<Arrival>,
    failure: Option<Error>,
    /// Closed when the last feed is dropped.
    feeds: mpsc::Receiver<Infallible>,
}

/// The sending end: of the task that talks to the outside. It may be cloned.
pub(crate) struct Feed<M> {
    messages: mpsc::Sender<Sent<M>>,
    bytes: Arc<Semaphore>,
    /// Tells, by being dropped, that the task has left.
    here: mpsc::Sender<Infallible>,
}

impl<M> Clone for Feed<M> {
    fn clone(&self) -> Self {
        Self { messages: self.messages.clone(), bytes: Arc::clone(&self.bytes), here: self.here.clone() }
    }
}

/// What a source makes of a message.
#[derive(Debug)]
pub(crate) enum Taken {
    /// An event, or why it is none.
    Event(Event),
    /// Several, or none.
    Events(Vec<Event>),
    /// A message that was taken before, and where the source stands behind it: it becomes nothing, and is
    /// acknowledged again when that is durable.
    Known(Position),
}

enum Sent<M> {
    Message(M, OwnedSemaphorePermit),
    Failure(Error),
}

/// The two ends.
pub(crate) fn inbox<M>(decoder: EventDecoder) -> (Feed<M>, Inbox<M>) {
    let (sender, messages) = mpsc::channel(MESSAGES);
    let (here, feeds) = mpsc::channel(1);
    let feed = Feed { messages: sender, bytes: Arc::new(Semaphore::new(BYTES)), here };
    (feed, Inbox { messages, decoder, ready: VecDeque::new(), failure: None, feeds })
}

impl<M> Feed<M> {
    /// Hands over a message of so many bytes; waits while too much waits already. `false` when the source is gone.
    pub(crate) async fn message(&self, message: M, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes.clamp(1, BYTES)).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.bytes).acquire_many_owned(bytes).await else { return false };
        self.messages.send(Sent::Message(message, permit)).await.is_ok()
    }

    /// The source fails with this, behind everything that was handed over before.
    pub(crate) async fn failure(&self, error: Error) {
        // A source that is gone needs to know nothing.
        let _ = self.messages.send(Sent::Failure(error)).await;
    }

    /// Waits until the source is gone, or closing.
    pub(crate) async fn closed(&self) {
        self.messages.closed().await;
    }
}

impl<M> Inbox<M> {
    /// The next arrival: of what waits, in order, made events by `take`.
    ///
    /// # Errors
    /// What the task failed with, once everything before it was given.
    pub(crate) async fn next(&mut self, mut take: impl FnMut(M) -> Taken) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            if let Some(error) = self.failure.take() {
                return Err(error);
            }
            let mut sent = Vec::new();
            // From here on nothing waits: nothing can be lost.
            if self.messages.recv_many(&mut sent, MESSAGES).await == 0 {
                return Err(Error::external("the connection was given up"));
            }
            let mut events = Vec::with_capacity(sent.len());
            let mut known = None;
            for sent in sent {
                match sent {
                    Sent::Message(message, _permit) => match take(message) {
                        Taken::Event(event) => {
                            events.push(event);
                            known = None;
                        }
                        Taken::Events(several) => events.extend(several),
                        Taken::Known(position) => known = Some(position),
                    },
                    Sent::Failure(error) => self.failure = Some(error),
                }
            }
            self.ready.extend(self.decoder.decode(events)?);
            self.ready.extend(known.map(|position| self.decoder.nothing(position)));
        }
    }

    /// Takes nothing more, and waits until the task that receives has left: until it has dropped its feed.
    pub(crate) async fn close(&mut self) {
        self.messages.close();
        // What waits is thrown away. A channel that was closed says nothing of its senders: they are waited for apart.
        self.ended().await;
        let _ = self.feeds.recv().await;
    }

    /// Waits until the task that receives has ended by itself. What still comes is thrown away: it was never taken.
    pub(crate) async fn ended(&mut self) {
        while self.messages.recv().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use tidegate_pipeline::envelope::envelope_schema;

    use super::*;
    use crate::sources::testing::{context, text};

    fn event(number: u32) -> Taken {
        let position = Position(number.to_string().into());
        Taken::Event(Event {
            content: Ok(format!("{{\"n\":{number}}}").into()),
            at: number.to_string(),
            position,
            reply: None,
        })
    }

    #[tokio::test]
    async fn what_was_handed_over_before_a_failure_is_given_first() {
        let (feed, mut inbox) = inbox(EventDecoder::new(&context(), &envelope_schema([], [])));
        // The first takes all the room there is.
        assert!(feed.message(1, usize::MAX).await);
        assert!(text(&[inbox.next(event).await.unwrap().unwrap()]).contains("\"n\":1"));
        assert!(feed.message(2, 1).await);
        feed.failure(Error::external("gone")).await;
        assert!(text(&[inbox.next(event).await.unwrap().unwrap()]).contains("\"n\":2"));
        assert_eq!(inbox.next(event).await.unwrap_err().message, "gone");
    }

    #[tokio::test]
    async fn a_source_that_closes_waits_until_its_task_has_left() {
        let (feed, mut inbox) = inbox(EventDecoder::new(&context(), &envelope_schema([], [])));
        assert!(feed.message(1, usize::MAX).await);
        let left = Arc::new(AtomicBool::new(false));
        let leaving = Arc::clone(&left);
        tokio::spawn(async move {
            // There is no room for it before the first is thrown away.
            assert!(!feed.message(2, 1).await);
            feed.closed().await;
            // What it still has to say to the outside takes a while.
            tokio::time::sleep(Duration::from_millis(50)).await;
            leaving.store(true, Ordering::SeqCst);
            drop(feed);
        });
        inbox.close().await;
        assert!(left.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_task_whose_source_is_gone_is_told() {
        let (feed, inbox) = inbox(EventDecoder::new(&context(), &envelope_schema([], [])));
        drop(inbox);
        assert!(!feed.message(1, 1).await);
        feed.closed().await;
    }
}
