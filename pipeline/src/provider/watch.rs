//! Listening to a provider's notices, again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::collector::panic_text;
use super::control::RefreshControl;
use super::{Notice, Notices};
use crate::error::{Error, Result};
use crate::pause::doubled;

/// How many notices wait to be taken.
const WAITING: usize = 1_024;
/// The pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause. Who listened for longer begins with the first again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Notices as they come, until this is dropped.
pub(super) struct Watch {
    notices: mpsc::Receiver<Notice>,
    _listening: AbortOnDropHandle<()>,
}

impl Watch {
    pub(super) fn start(notices: Arc<dyn Notices>, control: Arc<RefreshControl>, cancel: CancellationToken) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let listening = tokio::spawn(listen(notices, sender, control, cancel));
        Self { notices: receiver, _listening: AbortOnDropHandle::new(listening) }
    }

    /// The next notice; never one, when there will be none any more. Cancel-safe.
    pub(super) async fn next(&mut self) -> Notice {
        match self.notices.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        }
    }
}

async fn listen(
    notices: Arc<dyn Notices>,
    sender: mpsc::Sender<Notice>,
    control: Arc<RefreshControl>,
    cancel: CancellationToken,
) {
    let mut failures = 0;
    while !cancel.is_cancelled() {
        let begun = Instant::now();
        let (giving, to, until) = (Arc::clone(&notices), sender.clone(), cancel.clone());
        // In a task, so that a panic is a failure like any other.
        let giving = AbortOnDropHandle::new(tokio::spawn(async move { giving.give(to, until).await }));
        let ended: Result<()> = match giving.await {
            Ok(ended) => ended,
            Err(error) => Err(Error::internal(format!("listening panicked: {}", panic_text(error)))),
        };
        let Err(error) = ended else { break };
        if begun.elapsed() > LONGEST_PAUSE {
            failures = 0;
        }
        let pause = doubled(FIRST_PAUSE, failures, LONGEST_PAUSE);
        tracing::warn!(%error, ?pause, "No notices come; that is tried again.");
        control.status.notices(Some(error.message));
        if cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break;
        }
        failures = failures.saturating_add(1);
        control.status.notices(None);
    }
}
