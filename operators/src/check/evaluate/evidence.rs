//! What findings rest on: the values that the conditions for their status looked at.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema};
use hashbrown::HashMap;
use serde_json::Value;
use tidegate_pipeline::error::{Error, Result};

use super::rows::json_lines;
use crate::check::plan::EvidenceColumn;

/// The longest text that is kept of a value, in characters: evidence says what decided, it is no copy of the inventory.
const MAX_TEXT: usize = 200;

/// The evidence of each row that `matters`, as a JSON object with sorted keys, by the number of the row.
///
/// # Errors
/// When a value cannot be written as JSON.
pub(super) fn of_rows(
    batch: &RecordBatch,
    columns: &[EvidenceColumn],
    matters: impl Fn(usize) -> bool,
) -> Result<HashMap<usize, Arc<str>>> {
    let rows: Vec<usize> =
        if columns.is_empty() { Vec::new() } else { (0..batch.num_rows()).filter(|row| matters(*row)).collect() };
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let places: Vec<usize> = columns.iter().map(|column| column.place).collect();
    let mut kept = vec![false; batch.num_rows()];
    rows.iter().for_each(|row| kept[*row] = true);
    let values = filter_record_batch(&batch.project(&places)?, &BooleanArray::from(kept))?;
    let fields: Vec<Field> = values
        .schema()
        .fields()
        .iter()
        .zip(columns)
        .map(|(field, column)| field.as_ref().clone().with_name(&*column.name))
        .collect();
    let values = RecordBatch::try_new(Arc::new(Schema::new(fields)), values.columns().to_vec())?;
    let lines = json_lines(&values)?;
    rows.into_iter().zip(lines).map(|(row, line)| Ok((row, shortened(&line)?))).collect()
}

fn shortened(line: &str) -> Result<Arc<str>> {
    let mut value: Value = serde_json::from_str(line).map_err(Error::internal)?;
    shorten(&mut value);
    value.sort_all_objects();
    Ok(value.to_string().into())
}

fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
                text.truncate(end);
                text.push('…');
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
