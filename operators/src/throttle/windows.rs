//! `once_after` and `accumulate_within`: a stretch of time for each group, counted and ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StructArray, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use async_trait::async_trait;
use hashbrown::{HashMap, HashSet};
use tidegate_pipeline::compaction::{Gone, Keyed, StateLayout};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{
    BATCH_ROWS, InputIndex, Operator, Output, SnapshotMode, StateReader, StateWriter, unreadable_section,
};
use tidegate_pipeline::rows::PortIndex;
use tidegate_pipeline::step::{StepHeader, StepTime};

use crate::dedupe::held::{Held, Slot};
use crate::dedupe::kept::{key_column, unreadable};
use crate::dedupe::{Limits, Rows};
use crate::keys::Key;

/// The name of the snapshot of groups: `key` (16 bytes), `opened` (ms), `count`, `order`, and with `once_after` `row`
/// (a struct of the row's columns).
const OPEN: &str = "throttled.v1";
/// The name of the snapshot of groups whose time is over: `key`.
const OVER: &str = "throttled_over.v1";
/// The name of the snapshot of the order that the next group gets: `order`.
const ORDER: &str = "throttled_order.v1";

/// How what is written here is merged.
pub(super) fn layout() -> StateLayout {
    let open = Keyed { key: vec!["key".to_owned()], gone: Gone::In(OVER.to_owned()), expires: None };
    StateLayout::default().keyed(OPEN, open).newest(ORDER)
}

/// Which row of a group leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// The first one, when its time is over.
    FirstAtTheEnd,
    /// The one that makes so many, at once.
    Nth(u64),
}

/// The stretch of time of a group.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// The time of its first row, in ms.
    opened: i64,
    /// How many rows have come.
    count: u64,
    /// Which one it is, counted in order of opening.
    order: u64,
    /// The held row.
    slot: Option<Slot>,
}

pub(super) struct Windows {
    rows: Rows,
    limits: Limits,
    leaving: Leaving,
    count: Option<Arc<str>>,
    open: HashMap<Key, Window>,
    /// Groups in the order in which their time is over: (opened, order).
    ends: BTreeSet<(i64, u64, Key)>,
    held: Held,
    next_order: u64,
    saved_order: u64,
    changed: HashSet<Key>,
    crowded_out: u64,
    warned: u64,
}

/// The rows that leave, in order, and how many each stands for.
#[derive(Default)]
struct Ended {
    slots: Vec<Slot>,
    counts: Vec<u64>,
}

impl Windows {
    pub(super) fn new(rows: Rows, limits: Limits, leaving: Leaving, count: Option<Arc<str>>) -> Self {
        Self {
            rows,
            limits,
            leaving,
            count,
            open: HashMap::new(),
            ends: BTreeSet::new(),
            held: Held::default(),
            next_order: 0,
            saved_order: 0,
            changed: HashSet::new(),
            crowded_out: 0,
            warned: 0,
        }
    }

    /// Ends the groups whose time is over at `now`.
    fn end_due(&mut self, now: i64, gone: &mut Ended) {
        while let Some((opened, _, key)) = self.ends.first().copied() {
            if now.saturating_sub(opened) < self.limits.within {
                break;
            }
            self.end(key, gone);
        }
    }

    fn end(&mut self, key: Key, gone: &mut Ended) {
        let Some(window) = self.open.remove(&key) else { return };
        self.ends.remove(&(window.opened, window.order, key));
        self.changed.insert(key);
        if let Some(slot) = window.slot {
            gone.slots.push(slot);
            gone.counts.push(window.count);
        }
    }

    /// Counts a row; the count, where it is the one that leaves now.
    fn take(&mut self, key: Key, now: i64, row: usize, gone: &mut Ended) -> Option<u64> {
        if !self.open.contains_key(&key) {
            while self.open.len() >= self.limits.max_keys {
                let Some((_, _, oldest)) = self.ends.first().copied() else { break };
                self.end(oldest, gone);
                self.crowded_out += 1;
            }
            let slot = (self.leaving == Leaving::FirstAtTheEnd).then(|| self.held.arriving(row));
            self.open.insert(key, Window { opened: now, count: 0, order: self.next_order, slot });
            self.ends.insert((now, self.next_order, key));
            self.next_order += 1;
        }
        self.changed.insert(key);
        let window = self.open.get_mut(&key)?;
        window.count += 1;
        let count = window.count;
        let reached = self.leaving == Leaving::Nth(count);
        if reached {
            self.end(key, gone);
        }
        reached.then_some(count)
    }

    fn emit_held(&self, gone: &Ended, out: &mut Output) -> Result<()> {
        let mut counts = gone.counts.as_slice();
        for rows in self.held.gather(&gone.slots)? {
            let (own, later) = counts.split_at(rows.num_rows());
            counts = later;
            out.emit(PortIndex(0), self.counted(rows, own)?);
        }
        Ok(())
    }

    /// `rows` with how many each stands for.
    fn counted(&self, rows: RecordBatch, counts: &[u64]) -> Result<RecordBatch> {
        let Some(name) = &self.count else { return Ok(rows) };
        let schema = with_count(rows.schema_ref(), name);
        let counts = counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX));
        let counts: ArrayRef = Arc::new(counts.collect::<Int64Array>());
        let mut columns = rows.columns().to_vec();
        match rows.schema_ref().index_of(name) {
            Ok(place) => columns[place] = counts,
            Err(_) => columns.push(counts),
        }
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// Keeps the held rows of the batch that was handled, and drops rows that nobody waits for, when they are many.
    fn settle_held(&mut self, keys: &[Key]) -> Result<()> {
        let mut seen = HashSet::new();
        let of_this_batch = keys.iter().filter(|key| seen.insert(**key));
        let mut slots: Vec<(Key, Slot)> =
            of_this_batch.filter_map(|key| Some((*key, self.open.get(key)?.slot?))).collect();
        self.held.end(slots.iter_mut().map(|(_, slot)| slot))?;
        for (key, slot) in slots {
            if let Some(window) = self.open.get_mut(&key) {
                window.slot = Some(slot);
            }
        }
        self.tidy()
    }

    fn tidy(&mut self) -> Result<()> {
        if self.held.is_sparse(self.open.len()) {
            let windows = self.open.values_mut();
            let mut slots: Vec<(u64, &mut Slot)> =
                windows.filter_map(|window| Some((window.order, window.slot.as_mut()?))).collect();
            slots.sort_unstable_by_key(|(order, _)| *order);
            self.held.compact(&mut slots.into_iter().map(|(_, slot)| slot).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Warns at the first group that had to go early, then each time their number has doubled.
    fn warn(&mut self) {
        if self.crowded_out > self.warned * 2 {
            self.warned = self.crowded_out;
            let groups = self.crowded_out;
            tracing::warn!(node = %self.rows.node, groups, "`max_groups` is reached: the oldest groups end before their time.");
        }
    }
}

/// `schema` with a column of counts.
pub(super) fn with_count(schema: &SchemaRef, name: &str) -> SchemaRef {
    let count = Arc::new(Field::new(name, DataType::Int64, true));
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    match schema.index_of(name) {
        Ok(place) => fields[place] = count,
        Err(_) => fields.push(count),
    }
    Arc::new(Schema::new(fields))
}

#[async_trait]
impl Operator for Windows {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let examined = self.rows.examine(step, rows, out)?;
        let now = step.time.0;
        let mut gone = Ended::default();
        self.held.begin(&examined.rows);
        self.end_due(now, &mut gone);
        // Row by row, because each row decides about those after it.
        let taken: Vec<Option<u64>> =
            examined.keys.iter().enumerate().map(|(row, key)| self.take(*key, now, row, &mut gone)).collect();
        self.emit_held(&gone, out)?;
        let leaving: BooleanArray = taken.iter().map(|count| Some(count.is_some())).collect();
        if leaving.true_count() > 0 {
            let counts: Vec<u64> = taken.into_iter().flatten().collect();
            out.emit(PortIndex(0), self.counted(filter_record_batch(&examined.rows, &leaving)?, &counts)?);
        }
        self.settle_held(&examined.keys)?;
        self.warn();
        Ok(())
    }

    fn deadline(&self) -> Option<StepTime> {
        let first = self.ends.first().filter(|_| self.leaving == Leaving::FirstAtTheEnd);
        first.map(|(opened, _, _)| StepTime(opened.saturating_add(self.limits.within)))
    }

    async fn on_deadline(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        let mut gone = Ended::default();
        self.end_due(step.time.0, &mut gone);
        self.emit_held(&gone, out)?;
        self.tidy()
    }

    async fn end_of_input(&mut self, _: &StepHeader, out: &mut Output) -> Result<()> {
        let mut gone = Ended::default();
        while let Some((_, _, key)) = self.ends.first().copied() {
            self.end(key, &mut gone);
        }
        self.emit_held(&gone, out)?;
        self.tidy()
    }

    fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let mut changed = std::mem::take(&mut self.changed);
        if writer.mode == SnapshotMode::Full {
            changed = self.open.keys().copied().collect();
        }
        let (mut open, mut over) = (Vec::new(), Vec::new());
        for key in changed {
            match self.open.get(&key) {
                Some(window) => open.push((key, *window)),
                None => over.push(key),
            }
        }
        if !over.is_empty() {
            over.sort_unstable();
            let keys = Arc::new(key_column(over.into_iter())?) as ArrayRef;
            writer.put(OVER, RecordBatch::try_from_iter([("key", keys)])?);
        }
        open.sort_unstable_by_key(|(_, window)| window.order);
        match self.leaving {
            Leaving::Nth(_) => put(writer, open_batch(&open, None)?),
            Leaving::FirstAtTheEnd => {
                let slots: Vec<Slot> = open.iter().filter_map(|(_, window)| window.slot).collect();
                let mut rest = open.as_slice();
                for rows in self.held.gather(&slots)? {
                    let (these, later) = rest.split_at(rows.num_rows());
                    put(writer, open_batch(these, Some(rows))?);
                    rest = later;
                }
            }
        }
        if self.next_order != self.saved_order || writer.mode == SnapshotMode::Full {
            let order = Arc::new(UInt64Array::from(vec![self.next_order])) as ArrayRef;
            writer.put(ORDER, RecordBatch::try_from_iter([("order", order)])?);
            self.saved_order = self.next_order;
        }
        Ok(())
    }

    fn restore(&mut self, reader: StateReader) -> Result<()> {
        for (name, batch) in &reader.batches {
            match name.as_str() {
                OPEN => self.restore_open(batch)?,
                OVER => {
                    let keys = batch.column(0).as_fixed_size_binary_opt().ok_or_else(|| unreadable(OVER))?;
                    for row in 0..batch.num_rows() {
                        self.end(Key::from_bytes(keys.value(row))?, &mut Ended::default());
                    }
                }
                ORDER => {
                    let order = batch.column(0).as_primitive_opt::<UInt64Type>().ok_or_else(|| unreadable(ORDER))?;
                    self.next_order = order.iter().next().flatten().unwrap_or_default();
                }
                other => return Err(unreadable_section(other)),
            }
        }
        self.saved_order = self.next_order;
        self.changed.clear();
        self.tidy()
    }
}

impl Windows {
    fn restore_open(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |index: usize| batch.columns().get(index).ok_or_else(|| unreadable(OPEN));
        let keys = column(0)?.as_fixed_size_binary_opt().ok_or_else(|| unreadable(OPEN))?;
        let opened = column(1)?.as_primitive_opt::<Int64Type>().ok_or_else(|| unreadable(OPEN))?;
        let counts = column(2)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| unreadable(OPEN))?;
        let orders = column(3)?.as_primitive_opt::<UInt64Type>().ok_or_else(|| unreadable(OPEN))?;
        let place = match batch.columns().get(4) {
            Some(rows) => {
                let rows = rows.as_struct_opt().ok_or_else(|| unreadable(OPEN))?;
                Some(self.held.adopt(RecordBatch::from(rows.clone())))
            }
            None => None,
        };
        // Row by row: later rows of a key replace earlier ones.
        for row in 0..batch.num_rows() {
            let key = Key::from_bytes(keys.value(row))?;
            self.end(key, &mut Ended::default());
            let (opened, order) = (opened.value(row), orders.value(row));
            let slot = place.as_ref().map(|place| place(row));
            self.open.insert(key, Window { opened, count: counts.value(row), order, slot });
            self.ends.insert((opened, order, key));
        }
        Ok(())
    }
}

fn put(writer: &mut StateWriter, open: RecordBatch) {
    for from in (0..open.num_rows()).step_by(BATCH_ROWS) {
        writer.put(OPEN, open.slice(from, BATCH_ROWS.min(open.num_rows() - from)));
    }
}

fn open_batch(open: &[(Key, Window)], rows: Option<RecordBatch>) -> Result<RecordBatch> {
    let numbers = |of: fn(&Window) -> u64| -> ArrayRef {
        Arc::new(open.iter().map(|(_, window)| of(window)).collect::<UInt64Array>())
    };
    let mut fields = vec![
        Field::new("key", DataType::FixedSizeBinary(Key::SIZE), false),
        Field::new("opened", DataType::Int64, false),
        Field::new("count", DataType::UInt64, false),
        Field::new("order", DataType::UInt64, false),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(key_column(open.iter().map(|(key, _)| *key))?),
        Arc::new(open.iter().map(|(_, window)| window.opened).collect::<Int64Array>()),
        numbers(|window| window.count),
        numbers(|window| window.order),
    ];
    if let Some(rows) = rows {
        let row = StructArray::from(rows);
        fields.push(Field::new("row", row.data_type().clone(), false));
        columns.push(Arc::new(row));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
