//! Which relations an expression speaks of, and what they are called.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, TableFactor, Visit, Visitor};

/// The names in an expression: `(qualifier, column)`.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) Vec<(Option<Ident>, Ident)>);

impl Names {
    /// Those of `expression`.
    pub(super) fn of(expression: &Expr) -> Self {
        let mut names = Self::default();
        let _ = expression.visit(&mut names);
        names
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        match expression {
            Expr::Identifier(ident) => self.0.push((None, ident.clone())),
            Expr::CompoundIdentifier(parts) => {
                if let [first, second, ..] = parts.as_slice() {
                    self.0.push((Some(first.clone()), second.clone()));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether two names are the same: without quotes, case does not matter.
pub(super) fn same(one: &Ident, other: &Ident) -> bool {
    match (one.quote_style, other.quote_style) {
        (None, None) => one.value.eq_ignore_ascii_case(&other.value),
        (None, Some(_)) => one.value.to_lowercase() == other.value,
        (Some(_), None) => one.value == other.value.to_lowercase(),
        (Some(_), Some(_)) => one.value == other.value,
    }
}

/// The name that a relation goes by in its query.
pub(super) fn name(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(alias.name.clone())
        }
        TableFactor::Table { name, alias: None, .. } => name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}

/// How many relations of a query, at any depth, are called `name`.
pub(super) fn called(query: &Query, name: &Ident) -> usize {
    struct Counter<'n>(&'n Ident, usize);
    impl Visitor for Counter<'_> {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            let alias = match factor {
                TableFactor::UNNEST { alias, .. } | TableFactor::Function { alias, .. } => {
                    alias.as_ref().map(|alias| alias.name.clone())
                }
                other => self::name(other),
            };
            self.1 += usize::from(alias.is_some_and(|alias| same(&alias, self.0)));
            ControlFlow::Continue(())
        }
    }
    let mut counter = Counter(name, 0);
    let _ = query.visit(&mut counter);
    counter.1
}
