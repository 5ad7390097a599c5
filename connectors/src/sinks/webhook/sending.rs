//! How requests are sent: the options that `webhook` and its presets share.

use std::path::{Path, PathBuf};
use std::time::Duration as Time;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{Breaker, DeliveryTerms, Rate};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{ByteSize, Duration, Options};

use crate::places::Places;
use crate::tls::TlsSettings;

/// The most requests that may be under way at once.
const MOST_AT_ONCE: usize = 256;
/// The most requests of a stretch of time that a rate may name.
const MOST_OF_A_RATE: usize = 10_000;
/// The longest that one request may take.
const LONGEST_TIMEOUT: Time = Time::from_secs(600);
/// The longest body that may be allowed: a record of the journal holds the bodies of a step.
const LONGEST_BODY: u64 = 8 * 1024 * 1024;

/// How requests are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendingOptions {
    /// SQL over the row: effects of one key arrive in order. Without, none waits for another.
    pub key: Option<Located<String>>,
    /// How long one request may take, until the end of the answer.
    #[serde(default = "half_a_minute")]
    pub timeout: Duration,
    /// How often and how patiently a request is tried again.
    #[serde(default)]
    pub retry: RetryOptions,
    /// The most requests in a stretch of time: `10/s`, `100/m`, `1000/h`.
    pub rate: Option<String>,
    /// How many requests are under way at once. At most 256.
    #[serde(default = "sixteen")]
    pub concurrency: usize,
    /// When a destination that fails is left alone.
    #[serde(default)]
    pub breaker: BreakerOptions,
    /// Whether redirects (307, 308) to the same server are followed. Others never are: the request would become another.
    #[serde(default)]
    pub redirects: bool,
    /// The longest body of a request; a row that would make a longer one goes to the port `errors`.
    #[serde(default = "a_mebibyte")]
    pub max_body: ByteSize,
    /// Whether the certificate of the server is verified.
    #[serde(default = "yes")]
    pub verify_ssl: bool,
    /// PEM certificates of the authorities that are trusted; those of the system where there is none.
    pub cafile: Option<PathBuf>,
    /// Our own PEM certificate, for servers that ask for one (mTLS).
    pub certfile: Option<PathBuf>,
    /// Its PEM key.
    pub keyfile: Option<PathBuf>,
}

/// How often and how patiently a request is tried again. What the server asks for with `Retry-After` comes first, up to
/// an hour.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetryOptions {
    /// The longest wait after the first failure; it doubles. How long of it is waited is random, so that many do not
    /// come back together.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Attempts before the effect is given up.
    pub attempts: u32,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { initial: Duration::seconds(1), max: Duration::seconds(300), attempts: 12 }
    }
}

/// When a destination is left alone: after so many failures in a row nothing is sent for a while, then one request is
/// tried.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerOptions {
    /// Failures in a row (no answer, 408, 425, 429, 5xx); 0: it is never left alone.
    pub failures: u32,
    /// How long it is left alone at first; the time doubles up to `retry.max`.
    pub rest: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures: 10, rest: Duration::seconds(10) }
    }
}

fn half_a_minute() -> Duration {
    Duration::seconds(30)
}

fn sixteen() -> usize {
    16
}

fn a_mebibyte() -> ByteSize {
    ByteSize::mebibytes(1)
}

fn yes() -> bool {
    true
}

/// How requests are sent, checked.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    pub(super) terms: DeliveryTerms,
    pub(super) timeout: Time,
    pub(super) redirects: bool,
    pub(super) longest_body: usize,
    pub(super) verifies: bool,
    pub(super) tls: TlsSettings,
}

impl SendingOptions {
    /// Finds what the types cannot say. Relative paths are relative to `folder`.
    pub(super) fn check(&self, places: &Places<'_>, folder: &Path, found: &mut Vec<Diagnostic>) -> Sending {
        let timeout = self.timeout.0;
        if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
            found.push(places.at("timeout", "`timeout` is more than 0s and at most 10m"));
        }
        if !(1..=MOST_AT_ONCE).contains(&self.concurrency) {
            found.push(places.at("concurrency", format!("`concurrency` is between 1 and {MOST_AT_ONCE}")));
        }
        if self.retry.attempts == 0 {
            found.push(places.at("retry", "`attempts` is at least 1"));
        }
        if self.retry.initial.0.is_zero() || self.retry.max.0 < self.retry.initial.0 {
            found.push(places.at("retry", "`initial` is more than 0s and not longer than `max`"));
        }
        if self.breaker.failures > 0 && self.breaker.rest.0.is_zero() {
            found.push(places.at("breaker", "`rest` is more than 0s; `failures: 0` switches the breaker off"));
        }
        if !(1..=LONGEST_BODY).contains(&self.max_body.0) {
            found.push(places.at("max_body", "`max_body` is more than 0 and at most 8MiB"));
        }
        if self.certfile.is_some() != self.keyfile.is_some() {
            let key = if self.certfile.is_some() { "certfile" } else { "keyfile" };
            found.push(places.at(key, "`certfile` and `keyfile` are given together"));
        }
        let rate = self.rate.as_deref().and_then(|text| {
            let rate = rate(text);
            if rate.is_none() {
                found.push(places.at(
                    "rate",
                    format!("`{text}` is no rate: write `10/s`, `100/m` or `1000/h`, at most {MOST_OF_A_RATE}"),
                ));
            }
            rate
        });
        let full = |file: &Option<PathBuf>| file.as_ref().map(|file| folder.join(file));
        let breaker = Breaker { failures: self.breaker.failures, rest: self.breaker.rest.0 };
        Sending {
            terms: DeliveryTerms {
                initial: Some(self.retry.initial.0),
                longest: Some(self.retry.max.0),
                attempts: Some(self.retry.attempts),
                // The client's own limit comes first and says more.
                attempt: Some(timeout + Time::from_secs(5)),
                concurrency: Some(self.concurrency),
                rate,
                breaker: Some(breaker).filter(|breaker| breaker.failures > 0),
            },
            timeout,
            redirects: self.redirects,
            longest_body: self.max_body.bytes(),
            verifies: self.verify_ssl,
            tls: TlsSettings {
                cafile: full(&self.cafile),
                certfile: full(&self.certfile),
                keyfile: full(&self.keyfile),
                with_system: false,
            },
        }
    }

    /// The expression of `key`, planned.
    pub(super) fn key(
        &self,
        options: &Options,
        context: &mut PlanContext<'_>,
    ) -> Result<Option<Expression>, Diagnostic> {
        let Some(text) = &self.key else { return Ok(None) };
        let expression = Expression::plan(&options.sql(text), &context.schema, context.open, context.warnings)?;
        match expression.data_type() {
            nested if nested.is_nested() => {
                Err(Diagnostic::error(text.place, format!("a key is one value; this is {nested}")))
            }
            _ => Ok(Some(expression)),
        }
    }
}

/// `10/s`, `100/m`, `1000/h`.
fn rate(text: &str) -> Option<Rate> {
    let (count, unit) = text.split_once('/')?;
    let count = count.trim().parse().ok().filter(|count| (1..=MOST_OF_A_RATE).contains(count))?;
    let per = match unit.trim() {
        "s" => Time::from_secs(1),
        "m" => Time::from_secs(60),
        "h" => Time::from_secs(3600),
        _ => return None,
    };
    Some(Rate { count, per })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        assert_eq!(rate("10/s"), Some(Rate { count: 10, per: Time::from_secs(1) }));
        assert_eq!(rate(" 100 / m ").map(|rate| rate.per.as_secs()), Some(60));
        for wrong in ["10", "0/s", "10/d", "ten/s", "-1/s", "20000/s", ""] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }
}
