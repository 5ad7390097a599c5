//! Reads a range again and proves by its hash that it is the same.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::step::Range;

use super::feed::Feed;
use super::format::{FilePosition, Format};
use super::input::{Hashing, RawHash, read_failed};
use super::parquet;
use crate::decode::pieces::{Next, Piece, Reader};
use crate::decode::segment::TextPosition;

/// Rows and rejected lines of a range.
pub(crate) type Reread = (Vec<RecordBatch>, Vec<Rejected>);

/// Reads ranges again. Ranges mostly follow one another: the reader is kept where the last one ended, so
/// that a compressed file is not begun anew for each.
pub(crate) struct Rereader {
    feed: Feed,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    offset: u64,
    reader: Shared,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Reader>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

impl Rereader {
    pub(crate) fn new(feed: Feed) -> Self {
        Self { feed, kept: Mutex::new(None) }
    }

    /// The rows of `range`, decoded with `schema`. Blocks.
    ///
    /// # Errors
    /// When the range cannot be read, or its bytes have another hash.
    pub(crate) fn read(&self, range: &Range, schema: &SchemaRef) -> Result<Reread> {
        let (from, to) = (FilePosition::read(&range.from)?.text(), FilePosition::read(&range.to)?.text());
        if let Format::Parquet = self.feed.format {
            let (batch, hash) = parquet::reread(&self.feed.input, schema, from.offset, to.offset)?;
            return if hash == range.hash { Ok((vec![batch], Vec::new())) } else { Err(self.changed(range)) };
        }
        let raw = RawHash::default();
        let length = to.offset.saturating_sub(from.offset);
        let reader = self.reader_at(from.offset)?.take(length);
        let hashing = Hashing { inner: reader, raw: raw.clone() };
        let decoded = self.decode(Box::new(hashing), from, schema);
        if raw.digest() != (range.hash, length) {
            return Err(self.changed(range));
        }
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            kept.offset = to.offset;
        }
        decoded
    }

    /// A reader that stands at `offset`.
    fn reader_at(&self, offset: u64) -> Result<Shared> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut usable = match kept.take() {
            Some(kept) if kept.offset <= offset => kept,
            _ => {
                let opened = self.feed.input.open(offset, None)?;
                Kept { offset, reader: Shared(Arc::new(Mutex::new(opened.reader))) }
            }
        };
        let gap = offset - usable.offset;
        io::copy(&mut (&mut usable.reader).take(gap), &mut io::sink()).map_err(|error| self.failed(&error))?;
        let reader = usable.reader.clone();
        *kept = Some(usable);
        Ok(reader)
    }

    fn decode(&self, reader: Reader, from: TextPosition, schema: &SchemaRef) -> Result<Reread> {
        let mut pieces = self.feed.format.pieces(&self.feed.input, reader, from, self.feed.cut, false)?;
        let (mut batches, mut rejected) = (Vec::new(), Vec::new());
        while let Next::Piece(piece) = pieces.next().map_err(|error| self.failed(&error))? {
            let segments = match (piece, &self.feed.format) {
                (Piece::Rows(segment), _) => vec![segment],
                (Piece::Lines(chunk), Format::JsonLines(decoder)) => decoder.decode(&chunk, schema)?,
                (Piece::Lines(_), _) => return Err(Error::internal("lines of a format that has none")),
            };
            for segment in segments {
                if segment.batch.schema_ref() != schema {
                    return Err(Error::internal("a range that was read before widens its schema when read again"));
                }
                batches.push(segment.batch);
                rejected.extend(segment.rejected);
            }
        }
        Ok((vec![concat_batches(schema, &batches)?], rejected))
    }

    fn changed(&self, range: &Range) -> Error {
        let name = self.feed.input.name();
        Error::user(format!(
            "`{name}` has changed since it was read: {} to {} is not what it was",
            range.from, range.to
        ))
        .with_remedy("restore the file, go on with what it says now (`--accept-divergence`), or begin anew (`--fresh`)")
    }

    fn failed(&self, error: &io::Error) -> Error {
        read_failed(self.feed.input.name(), error)
    }
}
