//! Names in the syntax: columns, fields of columns, functions. Everything that is checked here has an exact
//! place, which DataFusion's own planning no longer knows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Fields, SchemaRef};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArguments, Ident, Spanned, Subscript, Value, ValueWithSpan, VisitMut,
    VisitorMut,
};

use crate::spec::SqlText;
use crate::spec::diagnostic::Diagnostic;

use super::compile::{FunctionKind, Planner};
use super::parse::place_of;

/// What happens to a column that the schema does not name.
#[derive(Clone, Copy)]
pub(super) enum Names<'a> {
    /// It is an error.
    Closed,
    /// It is NULL, with one warning: rows may bring it later.
    Open,
    /// It is NULL: the expression has been accepted against this schema before.
    Widened(&'a SchemaRef),
}

/// Checks every name in `syntax` and writes columns as `schema` writes them. Gives the warnings.
///
/// # Errors
/// The first name that is wrong; aggregates, window functions, subqueries, volatile functions.
pub(super) fn expression(
    sql: &SqlText,
    syntax: &mut Expr,
    schema: &SchemaRef,
    names: Names<'_>,
    planner: &Planner,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let mut resolver = Resolver { sql, schema, names, planner, unknown: BTreeSet::new(), warnings: Vec::new() };
    match syntax.visit(&mut resolver) {
        ControlFlow::Break(diagnostic) => Err(*diagnostic),
        ControlFlow::Continue(()) => Ok(resolver.warnings),
    }
}

/// The index of the field that `name` means: the exact one, else the only one that differs in case alone.
pub(super) fn find(fields: &Fields, name: &str) -> Option<usize> {
    if let Some((index, _)) = fields.find(name) {
        return Some(index);
    }
    let mut alike = fields.iter().enumerate().filter(|(_, field)| field.name().eq_ignore_ascii_case(name));
    match (alike.next(), alike.next()) {
        (Some((index, _)), None) => Some(index),
        _ => None,
    }
}

/// A column that does not exist.
pub(super) fn unknown_column(sql: &SqlText, ident: &Ident, fields: &Fields) -> Diagnostic {
    Diagnostic::error(place_of(sql, ident.span), format!("there is no column `{}` here", ident.value))
        .with_expected(&ident.value, fields.iter().map(|field| field.name().clone()))
}

type Flow = ControlFlow<Box<Diagnostic>>;

struct Resolver<'a> {
    sql: &'a SqlText,
    schema: &'a SchemaRef,
    names: Names<'a>,
    planner: &'a Planner,
    unknown: BTreeSet<String>,
    warnings: Vec<Diagnostic>,
}

/// Where a path of names leads.
enum Found {
    /// To a value; the path as the schema writes it.
    Path(Vec<String>),
    /// Nowhere yet: NULL.
    Null,
}

impl Resolver<'_> {
    /// Follows `column.field.field` through the schema.
    fn follow(&mut self, path: &[Ident]) -> Result<Found, Diagnostic> {
        let mut fields = self.schema.fields();
        let mut written = Vec::with_capacity(path.len());
        for (depth, ident) in path.iter().enumerate() {
            let Some(index) = find(fields, &ident.value) else {
                return self.missing(path, depth, fields);
            };
            let field = &fields[index];
            written.push(field.name().clone());
            match (field.data_type(), path.get(depth + 1)) {
                (DataType::Struct(inner), Some(_)) => fields = inner,
                // A field of a map is looked up when it runs; a field of a list is an index, not a name.
                (DataType::Map(..), Some(_)) => {
                    written.extend(path[depth + 1..].iter().map(|ident| ident.value.clone()));
                    break;
                }
                (DataType::Null, Some(_)) => return Ok(Found::Null),
                (other, Some(next)) => {
                    let message = format!("`{}` has no field `{}`: it is {other}", ident.value, next.value);
                    return Err(Diagnostic::error(place_of(self.sql, next.span), message));
                }
                (_, None) => {}
            }
        }
        Ok(Found::Path(written))
    }

    /// The name at `depth` of `path` is none of `fields`.
    fn missing(&mut self, path: &[Ident], depth: usize, fields: &Fields) -> Result<Found, Diagnostic> {
        let ident = &path[depth];
        let whole = path[..=depth].iter().map(|ident| ident.value.as_str()).collect::<Vec<_>>().join(".");
        match self.names {
            Names::Widened(_) => Ok(Found::Null),
            Names::Closed if depth == 0 => Err(unknown_column(self.sql, ident, fields)),
            Names::Closed => {
                let message = format!("there is no field `{}` in `{}`", ident.value, path[depth - 1].value);
                Err(Diagnostic::error(place_of(self.sql, ident.span), message)
                    .with_expected(&ident.value, fields.iter().map(|field| field.name().clone())))
            }
            Names::Open => {
                if self.unknown.insert(whole.clone()) {
                    let message = format!("no column `{whole}` is known yet: it is NULL until rows bring it");
                    let warning = Diagnostic::warning(place_of(self.sql, ident.span), message)
                        .with_expected(&ident.value, fields.iter().map(|field| field.name().clone()));
                    self.warnings.push(warning);
                }
                Ok(Found::Null)
            }
        }
    }

    /// Replaces a plain or dotted name by what it means.
    fn name(&mut self, expression: &mut Expr, path: &[Ident]) -> Result<(), Diagnostic> {
        *expression = match self.follow(path)? {
            Found::Null => null(),
            Found::Path(names) => {
                let mut idents = names.into_iter().zip(path).map(|(name, ident)| Ident {
                    value: name,
                    quote_style: Some('"'),
                    span: ident.span,
                });
                match (idents.next(), idents.len()) {
                    (Some(only), 0) => Expr::Identifier(only),
                    (first, _) => Expr::CompoundIdentifier(first.into_iter().chain(idents).collect()),
                }
            }
        };
        Ok(())
    }

    /// `column['field']`, `column.field['field'][1]`: checks as much of the path as consists of names.
    fn access(&mut self, expression: &mut Expr) -> Result<(), Diagnostic> {
        let Expr::CompoundFieldAccess { root, access_chain } = expression else { return Ok(()) };
        let mut path = match root.as_ref() {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(idents) => idents.clone(),
            _ => Vec::new(),
        };
        let by_name = !path.is_empty();
        let mut only_names = by_name;
        for access in access_chain.iter_mut() {
            let name = match access {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
                AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) }) => text_of(value),
                _ => None,
            };
            match name {
                Some(ident) => {
                    *access = subscript(&ident);
                    if only_names {
                        path.push(ident);
                    }
                }
                None => only_names = false,
            }
        }
        if !by_name {
            return Ok(());
        }
        match self.follow(&path)? {
            Found::Null => *expression = null(),
            Found::Path(names) => {
                let mut names = names.into_iter().skip(path.len() - access_chain_names(&path, root));
                for (access, name) in access_chain.iter_mut().zip(&mut names) {
                    *access = subscript(&Ident::new(name));
                }
            }
        }
        Ok(())
    }

    fn function(&mut self, expression: &mut Expr) -> Result<(), Diagnostic> {
        let Expr::Function(function) = expression else { return Ok(()) };
        let Some(ident) = single_name(function) else {
            let place = place_of(self.sql, function.name.span());
            return Err(Diagnostic::error(place, format!("there is no function `{}`", function.name)));
        };
        // `user` and the like are functions in Postgres, and common names of columns.
        if matches!(function.args, FunctionArguments::None) && find(self.schema.fields(), &ident.value).is_some() {
            return self.name(expression, &[ident]);
        }
        let place = place_of(self.sql, ident.span);
        let name = ident.value.to_lowercase();
        if function.over.is_some() {
            return Err(Diagnostic::error(place, format!("`{name} OVER` looks at more than one row")).with_help(
                "an expression sees one row at a time; queries over tables belong in a control of `check`",
            ));
        }
        match self.planner.kind(&name) {
            FunctionKind::Row => Ok(()),
            FunctionKind::Volatile => Err(Diagnostic::error(
                place,
                format!("`{name}` is different at every evaluation, so a replay could not prove itself"),
            )
            .with_help("take the value from a column of the row; `now()` is the time of the step")),
            FunctionKind::Aggregate | FunctionKind::Window => {
                Err(Diagnostic::error(place, format!("`{name}` looks at more than one row")).with_help(
                    "an expression sees one row at a time; queries over tables belong in a control of `check`",
                ))
            }
            FunctionKind::Unknown => Err(Diagnostic::error(place, format!("there is no function `{name}`"))
                .with_expected(&name, self.planner.alike(&name))),
        }
    }

    fn visit(&mut self, expression: &mut Expr) -> Result<(), Diagnostic> {
        match expression {
            Expr::Identifier(ident) => {
                let path = [ident.clone()];
                self.name(expression, &path)
            }
            Expr::CompoundIdentifier(idents) => {
                let path = std::mem::take(idents);
                self.name(expression, &path)
            }
            Expr::CompoundFieldAccess { .. } => self.access(expression),
            Expr::Function(_) => self.function(expression),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                Err(Diagnostic::error(place_of(self.sql, expression.span()), "a subquery looks at more than one row")
                    .with_help("join with `enrich`, or put the query in a control of `check`"))
            }
            _ => Ok(()),
        }
    }
}

impl VisitorMut for Resolver<'_> {
    type Break = Box<Diagnostic>;

    fn pre_visit_expr(&mut self, expression: &mut Expr) -> Flow {
        match self.visit(expression) {
            Ok(()) => ControlFlow::Continue(()),
            Err(diagnostic) => ControlFlow::Break(Box::new(diagnostic)),
        }
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> Flow {
        match &value.value {
            Value::Placeholder(name) => {
                let diagnostic = Diagnostic::error(place_of(self.sql, value.span), format!("`{name}` has no value"))
                    .with_help("write the value itself; `${NAME}` in the file is replaced from the environment");
                ControlFlow::Break(Box::new(diagnostic))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// How many names of `path` stand behind its root.
fn access_chain_names(path: &[Ident], root: &Expr) -> usize {
    match root {
        Expr::CompoundIdentifier(idents) => path.len() - idents.len(),
        _ => path.len() - 1,
    }
}

/// The name of a function that is not qualified.
fn single_name(function: &Function) -> Option<Ident> {
    match function.name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    }
}

fn null() -> Expr {
    Expr::Value(Value::Null.with_empty_span())
}

fn text_of(value: &ValueWithSpan) -> Option<Ident> {
    match &value.value {
        Value::SingleQuotedString(text) => {
            let mut ident = Ident::with_quote('"', text.clone());
            ident.span = value.span;
            Some(ident)
        }
        _ => None,
    }
}

fn subscript(ident: &Ident) -> AccessExpr {
    let value = Value::SingleQuotedString(ident.value.clone()).with_span(ident.span);
    AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) })
}
