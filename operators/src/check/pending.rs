//! What has changed in tables since controls were last evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_pipeline::error::Result;
use tidegate_pipeline::table::{ChangedRows, Since, TableVersion};

/// What has changed in one table.
#[derive(Debug)]
enum Change {
    /// Few rows: the version that they were changed in, and the newest.
    Rows(Arc<TableVersion>, Arc<TableVersion>),
    /// Anything.
    Whole,
}

/// Tables that have changed, and what is known of how.
#[derive(Debug, Default)]
pub(super) struct Pending {
    changed: BTreeMap<Arc<str>, Change>,
    /// Tables that were collected again, changed or not.
    pub(super) refreshed: BTreeSet<Arc<str>>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.refreshed.is_empty()
    }

    /// The tables that have changed.
    pub(super) fn changed(&self) -> BTreeSet<Arc<str>> {
        self.changed.keys().cloned().collect()
    }

    /// A table has another version, in the place of `before` if there was one.
    pub(super) fn note(&mut self, table: &Arc<str>, before: Option<&Arc<TableVersion>>, now: &Arc<TableVersion>) {
        let Some(before) = before else {
            self.changed.insert(Arc::clone(table), Change::Whole);
            return;
        };
        let same_scopes = before.scopes() == now.scopes();
        let change = match now.since(before) {
            Since::Same if same_scopes => return,
            Since::Few if same_scopes && !self.changed.contains_key(table) => {
                Change::Rows(Arc::clone(before), Arc::clone(now))
            }
            _ if same_scopes && has_same_rows(before, now) => return,
            _ => Change::Whole,
        };
        self.changed.insert(Arc::clone(table), change);
    }

    /// The changed rows of each table of which it is known that only few have changed.
    ///
    /// # Errors
    /// When the rows of two versions do not fit together.
    pub(super) fn rows(&self) -> Result<BTreeMap<Arc<str>, ChangedRows>> {
        let mut rows = BTreeMap::new();
        for (table, change) in &self.changed {
            let Change::Rows(before, now) = change else { continue };
            if let Some(changed) = now.changed_rows(before)? {
                rows.insert(Arc::clone(table), changed);
            }
        }
        Ok(rows)
    }
}

/// Whether two versions of a table hold the same rows. Versions share the leaves that did not change, so looking at where
/// they lie is enough.
fn has_same_rows(a: &TableVersion, b: &TableVersion) -> bool {
    a.batches().count() == b.batches().count() && a.batches().zip(b.batches()).all(|(a, b)| std::ptr::eq(a, b))
}
