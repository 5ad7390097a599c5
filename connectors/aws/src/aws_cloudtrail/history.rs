//! The requests of CloudTrail.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::timeout::TimeoutConfig;
use aws_sdk_cloudtrail::operation::lookup_events::builders::LookupEventsFluentBuilder;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{Event, EventCategory, LookupAttribute, LookupAttributeKey};
use tidegate_pipeline::error::{Error, Result};

use super::options::Settings;
use crate::failure::{failure, passing_failure};

/// How many events a page may have.
const PAGE: i32 = 50;
/// How many events are held at the same time: a stretch with more of them is cut in half.
const MOST: usize = 2_000;
/// CloudTrail takes two requests in a second.
const PACE: Duration = Duration::from_millis(550);
/// How often a request is tried that is throttled or fails otherwise, and the pause after the first attempt.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// What is tried, for messages.
const TRIED: &str = "look up events of CloudTrail";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The event history of an account in a region.
#[derive(Debug, Clone)]
pub(super) struct History {
    client: Client,
    attribute: Option<LookupAttribute>,
    category: Option<EventCategory>,
}

/// A stretch of the history.
#[derive(Debug)]
pub(super) struct Stretch {
    /// Its events, oldest first.
    pub(super) events: Vec<Event>,
    /// Up to when it reaches where that is not all that was asked for: seconds since 1970.
    pub(super) cut_at: Option<i64>,
}

impl History {
    /// Finds region and credentials.
    ///
    /// # Errors
    /// When a secret cannot be read, or no region is known.
    pub(super) async fn connect(settings: &Settings) -> Result<Self> {
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_PAUSE);
        Self::through(&settings.connection.load(retries).await?, settings)
    }

    /// The history through a connection.
    ///
    /// # Errors
    /// When an attribute is none.
    pub(super) fn through(config: &SdkConfig, settings: &Settings) -> Result<Self> {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(PATIENCE).build();
        let timeouts = match config.timeout_config() {
            Some(given) => timeouts.into_builder().take_unset_from(given.clone().into_builder()).build(),
            None => timeouts,
        };
        let builder = aws_sdk_cloudtrail::config::Builder::from(config).timeout_config(timeouts);
        let attribute = settings.attribute.as_ref().map(|attribute| {
            let key = LookupAttributeKey::from(attribute.key.name());
            LookupAttribute::builder().attribute_key(key).attribute_value(&attribute.value).build()
        });
        let category = settings.category.map(|_| EventCategory::Insight);
        Ok(Self {
            client: Client::from_conf(builder.build()),
            attribute: attribute.transpose().map_err(Error::internal)?,
            category,
        })
    }

    /// Whether CloudTrail answers these credentials.
    ///
    /// # Errors
    /// Why not; credentials that are refused are refused for good.
    pub(super) async fn verify(&self, now: i64) -> Result<()> {
        let asked = self.page(now, now, None).max_results(1).send().await;
        asked.map(drop).map_err(|error| failure(TRIED, &error))
    }

    fn page(&self, from: i64, to: i64, token: Option<String>) -> LookupEventsFluentBuilder {
        let request = self.client.lookup_events().max_results(PAGE).set_next_token(token);
        let request = request.start_time(DateTime::from_secs(from)).end_time(DateTime::from_secs(to));
        let attribute = self.attribute.clone().map(|attribute| vec![attribute]);
        request.set_lookup_attributes(attribute).set_event_category(self.category.clone())
    }

    /// The history between two times, both included, or as much of its beginning as can be held.
    ///
    /// # Errors
    /// When CloudTrail refuses, or cannot be reached.
    pub(super) async fn stretch(self, from: i64, to: i64) -> Result<Stretch> {
        let (mut to, mut cut_at) = (to.max(from), None);
        loop {
            match self.whole(from, to).await? {
                Some(events) => return Ok(Stretch { events, cut_at }),
                None => {
                    to = from + (to - from) / 2;
                    cut_at = Some(to);
                }
            }
        }
    }

    /// All events between two times; `None` where they are too many and the time can be divided.
    async fn whole(&self, from: i64, to: i64) -> Result<Option<Vec<Event>>> {
        let (mut events, mut token) = (Vec::new(), None);
        loop {
            let page = self.page(from, to, token).send().await;
            let page = page.map_err(|error| passing_failure(TRIED, &error))?;
            events.extend(page.events.unwrap_or_default());
            if events.len() > MOST && to > from {
                return Ok(None);
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
            tokio::time::sleep(PACE).await;
        }
        // They came newest first; those of one second stay in the order that they came in, turned round.
        events.reverse();
        events.sort_by_key(time);
        Ok(Some(events))
    }
}

/// The time of an event in seconds since 1970.
pub(super) fn time(event: &Event) -> i64 {
    event.event_time().map_or(0, DateTime::secs)
}
