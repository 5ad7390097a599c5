//! Keyed tables of collected rows: one per table of a provider, maintained as its changes are journaled.
//!
//! A [`TableVersion`] is immutable and travels with the step that made it visible; `check`, `enrich`,
//! `query` and the provider's own diff share it. Its rows stand in key order in leaves of at most
//! [`LEAF_ROWS`] rows; a new version copies the leaves that changed and shares the others.
//!
//! ```text
//!  journal ──► Tables::begin, page, end ──► TableSet (with the step) ──► operators
//!                   │                           └── SharedTables ──► the provider's diff
//!                   └── snapshot: rows that changed since the last one
//! ```

mod changes;
mod layout;
mod merge;
pub mod past;
mod persist;
mod references;
mod staging;
mod tables;
#[cfg(test)]
mod tests;
mod version;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tokio::sync::watch;

use crate::step::Scope;

pub use changes::{Changes, OPERATION, Operation, TABLE, change_schema};
pub(crate) use layout::Layout;
pub use references::{Reference, Unresolved};
pub(crate) use staging::INTERRUPTED;
pub use staging::Table;
pub use tables::Tables;
pub(crate) use version::lower_bound;
pub use version::{ChangedRows, Since, TableVersion};
pub use view::View;

/// The most rows that a leaf of a table holds.
pub const LEAF_ROWS: usize = 4_096;
/// The most changes that a version of a table keeps of what made it.
pub const FEW_CHANGES: usize = 1_024;

/// What a table is.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Its name, as SQL writes it.
    pub name: Arc<str>,
    /// What it holds, one sentence.
    pub description: &'static str,
    /// Its columns, among them `account_id`, `region`, `arn` (all Utf8) and the key. Columns whose names
    /// begin with `_collected` say when and how a row was collected; a difference in them alone is no change.
    pub schema: SchemaRef,
    /// The columns that identify a row inside a scope.
    pub key: Vec<&'static str>,
    /// What each column is: name and one sentence, with units.
    pub columns: Vec<(&'static str, &'static str)>,
    /// The column (Utf8) that says which object of its group a row belongs to, such as `instance_id` in the table of
    /// instances and in those of their parts. Tables without one are refreshed wholly only.
    pub target: Option<&'static str>,
    /// Whether no two of its rows of one account and region have the same `arn`.
    pub distinct_arn: bool,
    /// The rows of other tables that its rows refer to.
    pub references: Vec<Reference>,
    /// Other shapes that it can be read in.
    pub views: Vec<View>,
}

impl TableDefinition {
    /// A table that refers to nothing and says nothing of its columns; what else is true of it is set afterwards.
    pub fn new(
        name: impl Into<Arc<str>>,
        description: &'static str,
        schema: SchemaRef,
        key: impl Into<Vec<&'static str>>,
    ) -> Self {
        let (name, key) = (name.into(), key.into());
        Self {
            name,
            description,
            schema,
            key,
            columns: Vec::new(),
            target: None,
            distinct_arn: false,
            references: Vec::new(),
            views: Vec::new(),
        }
    }
}

/// The tables of one provider as they are after a step. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TableSet {
    /// By name.
    pub tables: Arc<BTreeMap<Arc<str>, Arc<TableVersion>>>,
    /// The scopes that have begun and not ended: what has come for them is not visible yet.
    pub open: Arc<BTreeSet<Scope>>,
    /// How many ends of scopes, and changes of targets, have been taken in since the process started. Tells a source
    /// whether those that it has handed over are in `tables`.
    pub ended: u64,
}

impl TableSet {
    /// The table of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<TableVersion>> {
        self.tables.get(name)
    }
}

/// The tables of a source as the sequencer maintains them, shared with the source that diffs against them.
#[derive(Debug, Clone)]
pub struct SharedTables(Arc<watch::Sender<TableSet>>);

impl Default for SharedTables {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(TableSet::default())))
    }
}

impl SharedTables {
    /// The tables as they are now.
    pub fn current(&self) -> TableSet {
        self.0.borrow().clone()
    }

    /// Makes `tables` the current ones.
    pub fn publish(&self, tables: TableSet) {
        self.0.send_replace(tables);
    }

    /// Waits until the current tables satisfy `condition`, and gives them. Cancel-safe.
    pub async fn wait_for(&self, condition: impl Fn(&TableSet) -> bool) -> TableSet {
        let mut receiver = self.0.subscribe();
        let found = receiver.wait_for(|tables| condition(tables)).await.map(|tables| tables.clone());
        // The sender lives in `self`, so the channel cannot be closed while this waits.
        found.unwrap_or_else(|_| self.current())
    }
}
