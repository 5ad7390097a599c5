//! Paths into rows: `payload.alerts.0.labels`, members by name and items of lists by number.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericListArray, OffsetSizeTrait, RecordBatch, UInt64Array,
};
use arrow::compute::{nullif, take};
use arrow::datatypes::{DataType, Schema};
use tidegate_pipeline::error::Result;

/// A path.
#[derive(Debug, Clone)]
pub(crate) struct MemberPath {
    text: String,
    parts: Vec<String>,
}

impl MemberPath {
    /// The path that `text` writes; an empty `separator` makes all of it one name.
    pub(crate) fn new(text: &str, separator: &str) -> Self {
        let parts: Vec<String> = match separator.is_empty() {
            true => vec![text.to_owned()],
            false => text.split(separator).map(str::to_owned).collect(),
        };
        Self { text: text.to_owned(), parts }
    }

    /// As written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The type of what it leads to; `None` where it leads nowhere.
    pub(crate) fn data_type(&self, schema: &Schema) -> Option<DataType> {
        let (first, rest) = self.parts.split_first()?;
        let mut data_type = schema.field_with_name(first).ok()?.data_type().clone();
        for part in rest {
            data_type = match &data_type {
                DataType::Struct(members) => members.find(part)?.1.data_type().clone(),
                DataType::List(item) | DataType::LargeList(item) if part.parse::<u32>().is_ok() => {
                    item.data_type().clone()
                }
                _ => return None,
            };
        }
        Some(data_type)
    }

    /// What it leads to in each row, NULL where a part of the path is; `None` where it leads nowhere in any row.
    pub(crate) fn find(&self, rows: &RecordBatch) -> Result<Option<ArrayRef>> {
        let Some((first, rest)) = self.parts.split_first() else { return Ok(None) };
        let Some(column) = rows.column_by_name(first) else { return Ok(None) };
        let mut values = ArrayRef::clone(column);
        for part in rest {
            let next = match values.data_type() {
                DataType::Struct(_) => member(&values, part)?,
                DataType::List(_) => item(values.as_list::<i32>(), part)?,
                DataType::LargeList(_) => item(values.as_list::<i64>(), part)?,
                _ => None,
            };
            let Some(next) = next else { return Ok(None) };
            values = next;
        }
        Ok(Some(values))
    }
}

/// A member of objects, NULL where the object is.
fn member(objects: &ArrayRef, name: &str) -> Result<Option<ArrayRef>> {
    let objects = objects.as_struct();
    let Some(values) = objects.column_by_name(name) else { return Ok(None) };
    Ok(Some(match objects.nulls() {
        None => ArrayRef::clone(values),
        Some(nulls) => nullif(values, &BooleanArray::new(!nulls.inner(), None))?,
    }))
}

/// An item of lists, NULL where the list is shorter.
fn item<O: OffsetSizeTrait>(lists: &GenericListArray<O>, number: &str) -> Result<Option<ArrayRef>> {
    let Ok(number) = number.parse::<u32>() else { return Ok(None) };
    let place = |row: usize| {
        let (start, end) = (lists.value_offsets()[row].as_usize(), lists.value_offsets()[row + 1].as_usize());
        let place = start + number as usize;
        (lists.is_valid(row) && place < end).then_some(place as u64)
    };
    let places: UInt64Array = (0..lists.len()).map(place).collect();
    Ok(Some(take(lists.values(), &places, None)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rows;

    #[test]
    fn a_path_goes_through_objects_and_lists() {
        let rows = rows(&[r#"{"a":{"b":[{"c":1},{"c":2}]}}"#, r#"{"a":{"b":[{"c":3}]}}"#, r#"{"x":1}"#]);
        let found = |text: &str| {
            let path = MemberPath::new(text, ".");
            let found = path.find(&rows).unwrap();
            assert_eq!(found.as_ref().map(|found| found.data_type().clone()), path.data_type(rows.schema_ref()));
            found.map(|found| (0..found.len()).map(|row| found.is_valid(row)).collect::<Vec<_>>())
        };
        assert_eq!(found("a.b.1.c"), Some(vec![true, false, false]));
        assert_eq!(found("a.b.0.c"), Some(vec![true, true, false]));
        assert_eq!(found("x"), Some(vec![false, false, true]));
        assert_eq!((found("a.c"), found("a.b.c"), found("x.y"), found("")), (None, None, None, None));
    }
}
