//! `kafka`: the messages of topics as events.
//!
//! Without `group_id` all partitions are read, from positions of our own: they are journaled with the events, so each
//! event is there once. With `group_id` the group's offsets are the truth; they are committed when the events are
//! durable, so after a crash some come again.

mod avro;
mod batch;
mod cluster;
pub(crate) mod connection;
mod consumer;
mod context;
mod diagnosis;
mod group;
mod message;
pub mod options;
mod ownership;
pub(crate) mod position;
mod registry;
mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use async_trait::async_trait;
use rdkafka::ClientConfig;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};

use self::avro::AvroDecoder;
use self::connection::{Connection, ConnectionOptions};
use self::consumer::Worker;
use self::message::LineWriter;
use self::options::{BodyForm, Encoding, KafkaOptions, MissingOffset, Tombstones, Topics};
use self::position::Offsets;
use self::registry::RegistryOptions;
use self::source::KafkaSource;
use crate::event::{EventDecoder, event_port};
use crate::places::Places;

/// What the client may hold of messages that nobody has taken yet, in KiB.
const CLIENT_BUFFER: &str = "32768";

/// The kind `kafka`.
#[derive(Debug, Clone, Copy)]
pub struct KafkaKind;

impl SourceKind for KafkaKind {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.kafka", "eda.builtin.kafka"]
    }

    fn summary(&self) -> &'static str {
        "The messages of Kafka topics: from positions of its own, or as a member of a consumer group"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "It goes on behind the last message that was journaled: nothing is lost, nothing comes twice. With \
                       `group_id` it is acknowledged after journaling instead: the group's offset is committed when its \
                       events are durable, and what was durable and not committed yet comes again.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<KafkaOptions, ConnectionOptions>)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        // Positions name their topics: other topics may come and go.
        Some(options.canonical_of(&["host", "port"]))
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let places = Places(options);
        let Together(given, reach): Together<KafkaOptions, ConnectionOptions> = options.read()?;
        let connection = reach.connection(&context.working_directory);
        given.check(&connection, &places)?;
        let local_schema = match &given.avro_schema_file {
            Some(file) => Some(
                avro::read_schema(&context.working_directory.join(file))
                    .map_err(|wrong| vec![places.at("avro_schema_file", format!("`{file}`: {wrong}"))])?,
            ),
            None => None,
        };
        let wanted = given.wanted_topics().map_err(|wrong| vec![places.at("topic", wrong)])?;
        let schema = planned_schema(given.body);
        let settings = Settings {
            connection,
            topics: wanted,
            group: given.group_id.clone(),
            earliest: given.offset == "earliest",
            missing: given.on_missing_offset,
            metadata_max_age: Duration::from_millis(given.metadata_max_age_ms),
            batch: given.max_poll_records,
            encoding: given.body_encoding(),
            tombstones: given.tombstones,
            body: given.body,
            avro: (given.message_format == "avro").then(|| AvroOptions {
                local_schema,
                registry: RegistryOptions::of(&given, &reach, &context.working_directory),
            }),
        };
        let open = PlannedKafka { settings: Arc::new(settings), schema: Arc::clone(&schema) };
        Ok(PlannedSource {
            envelope: true,
            reconnects: true,
            acknowledges: given.group_id.is_some(),
            ..PlannedSource::new(Delivery::Inline, vec![event_port(schema)], open)
        })
    }
}

/// What is known of the columns before anything is read.
fn planned_schema(body: BodyForm) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let produced_at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let more = [text("source_offset"), Field::new("produced_at", produced_at, true), text("message_id"), text("key")];
    envelope_schema((body == BodyForm::Text).then(|| text("body")), more)
}

/// How Avro is decoded.
#[derive(Debug)]
pub(crate) struct AvroOptions {
    local_schema: Option<apache_avro::Schema>,
    registry: Option<RegistryOptions>,
}

/// The options, as they are used.
#[derive(Debug)]
pub(crate) struct Settings {
    connection: Connection,
    topics: Topics,
    group: Option<String>,
    earliest: bool,
    missing: MissingOffset,
    metadata_max_age: Duration,
    batch: usize,
    encoding: Encoding,
    tombstones: Tombstones,
    body: BodyForm,
    avro: Option<AvroOptions>,
}

impl Settings {
    /// The settings of the client.
    fn config(&self, node: &str) -> Result<ClientConfig> {
        let mut config = self.connection.config(node)?;
        // Without a group nothing is ever asked of it; the client wants a name all the same.
        let group = self.group.clone().unwrap_or_else(|| format!("tidegate-{node}"));
        config.set("group.id", group);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // An offset that is gone is an error: what to do about it is the user's choice.
        config.set("auto.offset.reset", "error").set("isolation.level", "read_committed");
        config.set("partition.assignment.strategy", "cooperative-sticky");
        // What a member that has died leaves is taken over soon.
        config.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "2000");
        config.set("queued.max.messages.kbytes", CLIENT_BUFFER).set("fetch.wait.max.ms", "100");
        // After a question without an answer the next is asked soon.
        config.set("fetch.error.backoff.ms", "100");
        Ok(config)
    }
}

struct PlannedKafka {
    settings: Arc<Settings>,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedKafka {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let decoder = EventDecoder::new(&context, &self.schema);
        let own_positions = self.settings.group.is_none();
        let position = match &context.position {
            Some(position) if own_positions => Offsets::read(position)?,
            _ => Offsets::default(),
        };
        let settings = Arc::clone(&self.settings);
        let known = decoder.schema().field_with_name("body").ok().map(|field| field.data_type().clone());
        let node = Arc::clone(&context.node);
        let writer = LineWriter::new(&node, settings.encoding, settings.tombstones, settings.body, known.as_ref());
        let avro = match &settings.avro {
            None => None,
            Some(options) => Some(AvroDecoder::new(options, context.cancel.clone())?),
        };
        let starting = tokio::task::spawn_blocking(move || Worker::start(settings, &context, writer, avro));
        let channels = starting.await.map_err(Error::internal)??;
        Ok(Box::new(KafkaSource::new(channels, decoder, position, own_positions)))
    }

    async fn diagnose(&self, context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(&self.settings, &context.node, &context.cancel, found).await;
    }
}
