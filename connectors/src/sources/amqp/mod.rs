//! `amqp` and `azure_service_bus`: messages of a queue over AMQP 1.0, settled when they are durable.

mod connection;
mod diagnosis;
mod message;
pub mod options;
mod service_bus;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use fe2o3_amqp::link::ReceiverDisposer;
use fe2o3_amqp::link::delivery::DeliveryInfo;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{
    Arrival, Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::Position;
use tokio::sync::watch;

use self::connection::{Access, Received};
use self::options::{AmqpOptions, ServiceBusOptions};
use crate::event::body::text_column;
use crate::event::inbox::{Inbox, Taken, inbox};
use crate::event::{Envelope, EventDecoder, event_port};
use crate::tls::TlsSettings;

const GUARANTEE: Guarantee = Guarantee {
    class: GuaranteeClass::Acknowledged,
    on_crash: "A message is settled when its step is durable; the broker sends again what was not: nothing is lost, and \
               what was durable but not settled yet comes twice, with the same `meta.uuid` where its sender gave it an id.",
};

/// The kind `amqp`.
#[derive(Debug, Clone, Copy)]
pub struct AmqpKind;

/// The kind `azure_service_bus`.
#[derive(Debug, Clone, Copy)]
pub struct ServiceBusKind;

impl SourceKind for AmqpKind {
    fn name(&self) -> &'static str {
        "amqp"
    }

    fn summary(&self) -> &'static str {
        "Messages of a queue of any AMQP 1.0 broker, settled when they are durable"
    }

    fn guarantee(&self) -> Guarantee {
        GUARANTEE
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(AmqpOptions)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: AmqpOptions = options.read()?;
        Ok(planned(self.name(), settings.target(&context.working_directory, options)?))
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        // Its position only counts messages.
        Some(String::new())
    }
}

impl SourceKind for ServiceBusKind {
    fn name(&self) -> &'static str {
        "azure_service_bus"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.azure_service_bus"]
    }

    fn summary(&self) -> &'static str {
        "Messages of an Azure Service Bus queue, completed when they are durable"
    }

    fn guarantee(&self) -> Guarantee {
        GUARANTEE
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ServiceBusOptions)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: ServiceBusOptions = options.read()?;
        Ok(planned(self.name(), settings.target(&context.working_directory, options)?))
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        Some(String::new())
    }
}

/// What is connected to.
#[derive(Clone)]
struct Target {
    address: String,
    access: Access,
    tls: TlsSettings,
    credit: u32,
    /// How long a token is good for, where they are asked for.
    token_life: Duration,
}

fn planned(kind: &'static str, target: Target) -> PlannedSource {
    let more = [
        Field::new("address", DataType::Utf8, true),
        Field::new("message_id", DataType::Utf8, true),
        Field::new("delivery_count", DataType::Int64, true),
    ];
    let schema = envelope_schema([text_column()], more);
    let open = PlannedAmqp { kind, target, schema: Arc::clone(&schema) };
    PlannedSource {
        acknowledges: true,
        envelope: true,
        reconnects: true,
        ..PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open)
    }
}

struct PlannedAmqp {
    kind: &'static str,
    target: Target,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedAmqp {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let taken = match &context.position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is not a number of messages: {error}")))?,
            None => 0,
        };
        let (feed, inbox) = inbox(EventDecoder::new(&context, &self.schema));
        let (settled, seen) = watch::channel(0);
        let disposer = connection::connect(&self.target, feed, seen).await?;
        let envelope = Envelope::new(&context.node, self.kind);
        let address = self.target.address.clone();
        Ok(Box::new(Amqp { taken, address, inbox, envelope, disposer, settled, unsettled: VecDeque::new() }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(&self.target, found).await;
    }
}

/// An open `amqp` or `azure_service_bus`.
struct Amqp {
    /// How many messages have been taken, over all starts.
    taken: u64,
    address: String,
    inbox: Inbox<Received>,
    envelope: Envelope,
    disposer: ReceiverDisposer,
    /// How many messages of this link are settled.
    settled: watch::Sender<u64>,
    /// What settles messages, with their numbers, in the order in which they came.
    unsettled: VecDeque<(u64, DeliveryInfo)>,
}

#[async_trait]
impl Source for Amqp {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        let Self { taken, address, inbox, envelope, unsettled, .. } = self;
        inbox
            .next(|delivery| {
                *taken += 1;
                unsettled.push_back((*taken, DeliveryInfo::from(&delivery)));
                Taken::Event(message::event(delivery.message(), address, *taken, envelope))
            })
            .await
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        let durable: u64 = serde_json::from_str(&position.0).map_err(Error::internal)?;
        while let Some((_, delivery)) = self.unsettled.pop_front_if(|(number, _)| *number <= durable) {
            // Where the link is gone the message is sent again.
            if self.disposer.accept(delivery).await.is_err() {
                self.unsettled.clear();
            }
            self.settled.send_modify(|settled| *settled += 1);
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.inbox.close().await;
        Ok(())
    }
}
