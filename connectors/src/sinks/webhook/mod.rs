//! `webhook`: rows as HTTP requests; dispatching.
//!
//! ```text
//! row ──► body ──► outbox ──► request ──────────► answer
//!         template, key       id, time, secrets,   delivered, again, refused
//!         CloudEvent          signatures, gzip
//! ```
//! What the outbox keeps holds no secret. Ids, secrets and what is signed with the time of an attempt come with it. The
//! kinds of services (`slack`, `pagerduty`, …) are presets of the same: data in `presets/`.

mod answer;
mod body;
mod destination;
mod options;
pub(crate) mod presets;
mod redaction;
mod sending;
mod stored;
mod template;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{
    Attempt, DeliveryTerms, DispatchingSink, EffectMaker, EffectPayload, OpenSink, PlannedSink, Sink, SinkContext,
    SinkKind,
};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Options, Together};
use tidegate_pipeline::step::StepHeader;

use self::body::{Encoder, Maker};
use self::destination::{Destination, Open};
pub use self::options::WebhookOptions;
pub use self::sending::SendingOptions;
use crate::sources::http_client::explain;

/// The kind `webhook`.
#[derive(Debug, Clone, Copy)]
pub struct WebhookKind;

impl SinkKind for WebhookKind {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn summary(&self) -> &'static str {
        "HTTP requests, each until it is answered with 2xx or given up, always under the same id"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<WebhookOptions, SendingOptions>)
    }

    fn dispatches(&self) -> bool {
        true
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let Together(given, sending): Together<WebhookOptions, SendingOptions> = options.read()?;
        let (encoder, destination) = given.plan(&sending, options, context)?;
        Ok(planned(encoder, destination))
    }
}

/// A sink that posts.
fn planned(encoder: Encoder, destination: Destination) -> PlannedSink {
    PlannedSink { open: Box::new(PlannedWebhook { encoder, destination }) }
}

struct PlannedWebhook {
    encoder: Encoder,
    destination: Destination,
}

#[async_trait]
impl OpenSink for PlannedWebhook {
    async fn open(&self, _context: SinkContext) -> Result<Sink> {
        Ok(Sink::Dispatching(Arc::new(Webhook(self.destination.open()?))))
    }

    fn maker(&self) -> Option<Arc<dyn EffectMaker>> {
        Some(Arc::new(Maker::new(self.encoder.clone())))
    }
}

/// An open sink.
struct Webhook(Open);

#[async_trait]
impl DispatchingSink for Webhook {
    fn effects(&self, _step: &StepHeader, _rows: &RecordBatch) -> Result<Vec<EffectPayload>> {
        Err(Error::internal("the effects of this sink are made by its maker"))
    }

    async fn deliver(&self, id: &str, payload: &EffectPayload) -> Attempt {
        let request = match self.0.request(id, &payload.body, Timestamp::now().as_second()) {
            Ok(request) => request,
            Err(why) => return Attempt::Refused { reason: format!("the request cannot be made: {why}") },
        };
        match self.0.send(request).await {
            Ok(response) => self.0.judge(response).await,
            Err(error) => Attempt::Again { reason: self.0.redaction.of(&explain(error)), after: None },
        }
    }

    fn terms(&self) -> DeliveryTerms {
        self.0.sending.terms
    }
}
