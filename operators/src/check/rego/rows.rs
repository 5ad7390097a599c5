//! Rows → values of Rego. This is the slow way of looking at rows: each field becomes a value of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use regorus::Value;
use tidegate_pipeline::error::{Error, Result};

/// How many bytes a field takes at most besides its text, as far as that can be known: what it is reckoned with before rows
/// are made.
const FIELD_BYTES: usize = 160;

/// How much memory the rows of a batch take as values, roughly.
pub(super) fn bytes_as_values(batch: &RecordBatch) -> usize {
    let fields = batch.columns().iter().map(fields).sum::<usize>();
    batch.get_array_memory_size().saturating_add(fields.saturating_mul(FIELD_BYTES))
}

/// How many values a column becomes.
fn fields(column: &ArrayRef) -> usize {
    let inner = match column.data_type() {
        DataType::List(_) => fields(column.as_list::<i32>().values()),
        DataType::LargeList(_) => fields(column.as_list::<i64>().values()),
        DataType::Map(..) => column.as_map().entries().columns().iter().map(fields).sum(),
        DataType::Struct(_) => column.as_struct().columns().iter().map(fields).sum(),
        _ => 0,
    };
    inner + column.len()
}

/// Appends each row as an object. A NULL is no field: what is not known is `undefined` to a policy, as it is neither true nor
/// false to SQL. In lists a NULL stays `null`, so that the others keep their places.
///
/// # Errors
/// When a column cannot be written as text, where its type has no other form.
pub(super) fn append(batch: &RecordBatch, rows: &mut Vec<Value>) -> Result<()> {
    let schema = batch.schema();
    let names = schema.fields().iter().map(|field| Value::from(field.name().as_str()));
    let columns: Vec<(Value, Column)> = names
        .zip(batch.columns().iter().map(Column::of))
        .map(|(name, column)| Ok((name, column?)))
        .collect::<Result<_>>()?;
    rows.reserve(batch.num_rows());
    // A loop over rows: a policy knows no columns.
    rows.extend((0..batch.num_rows()).map(|row| object(&columns, row)));
    Ok(())
}

fn object(columns: &[(Value, Column)], row: usize) -> Value {
    let known = columns.iter().filter_map(|(name, column)| Some((name.clone(), column.value(row)?)));
    Value::from(known.collect::<BTreeMap<Value, Value>>())
}

/// A column, ready to give single values.
enum Column {
    Truth(arrow::array::BooleanArray),
    Whole(arrow::array::Int64Array),
    Unsigned(arrow::array::UInt64Array),
    Number(arrow::array::Float64Array),
    Text(arrow::array::StringArray),
    /// Rows of the inner column from an offset to the next.
    List(ArrayRef, Box<Column>),
    Map(arrow::array::MapArray, Box<Column>, Box<Column>),
    Object(arrow::array::StructArray, Vec<(Value, Column)>),
}

impl Column {
    fn of(array: &ArrayRef) -> Result<Self> {
        let to = |data_type: &DataType| cast(array, data_type);
        Ok(match array.data_type() {
            DataType::Boolean => Self::Truth(array.as_boolean().clone()),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Self::Whole(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
                Self::Unsigned(to(&DataType::UInt64)?.as_primitive::<UInt64Type>().clone())
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::Number(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Timestamp(unit, _) => Self::moments(array, *unit)?,
            DataType::Dictionary(_, inner) => Self::of(&to(inner)?)?,
            DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) => {
                Self::of(&to(&DataType::List(Arc::clone(field)))?)?
            }
            DataType::List(_) => Self::List(Arc::clone(array), Box::new(Self::of(array.as_list::<i32>().values())?)),
            DataType::Map(..) => {
                let map = array.as_map();
                let (keys, values) = (Self::of(&to_text(map.keys())?)?, Self::of(map.values())?);
                Self::Map(map.clone(), Box::new(keys), Box::new(values))
            }
            DataType::Struct(fields) => {
                let object = array.as_struct();
                let names = fields.iter().map(|field| Value::from(field.name().as_str()));
                let columns = names.zip(object.columns().iter().map(Self::of));
                let columns = columns.map(|(name, column)| Ok((name, column?))).collect::<Result<_>>()?;
                Self::Object(object.clone(), columns)
            }
            _ => Self::Text(to_text(array)?.as_string::<i32>().clone()),
        })
    }

    /// Moments as RFC 3339 writes them, in UTC and with all digits that there are.
    fn moments(array: &ArrayRef, unit: TimeUnit) -> Result<Self> {
        let utc = cast(array, &DataType::Timestamp(unit, Some("UTC".into())))?;
        Ok(Self::Text(to_text(&utc)?.as_string::<i32>().clone()))
    }

    /// The value of a row; `None` where there is none.
    fn value(&self, row: usize) -> Option<Value> {
        match self {
            Self::Truth(array) => array.is_valid(row).then(|| Value::from(array.value(row))),
            Self::Whole(array) => array.is_valid(row).then(|| Value::from(array.value(row))),
            Self::Unsigned(array) => array.is_valid(row).then(|| Value::from(array.value(row))),
            // Rego, as JSON, has no number for what is none.
            Self::Number(array) => {
                (array.is_valid(row) && array.value(row).is_finite()).then(|| Value::from(array.value(row)))
            }
            Self::Text(array) => array.is_valid(row).then(|| Value::from(array.value(row))),
            Self::List(array, inner) => array.is_valid(row).then(|| {
                let offsets = array.as_list::<i32>().value_offsets();
                Value::from(range(offsets, row).map(|at| inner.value(at).unwrap_or(Value::Null)).collect::<Vec<_>>())
            }),
            Self::Map(array, keys, values) => array.is_valid(row).then(|| {
                let known =
                    range(array.value_offsets(), row).filter_map(|at| Some((keys.value(at)?, values.value(at)?)));
                Value::from(known.collect::<BTreeMap<Value, Value>>())
            }),
            Self::Object(array, columns) => array.is_valid(row).then(|| object(columns, row)),
        }
    }
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| offsets.get(row).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or_default();
    at(row)..at(row + 1)
}

fn to_text(array: &ArrayRef) -> Result<ArrayRef> {
    let text = cast(array, &DataType::Utf8);
    text.map_err(|error| {
        Error::user(format!("a column of the type {} cannot be given to Rego: {error}", array.data_type()))
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray, StringDictionaryBuilder,
        TimestampMillisecondArray, UInt64Array,
    };
    use arrow::datatypes::{Field, Int32Type, Schema};

    use super::*;

    fn said(columns: Vec<(&str, ArrayRef)>) -> Vec<String> {
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let mut rows = Vec::new();
        append(&batch, &mut rows).unwrap();
        rows.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_keep_every_digit_and_what_is_null_is_no_field() {
        let rows = said(vec![
            ("i", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
            ("u", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
            ("f", Arc::new(Float64Array::from(vec![0.1, f64::NAN]))),
        ]);
        assert_eq!(rows, [format!(r#"{{"f":0.1,"i":{},"u":{}}}"#, i64::MIN, u64::MAX), "{}".to_owned()]);
    }

    #[test]
    fn moments_are_rfc_3339_in_utc_whether_they_name_a_zone_or_not() {
        let moments = TimestampMillisecondArray::from(vec![1_767_225_600_001]);
        let rows = said(vec![
            ("a", Arc::new(moments.clone().with_timezone("UTC"))),
            ("b", Arc::new(moments)),
            ("c", Arc::new(TimestampMillisecondArray::from(vec![0]).with_timezone("+02:00"))),
            ("d", Arc::new(Date32Array::from(vec![1]))),
        ]);
        let expected = r#"{"a":"2026-01-01T00:00:00.001Z","b":"2026-01-01T00:00:00.001Z","c":"1970-01-01T00:00:00Z","d":"1970-01-02"}"#;
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn lists_and_dictionaries_are_what_they_hold() {
        let list = ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some(vec![Some(1), None])]);
        let mut words = StringDictionaryBuilder::<Int32Type>::new();
        words.append_value("a");
        let price = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap();
        let rows = said(vec![("l", Arc::new(list)), ("w", Arc::new(words.finish())), ("p", Arc::new(price))]);
        assert_eq!(rows, [r#"{"l":[1,null],"p":"1.50","w":"a"}"#]);
    }
}
