//! The feed of a provider: notifications of AWS from a queue, as notices of what is to be read again.
//!
//! ```text
//! queue ──► reception ──► batch: parsed, merged ──► notice ──► whoever reads again
//!   ▲                        │ nothing to read                    │ done: durable
//!   └────── deleted ◄────────┴────────────────────────────────────┘
//! ```
//! A message is deleted when everything that it has led to is durable, and at once where it leads to nothing: because it
//! is about something that is not collected, is not known, or is no notification at all. Each of these is counted. The
//! order of messages does not matter, since what they name is read as it is now.

mod batch;
mod counts;
mod coverage;
mod options;
mod session;

use std::sync::Arc;

use aws_config::SdkConfig;
use tidegate_pipeline::error::Result;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use counts::{Counted, Counts, FeedState};
pub use coverage::Coverage;
pub use options::EventsOptions;

use crate::notification::Target;
use crate::sqs::QueueSettings;
use session::Session;

/// Something is to be read again.
#[derive(Debug)]
pub struct Notice {
    /// What: at least one. No id of a table that is to be read whole is named besides.
    pub targets: Vec<Target>,
    /// To be told when everything that was read is durable. Where it is dropped instead, the messages come again when
    /// their visibility timeout has passed.
    pub done: oneshot::Sender<()>,
}

/// See the module.
#[derive(Debug)]
pub struct Feed {
    queue: QueueSettings,
    config: SdkConfig,
    counts: Arc<Counts>,
}

impl Feed {
    /// A feed from the queue that these options, found to be good, name, with the credentials of `config`. Nothing is
    /// asked of AWS yet.
    pub fn new(options: &EventsOptions, config: &SdkConfig) -> Self {
        let config = match options.region() {
            Some(region) => config.to_builder().region(aws_config::Region::new(region)).build(),
            None => config.clone(),
        };
        Self { queue: options.queue_settings(), config, counts: Arc::default() }
    }

    /// What has come so far.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Gives notices, in the form that whoever takes them wants, until it is cancelled or nobody takes them any more. What
    /// `place` gives for a target is read: the target as it is collected, or nothing where it is not. May be called again
    /// after it has failed.
    ///
    /// # Errors
    /// When the queue is not there or cannot be read; [`Counts::state`] says so until the next attempt.
    pub async fn give<N, P>(&self, place: P, notices: mpsc::Sender<N>, cancel: CancellationToken) -> Result<()>
    where
        N: From<Notice> + Send,
        P: Fn(Target) -> Option<Target> + Send + Sync,
    {
        let session = Session { settings: &self.queue, config: &self.config, counts: &self.counts };
        let ended = cancel.run_until_cancelled(session.run(&place, &notices)).await.unwrap_or(Ok(()));
        self.counts.set_state(match &ended {
            Ok(()) => FeedState::Stopped,
            Err(error) => FeedState::Failing { reason: error.to_string() },
        });
        ended
    }
}
