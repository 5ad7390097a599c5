//! `nats`: messages of NATS subjects, and of JetStream streams, acknowledged when they are durable.

mod connection;
mod diagnosis;
mod message;
pub mod options;
mod taken;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use async_nats::jetstream::message::Acker;
use async_trait::async_trait;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};
use tidegate_pipeline::step::Position;

use self::connection::Received;
use self::options::NatsOptions;
use self::taken::Standing;
use crate::event::body::text_column;
use crate::event::inbox::{Inbox, Taken, inbox};
use crate::event::{Envelope, Event, EventDecoder, event_port};
use crate::places::Places;
use crate::tls::{TlsOptions, TlsSettings};

/// The kind `nats`.
#[derive(Debug, Clone, Copy)]
pub struct NatsKind;

impl SourceKind for NatsKind {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn summary(&self) -> &'static str {
        "Messages of NATS subjects, or of a JetStream stream, acknowledged when they are durable"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Acknowledged,
            on_crash: "With `stream`: JetStream sends again what was not acknowledged, and what was durable is known by \
                       its number in the stream: nothing is lost, nothing comes twice. Without `stream` nobody keeps \
                       what comes while the source is not there: best effort.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<NatsOptions, TlsOptions>)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let Together(settings, tls): Together<NatsOptions, TlsOptions> = options.read()?;
        settings.check(&Places(options))?;
        let tls = tls.settings(&context.working_directory, options)?;
        let more = [
            Field::new("subject", DataType::Utf8, true),
            Field::new("stream", DataType::Utf8, true),
            Field::new("sequence", DataType::Int64, true),
            Field::new("delivered", DataType::Int64, true),
        ];
        let schema = envelope_schema([text_column()], more);
        let acknowledges = settings.stream.is_some();
        let open = PlannedNats { options: Arc::new(settings), tls, schema: Arc::clone(&schema) };
        Ok(PlannedSource {
            acknowledges,
            envelope: true,
            reconnects: true,
            ..PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open)
        })
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        // Numbers of messages mean something in their stream only.
        let Together(settings, _): Together<NatsOptions, TlsOptions> = options.read().ok()?;
        Some(settings.stream.unwrap_or_default())
    }
}

struct PlannedNats {
    options: Arc<NatsOptions>,
    tls: Option<TlsSettings>,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedNats {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let mut standing: Standing = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is no position of `nats`: {error}")))?,
            None => Standing::default(),
        };
        let (feed, inbox) = inbox(EventDecoder::new(&context, &self.schema));
        let connection = connection::connect(self).await?;
        match (&self.options.stream, &self.options.consumer) {
            (Some(stream), Some(consumer)) => {
                let consumer = connection.consumer(self, stream, consumer).await?;
                if standing.stream.is_some_and(|known| known != consumer.stream_created) {
                    tracing::warn!(node = %context.node, %stream, "The stream was created anew; its messages are all new.");
                    standing.taken.clear();
                }
                standing.stream = Some(consumer.stream_created);
                if consumer.acknowledged > 0 {
                    standing.take(1, consumer.acknowledged);
                }
                connection.follow(consumer, feed).await?;
            }
            _ => connection.subscribe(self, feed).await?,
        }
        let envelope = Envelope::new(&context.node, "nats");
        Ok(Box::new(Nats { standing, last: None, inbox, envelope, unacknowledged: VecDeque::new() }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(self, found).await;
    }
}

/// An open `nats`.
struct Nats {
    standing: Standing,
    /// The last message that came for the first time: its number among all that the consumer has sent, and in the
    /// stream.
    last: Option<(u64, u64)>,
    inbox: Inbox<Received>,
    envelope: Envelope,
    /// What acknowledges messages, with their numbers, in the order in which they came.
    unacknowledged: VecDeque<(u64, Acker)>,
}

#[async_trait]
impl Source for Nats {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        let Self { standing, last, inbox, envelope, unacknowledged } = self;
        inbox.next(|received| taken(received, standing, last, envelope, unacknowledged)).await
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        let durable: Standing = serde_json::from_str(&position.0).map_err(Error::internal)?;
        while let Some((_, acker)) = self.unacknowledged.pop_front_if(|(number, _)| *number <= durable.seen) {
            // Where the connection is gone the message is sent again, and is known.
            if acker.ack().await.is_err() {
                self.unacknowledged.clear();
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.inbox.close().await;
        Ok(())
    }
}

/// What becomes of a message.
fn taken(
    received: Received,
    standing: &mut Standing,
    last: &mut Option<(u64, u64)>,
    envelope: &Envelope,
    unacknowledged: &mut VecDeque<(u64, Acker)>,
) -> Taken {
    standing.seen += 1;
    let mut known = false;
    let mut place = None;
    if let Some((found, consumer_sequence, acker)) = received.kept {
        unacknowledged.push_back((standing.seen, acker));
        known = standing.has(found.sequence);
        // Between two messages that come for the first time, one after the other, there is nothing for this consumer.
        let follows = last.filter(|(number, _)| found.delivered == 1 && number + 1 == consumer_sequence);
        let first = follows.map_or(found.sequence, |(_, before)| before + 1);
        standing.take(first.min(found.sequence), found.sequence);
        *last = (found.delivered == 1).then_some((consumer_sequence, found.sequence));
        place = Some(found);
    }
    let position = position(standing);
    if known {
        return Taken::Known(position);
    }
    let event: Event = message::event(&received.message, place.as_ref(), standing.seen, position, envelope);
    Taken::Event(event)
}

fn position(standing: &Standing) -> Position {
    // A struct of numbers always has a JSON form.
    Position(serde_json::to_string(standing).unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{options, plan};

    #[test]
    fn what_contradicts_itself_is_refused_with_its_reason() {
        let refusals = |json: &str| -> Vec<String> {
            let refused = plan(&NatsKind, &options(json)).err().unwrap_or_default();
            refused.into_iter().map(|found| found.message).collect()
        };
        assert_eq!(refusals("{}"), ["give `subjects`, or a `stream` with its `consumer`"]);
        assert_eq!(refusals(r#"{"stream": "s"}"#), ["`stream` needs a durable `consumer`"]);
        assert_eq!(
            refusals(r#"{"subjects": "a", "servers": "nats://me:secret@host", "token": "x", "nkey": "y"}"#),
            ["credentials do not belong into an address", "give one of `username`, `token`, `credentials` and `nkey`"]
        );
        assert!(refusals(r#"{"stream": "s", "consumer": "c"}"#).is_empty());
    }
}
