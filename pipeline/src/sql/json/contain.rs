//! Whether one JSON value is in another, as PostgreSQL's `@>` says it.

use serde_json::Value;

/// Whether `outer` contains `inner`: members of objects and elements of arrays that `inner` has must be there, others may
/// be; an array contains a value that is one of its elements.
pub(super) fn contains(outer: &Value, inner: &Value) -> bool {
    match (outer, inner) {
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => within(outer, inner),
        (Value::Array(elements), inner) if !inner.is_object() => elements.contains(inner),
        _ => outer == inner,
    }
}

/// As [`contains`], below the top: there an array does not contain a bare value.
fn within(outer: &Value, inner: &Value) -> bool {
    match (outer, inner) {
        (Value::Object(outer), Value::Object(inner)) => {
            inner.iter().all(|(name, inner)| outer.get(name).is_some_and(|outer| within(outer, inner)))
        }
        (Value::Array(outer), Value::Array(inner)) => {
            inner.iter().all(|inner| outer.iter().any(|outer| within(outer, inner)))
        }
        _ => outer == inner,
    }
}
