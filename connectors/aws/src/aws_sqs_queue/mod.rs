//! `aws_sqs_queue`: the messages of a queue of SQS.
//!
//! ```text
//! receiver ──► messages ──► next() ──► arrivals ──► journal
//!    ▲                                                 │
//!    └─ custody: extended until durable ◄─ acknowledge ┘ then deleted by the keeper
//! ```
//! A message stays in the queue until its step is durable. The ids of those that are not deleted yet are part of the
//! position, so that one that comes again after a crash is deleted and not emitted a second time.

mod diagnosis;
mod message;
pub mod options;
mod source;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use async_trait::async_trait;
use tidegate_connectors::event::event_port;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};

use options::{BodyFormat, Settings, SqsOptions};
use source::SqsSource;

use crate::connection::ConnectionOptions;

/// The name of the kind.
const NAME: &str = "aws_sqs_queue";

/// The kind `aws_sqs_queue`.
#[derive(Debug, Clone, Copy)]
pub struct SqsKind;

impl SourceKind for SqsKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.aws_sqs_queue"]
    }

    fn summary(&self) -> &'static str {
        "Messages of an AWS SQS queue, deleted there when they are durable here"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Acknowledged,
            on_crash: "A message that was not durable comes again when its visibility timeout has passed. One that was \
                       durable and not deleted yet comes again too, is known by its id, and is deleted without a \
                       second event.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<SqsOptions, ConnectionOptions>)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let Together(read, reach): Together<SqsOptions, ConnectionOptions> = options.read()?;
        let settings = read.check(&reach, options, &context.working_directory)?;
        let schema = schema(settings.body);
        let planned = PlannedSqs { node: context.node.to_owned(), settings, schema: schema.clone() };
        Ok(PlannedSource {
            envelope: true,
            reconnects: true,
            acknowledges: true,
            ..PlannedSource::new(Delivery::Inline, vec![event_port(schema)], planned)
        })
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        // Another queue has other messages; everything else only says how they are fetched.
        let Together(options, _): Together<SqsOptions, ConnectionOptions> = options.read().ok()?;
        Some(
            serde_json::json!([options.name, options.region, options.queue_owner_aws_account_id, options.body])
                .to_string(),
        )
    }
}

fn schema(body: BodyFormat) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let sent_at = Field::new("sent_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    let more = [text("MessageId"), sent_at, Field::new("receive_count", DataType::Int64, true), text("group")];
    let body = match body {
        BodyFormat::Json => text("text"),
        BodyFormat::Text => text("body"),
    };
    envelope_schema([body], more)
}

struct PlannedSqs {
    node: String,
    settings: Settings,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedSqs {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let queue = self.settings.queue().await?;
        Ok(Box::new(SqsSource::start(&self.node, &self.settings, &queue, &context, &self.schema)?))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(&self.settings, found).await;
    }
}
