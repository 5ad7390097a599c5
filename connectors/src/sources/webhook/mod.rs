//! `webhook`: takes JSON that is posted, and answers when it is durable.

pub mod options;
#[cfg(test)]
mod tests;

use std::path::Path;

use arrow::datatypes::{DataType, Field as Column, SchemaRef};
use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::HeaderName;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::envelope::envelope_schema;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{
    Delivery, Guarantee, GuaranteeClass, OpenSource, PlannedSource, Source, SourceContext, SourceKind,
    SourcePlanContext,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Options, Secret, Together};

use self::options::WebhookOptions;
use super::http::{
    self, Admission, Algorithm, Encoding, ListenOptions, ListenSettings, Opening, Received, Refusal, Translation,
};
use crate::event::{Envelope, EventMeta, Field, event_port};
use crate::places::Places;

/// The kind `webhook`.
#[derive(Debug, Clone, Copy)]
pub struct WebhookKind;

impl SourceKind for WebhookKind {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["ansible.eda.webhook", "eda.builtin.webhook"]
    }

    fn summary(&self) -> &'static str {
        "Takes JSON that is posted over HTTP, and answers when it is durable"
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee {
            class: GuaranteeClass::Acknowledged,
            on_crash: "What was answered with 2xx is there, once. What was not answered may be there: its caller sends \
                       it again, and it is taken once where it has an id.",
        }
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<WebhookOptions, ListenOptions>)
    }

    fn state_of(&self, _options: &Options) -> Option<String> {
        // Positions hold the ids that were taken: those stay taken wherever it listens.
        Some(self.name().to_owned())
    }

    fn plan(&self, options: &Options, context: &SourcePlanContext<'_>) -> Result<PlannedSource, Vec<Diagnostic>> {
        let planned = PlannedWebhook::new(&options.read()?, &Places(options), &context.working_directory)?;
        let ports = vec![event_port(planned.schema.clone())];
        Ok(PlannedSource { envelope: true, ..PlannedSource::new(Delivery::Inline, ports, planned) })
    }
}

struct PlannedWebhook {
    settings: ListenSettings,
    schema: SchemaRef,
    token: Option<Secret>,
    signature: Option<(Secret, Algorithm, HeaderName, Encoding)>,
    standard: Option<(Secret, Duration)>,
    id_headers: Vec<HeaderName>,
    remembered: usize,
    shown_headers: Option<Vec<HeaderName>>,
    status: StatusCode,
}

impl PlannedWebhook {
    fn new(
        Together(options, listen): &Together<WebhookOptions, ListenOptions>,
        places: &Places<'_>,
        folder: &Path,
    ) -> Result<Self, Vec<Diagnostic>> {
        let checked = options.check(listen, places, folder)?;
        let signature = options
            .hmac_secret
            .clone()
            .map(|secret| (secret, checked.algorithm, checked.hmac_header, checked.encoding));
        Ok(Self {
            settings: checked.settings,
            schema: envelope_schema([], [Column::new("endpoint", DataType::Utf8, true)]),
            token: listen.token.clone(),
            signature,
            standard: options.webhook_secret.clone().map(|secret| (secret, options.tolerance)),
            id_headers: checked.id_headers,
            remembered: options.remember_ids,
            shown_headers: checked.shown_headers,
            status: checked.status,
        })
    }

    fn admission(&self) -> Result<Admission> {
        let mut admission = Admission::default().with_token(self.token.as_ref())?;
        if let Some((secret, algorithm, header, encoding)) = &self.signature {
            admission = admission.with_signature(secret, *algorithm, header.clone(), *encoding)?;
        }
        if let Some((secret, tolerance)) = &self.standard {
            admission = admission.with_standard_webhooks(secret, tolerance.0)?;
        }
        Ok(admission)
    }
}

#[async_trait]
impl OpenSource for PlannedWebhook {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let opening = Opening {
            settings: &self.settings,
            schema: &self.schema,
            admission: self.admission()?,
            translation: Box::new(Posted(Envelope::new(&context.node, "webhook"))),
            id_headers: self.id_headers.clone(),
            remembered: self.remembered,
            shown_headers: self.shown_headers.clone(),
            status: self.status,
        };
        http::open(opening, &context).await
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        http::diagnose(&self.settings, self.admission(), found).await;
    }
}

/// One event per request: `{"payload": …, "meta": {"endpoint": …, "headers": …}}`.
struct Posted(Envelope);

impl Translation for Posted {
    fn events(&self, received: Received<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut meta = EventMeta { uuid: Some(received.uuid.to_string()), ..EventMeta::default() };
        meta.more.insert("endpoint".to_owned(), received.endpoint.as_ref().into());
        meta.more.insert("headers".to_owned(), received.headers.into());
        Ok(vec![self.0.line(&[("payload", Field::Raw(received.body.as_bytes()))], &meta)])
    }
}
