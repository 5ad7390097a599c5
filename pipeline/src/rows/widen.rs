//! Types that others can be widened to, nested ones included, and the widening.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

/// A cast that fails where a value has no counterpart, instead of making it NULL.
pub(super) const EVERY_VALUE: CastOptions<'static> = CastOptions { safe: false, format_options: FormatOptions::new() };

/// The type that values of both types can be widened to: int → float → text; structs have the members of both, lists
/// items of the common type.
pub(super) fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Float32, Float64, Int64, LargeUtf8, List, Null, Struct, Utf8, Utf8View};
    let text = |t: &DataType| matches!(t, Utf8 | LargeUtf8 | Utf8View);
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (a, b) if a.is_integer() && b.is_integer() => Some(Int64),
        (a, b) if a.is_numeric() && b.is_numeric() => Some(Float64),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (a, b) if text(a) && (text(b) || b.is_primitive()) => Some(Utf8),
        (a, b) if text(b) && a.is_primitive() => Some(Utf8),
        (Struct(a), Struct(b)) => common_members(a, b).map(Struct),
        (List(a), List(b)) => {
            let item = common_type(a.data_type(), b.data_type())?;
            Some(List(Arc::new(Field::new(a.name(), item, a.is_nullable() || b.is_nullable()))))
        }
        _ => None,
    }
}

/// The members of both, those of `a` first. A member that only one has may be NULL.
fn common_members(a: &Fields, b: &Fields) -> Option<Fields> {
    let places: HashMap<&str, usize> = b.iter().enumerate().map(|(at, field)| (field.name().as_str(), at)).collect();
    let mut taken = vec![false; b.len()];
    let mut members: Vec<FieldRef> = Vec::with_capacity(a.len());
    for field in a {
        members.push(match places.get(field.name().as_str()) {
            None => Arc::new(field.as_ref().clone().with_nullable(true)),
            Some(at) => {
                taken[*at] = true;
                let nullable = field.is_nullable() || b[*at].is_nullable();
                Arc::new(Field::new(field.name(), common_type(field.data_type(), b[*at].data_type())?, nullable))
            }
        });
    }
    let only_in_b = b.iter().zip(&taken).filter(|(_, taken)| !**taken);
    members.extend(only_in_b.map(|(field, _)| Arc::new(field.as_ref().clone().with_nullable(true))));
    Some(members.into())
}

/// `rows` under `schema`, which has been widened from its own.
///
/// # Errors
/// When `schema` is not wider.
pub fn widen(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if let Some(lost) = rows.schema_ref().fields().iter().find(|field| schema.field_with_name(field.name()).is_err()) {
        return Err(ArrowError::SchemaError(format!("the wider schema lacks the column `{}`", lost.name())));
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => widen_column(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// `column` as `to`, a type that is at least as wide.
///
/// # Errors
/// When it is not.
pub(super) fn widen_column(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (column.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(column)),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let column = column.as_struct();
            let members = fields
                .iter()
                .map(|field| match column.column_by_name(field.name()) {
                    Some(member) => widen_column(member, field.data_type()),
                    None => Ok(new_null_array(field.data_type(), column.len())),
                })
                .collect::<Result<Vec<_>, _>>()?;
            let nulls = column.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), members, nulls, column.len())?))
        }
        (DataType::List(_), DataType::List(field)) => {
            let column = column.as_list::<i32>();
            let items = widen_column(column.values(), field.data_type())?;
            let (offsets, nulls) = (column.offsets().clone(), column.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, items, nulls)?))
        }
        // All that is left is between scalars, and nothing → something.
        (_, to) => cast_with_options(column, to, &EVERY_VALUE),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn members(of: &[(&str, DataType)]) -> DataType {
        DataType::Struct(of.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect())
    }

    #[test]
    fn structs_meet_in_the_members_of_both() {
        let webhook = members(&[("uuid", DataType::Utf8), ("endpoint", DataType::Utf8), ("n", DataType::Int64)]);
        let kafka = members(&[("uuid", DataType::Utf8), ("n", DataType::Float64), ("offset", DataType::Utf8)]);
        let both = members(&[
            ("uuid", DataType::Utf8),
            ("endpoint", DataType::Utf8),
            ("n", DataType::Float64),
            ("offset", DataType::Utf8),
        ]);
        assert_eq!(common_type(&webhook, &kafka), Some(both.clone()));
        let DataType::Struct(fields) = webhook else { panic!("a struct") };
        let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value])) };
        let column = StructArray::new(fields, vec![text("u"), text("/e"), Arc::new(Int64Array::from(vec![3]))], None);
        let column: ArrayRef = Arc::new(column);
        let wide = widen_column(&column, &both).unwrap();
        assert_eq!((wide.data_type(), wide.as_struct().column(3).null_count()), (&both, 1));
    }

    #[test]
    fn what_has_no_common_type_does_not_meet() {
        let text = members(&[("a", DataType::Utf8)]);
        assert_eq!(common_type(&text, &DataType::Utf8), None);
        assert_eq!(common_type(&text, &members(&[("a", members(&[]))])), None);
    }
}
