//! Decodes a chunk of lines to segments of rows.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use memchr::memchr;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use xxhash_rust::xxh3::xxh3_128;

use super::column::Column;
use super::explain::{self, Verdict};
use super::scan::{Cursor, Misfit};
use crate::decode::chunk::RawChunk;
use crate::decode::segment::{Limits, Segment, TextPosition, empty_batch};
use crate::decode::shape::Shape;

/// The mark that some editors put before the first line of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Decodes chunks of JSON lines.
#[derive(Debug, Clone)]
pub(crate) struct JsonLines {
    limits: Arc<Limits>,
}

/// The rows since the last widening.
struct Open {
    schema: SchemaRef,
    root: Column,
    rows: usize,
    rejected: Vec<Rejected>,
    /// Where in the chunk it begins.
    start: usize,
    from: TextPosition,
}

/// What one line turned out to be.
enum Line {
    Row,
    Blank,
}

impl JsonLines {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { limits }
    }

    /// The rows of `chunk`, decoded with `schema` until a row widens it. Segments have different schemas;
    /// all but the first begin with the row that widened the schema. There is always at least one.
    ///
    /// # Errors
    /// Only when this program is wrong, or `schema` has types that JSON cannot be decoded to.
    pub(crate) fn decode(&self, chunk: &RawChunk, schema: &SchemaRef) -> Result<Vec<Segment>> {
        if let Some(length) = chunk.too_long {
            return Ok(vec![self.too_long(chunk, length, schema)]);
        }
        // Texts are checked to be UTF-8 all at once when their column is finished. Only if that fails, each
        // line is checked by itself.
        match self.attempt(chunk, schema, false) {
            Err(_) => self.attempt(chunk, schema, true).map_err(Error::internal),
            Ok(segments) => Ok(segments),
        }
    }

    fn attempt(&self, chunk: &RawChunk, schema: &SchemaRef, check: bool) -> Result<Vec<Segment>, ArrowError> {
        let bytes = chunk.bytes.as_slice();
        let mut segments = Vec::new();
        let mut open = Open::new(Arc::clone(schema), rows_expected(bytes), 0, chunk.from)?;
        let (mut at, mut line) = (0, chunk.from.line);
        while at < bytes.len() {
            let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
            let text = self.without_mark(&bytes[at..end], chunk.from.offset + at as u64);
            if let Some(wider) = self.take(&mut open, text, line, check)? {
                let rest = rows_expected(&bytes[at..]);
                let here = TextPosition { offset: chunk.from.offset + at as u64, line };
                let next = Open::new(wider.schema(), rest, at, here)?;
                let before = std::mem::replace(&mut open, next);
                segments.extend(before.close(bytes, at, here)?);
                if let Some(wider) = self.take(&mut open, text, line, check)? {
                    let reason = format!("the line cannot be decoded as {}", wider.data_type());
                    open.rejected.push(Rejected::new(self.limits.naming.of(line), reason, text));
                }
            }
            at = end + 1;
            line += 1;
        }
        let end = TextPosition { offset: chunk.from.offset + bytes.len() as u64, line };
        segments.push(open.finish(bytes, bytes.len(), end)?);
        Ok(segments)
    }

    /// Takes one line; gives the shape that it needs where the schema is too narrow.
    fn take(&self, open: &mut Open, text: &[u8], line: u64, check: bool) -> Result<Option<Shape>, ArrowError> {
        let verdict = if text.len() > self.limits.max_line {
            Verdict::Reject(self.too_long_reason(text.len() as u64))
        } else if let Some(error) = check.then(|| std::str::from_utf8(text).err()).flatten() {
            Verdict::Reject(explain::not_utf8(&error))
        } else {
            match open.take(text) {
                Ok(Line::Row) => {
                    open.rows += 1;
                    return Ok(None);
                }
                Ok(Line::Blank) => return Ok(None),
                Err(misfit) => {
                    open.root.truncate(open.rows);
                    let shape = Shape::of_schema(&open.schema, &self.limits.fixed);
                    explain::judge(text, misfit, &shape, &self.limits)
                }
            }
        };
        match verdict {
            Verdict::Widen(shape) => Ok(Some(*shape)),
            Verdict::Reject(reason) => {
                open.rejected.push(Rejected::new(self.limits.naming.of(line), reason, text));
                Ok(None)
            }
        }
    }

    fn without_mark<'a>(&self, text: &'a [u8], offset: u64) -> &'a [u8] {
        if offset == 0 { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text }
    }

    fn too_long(&self, chunk: &RawChunk, length: u64, schema: &SchemaRef) -> Segment {
        let reason = self.too_long_reason(length);
        Segment {
            batch: empty_batch(schema),
            rejected: vec![Rejected::new(self.limits.naming.of(chunk.from.line), reason, &chunk.bytes)],
            from: chunk.from,
            to: chunk.to,
            hash: chunk.hash,
        }
    }

    fn too_long_reason(&self, length: u64) -> String {
        format!("the line is {length} bytes long; `max_line` is {}", self.limits.max_line)
    }
}

impl Open {
    fn new(schema: SchemaRef, rows: usize, start: usize, from: TextPosition) -> Result<Self, ArrowError> {
        // A very wide table gets no room in advance: most of it may stay empty.
        let rows = if schema.fields().len() > 256 { 0 } else { rows };
        let root = Column::new(&DataType::Struct(schema.fields().clone()), rows)?;
        Ok(Self { schema, root, rows: 0, rejected: Vec::new(), start, from })
    }

    fn take(&mut self, text: &[u8]) -> Result<Line, Misfit> {
        let mut cursor = Cursor::new(text);
        cursor.skip_space();
        match cursor.peek() {
            None => return Ok(Line::Blank),
            Some(b'{') => {}
            // Also keeps `null` from becoming a row of NULLs.
            Some(_) => return Err(Misfit::Unfit),
        }
        self.root.take(&mut cursor, self.rows)?;
        cursor.skip_space();
        if cursor.rest().is_empty() { Ok(Line::Row) } else { Err(Misfit::Unfit) }
    }

    /// The segment up to `end`; `None` where it is empty.
    fn close(self, bytes: &[u8], end: usize, to: TextPosition) -> Result<Option<Segment>, ArrowError> {
        if end == self.start { Ok(None) } else { self.finish(bytes, end, to).map(Some) }
    }

    fn finish(self, bytes: &[u8], end: usize, to: TextPosition) -> Result<Segment, ArrowError> {
        let hash = xxh3_128(&bytes[self.start..end]);
        let rows = self.root.finish(self.rows)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let columns = rows.as_struct().columns().to_vec();
        debug_assert!(rows.null_count() == 0);
        let batch = RecordBatch::try_new_with_options(self.schema, columns, &options)?;
        Ok(Segment { batch, rejected: self.rejected, from: self.from, to, hash })
    }
}

/// A guess at the number of lines, from the length of the first.
fn rows_expected(bytes: &[u8]) -> usize {
    let first = memchr(b'\n', bytes).unwrap_or(bytes.len());
    (bytes.len() / (first + 1) + 16).min(64 * 1024)
}
