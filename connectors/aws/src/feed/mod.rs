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
use std::time::Duration;

use aws_config::SdkConfig;
use tidegate_pipeline::error::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use counts::{Counted, Counts, FeedState};
pub use coverage::Coverage;
pub use options::EventsOptions;

use crate::notification::Target;
use crate::sqs::QueueSettings;
use session::Session;

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

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

    /// Gives notices until it is cancelled or nobody takes them any more. What `place` gives for a target is read: the
    /// target as it is collected, or nothing where it is not. A queue that cannot be read is tried again with back-off,
    /// for ever; [`Counts::state`] and the log say so.
    pub async fn run<P>(&self, place: P, notices: mpsc::Sender<Notice>, cancel: CancellationToken)
    where
        P: Fn(Target) -> Option<Target> + Send + Sync,
    {
        let mut failures = 0_u32;
        while !cancel.is_cancelled() && !notices.is_closed() {
            let before = self.counts.read(Counted::Messages);
            let session = Session { settings: &self.queue, config: &self.config, counts: &self.counts };
            let ended = tokio::select! {
                () = cancel.cancelled() => break,
                ended = session.run(&place, &notices) => ended,
            };
            let Err(error) = ended else { break };
            if self.counts.read(Counted::Messages) > before {
                failures = 0;
            }
            let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
            failures = failures.saturating_add(1);
            self.say_failed(&error, pause);
            tokio::select! {
                () = cancel.cancelled() => {}
                () = notices.closed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.counts.set_state(FeedState::Stopped);
    }

    fn say_failed(&self, error: &Error, pause: Duration) {
        let queue = &self.queue.name;
        tracing::warn!(queue, %error, again_in = ?pause, "Notifications are not received; tables are read at their refreshes only.");
        self.counts.set_state(FeedState::Failing { reason: error.to_string() });
    }
}
