//! Changes of keyed rows: what a provider's ports carry and what the journal keeps.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Layout, TableDefinition};
use crate::error::{Error, Result};

/// The name of the column that holds the operation: `insert`, `update` or `delete`.
pub const OPERATION: &str = "_op";
/// The name of the column that holds the name of the table.
pub const TABLE: &str = "_table";
/// How many columns precede those of the table.
pub(super) const LEADING: usize = 2;

/// What a change does to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The row is new.
    Insert,
    /// The row has other values than before; the change carries the new ones.
    Update,
    /// The row is gone; the change carries it as it was.
    Delete,
}

impl Operation {
    /// The value of the column [`OPERATION`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The operation of that name.
    pub(super) fn from_name(name: &str) -> Result<Self> {
        match name {
            "insert" => Ok(Self::Insert),
            "update" => Ok(Self::Update),
            "delete" => Ok(Self::Delete),
            other => Err(Error::internal(format!("`{other}` is no operation (insert, update, delete)"))),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The columns of a table's changes: `_op` Utf8 (`insert|update|delete`), `_table` Utf8 (the table's name),
/// then the table's columns.
pub fn change_schema(definition: &TableDefinition) -> SchemaRef {
    let leading = [Field::new(OPERATION, DataType::Utf8, false), Field::new(TABLE, DataType::Utf8, false)];
    let fields = leading.into_iter().map(Arc::new).chain(definition.schema.fields().iter().cloned());
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Changes of one table, in batches of the table's [`change_schema`].
#[derive(Debug, Clone)]
pub struct Changes {
    pub(super) schema: SchemaRef,
    pub(super) batches: Vec<RecordBatch>,
}

impl Changes {
    /// The changes, in batches of bounded size, in order.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// How many changes there are.
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.row_count() == 0
    }

    /// All changes in one batch.
    ///
    /// # Errors
    /// When they are too large for one.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        Ok(concat_batches(&self.schema, &self.batches)?)
    }
}

impl Layout {
    /// `rows` of the table as changes that all do the same.
    pub(crate) fn changes(&self, operation: Operation, rows: &RecordBatch) -> Result<RecordBatch> {
        self.changes_of(std::iter::repeat_n(operation, rows.num_rows()), rows)
    }

    /// `rows` of the table as changes, `operations` one for each row.
    pub(crate) fn changes_of(
        &self,
        operations: impl Iterator<Item = Operation>,
        rows: &RecordBatch,
    ) -> Result<RecordBatch> {
        let name = self.definition().name.as_ref();
        let operations = StringArray::from_iter_values(operations.map(Operation::as_str));
        let tables = StringArray::from_iter_values(std::iter::repeat_n(name, rows.num_rows()));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(operations), Arc::new(tables)];
        columns.extend(rows.columns().iter().cloned());
        Ok(RecordBatch::try_new(Arc::clone(self.change_schema()), columns)?)
    }
}
