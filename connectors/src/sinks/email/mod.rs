//! `email`: rows as messages over SMTP, with STARTTLS; dispatching.

mod message;
mod options;
mod smtp;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
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
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{NOWHERE, Options, Together};
use tidegate_pipeline::step::StepHeader;

use self::message::Message;
pub use self::options::EmailOptions;
use self::options::Mailbox;
use self::smtp::Server;
use super::webhook::SendingOptions;
use super::webhook::body::{Content, Encoder, Maker};
use super::webhook::template::{Known, Template};
use crate::places::Places;

/// What the outbox keeps of a message.
const KEPT: &str = r#"{"subject": {{ parameters.subject | tojson }}, "text": {{ parameters.text | tojson }}}"#;

/// The kind `email`.
#[derive(Debug, Clone, Copy)]
pub struct EmailKind;

impl SinkKind for EmailKind {
    fn name(&self) -> &'static str {
        "email"
    }

    fn summary(&self) -> &'static str {
        "Messages over SMTP, each until the server has taken it or refused it"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<EmailOptions, SendingOptions>)
    }

    fn dispatches(&self) -> bool {
        true
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let Together(given, sending): Together<EmailOptions, SendingOptions> = options.read()?;
        let places = Places(options);
        let mut found = Vec::new();
        let checked = sending.check(&places, &context.working_directory, &mut found);
        let key = sending.key(options, context).unwrap_or_else(|wrong| {
            found.push(wrong);
            None
        });
        let mailbox = given.check(&places, &mut found);
        let kept = Located::new(KEPT.to_owned(), NOWHERE);
        let mut template = |text: &Located<String>| {
            let known = Known { schema: &context.schema, open: context.open, batch: false };
            Template::plan(text, &known, context.warnings).map_err(|wrong| found.push(wrong)).ok()
        };
        let (subject, text, kept) = (template(&given.subject), template(&given.text), template(&kept));
        let (Some(subject), Some(text), Some(kept), Some(mailbox), true) =
            (subject, text, kept, mailbox, found.is_empty())
        else {
            return Err(found);
        };
        let encoder = Encoder {
            content: Content::Template { template: kept, is_json: true },
            parameters: BTreeMap::from([("subject".to_owned(), subject), ("text".to_owned(), text)]),
            batch: None,
            key,
            url: None,
            longest: checked.longest_body,
        };
        let server = Server {
            host: given.host,
            port: given.port,
            security: given.security,
            login: given.username.zip(given.password),
            sending: checked,
        };
        Ok(PlannedSink { open: Box::new(PlannedEmail { encoder, mailbox, server }) })
    }
}

struct PlannedEmail {
    encoder: Encoder,
    mailbox: Mailbox,
    server: Server,
}

#[async_trait]
impl OpenSink for PlannedEmail {
    async fn open(&self, _context: SinkContext) -> Result<Sink> {
        let (server, mailbox) = (self.server.open()?, self.mailbox.clone());
        Ok(Sink::Dispatching(Arc::new(Email { server, mailbox })))
    }

    fn maker(&self) -> Option<Arc<dyn EffectMaker>> {
        Some(Arc::new(Maker::new(self.encoder.clone())))
    }
}

/// An open sink.
struct Email {
    server: smtp::OpenServer,
    mailbox: Mailbox,
}

#[async_trait]
impl DispatchingSink for Email {
    fn effects(&self, _step: &StepHeader, _rows: &RecordBatch) -> Result<Vec<EffectPayload>> {
        Err(Error::internal("the effects of this sink are made by its maker"))
    }

    async fn deliver(&self, id: &str, payload: &EffectPayload) -> Attempt {
        match Message::of(id, &payload.body, &self.mailbox, &Timestamp::now()) {
            Ok(message) => self.server.send(&self.mailbox, &message).await,
            Err(why) => Attempt::Refused { reason: format!("the message cannot be made: {why}") },
        }
    }

    fn terms(&self) -> DeliveryTerms {
        self.server.terms
    }
}
