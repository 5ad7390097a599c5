//! JSON as text. What is no JSON is NULL, never an error: one bad row must not take a query with it.

mod contain;
mod functions;
mod path;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use arrow::datatypes::Field;
use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::error::Result;
use serde_json::Value;

use super::Family;
use super::function::Arguments;
use path::Key;

/// The functions of JSON.
pub(super) static FAMILY: Family = Family { title: "JSON", functions: functions::FUNCTIONS };

/// Each row of a column of any type as JSON.
pub(super) fn encode(array: &ArrayRef) -> Result<StringArray> {
    let field = Arc::new(Field::new("value", array.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array.as_ref(), &options)?;
    let mut builder = StringBuilder::with_capacity(array.len(), array.len() * 32);
    let mut bytes = Vec::new();
    for row in 0..array.len() {
        if encoder.is_null(row) {
            builder.append_null();
            continue;
        }
        bytes.clear();
        encoder.encode(row, &mut bytes);
        builder.append_option(std::str::from_utf8(&bytes).ok());
    }
    Ok(builder.finish())
}

/// The value that a call asks for: the first argument is JSON, the others lead to a place in it.
fn at(arguments: &Arguments, row: usize) -> Option<Value> {
    let text = arguments.text(0, row)?;
    let keys = 1..arguments.len();
    let key = |position| match arguments.text(position, row) {
        Some(name) => Some(Key::Name(name)),
        None => arguments.integer(position, row).map(Key::Index),
    };
    let path = keys.map(key).collect::<Option<Vec<Key<'_>>>>()?;
    path::get(text, &path)
}

/// A value as text: texts without quotes, `null` as NULL.
fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The name of a value's type, as PostgreSQL has it.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
