//! Text → syntax, and places inside the text.

use datafusion::sql::sqlparser::ast::{Expr, Ident, SelectItem};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use crate::spec::Sql;
use crate::spec::diagnostic::{Diagnostic, Place};

/// How deep an expression may nest.
const DEPTH: usize = 200;

/// The place of a line and column (characters, from 1) of SQL text in the file that holds the text.
pub fn place_inside(sql: &Sql, line: u64, column: u64) -> Place {
    let number = |n: u64| u32::try_from(n.max(1)).unwrap_or(u32::MAX) - 1;
    let (down, right) = (number(line), number(column));
    let place = sql.place;
    match down {
        0 => {
            let quote = u32::from(is_quoted(sql));
            let start = place.offset + quote as usize;
            let offset = start + sql.value.chars().take(right as usize).map(char::len_utf8).sum::<usize>();
            Place { line: place.line, column: place.column + quote + right, offset, length: 1 }
        }
        _ => Place { line: place.line + down, column: right + 1, ..place },
    }
}

/// Whether the place begins with a quote that the text does not have: the scalar is longer by both of its quotes.
fn is_quoted(sql: &Sql) -> bool {
    !sql.value.contains('\n') && sql.place.length == sql.value.len() + 2
}

/// The place of a piece of syntax; the whole text where the parser does not know.
pub(super) fn place_of(sql: &Sql, span: Span) -> Place {
    if span.start.line == 0 {
        return sql.place;
    }
    let place = place_inside(sql, span.start.line, span.start.column);
    let length = match span.end.line == span.start.line {
        true => usize::try_from(span.end.column.saturating_sub(span.start.column)).unwrap_or(1).max(1),
        false => 1,
    };
    Place { length, ..place }
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
pub(super) fn expression(sql: &Sql) -> Result<Expr, Diagnostic> {
    let mut parser = open(sql, "the expression is empty")?;
    let expression = parser.parse_expr().map_err(|error| describe(sql, &error))?;
    finish(sql, &mut parser, "the end of the expression")?;
    Ok(expression)
}

/// Parses a projection: `*`, `* EXCLUDE (a, b)`, `expr`, `expr AS name`, separated by commas.
pub(super) fn projection(sql: &Sql) -> Result<Vec<Item>, Diagnostic> {
    let mut parser = open(sql, "the projection is empty")?;
    let mut items = Vec::new();
    loop {
        items.push(item(&mut parser).map_err(|error| describe(sql, &error))?);
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    finish(sql, &mut parser, "`,` or the end of the projection")?;
    Ok(items)
}

fn open<'a>(sql: &'a Sql, empty: &str) -> Result<Parser<'a>, Diagnostic> {
    let parser = Parser::new(&PostgreSqlDialect {}).with_recursion_limit(DEPTH).try_with_sql(&sql.value);
    let parser = parser.map_err(|error| describe(sql, &error))?;
    match parser.peek_token().token {
        Token::EOF => Err(Diagnostic::error(sql.place, empty)),
        _ => Ok(parser),
    }
}

fn finish(sql: &Sql, parser: &mut Parser<'_>, expected: &str) -> Result<(), Diagnostic> {
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
fn describe(sql: &Sql, error: &ParserError) -> Diagnostic {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => {
            return Diagnostic::error(sql.place, format!("the expression nests deeper than {DEPTH} levels"));
        }
    };
    let (message, place) = match split_location(message) {
        Some((message, line, column)) => (message, place_inside(sql, line, column)),
        None => (message, sql.place),
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
