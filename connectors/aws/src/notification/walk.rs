//! Going through JSON that strangers have written.

use serde_json::{Map, Value};

/// The longest text that is taken for an id, in bytes; ARNs of AWS have at most 2,048.
const LONGEST: usize = 2_048;

/// A member by its name, which newer calls write with a capital: `vpcId` or `VpcId`.
pub(super) fn member<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(found) = map.get(name) {
        return Some(found);
    }
    let mut letters = name.chars();
    let first = letters.next()?;
    map.get(&format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
}

/// A text that may be an id: neither empty nor longer than any id.
pub(super) fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= LONGEST)
}

/// A text member, owned.
pub(super) fn text_of(map: &Map<String, Value>, name: &str) -> Option<String> {
    map.get(name).and_then(text).map(str::to_owned)
}

/// A member that is a map.
pub(super) fn map_of<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    map.get(name).and_then(Value::as_object)
}

/// The texts at a path of names between dots. Lists on the way are gone through; `[]` behind a name says to the reader
/// that there is one. Text in an element that stands for a list of one (`{"tag": 1, "content": "fl-1"}`) is found too.
pub(super) fn texts<'a>(map: &'a Map<String, Value>, path: &str) -> Vec<&'a str> {
    let mut names = path.split('.').map(|name| name.trim_end_matches("[]"));
    let first = names.next().and_then(|name| member(map, name));
    let mut found: Vec<&Value> = first.into_iter().collect();
    for name in names {
        found = flat(found).into_iter().filter_map(|value| member(value.as_object()?, name)).collect();
    }
    let content = |value: &'a Value| value.as_object().map_or(Some(value), |map| map.get("content")).and_then(text);
    flat(found).into_iter().filter_map(content).collect()
}

/// Lists replaced by what is in them.
fn flat(values: Vec<&Value>) -> Vec<&Value> {
    let mut found = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::Array(list) => found.extend(list),
            other => found.push(other),
        }
    }
    found
}
