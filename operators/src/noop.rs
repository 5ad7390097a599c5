//! `noop`: passes everything on as it is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, PortIndex};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

/// Options of `noop`: none.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// The kind `noop`: passes everything on.
pub struct Noop;

impl OperatorKind for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn summary(&self) -> &'static str {
        "passes everything on as it is"
    }

    fn schema(&self) -> Schema {
        schema_for!(NoOptions)
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let NoOptions {} = options.read()?;
        Ok(passing(context))
    }
}

/// An operator that passes everything on.
pub(crate) fn passing(context: &PlanContext<'_>) -> PlannedOperator {
    let port = Port { name: OUT.into(), schema: Arc::clone(&context.schema), open: context.open };
    PlannedOperator::new(vec![port], || Ok(Box::new(Passing)))
}

struct Passing;

#[async_trait]
impl Operator for Passing {
    async fn process(&mut self, _: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        out.emit(PortIndex(0), rows.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, entries, lines, rows};

    #[tokio::test]
    async fn events_pass_as_they_are() {
        let rows = rows(&[r#"{"a-b":1}"#]);
        let mut bench = Bench::new(&Noop, entries([]), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"a-b":1}"#]));
    }
}
