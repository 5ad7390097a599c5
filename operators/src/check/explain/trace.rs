//! Rows of a widened plan → what decided them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::sql::glob_matches;

use super::widen::{Asked, Widened};
use super::{ExplainedRow, ExplainedStep, ExplainedValue, MOST_ROWS, Reasons, StepKind};
use crate::check::plan::OutputColumns;

/// The longest value that is told, in characters.
const MAX_VALUE: usize = 200;
/// The status of every row of a query that selects only what is wrong.
const ALARM: &str = "alarm";

/// Reads the rows of a widened plan.
pub(super) struct Trace<'a> {
    widened: &'a Widened,
    columns: &'a OutputColumns,
    pattern: &'a str,
}

impl<'a> Trace<'a> {
    pub(super) fn new(widened: &'a Widened, columns: &'a OutputColumns, pattern: &'a str) -> Self {
        Self { widened, columns, pattern }
    }

    /// Adds the rows of a batch that are about the resource.
    ///
    /// # Errors
    /// When a value cannot be written as text.
    pub(super) fn read(&self, batch: &RecordBatch, to: &mut Reasons) -> Result<()> {
        let resources = Cells::of(batch.column(self.columns.resource))?;
        // A loop over rows: only those about one resource are looked at further.
        for row in 0..batch.num_rows() {
            if !resources.at(row).is_some_and(|resource| glob_matches(self.pattern, &resource)) {
                continue;
            }
            to.found += 1;
            if to.rows.len() < MOST_ROWS {
                to.rows.push(self.row(batch, row)?);
            }
        }
        Ok(())
    }

    fn row(&self, batch: &RecordBatch, row: usize) -> Result<ExplainedRow> {
        let cell = |place: usize| Ok::<_, tidegate_pipeline::error::Error>(Cells::of(batch.column(place))?.at(row));
        let columns = self.columns;
        let others = [columns.account_id, columns.region, columns.severity];
        let others = others.into_iter().flatten().chain(columns.dimensions.iter().copied());
        let mut named = std::collections::BTreeMap::new();
        for place in others {
            if let Some(value) = cell(place)? {
                named.insert(batch.schema().field(place).name().clone(), value);
            }
        }
        let status = columns.status.map_or_else(|| Ok(Some(ALARM.to_owned())), cell)?;
        Ok(ExplainedRow {
            resource: cell(columns.resource)?.unwrap_or_default(),
            status: status.unwrap_or_else(|| "NULL".to_owned()),
            reason: cell(columns.reason)?.unwrap_or_default(),
            columns: named,
            steps: self.steps(batch, row)?,
        })
    }

    /// What was asked about a row, up to what decided.
    fn steps(&self, batch: &RecordBatch, row: usize) -> Result<Vec<ExplainedStep>> {
        let mut steps = Vec::new();
        for asked in &self.widened.questions {
            if is_true(batch, &asked.reached, row) != Some(true) {
                continue;
            }
            steps.push(step(asked, batch, row)?);
        }
        Ok(steps)
    }
}

fn step(asked: &Asked, batch: &RecordBatch, row: usize) -> Result<ExplainedStep> {
    let question = &asked.question;
    let outcome = asked.outcome.as_ref().and_then(|name| is_true(batch, name, row));
    let decided = match question.kind {
        StepKind::Where => outcome != Some(true),
        StepKind::When => outcome == Some(true) && question.then.is_some(),
        StepKind::Else | StepKind::Status => true,
    };
    let told = |texts: &[(String, datafusion::logical_expr::Expr)], names: &[String]| {
        let value = |((of, _), name): (&(String, _), &String)| {
            Ok(ExplainedValue { of: of.clone(), value: value_of(batch, name, row)? })
        };
        texts.iter().zip(names).map(value).collect::<Result<Vec<_>>>()
    };
    Ok(ExplainedStep {
        kind: question.kind,
        condition: question.text.clone(),
        outcome,
        then: question.then.clone(),
        decided,
        depth: question.depth,
        parts: told(&question.parts, &asked.parts)?,
        values: told(&question.values, &asked.values)?,
    })
}

fn is_true(batch: &RecordBatch, name: &str, row: usize) -> Option<bool> {
    let column = batch.column_by_name(name)?;
    let column = column.as_boolean_opt()?;
    column.is_valid(row).then(|| column.value(row))
}

fn value_of(batch: &RecordBatch, name: &str, row: usize) -> Result<Option<String>> {
    match batch.column_by_name(name) {
        Some(column) => Ok(Cells::of(column)?.at(row)),
        None => Ok(None),
    }
}

/// The values of a column as text.
struct Cells<'a> {
    column: &'a ArrayRef,
    formatter: ArrayFormatter<'a>,
}

impl<'a> Cells<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self> {
        const OPTIONS: FormatOptions<'_> = FormatOptions::new().with_null("NULL");
        Ok(Self { column, formatter: ArrayFormatter::try_new(column, &OPTIONS)? })
    }

    fn at(&self, row: usize) -> Option<String> {
        let text = self.column.is_valid(row).then(|| self.formatter.value(row).to_string())?;
        Some(match text.char_indices().nth(MAX_VALUE) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        })
    }
}
