//! Merging rows by key.
//!
//! The changes are read from the newest to the oldest, and the first row of a key that is met counts; then the base,
//! of which the rows count whose keys were not met. So only the keys of changes are kept in memory, and of those only
//! a share at a time: each pass looks at the keys of one share.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_128;

use super::merge::{Extent, Gather, last_place};
use super::{Expires, Gone, Keyed, Sections, Sink, column, unexpected};
use crate::error::{Error, Result};

/// Keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

type Seen = HashSet<u128, BuildHasherDefault<AsIs>>;

pub(super) fn merge(
    chain: &dyn Sections,
    name: &str,
    rule: &Keyed,
    extent: Extent,
    keys_at_once: usize,
    sink: &mut dyn Sink,
) -> Result<()> {
    // Rows of a base that says nothing of what is gone stay in their order; else it is read like changes.
    let first_change = usize::from(is_clean(chain, name, rule)?);
    let passes = changed_rows(chain, first_change, name, rule)?.div_ceil(keys_at_once.max(1)).max(1);
    let expired = match (&rule.expires, extent) {
        (Some(expires), Extent::Whole) => Expired::at(chain, expires)?,
        _ => None,
    };
    let mut merging = Merging { name, rule, extent, expired, share: 0, passes, seen: Seen::default(), types: None };
    let mut gone = Gone::section(&rule.gone).map(|name| Vanished { name, batches: Vec::new() });
    let mut gather = Gather::new(name, sink);
    let mut any = None;
    for share in 0..passes {
        merging.begin(share);
        for segment in (first_change..chain.segments()).rev() {
            merging.changes(chain, segment, &mut gather, &mut gone, &mut any)?;
        }
        for segment in 0..first_change.min(chain.segments()) {
            merging.base(chain, segment, &mut gather, &mut any)?;
        }
    }
    gather.finish(any.as_ref())?;
    match gone {
        Some(gone) if extent == Extent::Changes => gone.write(sink),
        _ => Ok(()),
    }
}

/// Whether the oldest segment says of no key that it is gone. Then a key has several rows there only where later ones
/// have later times: so much a node owes.
fn is_clean(chain: &dyn Sections, name: &str, rule: &Keyed) -> Result<bool> {
    if chain.segments() == 0 {
        return Ok(true);
    }
    for (at, found) in chain.names(0).iter().enumerate() {
        if Some(found.as_str()) == Gone::section(&rule.gone) {
            return Ok(false);
        }
        if found == name && rule.gone.of(name, &chain.batch(0, at)?)?.is_some_and(|gone| gone.true_count() > 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many rows the changes have.
fn changed_rows(chain: &dyn Sections, first: usize, name: &str, rule: &Keyed) -> Result<usize> {
    let mut rows = 0;
    for segment in first..chain.segments() {
        for (at, found) in chain.names(segment).iter().enumerate() {
            if found == name || Some(found.as_str()) == Gone::section(&rule.gone) {
                rows += chain.batch(segment, at)?.num_rows();
            }
        }
    }
    Ok(rows)
}

impl Gone {
    /// The section of its own that gone keys stand in.
    fn section(&self) -> Option<&str> {
        match self {
            Self::In(section) => Some(section),
            _ => None,
        }
    }

    /// Which rows of a batch say that their key is gone; `None`: none.
    fn of(&self, name: &str, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        Ok(match self {
            Self::Never | Self::In(_) => None,
            Self::Null(of) => Some(arrow::compute::is_null(column(batch, name, of)?)?),
            Self::False(of) => {
                let held = column(batch, name, of)?.as_boolean_opt().ok_or_else(|| unexpected(name, of))?;
                Some(arrow::compute::not(held)?)
            }
            Self::Is(of, text) => {
                let texts = column(batch, name, of)?.as_string_opt::<i32>().ok_or_else(|| unexpected(name, of))?;
                Some(texts.iter().map(|found| Some(found == Some(text))).collect())
            }
        })
    }
}

/// Gone keys that stand in a section of their own.
struct Vanished<'a> {
    name: &'a str,
    batches: Vec<RecordBatch>,
}

impl Vanished<'_> {
    fn write(self, sink: &mut dyn Sink) -> Result<()> {
        let mut gather = Gather::new(self.name, sink);
        for batch in self.batches {
            gather.add(batch)?;
        }
        gather.finish(None)
    }
}

/// Rows that count as gone by their time.
struct Expired<'a> {
    rule: &'a Expires,
    clock: i64,
}

impl<'a> Expired<'a> {
    fn at(chain: &dyn Sections, rule: &'a Expires) -> Result<Option<Self>> {
        let Some((segment, section)) = last_place(chain, &rule.clock) else { return Ok(None) };
        let batch = chain.batch(segment, section)?;
        let first = batch.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>());
        let clock = first.ok_or_else(|| unexpected(&rule.clock, "newest"))?.iter().flatten().next();
        Ok(clock.map(|clock| Self { rule, clock }))
    }

    fn times<'b>(&self, name: &str, batch: &'b RecordBatch) -> Result<&'b Int64Array> {
        let of = &self.rule.time;
        column(batch, name, of)?.as_primitive_opt().ok_or_else(|| unexpected(name, of))
    }

    fn is_past(&self, time: i64) -> bool {
        self.clock.saturating_sub(time) >= self.rule.after
    }
}

struct Merging<'a> {
    name: &'a str,
    rule: &'a Keyed,
    extent: Extent,
    expired: Option<Expired<'a>>,
    share: usize,
    passes: usize,
    seen: Seen,
    /// The types of the key's columns, which must be the same everywhere: else equal keys would not meet.
    types: Option<Vec<DataType>>,
}

impl Merging<'_> {
    fn begin(&mut self, share: usize) {
        self.share = share;
        self.seen.clear();
    }

    fn changes(
        &mut self,
        chain: &dyn Sections,
        segment: usize,
        gather: &mut Gather<'_>,
        gone: &mut Option<Vanished<'_>>,
        any: &mut Option<RecordBatch>,
    ) -> Result<()> {
        for (at, found) in chain.names(segment).iter().enumerate().rev() {
            if found == self.name {
                let batch = chain.batch(segment, at)?;
                let wanted = self.newest(&batch)?;
                gather.add(filter_record_batch(&batch, &wanted)?)?;
                any.get_or_insert(batch);
            } else if let Some(gone) = gone.as_mut().filter(|gone| gone.name == found) {
                let batch = chain.batch(segment, at)?;
                let keys = self.keys(&batch)?;
                let first = self.first_met(&keys);
                if self.extent == Extent::Changes {
                    gone.batches.push(filter_record_batch(&batch, &first)?);
                }
            }
        }
        Ok(())
    }

    /// A clean base: its rows in their order, but for those whose keys were met.
    fn base(
        &mut self,
        chain: &dyn Sections,
        segment: usize,
        gather: &mut Gather<'_>,
        any: &mut Option<RecordBatch>,
    ) -> Result<()> {
        let name = self.name;
        for (at, _) in chain.names(segment).iter().enumerate().filter(|(_, found)| *found == name) {
            let batch = chain.batch(segment, at)?;
            let keys = self.keys(&batch)?;
            let unmet = keys.iter().map(|key| Some(self.is_mine(*key) && !self.seen.contains(key))).collect();
            let wanted = self.without_gone(&batch, unmet)?;
            gather.add(filter_record_batch(&batch, &wanted)?)?;
            any.get_or_insert(batch);
        }
        Ok(())
    }

    fn is_mine(&self, key: u128) -> bool {
        // The upper half: the lower one decides about places in `seen`.
        self.passes == 1 || ((key >> 64) % self.passes as u128) as usize == self.share
    }

    /// The rows of a batch of changes that count.
    fn newest(&mut self, batch: &RecordBatch) -> Result<BooleanArray> {
        let keys = self.keys(batch)?;
        let first = self.first_met(&keys);
        self.without_gone(batch, first)
    }

    /// The last row of each key that was not met before. Row by row from the end, because each decides about those
    /// before it.
    fn first_met(&mut self, keys: &[u128]) -> BooleanArray {
        let mut wanted = vec![false; keys.len()];
        for (row, key) in keys.iter().enumerate().rev() {
            wanted[row] = self.is_mine(*key) && self.seen.insert(*key);
        }
        BooleanArray::from(wanted)
    }

    /// `rows` but for those that say that something is gone, where that need not be told any more.
    fn without_gone(&self, batch: &RecordBatch, rows: BooleanArray) -> Result<BooleanArray> {
        if self.extent == Extent::Changes {
            return Ok(rows);
        }
        let mut rows = rows;
        if let Some(gone) = self.rule.gone.of(self.name, batch)? {
            rows = arrow::compute::and_not(&rows, &gone)?;
        }
        if let Some(expired) = &self.expired {
            let times = expired.times(self.name, batch)?;
            let past = times.iter().map(|time| Some(time.is_some_and(|time| expired.is_past(time)))).collect();
            rows = arrow::compute::and_not(&rows, &past)?;
        }
        Ok(rows)
    }

    /// The keys of rows, as 128 bits: stored hashes as they are, other columns hashed.
    fn keys(&mut self, batch: &RecordBatch) -> Result<Vec<u128>> {
        let columns = self.rule.key.iter().map(|key| column(batch, self.name, key).cloned());
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
        match &self.types {
            Some(known) if *known != types => {
                return Err(Error::internal(format!("the key of the section `{}` has changed its type", self.name)));
            }
            Some(_) => {}
            None => self.types = Some(types),
        }
        if let [column] = columns.as_slice()
            && let Some(hashes) = column.as_fixed_size_binary_opt()
            && hashes.value_length() == 16
            && hashes.null_count() == 0
        {
            let whole = |bytes: &[u8]| bytes.try_into().map_or(0, u128::from_le_bytes);
            return Ok((0..hashes.len()).map(|row| whole(hashes.value(row))).collect());
        }
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
        Ok(rows.iter().map(|row| xxh3_128(row.data())).collect())
    }
}
