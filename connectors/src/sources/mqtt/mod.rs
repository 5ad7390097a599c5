//! `mqtt`: messages of an MQTT 5 broker, acknowledged when they are durable.

mod connection;
mod diagnosis;
mod message;
pub mod options;

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
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

use self::options::MqttOptions;
use crate::event::body::text_column;
use crate::event::inbox::{Inbox, Taken, inbox};
use crate::event::{Envelope, EventDecoder, event_port};
use crate::places::Places;
use crate::tls::{TlsOptions, TlsSettings};

/// The kind `mqtt`.
#[derive(Debug, Clone, Copy)]
pub struct MqttKind;

impl SourceKind for MqttKind {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn summary(&self) -> &'static str {
        "Messages of an MQTT 5 broker, acknowledged when they are durable"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Acknowledged,
            on_crash: "The broker keeps the session, and sends again what was not acknowledged: nothing of QoS 1 and 2 \
                       is lost, and what was durable but not acknowledged yet comes twice, of QoS 2 too. Messages of \
                       QoS 0, and everything with `clean_session`, are best effort.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<MqttOptions, TlsOptions>)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let Together(settings, tls): Together<MqttOptions, TlsOptions> = options.read()?;
        let filters = settings.check(&Places(options))?;
        let tls = tls.settings(&context.working_directory, options)?;
        let more = [
            Field::new("topic", DataType::Utf8, true),
            Field::new("qos", DataType::Int64, true),
            Field::new("retain", DataType::Boolean, true),
            Field::new("duplicate", DataType::Boolean, true),
        ];
        let schema = envelope_schema([text_column()], more);
        let open = PlannedMqtt { options: Arc::new(settings), filters, tls, schema: Arc::clone(&schema) };
        Ok(PlannedSource {
            acknowledges: true,
            envelope: true,
            reconnects: true,
            ..PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open)
        })
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        // Its position only counts messages.
        Some(String::new())
    }
}

#[derive(Clone)]
struct PlannedMqtt {
    options: Arc<MqttOptions>,
    filters: Vec<(String, QoS)>,
    tls: Option<TlsSettings>,
    schema: SchemaRef,
}

impl PlannedMqtt {
    fn port(&self) -> u16 {
        self.options.port.unwrap_or(if self.tls.is_some() { 8883 } else { 1883 })
    }

    fn broker(&self) -> String {
        format!("{}:{}", self.options.host, self.port())
    }
}

#[async_trait]
impl OpenSource for PlannedMqtt {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let taken = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of messages: {error}")))?,
            None => 0,
        };
        let (feed, inbox) = inbox(EventDecoder::new(&context, &self.schema));
        let connection = connection::connect(self, feed).await?;
        if taken > 0 && !connection.session_present && !self.options.clean_session {
            tracing::warn!(node = %context.node, broker = %self.broker(),
                "The broker no longer has the session: what came while the source was away is lost.");
        }
        let envelope = Envelope::new(&context.node, "mqtt");
        Ok(Box::new(Mqtt { taken, inbox, envelope, client: connection.client, unacknowledged: VecDeque::new() }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(self, found).await;
    }
}

/// An open `mqtt`.
struct Mqtt {
    /// How many messages have been taken, over all starts.
    taken: u64,
    inbox: Inbox<Publish>,
    envelope: Envelope,
    client: AsyncClient,
    /// Messages that the broker waits for, with their numbers, in the order in which they came.
    unacknowledged: VecDeque<(u64, Publish)>,
}

#[async_trait]
impl Source for Mqtt {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        let Self { taken, inbox, envelope, unacknowledged, .. } = self;
        inbox
            .next(|message| {
                *taken += 1;
                let event = message::event(&message, *taken, envelope);
                if message.qos != QoS::AtMostOnce {
                    unacknowledged.push_back((*taken, message::without_payload(&message)));
                }
                Taken::Event(event)
            })
            .await
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        let durable: u64 = serde_json::from_str(&position.0).map_err(Error::internal)?;
        while let Some((_, message)) = self.unacknowledged.pop_front_if(|(number, _)| *number <= durable) {
            // There is room for every message in flight: this fails only when the connection is gone, and then the
            // broker sends the message again.
            if self.client.try_ack(&message).is_err() {
                self.unacknowledged.clear();
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        // Behind all acknowledgements. The broker hangs up when it has read them; until then the connection is read:
        // one that is cut while messages come in may lose what was said last.
        if self.client.disconnect().await.is_ok() {
            self.inbox.ended().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{options, plan};

    fn refusals(json: &str) -> Vec<String> {
        let refused = plan(&MqttKind, &options(json)).err().unwrap_or_default();
        refused.into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_its_reason() {
        assert_eq!(
            refusals(r#"{"topics": ["a/#/b", "c"], "qos": 3}"#),
            [
                "`qos` must be 0, 1 or 2",
                "`a/#/b` is no topic filter",
                "`qos` must be 0, 1 or 2",
                "`client_id` is needed: the broker keeps the session under it",
            ]
        );
        assert_eq!(
            refusals(r#"{"topics": "a", "client_id": "x", "certfile": "c.pem"}"#),
            ["`certfile` and `keyfile` are given together"]
        );
    }

    #[test]
    fn topics_may_have_a_quality_of_service_of_their_own() {
        let planned = r#"{"topics": ["a/+", {"topic": "b/#", "qos": 2}], "client_id": "x"}"#;
        assert!(refusals(planned).is_empty());
        let wrong = r#"{"topics": [{"topic": "b/#", "qos": 7}], "client_id": "x"}"#;
        assert_eq!(refusals(wrong), ["`qos` must be 0, 1 or 2"]);
    }
}
