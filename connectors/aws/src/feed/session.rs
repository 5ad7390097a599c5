//! One connection to the queue, until it fails.

use std::time::Instant;

use aws_config::SdkConfig;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tidegate_pipeline::error::{Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::Notice;
use super::batch::Batch;
use super::counts::{Counted, Counts, FeedState};
use crate::notification::Target;
use crate::sqs::{Custody, Queue, QueueSettings, Reception, Shared};

/// How many messages become one notice while those before them are not done.
const MOST_MERGED: usize = 1_000;
/// How many notices are given on and not done.
const MOST_OPEN: usize = 32;

/// See the module.
pub(super) struct Session<'a> {
    pub(super) settings: &'a QueueSettings,
    pub(super) config: &'a SdkConfig,
    pub(super) counts: &'a Counts,
}

/// A notice that is not done, with the ids of its messages.
struct Open {
    messages: Vec<String>,
    done: bool,
}

impl Session<'_> {
    /// Receives, gives notices and deletes, until nobody takes notices any more. May be dropped at any time: what is not
    /// deleted comes again.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub(super) async fn run<N, P>(self, place: &P, notices: &mpsc::Sender<N>) -> Result<()>
    where
        N: From<Notice>,
        P: Fn(Target) -> Option<Target>,
    {
        let queue = Queue::connect(self.settings, self.config).await?;
        let mut reception = Reception::start(&queue, Custody::at(None, Instant::now())?);
        self.counts.set_state(FeedState::Receiving);
        tracing::info!(queue = queue.name(), "Notifications are received.");
        let mut open = FuturesUnordered::new();
        let mut waiting = Batch::default();
        loop {
            tokio::select! {
                Some(ended) = open.next() => self.close(ended, reception.shared()),
                permit = notices.reserve(), if waiting.leads() && open.len() < MOST_OPEN => {
                    let Ok(permit) = permit else { return Ok(()) };
                    let (notice, done) = self.notice(std::mem::take(&mut waiting));
                    open.push(done);
                    permit.send(notice.into());
                }
                () = notices.closed() => return Ok(()),
                received = reception.next(), if waiting.leading.len() < MOST_MERGED => {
                    for (message, _) in received.ok_or_else(|| self.ended())?? {
                        waiting.add(&message, place, self.counts);
                    }
                    reception.shared().settle(waiting.idle.drain(..));
                }
            }
        }
    }

    fn ended(&self) -> Error {
        Error::external(format!("messages of the queue {} are not received any more", self.settings.name))
    }

    fn notice(&self, mut batch: Batch) -> (Notice, impl Future<Output = Open> + use<>) {
        let targets = batch.targets();
        self.counts.add(Counted::Targets, targets.len());
        self.counts.add(Counted::Notices, 1);
        let (done, told) = oneshot::channel();
        let messages = batch.leading;
        (Notice { targets, done }, async move { Open { messages, done: told.await.is_ok() } })
    }

    fn close(&self, ended: Open, shared: &Shared) {
        match ended.done {
            true => {
                self.counts.add(Counted::Settled, ended.messages.len());
                shared.settle(ended.messages);
            }
            false => {
                self.counts.add(Counted::Released, ended.messages.len());
                tracing::debug!(
                    messages = ended.messages.len(),
                    "What notifications have named was not read; they come again."
                );
                shared.release(ended.messages);
            }
        }
    }
}
