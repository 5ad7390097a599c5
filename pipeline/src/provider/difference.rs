//! What a refreshed scope changes in its table.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::row::Rows;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::Result;
use crate::step::Scope;
use crate::table::{Layout, Operation, TableVersion};

/// Objects of a scope that are read by themselves.
#[derive(Debug)]
pub(super) struct Targets {
    ids: HashSet<Arc<str>>,
    /// The column that their ids stand in.
    column: usize,
}

impl Targets {
    /// The objects with these ids in a table; `None` where its rows do not say which object they belong to.
    pub(super) fn new<'a>(table: &TableVersion, ids: impl IntoIterator<Item = &'a Arc<str>>) -> Option<Self> {
        let definition = table.definition();
        let column = definition.schema.index_of(definition.target?).ok()?;
        Some(Self { ids: ids.into_iter().cloned().collect(), column })
    }

    /// The rows that belong to these objects.
    pub(super) fn rows_of(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let column = rows.column(self.column).as_string::<i32>();
        let belongs = column.iter().map(|id| Some(id.is_some_and(|id| self.ids.contains(id))));
        Ok(filter_record_batch(rows, &belongs.collect::<BooleanArray>())?)
    }
}

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
    /// Where rows are stored that are not among those of the targets, if only targets are read.
    elsewhere: Option<Arc<TableVersion>>,
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
        Self::to(table, table.rows_of_scope(scope)?)
    }

    /// The difference to the rows of `targets` in `scope`. The other rows of the scope do not take part; but a row of a
    /// target that has the key of one of them replaces it: it has moved from one object to another.
    pub(super) fn of_targets(table: &Arc<TableVersion>, scope: &Scope, targets: &Targets) -> Result<Self> {
        let stored = table.rows_of_scope(scope)?;
        let stored = stored
            .iter()
            .map(|rows| targets.rows_of(rows))
            .filter(|rows| rows.as_ref().map_or(true, |rows| rows.num_rows() > 0));
        let stored = stored.collect::<Result<Vec<_>>>()?;
        Ok(Self { elsewhere: Some(Arc::clone(table)), ..Self::to(table, stored)? })
    }

    fn to(table: &TableVersion, stored: Vec<RecordBatch>) -> Result<Self> {
        let layout = Arc::clone(table.layout());
        let rows = stored.iter().map(RecordBatch::num_rows).sum();
        let mut keys = layout.no_keys(rows);
        let mut hashes = Vec::with_capacity(rows);
        for batch in &stored {
            layout.append_keys(&mut keys, batch)?;
            hashes.extend(layout.hashes(batch)?);
        }
        let (seen, new) = (vec![false; rows], HashSet::new());
        Ok(Self { layout, stored, keys, hashes, seen, new, hint: 0, elsewhere: None })
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
        self.find_moved(&keys, &changed, &mut operations)?;
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

    /// A row that seems to be new may be one that belonged to another object before.
    fn find_moved(&self, keys: &Rows, changed: &[u64], operations: &mut [Operation]) -> Result<()> {
        let Some(elsewhere) = &self.elsewhere else { return Ok(()) };
        let new: Vec<usize> = (0..operations.len()).filter(|&index| operations[index] == Operation::Insert).collect();
        let rows = new.iter().map(|&index| keys.row(changed[index] as usize)).collect::<Vec<_>>();
        let stored = elsewhere.stores(&rows.iter().map(|row| row.data()).collect::<Vec<_>>())?;
        for (index, _) in new.into_iter().zip(stored).filter(|(_, stored)| *stored) {
            operations[index] = Operation::Update;
        }
        Ok(())
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
