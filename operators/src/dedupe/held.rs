//! Rows that wait for the end of their stretch of time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use tidegate_pipeline::error::{Error, Result};

use crate::gather::{interleave_rows, take_rows};

/// A held row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    batch: u64,
    row: usize,
}

/// Rows kept out of the batches that they came in, so that one waiting row does not keep its batch alive.
#[derive(Debug, Default)]
pub(crate) struct Held {
    batches: BTreeMap<u64, RecordBatch>,
    /// The number of the next batch; while a step is handled, that of the step's own rows.
    next: u64,
    stored: usize,
}

impl Held {
    /// The place of a row of the batch that is being handled.
    pub(crate) fn arriving(&self, row: usize) -> Slot {
        Slot { batch: self.next, row }
    }

    /// Begins to handle a batch.
    pub(crate) fn begin(&mut self, rows: &RecordBatch) {
        self.batches.insert(self.next, rows.clone());
    }

    /// Ends handling a batch: of its rows, those at `slots` are kept and get new places.
    pub(crate) fn end<'a>(&mut self, slots: impl Iterator<Item = &'a mut Slot>) -> Result<()> {
        let Some(rows) = self.batches.remove(&self.next) else { return Ok(()) };
        let mut indices = Vec::new();
        for slot in slots.filter(|slot| slot.batch == self.next) {
            indices.push(slot.row as u64);
            slot.row = indices.len() - 1;
        }
        if !indices.is_empty() {
            self.stored += indices.len();
            self.batches.insert(self.next, take_rows(&rows, &UInt64Array::from(indices))?);
        }
        self.next += 1;
        Ok(())
    }

    /// Keeps whole batches, one row of it per slot, as a restored snapshot brings them.
    pub(crate) fn adopt(&mut self, rows: RecordBatch) -> impl Fn(usize) -> Slot + use<> {
        let batch = self.next;
        self.stored += rows.num_rows();
        self.batches.insert(batch, rows);
        self.next += 1;
        move |row| Slot { batch, row }
    }

    /// The rows at `slots`, in that order, in as few batches as their schemas allow.
    pub(crate) fn gather(&self, slots: &[Slot]) -> Result<Vec<RecordBatch>> {
        let mut gathered = Vec::new();
        let mut rest = slots;
        while let Some(first) = rest.first() {
            let schema = self.batch(first)?.schema_ref();
            let mut same = 0;
            for slot in rest {
                let known = self.batch(slot)?.schema_ref();
                if !Arc::ptr_eq(known, schema) && known != schema {
                    break;
                }
                same += 1;
            }
            let (run, later) = rest.split_at(same);
            gathered.push(self.interleave(run)?);
            rest = later;
        }
        Ok(gathered)
    }

    fn interleave(&self, slots: &[Slot]) -> Result<RecordBatch> {
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        let mut batches = Vec::new();
        let mut indices = Vec::with_capacity(slots.len());
        for slot in slots {
            let batch = self.batch(slot)?;
            let number = *numbers.entry(slot.batch).or_insert_with(|| {
                batches.push(batch);
                batches.len() - 1
            });
            indices.push((number, slot.row));
        }
        interleave_rows(&batches, &indices)
    }

    fn batch(&self, slot: &Slot) -> Result<&RecordBatch> {
        self.batches.get(&slot.batch).ok_or_else(|| Error::internal("a held row is not there"))
    }

    /// Whether so few of the stored rows are still waited for that it pays to store them anew.
    pub(crate) fn is_sparse(&self, waiting: usize) -> bool {
        self.stored > 2 * waiting + 1024
    }

    /// Stores the rows at `slots` anew and drops all others.
    pub(crate) fn compact(&mut self, slots: &mut [&mut Slot]) -> Result<()> {
        let old: Vec<Slot> = slots.iter().map(|slot| **slot).collect();
        let gathered = self.gather(&old)?;
        self.batches.clear();
        self.stored = 0;
        let mut slots = slots.iter_mut();
        for rows in gathered {
            let count = rows.num_rows();
            let place = self.adopt(rows);
            for (row, slot) in (0..count).zip(&mut slots) {
                **slot = place(row);
            }
        }
        Ok(())
    }
}
