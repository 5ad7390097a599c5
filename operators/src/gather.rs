//! Rows by their places, also rows without columns, which arrow refuses to gather.

use arrow::array::{Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use tidegate_pipeline::error::Result;

/// The rows of `rows` at `indices`.
pub(crate) fn take_rows(rows: &RecordBatch, indices: &dyn Array) -> Result<RecordBatch> {
    match rows.num_columns() {
        0 => without_columns(rows.schema(), indices.len()),
        _ => Ok(take_record_batch(rows, indices)?),
    }
}

/// The rows of several batches of one schema at `indices` (batch, row).
pub(crate) fn interleave_rows(batches: &[&RecordBatch], indices: &[(usize, usize)]) -> Result<RecordBatch> {
    match batches.first() {
        Some(first) if first.num_columns() == 0 => without_columns(first.schema(), indices.len()),
        _ => Ok(interleave_record_batch(batches, indices)?),
    }
}

fn without_columns(schema: SchemaRef, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, Vec::new(), &options)?)
}
