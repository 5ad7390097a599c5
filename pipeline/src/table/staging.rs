//! One table as the sequencer maintains it: the visible version, and what came since a scope's begin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::{Layout, TableDefinition, TableVersion};
use crate::error::{Error, Result};
use crate::rows::adapt;
use crate::step::{Scope, ScopeOutcome};

/// The reason recorded for a scope whose refresh never ended.
pub(crate) const INTERRUPTED: &str = "the refresh was interrupted";

/// What has come for an open scope since its begin.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// Batches of the change schema, in order of arrival.
    pub(super) changes: Vec<RecordBatch>,
    /// How many of them a snapshot has written.
    pub(super) saved: usize,
}

/// A table that is being maintained: what lies between a scope's begin and end is staged, and becomes
/// visible as one version at its end.
#[derive(Debug)]
pub struct Table {
    pub(super) visible: Arc<TableVersion>,
    pub(super) staged: BTreeMap<Scope, Staged>,
    /// The version that the last snapshot described.
    pub(super) saved: Arc<TableVersion>,
    /// The scopes that have begun or ended since the last snapshot.
    pub(super) touched: BTreeSet<Scope>,
}

impl Table {
    /// An empty table.
    ///
    /// # Errors
    /// As [`TableVersion::empty`].
    pub fn new(definition: TableDefinition) -> Result<Self> {
        let empty = Arc::new(TableVersion::empty(definition)?);
        let saved = Arc::clone(&empty);
        Ok(Self { visible: empty, staged: BTreeMap::new(), saved, touched: BTreeSet::new() })
    }

    /// The visible version.
    pub fn visible(&self) -> &Arc<TableVersion> {
        &self.visible
    }

    /// The scopes that have begun and not ended.
    pub fn open_scopes(&self) -> impl Iterator<Item = &Scope> {
        self.staged.keys()
    }

    /// A scope's refresh begins. If an earlier one of it was left open by a crash, that one ends now as
    /// failed, and the version that this makes visible is given.
    ///
    /// # Errors
    /// When what the interrupted refresh left cannot be applied.
    pub fn begin(&mut self, scope: &Scope) -> Result<Option<Arc<TableVersion>>> {
        let interrupted = match self.staged.contains_key(scope) {
            true => Some(self.end(scope, ScopeOutcome::Failed(INTERRUPTED.to_owned()))?),
            false => None,
        };
        self.staged.insert(scope.clone(), Staged::default());
        self.touched.insert(scope.clone());
        Ok(interrupted)
    }

    /// Keeps `changes` (the table's change schema) until the scope's end.
    ///
    /// # Errors
    /// When the scope is not open, or the changes are not of the scope.
    pub fn stage(&mut self, scope: &Scope, changes: &RecordBatch) -> Result<()> {
        let changes = self.of_scope(scope, changes)?;
        let staged = self.staged.get_mut(scope).ok_or_else(|| not_open(scope, "a page"))?;
        staged.changes.push(changes);
        Ok(())
    }

    /// Makes `changes` (the table's change schema) of some objects of a scope visible. What is staged for the scope, and
    /// how it last ended, stay as they are.
    ///
    /// # Errors
    /// When the changes are not of the scope.
    pub fn change<'a>(
        &mut self,
        scope: &Scope,
        changes: impl IntoIterator<Item = &'a RecordBatch>,
    ) -> Result<Arc<TableVersion>> {
        let changes = changes.into_iter().map(|batch| self.of_scope(scope, batch)).collect::<Result<Vec<_>>>()?;
        self.visible = Arc::new(self.visible.with_changes(&changes)?);
        Ok(Arc::clone(&self.visible))
    }

    /// `changes` in the change schema as it is today.
    fn of_scope(&self, scope: &Scope, changes: &RecordBatch) -> Result<RecordBatch> {
        let layout: &Layout = self.visible.layout();
        let changes = adapt(changes, layout.change_schema())?;
        let rows =
            RecordBatch::try_new(Arc::clone(layout.schema()), changes.columns()[super::changes::LEADING..].to_vec())?;
        match layout.all_in_scope(&rows, scope)? {
            true => Ok(changes),
            false => Err(Error::internal(format!("a page of scope {scope} holds rows of another scope"))),
        }
    }

    /// The scope's refresh ends: all that was staged for it becomes visible as one version, whatever the
    /// outcome is, because it was journaled. (A refresh that does not complete journals no deletes.)
    ///
    /// # Errors
    /// When the scope is not open.
    pub fn end(&mut self, scope: &Scope, outcome: ScopeOutcome) -> Result<Arc<TableVersion>> {
        let staged = self.staged.get(scope).ok_or_else(|| not_open(scope, "an end"))?;
        let next = self.visible.with_changes(&staged.changes)?.with_outcome(scope.clone(), outcome);
        self.staged.remove(scope);
        self.touched.insert(scope.clone());
        self.visible = Arc::new(next);
        Ok(Arc::clone(&self.visible))
    }
}

fn not_open(scope: &Scope, what: &str) -> Error {
    Error::internal(format!("{what} came for scope {scope}, which has not begun"))
}
