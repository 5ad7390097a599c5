//! Batches and schemas as bytes: Arrow IPC streams of the rows themselves, without what they were cut from.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::{StreamDecoder, StreamReader};
use arrow::ipc::writer::StreamWriter;

use crate::checkpoint::compact::compact;
use crate::error::{Error, Result};

/// The first byte of an encoded batch: what follows is the IPC stream.
const PLAIN: u8 = 0;
/// The first byte of an encoded batch: what follows is the stream's length (u32, little endian) and the
/// stream compressed with zstd.
const COMPRESSED: u8 = 1;
/// Streams longer than this are compressed; below it, the head of an IPC stream is most of it.
const COMPRESS_ABOVE: usize = 4 * 1024;
/// The fastest level that still finds the repetitions that inventory is full of.
const LEVEL: i32 = 1;

/// One batch as bytes. Sliced batches write their rows only.
///
/// # Errors
/// When the batch holds what Arrow IPC cannot.
pub fn encode_batch(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut plain = vec![PLAIN];
    write_stream(&mut plain, batch)?;
    if plain.len() <= COMPRESS_ABOVE {
        return Ok(plain);
    }
    let stream = &plain[1..];
    let Ok(length) = u32::try_from(stream.len()) else {
        return Err(Error::internal("a batch of one step is longer than 4 GiB"));
    };
    let compressed = zstd::bulk::compress(stream, LEVEL)
        .map_err(|error| Error::internal(format!("a batch cannot be compressed: {error}")))?;
    if compressed.len() >= stream.len() {
        return Ok(plain);
    }
    let mut bytes = Vec::with_capacity(5 + compressed.len());
    bytes.push(COMPRESSED);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&compressed);
    Ok(bytes)
}

/// The batch that [`encode_batch`] has written.
///
/// # Errors
/// When the bytes are no batch.
pub fn decode_batch(bytes: &[u8]) -> Result<RecordBatch> {
    match bytes {
        [PLAIN, stream @ ..] => read_stream(stream.to_vec()),
        [COMPRESSED, a, b, c, d, compressed @ ..] => {
            let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            let stream = zstd::bulk::decompress(compressed, length)
                .map_err(|error| Error::internal(format!("a batch cannot be decompressed: {error}")))?;
            read_stream(stream)
        }
        _ => Err(Error::internal("what should be a batch is in no form that this program knows")),
    }
}

/// Appends one batch as an Arrow IPC stream.
pub(crate) fn write_stream(bytes: &mut Vec<u8>, batch: &RecordBatch) -> Result<()> {
    let batch = compact(batch)?;
    let mut writer = StreamWriter::try_new(bytes, batch.schema_ref())?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok(())
}

/// The batch of an Arrow IPC stream, sharing the memory of `stream`.
pub(crate) fn read_stream(stream: Vec<u8>) -> Result<RecordBatch> {
    let mut buffer = Buffer::from_vec(stream);
    let mut decoder = StreamDecoder::new();
    match decoder.decode(&mut buffer)? {
        Some(batch) => Ok(batch),
        None => Err(Error::internal("an encoded batch ends early")),
    }
}

/// A schema as bytes.
///
/// # Errors
/// When the schema holds what Arrow IPC cannot.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, schema)?.finish()?;
    Ok(bytes)
}

/// The schema that [`encode_schema`] has written.
///
/// # Errors
/// When the bytes are no schema.
pub fn decode_schema(bytes: &[u8]) -> Result<SchemaRef> {
    Ok(StreamReader::try_new(bytes, None)?.schema())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field};

    use super::*;

    fn numbers(count: i64) -> RecordBatch {
        let values = Arc::new(Int64Array::from_iter_values(0..count));
        let names = Arc::new(StringArray::from_iter_values((0..count).map(|n| format!("name {n}"))));
        RecordBatch::try_from_iter([("n", values as _), ("name", names as _)]).unwrap()
    }

    #[test]
    fn small_and_large_batches_come_back_as_they_were() {
        for count in [0, 1, 10_000] {
            let batch = numbers(count);
            assert_eq!(decode_batch(&encode_batch(&batch).unwrap()).unwrap(), batch, "{count} rows");
        }
        assert_eq!(encode_batch(&numbers(1)).unwrap()[0], PLAIN);
        assert_eq!(encode_batch(&numbers(10_000)).unwrap()[0], COMPRESSED);
    }

    #[test]
    fn a_sliced_batch_writes_its_rows_only() {
        let slice = numbers(100_000).slice(70_000, 2);
        let bytes = encode_batch(&slice).unwrap();
        assert!(bytes.len() < 2_000, "{} bytes", bytes.len());
        assert_eq!(decode_batch(&bytes).unwrap(), slice);
    }

    #[test]
    fn a_batch_without_columns_keeps_its_rows() {
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        assert_eq!(decode_batch(&encode_batch(&batch).unwrap()).unwrap().num_rows(), 3);
    }

    #[test]
    fn bytes_that_are_no_batch_are_an_error() {
        let mut bytes = encode_batch(&numbers(3)).unwrap();
        bytes.truncate(bytes.len() / 2);
        assert!(decode_batch(&bytes).is_err());
        assert!(decode_batch(&[]).is_err());
        assert!(decode_batch(&[9, 9]).is_err());
    }

    #[test]
    fn schemas_come_back_as_they_were() {
        let schema = Schema::new(vec![Field::new("a", DataType::Utf8, true), Field::new("b", DataType::Int64, false)]);
        assert_eq!(decode_schema(&encode_schema(&schema).unwrap()).unwrap().as_ref(), &schema);
    }
}
