//! How a table is declared: each column once, with its name, what it is, and where a row has it.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tidegate_pipeline::table::TableDefinition;

use super::REGION;
use super::root::{HostRoot, Unread};

/// The most rows of one page.
const PAGE_ROWS: usize = 4096;

/// The time zone of time columns. An offset, since a name would need a time zone database.
const UTC: &str = "+00:00";

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) i64);

/// The type of a field of a row struct, and so of a column. An `Option` makes the column nullable.
pub(super) trait Cell: Sized + 'static {
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
        DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()))
    }
    fn array<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        let times: TimestampMillisecondArray = cells.map(|cell| cell.map(|moment| moment.0)).collect();
        Arc::new(times.with_timezone(UTC))
    }
}

/// Makes a column of the rows of a page.
type Build<R> = Box<dyn Fn(&[R]) -> ArrayRef + Send + Sync>;

struct Column<R> {
    name: &'static str,
    description: &'static str,
    data_type: DataType,
    nullable: bool,
    build: Build<R>,
}

/// A table whose rows are read as `R`.
pub(super) struct Table<R> {
    name: &'static str,
    description: &'static str,
    key: Vec<&'static str>,
    identity: fn(&R) -> String,
    collect: fn(&HostRoot) -> Result<Vec<R>, Unread>,
    columns: Vec<Column<R>>,
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
        Self { name, description, key: key.to_vec(), identity, collect, columns: Vec::new() }
    }

    /// Adds a column that holds the field of each row that `field` names.
    #[must_use]
    pub(super) fn column<T: Cell>(
        mut self,
        name: &'static str,
        description: &'static str,
        field: fn(&R) -> &T,
    ) -> Self {
        self.columns.push(Column {
            name,
            description,
            data_type: T::data_type(),
            nullable: T::NULLABLE,
            build: Box::new(move |rows| T::array(rows.iter().map(field))),
        });
        self
    }

    fn schema(&self) -> SchemaRef {
        let common = ["account_id", "region", "arn"].map(|name| Field::new(name, DataType::Utf8, false));
        let own = self.columns.iter().map(|column| Field::new(column.name, column.data_type.clone(), column.nullable));
        Arc::new(Schema::new(common.into_iter().chain(own).collect::<Vec<_>>()))
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
        arrays.extend(self.columns.iter().map(|column| (column.build)(rows)));
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
        let own = self.columns.iter().map(|column| (column.name, column.description));
        TableDefinition {
            columns: common.into_iter().chain(own).collect(),
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
