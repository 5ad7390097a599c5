//! Rows → JSON lines.

use arrow::array::RecordBatch;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use tidegate_pipeline::error::{Error, Result};

use super::text::Encoder;

/// One JSON object a line; NULLs are left out, timestamps are RFC 3339 in UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonLinesEncoder;

impl Encoder for JsonLinesEncoder {
    fn resume(&mut self, _first_line: &str) -> Result<()> {
        Ok(())
    }

    fn encode(&mut self, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        encode(rows, out)
    }
}

/// Appends `rows` to `out` as JSON lines.
///
/// # Errors
/// When a column has a type that JSON has no form for.
pub(crate) fn encode(rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    // Timestamps without a zone are in UTC here.
    let builder = WriterBuilder::new().with_timestamp_format("%Y-%m-%dT%H:%M:%S%.fZ".to_owned());
    let mut writer = builder.build::<_, LineDelimited>(out);
    writer.write(rows).map_err(|error| {
        Error::user(format!("the rows cannot be written as JSON: {error}")).with_remedy("cast the column with `select`")
    })
}
