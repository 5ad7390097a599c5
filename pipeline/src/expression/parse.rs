//! Text → syntax, and places inside the text.

use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use crate::spec::SqlText;
use crate::spec::diagnostic::{Diagnostic, Place};
use crate::sql::dialect;

/// How deep an expression may nest.
const DEPTH: usize = 200;

/// The place of a piece of syntax; the whole text where the parser does not know.
pub(super) fn place_of(sql: &SqlText, span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let length = match end.line == start.line {
        true => sql.offset(end.line, end.column).saturating_sub(sql.offset(start.line, start.column)).max(1),
        false => 1,
    };
    sql.place_at(start.line, start.column, length)
}

/// A parsed item of a projection.
#[derive(Debug, Clone)]
pub(super) enum Item {
    /// `*`, without the named columns.
    Star(Vec<Ident>),
    /// `expr` or `expr AS name`.
    Expression(Box<Expr>, Option<Ident>),
}

/// Parses one expression that is the whole text.
pub(super) fn expression(sql: &SqlText) -> Result<Expr, Diagnostic> {
    let mut parser = open(sql, "the expression is empty")?;
    let expression = parser.parse_expr().map_err(|error| describe(sql, &error))?;
    finish(sql, &mut parser, "the end of the expression")?;
    refined(sql, expression)
}

/// Parses a projection: `*`, `* EXCLUDE (a, b)`, `expr`, `expr AS name`, separated by commas.
pub(super) fn projection(sql: &SqlText) -> Result<Vec<Item>, Diagnostic> {
    let mut parser = open(sql, "the projection is empty")?;
    let mut items = Vec::new();
    loop {
        items.push(item(&mut parser).map_err(|error| describe(sql, &error))?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    finish(sql, &mut parser, "`,` or the end of the projection")?;
    let refine = |item| match item {
        Item::Expression(expression, name) => Ok(Item::Expression(Box::new(refined(sql, *expression)?), name)),
        star @ Item::Star(_) => Ok(star),
    };
    items.into_iter().map(refine).collect()
}

/// The expression as DataFusion can plan it.
fn refined(sql: &SqlText, mut expression: Expr) -> Result<Expr, Diagnostic> {
    match dialect::refine_expression(&mut expression) {
        Ok(()) => Ok(expression),
        Err(refusals) => {
            let first = refusals.into_iter().next();
            Err(first.map_or_else(
                || Diagnostic::error(sql.place(), "this cannot be planned"),
                |refusal| Diagnostic::error(place_of(sql, refusal.span), refusal.message).with_help(refusal.help),
            ))
        }
    }
}

fn open<'a>(sql: &'a SqlText, empty: &str) -> Result<Parser<'a>, Diagnostic> {
    let parser = Parser::new(&PostgreSqlDialect {}).with_recursion_limit(DEPTH).try_with_sql(sql.as_str());
    let parser = parser.map_err(|error| describe(sql, &error))?;
    match parser.peek_token().token {
        Token::EOF => Err(Diagnostic::error(sql.place(), empty)),
        _ => Ok(parser),
    }
}

fn finish(sql: &SqlText, parser: &mut Parser<'_>, expected: &str) -> Result<(), Diagnostic> {
    let next = parser.next_token();
    match next.token {
        Token::EOF => Ok(()),
        found => Err(Diagnostic::error(place_of(sql, next.span), format!("expected {expected}, found `{found}`"))),
    }
}

fn item(parser: &mut Parser<'_>) -> Result<Item, ParserError> {
    if parser.consume_token(&Token::Mul) {
        return Ok(Item::Star(excluded(parser)?));
    }
    match parser.parse_select_item()? {
        SelectItem::UnnamedExpr(expression) => Ok(Item::Expression(Box::new(expression), None)),
        SelectItem::ExprWithAlias { expr, alias } => Ok(Item::Expression(Box::new(expr), Some(alias))),
        other => Err(ParserError::ParserError(format!("`{other}` cannot be selected"))),
    }
}

/// What follows `*`: nothing, or `EXCLUDE`/`EXCEPT` and one name or a list in parentheses.
fn excluded(parser: &mut Parser<'_>) -> Result<Vec<Ident>, ParserError> {
    let Token::Word(word) = parser.peek_token().token else { return Ok(Vec::new()) };
    if !word.value.eq_ignore_ascii_case("exclude") && !word.value.eq_ignore_ascii_case("except") {
        return Ok(Vec::new());
    }
    parser.next_token();
    if !parser.consume_token(&Token::LParen) {
        return Ok(vec![parser.parse_identifier()?]);
    }
    let names = parser.parse_comma_separated(Parser::parse_identifier)?;
    match parser.consume_token(&Token::RParen) {
        true => Ok(names),
        false => parser.expected("`)`", parser.peek_token()),
    }
}

/// The parser's error, with the place that it writes at the end of its message.
fn describe(sql: &SqlText, error: &ParserError) -> Diagnostic {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Diagnostic::error(sql.place(), format!("the expression nests deeper than {DEPTH} levels"));
        }
    };
    let (message, place) = match split_location(message) {
        Some((message, line, column)) => (message, sql.place_at(line, column, 1)),
        None => (message, sql.place()),
    };
    let message = message.strip_prefix("Expected: ").map_or_else(|| message.to_owned(), |m| format!("expected {m}"));
    let message = message.replace("found: EOF", "found the end of the text");
    Diagnostic::error(place, format!("this is not SQL: {message}"))
}

/// `… at Line: 1, Column: 8` in its three parts.
fn split_location(message: &str) -> Option<(&str, u64, u64)> {
    let (text, location) = message.rsplit_once(" at Line: ")?;
    let (line, column) = location.split_once(", Column: ")?;
    Some((text, line.trim().parse().ok()?, column.trim().parse().ok()?))
}
