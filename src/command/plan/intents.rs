//! Handlers that gather what rows want of them, instead of doing it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::handler::sink::Intent;
use tidegate_pipeline::handler::{DryRun, ResourceId};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{
    DispatchingSink, EffectPayload, OpenSink, PlannedSink, Sink, SinkContext, SinkKind, TransactionalSink,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

/// What a handler would be asked for.
pub(super) struct Intended {
    sink: Arc<dyn DispatchingSink>,
    payload: EffectPayload,
}

impl Intended {
    /// What would come of it; `None` where nobody can say.
    pub(super) async fn look(self) -> Option<DryRun> {
        Some(self.sink.follower()?.dry_run(&self.payload).await)
    }
}

/// What handlers would be asked for, by their names.
#[derive(Clone, Default)]
pub(super) struct Gathered(Arc<Mutex<BTreeMap<String, OfHandler>>>);

/// What one of them would be asked for. The last that is wanted of a resource counts.
#[derive(Default)]
struct OfHandler {
    named: HashMap<ResourceId, Intended>,
    nameless: Vec<Intended>,
}

impl Gathered {
    /// Takes what one of them would be asked for.
    pub(super) fn take(&self, node: &str) -> Vec<Intended> {
        let OfHandler { named, nameless } = self.0.lock().remove(node).unwrap_or_default();
        named.into_values().chain(nameless).collect()
    }

    fn add(&self, node: &str, intended: Intended) {
        let intent: Option<Intent> = serde_json::from_slice(&intended.payload.body).ok();
        let mut all = self.0.lock();
        let of_handler = all.entry(node.to_owned()).or_default();
        match intent.and_then(|intent| intent.resource) {
            Some(resource) => drop(of_handler.named.insert(resource.id, intended)),
            None => of_handler.nameless.push(intended),
        }
    }
}

/// A kind of handler that only gathers.
pub(super) struct IntentsKind {
    kind: Box<dyn SinkKind>,
    gathered: Gathered,
}

impl IntentsKind {
    pub(super) fn boxed(kind: Box<dyn SinkKind>, gathered: Gathered) -> Box<dyn SinkKind> {
        Box::new(Self { kind, gathered })
    }
}

impl SinkKind for IntentsKind {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn summary(&self) -> &'static str {
        self.kind.summary()
    }

    fn schema(&self) -> schemars::Schema {
        self.kind.schema()
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let planned = self.kind.plan(options, context)?;
        Ok(PlannedSink { open: Box::new(Planned { planned, gathered: self.gathered.clone() }) })
    }
}

struct Planned {
    planned: PlannedSink,
    gathered: Gathered,
}

#[async_trait]
impl OpenSink for Planned {
    async fn open(&self, context: SinkContext) -> Result<Sink> {
        let node = context.node.to_string();
        match self.planned.open.open(context).await? {
            Sink::Dispatching(sink) => {
                Ok(Sink::Transactional(Box::new(Gathering { sink, node, gathered: self.gathered.clone() })))
            }
            Sink::Transactional(_) => Err(Error::internal("a handler does not dispatch")),
        }
    }
}

/// Takes rows in place of a handler.
struct Gathering {
    sink: Arc<dyn DispatchingSink>,
    node: String,
    gathered: Gathered,
}

#[async_trait]
impl TransactionalSink for Gathering {
    async fn write(&mut self, step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        for payload in self.sink.effects(step, rows)? {
            self.gathered.add(&self.node, Intended { sink: Arc::clone(&self.sink), payload });
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }
}
