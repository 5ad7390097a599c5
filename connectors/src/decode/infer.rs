//! Inference: the schema of a sample.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::shape::{Meeting, Members, Shape};

/// How many rows planning looks at.
pub(crate) const SAMPLE: usize = 1000;

/// The shape that takes as many of `rows` as possible, beginning with the `declared` columns. A row that
/// cannot be united with those before it, or that would bring more than `max_columns` columns, is passed
/// over; it is rejected when it is read. Mixed scalars become text; what is only ever NULL stays without a
/// type until its first value. Columns come in the order of the sample, declared ones that it lacks last.
pub(crate) fn infer(
    rows: impl IntoIterator<Item = Map<String, Value>>,
    declared: Members,
    max_columns: usize,
) -> Shape {
    let mut shape = Shape::Struct(declared);
    let mut order: Vec<String> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    for row in rows {
        for name in row.keys().filter(|name| !known.contains(*name)).cloned().collect::<Vec<_>>() {
            known.insert(name.clone());
            order.push(name);
        }
        if let Ok(Some(wider)) = shape.meet_row(&row, Meeting::Sample)
            && wider.columns() <= max_columns
        {
            shape = wider;
        }
    }
    shape.reorder(&order);
    shape
}

/// The JSON objects among the first [`SAMPLE`] lines of `text`.
pub(crate) fn sample(text: &[u8]) -> Vec<Map<String, Value>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').take(SAMPLE);
    lines.filter_map(|line| serde_json::from_slice::<Map<String, Value>>(line).ok()).collect()
}
