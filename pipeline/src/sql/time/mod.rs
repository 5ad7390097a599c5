//! Times: how they are written, and how far they are apart.

mod pattern;

#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, DurationMicrosecondType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::error::Result;
use datafusion::functions::datetime;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};

use super::Family;
use super::function::{Arguments, Definition, Function, Kind, argument, is_text};
use pattern::Pattern;

/// The functions of time.
pub(super) static FAMILY: Family = Family { title: "Time", functions: FUNCTIONS };

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "to_char",
        aliases: &["date_format"],
        arguments: &[argument("time", Kind::Timestamp), argument("pattern", Kind::Text)],
        repeats: false,
        result: Kind::Text,
        summary: "A time as text, by one of PostgreSQL's patterns (`YYYY-MM-DD HH24:MI:SS`, `FMMonth DD`, `\"T\"`), or one \
                  with `%` as strftime has them.",
        example: (
            "to_char(timestamp '2026-03-09 14:05:00', 'FMDay, DD Mon YYYY HH24:MI')",
            "Monday, 09 Mar 2026 14:05",
        ),
        evaluate: written,
    },
    Definition {
        name: "date",
        aliases: &[],
        arguments: &[argument("time", Kind::Date)],
        repeats: false,
        result: Kind::Date,
        summary: "The day of a time, in UTC; NULL where a text is no time.",
        example: ("date('2026-03-09T14:05:00Z')", "2026-03-09"),
        evaluate: |arguments| arguments.give_dates(|row| arguments.date(0, row)),
    },
    Definition {
        name: "date_diff_days",
        aliases: &[],
        arguments: &[argument("later", Kind::Timestamp), argument("earlier", Kind::Timestamp)],
        repeats: false,
        result: Kind::Integer,
        summary: "How many whole days of 24 hours lie between two times; negative where the first is the earlier one.",
        example: ("date_diff_days('2026-03-09', '2026-02-09T12:00:00Z')", "27"),
        evaluate: |arguments| {
            arguments.give_integers(|row| {
                Some(arguments.timestamp(0, row)?.checked_sub(arguments.timestamp(1, row)?)? / DAY)
            })
        },
    },
    Definition {
        name: "interval_microseconds",
        aliases: &[],
        arguments: &[argument("interval", Kind::Any)],
        repeats: false,
        result: Kind::Integer,
        summary: "How long an interval is, in millionths of a second; a month counts 30 days, a day 24 hours, as where \
                  intervals are compared.",
        example: ("interval_microseconds(interval '1 month 1 day')", "2678400000000"),
        evaluate: lengths,
    },
];

/// The lengths of intervals, in µs.
fn lengths(arguments: &Arguments) -> Result<ArrayRef> {
    let Some((array, constant)) = arguments.any(0) else { return arguments.give_integers(|_| None) };
    let at = |row: usize| if constant { 0 } else { row };
    if let DataType::Duration(_) = array.data_type() {
        let array = cast(array, &DataType::Duration(TimeUnit::Microsecond))?;
        let array = array.as_primitive::<DurationMicrosecondType>();
        return arguments.give_integers(|row| array.is_valid(at(row)).then(|| array.value(at(row))));
    }
    let array = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let array = array.as_primitive::<IntervalMonthDayNanoType>();
    arguments.give_integers(|row| {
        let value = array.is_valid(at(row)).then(|| array.value(at(row)))?;
        let days = i64::from(value.months) * 30 + i64::from(value.days);
        Some(days * DAY + value.nanoseconds / 1000)
    })
}

/// Times written by PostgreSQL's patterns.
fn written(arguments: &Arguments) -> Result<ArrayRef> {
    let mut known: Option<(String, Pattern)> = None;
    let mut problem = None;
    let texts = arguments.give_texts(|row| {
        let (time, text) = (arguments.timestamp(0, row)?, arguments.text(1, row)?);
        if known.as_ref().is_none_or(|(last, _)| last != text) {
            match Pattern::parse(text) {
                Ok(pattern) => known = Some((text.to_owned(), pattern)),
                Err(message) => {
                    problem.get_or_insert(message);
                    return None;
                }
            }
        }
        known.as_ref()?.1.write(time)
    })?;
    match problem {
        None => Ok(texts),
        Some(message) => datafusion::common::exec_err!("{message}"),
    }
}

/// `to_char` with both kinds of patterns.
pub(super) fn to_char(inner: Function) -> ScalarUDF {
    ScalarUDF::new_from_impl(ToChar { inner, percent: datetime::to_char() })
}

#[derive(Debug)]
struct ToChar {
    inner: Function,
    /// For patterns with `%`.
    percent: Arc<ScalarUDF>,
}

impl PartialEq for ToChar {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for ToChar {}

impl Hash for ToChar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            // As they are, for patterns with `%`, which know times of day and durations too.
            [time, pattern] if time.is_temporal() && is_text(pattern) => Ok(vec![time.clone(), DataType::Utf8]),
            _ => self.inner.coerce_types(given),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let of_day = arguments.args.first().is_some_and(|time| {
            matches!(time.data_type(), DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_))
        });
        let percent = match arguments.args.get(1) {
            Some(ColumnarValue::Scalar(pattern)) => {
                pattern.try_as_str().flatten().is_some_and(|text| text.contains('%'))
            }
            Some(ColumnarValue::Array(patterns)) => patterns
                .as_string_opt::<i32>()
                .is_some_and(|patterns| (0..patterns.len()).any(|row| patterns.value(row).contains('%'))),
            None => false,
        };
        match percent || of_day {
            true => self.percent.invoke_with_args(arguments),
            false => self.inner.invoke_with_args(arguments),
        }
    }
}
