//! Batches freed of the memory that they were cut from.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::Result;

/// `batch`, with string views and dictionaries rebuilt to hold only what its rows use. Every other type is
/// cut to its rows by the IPC writer anyway. Cheap where there is nothing to do.
///
/// # Errors
/// When a dictionary cannot be rebuilt.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    if !batch.columns().iter().any(|column| shares(column.data_type())) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(compact_column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// Whether arrays of this type hold values beside their rows.
fn shares(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView | DataType::Dictionary(..) => true,
        DataType::Struct(fields) => fields.iter().any(|field| shares(field.data_type())),
        _ => false,
    }
}

fn compact_column(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        DataType::Dictionary(_, values) if column.len() < column.as_any_dictionary().values().len() => {
            cast(&cast(column, values)?, column.data_type())?
        }
        DataType::Struct(fields) if shares(column.data_type()) => {
            let parts = column.as_struct();
            let columns = parts.columns().iter().map(compact_column).collect::<Result<Vec<_>>>()?;
            let nulls = parts.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, parts.len())?)
        }
        _ => Arc::clone(column),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;
    use crate::journal::batch::write_stream;

    fn length(batch: &RecordBatch) -> usize {
        let mut bytes = Vec::new();
        write_stream(&mut bytes, batch).unwrap();
        bytes.len()
    }

    #[test]
    fn a_slice_of_views_or_dictionaries_writes_only_what_it_uses() {
        let texts: Vec<String> = (0..20_000).map(|n| format!("a text that is longer than twelve bytes {n}")).collect();
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(&texts));
        let keys: ArrayRef =
            Arc::new(texts.iter().map(|text| Some(text.as_str())).collect::<DictionaryArray<Int32Type>>());
        let nested: ArrayRef = Arc::new(StructArray::from(vec![(
            Arc::new(arrow::datatypes::Field::new("view", DataType::Utf8View, true)),
            Arc::clone(&views),
        )]));
        let batch = RecordBatch::try_from_iter([("views", views), ("keys", keys), ("nested", nested)]).unwrap();
        let slice = batch.slice(7_000, 3);
        assert!(length(&slice) < 3_000, "{}", length(&slice));
        assert_eq!(compact(&slice).unwrap(), slice);
    }
}
