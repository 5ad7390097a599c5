//! `url_check`: asks URLs, again and again, whether they are up.

pub mod options;
mod rounds;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field as Column, Fields, SchemaRef};
use async_trait::async_trait;
use reqwest::Client;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Port;
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use url::Url;

use self::options::{Checks, UrlCheckOptions};
use self::rounds::Rounds;
use super::http_client;
use crate::cassette::client::RecordedClient;
use crate::places::Places;

/// The kind `url_check`.
#[derive(Debug, Clone, Copy)]
pub struct UrlCheckKind;

impl SourceKind for UrlCheckKind {
    fn name(&self) -> &'static str {
        "url_check"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.url_check", "eda.builtin.url_check"]
    }

    fn summary(&self) -> &'static str {
        "Asks URLs, again and again, whether they are up"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::BestEffort,
            on_crash: "A new round begins; checks that were due meanwhile are not made up for. With `emit: changes` the \
                       last state of each URL is remembered, so that a change during the crash is an event.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(UrlCheckOptions)
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        // Positions name URLs by their hashes: those that stay keep their state.
        Some(self.name().to_owned())
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let settings: UrlCheckOptions = options.read()?;
        let checks = Arc::new(settings.check(&Places(options), &context.working_directory)?);
        let schema = schema();
        let bounded = checks.urls.is_empty();
        let ports = vec![Port::out(Arc::clone(&schema))];
        let planned = PlannedSource::new(Delivery::Inline, ports, PlannedChecks { checks, schema });
        Ok(PlannedSource { envelope: true, bounded, ..planned })
    }
}

fn schema() -> SchemaRef {
    let members = [
        Column::new("url", DataType::Utf8, true),
        Column::new("status", DataType::Utf8, true),
        Column::new("status_code", DataType::Int64, true),
        Column::new("error_msg", DataType::Utf8, true),
    ];
    envelope_schema([Column::new("url_check", DataType::Struct(Fields::from_iter(members)), true)], [])
}

/// What a URL answers, where that is what it should.
async fn answer(client: Result<Client>, url: &Url, expect: &[u16]) -> Result<((), String)> {
    let answer = client?.get(url.clone()).send().await;
    let status = answer.map_err(|error| Error::external(http_client::explain(error)))?.status();
    if expect.contains(&status.as_u16()) {
        return Ok(((), status.to_string()));
    }
    let expected: Vec<String> = expect.iter().map(u16::to_string).collect();
    let message = format!("{status} where {} is expected: it counts as down", expected.join(", "));
    Err(Error::external(message).with_remedy("look at what it serves, or write `expect`"))
}

struct PlannedChecks {
    checks: Arc<Checks>,
    schema: SchemaRef,
}

#[async_trait]
impl OpenSource for PlannedChecks {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let client = http_client::build(http_client::builder(self.checks.timeout, self.checks.verifies))?;
        let client = RecordedClient::new(client, self.checks.cassette.as_ref())?;
        Ok(Box::new(Rounds::new(&context, Arc::clone(&self.checks), &self.schema, client)?))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let checks = &self.checks;
        let client = http_client::build(http_client::builder(checks.timeout, checks.verifies));
        for url in &checks.urls {
            found.about(http_client::shown_without_query(url));
            http_client::reach(found, url, checks.verifies).await;
            found.check("expected answer", answer(client.clone(), url, &checks.expect)).await;
        }
        found.about_all(true);
        if checks.urls.is_empty() {
            found.skip("expected answer", "`urls` names none: the source ends at once");
        }
    }
}
