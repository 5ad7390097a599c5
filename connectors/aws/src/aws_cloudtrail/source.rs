//! The open source.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use aws_sdk_cloudtrail::types::Event;
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};
use tidegate_connectors::event::{Envelope, EventDecoder, EventMeta, Field};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use uuid::Uuid;

use super::NAME;
use super::history::{History, Stretch, time};
use super::options::Settings;
use super::progress::Progress;
use crate::fitting::{Fitted, Given, decode};

/// The open history.
pub(super) struct CloudTrailSource {
    envelope: Envelope,
    decoder: EventDecoder,
    history: History,
    pause: Duration,
    overlap: i64,
    progress: Progress,
    /// Up to when a history that is too long to be read at once has been read.
    reached: Option<i64>,
    /// What is being asked: it goes on where it was when nobody waits for it any more.
    asked: Option<BoxFuture<'static, Result<Stretch>>>,
    /// Decoded and not given yet.
    ready: VecDeque<Arrival>,
    /// Whether the next look comes after a pause.
    rested: bool,
}

impl CloudTrailSource {
    /// Goes on where the context says, or begins now.
    pub(super) fn new(
        node: &str,
        settings: &Settings,
        history: History,
        context: &SourceContext,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let mut ready = VecDeque::new();
        let progress = match &context.position {
            Some(position) => Progress::at(position)?,
            None => {
                let progress = Progress::begin(now());
                // A step without rows remembers when it began: what happens while the program is down is not missed.
                ready.push_back(empty(schema, &progress));
                progress
            }
        };
        Ok(Self {
            envelope: Envelope::new(node, NAME),
            decoder: EventDecoder::new(context, schema),
            history,
            pause: settings.pause,
            overlap: settings.overlap,
            progress,
            reached: None,
            asked: None,
            ready,
            rested: true,
        })
    }

    /// Asks for the next stretch, after a pause where the last one reached the present.
    fn ask(&mut self) -> BoxFuture<'static, Result<Stretch>> {
        let pause = if std::mem::replace(&mut self.rested, true) { Duration::ZERO } else { self.pause };
        let from = self.reached.unwrap_or_else(|| self.progress.from(self.overlap));
        let history = self.history.clone();
        Box::pin(async move {
            tokio::time::sleep(pause).await;
            history.stretch(from, now()).await
        })
    }

    /// Makes arrivals of what is new.
    fn take(&mut self, stretch: Stretch) -> Result<()> {
        // Where even a second has too many events the next stretch begins behind it.
        let next = |cut_at: i64| if self.reached == Some(cut_at) { cut_at + 1 } else { cut_at };
        self.reached = stretch.cut_at.map(next);
        self.rested = self.reached.is_some();
        let mut ids = BTreeSet::new();
        let id = |event: &Event| event.event_id().unwrap_or_default().to_owned();
        let is_new = |event: &Event| self.progress.is_new(time(event), &id(event)) && ids.insert(id(event));
        let events: Vec<Event> = stretch.events.into_iter().filter(is_new).collect();
        let given: Vec<Given> = events.iter().map(|event| given(event, &self.envelope)).collect();
        for Fitted { mut arrival, holds } in decode(&mut self.decoder, &given)? {
            for index in holds {
                self.progress.give(time(&events[index]), &id(&events[index]), self.overlap);
            }
            arrival.position = self.progress.position();
            self.ready.push_back(arrival);
        }
        Ok(())
    }
}

/// An arrival without rows.
fn empty(schema: &SchemaRef, progress: &Progress) -> Arrival {
    let rows = RecordBatch::new_empty(SchemaRef::clone(schema));
    Arrival { rows: Vec::new(), ..Arrival::rows(rows, progress.position()) }
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// The two forms of an event: with the record of CloudTrail as columns, and as text.
fn given(event: &Event, envelope: &Envelope) -> Given {
    let id = event.event_id().unwrap_or_default();
    let mut fields: Vec<(&str, Value)> = vec![
        ("EventId", id.into()),
        ("EventName", event.event_name().into()),
        ("ReadOnly", event.read_only().into()),
        ("EventTime", jiff::Timestamp::from_second(time(event)).map_or(Value::Null, |time| time.to_string().into())),
        ("EventSource", event.event_source().into()),
    ];
    let optional = [("AccessKeyId", event.access_key_id()), ("Username", event.username())];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?.into()))));
    let resource = |resource: &aws_sdk_cloudtrail::types::Resource| json!({"ResourceType": resource.resource_type(), "ResourceName": resource.resource_name()});
    fields.push(("Resources", event.resources().iter().map(resource).collect()));
    let uuid = Uuid::parse_str(id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()));
    let meta = EventMeta { uuid: Some(uuid.to_string()), hosts: Vec::new(), more: Map::new() };
    let record = event.cloud_trail_event().unwrap_or_default();
    let text = Value::from(record);
    let is_object =
        record.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(record).is_ok();
    let line = |last: (&str, Field<'_>)| {
        let mut all: Vec<(&str, Field<'_>)> = fields.iter().map(|(name, value)| (*name, Field::Value(value))).collect();
        all.push(last);
        envelope.line(&all, &meta)
    };
    Given {
        at: format!("cloudtrail/{id}"),
        columns: is_object.then(|| line(("CloudTrailEvent", Field::Raw(record.as_bytes())))),
        text: line(("text", Field::Value(&text))),
    }
}

#[async_trait]
impl Source for CloudTrailSource {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(arrival) = self.ready.pop_front() {
                return Ok(Some(arrival));
            }
            if self.asked.is_none() {
                self.asked = Some(self.ask());
            }
            if let Some(asked) = &mut self.asked {
                let stretch = asked.await;
                self.asked = None;
                self.take(stretch?)?;
            }
        }
    }
}
