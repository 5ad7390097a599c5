//! `aws_cloudtrail`: what was done in an account, as CloudTrail's event history tells it.
//!
//! CloudTrail answers newest first, and events turn up minutes after they happened. So the source looks back from the
//! last event by an overlap, gives what it has not seen oldest first, and keeps the ids of that stretch in its position.

mod history;
pub mod options;
mod progress;
mod source;

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_cloudtrail::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use tidegate_connectors::event::event_port;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};

use history::History;
use options::{CloudTrailOptions, Settings};
use source::CloudTrailSource;

use crate::connection::ConnectionOptions;
use crate::diagnosis::begin;

/// The name of the kind.
const NAME: &str = "aws_cloudtrail";

/// The kind `aws_cloudtrail`.
#[derive(Debug, Clone, Copy)]
pub struct CloudTrailKind;

impl SourceKind for CloudTrailKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.aws_cloudtrail"]
    }

    fn summary(&self) -> &'static str {
        "What was done in an AWS account: the event history of CloudTrail"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Replayable,
            on_crash: "It looks back from the last event that was journaled, and gives what it has not given before. \
                       CloudTrail keeps events for 90 days.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<CloudTrailOptions, ConnectionOptions>)
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let Together(read, reach): Together<CloudTrailOptions, ConnectionOptions> = options.read()?;
        let settings = read.check(&reach, options, &context.working_directory)?;
        let planned = PlannedCloudTrail { node: context.node.to_owned(), settings, schema: schema() };
        Ok(PlannedSource {
            envelope: true,
            reconnects: true,
            ..PlannedSource::new(Delivery::Inline, vec![event_port(schema())], planned)
        })
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        // Events of another region or account would be taken for late ones.
        let Together(options, reach): Together<CloudTrailOptions, ConnectionOptions> = options.read().ok()?;
        Some(serde_json::json!([options.region, reach.profile, reach.role, options.event_category]).to_string())
    }
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time = Field::new("EventTime", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    let members = [text("EventId"), text("EventName"), text("ReadOnly"), time, text("EventSource"), text("Username")];
    envelope_schema(members.into_iter().chain([text("text")]), [])
}

struct PlannedCloudTrail {
    node: String,
    settings: Settings,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedCloudTrail {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let history = History::connect(&self.settings).await?;
        history.verify(jiff::Timestamp::now().as_second()).await?;
        Ok(Box::new(CloudTrailSource::new(&self.node, &self.settings, history, &context, &self.schema)?))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let begun = begin(found, &self.settings.connection, "AWS_ENDPOINT_URL_CLOUDTRAIL", endpoint).await;
        let allowed = async {
            let config = begun.as_ref().ok_or_else(|| Error::internal("there is no configuration"))?;
            History::through(config, &self.settings)?.verify(jiff::Timestamp::now().as_second()).await?;
            Ok(((), "CloudTrail answers these credentials".to_owned()))
        };
        found.check("lookup allowed", allowed).await;
    }
}

/// Where CloudTrail is in a region.
async fn endpoint(config: &SdkConfig) -> Result<String> {
    let params = Params::builder().set_region(config.region().map(ToString::to_string));
    let params = params.set_use_fips(config.use_fips()).set_use_dual_stack(config.use_dual_stack());
    let found = DefaultResolver::new().resolve_endpoint(&params.build().map_err(Error::user)?).await;
    Ok(found.map_err(Error::user)?.url().to_owned())
}
