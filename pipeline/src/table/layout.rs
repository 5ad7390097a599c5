//! How the rows of a table are compared: their keys in order, their values by hash.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::ScalarValue;
use xxhash_rust::xxh3::xxh3_128;

use super::{TableDefinition, change_schema};
use crate::error::{Error, Result};
use crate::step::Scope;

/// Columns whose names begin so are left out when a provider's rows are compared with the stored ones.
const COLLECTED: &str = "_collected";

/// The columns that every table begins its key with.
const SCOPE_COLUMNS: [&str; 2] = ["account_id", "region"];

/// A table's definition and the converters for its rows. The full key is account_id, region, then the
/// definition's key columns; in arrow's row format keys compare as bytes, and the bytes of a scope's
/// account_id and region begin the keys of all its rows.
#[derive(Debug)]
pub(crate) struct Layout {
    definition: Arc<TableDefinition>,
    change_schema: SchemaRef,
    key: Converter,
    scope: Converter,
    compared: Converter,
    whole: Converter,
}

/// A row converter and the columns that it takes.
#[derive(Debug)]
struct Converter {
    columns: Vec<usize>,
    rows: RowConverter,
}

impl Converter {
    fn new(schema: &SchemaRef, columns: Vec<usize>) -> Result<Self> {
        let fields = columns.iter().map(|&index| SortField::new(schema.field(index).data_type().clone())).collect();
        Ok(Self { columns, rows: RowConverter::new(fields)? })
    }

    fn columns_of(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.columns.iter().map(|&index| Arc::clone(batch.column(index))).collect()
    }

    fn convert(&self, batch: &RecordBatch) -> Result<Rows> {
        Ok(self.rows.convert_columns(&self.columns_of(batch))?)
    }
}

impl Layout {
    /// The layout of a table.
    ///
    /// # Errors
    /// When the definition lacks a column that it needs or names, or has one that cannot be compared.
    pub(crate) fn new(definition: TableDefinition) -> Result<Self> {
        let schema = &definition.schema;
        let scope = SCOPE_COLUMNS.iter().map(|name| text_column(&definition, name)).collect::<Result<Vec<_>>>()?;
        let mut key = scope.clone();
        for name in &definition.key {
            let index = column(&definition, name)?;
            if !key.contains(&index) {
                key.push(index);
            }
        }
        if let Some(target) = definition.target {
            text_column(&definition, target)?;
        }
        for reference in &definition.references {
            reference.columns.iter().try_for_each(|name| column(&definition, name).map(drop))?;
        }
        let whole: Vec<usize> = (0..schema.fields().len()).collect();
        let is_compared = |index: &usize| !schema.field(*index).name().starts_with(COLLECTED);
        let compared = whole.iter().copied().filter(is_compared).collect();
        Ok(Self {
            change_schema: change_schema(&definition),
            key: Converter::new(schema, key)?,
            scope: Converter::new(schema, scope)?,
            compared: Converter::new(schema, compared)?,
            whole: Converter::new(schema, whole)?,
            definition: Arc::new(definition),
        })
    }

    /// What the table is.
    pub(crate) fn definition(&self) -> &Arc<TableDefinition> {
        &self.definition
    }

    /// The columns of the table.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.definition.schema
    }

    /// The columns of the table's changes.
    pub(crate) fn change_schema(&self) -> &SchemaRef {
        &self.change_schema
    }

    /// The keys of rows, comparable as bytes.
    pub(crate) fn keys(&self, rows: &RecordBatch) -> Result<Rows> {
        self.key.convert(rows)
    }

    /// Adds the keys of rows to `keys`.
    pub(crate) fn append_keys(&self, keys: &mut Rows, rows: &RecordBatch) -> Result<()> {
        Ok(self.key.rows.append(keys, &self.key.columns_of(rows))?)
    }

    /// No keys, with room for some.
    pub(crate) fn no_keys(&self, rows: usize) -> Rows {
        self.key.rows.empty_rows(rows, 0)
    }

    /// The values of all columns of rows, comparable as bytes.
    pub(super) fn values(&self, rows: &RecordBatch) -> Result<Rows> {
        self.whole.convert(rows)
    }

    /// A hash of each row's values, without the `_collected…` columns. 128 bits: two different rows of one
    /// key that share a hash would be an update that is never seen.
    pub(crate) fn hashes(&self, rows: &RecordBatch) -> Result<Vec<u128>> {
        let values = self.compared.convert(rows)?;
        // A loop over rows, since arrow has no kernel that hashes a converted row; it runs over one buffer.
        Ok(values.iter().map(|row| xxh3_128(row.data())).collect())
    }

    /// The bytes that the keys of all rows of a scope, and of no other, begin with.
    pub(super) fn prefix(&self, scope: &Scope) -> Result<Box<[u8]>> {
        let text = |value: &Arc<str>| -> ArrayRef { Arc::new(StringArray::from(vec![value.as_ref()])) };
        let rows = self.scope.rows.convert_columns(&[text(&scope.account_id), text(&scope.region)])?;
        Ok(rows.row(0).data().into())
    }

    /// The key of the row that `values` identify inside a scope, one value for each column of the key.
    pub(super) fn key_of(&self, account_id: &str, region: &str, values: &[ScalarValue]) -> Result<Box<[u8]>> {
        let scope = [ScalarValue::from(account_id), ScalarValue::from(region)];
        if scope.len() + values.len() != self.key.columns.len() {
            let wanted = self.key.columns.len() - scope.len();
            let name = &self.definition.name;
            return Err(Error::user(format!("the key of table `{name}` has {wanted} columns, not {}", values.len())));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.key.columns.len());
        for (value, &index) in scope.iter().chain(values).zip(&self.key.columns) {
            columns.push(value.cast_to(self.schema().field(index).data_type())?.to_array()?);
        }
        Ok(self.key.rows.convert_columns(&columns)?.row(0).data().into())
    }

    /// Whether all rows carry the account and the region of `scope`.
    pub(crate) fn all_in_scope(&self, rows: &RecordBatch, scope: &Scope) -> Result<bool> {
        let wanted = [&scope.account_id, &scope.region];
        for (&index, value) in self.scope.columns.iter().zip(wanted) {
            let equal = eq(rows.column(index), &StringArray::new_scalar(value.as_ref()))?;
            if equal.true_count() != rows.num_rows() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `page` in the table's schema, or what is wrong with it. Whether columns are declared nullable does not
    /// matter, only whether they hold NULLs where the table has none.
    pub(crate) fn conform(&self, page: &RecordBatch) -> Result<RecordBatch, String> {
        let found = page.schema();
        let describe = |schema: &SchemaRef| {
            let fields = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
            fields.collect::<Vec<_>>().join(", ")
        };
        let same = found.fields().len() == self.schema().fields().len()
            && found
                .fields()
                .iter()
                .zip(self.schema().fields())
                .all(|(found, wanted)| found.name() == wanted.name() && found.data_type() == wanted.data_type());
        if !same {
            let (found, wanted) = (describe(&found), describe(self.schema()));
            return Err(format!("a page has the columns [{found}], the table has [{wanted}]"));
        }
        RecordBatch::try_new(Arc::clone(self.schema()), page.columns().to_vec())
            .map_err(|error| format!("a page does not fit the table: {error}"))
    }
}

/// The index of a column that the definition must have.
fn column(definition: &TableDefinition, name: &str) -> Result<usize> {
    let missing = |_| Error::internal(format!("table `{}` has no column `{name}`, which it needs", definition.name));
    definition.schema.index_of(name).map_err(missing)
}

/// The index of a column that must be there and be text.
fn text_column(definition: &TableDefinition, name: &str) -> Result<usize> {
    let index = column(definition, name)?;
    match definition.schema.field(index).data_type() {
        DataType::Utf8 => Ok(index),
        other => Err(Error::internal(format!("column `{name}` of table `{}` is {other}, not Utf8", definition.name))),
    }
}
