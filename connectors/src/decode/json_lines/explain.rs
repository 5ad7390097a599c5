//! Why a line did not fit, and whether a wider schema takes it.

use serde_json::Value;

use super::scan::Misfit;
use crate::decode::segment::Limits;
use crate::decode::shape::{Meeting, Shape};

/// What becomes of a line that does not fit the schema.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// A schema of this shape takes it.
    Widen(Box<Shape>),
    /// Nothing takes it, for this reason.
    Reject(String),
}

/// Judges `line`, which did not fit a schema of `shape` for the reason `misfit`.
pub(crate) fn judge(line: &[u8], misfit: Misfit, shape: &Shape, limits: &Limits) -> Verdict {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return Verdict::Reject(not_utf8(&error)),
    };
    if let Misfit::Repeated(name) = misfit {
        return Verdict::Reject(format!("the name `{name}` stands twice in one object"));
    }
    let row = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(row)) => row,
        Ok(other) => return Verdict::Reject(format!("a row must be a JSON object; this line is {}", kind(&other))),
        Err(error) => return Verdict::Reject(broken(&error)),
    };
    match shape.meet_row(&row, Meeting::Running) {
        Err(reason) => Verdict::Reject(reason),
        Ok(None) => Verdict::Reject("the line cannot be decoded".to_owned()),
        Ok(Some(wider)) if wider.columns() > limits.max_columns => Verdict::Reject(too_many(&wider, limits)),
        Ok(Some(wider)) => Verdict::Widen(Box::new(wider)),
    }
}

/// The reason for a line that is not UTF-8.
pub(crate) fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("the line is not valid UTF-8: byte {} begins no character", error.valid_up_to() + 1)
}

/// The reason for a row that brings too many columns.
pub(crate) fn too_many(shape: &Shape, limits: &Limits) -> String {
    format!("the row would widen the schema to {} columns; `max_columns` is {}", shape.columns(), limits.max_columns)
}

fn broken(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // serde_json counts lines within the text that it was given, which is always one line.
    let text = text.rsplit_once(" at line").map_or(text.as_str(), |(reason, _)| reason);
    let state = if error.is_eof() { "the JSON ends too early" } else { "the line is not JSON" };
    format!("{state}: {text} (character {})", error.column())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
