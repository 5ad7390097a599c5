//! Rows on their way: what an edge carries for one step.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

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
/// When a column cannot be cast to the wanted type.
pub fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if Arc::ptr_eq(batch.schema_ref(), schema) || batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        })
        .collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let nullable = relaxed(schema, &columns);
    Ok(RecordBatch::try_new_with_options(nullable, columns, &options)?)
}

/// As [`adapt`], but columns that `schema` does not name are kept, after the others: a source that widens
/// its schema while running adds columns that no plan knew.
///
/// # Errors
/// When a column cannot be cast to the wanted type.
pub fn adapt_and_keep(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let named = |field: &&Arc<Field>| schema.field_with_name(field.name()).is_err();
    let extra: Vec<Arc<Field>> = batch.schema_ref().fields().iter().filter(named).cloned().collect();
    if extra.is_empty() {
        return adapt(batch, schema);
    }
    let fields: Vec<Arc<Field>> = schema.fields().iter().cloned().chain(extra).collect();
    adapt(batch, &Arc::new(Schema::new(fields)))
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
    let mut fields: Vec<Field> = Vec::new();
    for field in schemas.iter().flat_map(|schema| schema.fields()) {
        let everywhere =
            schemas.iter().all(|schema| schema.field_with_name(field.name()).is_ok_and(|f| !f.is_nullable()));
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            None => fields.push(field.as_ref().clone().with_nullable(!everywhere)),
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

/// The type that values of both types can be widened to: int → float → text.
fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Float32, Float64, Int64, LargeUtf8, Null, Utf8, Utf8View};
    let text = |t: &DataType| matches!(t, Utf8 | LargeUtf8 | Utf8View);
    match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (a, b) if a.is_integer() && b.is_integer() => Some(Int64),
        (a, b) if a.is_numeric() && b.is_numeric() => Some(Float64),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (a, b) if text(a) && (text(b) || b.is_primitive()) => Some(Utf8),
        (a, b) if text(b) && a.is_primitive() => Some(Utf8),
        _ => None,
    }
}
