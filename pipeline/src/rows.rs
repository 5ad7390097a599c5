//! Rows on their way: what an edge carries for one step.

mod dead_letter;
mod widen;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast_with_options;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub(crate) use self::dead_letter::dead_letter_rows;
pub use self::dead_letter::{DEAD_LETTER, dead_letter_schema};
pub use self::widen::widen;
use self::widen::{EVERY_VALUE, common_type, widen_column};
use crate::error::Result;

/// The index of a port among the ports that a node declared. Its errors come after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortIndex(pub usize);

/// A port of a node: a named stream of rows that leaves it.
#[derive(Debug, Clone)]
pub struct Port {
    /// The name as `from: node.PORT` writes it. The only data port of most nodes is `out`.
    pub name: Arc<str>,
    /// The columns, as far as they are known before running.
    pub schema: SchemaRef,
    /// Whether rows may bring columns that the schema does not name (an unknown column is then NULL and a
    /// warning instead of an error).
    pub open: bool,
}

/// The name of the port of a node that has a single one.
pub const OUT: &str = "out";
/// The name of the port that every node has: rows that it could not handle.
pub const ERRORS: &str = "errors";
/// The longest piece of raw input kept with a rejected row, in bytes.
pub const MAX_RAW: usize = 64 * 1024;

impl Port {
    /// The single data port of a node.
    pub fn out(schema: SchemaRef) -> Self {
        Self { name: OUT.into(), schema, open: false }
    }

    /// A named port.
    pub fn named(name: impl Into<Arc<str>>, schema: SchemaRef) -> Self {
        Self { name: name.into(), schema, open: false }
    }
}

/// A row (or a piece of input that never became one) that a node could not handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Where it was read: `events.jsonl:17`, `topic:0:512`; empty where there is no such place.
    pub position: String,
    /// Why, in one sentence.
    pub reason: String,
    /// The input itself, cut to [`MAX_RAW`] bytes; invalid UTF-8 is replaced.
    pub raw: String,
}

impl Rejected {
    /// A rejected piece of input; `raw` is cut to [`MAX_RAW`] bytes.
    pub fn new(position: impl Into<String>, reason: impl Into<String>, raw: &[u8]) -> Self {
        let raw = String::from_utf8_lossy(&raw[..raw.len().min(MAX_RAW)]).into_owned();
        Self { position: position.into(), reason: reason.into(), raw }
    }
}

/// The columns of every `errors` port.
pub fn errors_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("node", DataType::Utf8, false),
        Field::new("step", DataType::UInt64, false),
        Field::new("row", DataType::UInt64, false),
        Field::new("position", DataType::Utf8, true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("raw", DataType::Utf8, true),
    ]))
}

/// Brings `batch` to `schema` by column name: missing columns are NULL, other types are cast, columns
/// that `schema` does not name are dropped. Cheap where nothing is to be done.
///
/// # Errors
/// When a value of a column has no counterpart in the wanted type.
pub fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let places = places(batch.schema_ref());
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match places.get(field.name().as_str()).map(|place| batch.column(*place)) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast_with_options(column, field.data_type(), &EVERY_VALUE),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<_, _>>()?;
    assembled(schema, columns, batch.num_rows())
}

/// Brings `batch` to `schema` by column name without losing anything: missing columns are NULL, narrower types are
/// widened; a column that has become wider than `schema` says keeps its own type, and columns that `schema` does
/// not name follow the others. A source that widens its schema while it runs brings such rows.
///
/// # Errors
/// Only for failures of the engine itself.
pub fn adapt_and_keep(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let (there, known) = (places(batch.schema_ref()), places(schema));
    let mut fields: Vec<Arc<Field>> = Vec::with_capacity(schema.fields().len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match there.get(field.name().as_str()).map(|place| batch.column(*place)) {
            None => new_null_array(field.data_type(), batch.num_rows()),
            Some(column) => widened(column, field.data_type()).unwrap_or_else(|| Arc::clone(column)),
        };
        fields.push(match column.data_type() == field.data_type() {
            true => Arc::clone(field),
            false => Arc::new(Field::new(field.name(), column.data_type().clone(), true)),
        });
        columns.push(column);
    }
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if !known.contains_key(field.name().as_str()) {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    let unchanged =
        fields.len() == schema.fields().len() && fields.iter().zip(schema.fields()).all(|(a, b)| Arc::ptr_eq(a, b));
    let schema = if unchanged { Arc::clone(schema) } else { Arc::new(Schema::new(fields)) };
    assembled(&schema, columns, batch.num_rows())
}

/// `column` in a type that is at least as wide; `None` where it is not.
fn widened(column: &ArrayRef, to: &DataType) -> Option<ArrayRef> {
    match column.data_type() {
        from if from == to => Some(Arc::clone(column)),
        from if common_type(from, to).as_ref() == Some(to) => widen_column(column, to).ok(),
        _ => None,
    }
}

fn assembled(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let nullable = relaxed(schema, &columns);
    Ok(RecordBatch::try_new_with_options(nullable, columns, &options)?)
}

/// Columns by name, the first where there are several: a schema may have ten thousand.
fn places(schema: &Schema) -> HashMap<&str, usize> {
    schema.fields().iter().enumerate().rev().map(|(place, field)| (field.name().as_str(), place)).collect()
}

/// `schema`, with columns that hold NULLs made nullable.
fn relaxed(schema: &SchemaRef, columns: &[ArrayRef]) -> SchemaRef {
    let strict = |(field, column): (&Arc<Field>, &ArrayRef)| field.is_nullable() || column.null_count() == 0;
    if schema.fields().iter().zip(columns).all(strict) {
        return Arc::clone(schema);
    }
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// The schema in which inputs of different schemas meet: columns by name in order of first appearance,
/// nullable unless every input has them non-null.
///
/// # Errors
/// The name of a column that two inputs give types that have no common one, with both types.
pub fn union_schema(schemas: &[SchemaRef]) -> std::result::Result<SchemaRef, (String, DataType, DataType)> {
    let [first, rest @ ..] = schemas else {
        return Ok(Arc::new(Schema::empty()));
    };
    if rest.iter().all(|schema| schema == first) {
        return Ok(Arc::clone(first));
    }
    let by_name: Vec<HashMap<&str, usize>> = schemas.iter().map(|schema| places(schema)).collect();
    let strict = |(schema, places): (&SchemaRef, &HashMap<&str, usize>), name: &str| {
        places.get(name).is_some_and(|place| !schema.field(*place).is_nullable())
    };
    let mut fields: Vec<Field> = Vec::new();
    let mut found: HashMap<&str, usize> = HashMap::new();
    for field in schemas.iter().flat_map(|schema| schema.fields()) {
        let everywhere = schemas.iter().zip(&by_name).all(|schema| strict(schema, field.name()));
        match found.get(field.name().as_str()).and_then(|place| fields.get_mut(*place)) {
            None => {
                found.insert(field.name(), fields.len());
                fields.push(field.as_ref().clone().with_nullable(!everywhere));
            }
            Some(known) if known.data_type() == field.data_type() => {}
            Some(known) => {
                let (a, b) = (known.data_type().clone(), field.data_type().clone());
                let Some(common) = common_type(&a, &b) else {
                    return Err((field.name().clone(), a, b));
                };
                *known = Field::new(field.name(), common, !everywhere);
            }
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// As [`union_schema`], without the columns whose types have none in common: for who looks at tables and not at the rows
/// of their changes.
pub fn union_of_what_agrees(schemas: &[SchemaRef]) -> SchemaRef {
    let mut schemas = schemas.to_vec();
    loop {
        match union_schema(&schemas) {
            Ok(union) => return union,
            Err((column, ..)) => schemas.iter_mut().for_each(|schema| *schema = without(schema, &column)),
        }
    }
}

fn without(schema: &SchemaRef, column: &str) -> SchemaRef {
    let fields = schema.fields().iter().filter(|field| field.name() != column);
    Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Float64Array, Int32Array, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> SchemaRef {
        Arc::new(Schema::new(
            fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect::<Vec<_>>(),
        ))
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn a_union_of_what_agrees_leaves_out_what_has_no_type_in_common() {
        let a = schema(&[("id", DataType::Utf8), ("users", DataType::Int64), ("n", DataType::Int64)]);
        let list = DataType::new_list(DataType::Utf8, true);
        let b = schema(&[("users", list), ("id", DataType::Utf8), ("n", DataType::Float64)]);
        let union = union_of_what_agrees(&[a, b]);
        let columns: Vec<_> = union.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
        assert_eq!(columns, [("id", &DataType::Utf8), ("n", &DataType::Float64)]);
    }

    #[test]
    fn rows_meet_by_name_and_what_is_missing_is_null() {
        let rows =
            batch(vec![("b", Arc::new(Int32Array::from(vec![7]))), ("new", Arc::new(StringArray::from(vec!["x"])))]);
        let wanted = schema(&[("a", DataType::Utf8), ("b", DataType::Int64)]);
        let met = adapt_and_keep(&rows, &wanted).unwrap();
        let names: Vec<&str> = met.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "b", "new"]);
        assert_eq!(met.column(0).null_count(), 1);
        assert_eq!(met.column(1).as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(adapt(&rows, &wanted).unwrap().num_columns(), 2);
    }

    #[test]
    fn a_column_that_has_become_wider_keeps_its_values() {
        let wanted = schema(&[("n", DataType::Int64)]);
        let wider: [ArrayRef; 2] = [Arc::new(Float64Array::from(vec![1.5])), Arc::new(StringArray::from(vec!["many"]))];
        for column in wider {
            let met = adapt_and_keep(&batch(vec![("n", Arc::clone(&column))]), &wanted).unwrap();
            assert_eq!(met.column(0), &column);
        }
        let text = batch(vec![("n", Arc::new(StringArray::from(vec!["many"])))]);
        assert!(adapt(&text, &wanted).is_err(), "a value that has no counterpart does not become NULL");
    }

    #[test]
    fn rows_without_columns_stay_as_many() {
        let rows = batch(vec![("a", Arc::new(Int64Array::from(vec![1, 2])))]);
        assert_eq!(adapt(&rows, &schema(&[])).unwrap().num_rows(), 2);
    }

    #[test]
    fn ten_thousand_columns_meet_quickly() {
        let names: Vec<String> = (0..10_000).map(|n| format!("column_{n}")).collect();
        let of = |kind: &DataType| {
            Arc::new(Schema::new(names.iter().map(|name| Field::new(name, kind.clone(), true)).collect::<Vec<_>>()))
        };
        let (narrow, wide) = (of(&DataType::Int32), of(&DataType::Int64));
        let united = union_schema(&[Arc::clone(&narrow), Arc::clone(&wide)]).unwrap();
        assert_eq!(united.fields(), wide.fields());
        let met = adapt_and_keep(&RecordBatch::new_empty(narrow), &united).unwrap();
        assert_eq!(met.schema(), united);
    }
}
