//! `route: {urgent: "severity = 'high'"}`: sends each row to the port whose condition it meets.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::boolean::{not, or};
use async_trait::async_trait;
use schemars::{Schema, json_schema};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::{BadRow, Expression};
use tidegate_pipeline::operator::{InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{ERRORS, OUT, Port, PortIndex};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::step::StepHeader;

use crate::{options, rejection};

/// The port of the rows that no condition takes.
pub const UNMATCHED: &str = "unmatched";

/// The kind `route`.
///
/// The value maps ports to SQL conditions, in the order in which they are tried. A row goes to the first
/// port whose condition is true, with `match: all` to each; the rest go to `unmatched`. A row for which a
/// condition that is tried cannot be evaluated goes to `errors` and to no port.
pub struct Route;

impl OperatorKind for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    fn summary(&self) -> &'static str {
        "sends each row to the port whose SQL condition it meets"
    }

    fn schema(&self) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Ports and their SQL conditions, in the order in which they are tried. A row goes to \
                            the first port whose condition is true (`match: all` beside `route`: to each); the rest \
                            go to `unmatched`. A row for which a condition cannot be evaluated goes to `errors`.",
            "minProperties": 1,
            "additionalProperties": { "type": "string" },
            "examples": [{ "urgent": "severity IN ('high', 'critical')" }]
        })
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let entries = options::entries(&options.tree);
        if entries.is_empty() {
            let error = Diagnostic::error(options.tree.place, "`route` needs at least one port and its condition");
            return Err(vec![error.with_help("write `route: {urgent: \"severity = 'high'\"}`")]);
        }
        let mut mistakes = Vec::new();
        let (mut conditions, mut ports) = (Vec::new(), Vec::new());
        let port = |name: Arc<str>, context: &PlanContext<'_>| Port {
            name,
            schema: Arc::clone(&context.schema),
            open: context.open,
        };
        for (name, condition) in entries {
            if [UNMATCHED, ERRORS, OUT].contains(&name.value.as_ref()) {
                let message = format!("a route cannot be named `{}`: that port has its own meaning", name.value);
                mistakes.push(Diagnostic::error(name.place, message).with_help("choose another name"));
            } else if name.value.is_empty() || name.value.contains('.') {
                let message = format!("`{}` cannot name a port: `from: node.port` splits at the dot", name.value);
                mistakes.push(Diagnostic::error(name.place, message));
            }
            let planned = options::sql_of(options, condition, "urgent: \"severity = 'high'\"")
                .and_then(|sql| Expression::plan_predicate(&sql, &context.schema, context.open, context.warnings));
            match planned {
                Ok(planned) => conditions.push(planned),
                Err(mistake) => mistakes.push(mistake),
            }
            ports.push(port(Arc::clone(&name.value), context));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        ports.push(port(UNMATCHED.into(), context));
        let every = context.match_all;
        Ok(PlannedOperator::new(ports, move || {
            let conditions = conditions.clone();
            Ok(if every { Box::new(ToEach { conditions }) } else { Box::new(ToFirst { conditions }) })
        }))
    }
}

/// Sends a row to the first port whose condition is true.
struct ToFirst {
    conditions: Vec<Expression>,
}

#[async_trait]
impl Operator for ToFirst {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let mut rest = rows.clone();
        // Which rows each condition has taken out of `rest`: where those left have come from follows.
        let mut taken: Vec<BooleanArray> = Vec::new();
        let mut bad = Vec::new();
        for (port, condition) in self.conditions.iter_mut().enumerate() {
            if rest.num_rows() == 0 {
                break;
            }
            let matched = condition.evaluate_predicate_rows(&rest, step.time)?;
            let count = matched.values.true_count();
            if count == rest.num_rows() {
                out.emit(PortIndex(port), std::mem::replace(&mut rest, rows.slice(0, 0)));
                break;
            }
            if count > 0 {
                out.emit(PortIndex(port), filter_record_batch(&rest, &matched.values)?);
            }
            if count == 0 && matched.bad.is_empty() {
                continue;
            }
            let mut gone = matched.values;
            if !matched.bad.is_empty() {
                let numbers = left(rows.num_rows(), &taken);
                gone = or(&gone, &mask(rest.num_rows(), matched.bad.iter().map(|bad| bad.row)))?;
                bad.extend(matched.bad.into_iter().map(|bad| BadRow { row: numbers[bad.row], ..bad }));
            }
            rest = filter_record_batch(&rest, &not(&gone)?)?;
            taken.push(gone);
        }
        out.emit(PortIndex(self.conditions.len()), rest);
        bad.sort_by_key(|bad| bad.row);
        rejection::reject(rows, bad, out)
    }
}

/// Sends a row to every port whose condition is true.
struct ToEach {
    conditions: Vec<Expression>,
}

#[async_trait]
impl Operator for ToEach {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let mut bad: Vec<BadRow> = Vec::new();
        let mut taken = BooleanArray::from(vec![false; rows.num_rows()]);
        let mut matches = Vec::with_capacity(self.conditions.len());
        for condition in &mut self.conditions {
            let matched = condition.evaluate_predicate_rows(rows, step.time)?;
            taken = or(&taken, &matched.values)?;
            bad.extend(matched.bad);
            matches.push(matched.values);
        }
        matches.push(not(&taken)?);
        // The first condition that fails gives the reason of its row.
        bad.sort_by_key(|bad| bad.row);
        bad.dedup_by_key(|bad| bad.row);
        let good = not(&mask(rows.num_rows(), bad.iter().map(|bad| bad.row)))?;
        for (port, matched) in matches.iter().enumerate() {
            let matched = arrow::compute::and(matched, &good)?;
            out.emit(PortIndex(port), filter_record_batch(rows, &matched)?);
        }
        rejection::reject(rows, bad, out)
    }
}

/// The numbers of the rows that are left of `length` after each of `taken` has taken some of those left before.
fn left(length: usize, taken: &[BooleanArray]) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..length).collect();
    for gone in taken {
        let mut gone = gone.values().iter();
        numbers.retain(|_| !gone.next().unwrap_or_default());
    }
    numbers
}

/// True at the given rows.
fn mask(length: usize, rows: impl Iterator<Item = usize>) -> BooleanArray {
    let mut mask = vec![false; length];
    for row in rows {
        mask[row] = true;
    }
    BooleanArray::from(mask)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, diagnostics, lines, map, plan, rows};

    use super::*;

    fn numbers() -> RecordBatch {
        rows(&[r#"{"n":1}"#, r#"{"n":0}"#, r#"{"n":5}"#, r#"{"n":9}"#, r#"{"n":null}"#])
    }

    #[tokio::test]
    async fn the_first_condition_that_is_true_takes_the_row() {
        let rows = numbers();
        let mut bench =
            Bench::new(&Route, map(&[("big", "n > 4"), ("bigger", "n > 8"), ("one", "n = 1")]), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"n":5}"#, r#"{"n":9}"#]));
        assert_eq!(bench.emitted(1), lines(&[]));
        assert_eq!(bench.emitted(2), lines(&[r#"{"n":1}"#]));
        assert_eq!(bench.emitted(3), lines(&[r#"{"n":0}"#, r#"{}"#]));
    }

    #[tokio::test]
    async fn with_match_all_every_condition_that_is_true_takes_the_row() {
        let rows = numbers();
        let mut bench = Bench::matching_all(&Route, map(&[("big", "n > 4"), ("bigger", "n > 8")]), rows.schema());
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"n":5}"#, r#"{"n":9}"#]));
        assert_eq!(bench.emitted(1), lines(&[r#"{"n":9}"#]));
        assert_eq!(bench.emitted(2), lines(&[r#"{"n":1}"#, r#"{"n":0}"#, r#"{}"#]));
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_evaluated_goes_to_errors_and_to_no_port() {
        let rows = numbers();
        let ports = [("one", "n = 1"), ("few", "10 / n > 1")];
        let mut first = Bench::new(&Route, map(&ports), rows.schema());
        let out = first.step(0, &rows).await;
        assert_eq!(out.rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1]);
        assert_eq!(first.emitted(1), lines(&[r#"{"n":5}"#]));
        assert_eq!(first.emitted(2), lines(&[r#"{"n":9}"#, r#"{}"#]));
        let mut each = Bench::matching_all(&Route, map(&ports), rows.schema());
        let out = each.step(0, &rows).await;
        assert_eq!(out.rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1]);
        assert_eq!(each.emitted(2), lines(&[r#"{"n":9}"#, r#"{}"#]));
    }

    #[tokio::test]
    async fn a_row_that_is_taken_is_not_tried_again() {
        let rows = rows(&[r#"{"n":0}"#]);
        let mut bench = Bench::new(&Route, map(&[("zero", "n = 0"), ("few", "10 / n > 1")]), rows.schema());
        let out = bench.step(0, &rows).await;
        assert!(out.rejected.is_empty());
        assert_eq!(bench.emitted(0), lines(&[r#"{"n":0}"#]));
    }

    #[test]
    fn ports_stand_in_the_order_of_the_file_and_unmatched_is_the_last() {
        let planned = plan(&Route, map(&[("b", "true"), ("a", "n = 1")]), numbers().schema(), false).unwrap();
        assert_eq!(planned.ports.iter().map(|port| port.name.as_ref()).collect::<Vec<_>>(), ["b", "a", "unmatched"]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let ports = [("unmatched", "n = 1"), ("errors", "m = 1"), ("out", "n"), ("a.b", "true")];
        let found = diagnostics(&Route, map(&ports), numbers().schema());
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "a route cannot be named `unmatched`: that port has its own meaning",
                "a route cannot be named `errors`: that port has its own meaning",
                "there is no column `m` here",
                "a route cannot be named `out`: that port has its own meaning",
                "a condition is true or false, but this is Int64",
                "`a.b` cannot name a port: `from: node.port` splits at the dot",
            ]
        );
        assert_eq!(found[2].place.line, 5);
        assert_eq!(diagnostics(&Route, map(&[]), numbers().schema()).len(), 1);
    }
}
