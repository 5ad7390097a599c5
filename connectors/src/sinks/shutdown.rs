//! `shutdown`: a row that comes here ends the pipeline.

use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{
    OpenSink, PlannedSink, Shutdown, ShutdownKind, Sink, SinkContext, SinkKind, TransactionalSink,
};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

use crate::places::Places;

/// The options of `shutdown`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShutdownOptions {
    /// `graceful`: sources stop, what was taken in is worked through and effects are delivered. `now`: as a signal
    /// does; effects that are under way are left for the next start.
    #[serde(default)]
    pub kind: ShutdownKind,
    /// How many seconds effects may take, with `graceful`.
    #[serde(default = "a_minute")]
    pub delay: f64,
    /// What the log says.
    #[serde(default = "default_message")]
    pub message: String,
}

fn a_minute() -> f64 {
    60.0
}

fn default_message() -> String {
    "Default shutdown message".to_owned()
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self { kind: ShutdownKind::default(), delay: a_minute(), message: default_message() }
    }
}

/// The kind `shutdown`.
#[derive(Debug, Clone, Copy)]
pub struct ShutdownSinkKind;

impl SinkKind for ShutdownSinkKind {
    fn name(&self) -> &'static str {
        "shutdown"
    }

    fn summary(&self) -> &'static str {
        "Ends the pipeline when a row arrives"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(ShutdownOptions)
    }

    fn plan(&self, options: &Options, _context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let read: ShutdownOptions = super::optional(options)?;
        let delay = Duration::try_from_secs_f64(read.delay)
            .map_err(|_| vec![Places(options).at("delay", "`delay` must be a number of seconds, 0 or more")])?;
        Ok(PlannedSink { open: Box::new(Planned(Shutdown { kind: read.kind, delay, message: read.message })) })
    }

    /// It writes nothing: a changed one goes on.
    fn state_of(&self, _options: &Options) -> Option<String> {
        Some(String::new())
    }
}

struct Planned(Shutdown);

#[async_trait]
impl OpenSink for Planned {
    async fn open(&self, _context: SinkContext) -> Result<Sink> {
        Ok(Sink::Transactional(Box::new(Open { shutdown: self.0.clone(), wanted: false })))
    }
}

/// An open `shutdown`.
struct Open {
    shutdown: Shutdown,
    wanted: bool,
}

#[async_trait]
impl TransactionalSink for Open {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        self.wanted |= rows.num_rows() > 0;
        Ok(())
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }

    fn shutdown(&mut self) -> Option<Shutdown> {
        std::mem::take(&mut self.wanted).then(|| self.shutdown.clone())
    }
}
