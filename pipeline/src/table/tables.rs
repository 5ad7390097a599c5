//! The tables of one provider as the sequencer maintains them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{Changes, SharedTables, Table, TableDefinition, TableSet};
use crate::error::{Error, Result};
use crate::step::{Scope, ScopeOutcome, Unit};

/// The tables of one provider source: a fold of its journaled steps. Whoever gives steps their numbers
/// owns it, feeds it every step of the source, in order, also those that are replayed after a restart, and
/// hands [`Tables::shared`] to the source.
#[derive(Debug)]
pub struct Tables {
    pub(super) tables: BTreeMap<Arc<str>, Table>,
    ended: u64,
    current: TableSet,
    shared: SharedTables,
}

impl Tables {
    /// Empty tables.
    ///
    /// # Errors
    /// When a definition lacks a column that it needs, or two have one name.
    pub fn new(definitions: Vec<TableDefinition>) -> Result<Self> {
        let mut tables = BTreeMap::new();
        for definition in definitions {
            let name = Arc::clone(&definition.name);
            if tables.insert(Arc::clone(&name), Table::new(definition)?).is_some() {
                return Err(Error::internal(format!("two tables have the name `{name}`")));
            }
        }
        let mut this = Self { tables, ended: 0, current: TableSet::default(), shared: SharedTables::default() };
        this.publish();
        Ok(this)
    }

    /// What the source diffs against: always the current tables.
    pub fn shared(&self) -> SharedTables {
        self.shared.clone()
    }

    /// The tables as they are now.
    pub fn current(&self) -> TableSet {
        self.current.clone()
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Everything that readers of the changes have been told of a table, as inserts: what is visible, and what has
    /// come for scopes that have not ended. `None` when there is no such table.
    ///
    /// # Errors
    /// When what has come cannot be applied.
    pub(crate) fn told(&self, table: &str) -> Result<Option<Changes>> {
        let Some(table) = self.tables.get(table) else { return Ok(None) };
        let staged: Vec<RecordBatch> = table.staged.values().flat_map(|staged| &staged.changes).cloned().collect();
        match staged.is_empty() {
            true => table.visible.as_inserts().map(Some),
            false => table.visible.with_changes(&staged)?.as_inserts().map(Some),
        }
    }

    /// What has come for scopes that have not ended: changes, in order of arrival.
    pub(super) fn staged_rows(&self) -> Vec<(Scope, RecordBatch)> {
        let staged = self.tables.values().flat_map(|table| &table.staged);
        let rows = staged.flat_map(|(scope, staged)| staged.changes.iter().map(|rows| (scope.clone(), rows.clone())));
        rows.collect()
    }

    /// Takes a step of the source in; gives the tables when it made a version visible.
    ///
    /// # Errors
    /// As [`Tables::begin`], [`Tables::page`], [`Tables::end`] and [`Tables::targeted`].
    pub fn apply<'a>(
        &mut self,
        unit: &Unit,
        rows: impl IntoIterator<Item = &'a RecordBatch>,
    ) -> Result<Option<TableSet>> {
        match unit {
            Unit::Rows => Ok(None),
            Unit::Begin(scope) => self.begin(scope),
            Unit::Page(scope) => rows.into_iter().try_for_each(|batch| self.page(scope, batch)).map(|()| None),
            Unit::End(scope, outcome) => self.end(scope, outcome.clone()).map(Some),
            Unit::Targeted(scope) => self.targeted(scope, rows).map(Some),
        }
    }

    /// A scope's refresh begins. Gives the tables when an interrupted refresh of the scope ended by it.
    ///
    /// # Errors
    /// When the scope's table is unknown.
    pub fn begin(&mut self, scope: &Scope) -> Result<Option<TableSet>> {
        let interrupted = self.table_of(scope)?.begin(scope)?;
        self.publish();
        Ok(interrupted.map(|_| self.current()))
    }

    /// Changes of a scope that has begun, in the change schema of its table.
    ///
    /// # Errors
    /// When the scope has not begun, or the changes are not of the scope.
    pub fn page(&mut self, scope: &Scope, changes: &RecordBatch) -> Result<()> {
        self.table_of(scope)?.stage(scope, changes)
    }

    /// A scope's refresh ends: what came since its begin becomes visible as one version.
    ///
    /// # Errors
    /// When the scope has not begun.
    pub fn end(&mut self, scope: &Scope, outcome: ScopeOutcome) -> Result<TableSet> {
        self.table_of(scope)?.end(scope, outcome)?;
        self.ended += 1;
        self.publish();
        Ok(self.current())
    }

    /// Changes of some objects of a scope, in the change schema of its table: visible at once, and no end of the scope.
    ///
    /// # Errors
    /// When the scope's table is unknown, or the changes are not of the scope.
    pub fn targeted<'a>(
        &mut self,
        scope: &Scope,
        changes: impl IntoIterator<Item = &'a RecordBatch>,
    ) -> Result<TableSet> {
        self.table_of(scope)?.change(scope, changes)?;
        self.ended += 1;
        self.publish();
        Ok(self.current())
    }

    fn table_of(&mut self, scope: &Scope) -> Result<&mut Table> {
        let unknown = || Error::internal(format!("scope {scope} is of a table that this source does not have"));
        self.tables.get_mut(&scope.table).ok_or_else(unknown)
    }

    /// Makes the state of the tables the current set, here and for the source.
    pub(super) fn publish(&mut self) {
        let visible = self.tables.iter().map(|(name, table)| (Arc::clone(name), Arc::clone(table.visible())));
        let open = self.tables.values().flat_map(|table| table.open_scopes().cloned());
        self.current =
            TableSet { tables: Arc::new(visible.collect()), open: Arc::new(open.collect()), ended: self.ended };
        self.shared.publish(self.current.clone());
    }
}
