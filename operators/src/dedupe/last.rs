//! `keep: last`: the newest row of a key leaves when its stretch of time is over.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StructArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, UInt64Type};
use async_trait::async_trait;
use hashbrown::{HashMap, HashSet};
use tidegate_pipeline::compaction::{Gone, Keyed, StateLayout};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{
    BATCH_ROWS, InputIndex, Operator, Output, SnapshotMode, StateReader, StateWriter, unreadable_section,
};
use tidegate_pipeline::rows::PortIndex;
use tidegate_pipeline::step::{StepHeader, StepTime};

use crate::keys::Key;

use super::held::{Held, Slot};
use super::kept::{key_column, unreadable};
use super::{Clock, Examined, Late, Limits, Rows};

/// The name of the snapshot of held rows: `key` (16 bytes), `opened` and `time` (ms), `order`, `row` (a
/// struct of the row's columns).
const HELD: &str = "held.v1";
/// The name of the snapshot of keys whose row has left: `key`.
const LEFT: &str = "left.v1";
/// The name of the snapshot of the clock: `newest` (ms, NULL before the first row), `order`.
const CLOCK: &str = "held_clock.v1";

/// How what is written here is merged.
pub(super) fn layout() -> StateLayout {
    let key = vec!["key".to_owned()];
    let held = Keyed { key, gone: Gone::In(LEFT.to_owned()), expires: None };
    StateLayout::default().keyed(HELD, held).newest(CLOCK)
}

/// The row of a key that is held, and until when.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// The time of the first row, in ms: the window is over `within` later.
    opened: i64,
    /// The time of the held row, in ms.
    time: i64,
    /// Which window it is, counted in order of opening.
    order: u64,
    slot: Slot,
}

pub(super) struct Last {
    rows: Rows,
    limits: Limits,
    clock: Clock,
    windows: HashMap<Key, Window>,
    /// Windows in the order in which they end: (opened, order).
    ends: BTreeSet<(i64, u64, Key)>,
    held: Held,
    next_order: u64,
    changed: HashSet<Key>,
    /// The clock and the next order as the last snapshot wrote them.
    saved_clock: (Option<i64>, u64),
    early: u64,
    warned: u64,
}

impl Last {
    pub(super) fn new(rows: Rows, limits: Limits) -> Self {
        Self {
            rows,
            limits,
            clock: Clock::default(),
            windows: HashMap::new(),
            ends: BTreeSet::new(),
            held: Held::default(),
            next_order: 0,
            changed: HashSet::new(),
            saved_clock: (None, 0),
            early: 0,
            warned: 0,
        }
    }

    /// Closes the windows that are over.
    fn close_due(&mut self, leaving: &mut Vec<Slot>) {
        while let Some((opened, _, key)) = self.ends.first().copied() {
            if self.clock.age(opened) < self.limits.within {
                break;
            }
            leaving.extend(self.close(key));
        }
    }

    fn close(&mut self, key: Key) -> Option<Slot> {
        let window = self.windows.remove(&key)?;
        self.ends.remove(&(window.opened, window.order, key));
        self.changed.insert(key);
        Some(window.slot)
    }

    /// Takes a row that is not late: into the open window of its key, or into a new one.
    fn take(&mut self, key: Key, time: i64, slot: Slot, leaving: &mut Vec<Slot>) {
        let within = self.limits.within.unsigned_abs();
        if let Some(window) = self.windows.get_mut(&key) {
            if window.opened.abs_diff(time) < within {
                if time >= window.time {
                    (window.time, window.slot) = (time, slot);
                    self.changed.insert(key);
                }
                return;
            }
            leaving.extend(self.close(key));
        }
        while self.windows.len() >= self.limits.max_keys {
            let Some((_, _, oldest)) = self.ends.first().copied() else { break };
            leaving.extend(self.close(oldest));
            self.early += 1;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.windows.insert(key, Window { opened: time, time, order, slot });
        self.ends.insert((time, order, key));
        self.changed.insert(key);
    }

    fn handle(&mut self, step: &StepHeader, examined: &Examined, out: &mut Output) -> Result<()> {
        let mut leaving = Vec::new();
        // Row by row, because each row decides about those before and after it.
        for row in 0..examined.rows.num_rows() {
            let time = examined.time(row, step.time);
            let slot = self.held.arriving(row);
            self.clock.see(time, step.time);
            self.close_due(&mut leaving);
            if self.clock.age(time) < self.limits.within {
                self.take(examined.keys[row], time, slot, &mut leaving);
            } else if self.rows.late == Late::Pass {
                leaving.push(slot);
            } else {
                self.rows.reject_late(examined, row, out)?;
            }
        }
        self.emit(&leaving, out)
    }

    fn emit(&self, leaving: &[Slot], out: &mut Output) -> Result<()> {
        for rows in self.held.gather(leaving)? {
            out.emit(PortIndex(0), rows);
        }
        Ok(())
    }

    /// Drops rows that nobody waits for any more, when they are many.
    fn tidy(&mut self) -> Result<()> {
        if self.held.is_sparse(self.windows.len()) {
            let mut slots: Vec<(u64, &mut Slot)> =
                self.windows.values_mut().map(|window| (window.order, &mut window.slot)).collect();
            slots.sort_unstable_by_key(|(order, _)| *order);
            self.held.compact(&mut slots.into_iter().map(|(_, slot)| slot).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Warns at the first row that left early, then each time their number has doubled.
    fn warn(&mut self) {
        if self.early > self.warned * 2 {
            self.warned = self.early;
            tracing::warn!(
                node = %self.rows.node,
                early = self.early,
                "`max_keys` is reached: the oldest rows leave before their time, newer ones of their keys will follow"
            );
        }
    }
}

#[async_trait]
impl Operator for Last {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let examined = self.rows.examine(step, rows, out)?;
        self.held.begin(&examined.rows);
        self.handle(step, &examined, out)?;
        let mut arrived: Vec<&mut Window> = Vec::new();
        let mut seen = HashSet::new();
        let keys: Vec<Key> = examined.keys.iter().filter(|key| seen.insert(**key)).copied().collect();
        // One pass over the windows where they are few, else one look-up for each key of this batch.
        if self.windows.len() <= keys.len() {
            arrived.extend(self.windows.values_mut());
            arrived.sort_unstable_by_key(|window| window.order);
            self.held.end(arrived.into_iter().map(|window| &mut window.slot))?;
        } else {
            let mut slots: Vec<(Key, Slot)> =
                keys.iter().filter_map(|key| self.windows.get(key).map(|window| (*key, window.slot))).collect();
            self.held.end(slots.iter_mut().map(|(_, slot)| slot))?;
            for (key, slot) in slots {
                if let Some(window) = self.windows.get_mut(&key) {
                    window.slot = slot;
                }
            }
        }
        self.warn();
        self.tidy()
    }

    fn deadline(&self) -> Option<StepTime> {
        let first = self.ends.first().filter(|_| self.rows.time.is_none());
        first.map(|(opened, _, _)| StepTime(opened.saturating_add(self.limits.within)))
    }

    async fn on_deadline(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        let mut leaving = Vec::new();
        self.clock.see(step.time.0, step.time);
        self.close_due(&mut leaving);
        self.emit(&leaving, out)?;
        self.tidy()
    }

    async fn end_of_input(&mut self, _: &StepHeader, out: &mut Output) -> Result<()> {
        let mut leaving = Vec::new();
        while let Some((_, _, key)) = self.ends.first().copied() {
            leaving.extend(self.close(key));
        }
        self.emit(&leaving, out)?;
        self.tidy()
    }

    fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let mut changed = std::mem::take(&mut self.changed);
        if writer.mode == SnapshotMode::Full {
            changed = self.windows.keys().copied().collect();
        }
        let (mut open, mut left) = (Vec::new(), Vec::new());
        for key in changed {
            match self.windows.get(&key) {
                Some(window) => open.push((key, *window)),
                None => left.push(key),
            }
        }
        if !left.is_empty() {
            left.sort_unstable();
            writer
                .put(LEFT, RecordBatch::try_from_iter([("key", Arc::new(key_column(left.into_iter())?) as ArrayRef)])?);
        }
        open.sort_unstable_by_key(|(_, window)| window.order);
        let slots: Vec<Slot> = open.iter().map(|(_, window)| window.slot).collect();
        let mut rest = open.as_slice();
        for rows in self.held.gather(&slots)? {
            let (these, later) = rest.split_at(rows.num_rows());
            let held = held_batch(these, rows)?;
            for from in (0..held.num_rows()).step_by(BATCH_ROWS) {
                writer.put(HELD, held.slice(from, BATCH_ROWS.min(held.num_rows() - from)));
            }
            rest = later;
        }
        let clock = (self.clock.newest, self.next_order);
        if clock != self.saved_clock || writer.mode == SnapshotMode::Full {
            writer.put(CLOCK, clock_batch(self.clock, self.next_order)?);
            self.saved_clock = clock;
        }
        Ok(())
    }

    fn restore(&mut self, reader: StateReader) -> Result<()> {
        let held = reader.batches.iter().filter(|(name, _)| name == HELD);
        self.windows.reserve(held.map(|(_, batch)| batch.num_rows()).sum());
        for (name, batch) in &reader.batches {
            match name.as_str() {
                HELD => self.restore_held(batch)?,
                LEFT => {
                    let keys = batch.column(0).as_fixed_size_binary_opt().ok_or_else(|| unreadable(LEFT))?;
                    for row in 0..batch.num_rows() {
                        self.close(Key::from_bytes(keys.value(row))?);
                    }
                }
                CLOCK => {
                    let newest = batch.column(0).as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(CLOCK))?;
                    let order = batch.column(1).as_primitive_opt::<UInt64Type>().ok_or_else(|| unreadable(CLOCK))?;
                    self.clock.newest = newest.iter().next().flatten();
                    self.next_order = order.iter().next().flatten().unwrap_or_default();
                }
                other => return Err(unreadable_section(other)),
            }
        }
        self.saved_clock = (self.clock.newest, self.next_order);
        self.changed.clear();
        self.tidy()
    }
}

impl Last {
    fn restore_held(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |index: usize| batch.columns().get(index).ok_or_else(|| unreadable(HELD));
        let keys = column(0)?.as_fixed_size_binary_opt().ok_or_else(|| unreadable(HELD))?;
        let opened = column(1)?.as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(HELD))?;
        let times = column(2)?.as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(HELD))?;
        let orders = column(3)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| unreadable(HELD))?;
        let rows = column(4)?.as_struct_opt().ok_or_else(|| unreadable(HELD))?;
        let place = self.held.adopt(RecordBatch::from(rows.clone()));
        for row in 0..batch.num_rows() {
            let key = Key::from_bytes(keys.value(row))?;
            self.close(key);
            let (opened, order) = (opened.value(row), orders.value(row));
            self.windows.insert(key, Window { opened, time: times.value(row), order, slot: place(row) });
            self.ends.insert((opened, order, key));
        }
        Ok(())
    }
}

fn held_batch(windows: &[(Key, Window)], rows: RecordBatch) -> Result<RecordBatch> {
    let number = |of: fn(&Window) -> i64| -> ArrayRef {
        Arc::new(windows.iter().map(|(_, window)| of(window)).collect::<Int64Array>())
    };
    let row = StructArray::from(rows);
    let schema = Schema::new(vec![
        Field::new("key", DataType::FixedSizeBinary(Key::SIZE), false),
        Field::new("opened", DataType::Int64, false),
        Field::new("time", DataType::Int64, false),
        Field::new("order", DataType::UInt64, false),
        Field::new("row", row.data_type().clone(), false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(key_column(windows.iter().map(|(key, _)| *key))?),
        number(|window| window.opened),
        number(|window| window.time),
        Arc::new(windows.iter().map(|(_, window)| window.order).collect::<UInt64Array>()),
        Arc::new(row),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}

fn clock_batch(clock: Clock, next_order: u64) -> Result<RecordBatch> {
    let schema =
        Schema::new(vec![Field::new("newest", DataType::Int64, true), Field::new("order", DataType::UInt64, false)]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![clock.newest])), Arc::new(UInt64Array::from(vec![next_order]))];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
