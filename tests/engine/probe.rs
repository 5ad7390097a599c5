//! An operator that lets rows pass and does what a test says at each number.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{Port, PortIndex};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;
use tokio::sync::watch;

/// The kind `probe`: passes rows on; `at` sees every number, and no step passes before `open` is true.
#[derive(Clone)]
pub(crate) struct ProbeKind {
    pub(crate) at: Arc<dyn Fn(i64) -> Result<()> + Send + Sync>,
    pub(crate) open: watch::Receiver<bool>,
    /// A number whose rows do not pass: a switch that changes what the operator does.
    pub(crate) dropped: Arc<AtomicI64>,
}

impl OperatorKind for ProbeKind {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn summary(&self) -> &'static str {
        "Lets rows pass."
    }

    fn schema(&self) -> schemars::Schema {
        schemars::json_schema!({"type": "object"})
    }

    fn plan(&self, _options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let probe = self.clone();
        let build = move || Ok(Box::new(Probe(probe.clone())) as Box<dyn Operator>);
        Ok(PlannedOperator::new(vec![Port::out(Arc::clone(&context.schema))], build))
    }
}

struct Probe(ProbeKind);

#[async_trait]
impl Operator for Probe {
    async fn process(&mut self, _: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let _ = self.0.open.wait_for(|open| *open).await;
        let numbers = rows.column_by_name("n").expect("given rows have numbers").as_primitive::<Int64Type>();
        numbers.values().iter().try_for_each(|number| (self.0.at)(*number))?;
        let dropped = self.0.dropped.load(Ordering::SeqCst);
        let kept: BooleanArray = numbers.values().iter().map(|number| Some(*number != dropped)).collect();
        out.emit(PortIndex(0), filter_record_batch(rows, &kept)?);
        Ok(())
    }
}
