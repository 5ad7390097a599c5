//! `throttle: {once_within: 5m, group_by: host}`: as rules of ansible-rulebook are throttled.
//!
//! Exactly one of three says what passes, for each group of its own:
//!
//! | option | what leaves | when |
//! |---|---|---|
//! | `once_within: T` | the first row; then nothing for *T* | at once |
//! | `once_after: T` | the first row, with the number of rows that came | *T* after it |
//! | `accumulate_within: T`, `threshold: N` | the *N*-th row within *T* of the first | at once; then it counts anew |
//!
//! The time of a row is that of its step, so what leaves follows from the journal. A stretch of time begins with the
//! first row that falls into none, and ends just before *T* later: a row exactly *T* later begins the next one. At the
//! end of input all that `once_after` still holds leaves.
//!
//! # Memory
//! About 40 bytes a group with `once_within`, 120 otherwise, and the held row with `once_after`. At `max_groups` the
//! oldest group is forgotten (`once_after`: its row leaves early), and a warning is logged.

mod period;
mod windows;

use std::sync::Arc;

use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::operator::{Operator, OperatorKind, PlanContext, PlannedOperator};
use tidegate_pipeline::rows::{OUT, Port};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{OneOrMany, Options, Sql, SqlText};

use self::period::Period;
use self::windows::{Leaving, Windows, with_count};
use crate::dedupe::first::First;
use crate::dedupe::{Late, Limits, Rows, kept};
use crate::keys::comparable;
use crate::options;

/// Options of `throttle`: exactly one of `once_within`, `once_after` and `accumulate_within`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ThrottleOptions {
    /// The first row of a group leaves at once, then none for so long.
    once_within: Option<Period>,
    /// The first row of a group leaves so long after it came.
    once_after: Option<Period>,
    /// The `threshold`-th row of a group leaves, if it comes so soon after the first.
    accumulate_within: Option<Period>,
    /// How many rows `accumulate_within` waits for.
    threshold: Option<u64>,
    /// What makes a group: a SQL expression or a list of them. Without it all rows are one group.
    #[serde(default)]
    group_by: OneOrMany<Sql>,
    /// What makes a group, as a rulebook writes it: `event.meta.hosts`.
    #[serde(default)]
    group_by_attributes: OneOrMany<Located<String>>,
    /// A column that says how many rows one stands for (`once_after` and `accumulate_within`).
    count: Option<String>,
    /// How many groups are remembered at most.
    #[serde(default = "a_million")]
    max_groups: usize,
}

fn a_million() -> usize {
    1_000_000
}

/// What passes.
#[derive(Debug, Clone, Copy)]
enum Policy {
    OnceWithin(Period),
    OnceAfter(Period),
    Accumulate(Period, u64),
}

impl Policy {
    fn period(self) -> Period {
        match self {
            Self::OnceWithin(period) | Self::OnceAfter(period) | Self::Accumulate(period, _) => period,
        }
    }
}

impl ThrottleOptions {
    fn policy(&self, options: &Options) -> Result<Policy, Vec<Diagnostic>> {
        let wrong = |key: &str, message: &str| vec![Diagnostic::error(options::place(options, key), message)];
        let policy = match (self.once_within, self.once_after, self.accumulate_within) {
            (Some(period), None, None) => Policy::OnceWithin(period),
            (None, Some(period), None) => Policy::OnceAfter(period),
            (None, None, Some(period)) => match self.threshold {
                Some(threshold) if threshold > 0 => Policy::Accumulate(period, threshold),
                _ => return Err(wrong("threshold", "`accumulate_within` wants a `threshold` of at least 1")),
            },
            _ => {
                let message = "exactly one of `once_within`, `once_after` and `accumulate_within` must be given";
                return Err(wrong("", message));
            }
        };
        if self.threshold.is_some() && self.accumulate_within.is_none() {
            return Err(wrong("threshold", "`threshold` goes with `accumulate_within` only"));
        }
        if self.count.is_some() && matches!(policy, Policy::OnceWithin(_)) {
            let message = "`count` does not go with `once_within`: the row leaves before the others come";
            return Err(wrong("count", message));
        }
        if policy.period().milliseconds() == 0 {
            return Err(vec![Diagnostic::error(options.tree.place, "the stretch of time is zero")]);
        }
        if self.max_groups == 0 {
            return Err(wrong("max_groups", "`max_groups` is zero: no group could be remembered"));
        }
        Ok(policy)
    }

    /// What makes a group, as SQL.
    fn groups(&self, options: &Options) -> Vec<SqlText> {
        let attributes = self.group_by_attributes.iter().map(|path| SqlText::new(sql_of(path), path.place));
        self.group_by.iter().map(|sql| options.sql(sql)).chain(attributes).collect()
    }
}

/// `event.a-b.c` as SQL: `"a-b"."c"`.
fn sql_of(path: &str) -> String {
    let path = path.strip_prefix("event.").unwrap_or(path);
    let quoted: Vec<String> = path.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    quoted.join(".")
}

/// The kind `throttle`. See the [module](self) for what passes when.
pub struct Throttle;

impl OperatorKind for Throttle {
    fn name(&self) -> &'static str {
        "throttle"
    }

    fn summary(&self) -> &'static str {
        "lets few of many rows pass: once within, once after, or every so many within a time"
    }

    fn schema(&self) -> Schema {
        schema_for!(ThrottleOptions)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        let read: ThrottleOptions = options.read().ok()?;
        let how = match read.policy(options).ok()? {
            Policy::OnceWithin(_) => "once_within",
            Policy::OnceAfter(_) => "once_after",
            Policy::Accumulate(..) => "accumulate_within",
        };
        Some(format!("{how} {}", options.canonical_of(&["group_by", "group_by_attributes"])))
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>> {
        let read: ThrottleOptions = options.read()?;
        let policy = read.policy(options)?;
        let mut mistakes = Vec::new();
        let mut groups = Vec::new();
        for sql in read.groups(options) {
            match Expression::plan(&sql, &context.schema, context.open, context.warnings) {
                Ok(group) if comparable(group.data_type()) => groups.push(group),
                Ok(group) => {
                    let message = format!("a group cannot be {}", group.data_type());
                    mistakes.push(Diagnostic::error(sql.place(), message));
                }
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let limits = Limits { within: policy.period().milliseconds(), max_keys: read.max_groups };
        let rows = Rows { node: context.node.into(), keys: groups, time: None, late: Late::Pass };
        let schema = match &read.count {
            Some(name) => with_count(&context.schema, name),
            None => Arc::clone(&context.schema),
        };
        let port = Port { name: OUT.into(), schema, open: context.open };
        let count = read.count.map(Into::into);
        let mut planned = PlannedOperator::new(vec![port], move || {
            let rows = rows.clone();
            let count: Option<Arc<str>> = Option::clone(&count);
            let operator: Box<dyn Operator> = match policy {
                Policy::OnceWithin(_) => Box::new(First::new(rows, limits)),
                Policy::OnceAfter(_) => Box::new(Windows::new(rows, limits, Leaving::FirstAtTheEnd, count)),
                Policy::Accumulate(_, threshold) => {
                    Box::new(Windows::new(rows, limits, Leaving::Nth(threshold), count))
                }
            };
            Ok(operator)
        });
        planned.state = Some(match policy {
            Policy::OnceWithin(_) => kept::layout(limits.within),
            Policy::OnceAfter(_) | Policy::Accumulate(..) => windows::layout(),
        });
        Ok(planned)
    }
}

#[cfg(test)]
mod tests;
