//! When each key was last kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use hashbrown::HashTable;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::operator::{SnapshotMode, StateReader, StateWriter};

use crate::keys::Key;

use super::{Clock, Limits};

/// The name of the snapshot of kept keys: `key` (16 bytes), `time` (ms; NULL: the key has been forgotten).
const KEPT: &str = "kept.v1";
/// The name of the snapshot of the newest time: `newest` (ms).
const CLOCK: &str = "clock.v1";
/// Into how many buckets the span of `within` is cut for freeing memory.
const BUCKETS: i64 = 64;
/// From how many noted changes on the note is cleaned, where no snapshot takes it.
const LONG_NOTE: usize = 1 << 20;

/// A change of what is kept.
#[derive(Debug, Clone, Copy)]
struct Change {
    key: Key,
    time: i64,
    /// False: forgotten before its time.
    kept: bool,
}

/// The time at which each key was last kept.
///
/// A key whose time is `within` or more before the clock counts as absent. When it is really removed is a
/// matter of memory alone: whole buckets of old keys at once, and one by one, in the order of (time, key),
/// where `max_keys` is reached.
#[derive(Debug)]
pub(super) struct Kept {
    limits: Limits,
    pub(super) clock: Clock,
    times: HashTable<(Key, i64)>,
    /// Keys by time, in buckets; an entry counts only if `times` has the same time for the key.
    index: BTreeMap<i64, BinaryHeap<Reverse<(i64, Key)>>>,
    /// What has changed since the last snapshot, in order.
    changes: Vec<Change>,
    /// At how many changes those that no longer matter are dropped, where no snapshot takes them.
    long: usize,
    /// How many keys have been forgotten before their time.
    pub(super) forgotten: u64,
}

impl Kept {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            clock: Clock::default(),
            times: HashTable::new(),
            index: BTreeMap::new(),
            changes: Vec::new(),
            long: LONG_NOTE,
            forgotten: 0,
        }
    }

    /// Whether a row of that time is too old to be compared.
    pub(super) fn is_late(&self, time: i64) -> bool {
        self.clock.age(time) >= self.limits.within
    }

    /// Whether a row of `key` at `time`, which is not late, is no duplicate; then it is the kept one.
    pub(super) fn admit(&mut self, key: Key, time: i64) -> bool {
        let (within, clock) = (self.limits.within, self.clock);
        let near = |kept: i64| kept.abs_diff(time) < within.unsigned_abs() && clock.age(kept) < within;
        match self.times.find_mut(key.hash(), |(known, _)| *known == key) {
            Some((_, kept)) if near(*kept) => return false,
            Some((_, kept)) => *kept = time,
            None => {
                self.make_room();
                self.times.insert_unique(key.hash(), (key, time), |(key, _)| key.hash());
            }
        }
        self.index.entry(self.bucket(time)).or_default().push(Reverse((time, key)));
        self.note(Change { key, time, kept: true });
        true
    }

    /// Frees the buckets in which every key is expired.
    pub(super) fn free(&mut self) {
        let width = self.width();
        while let Some(oldest) = self.index.first_entry() {
            let last = oldest.key().saturating_mul(width).saturating_add(width - 1);
            if self.clock.age(last) < self.limits.within {
                break;
            }
            for Reverse((time, key)) in oldest.remove() {
                self.remove(key, time);
            }
        }
    }

    /// Makes room for one more key: removes an expired key, else forgets the oldest.
    fn make_room(&mut self) {
        while self.times.len() >= self.limits.max_keys {
            let Some(mut oldest) = self.index.first_entry() else { return };
            let Some(Reverse((time, key))) = oldest.get_mut().pop() else {
                oldest.remove();
                continue;
            };
            if self.remove(key, time) && self.clock.age(time) < self.limits.within {
                self.forgotten += 1;
                self.note(Change { key, time, kept: false });
            }
        }
    }

    /// Removes a key if it was last kept at `time`.
    fn remove(&mut self, key: Key, time: i64) -> bool {
        match self.times.find_entry(key.hash(), |entry| *entry == (key, time)) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    fn note(&mut self, change: Change) {
        self.changes.push(change);
        if self.changes.len() >= self.long {
            let (clock, within) = (self.clock, self.limits.within);
            // A restored key that has expired counts as absent: only the others need to be told.
            self.changes.retain(|change| clock.age(change.time) < within);
            self.long = LONG_NOTE.max(2 * self.changes.len());
        }
    }

    fn width(&self) -> i64 {
        (self.limits.within / BUCKETS).max(1)
    }

    fn bucket(&self, time: i64) -> i64 {
        time.div_euclid(self.width())
    }

    /// Writes what has changed, or all.
    pub(super) fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let (clock, within) = (self.clock, self.limits.within);
        let lives = |time: i64| clock.age(time) < within;
        let changes = std::mem::take(&mut self.changes);
        self.long = LONG_NOTE;
        let entries: Vec<(Key, Option<i64>)> = match writer.mode {
            SnapshotMode::Full => {
                let mut all: Vec<_> = self.times.iter().filter(|(_, time)| lives(*time)).copied().collect();
                all.sort_unstable_by_key(|(key, time)| (*time, *key));
                all.into_iter().map(|(key, time)| (key, Some(time))).collect()
            }
            SnapshotMode::Changes => {
                let live = changes.into_iter().filter(|change| lives(change.time));
                live.map(|change| (change.key, change.kept.then_some(change.time))).collect()
            }
        };
        if !entries.is_empty() {
            writer.put(KEPT, entries_batch(&entries)?);
        }
        if let Some(newest) = self.clock.newest {
            let newest = Arc::new(Int64Array::from(vec![newest]));
            writer.put(CLOCK, RecordBatch::try_from_iter([("newest", newest as _)])?);
        }
        Ok(())
    }

    /// Rebuilds what the snapshots describe.
    pub(super) fn restore(&mut self, reader: StateReader) -> Result<()> {
        for (name, batch) in &reader.batches {
            match name.as_str() {
                KEPT => self.restore_entries(batch)?,
                CLOCK => {
                    let newest = batch.column(0).as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(CLOCK))?;
                    self.clock.newest = newest.iter().flatten().next();
                }
                other => return Err(unreadable(other)),
            }
        }
        Ok(())
    }

    fn restore_entries(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = batch.column(0).as_fixed_size_binary_opt().ok_or_else(|| unreadable(KEPT))?;
        let times = batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(KEPT))?;
        for row in 0..batch.num_rows() {
            let key = Key::from_bytes(keys.value(row))?;
            if let Ok(entry) = self.times.find_entry(key.hash(), |(known, _)| *known == key) {
                entry.remove();
            }
            if times.is_valid(row) {
                let time = times.value(row);
                self.times.insert_unique(key.hash(), (key, time), |(key, _)| key.hash());
                self.index.entry(self.bucket(time)).or_default().push(Reverse((time, key)));
            }
        }
        Ok(())
    }
}

pub(super) fn unreadable(name: &str) -> Error {
    Error::user(format!("the state of this node holds `{name}`, which this program cannot read"))
        .with_remedy("run the program version that wrote it, or begin anew with --fresh")
}

/// Keys as a column.
pub(super) fn key_column(keys: impl Iterator<Item = Key>) -> Result<FixedSizeBinaryArray> {
    let keys: Vec<Option<[u8; 16]>> = keys.map(|key| Some(key.bytes())).collect();
    Ok(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter(), Key::SIZE)?)
}

fn entries_batch(entries: &[(Key, Option<i64>)]) -> Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("key", DataType::FixedSizeBinary(Key::SIZE), false),
        Field::new("time", DataType::Int64, true),
    ]);
    let keys = key_column(entries.iter().map(|(key, _)| *key))?;
    let times: Int64Array = entries.iter().map(|(_, time)| *time).collect();
    Ok(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(keys), Arc::new(times)])?)
}
