//! Finds what would make a query answer differently on the same data.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArgumentClause, FunctionArguments, LimitClause, Query, SetExpr, Spanned,
    Statement, Visit, Visitor, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

/// Something that depends on more than the data, with its place in the query.
pub(super) struct Nondeterminism {
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Functions whose result depends on the order of their rows.
const ORDERED: &[&str] =
    &["array_agg", "string_agg", "first_value", "last_value", "nth_value", "row_number", "lag", "lead", "ntile"];

/// Everything in `statement` that is not determined by the data: volatile functions, and what depends on
/// the order of rows without saying which.
pub(super) fn find(statement: &Statement, state: &SessionState) -> Vec<Nondeterminism> {
    let mut finder = Finder { state, found: Vec::new() };
    let _ = statement.visit(&mut finder);
    finder.found
}

struct Finder<'a> {
    state: &'a SessionState,
    found: Vec<Nondeterminism>,
}

impl Finder<'_> {
    fn add(&mut self, span: Span, message: String, help: &'static str) {
        self.found.push(Nondeterminism { span, message, help });
    }

    fn function(&mut self, function: &Function) {
        let Some(name) = function.name.0.last().map(|part| part.to_string().to_lowercase()) else { return };
        let span = function.name.span();
        let volatile = |udf: &std::sync::Arc<datafusion::logical_expr::ScalarUDF>| {
            udf.signature().volatility == Volatility::Volatile
        };
        if self.state.scalar_functions().get(&name).is_some_and(volatile) {
            let message = format!("`{name}()` gives another value at each call, so the query could not be replayed");
            self.add(span, message, "derive the value from the row; `now()` is fine, it is the step's time");
        } else if ORDERED.contains(&name.as_str()) && !is_ordered(function) {
            let message = format!("`{name}` without ORDER BY depends on the order in which rows happen to come");
            let help = match function.over {
                Some(_) => "write `over (… order by …)`",
                None => "write the order inside the call: `array_agg(x order by x)`",
            };
            self.add(span, message, help);
        }
    }
}

fn is_ordered(function: &Function) -> bool {
    let in_arguments = match &function.args {
        FunctionArguments::List(list) => {
            list.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)))
        }
        FunctionArguments::None | FunctionArguments::Subquery(_) => false,
    };
    let in_window = match &function.over {
        Some(WindowType::WindowSpec(spec)) => spec.window_name.is_some() || !spec.order_by.is_empty(),
        // The window is defined elsewhere in the query; its order is seen there.
        Some(WindowType::NamedWindow(_)) => true,
        None => false,
    };
    in_arguments || in_window || !function.within_group.is_empty()
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        const HELP: &str = "add `order by` over columns that identify a row";
        if query.order_by.is_some() {
            return ControlFlow::Continue(());
        }
        let limit = match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                limit.as_ref().map(Spanned::span).or(offset.as_ref().map(|offset| offset.value.span()))
            }
            Some(LimitClause::OffsetCommaLimit { limit, .. }) => Some(limit.span()),
            None => None,
        };
        let fetch =
            query.fetch.as_ref().map(|fetch| fetch.quantity.as_ref().map_or_else(|| query.span(), Spanned::span));
        if let Some(span) = limit.or(fetch) {
            let message = "LIMIT without ORDER BY takes whichever rows happen to come first".to_owned();
            self.add(span, message, HELP);
        }
        if let SetExpr::Select(select) = query.body.as_ref()
            && let Some(Distinct::On(columns)) = &select.distinct
        {
            let span = columns.first().map_or_else(|| select.span(), Spanned::span);
            let message = "DISTINCT ON without ORDER BY keeps whichever row happens to come first".to_owned();
            self.add(span, message, HELP);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expression {
            self.function(function);
        }
        ControlFlow::Continue(())
    }
}
