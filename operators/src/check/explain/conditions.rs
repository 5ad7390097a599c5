//! The conditions that an expression for a status consists of.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, Operator, lit, when};

use super::StepKind;
use super::text::sql;

/// Something to be asked about a row.
pub(super) struct Question {
    pub(super) kind: StepKind,
    /// It, as SQL.
    pub(super) text: String,
    /// It; none for what only has to be reached.
    pub(super) condition: Option<Expr>,
    /// Whether it is come to at all: what a condition says that is not come to may fail.
    pub(super) reached: Expr,
    /// What the status is then, as SQL; `None` where other conditions decide.
    pub(super) then: Option<String>,
    pub(super) depth: usize,
    /// The conditions that it is made of, where there are several.
    pub(super) parts: Vec<(String, Expr)>,
    /// The columns that it looks at.
    pub(super) values: Vec<(String, Expr)>,
}

impl Question {
    /// The condition of a filter over rows of `schema`.
    pub(super) fn of_filter(condition: &Expr, schema: &DFSchema) -> Self {
        Self::new(StepKind::Where, condition, lit(true), None, 0, schema)
    }

    fn new(
        kind: StepKind,
        condition: &Expr,
        reached: Expr,
        then: Option<String>,
        depth: usize,
        schema: &DFSchema,
    ) -> Self {
        let named = |expressions: Vec<Expr>| {
            expressions.into_iter().map(|expression| (sql(&expression, schema), expression)).collect()
        };
        let mut parts = Vec::new();
        leaves(condition, &mut parts);
        if parts.len() == 1 {
            parts.clear();
        }
        let values = named(columns(condition).into_iter().filter(|column| !parts.contains(column)).collect());
        let text = sql(condition, schema);
        Self { kind, text, condition: Some(condition.clone()), reached, then, depth, parts: named(parts), values }
    }
}

/// The questions that decide what `status` is, over rows of `schema`.
///
/// # Errors
/// When DataFusion cannot build a condition.
pub(super) fn of_status(status: &Expr, schema: &DFSchema) -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    match bare_case(status) {
        Some(case) => of_case(case, lit(true), 0, schema, &mut questions)?,
        None => {
            let question = Question::new(StepKind::Status, status, lit(true), None, 0, schema);
            questions.push(Question { condition: None, parts: Vec::new(), ..question });
        }
    }
    Ok(questions)
}

fn of_case(case: &Case, reached: Expr, depth: usize, schema: &DFSchema, to: &mut Vec<Question>) -> Result<()> {
    let mut reached = reached;
    for (condition, then) in &case.when_then_expr {
        let condition = match &case.expr {
            Some(value) => value.as_ref().clone().eq(condition.as_ref().clone()),
            None => condition.as_ref().clone(),
        };
        let inner = bare_case(then);
        let told = inner.is_none().then(|| sql(then, schema));
        to.push(Question::new(StepKind::When, &condition, reached.clone(), told, depth, schema));
        if let Some(inner) = inner {
            of_case(inner, both(&reached, condition.clone())?, depth + 1, schema, to)?;
        }
        // A CASE in place of AND and OR: it never computes what is not come to.
        let not = when(condition, lit(false)).otherwise(lit(true))?;
        reached = both(&reached, not)?;
    }
    match case.else_expr.as_deref().map(|otherwise| (otherwise, bare_case(otherwise))) {
        Some((_, Some(inner))) => of_case(inner, reached, depth, schema, to)?,
        otherwise => {
            let then = otherwise.map_or_else(|| "NULL".to_owned(), |(then, _)| sql(then, schema));
            let (condition, parts, values) = (None, Vec::new(), Vec::new());
            let (kind, text, then) = (StepKind::Else, String::new(), Some(then));
            to.push(Question { kind, text, condition, reached, then, depth, parts, values });
        }
    }
    Ok(())
}

/// `first` and then `second`, which is not computed where `first` is not true.
fn both(first: &Expr, second: Expr) -> Result<Expr> {
    if *first == lit(true) {
        return Ok(second);
    }
    when(first.clone(), second).otherwise(lit(false))
}

/// The CASE that an expression is.
fn bare_case(expression: &Expr) -> Option<&Case> {
    match expression {
        Expr::Case(case) => Some(case),
        Expr::Alias(alias) => bare_case(&alias.expr),
        Expr::Cast(cast) => bare_case(&cast.expr),
        _ => None,
    }
}

/// The conditions that `condition` combines by AND, OR and NOT.
fn leaves(condition: &Expr, to: &mut Vec<Expr>) {
    match condition {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => {
            leaves(&binary.left, to);
            leaves(&binary.right, to);
        }
        Expr::Not(inner) => leaves(inner, to),
        other => to.push(other.clone()),
    }
}

/// The columns in an expression, each once.
fn columns(expression: &Expr) -> Vec<Expr> {
    let mut columns: Vec<Expr> = Vec::new();
    // It never fails: the closure does not.
    let _ = expression.apply(|inner| {
        if matches!(inner, Expr::Column(_)) && !columns.contains(inner) {
            columns.push(inner.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    columns
}
