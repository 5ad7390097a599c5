//! Reads Parquet files.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::errors::ParquetError;
use tidegate_pipeline::error::{Error, Result};

use super::input::{Input, RawHash, open_file};
use crate::decode::pieces::{Next, Piece, Pieces};
use crate::decode::segment::{Segment, TextPosition};

const BATCH: usize = 8192;

/// The rows of a Parquet file in batches.
pub(crate) struct ParquetPieces {
    reader: ParquetRecordBatchReader,
    row: u64,
}

impl ParquetPieces {
    /// The rows from `row` on, at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read or is not Parquet.
    pub(crate) fn open(input: &Input, row: u64, limit: Option<u64>) -> Result<Self> {
        let builder = builder(input)?.with_batch_size(BATCH).with_offset(usize::try_from(row).unwrap_or(usize::MAX));
        let builder = match limit {
            Some(limit) => builder.with_limit(usize::try_from(limit).unwrap_or(usize::MAX)),
            None => builder,
        };
        let reader = builder.build().map_err(|error| not_parquet(input, &error))?;
        Ok(Self { reader, row })
    }
}

impl Pieces for ParquetPieces {
    fn next(&mut self) -> io::Result<Next> {
        let Some(batch) = self.reader.next() else { return Ok(Next::End) };
        let batch = batch.map_err(io::Error::other)?;
        let from = TextPosition { offset: self.row, line: 0 };
        self.row += batch.num_rows() as u64;
        let to = TextPosition { offset: self.row, line: 0 };
        let hash = hash(&batch).map_err(io::Error::other)?;
        Ok(Next::Piece(Piece::Rows(Segment { batch, rejected: Vec::new(), from, to, hash })))
    }

    fn position(&self) -> TextPosition {
        TextPosition { offset: self.row, line: 0 }
    }

    fn stop_growing(&mut self) {}
}

/// The columns of a Parquet file.
///
/// # Errors
/// When the file cannot be read or is not Parquet.
pub(crate) fn schema(input: &Input) -> Result<SchemaRef> {
    Ok(Arc::clone(builder(input)?.schema()))
}

/// The rows `from..to` again, with the hash that [`ParquetPieces`] gave them.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn reread(input: &Input, schema: &SchemaRef, from: u64, to: u64) -> Result<(RecordBatch, u128)> {
    let pieces = ParquetPieces::open(input, from, Some(to.saturating_sub(from)))?;
    let batches = pieces.reader.collect::<Result<Vec<_>, _>>()?;
    let batch = concat_batches(schema, &batches)?;
    let hash = hash(&batch)?;
    Ok((batch, hash))
}

fn builder(input: &Input) -> Result<ParquetRecordBatchReaderBuilder<std::fs::File>> {
    let Input::File { path, name, .. } = input else {
        return Err(Error::internal("Parquet is read from files only"));
    };
    let file = open_file(path, name)?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| not_parquet(input, &error))
}

fn not_parquet(input: &Input, error: &ParquetError) -> Error {
    Error::user(format!("`{}` cannot be read as Parquet: {error}", input.name()))
        .with_remedy("check the file, or set `format`")
}

/// The raw bytes of a row range of Parquet lie all over the file; its rows in Arrow's own encoding do not.
fn hash(batch: &RecordBatch) -> Result<u128, arrow::error::ArrowError> {
    let mut writer = StreamWriter::try_new(HashWriter(RawHash::default()), batch.schema_ref())?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.get_ref().0.digest().0)
}

struct HashWriter(RawHash);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
