//! Operators that DataFusion parses and gives no meaning: those of JSON, and what PostgreSQL reads into a literal.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::functions_nested::array_has::array_has_any_udf;
use datafusion::functions_nested::extract::array_element_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::FAMILIES;
use super::function::is_text;

/// Plans the operators.
#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expression: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expression;
        let planned = match &op {
            BinaryOperator::Arrow => access(left, right, schema, false)?,
            BinaryOperator::LongArrow => access(left, right, schema, true)?,
            BinaryOperator::HashArrow => call("json_get", path(left, &right)?)?,
            BinaryOperator::HashLongArrow => call("json_as_text", path(left, &right)?)?,
            BinaryOperator::Question => call("json_contains", vec![left, right])?,
            BinaryOperator::QuestionAnd => call("json_has_all", vec![left, right])?,
            BinaryOperator::QuestionPipe => call("json_has_any", vec![left, right])?,
            BinaryOperator::AtArrow if is_json(&left, schema)? => call("json_includes", vec![left, right])?,
            BinaryOperator::ArrowAt if is_json(&left, schema)? => call("json_includes", vec![right, left])?,
            BinaryOperator::PGOverlap => array_has_any_udf().call(vec![left, right]),
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => {
                let (left, right) = truth(left, right, schema);
                let (left, right) = lengths(left, right, schema)?;
                return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
            }
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right })),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let mut definitions = FAMILIES.iter().flat_map(|family| family.functions);
    match definitions.find(|definition| definition.name == name) {
        Some(definition) => Ok(definition.function().call(arguments)),
        None => plan_err!("there is no function `{name}`"),
    }
}

fn is_json(expression: &Expr, schema: &DFSchema) -> Result<bool> {
    let data_type = expression.get_type(schema)?;
    Ok(is_text(&data_type) || matches!(data_type, DataType::Map(..) | DataType::Struct(_)))
}

/// `left -> key` and `left ->> key`: a part of a map, a struct or a list as it is, or of JSON.
fn access(left: Expr, key: Expr, schema: &DFSchema, as_text: bool) -> Result<Expr> {
    let part = match (left.get_type(schema)?, &key) {
        (DataType::Map(..), Expr::Literal(name, _)) if text(name).is_some() => {
            Some(get_field().call(vec![left.clone(), key.clone()]))
        }
        (DataType::Struct(fields), Expr::Literal(name, _)) => text(name).map(|name| match fields.find(name) {
            Some(_) => get_field().call(vec![left.clone(), lit(name)]),
            // What is not there is NULL, as in JSON.
            None => lit(ScalarValue::Utf8(None)),
        }),
        (DataType::List(_) | DataType::LargeList(_), Expr::Literal(ScalarValue::Int64(Some(index)), _)) => {
            // SQL counts from 1, JSON from 0; both count back from -1.
            let index = if *index < 0 { *index } else { *index + 1 };
            Some(array_element_udf().call(vec![left.clone(), lit(index)]))
        }
        _ => None,
    };
    match part {
        None if as_text => call("json_as_text", keys(left, key)),
        None => call("json_get", keys(left, key)),
        Some(part) if as_text => match part.get_type(schema)? {
            DataType::Utf8 => Ok(part),
            data_type if data_type.is_nested() => call("to_json", vec![part]),
            _ => Ok(cast(part, DataType::Utf8)),
        },
        Some(part) => Ok(part),
    }
}

/// The arguments of a call; one call for `x -> 'a' -> 'b'`, so that the JSON between is never written.
fn keys(left: Expr, key: Expr) -> Vec<Expr> {
    match left {
        Expr::ScalarFunction(ScalarFunction { func, mut args }) if func.name() == "json_get" => {
            args.push(key);
            args
        }
        left => vec![left, key],
    }
}

/// `left #> '{a,0,b}'`: the arguments of a call.
fn path(left: Expr, path: &Expr) -> Result<Vec<Expr>> {
    let literal = match path {
        Expr::Literal(value, _) => text(value),
        _ => None,
    };
    let inside = literal.and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}'));
    let Some(inside) = inside else {
        return plan_err!("`#>` takes a path as '{{a,0,b}}'; write `json_get(x, 'a', 0, 'b')` for another one");
    };
    let names = inside.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty());
    Ok(std::iter::once(left).chain(names.map(lit)).collect())
}

fn text(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

/// Compares intervals by their lengths, as PostgreSQL does. DataFusion compares months, then days, then the rest: to
/// it 67 days of 24 hours are less than one day.
fn lengths(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    // A type that is not known is an error of its own, told where it is looked for.
    let is = |expression: &Expr, wanted: fn(&DataType) -> bool| expression.get_type(schema).is_ok_and(|is| wanted(&is));
    let interval = |expression: &Expr| is(expression, |is| matches!(is, DataType::Interval(_)));
    let length = |expression: &Expr| is(expression, |is| matches!(is, DataType::Interval(_) | DataType::Duration(_)));
    let compared = (interval(&left) && length(&right)) || (length(&left) && interval(&right));
    match compared {
        true => Ok((call("interval_microseconds", vec![left])?, call("interval_microseconds", vec![right])?)),
        false => Ok((left, right)),
    }
}

/// `x = 'true'` where `x` is true or false: PostgreSQL takes the literal for one too.
fn truth(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    let meant = |literal: &Expr| match literal {
        Expr::Literal(value, _) => match text(value)?.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(lit(true)),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(lit(false)),
            _ => None,
        },
        _ => None,
    };
    if let Some(truth) = meant(&right)
        && left.get_type(schema).is_ok_and(|is| is == DataType::Boolean)
    {
        return (left, truth);
    }
    if let Some(truth) = meant(&left)
        && right.get_type(schema).is_ok_and(|is| is == DataType::Boolean)
    {
        return (truth, right);
    }
    (left, right)
}
