//! What a refreshed scope changes in its table.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::row::Rows;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::Result;
use crate::step::Scope;
use crate::table::{Layout, Operation, TableVersion};

/// The rows of one scope as they are stored, against which its pages are compared as they come, in any
/// order. Holds the key and a hash of each stored row for as long as the scope is being collected.
pub(super) struct ScopeDifference {
    layout: Arc<Layout>,
    /// The stored rows, in key order; what follows is by row over all of these.
    stored: Vec<RecordBatch>,
    keys: Rows,
    hashes: Vec<u128>,
    seen: Vec<bool>,
    /// The hashes of the keys of rows that are not stored.
    new: HashSet<u128>,
    /// Where the last row was found: providers mostly give rows in the order of their keys.
    hint: usize,
}

/// What a page changes.
pub(super) struct PageDifference {
    /// Inserts and updates in the order of the page, in the table's change schema; `None` if there are none.
    pub(super) changes: Option<RecordBatch>,
    /// The rows whose keys had been seen before in this refresh of the scope; `None` if there are none.
    pub(super) duplicates: Option<RecordBatch>,
}

/// What a row of a page is.
enum Row {
    Unchanged,
    Changed(Operation),
    Duplicate,
}

impl ScopeDifference {
    /// The difference to the rows of `scope` in `table`.
    pub(super) fn new(table: &TableVersion, scope: &Scope) -> Result<Self> {
        let layout = Arc::clone(table.layout());
        let stored = table.rows_of_scope(scope)?;
        let rows = stored.iter().map(RecordBatch::num_rows).sum();
        let mut keys = layout.no_keys(rows);
        let mut hashes = Vec::with_capacity(rows);
        for batch in &stored {
            layout.append_keys(&mut keys, batch)?;
            hashes.extend(layout.hashes(batch)?);
        }
        Ok(Self { layout, stored, keys, hashes, seen: vec![false; rows], new: HashSet::new(), hint: 0 })
    }

    /// Compares a page (in the table's schema) and remembers what it has seen.
    pub(super) fn page(&mut self, page: &RecordBatch) -> Result<PageDifference> {
        let keys = self.layout.keys(page)?;
        let hashes = self.layout.hashes(page)?;
        let (mut changed, mut operations, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
        // A loop over rows: whether a row is a duplicate depends on those before it. Keys and hashes come from
        // kernels; here each row costs a comparison of keys where rows come in order, a search where not.
        for (index, (key, hash)) in (0_u64..).zip(keys.iter().zip(hashes)) {
            match self.classify(key.data(), hash) {
                Row::Unchanged => {}
                Row::Duplicate => duplicates.push(index),
                Row::Changed(operation) => {
                    changed.push(index);
                    operations.push(operation);
                }
            }
        }
        let take = |rows: Vec<u64>| -> Result<Option<RecordBatch>> {
            let taken = (!rows.is_empty()).then(|| take_record_batch(page, &UInt64Array::from(rows)));
            Ok(taken.transpose()?)
        };
        let changes = take(changed)?.map(|rows| self.layout.changes_of(operations.into_iter(), &rows)).transpose()?;
        Ok(PageDifference { changes, duplicates: take(duplicates)? })
    }

    /// The rows that no page has held, as deletes: what a complete scope has lost.
    pub(super) fn missing(&self) -> Result<Vec<RecordBatch>> {
        let mut deletes = Vec::new();
        let mut from = 0;
        for batch in &self.stored {
            let seen = &self.seen[from..from + batch.num_rows()];
            from += batch.num_rows();
            if seen.iter().all(|seen| *seen) {
                continue;
            }
            let missing: BooleanArray = seen.iter().map(|seen| Some(!seen)).collect();
            let rows = filter_record_batch(batch, &missing)?;
            deletes.push(self.layout.changes(Operation::Delete, &rows)?);
        }
        Ok(deletes)
    }

    fn classify(&mut self, key: &[u8], hash: u128) -> Row {
        let Some(stored) = self.find(key) else {
            let is_first = self.new.insert(xxh3_128(key));
            return if is_first { Row::Changed(Operation::Insert) } else { Row::Duplicate };
        };
        self.hint = stored + 1;
        if std::mem::replace(&mut self.seen[stored], true) {
            Row::Duplicate
        } else if self.hashes[stored] == hash {
            Row::Unchanged
        } else {
            Row::Changed(Operation::Update)
        }
    }

    /// The stored row that has this key.
    fn find(&self, key: &[u8]) -> Option<usize> {
        let rows = self.keys.num_rows();
        let has_key = |row: usize| row < rows && self.keys.row(row).data() == key;
        if has_key(self.hint) {
            return Some(self.hint);
        }
        let row = crate::table::lower_bound(&self.keys, 0, key);
        has_key(row).then_some(row)
    }
}
