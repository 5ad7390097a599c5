//! Tables in snapshots.
//!
//! A snapshot holds, in this order:
//! * `scopes.v1`: `account_id`, `region`, `table` Utf8; `outcome` Utf8 (`complete|skipped|failed`, NULL before
//!   the first end); `reason` Utf8 (NULL for `complete`); `open` Boolean. One row for each scope that began or
//!   ended since the last snapshot. It voids what earlier snapshots staged for the scope.
//! * `TABLE.rows.v1`: rows that changed since the last snapshot, in the table's change schema.
//! * `TABLE.staged.v1`: changes staged since the last snapshot, each batch of one open scope.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::staging::Staged;
use super::{OPERATION, Operation, Table, TableDefinition, Tables};
use crate::compaction::{Gone, Keyed, Pages, StateLayout};
use crate::error::{Error, Result};
use crate::operator::{SnapshotMode, StateReader, StateWriter, unreadable_section};
use crate::rows::adapt;
use crate::step::{Scope, ScopeOutcome};

const SCOPES: &str = "scopes.v1";
const ROWS: &str = ".rows.v1";
const STAGED: &str = ".staged.v1";

/// From how many bytes on changes that are restored are applied.
const BYTES_AT_ONCE: usize = 128 * 1024 * 1024;

impl Tables {
    /// How what tables of these definitions write is merged.
    pub fn layout(definitions: &[TableDefinition]) -> StateLayout {
        let scope = ["account_id", "region"].map(str::to_owned);
        let of_scope = [&scope[..], &["table".to_owned()]].concat();
        let scopes = Keyed { key: of_scope, gone: Gone::Never, expires: None };
        definitions.iter().fold(StateLayout::default().keyed(SCOPES, scopes), |layout, definition| {
            let name = &definition.name;
            let mut key = scope.to_vec();
            key.extend(
                definition
                    .key
                    .iter()
                    .filter(|column| !scope.iter().any(|of| of == *column))
                    .map(|column| (*column).to_owned()),
            );
            let gone = Gone::Is(OPERATION.to_owned(), Operation::Delete.as_str().to_owned());
            let only = ("table".to_owned(), name.to_string());
            layout
                .keyed(format!("{name}{ROWS}"), Keyed { key, gone, expires: None })
                .pages(format!("{name}{STAGED}"), Pages { ended_by: SCOPES.to_owned(), scope: scope.to_vec(), only })
        })
    }

    /// Writes what has changed since the last snapshot, or everything if `writer` asks for it.
    ///
    /// # Errors
    /// When a batch cannot be built.
    pub fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let full = writer.mode == SnapshotMode::Full;
        let scopes = self.tables.values().flat_map(|table| table.scope_entries(full)).collect::<Vec<_>>();
        if !scopes.is_empty() {
            writer.put(SCOPES, scopes_batch(&scopes)?);
        }
        for (name, table) in &mut self.tables {
            table.snapshot(name, full, writer)?;
        }
        Ok(())
    }

    /// Rebuilds the tables from snapshots: the last full one and those after it.
    ///
    /// # Errors
    /// When what was written cannot be understood or no longer fits the tables.
    pub fn restore(&mut self, reader: StateReader) -> Result<()> {
        let mut waiting = Waiting::default();
        for (name, batch) in reader.batches {
            match name.strip_suffix(ROWS).and_then(|table| self.tables.get_mut(table)) {
                Some(table) => waiting.add(table, &batch)?,
                None => self.restore_batch(&name, &batch)?,
            }
        }
        for table in self.tables.values_mut() {
            waiting.apply(table)?;
            table.mark_saved();
        }
        self.publish();
        Ok(())
    }

    fn restore_batch(&mut self, name: &str, batch: &RecordBatch) -> Result<()> {
        if name == SCOPES {
            return self.restore_scopes(batch);
        }
        let (table, staged) = match (name.strip_suffix(ROWS), name.strip_suffix(STAGED)) {
            (Some(table), _) => (table, false),
            (_, Some(table)) => (table, true),
            _ => return Err(unreadable_section(name)),
        };
        match self.tables.get_mut(table) {
            Some(table) if staged => table.restore_staged(batch),
            _ => {
                tracing::warn!(table, rows = batch.num_rows(), "the checkpoint holds a table that no longer exists");
                Ok(())
            }
        }
    }

    fn restore_scopes(&mut self, batch: &RecordBatch) -> Result<()> {
        let entries = read_scopes(batch)?;
        for entry in entries {
            if let Some(table) = self.tables.get_mut(&entry.scope.table) {
                table.restore_scope(entry);
            }
        }
        Ok(())
    }
}

/// Rows that are applied together: each time they are, the leaves that they touch are copied.
#[derive(Default)]
struct Waiting {
    rows: BTreeMap<Arc<str>, Vec<RecordBatch>>,
}

impl Waiting {
    fn add(&mut self, table: &mut Table, batch: &RecordBatch) -> Result<()> {
        let name = Arc::clone(&table.visible.definition().name);
        let rows = self.rows.entry(name).or_default();
        rows.push(table.fit(batch)?);
        if rows.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() >= BYTES_AT_ONCE {
            return self.apply(table);
        }
        Ok(())
    }

    fn apply(&mut self, table: &mut Table) -> Result<()> {
        if let Some(rows) = self.rows.remove(&table.visible.definition().name) {
            table.visible = Arc::new(table.visible.with_changes(&rows)?);
        }
        Ok(())
    }
}

/// What a snapshot says about a scope.
struct ScopeEntry {
    scope: Scope,
    outcome: Option<ScopeOutcome>,
    open: bool,
}

impl Table {
    fn scope_entries(&self, full: bool) -> Vec<ScopeEntry> {
        let everything: BTreeSet<Scope>;
        let scopes = match full {
            true => {
                everything = self.visible.scopes().keys().chain(self.staged.keys()).cloned().collect();
                &everything
            }
            false => &self.touched,
        };
        let entry = |scope: &Scope| ScopeEntry {
            scope: scope.clone(),
            outcome: self.visible.scopes().get(scope).cloned(),
            open: self.staged.contains_key(scope),
        };
        scopes.iter().map(entry).collect()
    }

    fn snapshot(&mut self, name: &str, full: bool, writer: &mut StateWriter) -> Result<()> {
        let changes = if full { self.visible.as_inserts()? } else { self.visible.difference(&self.saved)? };
        for batch in changes.batches {
            writer.put(format!("{name}{ROWS}"), batch);
        }
        for staged in self.staged.values() {
            let from = if full { 0 } else { staged.saved };
            for batch in staged.changes[from..].iter().filter(|batch| batch.num_rows() > 0) {
                writer.put(format!("{name}{STAGED}"), batch.clone());
            }
        }
        self.mark_saved();
        Ok(())
    }

    fn mark_saved(&mut self) {
        self.saved = Arc::clone(&self.visible);
        self.touched.clear();
        for staged in self.staged.values_mut() {
            staged.saved = staged.changes.len();
        }
    }

    fn restore_scope(&mut self, entry: ScopeEntry) {
        self.staged.remove(&entry.scope);
        if entry.open {
            self.staged.insert(entry.scope.clone(), Staged::default());
        }
        if let Some(outcome) = entry.outcome {
            self.visible = Arc::new(self.visible.with_outcome(entry.scope, outcome));
        }
    }

    fn restore_staged(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.fit(batch)?;
        let name = Arc::clone(&self.visible.definition().name);
        let first = |column: &str| batch.column_by_name(column).map(|column| column.as_string::<i32>().value(0));
        let (Some(account_id), Some(region)) = (first("account_id"), first("region")) else {
            return Err(Error::internal(format!("staged rows of table `{name}` have no account or region")));
        };
        let scope = Scope { account_id: account_id.into(), region: region.into(), table: name };
        self.stage(&scope, &batch)
    }

    /// `batch` in the change schema as it is today.
    fn fit(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let explain = |error: Error| {
            let name = &self.visible.definition().name;
            Error::user(format!("rows of table `{name}` in the checkpoint do not fit the table: {}", error.message))
                .with_remedy("run the version that wrote the checkpoint, or start anew with --fresh")
        };
        let schema = self.visible.layout().change_schema();
        let fitted = adapt(batch, schema).map_err(explain)?;
        RecordBatch::try_new(Arc::clone(schema), fitted.columns().to_vec()).map_err(|error| explain(error.into()))
    }
}

fn scopes_batch(entries: &[ScopeEntry]) -> Result<RecordBatch> {
    let text = |value: fn(&ScopeEntry) -> Option<&str>| -> ArrayRef {
        Arc::new(entries.iter().map(value).collect::<StringArray>())
    };
    let open: ArrayRef = Arc::new(BooleanArray::from_iter(entries.iter().map(|entry| Some(entry.open))));
    let columns = vec![
        text(|entry| Some(&entry.scope.account_id)),
        text(|entry| Some(&entry.scope.region)),
        text(|entry| Some(&entry.scope.table)),
        text(|entry| entry.outcome.as_ref().map(outcome_name)),
        text(|entry| entry.outcome.as_ref().and_then(outcome_reason)),
        open,
    ];
    let field = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let fields = vec![
        field("account_id", false),
        field("region", false),
        field("table", false),
        field("outcome", true),
        field("reason", true),
        Field::new("open", DataType::Boolean, false),
    ];
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn outcome_name(outcome: &ScopeOutcome) -> &str {
    match outcome {
        ScopeOutcome::Complete => "complete",
        ScopeOutcome::Skipped(_) => "skipped",
        ScopeOutcome::Failed(_) => "failed",
    }
}

fn outcome_reason(outcome: &ScopeOutcome) -> Option<&str> {
    match outcome {
        ScopeOutcome::Complete => None,
        ScopeOutcome::Skipped(reason) | ScopeOutcome::Failed(reason) => Some(reason),
    }
}

fn read_scopes(batch: &RecordBatch) -> Result<Vec<ScopeEntry>> {
    let damaged = || Error::internal(format!("`{SCOPES}` of the checkpoint has other columns than it should"));
    let text =
        |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(damaged);
    let (accounts, regions, tables) = (text("account_id")?, text("region")?, text("table")?);
    let (outcomes, reasons) = (text("outcome")?, text("reason")?);
    let open = batch.column_by_name("open").and_then(|column| column.as_boolean_opt()).ok_or_else(damaged)?;
    let value = |column: &StringArray, row: usize| column.is_valid(row).then(|| column.value(row).to_owned());
    let entry = |row: usize| {
        let scope = Scope {
            account_id: accounts.value(row).into(),
            region: regions.value(row).into(),
            table: tables.value(row).into(),
        };
        let reason = value(reasons, row).unwrap_or_default();
        let outcome = match value(outcomes, row).as_deref() {
            None => None,
            Some("complete") => Some(ScopeOutcome::Complete),
            Some("skipped") => Some(ScopeOutcome::Skipped(reason)),
            Some("failed") => Some(ScopeOutcome::Failed(reason)),
            Some(other) => return Err(Error::internal(format!("`{other}` is no outcome of a scope"))),
        };
        Ok(ScopeEntry { scope, outcome, open: open.value(row) })
    };
    (0..batch.num_rows()).map(entry).collect()
}
