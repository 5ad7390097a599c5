//! How a table is declared: each column once, with its name, what it is, and where a row has it.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tidegate_pipeline::table::TableDefinition;

use super::REGION;
use super::root::{HostRoot, Unread};
pub(super) use crate::providers::columns::Moment;
use crate::providers::columns::{Cell, Columns};

/// The most rows of one page.
const PAGE_ROWS: usize = 4096;

/// A table whose rows are read as `R`.
pub(super) struct Table<R> {
    name: &'static str,
    description: &'static str,
    key: Vec<&'static str>,
    identity: fn(&R) -> String,
    collect: fn(&HostRoot) -> Result<Vec<R>, Unread>,
    columns: Columns<R>,
}

/// A table of the machine, whatever its rows are.
pub(super) trait HostTable: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its columns and key.
    fn definition(&self) -> TableDefinition;
    /// Its rows as they are now, in the order of their `arn`, each once, in pages.
    fn read(&self, root: &HostRoot, account_id: &str) -> Result<Vec<RecordBatch>, Unread>;
}

impl<R: 'static> Table<R> {
    /// A table without columns yet. `key` names the columns that identify a row, `identity` is their values
    /// as text, with `/` between them: the last part of the row's `arn`.
    pub(super) fn new(
        name: &'static str,
        description: &'static str,
        key: &[&'static str],
        identity: fn(&R) -> String,
        collect: fn(&HostRoot) -> Result<Vec<R>, Unread>,
    ) -> Self {
        Self { name, description, key: key.to_vec(), identity, collect, columns: Columns::default() }
    }

    /// Adds a column that holds the field of each row that `field` names.
    #[must_use]
    pub(super) fn column<T: Cell>(
        mut self,
        name: &'static str,
        description: &'static str,
        field: fn(&R) -> &T,
    ) -> Self {
        self.columns.cell(name, description, field);
        self
    }

    fn schema(&self) -> SchemaRef {
        let common = ["account_id", "region", "arn"].map(|name| Field::new(name, DataType::Utf8, false));
        Arc::new(Schema::new(common.into_iter().chain(self.columns.fields()).collect::<Vec<_>>()))
    }

    /// `host:MACHINE:TABLE/KEY`; the `/` that begins a path is that before the key.
    fn arn(&self, account_id: &str, row: &R) -> String {
        let key = (self.identity)(row);
        let slash = if key.starts_with('/') { "" } else { "/" };
        format!("host:{account_id}:{}{slash}{key}", self.name)
    }

    fn page(&self, schema: &SchemaRef, account_id: &str, arns: &[String], rows: &[R]) -> Result<RecordBatch, Unread> {
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(rows.iter().map(|_| text))) };
        let mut arrays =
            vec![same(account_id), same(REGION), Arc::new(StringArray::from_iter_values(arns)) as ArrayRef];
        arrays.extend(self.columns.arrays(rows));
        RecordBatch::try_new(schema.clone(), arrays).map_err(|error| Unread::Failed(error.to_string()))
    }
}

impl<R: Send + Sync + 'static> HostTable for Table<R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn definition(&self) -> TableDefinition {
        let common = [
            ("account_id", "The machine: its machine id, or `host-` and a hash of its name."),
            ("region", "Always `local`."),
            ("arn", "The identity of the row: `host:MACHINE:TABLE/KEY`."),
        ];
        TableDefinition {
            columns: common.into_iter().chain(self.columns.descriptions()).collect(),
            distinct_arn: true,
            ..TableDefinition::new(self.name, self.description, self.schema(), self.key.clone())
        }
    }

    fn read(&self, root: &HostRoot, account_id: &str) -> Result<Vec<RecordBatch>, Unread> {
        let mut seen = HashSet::new();
        let mut rows: Vec<(String, R)> = Vec::new();
        for row in (self.collect)(root)? {
            let arn = self.arn(account_id, &row);
            if seen.insert(arn.clone()) {
                rows.push((arn, row));
            }
        }
        rows.sort_by(|(left, _), (right, _)| left.cmp(right));
        let (arns, rows): (Vec<String>, Vec<R>) = rows.into_iter().unzip();
        let schema = self.schema();
        let pages = arns.chunks(PAGE_ROWS).zip(rows.chunks(PAGE_ROWS));
        pages.map(|(arns, rows)| self.page(&schema, account_id, arns, rows)).collect()
    }
}
