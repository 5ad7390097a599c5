//! What refreshes show of a provider's credentials, and when to try again where they are bad.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Provider;
use super::collector::Collector;
use crate::pause::doubled;

/// The pause after the first refresh that has read nothing; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause. A schedule that is quicker is not slowed down.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// See the module. That something could be read says that the credentials are good; where nothing could, the provider
/// is asked what is wrong with them.
#[derive(Default)]
pub(super) struct Credentials {
    /// Something was read since the last refresh of everything began.
    read: bool,
    /// How many refreshes in a row have read nothing.
    failures: u32,
    retry: Option<Instant>,
    verifying: Option<AbortOnDropHandle<()>>,
}

impl Credentials {
    pub(super) fn round_begins(&mut self) {
        (self.read, self.retry) = (false, None);
    }

    pub(super) fn something_was_read(&mut self) {
        self.read = true;
    }

    /// A refresh of everything has ended; `repeats`: others follow by themselves.
    pub(super) fn round_ended<P: Provider + ?Sized>(&mut self, collector: &Arc<Collector<P>>, repeats: bool) {
        let had_scopes = collector.control.status.groups.load(Ordering::Relaxed) > 0;
        if self.read || !had_scopes {
            self.failures = 0;
            collector.control.status.verified(Ok(()));
            return;
        }
        if repeats {
            self.retry = Some(Instant::now() + doubled(FIRST_PAUSE, self.failures, LONGEST_PAUSE));
            self.failures = self.failures.saturating_add(1);
        }
        let collector = Arc::clone(collector);
        let verifying = async move {
            let outcome = collector.provider.verify().await;
            collector.control.status.verified(outcome.as_ref().copied());
        };
        self.verifying = Some(AbortOnDropHandle::new(tokio::spawn(verifying)));
    }

    /// When everything is to be refreshed once more.
    pub(super) fn retry(&self) -> Option<Instant> {
        self.retry
    }

    pub(super) fn is_retry_due(&self) -> bool {
        self.retry.is_some_and(|at| at <= Instant::now())
    }
}
