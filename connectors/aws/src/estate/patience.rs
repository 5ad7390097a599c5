//! How long AWS is waited for.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_types::retry::RetrySpec;

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

/// The longest pause before the second attempt where AWS limits calls; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The same where something else is wrong.
const FIRST_PAUSE_OF_OTHERS: Duration = Duration::from_millis(200);
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
        // As the SDK will do it by default. As it does it now, an attempt costs as much as ten calls: after a single
        // refusal everything of the account and region stands still for up to twenty seconds.
        let spec = RetrySpec::v2_1().with_non_throttling_initial_backoff(FIRST_PAUSE_OF_OTHERS);
        let retries = RetryConfig::adaptive().with_max_attempts(self.attempts).with_retry_spec(spec);
        retries.with_initial_backoff(FIRST_PAUSE).with_max_backoff(LONGEST_PAUSE)
    }

    pub(super) fn timeouts(self) -> TimeoutConfig {
        let timeouts = TimeoutConfig::builder().connect_timeout(self.connect).read_timeout(self.begin);
        timeouts.operation_attempt_timeout(self.whole).build()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use crate::testing::{StandIn, estate_at};

    use super::*;

    const REFUSED: &str = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit exceeded.\
                           </Message></Error></Errors></Response>";

    #[tokio::test]
    async fn a_server_that_takes_connections_and_never_answers_is_not_waited_for_for_ever() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let estate = estate_at(silent.local_addr().unwrap()).with_patience(Patience::SHORT);
        let error = estate.own().await.unwrap_err();
        assert!(
            error.message.starts_with("cannot find out whose credentials these are: AWS does not answer"),
            "{error}"
        );
        assert!(error.to_string().contains("check the network, proxies, and `endpoint_url`"), "{error}");
    }

    #[tokio::test]
    async fn whether_there_is_an_answer_at_all_is_known_within_seconds() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let begun = Instant::now();
        let error = estate_at(closed).with_patience(Patience::VERDICT).own().await.unwrap_err();
        assert!(error.message.contains("AWS does not answer") && error.message.contains("refused"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn who_is_refused_for_asking_too_often_is_told_what_would_be_less() {
        let server = StandIn::new(|_| (503, REFUSED.to_owned())).await;
        let own = server.estate().with_patience(Patience::SHORT).own().await.unwrap();
        let client = aws_sdk_ec2::Client::new(own.session(&"eu-west-1".into()).config());
        let error = client.describe_vpcs().send().await.unwrap_err();
        let error = crate::failure::failure("list the VPCs", &error);
        assert_eq!(
            error.message,
            "cannot list the VPCs: AWS limits how often it may be asked (RequestLimitExceeded: Request limit exceeded.)"
        );
        assert!(error.remedy.unwrap().contains("lower `concurrency`"));
        assert_eq!(server.asked().len(), 2);
    }
}
