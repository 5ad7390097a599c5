//! `drop`: counts rows and forgets them.

use std::time::Instant;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind, TransactionalSink};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

/// The options of `drop`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropOptions {
    /// Log the number of rows and their rate at the end.
    #[serde(default)]
    pub report: bool,
}

/// The kind `drop`.
#[derive(Debug, Clone, Copy)]
pub struct DropKind;

impl SinkKind for DropKind {
    fn name(&self) -> &'static str {
        "drop"
    }

    fn summary(&self) -> &'static str {
        "Nowhere: counts rows, for measuring"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(DropOptions)
    }

    fn plan(&self, options: &Options, _context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let options: DropOptions = super::optional(options)?;
        Ok(PlannedSink { open: Box::new(PlannedDrop { report: options.report }) })
    }
}

struct PlannedDrop {
    report: bool,
}

#[async_trait]
impl OpenSink for PlannedDrop {
    async fn open(&self, context: SinkContext) -> Result<Sink> {
        let drop = Drop { node: context.node, report: self.report, rows: 0, started: Instant::now() };
        Ok(Sink::Transactional(Box::new(drop)))
    }
}

/// An open `drop`.
struct Drop {
    node: std::sync::Arc<str>,
    report: bool,
    rows: u64,
    started: Instant,
}

#[async_trait]
impl TransactionalSink for Drop {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }

    async fn finish(&mut self) -> Result<()> {
        if self.report {
            let rate = self.rows as f64 / self.started.elapsed().as_secs_f64().max(f64::EPSILON);
            tracing::info!(node = %self.node, rows = self.rows, "dropped; {rate:.0} rows/s since it was opened");
        }
        Ok(())
    }
}
