//! A sink that is slow, or stuck, and counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind, TransactionalSink};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

/// The kind `hindered`.
#[derive(Clone, Default)]
pub(crate) struct HinderedKind {
    /// How long each write takes.
    pub(crate) write: Duration,
    /// How long each commit takes.
    pub(crate) commit: Duration,
    /// Commits under way now, and the most there ever were.
    pub(crate) under_way: Arc<AtomicUsize>,
    pub(crate) most: Arc<AtomicUsize>,
}

impl SinkKind for HinderedKind {
    fn name(&self) -> &'static str {
        "hindered"
    }

    fn summary(&self) -> &'static str {
        "Takes its time."
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, _context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        Ok(PlannedSink { open: Box::new(self.clone()) })
    }
}

#[async_trait]
impl OpenSink for HinderedKind {
    async fn open(&self, _context: SinkContext) -> Result<Sink> {
        Ok(Sink::Transactional(Box::new(self.clone())))
    }
}

#[async_trait]
impl TransactionalSink for HinderedKind {
    async fn write(&mut self, _step: &StepHeader, _rows: &RecordBatch) -> Result<()> {
        tokio::time::sleep(self.write).await;
        Ok(())
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        let (this, now) = (self.clone(), self.under_way.fetch_add(1, Ordering::SeqCst) + 1);
        self.most.fetch_max(now, Ordering::SeqCst);
        Ok(async move {
            tokio::time::sleep(this.commit).await;
            this.under_way.fetch_sub(1, Ordering::SeqCst);
            Ok("{}".to_owned())
        }
        .boxed())
    }
}
