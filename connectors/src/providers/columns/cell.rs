//! The types of fields that become columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, TimeUnit};

/// The time zone of time columns. An offset, since a name would need a time zone database.
const UTC: &str = "+00:00";

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

impl Moment {
    /// The type of a column of moments.
    pub fn data_type() -> DataType {
        DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()))
    }

    /// A column of moments.
    pub fn array(moments: impl Iterator<Item = Option<Self>>) -> ArrayRef {
        let times: TimestampMillisecondArray = moments.map(|moment| moment.map(|moment| moment.0)).collect();
        Arc::new(times.with_timezone(UTC))
    }
}

/// The type of a field of a row struct, and so of a column. An `Option` makes the column nullable.
pub trait Cell: Sized + 'static {
    /// Whether the column may hold `NULL`.
    const NULLABLE: bool;
    /// The type of the column.
    fn data_type() -> DataType;
    /// The column.
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef;
}

impl Cell for String {
    const NULLABLE: bool = false;
    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(cells))
    }
}

impl Cell for Option<String> {
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(cells.map(Option::as_deref).collect::<StringArray>())
    }
}

impl Cell for i64 {
    const NULLABLE: bool = false;
    fn data_type() -> DataType {
        DataType::Int64
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(cells.copied()))
    }
}

impl Cell for Option<i64> {
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::Int64
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(cells.copied().collect::<Int64Array>())
    }
}

impl Cell for bool {
    const NULLABLE: bool = false;
    fn data_type() -> DataType {
        DataType::Boolean
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(cells.copied().map(Some).collect::<BooleanArray>())
    }
}

impl Cell for Option<bool> {
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        DataType::Boolean
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(cells.copied().collect::<BooleanArray>())
    }
}

impl Cell for Option<Moment> {
    const NULLABLE: bool = true;
    fn data_type() -> DataType {
        Moment::data_type()
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Moment::array(cells.copied())
    }
}
