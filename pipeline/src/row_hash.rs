//! A hash of rows that depends on their values and order alone, not on how Arrow happens to hold them.
//!
//! Sinks keep a [`RunningHash`] of what they have taken: a re-execution of the same steps must come to the same
//! one, else it is told. The encoding that is hashed is part of the storage format: per column its name, its
//! type, which rows are null, then the values of the others. Texts are one type however they are held
//! (views, dictionaries).

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, OffsetSizeTrait, RecordBatch};
use arrow::buffer::{BooleanBuffer, OffsetBuffer};
use arrow::compute::{cast, filter};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::error::Result;
use crate::step::StepNumber;

/// The hash (xxh3-128) of all rows that went by, with the steps that they came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RunningHash(u128);

impl RunningHash {
    /// Goes on with the rows of a step.
    ///
    /// # Errors
    /// When Arrow cannot bring a column to its plain form.
    pub fn add(&mut self, step: StepNumber, rows: &RecordBatch) -> Result<()> {
        let mut hasher = Xxh3::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(&step.0.to_le_bytes());
        write_rows(&mut hasher, rows)?;
        self.0 = hasher.digest128();
        Ok(())
    }
}

impl fmt::Display for RunningHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for RunningHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunningHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

fn write_rows(hasher: &mut Xxh3, rows: &RecordBatch) -> Result<()> {
    write_count(hasher, rows.num_rows());
    write_count(hasher, rows.num_columns());
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        write_bytes(hasher, field.name().as_bytes());
        write_column(hasher, column)?;
    }
    Ok(())
}

fn write_column(hasher: &mut Xxh3, column: &ArrayRef) -> Result<()> {
    if let Some(plain) = plain_type(column.data_type()) {
        return write_column(hasher, &cast(column, &plain)?);
    }
    let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
        hasher.update(&[0]);
        return write_values(hasher, column);
    };
    hasher.update(&[1]);
    write_bits(hasher, nulls.inner());
    // What lies under a null is anybody's guess.
    write_values(hasher, &filter(column, &BooleanArray::new(nulls.inner().clone(), None))?)
}

/// The type in which values are hashed, where it is another than that of the array.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => Some(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary => Some(DataType::Binary),
        DataType::Dictionary(_, values) => Some(values.as_ref().clone()),
        DataType::RunEndEncoded(_, values) => Some(values.data_type().clone()),
        _ => None,
    }
}

/// The type and the values of a column without nulls.
fn write_values(hasher: &mut Xxh3, column: &ArrayRef) -> Result<()> {
    match column.data_type() {
        DataType::Struct(fields) => {
            write_bytes(hasher, b"struct");
            write_count(hasher, fields.len());
            for (field, part) in fields.iter().zip(column.as_struct().columns()) {
                write_bytes(hasher, field.name().as_bytes());
                write_column(hasher, part)?;
            }
            Ok(())
        }
        DataType::List(_) => write_list(hasher, column.as_list::<i32>().offsets(), column.as_list::<i32>().values()),
        DataType::LargeList(_) => {
            write_list(hasher, column.as_list::<i64>().offsets(), column.as_list::<i64>().values())
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            write_list(hasher, map.offsets(), &entries)
        }
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            write_bytes(hasher, b"text");
            write_variable(hasher, texts.offsets(), texts.value_data());
            Ok(())
        }
        DataType::Binary => {
            let bytes = column.as_binary::<i32>();
            write_bytes(hasher, b"bytes");
            write_variable(hasher, bytes.offsets(), bytes.value_data());
            Ok(())
        }
        DataType::Boolean => {
            write_bytes(hasher, b"boolean");
            write_bits(hasher, column.as_boolean().values());
            Ok(())
        }
        other => {
            write_bytes(hasher, other.to_string().as_bytes());
            write_fixed(hasher, column)
        }
    }
}

/// Values of a fixed width as they lie in memory; any other type as text.
fn write_fixed(hasher: &mut Xxh3, column: &ArrayRef) -> Result<()> {
    let data = column.to_data();
    let width = match column.data_type() {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).ok(),
        other => other.primitive_width(),
    };
    match (width, data.buffers().first()) {
        (Some(width), Some(buffer)) => {
            let start = data.offset() * width;
            hasher.update(&buffer.as_slice()[start..start + data.len() * width]);
        }
        _ => {
            let formatter = ArrayFormatter::try_new(column, &FormatOptions::default())?;
            (0..column.len()).for_each(|row| write_bytes(hasher, formatter.value(row).to_string().as_bytes()));
        }
    }
    Ok(())
}

fn write_list<O: OffsetSizeTrait>(hasher: &mut Xxh3, offsets: &OffsetBuffer<O>, values: &ArrayRef) -> Result<()> {
    write_bytes(hasher, b"list");
    let (first, last) = write_lengths(hasher, offsets);
    write_column(hasher, &values.slice(first, last - first))
}

fn write_variable<O: OffsetSizeTrait>(hasher: &mut Xxh3, offsets: &OffsetBuffer<O>, values: &[u8]) {
    let (first, last) = write_lengths(hasher, offsets);
    hasher.update(&values[first..last]);
}

/// Where each value ends, counted from the first; gives back where they begin and end in the buffer.
fn write_lengths<O: OffsetSizeTrait>(hasher: &mut Xxh3, offsets: &OffsetBuffer<O>) -> (usize, usize) {
    let first = offsets.first().map_or(0, |offset| offset.as_usize());
    let ends: Vec<u8> = offsets.iter().flat_map(|offset| ((offset.as_usize() - first) as u64).to_le_bytes()).collect();
    hasher.update(&ends);
    (first, offsets.last().map_or(0, |offset| offset.as_usize()))
}

fn write_bits(hasher: &mut Xxh3, bits: &BooleanBuffer) {
    // Bits behind the last one are not ours.
    let packed: Vec<u8> = bits.bit_chunks().iter_padded().flat_map(u64::to_le_bytes).collect();
    hasher.update(&packed);
}

fn write_bytes(hasher: &mut Xxh3, bytes: &[u8]) {
    write_count(hasher, bytes.len());
    hasher.update(bytes);
}

fn write_count(hasher: &mut Xxh3, count: usize) {
    hasher.update(&(count as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        DictionaryArray, Int64Array, Int64Builder, ListBuilder, StringArray, StringViewArray, StructArray,
    };
    use arrow::buffer::{NullBuffer, ScalarBuffer};
    use arrow::datatypes::{Field, Int32Type};

    use super::*;

    fn hash(columns: Vec<ArrayRef>) -> RunningHash {
        let rows = RecordBatch::try_from_iter(columns.into_iter().map(|column| ("c", column))).unwrap();
        let mut hash = RunningHash::default();
        hash.add(StepNumber(1), &rows).unwrap();
        hash
    }

    fn texts(texts: &[Option<&str>]) -> ArrayRef {
        Arc::new(texts.iter().copied().collect::<StringArray>())
    }

    #[test]
    fn texts_hash_alike_however_arrow_holds_them() {
        let plain = [Some("a"), None, Some("a text of more than twelve bytes"), Some("a")];
        let view: ArrayRef = Arc::new(plain.iter().copied().collect::<StringViewArray>());
        let dictionary: ArrayRef = Arc::new(plain.iter().copied().collect::<DictionaryArray<Int32Type>>());
        assert_eq!(hash(vec![texts(&plain)]), hash(vec![view]));
        assert_eq!(hash(vec![texts(&plain)]), hash(vec![dictionary]));
    }

    #[test]
    fn a_slice_hashes_like_the_rows_that_it_shows() {
        let struct_of = |texts: ArrayRef| -> ArrayRef {
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("t", DataType::Utf8, true)), texts)]))
        };
        let mut lists = ListBuilder::new(Int64Builder::new());
        (0..9).for_each(|row| lists.append_value((0..row).map(Some)));
        let lists: ArrayRef = Arc::new(lists.finish());
        let booleans: ArrayRef =
            Arc::new((0..9).map(|row| (row != 5).then_some(row % 2 == 0)).collect::<BooleanArray>());
        let long = texts(&[Some("x"), Some("y"), None, Some("z"), Some("zz")]);
        let fresh = |array: &ArrayRef| -> ArrayRef {
            let pieces: Vec<ArrayRef> = (0..array.len()).map(|row| array.slice(row, 1)).collect();
            let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
            arrow::compute::concat(&pieces).unwrap()
        };
        for array in [lists, booleans, struct_of(Arc::clone(&long)), long] {
            let slice = array.slice(1, 3);
            assert_eq!(hash(vec![Arc::clone(&slice)]), hash(vec![fresh(&slice)]), "{slice:?}");
        }
    }

    #[test]
    fn what_lies_under_a_null_does_not_count() {
        let hidden = |under: i64| -> ArrayRef {
            Arc::new(Int64Array::new(
                ScalarBuffer::from(vec![1, under, 3]),
                Some(NullBuffer::from(vec![true, false, true])),
            ))
        };
        assert_eq!(hash(vec![hidden(2)]), hash(vec![hidden(-7)]));
    }

    #[test]
    fn another_value_order_name_type_or_step_is_another_hash() {
        let numbers = |numbers: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(numbers.to_vec())) };
        let base = hash(vec![numbers(&[1, 2])]);
        assert_ne!(base, hash(vec![numbers(&[2, 1])]));
        assert_ne!(base, hash(vec![cast(&numbers(&[1, 2]), &DataType::UInt64).unwrap()]));
        assert_ne!(hash(vec![texts(&[Some("ab"), Some("c")])]), hash(vec![texts(&[Some("a"), Some("bc")])]));
        assert_ne!(hash(vec![texts(&[Some("")])]), hash(vec![texts(&[None])]));
        let rows = RecordBatch::try_from_iter([("d", numbers(&[1, 2]))]).unwrap();
        let mut other = RunningHash::default();
        other.add(StepNumber(1), &rows).unwrap();
        assert_ne!(base, other);
        let mut later = RunningHash::default();
        later.add(StepNumber(2), &RecordBatch::try_from_iter([("c", numbers(&[1, 2]))]).unwrap()).unwrap();
        assert_ne!(base, later);
    }

    #[test]
    fn the_encoding_is_part_of_the_storage_format() {
        let sample = hash(vec![texts(&[Some("a"), None]), Arc::new(Int64Array::from(vec![7, 8]))]);
        insta::assert_snapshot!(sample, @"8b74615ce427c94f94e0f98464c5ee1f");
    }
}
