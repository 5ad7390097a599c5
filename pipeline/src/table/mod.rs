//! Keyed tables of collected rows: one per table of a provider, maintained as its changes are journaled.
//!
//! A [`TableVersion`] is immutable and travels with the step that made it visible; `check`, `enrich`,
//! `query` and the provider's own diff share it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::step::{Scope, ScopeOutcome};

/// What a table is.
#[derive(Debug, Clone)]
pub struct TableDefinition {
    /// Its name, as SQL writes it.
    pub name: Arc<str>,
    /// What it holds, one sentence.
    pub description: &'static str,
    /// Its columns, among them `account_id`, `region`, `arn` (all text) and the key.
    pub schema: SchemaRef,
    /// The columns that identify a row inside a scope.
    pub key: Vec<&'static str>,
    /// What each column is: name and one sentence, with units.
    pub columns: Vec<(&'static str, &'static str)>,
}

/// One immutable version of a table.
#[derive(Debug, Clone)]
pub struct TableVersion {
    definition: Arc<TableDefinition>,
    leaves: Vec<Arc<RecordBatch>>,
    scopes: BTreeMap<Scope, ScopeOutcome>,
}

impl TableVersion {
    /// The rows, in key order, in batches of at most 4,096.
    pub fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.leaves.iter().map(Arc::as_ref)
    }

    /// What the table is.
    pub fn definition(&self) -> &Arc<TableDefinition> {
        &self.definition
    }

    /// How collecting each of its scopes last ended.
    pub fn scopes(&self) -> &BTreeMap<Scope, ScopeOutcome> {
        &self.scopes
    }
}

/// The tables of one provider as they are after a step. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TableSet {
    /// By name.
    pub tables: Arc<BTreeMap<Arc<str>, Arc<TableVersion>>>,
}

/// The tables of a source as the sequencer maintains them, shared with the source that diffs against them.
#[derive(Debug, Clone, Default)]
pub struct SharedTables(pub Arc<parking_lot::RwLock<TableSet>>);
