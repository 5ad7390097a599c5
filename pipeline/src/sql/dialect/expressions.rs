//! Expressions, one at a time.

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Spanned, Value,
};

use super::{Refusal, build, elements, hints};

/// Rewrites an expression whose parts are rewritten.
///
/// # Errors
/// When it cannot be planned.
pub(super) fn refine(expression: &mut Expr) -> Result<(), Refusal> {
    match expression {
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, .. } => {
            if matches!(data_type, DataType::JSON | DataType::JSONB) {
                let span = expr.span();
                *expression = build::call("json", vec![expr.as_ref().clone()], span);
                return Ok(());
            }
            refuse_type(expr, data_type)
        }
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } => {
            *expression = like_any(expression.clone())?;
            Ok(())
        }
        Expr::InSubquery { expr, .. } if matches!(expr.as_ref(), Expr::Tuple(_)) => Err(Refusal::new(
            expr.span(),
            "`(a, b) in (select …)` cannot be planned",
            "write `exists (select 1 from u where u.a = t.a and u.b = t.b)`",
        )),
        Expr::BinaryOp { left, op, .. } => match hints::operator(op) {
            Some((message, help)) => Err(Refusal::new(left.span(), message, help)),
            None => Ok(()),
        },
        Expr::Function(function) => {
            if let Some(refusal) = elements::misplaced(function) {
                return Err(refusal);
            }
            match hints::function(&build::name(&function.name)) {
                Some((message, help)) => Err(Refusal::new(function.name.span(), message, help)),
                None => Ok(()),
            }
        }
        Expr::Lambda(_) => Err(hints::lambda(expression.span())),
        _ => Ok(()),
    }
}

fn refuse_type(expression: &Expr, data_type: &DataType) -> Result<(), Refusal> {
    let name = data_type.to_string().to_lowercase();
    match hints::data_type(&name) {
        Some(help) => Err(Refusal::new(expression.span(), format!("there is no type `{name}`"), help)),
        None => Ok(()),
    }
}

/// `x like any (array['a', 'b'])` → `(x like 'a' or x like 'b')`; another list → `like_any(x, list)`.
fn like_any(expression: Expr) -> Result<Expr, Refusal> {
    let (negated, folds, text, pattern, escape) = match expression {
        Expr::Like { negated, expr, pattern, escape_char, .. } => (negated, false, expr, pattern, escape_char),
        Expr::ILike { negated, expr, pattern, escape_char, .. } => (negated, true, expr, pattern, escape_char),
        other => return Ok(other),
    };
    let one = |pattern: Expr| {
        let (expr, pattern, escape_char) = (text.clone(), Box::new(pattern), escape.clone());
        match folds {
            false => Expr::Like { negated, any: false, expr, pattern, escape_char },
            true => Expr::ILike { negated, any: false, expr, pattern, escape_char },
        }
    };
    let list = match unnested(*pattern) {
        Expr::Array(Array { elem, .. }) | Expr::Tuple(elem) if !elem.is_empty() => elem,
        literal @ Expr::Value(_) => vec![literal],
        list => {
            let span = list.span();
            return match negated {
                false => Ok(build::call(if folds { "ilike_any" } else { "like_any" }, vec![*text, list], span)),
                true => Err(Refusal::new(
                    span,
                    "`not like any` of a list is true where one pattern does not fit",
                    "write `not (x like any (list))` for text that fits none of them",
                )),
            };
        }
    };
    let or = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::Or,
        right: Box::new(right),
    };
    let all = list.into_iter().map(one).reduce(or);
    Ok(Expr::Nested(Box::new(all.unwrap_or(Expr::Value(Value::Boolean(false).with_empty_span())))))
}

fn unnested(expression: Expr) -> Expr {
    match expression {
        Expr::Nested(inner) => unnested(*inner),
        other => other,
    }
}

/// `f(list, x -> …)`: under PostgreSQL's grammar the lambda is `x -> …`, JSON access to a column `x`.
pub(super) fn lambda(expression: &Expr) -> Option<Refusal> {
    const TAKE_LAMBDAS: &[&str] = &[
        "array_any_match",
        "any_match",
        "list_any_match",
        "array_all_match",
        "all_match",
        "array_filter",
        "list_filter",
        "array_transform",
        "list_transform",
        "filter",
        "transform",
        "array_reduce",
        "list_reduce",
    ];
    let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expression else { return None };
    if !TAKE_LAMBDAS.contains(&build::name(name).as_str()) {
        return None;
    }
    list.args.iter().find_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => arrow(argument),
        _ => None,
    })
}

/// `x -> x > 1` is parsed as `(x -> x) > 1`.
fn arrow(argument: &Expr) -> Option<Refusal> {
    match argument {
        Expr::BinaryOp { left, op: BinaryOperator::Arrow, .. } => match left.as_ref() {
            Expr::Identifier(_) | Expr::Nested(_) | Expr::Tuple(_) => Some(hints::lambda(left.span())),
            other => arrow(other),
        },
        Expr::BinaryOp { left, .. } => arrow(left),
        _ => None,
    }
}
