//! SQL expressions over rows: planned once per schema, evaluated per batch.
//!
//! ```text
//!  text ──parse──► syntax ──resolve──► columns checked, time and refusals ──plan──► physical expression
//! ```
//!
//! What is special here, compared with bare DataFusion:
//! * Every error has its place inside the YAML text ([`SqlText`]).
//! * Names match exactly first, then without regard to case, quoted or not: JSON is written in camel case.
//! * `now()`, `current_timestamp`, `current_date` and `current_time` are the time of the step.
//! * Volatile functions, aggregates, window functions and subqueries are refused.
//! * Whole numbers that overflow are an error of their row, not a wrapped value.
//! * A row that cannot be evaluated never takes its batch with it ([`Evaluated`]), and whether it can be
//!   evaluated does not depend on the rows beside it.

mod compile;
mod evaluate;
mod parse;
mod projection;
mod resolve;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, SchemaRef};

use crate::error::{Error, Result};
use crate::spec::SqlText;
use crate::spec::diagnostic::Diagnostic;
use crate::step::StepTime;

use compile::{Compiled, Planner};
use evaluate::PlanCache;
use resolve::Names;

pub use evaluate::{BadRow, Evaluated};
pub use projection::Projection;

/// A SQL expression that is ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Expression {
    sql: SqlText,
    planner: Arc<Planner>,
    schema: SchemaRef,
    data_type: DataType,
    predicate: bool,
    plans: PlanCache<Compiled>,
}

impl Expression {
    /// Plans `sql` against `schema`. With `open`, a column that `schema` does not name is NULL and one
    /// warning; without, it is an error.
    ///
    /// # Errors
    /// The first thing that is wrong with the text, at its place.
    pub fn plan(
        sql: &SqlText,
        schema: &SchemaRef,
        open: bool,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let planner = Arc::new(Planner::new());
        let mut syntax = parse::expression(sql)?;
        let names = if open { Names::Open } else { Names::Closed };
        warnings.extend(resolve::expression(sql, &mut syntax, schema, names, &planner)?);
        let compiled = planner.compile(sql, syntax, schema)?;
        let data_type = compiled.data_type.clone();
        let mut plans = PlanCache::default();
        plans.insert(Arc::clone(schema), Ok(compiled));
        Ok(Self { sql: sql.clone(), planner, schema: Arc::clone(schema), data_type, predicate: false, plans })
    }

    /// Plans `sql` as a condition: as [`Expression::plan`], and the type must be boolean.
    ///
    /// # Errors
    /// The first thing that is wrong with the text, at its place; another type than boolean.
    pub fn plan_predicate(
        sql: &SqlText,
        schema: &SchemaRef,
        open: bool,
        warnings: &mut Vec<Diagnostic>,
    ) -> Result<Self, Diagnostic> {
        let mut expression = Self::plan(sql, schema, open, warnings)?;
        expression.predicate = true;
        match &expression.data_type {
            DataType::Boolean | DataType::Null => Ok(expression),
            other => Err(Diagnostic::error(sql.place(), format!("a condition is true or false, but this is {other}"))
                .with_help("compare it with something: `column = value`")),
        }
    }

    /// The type of the result under the schema that it was planned with.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The text and its place.
    pub fn sql(&self) -> &SqlText {
        &self.sql
    }

    /// Evaluates every row; one value per row.
    ///
    /// # Errors
    /// When a single row cannot be evaluated (a division by zero, a failed cast, an overflow), or when
    /// `batch` has columns of types for which the expression has no meaning.
    pub fn evaluate(&mut self, batch: &RecordBatch, time: StepTime) -> Result<ArrayRef> {
        let compiled = self.compiled(batch).map_err(Error::user)?;
        compiled.evaluate(batch, time).map_err(|error| Error::user(evaluate::reason(&error)))
    }

    /// Evaluates every row as a condition. NULL counts as false, so the result has no NULLs.
    ///
    /// # Errors
    /// As [`Expression::evaluate`]; when the result is not boolean.
    pub fn evaluate_predicate(&mut self, batch: &RecordBatch, time: StepTime) -> Result<BooleanArray> {
        let values = self.evaluate(batch, time)?;
        condition(&values).ok_or_else(|| Error::user(format!("a condition is true or false: {}", self.sql.as_str())))
    }

    /// Evaluates every row, setting rows that cannot be evaluated aside instead of failing.
    ///
    /// A row is bad exactly when it cannot be evaluated alone, so the result does not depend on how rows
    /// are cut into batches. Where a batch fails as a whole it is halved until the bad rows are found: this
    /// costs up to one evaluation per row where most rows are bad.
    ///
    /// # Errors
    /// Only for failures of the engine itself.
    pub fn evaluate_rows(&mut self, batch: &RecordBatch, time: StepTime) -> Result<Evaluated<ArrayRef>> {
        match self.compiled(batch) {
            Ok(compiled) => compiled.evaluate_rows(batch, time),
            Err(reason) => Ok(Evaluated {
                values: new_null_array(&self.data_type, batch.num_rows()),
                bad: (0..batch.num_rows()).map(|row| BadRow { row, reason: reason.clone() }).collect(),
            }),
        }
    }

    /// As [`Expression::evaluate_rows`], as a condition: NULL and bad rows count as false.
    ///
    /// # Errors
    /// Only for failures of the engine itself.
    pub fn evaluate_predicate_rows(&mut self, batch: &RecordBatch, time: StepTime) -> Result<Evaluated<BooleanArray>> {
        let Evaluated { values, bad } = self.evaluate_rows(batch, time)?;
        let values = condition(&values).ok_or_else(|| Error::internal("a condition gave no boolean"))?;
        Ok(Evaluated { values, bad })
    }

    /// The plan for the schema of `batch`, or why there is none.
    fn compiled(&mut self, batch: &RecordBatch) -> Result<&mut Compiled, String> {
        let (sql, planner, planned, predicate) = (&self.sql, &self.planner, &self.schema, self.predicate);
        self.plans.get_or_insert(batch.schema_ref(), |schema| {
            let mut syntax = parse::expression(sql).map_err(|diagnostic| diagnostic.message)?;
            resolve::expression(sql, &mut syntax, schema, Names::Widened(planned), planner)
                .and_then(|_| planner.compile(sql, syntax, schema))
                .map_err(|diagnostic| diagnostic.message)
                .and_then(|compiled| match compiled.data_type {
                    DataType::Boolean | DataType::Null => Ok(compiled),
                    ref other if predicate => Err(format!("a condition is true or false, but here it is {other}")),
                    _ => Ok(compiled),
                })
        })
    }
}

/// `values` as a condition without NULLs, if it is one.
fn condition(values: &ArrayRef) -> Option<BooleanArray> {
    match values.data_type() {
        DataType::Boolean if values.null_count() == 0 => Some(values.as_boolean().clone()),
        DataType::Boolean => Some(prep_null_mask_filter(values.as_boolean())),
        DataType::Null => Some(BooleanArray::from(vec![false; values.len()])),
        _ => None,
    }
}
