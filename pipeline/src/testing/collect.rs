//! A sink that keeps its rows in memory: for tests, and for commands that run a pipeline to look at what
//! comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::operator::PlanContext;
use crate::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind, TransactionalSink};
use crate::spec::Options;
use crate::spec::diagnostic::Diagnostic;
use crate::step::StepHeader;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;

/// The kind's name. Only catalogues that hold the kind offer it.
pub const COLLECT: &str = "collect";

/// What was collected, by the name of the sink.
#[derive(Debug, Clone, Default)]
pub struct Collected(Arc<Mutex<BTreeMap<String, Vec<RecordBatch>>>>);

impl Collected {
    /// Takes what a sink has collected.
    pub fn take(&self, sink: &str) -> Vec<RecordBatch> {
        self.0.lock().remove(sink).unwrap_or_default()
    }

    /// Takes the rows of a sink as JSON lines.
    ///
    /// # Errors
    /// When a column has no JSON form.
    pub fn take_json_lines(&self, sink: &str) -> Result<String> {
        let mut bytes = Vec::new();
        let mut writer = arrow::json::LineDelimitedWriter::new(&mut bytes);
        for batch in self.take(sink) {
            writer.write(&batch)?;
        }
        writer.finish()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The kind, tied to the place where rows are kept.
pub struct CollectKind(pub Collected);

impl SinkKind for CollectKind {
    fn name(&self) -> &'static str {
        COLLECT
    }

    fn summary(&self) -> &'static str {
        "Keeps rows in memory."
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, _context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        Ok(PlannedSink { open: Box::new(Open(self.0.clone())) })
    }
}

struct Open(Collected);

#[async_trait]
impl OpenSink for Open {
    async fn open(&self, context: SinkContext) -> Result<Sink> {
        Ok(Sink::Transactional(Box::new(Collecting { sink: context.node.to_string(), into: self.0.clone() })))
    }
}

struct Collecting {
    sink: String,
    into: Collected,
}

#[async_trait]
impl TransactionalSink for Collecting {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        self.into.0.lock().entry(self.sink.clone()).or_default().push(rows.clone());
        Ok(())
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }
}
