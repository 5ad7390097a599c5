//! Immutable versions of a table.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::row::Rows;
use datafusion::common::ScalarValue;

use super::changes::LEADING;
use super::merge::merge;
use super::{Changes, FEW_CHANGES, LEAF_ROWS, Layout, Operation, TableDefinition};
use crate::error::{Error, Result};
use crate::step::{Scope, ScopeOutcome};

/// Rows in key order, at least one, with the keys of the first and the last.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) rows: RecordBatch,
    pub(super) first: Box<[u8]>,
    pub(super) last: Box<[u8]>,
}

impl Leaf {
    /// A leaf of rows that stand in key order.
    pub(super) fn new(layout: &Layout, rows: RecordBatch) -> Result<Self> {
        let key = |index: usize| -> Result<Box<[u8]>> { Ok(layout.keys(&rows.slice(index, 1))?.row(0).data().into()) };
        let (first, last) = (key(0)?, key(rows.num_rows().saturating_sub(1))?);
        Ok(Self { rows, first, last })
    }
}

/// One immutable version of a table.
#[derive(Debug, Clone)]
pub struct TableVersion {
    layout: Arc<Layout>,
    leaves: Vec<Arc<Leaf>>,
    scopes: Arc<BTreeMap<Scope, ScopeOutcome>>,
    rows: RowsToken,
    made_by: Option<Arc<MadeBy>>,
}

/// Two versions with the same token have the same rows.
#[derive(Debug, Clone, Default)]
struct RowsToken(Arc<()>);

impl PartialEq for RowsToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The few changes that made a version's rows of those of another.
#[derive(Debug)]
struct MadeBy {
    older: RowsToken,
    changes: Vec<RecordBatch>,
}

/// What distinguishes the rows of a version from those of an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Nothing.
    Same,
    /// At most [`FEW_CHANGES`] rows.
    Few,
    /// More, or what is not known without a comparison.
    Unknown,
}

/// Rows that have changed: as they are, and as they were, both in key order. An inserted row is only among the first, a
/// deleted one only among the second.
#[derive(Debug, Clone)]
pub struct ChangedRows {
    /// The rows as they are.
    pub now: RecordBatch,
    /// The rows as they were.
    pub before: RecordBatch,
}

impl TableVersion {
    /// A table without rows, none of whose scopes has been collected.
    ///
    /// # Errors
    /// When the definition lacks a column that it needs (`account_id`, `region`, its key) or has one that
    /// cannot be compared.
    pub fn empty(definition: TableDefinition) -> Result<Self> {
        Ok(Self {
            layout: Arc::new(Layout::new(definition)?),
            leaves: Vec::new(),
            scopes: Arc::default(),
            rows: RowsToken::default(),
            made_by: None,
        })
    }

    /// What distinguishes its rows from those of `older`, as far as that is known without looking at rows.
    pub fn since(&self, older: &Self) -> Since {
        match &self.made_by {
            _ if self.rows == older.rows => Since::Same,
            Some(made) if made.older == older.rows => Since::Few,
            _ => Since::Unknown,
        }
    }

    /// The rows that are not as they were in `older`, where there are [`Since::Few`] of them. A row may be among them that
    /// is as it was. The cost is that of the leaves which they stand in.
    ///
    /// # Errors
    /// When the rows cannot be put together.
    pub fn changed_rows(&self, older: &Self) -> Result<Option<ChangedRows>> {
        let Some(made) = self.made_by.as_ref().filter(|made| made.older == older.rows) else { return Ok(None) };
        let changes = concat_batches(self.layout.change_schema(), &made.changes)?;
        let touched = RecordBatch::try_new(Arc::clone(self.layout.schema()), changes.columns()[LEADING..].to_vec())?;
        let touched = self.layout.keys(&touched)?;
        let mut keys: Vec<&[u8]> = (0..touched.num_rows()).map(|row| touched.row(row).data()).collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(Some(ChangedRows { now: self.rows_of(&keys)?, before: older.rows_of(&keys)? }))
    }

    /// The rows of these keys, which are in order.
    fn rows_of(&self, keys: &[&[u8]]) -> Result<RecordBatch> {
        let found = self.places(keys)?.into_iter().flatten();
        let found: Vec<RecordBatch> = found.map(|(leaf, row)| self.leaves[leaf].rows.slice(row, 1)).collect();
        Ok(concat_batches(self.layout.schema(), &found)?)
    }

    /// Where the rows of these keys, which are in order, stand: leaf and row. Each leaf that may have one of them is looked
    /// at once.
    fn places(&self, keys: &[&[u8]]) -> Result<Vec<Option<(usize, usize)>>> {
        let mut places = vec![None; keys.len()];
        let mut looked_at: Option<(usize, Rows)> = None;
        for (key, found) in keys.iter().zip(&mut places) {
            let place = self.leaves.partition_point(|leaf| *leaf.last < **key);
            let Some(leaf) = self.leaves.get(place) else { break };
            let rows = match looked_at.take() {
                Some((known, rows)) if known == place => rows,
                _ => self.layout.keys(&leaf.rows)?,
            };
            let row = lower_bound(&rows, 0, key);
            *found = (row < rows.num_rows() && rows.row(row).data() == *key).then_some((place, row));
            looked_at = Some((place, rows));
        }
        Ok(places)
    }

    /// The rows, in key order, in batches of at most 4,096.
    pub fn batches(&self) -> impl Iterator<Item = &RecordBatch> {
        self.leaves.iter().map(|leaf| &leaf.rows)
    }

    /// What the table is.
    pub fn definition(&self) -> &Arc<TableDefinition> {
        self.layout.definition()
    }

    /// How collecting each of its scopes last ended.
    pub fn scopes(&self) -> &BTreeMap<Scope, ScopeOutcome> {
        &self.scopes
    }

    /// How many rows it has.
    pub fn row_count(&self) -> usize {
        self.batches().map(RecordBatch::num_rows).sum()
    }

    /// All rows in one batch, in key order. Copies them.
    ///
    /// # Errors
    /// When they are too large for one batch.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        Ok(concat_batches(self.layout.schema(), self.batches())?)
    }

    /// Whether the table's scope in that account and region was last collected to the end.
    pub fn complete_for(&self, account_id: &str, region: &str) -> bool {
        let table = Arc::clone(&self.definition().name);
        let scope = Scope { account_id: account_id.into(), region: region.into(), table };
        self.scopes.get(&scope) == Some(&ScopeOutcome::Complete)
    }

    /// The row of that account and region which `key` identifies, as a batch of one row; `key` has a value
    /// for each of the definition's key columns (`account_id` and `region` left out).
    ///
    /// # Errors
    /// When `key` has another number of values, or values of other types, than the table's key.
    pub fn get(&self, account_id: &str, region: &str, key: &[ScalarValue]) -> Result<Option<RecordBatch>> {
        let key = self.layout.key_of(account_id, region, key)?;
        let Some(leaf) = self.leaves.get(self.leaves.partition_point(|leaf| leaf.last < key)) else {
            return Ok(None);
        };
        let keys = self.layout.keys(&leaf.rows)?;
        let row = lower_bound(&keys, 0, &key);
        let found = row < keys.num_rows() && keys.row(row).data() == key.as_ref();
        Ok(found.then(|| leaf.rows.slice(row, 1)))
    }

    /// Which of these keys have a row.
    ///
    /// # Errors
    /// When the keys of its rows cannot be computed.
    pub(crate) fn stores(&self, keys: &[&[u8]]) -> Result<Vec<bool>> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|&index| keys[index]);
        let sorted: Vec<&[u8]> = order.iter().map(|&index| keys[index]).collect();
        let mut stored = vec![false; keys.len()];
        for (index, place) in order.into_iter().zip(self.places(&sorted)?) {
            stored[index] = place.is_some();
        }
        Ok(stored)
    }

    /// The rows of one scope, in key order: slices of the table's batches, nothing is copied.
    ///
    /// # Errors
    /// When their keys cannot be computed.
    pub fn rows_of_scope(&self, scope: &Scope) -> Result<Vec<RecordBatch>> {
        if scope.table != self.definition().name {
            return Ok(Vec::new());
        }
        let prefix = self.layout.prefix(scope)?;
        let inside = |key: &[u8]| key.starts_with(&prefix);
        let from = self.leaves.partition_point(|leaf| leaf.last < prefix);
        let mut slices = Vec::new();
        for leaf in self.leaves[from..].iter().take_while(|leaf| leaf.first < prefix || inside(&leaf.first)) {
            if inside(&leaf.first) && inside(&leaf.last) {
                slices.push(leaf.rows.clone());
                continue;
            }
            let keys = self.layout.keys(&leaf.rows)?;
            let first = lower_bound(&keys, 0, &prefix);
            let end = boundary(first, keys.num_rows(), |row| inside(keys.row(row).data()));
            if first < end {
                slices.push(leaf.rows.slice(first, end - first));
            }
        }
        Ok(slices)
    }

    /// What turns `older` into this version: changes in key order, a delete carrying the row as it was.
    /// Leaves that both share are not looked at, so the cost is that of the leaves that differ. All columns
    /// are compared. Outcomes of scopes are not part of it.
    ///
    /// # Errors
    /// When the two are versions of tables with different columns.
    pub fn difference(&self, older: &Self) -> Result<Changes> {
        if self.layout.change_schema() != older.layout.change_schema() {
            return Err(Error::internal(format!("two versions of `{}` differ in columns", self.definition().name)));
        }
        let theirs: HashSet<_> = older.leaves.iter().map(Arc::as_ptr).collect();
        let ours: HashSet<_> = self.leaves.iter().map(Arc::as_ptr).collect();
        let only_new = self.leaves.iter().filter(|leaf| !theirs.contains(&Arc::as_ptr(leaf))).cloned().collect();
        let only_old = older.leaves.iter().filter(|leaf| !ours.contains(&Arc::as_ptr(leaf))).cloned().collect();
        Comparison::new(&self.layout, only_new, only_old)?.run()
    }

    /// The contents as inserts: what a reader that joins later begins with.
    ///
    /// # Errors
    /// When the changes cannot be built.
    pub fn as_inserts(&self) -> Result<Changes> {
        let batches = self.batches().map(|rows| self.layout.changes(Operation::Insert, rows));
        Ok(Changes { schema: Arc::clone(self.layout.change_schema()), batches: batches.collect::<Result<_>>()? })
    }

    /// The version after `changes`, batches of the table's change schema. Of several changes of one row the
    /// last counts; a delete of a row that is not there does nothing.
    pub(crate) fn with_changes(&self, changes: &[RecordBatch]) -> Result<Self> {
        let count: usize = changes.iter().map(RecordBatch::num_rows).sum();
        if count == 0 {
            return Ok(self.clone());
        }
        let leaves = merge(&self.layout, &self.leaves, changes)?;
        let made_by = || Arc::new(MadeBy { older: self.rows.clone(), changes: changes.to_vec() });
        Ok(Self {
            layout: Arc::clone(&self.layout),
            leaves,
            scopes: Arc::clone(&self.scopes),
            rows: RowsToken::default(),
            made_by: (count <= FEW_CHANGES).then(made_by),
        })
    }

    /// The version in which `scope` has ended with `outcome`.
    pub(super) fn with_outcome(&self, scope: Scope, outcome: ScopeOutcome) -> Self {
        let mut next = self.clone();
        Arc::make_mut(&mut next.scopes).insert(scope, outcome);
        next
    }

    /// How its rows are compared.
    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    #[cfg(test)]
    pub(super) fn leaves(&self) -> &[Arc<Leaf>] {
        &self.leaves
    }
}

/// The first row at or after `from` whose key is not below `key`.
pub(crate) fn lower_bound(keys: &Rows, from: usize, key: &[u8]) -> usize {
    boundary(from, keys.num_rows(), |row| keys.row(row).data() < key)
}

/// The first row in `from..to` for which `before` does not hold, by halving.
fn boundary(mut from: usize, mut to: usize, before: impl Fn(usize) -> bool) -> usize {
    while from < to {
        let middle = from.midpoint(to);
        if before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// Goes through leaves row by row, with the keys and values of the leaf it is in.
struct Cursor<'a> {
    layout: &'a Layout,
    leaves: Vec<Arc<Leaf>>,
    leaf: usize,
    row: usize,
    current: Option<(Rows, Rows)>,
}

impl<'a> Cursor<'a> {
    fn new(layout: &'a Layout, leaves: Vec<Arc<Leaf>>) -> Result<Self> {
        let mut cursor = Self { layout, leaves, leaf: 0, row: 0, current: None };
        cursor.load()?;
        Ok(cursor)
    }

    fn load(&mut self) -> Result<()> {
        self.current = match self.leaves.get(self.leaf) {
            Some(leaf) => Some((self.layout.keys(&leaf.rows)?, self.layout.values(&leaf.rows)?)),
            None => None,
        };
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.current.as_ref().map(|(keys, _)| keys.row(self.row).data())
    }

    fn values(&self) -> Option<&[u8]> {
        self.current.as_ref().map(|(_, values)| values.row(self.row).data())
    }

    fn advance(&mut self) -> Result<()> {
        self.row += 1;
        if self.current.as_ref().is_some_and(|(keys, _)| self.row >= keys.num_rows()) {
            self.leaf += 1;
            self.row = 0;
            self.load()?;
        }
        Ok(())
    }
}

/// Compares two sequences of leaves that share none.
struct Comparison<'a> {
    layout: &'a Layout,
    new: Cursor<'a>,
    old: Cursor<'a>,
    picks: Vec<(usize, usize)>,
    operations: Vec<Operation>,
    batches: Vec<RecordBatch>,
}

impl<'a> Comparison<'a> {
    fn new(layout: &'a Layout, new: Vec<Arc<Leaf>>, old: Vec<Arc<Leaf>>) -> Result<Self> {
        let (new, old) = (Cursor::new(layout, new)?, Cursor::new(layout, old)?);
        Ok(Self { layout, new, old, picks: Vec::new(), operations: Vec::new(), batches: Vec::new() })
    }

    /// Merges the two. A loop over rows, since keys decide at each row which side goes on; it compares bytes
    /// in place and copies only rows that differ, a batch at a time.
    fn run(mut self) -> Result<Changes> {
        loop {
            let operation = match (self.new.key(), self.old.key()) {
                (None, None) => break,
                (Some(_), None) => Some(Operation::Insert),
                (None, Some(_)) => Some(Operation::Delete),
                (Some(new), Some(old)) if new < old => Some(Operation::Insert),
                (Some(new), Some(old)) if new > old => Some(Operation::Delete),
                _ if self.new.values() == self.old.values() => None,
                _ => Some(Operation::Update),
            };
            self.take(operation)?;
        }
        self.flush()?;
        Ok(Changes { schema: Arc::clone(self.layout.change_schema()), batches: self.batches })
    }

    fn take(&mut self, operation: Option<Operation>) -> Result<()> {
        let (pick, new, old) = match operation {
            None => (None, true, true),
            Some(Operation::Insert) => (Some((self.new.leaf, self.new.row)), true, false),
            Some(Operation::Update) => (Some((self.new.leaf, self.new.row)), true, true),
            Some(Operation::Delete) => (Some((self.new.leaves.len() + self.old.leaf, self.old.row)), false, true),
        };
        self.picks.extend(pick);
        self.operations.extend(operation);
        if new {
            self.new.advance()?;
        }
        if old {
            self.old.advance()?;
        }
        if self.picks.len() >= LEAF_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.picks.is_empty() {
            return Ok(());
        }
        let pieces: Vec<&RecordBatch> = self.new.leaves.iter().chain(&self.old.leaves).map(|leaf| &leaf.rows).collect();
        let rows = interleave_record_batch(&pieces, &self.picks)?;
        self.batches.push(self.layout.changes_of(self.operations.drain(..), &rows)?);
        self.picks.clear();
        Ok(())
    }
}
