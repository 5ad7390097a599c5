//! Merging changes into leaves: those that a change touches are copied, the others shared.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::row::Rows;

use super::changes::LEADING;
use super::version::{Leaf, lower_bound};
use super::{LEAF_ROWS, Layout, Operation};
use crate::error::Result;

/// A leaf smaller than this is joined with a neighbour when either is rewritten.
const SMALL_LEAF_ROWS: usize = LEAF_ROWS / 4;

/// Changes in key order, at most one for each key.
struct Edits {
    rows: RecordBatch,
    keys: Rows,
    /// Row in `rows`, and whether it is a delete.
    order: Vec<(usize, bool)>,
}

impl Edits {
    fn new(layout: &Layout, changes: &[RecordBatch]) -> Result<Self> {
        let changes = concat_batches(layout.change_schema(), changes)?;
        let rows = RecordBatch::try_new(Arc::clone(layout.schema()), changes.columns()[LEADING..].to_vec())?;
        let keys = layout.keys(&rows)?;
        let mut order: Vec<usize> = (0..rows.num_rows()).collect();
        if !order.is_sorted_by(|&a, &b| keys.row(a) < keys.row(b)) {
            // The latest change of a key comes first and is the one that stays.
            order.sort_unstable_by(|&a, &b| keys.row(a).cmp(&keys.row(b)).then(b.cmp(&a)));
            order.dedup_by(|later, kept| keys.row(*later) == keys.row(*kept));
        }
        let operations = changes.column(0).as_string::<i32>();
        let edit =
            |row: usize| -> Result<_> { Ok((row, Operation::from_name(operations.value(row))? == Operation::Delete)) };
        let order = order.into_iter().map(edit).collect::<Result<_>>()?;
        Ok(Self { rows, keys, order })
    }

    /// The first edit at or after `from` whose key is not below `key`.
    fn before(&self, from: usize, key: &[u8]) -> usize {
        from + self.order[from..].partition_point(|&(row, _)| self.keys.row(row).data() < key)
    }
}

/// The leaves after `changes`, batches of the change schema in the order in which they came.
pub(super) fn merge(layout: &Layout, leaves: &[Arc<Leaf>], changes: &[RecordBatch]) -> Result<Vec<Arc<Leaf>>> {
    if changes.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(leaves.to_vec());
    }
    let edits = Edits::new(layout, changes)?;
    let mut merged: Vec<Arc<Leaf>> = Vec::with_capacity(leaves.len() + 1);
    let mut run = Run::new(layout, &edits);
    let mut next = 0;
    if leaves.is_empty() {
        run.add_edits(0..edits.order.len());
    }
    for (index, leaf) in leaves.iter().enumerate() {
        let end = match leaves.get(index + 1) {
            Some(following) => edits.before(next, &following.first),
            None => edits.order.len(),
        };
        let touching = next..end;
        next = end;
        if touching.is_empty() && !run.wants_more() {
            run.finish(&mut merged)?;
            merged.push(Arc::clone(leaf));
            continue;
        }
        if !run.is_started()
            && let Some(small) = merged.pop_if(|previous| previous.rows.num_rows() < SMALL_LEAF_ROWS)
        {
            run.add_leaf(&small, 0..0)?;
        }
        run.add_leaf(leaf, touching)?;
    }
    run.finish(&mut merged)?;
    Ok(merged)
}

/// Neighbouring leaves that are rewritten together.
struct Run<'a> {
    layout: &'a Layout,
    edits: &'a Edits,
    leaves: Vec<RecordBatch>,
    /// The rows of the result: piece (0 = the edits, then the leaves) and row.
    picks: Vec<(usize, usize)>,
}

impl<'a> Run<'a> {
    fn new(layout: &'a Layout, edits: &'a Edits) -> Self {
        Self { layout, edits, leaves: Vec::new(), picks: Vec::new() }
    }

    fn is_started(&self) -> bool {
        !self.leaves.is_empty()
    }

    /// Whether it has become so small that the next leaf should join it.
    fn wants_more(&self) -> bool {
        self.is_started() && self.picks.len() < SMALL_LEAF_ROWS
    }

    fn add_edits(&mut self, touching: Range<usize>) {
        let kept = self.edits.order[touching].iter().filter(|(_, delete)| !delete);
        self.picks.extend(kept.map(|&(row, _)| (0, row)));
    }

    /// Adds a leaf with the edits that touch it. Searches for each edit's place; rows between are taken as
    /// ranges.
    fn add_leaf(&mut self, leaf: &Leaf, touching: Range<usize>) -> Result<()> {
        self.leaves.push(leaf.rows.clone());
        let piece = self.leaves.len();
        let rows = leaf.rows.num_rows();
        let mut at = 0;
        if !touching.is_empty() {
            let keys = self.layout.keys(&leaf.rows)?;
            for &(row, delete) in &self.edits.order[touching] {
                let key = self.edits.keys.row(row);
                let place = lower_bound(&keys, at, key.data());
                self.picks.extend((at..place).map(|row| (piece, row)));
                let replaces = place < rows && keys.row(place).data() == key.data();
                at = place + usize::from(replaces);
                if !delete {
                    self.picks.push((0, row));
                }
            }
        }
        self.picks.extend((at..rows).map(|row| (piece, row)));
        Ok(())
    }

    /// Writes the leaves of the run, evenly filled, and empties it.
    fn finish(&mut self, merged: &mut Vec<Arc<Leaf>>) -> Result<()> {
        if !self.picks.is_empty() {
            let pieces: Vec<&RecordBatch> = std::iter::once(&self.edits.rows).chain(&self.leaves).collect();
            let count = self.picks.len().div_ceil(LEAF_ROWS);
            for picks in self.picks.chunks(self.picks.len().div_ceil(count)) {
                let rows = interleave_record_batch(&pieces, picks)?;
                merged.push(Arc::new(Leaf::new(self.layout, rows)?));
            }
        }
        self.leaves.clear();
        self.picks.clear();
        Ok(())
    }
}
