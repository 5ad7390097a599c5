//! When each key was last kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use tidegate_pipeline::compaction::{Expires, Gone, Keyed, StateLayout};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::operator::{BATCH_ROWS, SnapshotMode, StateReader, StateWriter, unreadable_section};

use crate::keys::Key;

use super::times::{Place, Times};
use super::{Clock, Limits};

/// The name of the snapshot of kept keys: `key` (16 bytes), `time` (ms; NULL: the key has been forgotten).
const KEPT: &str = "kept.v1";
/// The name of the snapshot of the newest time: `newest` (ms).
const CLOCK: &str = "clock.v1";
/// Into how many buckets the span of `within` is cut for freeing memory.
const BUCKETS: i64 = 64;
/// How many forgotten keys are noted at least before everything is written instead.
const LONG_NOTE: usize = 1 << 20;

/// The time at which each key was last kept.
///
/// A key whose time is `within` or more before the clock counts as absent. When it is really removed is a
/// matter of memory alone: whole buckets of old keys at once, and one by one, in the order of (time, key),
/// where `max_keys` is reached.
#[derive(Debug)]
pub(crate) struct Kept {
    limits: Limits,
    pub(crate) clock: Clock,
    times: Times,
    /// Keys by time, in buckets. What stands in a bucket counts only while the key's time is of that bucket.
    index: BTreeMap<i64, Bucket>,
    /// Keys that no earlier snapshot speaks for any more: forgotten before their time, or kept at an earlier time
    /// than before. With the time that they had.
    void: Vec<(Key, i64)>,
    /// Whether there were more of them than are worth noting.
    lost_track: bool,
    /// The clock as the last snapshot wrote it.
    saved_clock: Option<i64>,
    /// How many keys have been forgotten before their time.
    pub(crate) forgotten: u64,
}

/// Keys of one stretch of time.
#[derive(Debug)]
enum Bucket {
    /// As they came.
    Listed(Vec<Place>),
    /// The oldest first: keys are being forgotten one by one.
    Ordered(BinaryHeap<Reverse<(i64, Key)>>),
}

/// How what is written here is merged: with keys that are `within` or more (ms) behind the clock left out.
pub(crate) fn layout(within: i64) -> StateLayout {
    let expires = Expires { time: "time".to_owned(), clock: CLOCK.to_owned(), after: within };
    let key = vec!["key".to_owned()];
    let kept = Keyed { key, gone: Gone::Null("time".to_owned()), expires: Some(expires) };
    StateLayout::default().keyed(KEPT, kept).newest(CLOCK)
}

impl Kept {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            clock: Clock::default(),
            times: Times::default(),
            index: BTreeMap::new(),
            void: Vec::new(),
            lost_track: false,
            saved_clock: None,
            forgotten: 0,
        }
    }

    /// Whether a row of that time is too old to be compared.
    pub(crate) fn is_late(&self, time: i64) -> bool {
        self.clock.age(time) >= self.limits.within
    }

    /// Whether a row of `key` at `time`, which is not late, is no duplicate; then it is the kept one.
    pub(crate) fn admit(&mut self, key: Key, time: i64) -> bool {
        let (within, clock) = (self.limits.within, self.clock);
        let place = match self.times.find(key) {
            Some(place) => {
                let kept = self.times.at(place).time;
                if kept.abs_diff(time) < within.unsigned_abs() && clock.age(kept) < within {
                    return false;
                }
                if kept > time {
                    // Once the new time has expired, a snapshot must not bring the older one back.
                    self.void(key, kept);
                }
                self.times.set(place, time);
                place
            }
            None => {
                self.make_room();
                self.times.insert(key, time)
            }
        };
        self.list(place, key, time);
        true
    }

    fn list(&mut self, place: Place, key: Key, time: i64) {
        match self.index.entry(self.bucket(time)).or_insert_with(|| Bucket::Listed(Vec::new())) {
            Bucket::Listed(places) => places.push(place),
            Bucket::Ordered(keys) => keys.push(Reverse((time, key))),
        }
    }

    /// Frees the buckets in which every key is expired.
    pub(crate) fn free(&mut self) {
        let width = self.width();
        while let Some(oldest) = self.index.first_entry() {
            let bucket = *oldest.key();
            let last = bucket.saturating_mul(width).saturating_add(width - 1);
            if self.clock.age(last) < self.limits.within {
                break;
            }
            match oldest.remove() {
                Bucket::Listed(places) => {
                    for place in places {
                        if self.bucket(self.times.at(place).time) == bucket {
                            self.times.remove(place);
                        }
                    }
                }
                Bucket::Ordered(keys) => {
                    for Reverse((time, key)) in keys {
                        self.remove(key, time);
                    }
                }
            }
        }
    }

    /// Makes room for one more key: removes an expired key, else forgets the oldest.
    fn make_room(&mut self) {
        while self.times.len() >= self.limits.max_keys {
            let Some(bucket) = self.index.first_key_value().map(|(bucket, _)| *bucket) else { return };
            let Some((time, key)) = self.oldest_of(bucket) else {
                self.index.remove(&bucket);
                continue;
            };
            if self.remove(key, time) && self.clock.age(time) < self.limits.within {
                self.forgotten += 1;
                self.void(key, time);
            }
        }
    }

    /// Takes the oldest key of a bucket.
    fn oldest_of(&mut self, bucket: i64) -> Option<(i64, Key)> {
        if let Some(Bucket::Listed(places)) = self.index.get(&bucket) {
            let live = places.iter().filter(|place| self.times.is_live(**place)).map(|place| self.times.at(*place));
            let keys = live.filter(|entry| self.bucket(entry.time) == bucket);
            let ordered = Bucket::Ordered(keys.map(|entry| Reverse((entry.time, entry.key))).collect());
            self.index.insert(bucket, ordered);
        }
        match self.index.get_mut(&bucket) {
            Some(Bucket::Ordered(keys)) => keys.pop().map(|Reverse(oldest)| oldest),
            _ => None,
        }
    }

    /// Removes a key if it was last kept at `time`.
    fn remove(&mut self, key: Key, time: i64) -> bool {
        let place = self.times.find(key).filter(|place| self.times.at(*place).time == time);
        place.is_some_and(|place| self.times.remove(place))
    }

    /// What earlier snapshots say of a key does not hold any more.
    fn void(&mut self, key: Key, time: i64) {
        if self.lost_track {
            return;
        }
        self.void.push((key, time));
        if self.void.len() >= LONG_NOTE.max(self.times.len()) {
            let (clock, within) = (self.clock, self.limits.within);
            // A restored key that has expired counts as absent: only the others need to be told.
            self.void.retain(|(_, time)| clock.age(*time) < within);
            if self.void.len() >= LONG_NOTE.max(self.times.len()) / 2 {
                (self.void, self.lost_track) = (Vec::new(), true);
            }
        }
    }

    fn width(&self) -> i64 {
        (self.limits.within / BUCKETS).max(1)
    }

    fn bucket(&self, time: i64) -> i64 {
        time.div_euclid(self.width())
    }

    /// Writes what has changed, or all.
    pub(crate) fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let (clock, within) = (self.clock, self.limits.within);
        let lives = |time: i64| clock.age(time) < within;
        if std::mem::take(&mut self.lost_track) {
            writer.everything();
        }
        let void = std::mem::take(&mut self.void);
        let full = writer.mode == SnapshotMode::Full;
        let mut entries: Vec<(Key, Option<i64>)> = Vec::new();
        if full {
            self.times.unmark();
            for places in self.times.places().chunks(BATCH_ROWS) {
                let live = places.iter().map(|place| self.times.at(*place)).filter(|entry| lives(entry.time));
                entries.extend(live.map(|entry| (entry.key, Some(entry.time))));
                put(writer, &entries)?;
                entries.clear();
            }
        } else {
            entries.extend(void.into_iter().filter(|(_, time)| lives(*time)).map(|(key, _)| (key, None)));
            let changed = self.times.take_changed().into_iter().filter(|entry| lives(entry.time));
            entries.extend(changed.map(|entry| (entry.key, Some(entry.time))));
            entries.chunks(BATCH_ROWS).try_for_each(|entries| put(writer, entries))?;
        }
        if let Some(newest) = clock.newest.filter(|newest| full || self.saved_clock != Some(*newest)) {
            let newest = Arc::new(Int64Array::from(vec![newest]));
            writer.put(CLOCK, RecordBatch::try_from_iter([("newest", newest as _)])?);
            self.saved_clock = clock.newest;
        }
        Ok(())
    }

    /// Rebuilds what the snapshots describe.
    pub(crate) fn restore(&mut self, reader: StateReader) -> Result<()> {
        let kept = reader.batches.iter().filter(|(name, _)| name == KEPT);
        self.times.reserve(kept.map(|(_, batch)| batch.num_rows()).sum());
        for (name, batch) in reader.batches {
            match name.as_str() {
                KEPT => self.restore_entries(&batch)?,
                CLOCK => {
                    let first = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>());
                    self.clock.newest = first.ok_or_else(|| unreadable(CLOCK))?.iter().flatten().next();
                }
                other => return Err(unreadable_section(other)),
            }
        }
        self.saved_clock = self.clock.newest;
        self.times.unmark();
        Ok(())
    }

    fn restore_entries(&mut self, batch: &RecordBatch) -> Result<()> {
        let [keys, times] = batch.columns() else { return Err(unreadable(KEPT)) };
        let keys = keys.as_fixed_size_binary_opt().ok_or_else(|| unreadable(KEPT))?;
        let times = times.as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(KEPT))?;
        // Row by row: later rows of a key replace earlier ones.
        for row in 0..batch.num_rows() {
            let key = Key::from_bytes(keys.value(row))?;
            let time = times.is_valid(row).then(|| times.value(row));
            let place = match (self.times.find(key), time) {
                (Some(place), None) => {
                    self.times.remove(place);
                    continue;
                }
                (None, None) => continue,
                (Some(place), Some(time)) => {
                    self.times.set(place, time);
                    place
                }
                (None, Some(time)) => self.times.insert(key, time),
            };
            self.list(place, key, time.unwrap_or_default());
        }
        Ok(())
    }
}

/// A section of a known name that does not look as its format says.
pub(crate) fn unreadable(name: &str) -> Error {
    Error::internal(format!("the section `{name}` of the state has other columns than it should"))
}

/// Keys as a column.
pub(crate) fn key_column(keys: impl Iterator<Item = Key>) -> Result<FixedSizeBinaryArray> {
    let mut bytes = Vec::with_capacity(keys.size_hint().0 * Key::SIZE as usize);
    keys.for_each(|key| bytes.extend_from_slice(&key.bytes()));
    Ok(FixedSizeBinaryArray::try_new(Key::SIZE, Buffer::from_vec(bytes), None)?)
}

fn put(writer: &mut StateWriter, entries: &[(Key, Option<i64>)]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let schema = Schema::new(vec![
        Field::new("key", DataType::FixedSizeBinary(Key::SIZE), false),
        Field::new("time", DataType::Int64, true),
    ]);
    let keys = key_column(entries.iter().map(|(key, _)| *key))?;
    let times: Int64Array = entries.iter().map(|(_, time)| *time).collect();
    writer.put(KEPT, RecordBatch::try_new(Arc::new(schema), vec![Arc::new(keys), Arc::new(times)])?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_more_was_forgotten_than_is_worth_noting_everything_is_written_instead() {
        let mut kept = Kept::new(Limits { within: 1_000, max_keys: 2 });
        for n in 0..LONG_NOTE as u128 + 10 {
            assert!(kept.admit(Key::from(n), 5));
        }
        assert!(kept.lost_track && kept.void.is_empty(), "what is noted has a bound");
        let mut writer = StateWriter::new(SnapshotMode::Changes);
        kept.snapshot(&mut writer).unwrap();
        assert_eq!(writer.mode, SnapshotMode::Full);
        let rows: usize = writer.batches.iter().filter(|(name, _)| name == KEPT).map(|(_, rows)| rows.num_rows()).sum();
        assert_eq!(rows, 2);
        let mut next = StateWriter::new(SnapshotMode::Changes);
        kept.snapshot(&mut next).unwrap();
        assert_eq!((next.mode, next.batches.len()), (SnapshotMode::Changes, 0));
    }
}
