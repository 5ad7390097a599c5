//! A handler in a pipeline: a dispatching sink. Each row becomes a resource, each resource an effect; delivering it is
//! deploying it. So ids, retries, crash safety and order come from the engine.
//!
//! ```text
//! row ─ templates ─► Intent (the body of an effect; its key is the agent) ─► deploy ─► report, kept with the effect
//! ```
//!
//! What decides beyond the algorithm stands here: who may be touched (`hosts`), when (`window`), how much (`max_changes`),
//! who is asked (`approval`), and what waits for what (`requires`).

mod decide;
mod intent;
mod limits;
mod options;
mod redaction;
mod standings;
mod template;

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{Handler, ResourceType};
use crate::error::Result;
use crate::operator::PlanContext;
use crate::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind};
use crate::spec::diagnostic::Diagnostic;
use crate::spec::{Options, Secrets, Together};

pub use intent::Intent;
pub use limits::{MaxChanges, Window};
pub use options::{Approval, Desired, HandlerOptions};

use decide::HandlerSink;
use limits::Limits;
use redaction::Redaction;
use standings::Standings;
use template::RowTemplates;

/// A field of a kind of resource.
#[derive(Debug, Clone, Copy)]
pub struct FieldDescription {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// A field, described.
pub const fn field(name: &'static str, about: &'static str) -> FieldDescription {
    FieldDescription { name, about }
}

/// A kind of handler: `sinks: {name: {from: …, KIND: {id: …, desired: {…}}}}`.
pub trait HandlerKind: Send + Sync + 'static {
    /// Its own options, beside [`HandlerOptions`].
    type Own: DeserializeOwned + JsonSchema + Send + Sync;

    /// Its name in YAML.
    fn name(&self) -> &'static str;
    /// One sentence for `component list`.
    fn summary(&self) -> &'static str;
    /// The type of its resources.
    fn resource_type(&self) -> ResourceType;
    /// The fields that its resources have; `None` where any may be given.
    fn fields(&self) -> Option<&'static [FieldDescription]>;
    /// The agent of a resource whose `agent` is not given; `None` where it has to be.
    fn agent_of(&self, id: &str) -> Option<String>;
    /// Plans it.
    ///
    /// # Errors
    /// Everything that is wrong with the options, each with its place.
    fn plan(
        &self,
        own: Self::Own,
        options: &Options,
        context: &mut PlanContext<'_>,
    ) -> Result<Box<dyn OpenHandler>, Vec<Diagnostic>>;
}

/// Opens a planned handler.
#[async_trait]
pub trait OpenHandler: Send + Sync {
    /// Opens it: secrets are read now. The outside is not asked before a resource needs it.
    ///
    /// # Errors
    /// When it cannot work at all.
    async fn open(&self, node: &Arc<str>) -> Result<Arc<dyn Handler>>;
}

/// A kind of handler as a kind of sink.
pub struct HandlerSinkKind<K>(pub Arc<K>);

impl<K: HandlerKind> HandlerSinkKind<K> {
    /// The kind of sink that `kind` is.
    pub fn boxed(kind: K) -> Box<dyn SinkKind> {
        Box::new(Self(Arc::new(kind)))
    }
}

impl<K: HandlerKind> SinkKind for HandlerSinkKind<K> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn summary(&self) -> &'static str {
        self.0.summary()
    }

    fn schema(&self) -> schemars::Schema {
        let mut schema = schemars::schema_for!(Together<HandlerOptions, K::Own>);
        if let Some(fields) = self.0.fields() {
            options::describe_fields(&mut schema, fields);
        }
        schema
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let Together(shared, own): Together<HandlerOptions, K::Own> = options.read()?;
        let mut found = options::wrong_fields(&shared, options, self.0.fields());
        let templates = match RowTemplates::plan(&shared, options, context) {
            Ok(templates) => Some(templates),
            Err(wrong) => {
                found.extend(wrong);
                None
            }
        };
        let handler = match self.0.plan(own, options, context) {
            Ok(handler) => Some(handler),
            Err(wrong) => {
                found.extend(wrong);
                None
            }
        };
        let (Some(templates), Some(handler), true) = (templates, handler, found.is_empty()) else {
            return Err(found);
        };
        let secrets = options.secrets().clone();
        let kind = Arc::clone(&self.0);
        Ok(PlannedSink { open: Box::new(PlannedHandler { kind, shared, templates, handler, secrets }) })
    }

    /// It writes nothing that a later life would have to find: a changed one goes on.
    fn state_of(&self, _options: &Options) -> Option<String> {
        Some(String::new())
    }

    fn is_handler(&self) -> bool {
        true
    }

    fn dispatches(&self) -> bool {
        true
    }
}

struct PlannedHandler<K> {
    kind: Arc<K>,
    shared: HandlerOptions,
    templates: RowTemplates,
    handler: Box<dyn OpenHandler>,
    secrets: Secrets,
}

#[async_trait]
impl<K: HandlerKind> OpenSink for PlannedHandler<K> {
    async fn open(&self, context: SinkContext) -> Result<Sink> {
        let kind = Arc::clone(&self.kind);
        let sink = HandlerSink {
            kind: self.kind.resource_type(),
            agent_of: Box::new(move |id| kind.agent_of(id)),
            templates: Mutex::new(self.templates.clone()),
            handler: self.handler.open(&context.node).await?,
            limits: Limits::of(&self.shared),
            settings: self.shared.clone(),
            standings: Mutex::new(Standings::default()),
            redaction: Redaction::of(&self.secrets),
        };
        Ok(Sink::Dispatching(Arc::new(sink)))
    }
}
