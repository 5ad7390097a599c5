//! CSV → rows.

use std::io::{self, Read};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, SchemaRef};
use csv::ByteRecord;
use memchr::{memchr, memchr_iter};
use serde_json::{Map, Value};
use tidegate_pipeline::rows::Rejected;
use xxhash_rust::xxh3::xxh3_128;

use super::infer::SAMPLE;
use super::pieces::{Next, Piece, Pieces, Reader};
use super::segment::{Limits, Segment, TextPosition};
use super::shape::{timestamp_of_milliseconds, timestamp_of_text, timestamp_type};

/// A CSV file as planned.
#[derive(Debug, Clone)]
pub(crate) struct CsvFile {
    /// Between fields.
    pub(crate) delimiter: u8,
    /// Whether the first record names the columns.
    pub(crate) header: bool,
    /// The columns, in the order of the file.
    pub(crate) schema: SchemaRef,
    /// Limits and the name in positions.
    pub(crate) limits: Arc<Limits>,
}

/// The beginning of a CSV file.
pub(crate) struct CsvSample {
    /// The names of its columns.
    pub(crate) names: Vec<String>,
    /// Its first rows, fields as the values that they look like.
    pub(crate) rows: Vec<Map<String, Value>>,
}

/// Reads names and the first rows of `text`. Without a header columns are `column_1`, `column_2`, ….
///
/// # Errors
/// When the names cannot be used.
pub(crate) fn sample(text: &[u8], delimiter: u8, header: bool) -> Result<CsvSample, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut records = parser(delimiter, text).into_byte_records().map_while(Result::ok).take(SAMPLE + 1).peekable();
    let names: Vec<String> = match records.peek() {
        Some(first) if header => {
            first.iter().enumerate().map(|(at, name)| column_name(name, at)).collect::<Result<_, _>>()?
        }
        Some(first) => (1..=first.len()).map(|at| format!("column_{at}")).collect(),
        None => Vec::new(),
    };
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(format!("the header names the column `{name}` twice"));
        }
    }
    let rows = records.skip(usize::from(header)).filter(|record| record.len() == names.len());
    let row = |record: ByteRecord| -> Map<String, Value> {
        names.iter().zip(&record).map(|(name, field)| (name.clone(), Cell::of(field).value(field))).collect()
    };
    Ok(CsvSample { rows: rows.map(row).collect(), names: names.clone() })
}

fn column_name(name: &[u8], at: usize) -> Result<String, String> {
    match std::str::from_utf8(name) {
        Ok("") => Ok(format!("column_{}", at + 1)),
        Ok(name) => Ok(name.trim().to_owned()),
        Err(_) => Err(format!("the name of column {} is not valid UTF-8", at + 1)),
    }
}

fn parser<R: Read>(delimiter: u8, reader: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(reader)
}

/// What a field looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

impl Cell {
    /// An empty field is NULL. Digits that begin with a zero are a text: they name something.
    fn of(field: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(field) else { return Self::Text };
        match text {
            "" => return Self::Null,
            "true" | "True" | "TRUE" => return Self::Bool(true),
            "false" | "False" | "FALSE" => return Self::Bool(false),
            _ => {}
        }
        let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let padded = digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit();
        if padded || !digits.first().is_some_and(u8::is_ascii_digit) {
            return Self::Text;
        }
        match (text.parse(), text.parse::<f64>()) {
            (Ok(integer), _) => Self::Int(integer),
            (_, Ok(float)) if float.is_finite() => Self::Float(float),
            _ => Self::Text,
        }
    }

    fn value(self, field: &[u8]) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => value.into(),
            Self::Text => String::from_utf8_lossy(field).into_owned().into(),
        }
    }

    /// Whether a column of `data_type` takes it.
    fn fits(self, field: &[u8], data_type: &DataType) -> bool {
        match (data_type, self) {
            (_, Self::Null)
            | (DataType::Boolean, Self::Bool(_))
            | (DataType::Int64, Self::Int(_))
            | (DataType::Float64, Self::Int(_) | Self::Float(_))
            | (DataType::Utf8, _) => true,
            (DataType::Timestamp(..), cell) => cell.timestamp(field).is_some(),
            _ => false,
        }
    }

    fn timestamp(self, field: &[u8]) -> Option<i64> {
        match self {
            Self::Int(milliseconds) => timestamp_of_milliseconds(milliseconds),
            Self::Text => std::str::from_utf8(field).ok().and_then(timestamp_of_text),
            _ => None,
        }
    }
}

/// A CSV file in pieces of about the same size.
pub(crate) struct CsvPieces {
    file: Arc<CsvFile>,
    reader: Reader,
    size: usize,
    growing: bool,
    buffer: Vec<u8>,
    at: TextPosition,
}

/// What was found in the buffer.
struct Parsed {
    builders: Builders,
    rejected: Vec<Rejected>,
    /// Bytes and lines of whole records.
    end: usize,
    line: u64,
    /// The next record is longer than a line may be.
    too_long: bool,
}

impl CsvPieces {
    pub(crate) fn new(file: Arc<CsvFile>, reader: Reader, at: TextPosition, size: usize, growing: bool) -> Self {
        Self { file, reader, size, growing, buffer: Vec::new(), at }
    }

    /// The whole records that the buffer holds. `last` says that nothing follows it.
    fn parse(&self, last: bool) -> io::Result<Parsed> {
        let mut parsed = Parsed {
            builders: Builders::new(&self.file.schema),
            rejected: Vec::new(),
            end: 0,
            line: self.at.line,
            too_long: false,
        };
        // A byte after the end shows whether the last record ended before it.
        let sentinel: &[u8] = if last { b"" } else { b"x" };
        let mut records = parser(self.file.delimiter, self.buffer.as_slice().chain(sentinel));
        let mut record = ByteRecord::new();
        while records.read_byte_record(&mut record).map_err(io::Error::other)? {
            let end = usize::try_from(records.position().byte()).unwrap_or(usize::MAX);
            let start = parsed.end + blank(&self.buffer[parsed.end..]);
            if end.saturating_sub(start) > self.file.limits.max_line + 2 {
                parsed.too_long = true;
                break;
            }
            if end > self.buffer.len() {
                break;
            }
            let before = parsed.line + lines(&self.buffer[parsed.end..start]);
            let header = self.file.header && self.at.offset == 0 && start == blank(&self.buffer);
            if !header {
                self.take(&record, start..end, before, &mut parsed);
            }
            let end = end + usize::from(self.buffer[..end].ends_with(b"\r") && self.buffer[end..].starts_with(b"\n"));
            parsed.line = before + lines(&self.buffer[start..end]);
            parsed.end = end;
        }
        if parsed.end < self.buffer.len() && self.buffer.len() - parsed.end > self.file.limits.max_line + 2 {
            parsed.too_long = true;
        }
        Ok(parsed)
    }

    fn take(&self, record: &ByteRecord, bytes: std::ops::Range<usize>, line: u64, parsed: &mut Parsed) {
        if let Err(reason) = parsed.builders.take(record, &self.file.schema) {
            let position = self.file.limits.naming.of(line);
            let raw = self.buffer[bytes].trim_ascii_end();
            parsed.rejected.push(Rejected::new(position, reason, raw));
        }
    }

    fn segment(&mut self, parsed: Parsed) -> io::Result<Segment> {
        let mut rejected = parsed.rejected;
        let (mut end, mut line) = (parsed.end, parsed.line);
        if parsed.too_long {
            // A quote that is never closed would swallow the rest of the file: only its line is given up.
            let rest = &self.buffer[end..];
            let start = blank(rest);
            let length = memchr(b'\n', &rest[start..]).map_or(rest.len(), |length| start + length + 1);
            let max = self.file.limits.max_line;
            let reason = format!("the record is longer than {max} bytes (`max_line`); is a quote never closed?");
            let position = self.file.limits.naming.of(line + lines(&rest[..start]));
            rejected.push(Rejected::new(position, reason, rest[start..length].trim_ascii_end()));
            line += lines(&rest[..length]);
            end += length;
        }
        let hash = xxh3_128(&self.buffer[..end]);
        self.buffer.drain(..end);
        let from = self.at;
        self.at = TextPosition { offset: from.offset + end as u64, line };
        let batch = parsed.builders.finish(&self.file.schema).map_err(io::Error::other)?;
        Ok(Segment { batch, rejected, from, to: self.at, hash })
    }
}

impl Pieces for CsvPieces {
    fn next(&mut self) -> io::Result<Next> {
        loop {
            let want = (self.size - self.buffer.len() % self.size) as u64;
            let ended = ((&mut self.reader).take(want).read_to_end(&mut self.buffer)? as u64) < want;
            let last = ended && !self.growing;
            if self.buffer.is_empty() && ended {
                return Ok(if self.growing { Next::Idle } else { Next::End });
            }
            let mut parsed = self.parse(last)?;
            if last && !parsed.too_long {
                parsed.end = self.buffer.len();
            }
            if parsed.end > 0 || parsed.too_long {
                return self.segment(parsed).map(|segment| Next::Piece(Piece::Rows(segment)));
            }
            if ended {
                return Ok(Next::Idle);
            }
        }
    }

    fn position(&self) -> TextPosition {
        self.at
    }

    fn stop_growing(&mut self) {
        self.growing = false;
    }
}

/// The length of the line ends that `text` begins with.
fn blank(text: &[u8]) -> usize {
    text.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(text.len())
}

fn lines(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

/// The columns under construction.
struct Builders {
    columns: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Builders {
    fn new(schema: &SchemaRef) -> Self {
        let builder = |data_type: &DataType| match data_type {
            DataType::Boolean => Builder::Bool(BooleanBuilder::new()),
            DataType::Int64 => Builder::Int(Int64Builder::new()),
            DataType::Float64 => Builder::Float(Float64Builder::new()),
            DataType::Timestamp(..) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(timestamp_type()))
            }
            _ => Builder::Text(StringBuilder::new()),
        };
        Self { columns: schema.fields().iter().map(|field| builder(field.data_type())).collect(), rows: 0 }
    }

    /// Takes a record whole, or says why not.
    fn take(&mut self, record: &ByteRecord, schema: &SchemaRef) -> Result<(), String> {
        let columns = schema.fields().len();
        if record.len() != columns {
            return Err(format!("the row has {} fields; the file has {columns} columns", record.len()));
        }
        for (field, column) in record.iter().zip(schema.fields()) {
            let name = column.name();
            let text = std::str::from_utf8(field).map_err(|_| format!("column `{name}` is not valid UTF-8"))?;
            if !Cell::of(field).fits(field, column.data_type()) {
                return Err(format!("column `{name}` is {}; this row has the text {text:?}", column.data_type()));
            }
        }
        for (field, builder) in record.iter().zip(&mut self.columns) {
            builder.append(field);
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(self, schema: &SchemaRef) -> Result<RecordBatch, arrow::error::ArrowError> {
        let columns = self.columns.into_iter().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
    }
}

impl Builder {
    /// Appends a field that fits.
    fn append(&mut self, field: &[u8]) {
        match (self, Cell::of(field)) {
            (Self::Bool(builder), cell) => {
                builder.append_option(if let Cell::Bool(value) = cell { Some(value) } else { None })
            }
            (Self::Int(builder), cell) => {
                builder.append_option(if let Cell::Int(value) = cell { Some(value) } else { None })
            }
            (Self::Float(builder), Cell::Int(value)) => builder.append_value(value as f64),
            (Self::Float(builder), cell) => {
                builder.append_option(if let Cell::Float(value) = cell { Some(value) } else { None })
            }
            (Self::Timestamp(builder), cell) => builder.append_option(cell.timestamp(field)),
            (Self::Text(builder), Cell::Null) => builder.append_null(),
            (Self::Text(builder), _) => builder.append_option(std::str::from_utf8(field).ok()),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Int(mut builder) => Arc::new(builder.finish()),
            Self::Float(mut builder) => Arc::new(builder.finish()),
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Timestamp(mut builder) => Arc::new(builder.finish()),
        }
    }
}
