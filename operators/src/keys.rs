//! Keys of rows: the columns that identify a row, as 128 bits.
//!
//! Values are hashed in a canonical form that does not know the width of their type: `1` is the same key as
//! a 32-bit or 64-bit integer or as the float `1.0`, and text is the same in every text type, so that a key
//! survives the widening of a schema. Two different keys share a hash with a chance of about n² / 2¹²⁹: one
//! in 10²⁴ for ten million keys.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::row::{RowConverter, Rows, SortField};
use tidegate_pipeline::error::{Error, Result};
use xxhash_rust::xxh3::xxh3_128;

/// The key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key([u64; 2]);

impl Key {
    /// How many bytes it is stored in.
    pub(crate) const SIZE: i32 = 16;

    /// As stored.
    pub(crate) fn bytes(self) -> [u8; 16] {
        ((u128::from(self.0[1]) << 64) | u128::from(self.0[0])).to_le_bytes()
    }

    /// From how it is stored.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.try_into().map_err(|_| Error::internal("a stored key is not 16 bytes long"))?;
        Ok(Self::from(u128::from_le_bytes(bytes)))
    }

    /// The part of the key that a hash table looks at.
    pub(crate) fn hash(self) -> u64 {
        self.0[0]
    }
}

impl From<u128> for Key {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
    fn from(hash: u128) -> Self {
        Self([hash as u64, (hash >> 64) as u64])
    }
}

/// The keys of the rows of a batch.
pub(crate) struct Keys {
    /// One for each row.
    pub(crate) keys: Vec<Key>,
    /// Whether a part of the row's key is NULL; empty where no part of any is.
    pub(crate) nulls: Vec<bool>,
}

/// Whether values of this type can be a part of a key.
pub(crate) fn comparable(data_type: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(data_type.clone())])
}

/// The keys of rows whose key columns are `columns`, each `length` long.
///
/// # Errors
/// When a column has a type that cannot be compared.
pub(crate) fn keys(columns: &[ArrayRef], length: usize) -> Result<Keys> {
    let parts: Vec<Part> = columns.iter().map(Part::new).collect::<Result<_>>()?;
    let mut keys = Vec::with_capacity(length);
    let mut bytes = Vec::with_capacity(64);
    // Row by row, because a hash needs the parts of a row side by side.
    for row in 0..length {
        bytes.clear();
        for part in &parts {
            part.append(row, &mut bytes);
        }
        keys.push(Key::from(xxh3_128(&bytes)));
    }
    let mut nulls = Vec::new();
    for column in columns {
        let Some(valid) = column.logical_nulls() else { continue };
        nulls.resize(length, false);
        for (null, valid) in nulls.iter_mut().zip(valid.iter()) {
            *null |= !valid;
        }
    }
    Ok(Keys { keys, nulls })
}

/// A column, ready to be written value by value. Each value is a tag and bytes whose length the tag tells.
enum Part {
    Null,
    Bool(BooleanArray),
    Integer(Int64Array),
    Unsigned(UInt64Array),
    Float(Float64Array),
    /// A time, and how many nanoseconds its unit has.
    Time(Int64Array, i64),
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Other(ArrayRef, Box<Rows>),
}

impl Part {
    fn new(column: &ArrayRef) -> Result<Self> {
        Ok(match column.data_type() {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool(column.as_boolean().clone()),
            DataType::UInt64 => Self::Unsigned(column.as_primitive::<UInt64Type>().clone()),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::Float(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            integer if integer.is_integer() => {
                Self::Integer(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            time @ (DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) => {
                Self::Time(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), nanoseconds(time))
            }
            DataType::Utf8 => Self::Text(column.as_string::<i32>().clone()),
            DataType::LargeUtf8 => Self::LargeText(column.as_string::<i64>().clone()),
            DataType::Utf8View => Self::TextView(column.as_string_view().clone()),
            DataType::Dictionary(_, values) => return Self::new(&cast(column, values)?),
            other => {
                let converter = RowConverter::new(vec![SortField::new(other.clone())])
                    .map_err(|_| Error::user(format!("a key cannot be of type {other}")))?;
                Self::Other(column.clone(), Box::new(converter.convert_columns(std::slice::from_ref(column))?))
            }
        })
    }

    fn append(&self, row: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Null => bytes.push(0),
            Self::Bool(values) if values.is_valid(row) => bytes.extend([1, u8::from(values.value(row))]),
            Self::Integer(values) if values.is_valid(row) => append_integer(values.value(row), bytes),
            Self::Unsigned(values) if values.is_valid(row) => match i64::try_from(values.value(row)) {
                Ok(value) => append_integer(value, bytes),
                Err(_) => append_bytes(7, &values.value(row).to_le_bytes(), bytes),
            },
            Self::Float(values) if values.is_valid(row) => append_float(values.value(row), bytes),
            Self::Time(values, unit) if values.is_valid(row) => {
                bytes.push(4);
                bytes.extend((i128::from(values.value(row)) * i128::from(*unit)).to_le_bytes());
            }
            Self::Text(values) if values.is_valid(row) => append_bytes(5, values.value(row).as_bytes(), bytes),
            Self::LargeText(values) if values.is_valid(row) => append_bytes(5, values.value(row).as_bytes(), bytes),
            Self::TextView(values) if values.is_valid(row) => append_bytes(5, values.value(row).as_bytes(), bytes),
            Self::Other(values, rows) if values.is_valid(row) => append_bytes(6, rows.row(row).data(), bytes),
            _ => bytes.push(0),
        }
    }
}

/// How many nanoseconds the unit of a type of times has.
fn nanoseconds(time: &DataType) -> i64 {
    match time {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        // Date64 too counts milliseconds.
        _ => 1_000_000,
    }
}

fn append_integer(value: i64, bytes: &mut Vec<u8>) {
    bytes.push(2);
    bytes.extend(value.to_le_bytes());
}

/// A float that is a whole number is written as one, so that widening integers to floats changes no key.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "compared right after")]
fn append_float(value: f64, bytes: &mut Vec<u8>) {
    let whole = value as i64;
    if whole as f64 == value && whole != i64::MAX {
        return append_integer(whole, bytes);
    }
    bytes.push(3);
    let value = if value.is_nan() { f64::NAN } else { value };
    bytes.extend(value.to_le_bytes());
}

fn append_bytes(tag: u8, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(tag);
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(value);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int32Array;

    use super::*;

    fn of(columns: &[ArrayRef]) -> Vec<Key> {
        keys(columns, columns[0].len()).unwrap().keys
    }

    #[test]
    fn a_key_does_not_know_the_width_of_its_type() {
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(-3)]));
        let others: [ArrayRef; 2] = [
            Arc::new(Int32Array::from(vec![Some(1), None, Some(-3)])),
            Arc::new(Float64Array::from(vec![Some(1.0), None, Some(-3.0)])),
        ];
        for other in others {
            assert_eq!(of(&[Arc::clone(&wide)]), of(&[other]));
        }
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        assert_eq!(of(&[unsigned])[0], of(&[wide])[0]);
        let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let view: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
        assert_eq!(of(&[text]), of(&[view]));
    }

    #[test]
    fn times_are_equal_to_the_nanosecond_in_every_unit() {
        use arrow::array::{Date32Array, TimestampNanosecondArray, TimestampSecondArray};
        let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![86_400, i64::MAX]));
        let nanoseconds: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![86_400_000_000_000, 1, 2]));
        let days: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        assert_eq!(of(&[Arc::clone(&seconds)])[0], of(&[Arc::clone(&nanoseconds)])[0]);
        assert_eq!(of(&[Arc::clone(&seconds)])[0], of(&[days])[0]);
        let found = of(&[nanoseconds]);
        assert_ne!(found[1], found[2]);
        let null: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        assert_ne!(of(&[seconds])[1], of(&[null])[0], "a far time is not NULL");
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let found = of(&[text(["ab", "a"]), text(["c", "bc"])]);
        assert_ne!(found[0], found[1]);
        let null = |first: Option<&str>, second: Option<&str>| -> Key {
            of(&[Arc::new(StringArray::from(vec![first])), Arc::new(StringArray::from(vec![second]))])[0]
        };
        assert_ne!(null(None, Some("")), null(Some(""), None));
    }

    #[test]
    fn a_key_survives_being_stored() {
        let key = Key::from(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(Key::from_bytes(&key.bytes()).unwrap(), key);
        assert!(Key::from_bytes(&[1, 2]).is_err());
    }

    #[test]
    fn rows_with_a_null_in_their_key_are_marked() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
        assert_eq!(keys(&[column], 2).unwrap().nulls, [false, true]);
    }
}
