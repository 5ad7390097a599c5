//! Rounds of checks: all URLs, some at a time, then a pause.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tidegate_pipeline::step::Position;
use tokio::time::{Instant, sleep_until};
use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::options::{Checks, Emit};
use crate::cassette::client::{RecordedClient, SendError};
use crate::event::{Envelope, Event, EventDecoder, EventMeta, Field};
use crate::sources::http_client::{explain, shown};

/// A position as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    /// How many events there were.
    events: u64,
    /// With `emit: changes`, what each URL was last: by the hash of the URL, which may hold a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    last: BTreeMap<String, String>,
}

/// How a check of the URL with this number ended: a code, or why there is none. What a cassette refuses is no outcome.
type Ended = (usize, Result<Result<u16, String>>);

/// See the module.
pub(super) struct Rounds {
    checks: Arc<Checks>,
    client: RecordedClient,
    envelope: Envelope,
    decoder: EventDecoder,
    stand: Written,
    /// When the next round begins; `None` during one.
    due: Option<Instant>,
    /// The URLs of this round that have not been asked yet.
    waiting: VecDeque<usize>,
    running: FuturesUnordered<BoxFuture<'static, Ended>>,
    ready: VecDeque<Arrival>,
}

impl Rounds {
    pub(super) fn new(
        context: &SourceContext,
        checks: Arc<Checks>,
        schema: &SchemaRef,
        client: RecordedClient,
    ) -> Result<Self> {
        let mut stand: Written = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is no position of url_check: {error}")))?,
            None => Written::default(),
        };
        let known: Vec<String> = checks.urls.iter().map(name).collect();
        stand.last.retain(|name, _| checks.emit == Emit::Changes && known.contains(name));
        Ok(Self {
            checks,
            client,
            envelope: Envelope::new(&context.node, "url_check"),
            decoder: EventDecoder::new(context, schema),
            stand,
            due: Some(Instant::now()),
            waiting: VecDeque::new(),
            running: FuturesUnordered::new(),
            ready: VecDeque::new(),
        })
    }

    /// Begins what may begin now.
    fn begin(&mut self) {
        while self.running.len() < self.checks.concurrency
            && let Some(number) = self.waiting.pop_front()
        {
            let (client, url) = (self.client.clone(), self.checks.urls[number].clone());
            self.running.push(async move { (number, ask(client, url).await) }.boxed());
        }
    }

    /// Makes an event of a check, unless it only repeats the one before.
    fn take(&mut self, (number, outcome): Ended) -> Result<()> {
        let (url, outcome) = (&self.checks.urls[number], outcome?);
        let report = match &outcome {
            Ok(code) => {
                let status = if self.checks.expect.contains(code) { "up" } else { "down" };
                json!({"url": shown(url), "status": status, "status_code": code})
            }
            Err(why) => json!({"url": shown(url), "status": "down", "error_msg": why}),
        };
        if self.checks.emit == Emit::Changes {
            let now = format!("{} {}", text(&report["status"]), report["status_code"]);
            if self.stand.last.insert(name(url), now.clone()) == Some(now) {
                return Ok(());
            }
        }
        self.stand.events += 1;
        let line = self.envelope.line(&[("url_check", Field::Value(&report))], &EventMeta::default());
        let position = Position(serde_json::to_string(&self.stand).map_err(Error::internal)?.into());
        let event = Event { content: Ok(line), at: format!("url_check/{}", self.stand.events), position, reply: None };
        self.ready.extend(self.decoder.decode(vec![event])?);
        Ok(())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What positions call a URL.
fn name(url: &Url) -> String {
    format!("{:016x}", xxh3_64(url.as_str().as_bytes()))
}

/// The status code that a URL answers with.
async fn ask(client: RecordedClient, url: Url) -> Result<Result<u16, String>> {
    match client.send(client.get(url)).await {
        Ok(response) => Ok(Ok(response.status().as_u16())),
        Err(SendError::Http(error)) => Ok(Err(explain(error))),
        Err(SendError::Cassette(error)) => Err(error),
    }
}

#[async_trait]
impl Source for Rounds {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if self.checks.urls.is_empty() {
            return Ok(None);
        }
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            if let Some(due) = self.due {
                sleep_until(due).await;
                self.due = None;
                self.waiting.extend(0..self.checks.urls.len());
            }
            self.begin();
            match self.running.next().await {
                Some(ended) => self.take(ended)?,
                None => self.due = Some(Instant::now() + self.checks.delay),
            }
        }
    }
}
