//! Polls: page after page, then a pause.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tidegate_pipeline::step::Position;
use tokio::time::{Instant, sleep_until};
use url::Url;
use uuid::Uuid;

use super::fetch::{Fetched, Fetcher, Known};
use super::options::Endpoint;
use super::paging::as_text;
use crate::event::{Envelope, Event, EventDecoder, EventMeta, Field};
use crate::sources::http::{SeenId, SeenIds, json};
use crate::sources::http_client::shown_without_query;

/// A position as it is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Written {
    /// How many events there were.
    events: u64,
    /// The greatest value of `since` in all whole polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Value>,
    /// What the last whole poll was answered with.
    #[serde(default)]
    known: Known,
    /// The newest ids.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    ids: String,
}

/// A poll that has begun.
struct Poll {
    /// The page that is asked for.
    url: Url,
    number: usize,
    /// The greatest value of `since` so far.
    since: Option<Value>,
    running: Option<BoxFuture<'static, Result<Fetched>>>,
}

/// See the module.
pub(super) struct Polls {
    endpoint: Arc<Endpoint>,
    fetcher: Fetcher,
    envelope: Envelope,
    decoder: EventDecoder,
    stand: Written,
    seen: SeenIds,
    poll: Option<Poll>,
    /// When the next request may be made.
    due: Instant,
    ready: VecDeque<Arrival>,
}

impl Polls {
    pub(super) fn new(
        context: &SourceContext,
        endpoint: Arc<Endpoint>,
        schema: &SchemaRef,
        fetcher: Fetcher,
    ) -> Result<Self> {
        let stand: Written = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is no position of http_poll: {error}")))?,
            None => Written::default(),
        };
        Ok(Self {
            fetcher,
            envelope: Envelope::new(&context.node, "http_poll"),
            decoder: EventDecoder::new(context, schema),
            seen: SeenIds::read(&stand.ids, endpoint.remembered),
            stand,
            poll: None,
            due: Instant::now(),
            ready: VecDeque::new(),
            endpoint,
        })
    }

    /// The first page of the next poll.
    fn first(&self) -> Poll {
        let url = self.endpoint.first(self.stand.since.as_ref());
        Poll { url, number: 0, since: self.stand.since.clone(), running: None }
    }

    /// What is known of the page that is asked for. With several pages the first says nothing of the others.
    fn known(&self) -> Option<Known> {
        self.endpoint.paging.is_none().then(|| self.stand.known.clone())
    }

    fn take(&mut self, poll: Poll, fetched: Fetched) -> Result<()> {
        self.due = Instant::now() + self.endpoint.interval;
        match fetched {
            Fetched::NotModified => Ok(()),
            Fetched::Later(pause) => {
                tracing::warn!(url = %shown_without_query(&poll.url), ?pause, "The endpoint wants to be asked later.");
                self.due = Instant::now() + pause;
                self.poll = Some(poll);
                Ok(())
            }
            Fetched::TooLong => {
                let reason = format!("the answer is longer than {} bytes (`max_body`)", self.endpoint.longest);
                self.reject(&poll, reason, b"")
            }
            Fetched::Page { body, headers, known } => match json::text(&body) {
                Ok(text) => {
                    let page = serde_json::from_str(text).map_err(Error::external)?;
                    self.page(poll, &page, &headers, known)
                }
                Err(json::Flaw::NotJson) => self.reject(&poll, "the answer is not JSON".to_owned(), &body),
                Err(json::Flaw::TooDeep) => {
                    self.reject(&poll, format!("the answer is nested deeper than {}", json::DEEPEST), &body)
                }
            },
        }
    }

    /// The poll ends with an answer that cannot be taken; the next one may be better.
    fn reject(&mut self, poll: &Poll, reason: String, raw: &[u8]) -> Result<()> {
        let at = shown_without_query(&poll.url);
        let event = Event {
            content: Err(Rejected::new(at.as_str(), reason, raw)),
            at,
            position: self.position()?,
            reply: None,
        };
        self.ready.extend(self.decoder.decode(vec![event])?);
        Ok(())
    }

    fn page(&mut self, mut poll: Poll, page: &Value, headers: &HeaderMap, known: Known) -> Result<()> {
        let before = self.stand.clone();
        let items = self.endpoint.items_of(page).unwrap_or_default();
        let count = items.len();
        let (events, ids) = self.events(&mut poll, items)?;
        let next = match &self.endpoint.paging {
            Some(paging) => paging.next(&poll.url, poll.number, count, page, headers),
            None => Ok(None),
        };
        let more = next.as_ref().is_ok_and(|next| next.is_some());
        let whole = if more { None } else { Some((poll.since.clone(), known)) };
        self.stand_behind(events, &ids, whole, &before)?;
        match next {
            Err(reason) => self.reject(&poll, reason, b""),
            Ok(Some(next)) if next == poll.url || poll.number + 1 >= self.endpoint.most_pages => {
                let pages = poll.number + 1;
                let reason = format!("the poll ends after {pages} pages: more than `max_pages`, or one that repeats");
                self.reject(&poll, reason, b"")
            }
            Ok(Some(url)) => {
                self.due = Instant::now();
                self.poll = Some(Poll { url, number: poll.number + 1, since: poll.since, running: None });
                Ok(())
            }
            Ok(None) => Ok(()),
        }
    }

    /// The events of new items, and what each is remembered by. Their positions are their numbers on the page.
    fn events(&self, poll: &mut Poll, items: Vec<&Value>) -> Result<(Vec<Event>, Vec<Option<SeenId>>)> {
        let shown = shown_without_query(&self.endpoint.url);
        let (mut events, mut ids) = (Vec::new(), Vec::new());
        let mut together = std::collections::HashSet::new();
        for item in items {
            if let Some(value) = self.endpoint.since.as_ref().and_then(|since| since.path.of(item)) {
                poll.since = Some(later(poll.since.take(), value));
            }
            let name = if self.endpoint.id.is_empty() { None } else { self.endpoint.id.of(item).map(as_text) };
            let id = name.as_ref().map(|name| SeenIds::id("", name.as_bytes()));
            if id.is_some_and(|id| self.seen.knows(&id) || !together.insert(id)) {
                continue;
            }
            let uuid = name.map(|name| Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{shown}\n{name}").as_bytes()));
            let mut meta = EventMeta { uuid: uuid.map(|uuid| uuid.to_string()), ..EventMeta::default() };
            meta.more = Map::from_iter([("url".to_owned(), Value::from(shown.as_str()))]);
            let line = self.envelope.line(&[("body", Field::Value(item))], &meta);
            ids.push(id);
            let at = format!("http_poll/{}", self.stand.events + ids.len() as u64);
            events.push(Event { content: Ok(line), at, position: Position(ids.len().to_string().into()), reply: None });
        }
        Ok((events, ids))
    }

    /// Makes arrivals of events, each standing behind its own; the last of a whole poll also behind that.
    fn stand_behind(
        &mut self,
        events: Vec<Event>,
        ids: &[Option<SeenId>],
        whole: Option<(Option<Value>, Known)>,
        before: &Written,
    ) -> Result<()> {
        let mut arrivals: VecDeque<Arrival> = self.decoder.decode(events)?.into();
        let mut stood = 0;
        let count = arrivals.len();
        for (number, arrival) in arrivals.iter_mut().enumerate() {
            let stands: usize = arrival.position.0.parse().map_err(Error::internal)?;
            for id in ids.get(stood..stands).unwrap_or_default().iter().flatten() {
                self.seen.remember(*id);
            }
            self.stand.events += (stands - stood) as u64;
            stood = stands;
            if number + 1 == count {
                self.end_poll(whole.as_ref());
            }
            arrival.position = self.position()?;
        }
        if count == 0 {
            self.end_poll(whole.as_ref());
            if self.stand != *before {
                // Nothing is new but where it stands.
                let at = "http_poll".to_owned();
                let blank = Event { content: Ok(Vec::new()), at, position: self.position()?, reply: None };
                arrivals.extend(self.decoder.decode(vec![blank])?);
            }
        }
        self.ready.append(&mut arrivals);
        Ok(())
    }

    fn end_poll(&mut self, whole: Option<&(Option<Value>, Known)>) {
        let Some((since, known)) = whole else { return };
        // Another `since` is another question: what is known was the answer to the old one.
        let same = self.stand.since == *since;
        self.stand.known = if same { known.clone() } else { Known::default() };
        self.stand.since.clone_from(since);
    }

    fn position(&mut self) -> Result<Position> {
        self.seen.text().clone_into(&mut self.stand.ids);
        serde_json::to_string(&self.stand).map(|text| Position(text.into())).map_err(Error::internal)
    }
}

/// The greater of two values: numbers by value, others as text.
fn later(one: Option<Value>, other: &Value) -> Value {
    let Some(one) = one else { return other.clone() };
    let order = match (&one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => one.as_f64().partial_cmp(&other.as_f64()).unwrap_or(Ordering::Equal),
        },
        _ => as_text(&one).cmp(&as_text(other)),
    };
    if order == Ordering::Less { other.clone() } else { one }
}

#[async_trait]
impl Source for Polls {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            sleep_until(self.due).await;
            let mut poll = match self.poll.take() {
                Some(poll) => poll,
                None => self.first(),
            };
            if poll.running.is_none() {
                poll.running = Some(self.fetcher.clone().fetch(poll.url.clone(), self.known()).boxed());
            }
            // It stays in `self` while it is waited for: this future may be dropped meanwhile.
            let poll = self.poll.insert(poll);
            let Some(running) = poll.running.as_mut() else { continue };
            let fetched = running.await;
            let Some(mut poll) = self.poll.take() else { continue };
            poll.running = None;
            self.take(poll, fetched?)?;
        }
    }
}
