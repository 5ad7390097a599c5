//! Rows → CSV.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::{Field, Schema};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::adapt;

use super::text::Encoder;

/// A header, then a record a row. The columns are those of the header: of the file that is gone on with,
/// or of the first rows.
#[derive(Debug, Default)]
pub(crate) struct CsvEncoder {
    columns: Vec<String>,
}

impl Encoder for CsvEncoder {
    fn resume(&mut self, first_line: &str) -> Result<()> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(first_line.as_bytes());
        if let Some(header) = reader.records().next() {
            let header = header.map_err(|error| Error::user(format!("the file's header is not CSV: {error}")))?;
            self.columns = header.iter().map(str::to_owned).collect();
        }
        Ok(())
    }

    fn encode(&mut self, rows: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let schema = rows.schema();
        let header = self.columns.is_empty();
        if header {
            self.columns = schema.fields().iter().map(|field| field.name().clone()).collect();
        }
        if let Some(new) = schema.fields().iter().find(|field| !self.columns.contains(field.name())) {
            return Err(Error::external(format!(
                "the rows have a new column `{}`, which the header lacks",
                new.name()
            ))
            .with_remedy("name the columns with `select`, or write JSON lines")
            .never_retry());
        }
        // Missing columns are empty; their type does not show.
        let field = |name: &String| match schema.field_with_name(name) {
            Ok(field) => field.clone(),
            Err(_) => Field::new(name, arrow::datatypes::DataType::Utf8, true),
        };
        let target = Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()));
        let rows = adapt(rows, &target)?;
        let builder =
            WriterBuilder::new().with_header(header).with_timestamp_format("%Y-%m-%dT%H:%M:%S%.fZ".to_owned());
        builder.build(out).write(&rows).map_err(|error| {
            Error::user(format!("the rows cannot be written as CSV: {error}"))
                .with_remedy("select the fields of nested columns, or write JSON lines")
        })
    }
}
