//! Parameters of queries: typed when the query is planned, bound as values, never as text.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastKind, DataType as SqlType, ExactNumberInfo, Expr, Statement, Value, ValueWithSpan, VisitMut,
    VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::check::pack::{Parameter, ParameterType, ParameterValue};

/// Gives every `$name` in `statement` the type that its declaration says, by a cast around it.
///
/// # Errors
/// The first name that is not declared, and where it stands.
pub(super) fn give_types(
    statement: &mut Statement,
    parameters: &BTreeMap<String, Parameter>,
) -> Result<(), (String, Span)> {
    let mut typer = Typer { parameters };
    match statement.visit(&mut typer) {
        ControlFlow::Break(unknown) => Err(unknown),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Typer<'a> {
    parameters: &'a BTreeMap<String, Parameter>,
}

impl VisitorMut for Typer<'_> {
    type Break = (String, Span);

    // After its children, so that the placeholder inside the new cast is not visited again.
    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), span }) = expression else {
            return ControlFlow::Continue(());
        };
        let name = name.trim_start_matches('$');
        let Some(parameter) = self.parameters.get(name) else {
            return ControlFlow::Break((name.to_owned(), *span));
        };
        let data_type = sql_type(parameter.kind);
        let inner = Box::new(expression.clone());
        *expression = Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None };
        ControlFlow::Continue(())
    }
}

fn sql_type(kind: ParameterType) -> SqlType {
    let list = |inner| SqlType::Array(ArrayElemTypeDef::SquareBracket(Box::new(inner), None));
    match kind {
        ParameterType::Int => SqlType::BigInt(None),
        ParameterType::Float => SqlType::Double(ExactNumberInfo::None),
        ParameterType::Text => SqlType::Text,
        ParameterType::Bool => SqlType::Boolean,
        ParameterType::Texts => list(SqlType::Text),
        ParameterType::Ints => list(SqlType::BigInt(None)),
    }
}

/// The values to bind: what `given` says, else the default.
///
/// # Errors
/// The name of a parameter that has neither.
pub(super) fn values(
    parameters: &BTreeMap<String, Parameter>,
    given: &BTreeMap<String, ParameterValue>,
) -> Result<HashMap<String, ScalarValue>, String> {
    let mut values = HashMap::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        let value = given.get(name).or(parameter.default.as_ref()).ok_or_else(|| name.clone())?;
        values.insert(name.clone(), scalar(value));
    }
    Ok(values)
}

fn scalar(value: &ParameterValue) -> ScalarValue {
    match value {
        ParameterValue::Int(number) => ScalarValue::Int64(Some(*number)),
        ParameterValue::Float(number) => ScalarValue::Float64(Some(*number)),
        ParameterValue::Text(text) => ScalarValue::Utf8(Some(text.clone())),
        ParameterValue::Bool(value) => ScalarValue::Boolean(Some(*value)),
        ParameterValue::Texts(texts) => {
            let items: Vec<ScalarValue> = texts.iter().map(|text| ScalarValue::Utf8(Some(text.clone()))).collect();
            ScalarValue::List(Arc::clone(&ScalarValue::new_list(&items, &DataType::Utf8, true)))
        }
        ParameterValue::Ints(numbers) => {
            let items: Vec<ScalarValue> = numbers.iter().map(|number| ScalarValue::Int64(Some(*number))).collect();
            ScalarValue::List(ScalarValue::new_list(&items, &DataType::Int64, true))
        }
    }
}
