//! The options of `url_check`.

use std::path::Path;
use std::time::Duration as Time;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::Duration;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use url::Url;

use crate::cassette::{Cassette, CassetteOptions};
use crate::places::Places;
use crate::sources::{http_client, seconds};

/// The most checks at a time that may be wanted.
const MOST_AT_A_TIME: usize = 1024;

/// Which checks are events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// Every one.
    #[default]
    All,
    /// The first of each URL, and those whose status or code is another than that of the check before.
    Changes,
}

/// The options of `url_check`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UrlCheckOptions {
    /// The URLs to ask. Without any the source ends at once.
    pub urls: Vec<String>,
    /// Seconds between the end of a round and the next.
    #[serde(default = "one")]
    pub delay: f64,
    /// Whether certificates are verified.
    #[serde(default = "yes")]
    pub verify_ssl: bool,
    /// How long an answer may take, redirects included.
    #[serde(default = "half_a_minute")]
    pub timeout: Duration,
    /// The status codes that mean `up`.
    #[serde(default = "ok")]
    pub expect: Vec<u16>,
    /// Which checks are events: `all`, or only `changes`.
    #[serde(default)]
    pub emit: Emit,
    /// How many URLs are asked at a time.
    #[serde(default = "sixteen")]
    pub concurrency: usize,
    /// A cassette: the answers recorded once and replayed ever after. An answer that does not come is not recorded.
    pub cassette: Option<CassetteOptions>,
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

fn half_a_minute() -> Duration {
    Duration::seconds(30)
}

fn ok() -> Vec<u16> {
    vec![200]
}

fn sixteen() -> usize {
    16
}

/// What is asked, and how.
pub(super) struct Checks {
    pub(super) urls: Vec<Url>,
    pub(super) delay: Time,
    pub(super) timeout: Time,
    pub(super) verifies: bool,
    pub(super) expect: Vec<u16>,
    pub(super) emit: Emit,
    pub(super) concurrency: usize,
    pub(super) cassette: Option<Cassette>,
}

impl UrlCheckOptions {
    /// Finds what the types cannot say. Relative paths are relative to `folder`.
    pub(super) fn check(&self, places: &Places<'_>, folder: &Path) -> Result<Checks, Vec<Diagnostic>> {
        let (mut found, mut urls) = (Vec::new(), Vec::new());
        for (number, url) in self.urls.iter().enumerate() {
            match http_client::parse(url) {
                Ok(url) => urls.push(url),
                Err(why) => found.push(places.at("urls", format!("URL {}: {why}", number + 1))),
            }
        }
        let delay = seconds(self.delay);
        if delay.is_none() {
            found.push(places.at("delay", "`delay` must be a number of seconds, 0 or more"));
        }
        if self.timeout.0.is_zero() {
            found.push(places.at("timeout", "`timeout` must be more than 0s"));
        }
        if let Some(code) = self.expect.iter().find(|code| !(100..1000).contains(*code)) {
            found.push(places.at("expect", format!("{code} is no status code")));
        }
        if !(1..=MOST_AT_A_TIME).contains(&self.concurrency) {
            found.push(places.at("concurrency", format!("`concurrency` must be between 1 and {MOST_AT_A_TIME}")));
        }
        match delay {
            Some(delay) if found.is_empty() => Ok(Checks {
                urls,
                delay,
                timeout: self.timeout.0,
                verifies: self.verify_ssl,
                expect: self.expect.clone(),
                emit: self.emit,
                concurrency: self.concurrency,
                cassette: self.cassette.as_ref().map(|cassette| cassette.insert(folder, places.0)),
            }),
            _ => Err(found),
        }
    }
}
