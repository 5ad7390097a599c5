//! The plan of a query with a column more for everything that is asked about its rows.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, when};

use super::conditions::{Question, of_status};
use super::{Error, StepKind};
use crate::check::plan::EvidenceColumn;

/// How the columns of answers are named.
const ANSWER: &str = "__answer_";
/// How the columns of values are named that findings carry. A plan that has them is widened by answers, too.
const EVIDENCE: &str = "__evidence_";

/// What is done with rows that a condition of the query leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filters {
    /// They are left out.
    Kept,
    /// They stay, so that the condition can be shown.
    Shown,
}

/// A plan with questions answered in columns after its own.
pub(super) struct Widened {
    pub(super) plan: LogicalPlan,
    pub(super) questions: Vec<Asked>,
}

/// A plan with the values that its conditions look at in columns after its own.
pub(super) struct WithValues {
    pub(super) plan: LogicalPlan,
    pub(super) values: Vec<EvidenceColumn>,
}

/// A question, and the names of the columns that answer it.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) reached: String,
    pub(super) outcome: Option<String>,
    pub(super) parts: Vec<String>,
    pub(super) values: Vec<String>,
}

impl Widened {
    /// `plan`, whose column number `status` is the status (every row is an alarm where there is none).
    ///
    /// # Errors
    /// When DataFusion cannot build it.
    pub(super) fn of(
        plan: &LogicalPlan,
        status: Option<usize>,
        filters: Filters,
    ) -> tidegate_pipeline::error::Result<Self> {
        let mut widening = Widening { filters, only_values: false, asked: Vec::new(), columns: 0 };
        let plan = widening.widen(plan, status).map_err(|error| Error::internal(error.strip_backtrace()))?;
        // Conditions that leave rows out come first, innermost before all.
        let (mut questions, rest): (Vec<Asked>, Vec<Asked>) =
            widening.asked.into_iter().partition(|asked| asked.question.kind == StepKind::Where);
        questions.extend(rest);
        Ok(Self { plan, questions })
    }

    /// `plan` with the values alone, each once.
    ///
    /// # Errors
    /// When DataFusion cannot build it.
    pub(super) fn with_values(plan: &LogicalPlan, status: Option<usize>) -> Result<WithValues> {
        let mut widening = Widening { filters: Filters::Kept, only_values: true, asked: Vec::new(), columns: 0 };
        let plan = widening.widen(plan, status)?;
        let mut values: Vec<EvidenceColumn> = Vec::new();
        for asked in widening.asked {
            for ((name, _), column) in asked.question.values.into_iter().zip(asked.values) {
                let place = plan.schema().fields().iter().position(|field| *field.name() == column);
                let is_new = !values.iter().any(|known| *known.name == *name);
                values.extend(place.filter(|_| is_new).map(|place| EvidenceColumn { place, name: name.into() }));
            }
        }
        Ok(WithValues { plan, values })
    }
}

struct Widening {
    filters: Filters,
    /// Nothing is computed: only the columns that conditions look at are taken along.
    only_values: bool,
    asked: Vec<Asked>,
    /// How many columns have been named.
    columns: usize,
}

impl Widening {
    /// `plan` widened. `status` is the place of the status in it, where it has not been found yet.
    fn widen(&mut self, plan: &LogicalPlan, status: Option<usize>) -> Result<LogicalPlan> {
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection, status),
            LogicalPlan::Filter(filter) => self.filter(filter, status),
            LogicalPlan::SubqueryAlias(_) | LogicalPlan::Sort(_) => {
                let [input] = plan.inputs()[..] else { return Ok(plan.clone()) };
                let input = self.widen(input, status)?;
                plan.with_new_exprs(plan.expressions(), vec![input])
            }
            LogicalPlan::Join(join) => {
                // Only the side that says the status is followed; what the other side leaves out is no row of this one.
                let Some(place) = status else { return Ok(plan.clone()) };
                let left = join.left.schema().fields().len();
                if plan.schema().fields().len() != left + join.right.schema().fields().len() {
                    return Ok(plan.clone());
                }
                let inputs = match place.checked_sub(left) {
                    None => vec![self.widen(&join.left, status)?, join.right.as_ref().clone()],
                    Some(place) => vec![join.left.as_ref().clone(), self.widen(&join.right, Some(place))?],
                };
                plan.with_new_exprs(plan.expressions(), inputs)
            }
            // What lies below speaks of other rows.
            _ => Ok(plan.clone()),
        }
    }

    fn projection(&mut self, projection: &Projection, status: Option<usize>) -> Result<LogicalPlan> {
        let below = projection.input.schema();
        let defined = status.and_then(|place| projection.expr.get(place));
        let place_below = defined.and_then(bare).and_then(|column| below.maybe_index_of_column(column));
        let input = self.widen(&projection.input, place_below)?;
        let mut expressions = projection.expr.clone();
        expressions.extend(passed_on(input.schema(), below));
        if let (Some(status), None) = (defined, place_below) {
            for question in of_status(status, below)? {
                expressions.extend(self.ask(question)?);
            }
        }
        Projection::try_new(expressions, Arc::new(input)).map(LogicalPlan::Projection)
    }

    fn filter(&mut self, filter: &Filter, status: Option<usize>) -> Result<LogicalPlan> {
        let question = Question::of_filter(&filter.predicate, filter.input.schema());
        let input = self.widen(&filter.input, status)?;
        let mut expressions: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
        let answers = self.ask(question)?;
        expressions.extend(answers);
        let kept = match self.filters {
            Filters::Kept => Arc::new(LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)),
            Filters::Shown => Arc::new(input),
        };
        Projection::try_new(expressions, kept).map(LogicalPlan::Projection)
    }

    /// The columns that answer a question.
    fn ask(&mut self, question: Question) -> Result<Vec<Expr>> {
        let guard = question.reached.clone();
        let guarded = |expression: &Expr| when(guard.clone(), expression.clone()).end();
        let mut columns = Vec::new();
        let mut add = |columns: &mut Vec<Expr>, expression: Expr| {
            self.columns += 1;
            let name = format!("{}{}", if self.only_values { EVIDENCE } else { ANSWER }, self.columns);
            columns.push(expression.alias(&name));
            name
        };
        let (mut reached, mut outcome, mut parts) = (String::new(), None, Vec::new());
        if !self.only_values {
            reached = add(&mut columns, question.reached.clone());
            if let Some(condition) = &question.condition {
                outcome = Some(add(&mut columns, guarded(condition)?));
            }
            for (_, part) in &question.parts {
                parts.push(add(&mut columns, guarded(part)?));
            }
        }
        // Values are columns: reading them cannot fail.
        let values = question.values.iter().map(|(_, value)| add(&mut columns, value.clone())).collect();
        self.asked.push(Asked { question, reached, outcome, parts, values });
        Ok(columns)
    }
}

/// The columns of a widened input that it did not have before.
fn passed_on(widened: &DFSchema, before: &DFSchema) -> Vec<Expr> {
    let new = |column: &Column| !before.has_column(column);
    widened.columns().into_iter().filter(new).map(Expr::Column).collect()
}

/// The column that an expression is, as it stands there.
fn bare(expression: &Expr) -> Option<&Column> {
    match expression {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => bare(&alias.expr),
        _ => None,
    }
}
