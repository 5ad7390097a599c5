//! `filter: "severity <> 'info'"`: keeps the rows for which a condition is true.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use async_trait::async_trait;
use schemars::{Schema, json_schema};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, PortIndex};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

use crate::{options, rejection};

/// The kind `filter`.
///
/// The value is a SQL condition over the row. A row passes when it is true; NULL counts as false. A row for
/// which it cannot be evaluated (a division by zero, a failed cast) goes to `errors`.
pub struct Filter;

impl OperatorKind for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn summary(&self) -> &'static str {
        "keeps the rows for which a SQL condition is true"
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A SQL condition over the row. A row passes when it is true; NULL counts as false. \
                            A row for which it cannot be evaluated goes to `errors`.",
            "examples": ["severity <> 'info'"]
        })
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let sql = options::sql(options, "filter: \"severity <> 'info'\"")?;
        let condition = Expression::plan_predicate(&sql, &context.schema, context.open, context.warnings)
            .map_err(|diagnostic| vec![diagnostic])?;
        let port = Port { name: OUT.into(), schema: Arc::clone(&context.schema), open: context.open };
        Ok(PlannedOperator::new(vec![port], move || Ok(Box::new(Running { condition: condition.clone() }))))
    }
}

struct Running {
    condition: Expression,
}

#[async_trait]
impl Operator for Running {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let passing = self.condition.evaluate_predicate_rows(rows, step.time)?;
        rejection::reject(rows, passing.bad, out)?;
        match passing.values.true_count() {
            0 => {}
            all if all == rows.num_rows() => out.emit(PortIndex(0), rows.clone()),
            _ => out.emit(PortIndex(0), filter_record_batch(rows, &passing.values)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, diagnostics, lines, plan, rows, text};

    use super::*;

    #[tokio::test]
    async fn rows_pass_for_which_the_condition_is_true() {
        let rows = rows(&[r#"{"n":1}"#, r#"{"n":5}"#, r#"{"n":null}"#, r#"{"n":7}"#]);
        let mut bench = Bench::new(&Filter, text("n > 3"), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"n":5}"#, r#"{"n":7}"#]));
    }

    #[tokio::test]
    async fn a_batch_that_passes_whole_is_not_copied() {
        let rows = rows(&[r#"{"n":1}"#, r#"{"n":5}"#]);
        let mut bench = Bench::new(&Filter, text("n > 0"), rows.schema());
        let out = bench.step(0, &rows).await;
        assert!(Arc::ptr_eq(out.rows[0].1.column(0), rows.column(0)));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_evaluated_goes_to_errors_and_the_others_pass() {
        let rows = rows(&[r#"{"n":1}"#, r#"{"n":0}"#, r#"{"n":2}"#]);
        let mut bench = Bench::new(&Filter, text("10 / n > 3"), rows.schema());
        let out = bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"n":1}"#, r#"{"n":2}"#]));
        let (row, rejected) = &out.rejected[0];
        assert_eq!((*row, rejected.reason.as_str(), rejected.raw.as_str()), (1, "Divide by zero error", r#"{"n":0}"#));
    }

    #[test]
    fn an_unknown_column_is_reported_inside_the_text() {
        let rows = rows(&[r#"{"severity":"info"}"#]);
        let found = diagnostics(&Filter, text("severty <> 'info'"), rows.schema());
        assert_eq!(found[0].message, "there is no column `severty` here");
        assert_eq!((found[0].place.line, found[0].place.column, found[0].place.length), (3, 11, 7));
        assert_eq!(found[0].help.as_deref(), Some("did you mean `severity`?"));
    }

    #[test]
    fn a_value_that_is_not_text_is_refused() {
        let found = diagnostics(&Filter, crate::testing::list(&["a"]), rows(&[r#"{"n":1}"#]).schema());
        assert_eq!(found[0].message, "expected SQL text");
    }

    #[test]
    fn an_open_input_stays_open() {
        let planned = plan(&Filter, text("n > 1"), rows(&[r#"{"n":1}"#]).schema(), true).unwrap();
        assert!(planned.ports[0].open);
    }
}
