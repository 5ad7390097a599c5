//! `pg_listener`: notifications of PostgreSQL channels.

mod chunks;
mod connection;
mod diagnosis;
pub mod options;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as Column, SchemaRef};
use async_trait::async_trait;
use serde_json::{Map, Value};
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};
use tidegate_pipeline::step::Position;

use self::chunks::{Chunk, Chunks, Outcome};
use self::connection::Received;
use self::options::PgListenerOptions;
use crate::event::inbox::{Inbox, Taken, inbox};
use crate::event::{Envelope, Event, EventDecoder, EventMeta, Field, event_port, whole};
use crate::places::Places;
use crate::tls::{TlsOptions, TlsSettings};

/// The column of payloads that are no JSON objects. Its name is one that no object is likely to have: each of their
/// members is a column.
const TEXT: &str = "payload_text";

/// The kind `pg_listener`.
#[derive(Debug, Clone, Copy)]
pub struct PgListenerKind;

impl SourceKind for PgListenerKind {
    fn name(&self) -> &'static str {
        "pg_listener"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.pg_listener", "eda.builtin.pg_listener"]
    }

    fn summary(&self) -> &'static str {
        "Notifications of PostgreSQL channels (LISTEN/NOTIFY)"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::BestEffort,
            on_crash: "PostgreSQL keeps no notification for a listener that is not there: what comes meanwhile, and what \
                       was received and not journaled yet, is lost. The query `resync` makes up for it: its rows become \
                       events after each connection.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<PgListenerOptions, TlsOptions>)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let Together(settings, tls): Together<PgListenerOptions, TlsOptions> = options.read()?;
        settings.check(&Places(options))?;
        let tls = tls.settings(&context.working_directory, options)?;
        let more = [
            Column::new("channel", DataType::Utf8, true),
            Column::new("process", DataType::Int64, true),
            Column::new("resync", DataType::Boolean, true),
        ];
        let schema = envelope_schema([Column::new(TEXT, DataType::Utf8, true)], more);
        let open = PlannedListener { options: Arc::new(settings), tls, schema: Arc::clone(&schema) };
        Ok(PlannedSource {
            envelope: true,
            reconnects: true,
            ..PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open)
        })
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        // Its position only counts notifications.
        Some(String::new())
    }
}

struct PlannedListener {
    options: Arc<PgListenerOptions>,
    tls: Option<TlsSettings>,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedListener {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let taken = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of notifications: {error}")))?,
            None => 0,
        };
        let (feed, inbox) = inbox(EventDecoder::new(&context, &self.schema));
        connection::connect(self, feed).await?;
        let reader = Reader { taken, chunks: Chunks::default(), envelope: Envelope::new(&context.node, "pg_listener") };
        Ok(Box::new(PgListener { reader, inbox }))
    }

    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(self, &context, found).await;
    }
}

/// An open `pg_listener`.
struct PgListener {
    reader: Reader,
    inbox: Inbox<Received>,
}

#[async_trait]
impl Source for PgListener {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        let Self { reader, inbox } = self;
        inbox.next(|received| reader.taken(received)).await
    }
}

/// Makes events of what comes.
struct Reader {
    /// How many notifications and rows have been taken, over all starts.
    taken: u64,
    chunks: Chunks,
    envelope: Envelope,
}

impl Reader {
    fn taken(&mut self, received: Received) -> Taken {
        self.taken += 1;
        match received {
            Received::Row(row) => {
                let mut more = Map::new();
                more.insert("resync".to_owned(), true.into());
                let at = format!("resync#{}", self.taken);
                Taken::Events(vec![self.event(&row, at, more)])
            }
            Received::Notification { channel, process, payload } => {
                let mut more = Map::new();
                more.insert("channel".to_owned(), channel.as_str().into());
                more.insert("process".to_owned(), process.into());
                more.insert("resync".to_owned(), false.into());
                let at = format!("{channel}#{}", self.taken);
                let Some(chunk) = Chunk::of(&payload) else {
                    return Taken::Events(vec![self.event(&payload, at, more)]);
                };
                let outcomes = self.chunks.take(chunk);
                let events = outcomes.into_iter().map(|outcome| match outcome {
                    Outcome::Whole(text) => self.event(&text, at.clone(), more.clone()),
                    Outcome::Given { reason, text } => {
                        let rejected =
                            Rejected::new(at.clone(), format!("a chunked message: {reason}"), text.as_bytes());
                        Event { content: Err(rejected), at: at.clone(), position: self.position(), reply: None }
                    }
                });
                Taken::Events(events.collect())
            }
        }
    }

    /// The event that a payload is: a JSON object is the event itself, everything else is its text.
    fn event(&self, text: &str, at: String, known: Map<String, Value>) -> Event {
        let members = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        let line = match members {
            Some(members) => whole::line(members, known, &self.envelope),
            None => {
                let meta = EventMeta { more: known, ..EventMeta::default() };
                Ok(self.envelope.line(&[(TEXT, Field::Value(&text.into()))], &meta))
            }
        };
        let content = line.map_err(|reason| Rejected::new(at.clone(), reason, text.as_bytes()));
        Event { content, at, position: self.position(), reply: None }
    }

    fn position(&self) -> Position {
        Position(self.taken.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sources::testing::{options, plan};

    #[test]
    fn what_is_missing_is_named() {
        let refusals = |json: &str| -> Vec<String> {
            let refused = plan(&PgListenerKind, &options(json)).err().unwrap_or_default();
            refused.into_iter().map(|found| found.message).collect()
        };
        assert_eq!(
            refusals(r#"{"channels": []}"#),
            ["exactly one of `dsn` and `postgres_params` must be given", "`channels` must name at least one channel"]
        );
        assert!(refusals(r#"{"dsn": "host=x user=y", "channels": ["a"]}"#).is_empty());
        assert!(refusals(r#"{"postgres_params": {"user": "y", "database": "z"}, "channels": ["a"]}"#).is_empty());
    }

    #[test]
    fn an_object_is_the_event_itself_and_what_it_says_in_meta_stays() {
        let reader = Reader { taken: 1, chunks: Chunks::default(), envelope: Envelope::new("in", "pg_listener") };
        let row = |text: &str| -> Value {
            let known = Map::from_iter([("channel".to_owned(), "alerts".into())]);
            let event = reader.event(text, "alerts#1".to_owned(), known);
            serde_json::from_slice(&event.content.map_err(|rejected| rejected.reason).unwrap()).unwrap()
        };
        let source = json!({"name": "in", "type": "pg_listener"});
        let meta = json!({"channel": "alerts", "source": source});
        let event = row(r#" {"n": 7, "text": {"a": 1}, "body": "b"}"#);
        assert_eq!(event, json!({"n": 7, "text": {"a": 1}, "body": "b", "meta": meta}));
        let given = row(r#"{"meta": {"uuid": "u", "site": "north", "channel": "mine", "source": "mine"}}"#);
        assert_eq!(given["meta"], json!({"uuid": "u", "site": "north", "channel": "alerts", "source": source}));
        for text in ["", "door open", "[1]", "7", "{\"a\":"] {
            assert_eq!(row(text), json!({"payload_text": text, "meta": meta}));
        }
        let rejected = reader.event(r#"{"meta": 1}"#, "alerts#1".to_owned(), Map::new()).content.unwrap_err();
        assert_eq!(rejected.reason, "`meta` is no object");
    }

    #[test]
    fn a_wrong_dsn_is_not_shown() {
        let given: PgListenerOptions =
            serde_json::from_str(r#"{"dsn": "host=x password=hunter2 prot=1", "channels": ["a"]}"#).unwrap();
        let error = given.config(false).unwrap_err().to_string();
        assert!(error.contains("`dsn` is not valid") && !error.contains("hunter2"), "{error}");
    }
}
