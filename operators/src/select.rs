//! `select: "*, cpu > 90 AS hot"`: makes the columns of the output from expressions over the row.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use schemars::{Schema, json_schema};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::Projection;
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, PortIndex};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

use crate::{options, rejection};

/// The kind `select`.
///
/// The value is a SQL projection: `*`, `* EXCLUDE (a, b)`, columns, `payload.kind` (named `kind`),
/// `expression AS name`. A row for which an expression cannot be evaluated goes to `errors`.
pub struct Select;

impl OperatorKind for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn summary(&self) -> &'static str {
        "makes new columns from SQL expressions over the row"
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A SQL projection: `*`, `* EXCLUDE (a, b)`, columns, `payload.kind` (named `kind`), \
                            `expression AS name`. A row for which it cannot be evaluated goes to `errors`.",
            "examples": ["*, cpu > 90 AS hot", "payload.resource_id, payload.kind, meta"]
        })
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let sql = options::sql(options, "select: \"*, cpu > 90 AS hot\"")?;
        let projection = Projection::plan(&sql, &context.schema, context.open, context.warnings)
            .map_err(|diagnostic| vec![diagnostic])?;
        let port = Port { name: OUT.into(), schema: Arc::clone(projection.schema()), open: projection.open() };
        Ok(PlannedOperator::new(vec![port], move || Ok(Box::new(Running { projection: projection.clone() }))))
    }
}

struct Running {
    projection: Projection,
}

#[async_trait]
impl Operator for Running {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let projected = self.projection.project(rows, step.time)?;
        rejection::reject(rows, projected.bad, out)?;
        out.emit(PortIndex(0), projected.values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, diagnostics, lines, plan, rows, text};

    use super::*;

    #[tokio::test]
    async fn columns_are_computed_and_named() {
        let rows = rows(&[r#"{"payload":{"kind":"disk"},"cpu":95}"#, r#"{"payload":{"kind":"net"},"cpu":5}"#]);
        let mut bench = Bench::new(&Select, text("payload.kind, cpu > 90 AS hot"), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"kind":"disk","hot":true}"#, r#"{"kind":"net","hot":false}"#]));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_evaluated_goes_to_errors_and_the_others_pass() {
        let rows = rows(&[r#"{"n":"1"}"#, r#"{"n":"x"}"#]);
        let mut bench = Bench::new(&Select, text("CAST(n AS BIGINT) AS n"), rows.schema());
        let out = bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"n":1}"#]));
        assert_eq!(out.rejected.len(), 1);
        assert_eq!(out.rejected[0].0, 1);
        assert!(out.rejected[0].1.reason.contains("Cannot cast string 'x'"), "{:?}", out.rejected);
    }

    #[test]
    fn the_output_port_has_the_projected_columns() {
        let planned = plan(&Select, text("n, n + 1 AS m"), rows(&[r#"{"n":1}"#]).schema(), true).unwrap();
        let port = &planned.ports[0];
        assert_eq!(port.schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["n", "m"]);
        assert!(!port.open, "the columns are known, whatever else the input brings");
        assert!(plan(&Select, text("*"), rows(&[r#"{"n":1}"#]).schema(), true).unwrap().ports[0].open);
    }

    #[test]
    fn a_missing_name_is_reported_inside_the_text() {
        let found = diagnostics(&Select, text("n, n + 1"), rows(&[r#"{"n":1}"#]).schema());
        assert_eq!(found[0].message, "`n + 1` has no name");
        assert_eq!((found[0].place.line, found[0].place.column), (3, 14));
    }
}
