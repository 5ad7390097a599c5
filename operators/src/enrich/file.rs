//! The contents of a file as one batch of rows.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast, cast_with_options, concat_batches};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use arrow::json::reader::infer_json_schema_from_iterator;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values with a header.
    Csv,
    /// One array of objects.
    Json,
    /// An object per line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// The format that the name of a file tells.
    pub fn of(path: &str) -> Option<Self> {
        match Path::new(path).extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Jsonl => "JSON lines",
            Self::Parquet => "Parquet",
        })
    }
}

/// Reads a whole file. Columns named in `as_text` keep the text of a CSV file: the type of the rows that they
/// are compared with decides how it is read.
///
/// # Errors
/// What is wrong with the contents, in one sentence.
pub(super) fn parse(contents: &[u8], format: Format, as_text: &[&str]) -> Result<RecordBatch, String> {
    let rows = match format {
        Format::Csv => csv_rows(contents, as_text),
        Format::Json => json_rows(serde_json::from_slice(contents).map_err(|error| error.to_string())?),
        Format::Jsonl => json_rows(lines(contents)?),
        Format::Parquet => parquet_rows(contents),
    }?;
    let mut names = BTreeSet::new();
    match rows.schema_ref().fields().iter().find(|field| !names.insert(field.name())) {
        Some(twice) => Err(format!("two columns are named `{}`", twice.name())),
        None => Ok(rows),
    }
}

fn csv_rows(contents: &[u8], as_text: &[&str]) -> Result<RecordBatch, String> {
    let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    let format = csv::reader::Format::default().with_header(true);
    let (header, _) = format.infer_schema(Cursor::new(contents), Some(1)).map_err(|error| error.to_string())?;
    if header.fields().is_empty() {
        return Err("it is empty: the first line must name the columns".to_owned());
    }
    let text: Vec<Field> = header.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let text = Arc::new(Schema::new(text));
    let reader = csv::ReaderBuilder::new(Arc::clone(&text))
        .with_format(format)
        .build(Cursor::new(contents))
        .map_err(|error| error.to_string())?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let rows = concat_batches(&text, &batches).map_err(|error| error.to_string())?;
    let typed = rows.schema_ref().fields().iter().zip(rows.columns()).map(|(field, column)| {
        let column = if as_text.contains(&field.name().as_str()) { Arc::clone(column) } else { typed(column) };
        (field.name().clone(), column, true)
    });
    RecordBatch::try_from_iter_with_nullable(typed.collect::<Vec<_>>()).map_err(|error| error.to_string())
}

/// The column in the narrowest type that every value fits.
fn typed(text: &ArrayRef) -> ArrayRef {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let values = text.as_string::<i32>();
    if values.null_count() == values.len() {
        return Arc::clone(text);
    }
    if let Ok(numbers) = cast_with_options(text, &DataType::Int64, &strict) {
        let same = cast(&numbers, &DataType::Utf8).is_ok_and(|again| again.as_string::<i32>() == values);
        return if same { numbers } else { Arc::clone(text) };
    }
    // Digits that begin with a zero are names, whatever else is in the column.
    let named = |value: &str| {
        let digits = value.strip_prefix('-').unwrap_or(value).as_bytes();
        !digits.first().is_some_and(u8::is_ascii_digit) || matches!(digits, [b'0', b'0'..=b'9', ..])
    };
    if !values.iter().flatten().any(named)
        && let Ok(numbers) = cast_with_options(text, &DataType::Float64, &strict)
    {
        return numbers;
    }
    if values.iter().flatten().all(|value| matches!(value, "true" | "false"))
        && let Ok(truths) = cast_with_options(text, &DataType::Boolean, &strict)
    {
        return truths;
    }
    Arc::clone(text)
}

/// The objects of a file of JSON lines. Empty lines are skipped.
fn lines(contents: &[u8]) -> Result<Vec<Value>, String> {
    let lines = contents.split(|byte| *byte == b'\n').zip(1..);
    let filled = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
    filled
        .map(|(line, number)| serde_json::from_slice(line).map_err(|error| format!("line {number}: {error}")))
        .collect()
}

fn json_rows(rows: Vec<Value>) -> Result<RecordBatch, String> {
    if let Some((row, number)) = rows.iter().zip(1..).find(|(row, _)| !row.is_object()) {
        let found: String = row.to_string().chars().take(40).collect();
        return Err(format!("row {number} is not an object: {found}"));
    }
    let schema = infer_json_schema_from_iterator(rows.iter().map(Ok)).map_err(|error| error.to_string())?;
    if schema.fields().is_empty() {
        return Err("it has no rows, so its columns are unknown".to_owned());
    }
    let schema = Arc::new(schema);
    let mut decoder = ReaderBuilder::new(Arc::clone(&schema))
        .with_batch_size(rows.len().max(1))
        .with_coerce_primitive(true)
        .build_decoder()
        .map_err(|error| error.to_string())?;
    decoder.serialize(&rows).map_err(|error| error.to_string())?;
    let batch = decoder.flush().map_err(|error| error.to_string())?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(schema)))
}

fn parquet_rows(contents: &[u8]) -> Result<RecordBatch, String> {
    let contents = bytes::Bytes::copy_from_slice(contents);
    let builder = ParquetRecordBatchReaderBuilder::try_new(contents).map_err(|error| error.to_string())?;
    let schema = Arc::clone(builder.schema());
    let reader = builder.build().map_err(|error| error.to_string())?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    concat_batches(&schema, &batches).map_err(|error| error.to_string())
}
