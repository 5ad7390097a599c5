//! `http_poll`: asks a JSON endpoint again and again, and gives an event per item.

mod diagnosis;
mod fetch;
pub mod options;
mod paging;
mod polls;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as Column, SchemaRef};
use async_trait::async_trait;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use self::fetch::Fetcher;
use self::options::{Endpoint, HttpPollOptions};
use self::polls::Polls;
use crate::event::event_port;
use crate::places::Places;

/// The kind `http_poll`.
#[derive(Debug, Clone, Copy)]
pub struct HttpPollKind;

impl SourceKind for HttpPollKind {
    fn name(&self) -> &'static str {
        "http_poll"
    }

    fn summary(&self) -> &'static str {
        "Asks a JSON endpoint again and again; one event per item"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::BestEffort,
            on_crash: "The poll begins again: items whose page was not journaled yet come then, if the endpoint still \
                       has them. With `id` no item that is remembered comes twice; with `since` polling goes on where \
                       the last whole poll was.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(HttpPollOptions)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: HttpPollOptions = options.read()?;
        let endpoint = Arc::new(settings.check(&Places(options), &context.working_directory)?);
        let schema = envelope_schema([], [Column::new("url", DataType::Utf8, true)]);
        let ports = vec![event_port(Arc::clone(&schema))];
        let planned = PlannedSource::new(Delivery::Inline, ports, PlannedPolls { endpoint, schema });
        Ok(PlannedSource { envelope: true, reconnects: true, ..planned })
    }
}

struct PlannedPolls {
    endpoint: Arc<Endpoint>,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedPolls {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let fetcher = Fetcher::new(&self.endpoint)?;
        Ok(Box::new(Polls::new(&context, Arc::clone(&self.endpoint), &self.schema, fetcher)?))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        diagnosis::diagnose(&self.endpoint, found).await;
    }
}
