//! PostgreSQL's grammar: what DataFusion has no plan for is rewritten into what it has, or refused with what to
//! write instead. Works on syntax, where every part still knows its place.

mod build;
mod elements;
mod expressions;
mod hints;
mod scope;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Statement, TableFactor, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Span;

pub use hints::hint;

/// Something that cannot be planned, with its place. An empty place is the text as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it stands.
    pub span: Span,
    /// What is wrong, in one sentence without a final period.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl Refusal {
    fn new(span: Span, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: help.into() }
    }
}

/// Rewrites a statement so that DataFusion can plan it.
///
/// # Errors
/// Everything that cannot be rewritten.
pub fn refine(statement: &mut Statement) -> Result<(), Vec<Refusal>> {
    refine_tree(statement)
}

/// Rewrites an expression so that DataFusion can plan it.
///
/// # Errors
/// Everything that cannot be rewritten.
pub fn refine_expression(expression: &mut Expr) -> Result<(), Vec<Refusal>> {
    refine_tree(expression)
}

fn refine_tree(tree: &mut impl VisitMut) -> Result<(), Vec<Refusal>> {
    let mut refiner = Refiner { refusals: Vec::new() };
    let _ = tree.visit(&mut refiner);
    match refiner.refusals.is_empty() {
        true => Ok(()),
        false => Err(refiner.refusals),
    }
}

struct Refiner {
    refusals: Vec<Refusal>,
}

impl VisitorMut for Refiner {
    type Break = ();

    // Before its parts: what this makes of a function in FROM is looked at like the rest.
    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Err(refusal) = elements::lower(query) {
            self.refusals.push(refusal);
            // Its parts would be refused once more.
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { lateral: true, subquery, .. } = factor {
            let span = datafusion::sql::sqlparser::ast::Spanned::span(subquery.as_ref());
            self.refusals.push(Refusal::new(
                span,
                "a LATERAL subquery cannot be planned",
                "join with a subquery that groups by the key, or list elements with \
                 `cross join jsonb_array_elements(t.list) as x`",
            ));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        self.refusals.extend(expressions::lambda(expression));
        ControlFlow::Continue(())
    }

    // After its parts, which may have been rewritten themselves.
    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Err(refusal) = expressions::refine(expression) {
            self.refusals.push(refusal);
        }
        ControlFlow::Continue(())
    }
}
