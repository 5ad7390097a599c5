//! Pieces of syntax.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Query,
    SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;

/// `name(arguments)`.
pub(super) fn call(name: &str, arguments: Vec<Expr>, span: Span) -> Expr {
    let mut ident = Ident::new(name);
    ident.span = span;
    let args = arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))).collect();
    Expr::Function(Function {
        name: ObjectName::from(ident),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The arguments of a call, where they are plain expressions.
pub(super) fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    plain(&list.args)
}

/// Arguments that are plain expressions.
pub(super) fn plain(arguments: &[FunctionArg]) -> Option<Vec<Expr>> {
    let expression = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression.clone()),
        _ => None,
    };
    arguments.iter().map(expression).collect()
}

/// The name of a function, in lower case; empty where it is qualified.
pub(super) fn name(function: &ObjectName) -> String {
    match function.0.as_slice() {
        [part] => part.as_ident().map(|ident| ident.value.to_lowercase()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// `(select *, VALUE as COLUMN from FACTOR) as NAME`; without a factor, `(select VALUE as COLUMN) as NAME`.
pub(super) fn derived(value: Expr, column: Ident, factor: Option<TableFactor>, name: Ident) -> Option<TableFactor> {
    let template = if factor.is_some() { "select *, 0 as x from x" } else { "select 0 as x" };
    let mut query = query(template)?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    *select.projection.last_mut()? = SelectItem::ExprWithAlias { expr: value, alias: column };
    if let Some(factor) = factor {
        select.from = vec![TableWithJoins { relation: factor, joins: Vec::new() }];
    }
    let alias = TableAlias { explicit: true, name, columns: Vec::new(), at: None };
    Some(TableFactor::Derived { lateral: false, subquery: Box::new(query), alias: Some(alias), sample: None })
}

fn query(sql: &str) -> Option<Query> {
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).ok()?;
    match statements.into_iter().next()? {
        Statement::Query(query) => Some(*query),
        _ => None,
    }
}
