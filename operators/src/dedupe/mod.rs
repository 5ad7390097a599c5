//! `dedupe: {key: [host, alert], within: 1h}`: lets one row of each key pass per stretch of time.
//!
//! # What is a duplicate
//! A row is a duplicate of the last row *kept* for its key when their times are less than `within` apart: a
//! row exactly `within` later is kept, and so is one that much earlier. `within` therefore counts from the
//! first kept row, not from the last duplicate.
//!
//! # Time
//! Without `time`, the time of a row is that of its step. With `time`, it is the row's own (event time), and
//! rows may come out of order. What is remembered then follows the newest event time *M* seen so far: a kept
//! row is forgotten once *M* is `within` past it, and a row that is itself `within` or more behind *M* is
//! **late**. Late rows cannot be told from duplicates any more: they pass, or go to `errors` with
//! `late: errors`. A row more than an hour ahead of its step's time is deduplicated like any other but does
//! not move *M*, so that one wrong clock does not make everybody else late.
//!
//! All of this depends on the order of the rows alone, never on where steps are cut or when memory was freed.
//!
//! # `keep: last`
//! The newest row of a key is held back until its stretch of time is over: until a step `within` after the
//! first row that was held, or with `time` until *M* gets there; at the end of input all that is still held
//! leaves. Rows leave in the order in which their stretches end, then in order of arrival.
//!
//! # Memory
//! `keep: first`: 24 bytes for each key that is remembered, and 10 to 25 more for finding and forgetting it: 10 million
//! keys take about 400 MB. `keep: last`: about 120 bytes, and the held row. At `max_keys` the oldest key is forgotten (`last`: its
//! row leaves early), and a warning is logged: a duplicate may then pass.

pub(crate) mod first;
pub(crate) mod held;
pub(crate) mod kept;
mod last;
mod times;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{can_cast_types, cast, filter, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::{BadRow, Expression};
use tidegate_pipeline::operator::{Operator, OperatorKind, Output, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port, Rejected};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Options, Sql, SqlText};
use tidegate_pipeline::step::{StepHeader, StepTime};

use crate::keys::{Key, comparable, keys};
use crate::{options, rejection};

/// How far ahead of its step's time a row may be and still move the newest event time: an hour, in ms.
const ALLOWED_SKEW: i64 = 3_600_000;

/// Options of `dedupe`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DedupeOptions {
    /// What identifies a row: a SQL expression or a list of them. NULL is a value like any other.
    #[expect(dead_code, reason = "read from the tree, where each expression has its place")]
    key: KeyText,
    /// For how long rows of the same key are duplicates, from the first kept row, exclusive.
    within: Duration,
    /// The time of a row: a timestamp or whole milliseconds since 1970. The time of the step if absent.
    time: Option<Sql>,
    /// Which row of a key leaves: the first, at once, or the last, when `within` is over.
    #[serde(default)]
    keep: Keep,
    /// What happens to rows of event time that come too late to be compared.
    #[serde(default)]
    late: Late,
    /// How many keys are remembered at most. Beyond, the oldest is forgotten.
    #[serde(default = "ten_million")]
    max_keys: usize,
}

/// One expression or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the shape matters: the texts are read from the tree")]
enum KeyText {
    One(KeyPart),
    Several(Vec<KeyPart>),
}

/// SQL, or a literal that YAML does not take for text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the shape matters: the texts are read from the tree")]
enum KeyPart {
    Text(String),
    Number(f64),
    Bool(bool),
}

/// Which row of a key leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Keep {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
}

/// What happens to late rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Late {
    /// They leave.
    #[default]
    Pass,
    /// They go to `errors`.
    Errors,
}

fn ten_million() -> usize {
    10_000_000
}

/// The kind `dedupe`. See the [module](self) for what it promises.
pub struct Dedupe;

impl OperatorKind for Dedupe {
    fn name(&self) -> &'static str {
        "dedupe"
    }

    fn summary(&self) -> &'static str {
        "lets one row of each key pass per stretch of time"
    }

    fn schema(&self) -> Schema {
        schema_for!(DedupeOptions)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["key", "time", "keep"]))
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: DedupeOptions = options.read()?;
        let mut mistakes = Vec::new();
        let keys = options::sqls(options, "key");
        if keys.is_empty() {
            let place = options::place(options, "key");
            mistakes.push(Diagnostic::error(place, "`key` is empty: every row would be a duplicate of the first"));
        }
        let mut plan = |sql: &SqlText| {
            let planned = Expression::plan(sql, &context.schema, context.open, context.warnings);
            planned.map_err(|mistake| mistakes.push(mistake)).ok()
        };
        let keys: Vec<Expression> = keys.iter().filter_map(&mut plan).collect();
        let time = read.time.as_ref().map(|_| options::sqls(options, "time")).unwrap_or_default();
        let time = time.first().and_then(&mut plan);
        if let Some(time) = &time
            && !is_time(time.data_type())
        {
            let message = format!("`time` is a timestamp or whole milliseconds, but this is {}", time.data_type());
            let help = format!("convert it: `to_timestamp({})`", time.sql().as_str());
            mistakes.push(Diagnostic::error(time.sql().place(), message).with_help(help));
        }
        let unfit = keys.iter().filter(|key| !comparable(key.data_type()));
        mistakes.extend(
            unfit.map(|key| Diagnostic::error(key.sql().place(), format!("a key cannot be {}", key.data_type()))),
        );
        let within = i64::try_from(read.within.0.as_millis()).unwrap_or(i64::MAX);
        if within == 0 {
            let place = options::place(options, "within");
            mistakes.push(Diagnostic::error(place, "`within` is zero: no row would ever be a duplicate"));
        }
        if read.max_keys == 0 {
            let place = options::place(options, "max_keys");
            mistakes.push(Diagnostic::error(place, "`max_keys` is zero: no key could be remembered"));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let limits = Limits { within, max_keys: read.max_keys };
        let rows = Rows { node: context.node.into(), keys, time, late: read.late };
        let port = Port { name: OUT.into(), schema: Arc::clone(&context.schema), open: context.open };
        let state = match read.keep {
            Keep::First => kept::layout(within),
            Keep::Last => last::layout(),
        };
        let mut planned = PlannedOperator::new(vec![port], move || {
            let operator: Box<dyn Operator> = match read.keep {
                Keep::First => Box::new(first::First::new(rows.clone(), limits)),
                Keep::Last => Box::new(last::Last::new(rows.clone(), limits)),
            };
            Ok(operator)
        });
        planned.state = Some(state);
        Ok(planned)
    }
}

/// The bounds of what is remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// In ms.
    pub(crate) within: i64,
    pub(crate) max_keys: usize,
}

/// Whether a value of this type says when.
fn is_time(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null)
}

/// How rows are read: their keys and times.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) node: Arc<str>,
    pub(crate) keys: Vec<Expression>,
    pub(crate) time: Option<Expression>,
    pub(crate) late: Late,
}

/// The rows of a step that have a key and a time.
pub(crate) struct Examined {
    pub(crate) rows: RecordBatch,
    pub(crate) keys: Vec<Key>,
    /// In ms; empty without `time`: then all have the step's.
    times: Vec<i64>,
    /// Their numbers in the step; empty where all rows have a key and a time.
    numbers: Vec<u64>,
}

impl Examined {
    fn time(&self, row: usize, step: StepTime) -> i64 {
        self.times.get(row).copied().unwrap_or(step.0)
    }

    fn number(&self, row: usize) -> u64 {
        self.numbers.get(row).copied().unwrap_or(row as u64)
    }
}

impl Rows {
    /// Finds key and time of each row; rejects rows that have none.
    pub(crate) fn examine(&mut self, step: &StepHeader, rows: &RecordBatch, out: &mut Output) -> Result<Examined> {
        let mut bad: Vec<BadRow> = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.keys.len());
        for key in &mut self.keys {
            let evaluated = key.evaluate_rows(rows, step.time)?;
            bad.extend(evaluated.bad);
            columns.push(evaluated.values);
        }
        let mut times: Option<Int64Array> = None;
        if let Some(time) = &mut self.time {
            let evaluated = time.evaluate_rows(rows, step.time)?;
            bad.extend(evaluated.bad);
            let milliseconds = milliseconds(&evaluated.values)?;
            let missing = (0..rows.num_rows()).filter(|row| milliseconds.is_null(*row));
            bad.extend(
                missing.map(|row| BadRow {
                    row,
                    reason: format!("`{}` is NULL: the row has no time", time.sql().as_str()),
                }),
            );
            times = Some(milliseconds);
        }
        if let Some(unfit) = columns.iter().find(|column| !comparable(column.data_type())) {
            rejection::reject_all(rows, &format!("a key cannot be {}", unfit.data_type()), out)?;
            return Ok(Examined { rows: rows.slice(0, 0), keys: Vec::new(), times: Vec::new(), numbers: Vec::new() });
        }
        if bad.is_empty() {
            let keys = keys(&columns, rows.num_rows())?.keys;
            let times = times.map(|times| times.values().to_vec()).unwrap_or_default();
            return Ok(Examined { rows: rows.clone(), keys, times, numbers: Vec::new() });
        }
        bad.sort_by_key(|bad| bad.row);
        bad.dedup_by_key(|bad| bad.row);
        let mut good = vec![true; rows.num_rows()];
        for bad in &bad {
            good[bad.row] = false;
        }
        rejection::reject(rows, bad, out)?;
        let numbers = (0u64..).zip(&good).filter(|(_, good)| **good).map(|(row, _)| row).collect();
        let good = BooleanArray::from(good);
        let columns = columns.iter().map(|column| filter(column, &good)).collect::<Result<Vec<_>, _>>()?;
        let times = match times {
            Some(times) => filter(&times, &good)?.as_primitive::<Int64Type>().values().to_vec(),
            None => Vec::new(),
        };
        let rows = filter_record_batch(rows, &good)?;
        Ok(Examined { keys: keys(&columns, rows.num_rows())?.keys, rows, times, numbers })
    }

    /// Rejects a late row.
    fn reject_late(&self, examined: &Examined, row: usize, out: &mut Output) -> Result<()> {
        let one = examined.rows.slice(row, 1);
        let mut rejected = Output::default();
        let reason = "late: newer rows have gone past its time by `within` or more".to_owned();
        rejection::reject(&one, vec![BadRow { row: 0, reason }], &mut rejected)?;
        for (_, Rejected { position, reason, raw }) in rejected.rejected {
            out.reject(examined.number(row), Rejected { position, reason, raw });
        }
        Ok(())
    }
}

/// The newest time seen, as far as it may be believed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock {
    newest: Option<i64>,
}

impl Clock {
    /// Takes the time of a row that came in a step.
    fn see(&mut self, time: i64, step: StepTime) {
        let believable = time <= step.0.saturating_add(ALLOWED_SKEW);
        if believable && self.newest.is_none_or(|newest| time > newest) {
            self.newest = Some(time);
        }
    }

    /// How long ago `time` was.
    fn age(self, time: i64) -> i64 {
        self.newest.map_or(i64::MIN, |newest| newest.saturating_sub(time))
    }
}

/// A column of times in ms; NULL where the type has no times.
fn milliseconds(values: &ArrayRef) -> Result<Int64Array> {
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, None);
    let values = match values.data_type() {
        number if number.is_numeric() => cast(values, &DataType::Int64)?,
        other if can_cast_types(other, &timestamp) => cast(&cast(values, &timestamp)?, &DataType::Int64)?,
        _ => return Ok(Int64Array::new_null(values.len())),
    };
    Ok(values.as_primitive::<Int64Type>().clone())
}

#[cfg(test)]
mod tests;
