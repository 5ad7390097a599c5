//! How long AWS is waited for.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;

/// How long AWS is waited for, and how often it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How often a call is tried. Where AWS limits calls, they wait for their turn before they are refused.
    attempts: u32,
    /// How long making a connection may take.
    connect: Duration,
    /// How long it may take until an answer begins. Listings begin within seconds; queues are asked to wait for twenty.
    begin: Duration,
    /// How long an answer may take as a whole: a server that gives a byte now and then would hold up a table for ever.
    whole: Duration,
}

/// The longest pause before the second attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl Patience {
    /// Of a refresh, which nobody waits for.
    pub(crate) const REFRESH: Self = Self {
        attempts: 8,
        connect: Duration::from_secs(5),
        begin: Duration::from_secs(60),
        whole: Duration::from_secs(300),
    };
    /// Of somebody who wants to know whether there is an answer at all.
    pub(crate) const VERDICT: Self = Self {
        attempts: 2,
        connect: Duration::from_secs(3),
        begin: Duration::from_secs(10),
        whole: Duration::from_secs(20),
    };
    /// Of tests.
    #[cfg(test)]
    pub(crate) const SHORT: Self = Self {
        attempts: 2,
        connect: Duration::from_secs(1),
        begin: Duration::from_millis(300),
        whole: Duration::from_secs(1),
    };

    pub(super) fn retries(self) -> RetryConfig {
        let retries = RetryConfig::adaptive().with_max_attempts(self.attempts);
        retries.with_initial_backoff(FIRST_PAUSE).with_max_backoff(LONGEST_PAUSE)
    }

    pub(super) fn timeouts(self) -> TimeoutConfig {
        let timeouts = TimeoutConfig::builder().connect_timeout(self.connect).read_timeout(self.begin);
        timeouts.operation_attempt_timeout(self.whole).build()
    }
}
