//! Rows that could not be handled, on their way to the `errors` port.

use arrow::array::{RecordBatch, UInt64Array};
use arrow::json::LineDelimitedWriter;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::expression::BadRow;
use tidegate_pipeline::operator::Output;
use tidegate_pipeline::rows::Rejected;

use crate::gather::take_rows;

/// Rejects every row of `rows` for the same reason.
pub(crate) fn reject_all(rows: &RecordBatch, reason: &str, out: &mut Output) -> Result<()> {
    let bad = (0..rows.num_rows()).map(|row| BadRow { row, reason: reason.to_owned() });
    reject(rows, bad.collect(), out)
}

/// Rejects the bad rows of `rows`, each with itself as JSON.
pub(crate) fn reject(rows: &RecordBatch, bad: Vec<BadRow>, out: &mut Output) -> Result<()> {
    if bad.is_empty() {
        return Ok(());
    }
    let indices = UInt64Array::from_iter_values(bad.iter().map(|bad| bad.row as u64));
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    // A row with a column that JSON cannot express is rejected without its text.
    if writer.write(&take_rows(rows, &indices)?).and_then(|()| writer.finish()).is_err() {
        text.clear();
    }
    let mut lines = text.split(|byte| *byte == b'\n');
    for bad in bad {
        out.reject(bad.row as u64, Rejected::new("", bad.reason, lines.next().unwrap_or_default()));
    }
    Ok(())
}
