//! Going through a chain, rule by rule.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::{BATCH_ROWS, Rule, SectionLayout, Sections, Sink, StateLayout, keyed, pages};
use crate::error::{Error, Result};

/// The most bytes that are gathered for one batch.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Which part of a node's chain is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, from the base on: what is gone leaves no trace.
    Whole,
    /// Changes after the base: what is gone must still be told.
    Changes,
}

/// Merges the sections of a chain; the result is to be restored in their place.
///
/// # Errors
/// When a section is unknown, has other columns than it should, or cannot be read, and those of `sink`.
pub(crate) fn merge(
    layout: &StateLayout,
    chain: &dyn Sections,
    extent: Extent,
    keys_at_once: usize,
    sink: &mut dyn Sink,
) -> Result<()> {
    let mut names = (0..chain.segments()).flat_map(|segment| chain.names(segment));
    if let Some(unknown) = names.find(|name| !layout.knows(name)) {
        return Err(Error::internal(format!("nobody says how sections `{unknown}` are merged")));
    }
    for SectionLayout { name, rule } in &layout.sections {
        match rule {
            Rule::Newest => newest(chain, name, sink)?,
            Rule::Keyed(rule) => keyed::merge(chain, name, rule, extent, keys_at_once, sink)?,
            Rule::Pages(rule) => pages::merge(chain, name, rule, sink)?,
        }
    }
    Ok(())
}

fn newest(chain: &dyn Sections, name: &str, sink: &mut dyn Sink) -> Result<()> {
    match last_place(chain, name) {
        Some((segment, section)) => sink.put(name, chain.batch(segment, section)?),
        None => Ok(()),
    }
}

/// The place of the last section of a name.
pub(super) fn last_place(chain: &dyn Sections, name: &str) -> Option<(usize, usize)> {
    (0..chain.segments())
        .rev()
        .find_map(|segment| chain.names(segment).iter().rposition(|found| found == name).map(|at| (segment, at)))
}

/// Joins small batches of one section into larger ones.
pub(super) struct Gather<'a> {
    name: &'a str,
    sink: &'a mut dyn Sink,
    waiting: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
    /// Whether anything has been written.
    pub(super) any: bool,
}

impl<'a> Gather<'a> {
    pub(super) fn new(name: &'a str, sink: &'a mut dyn Sink) -> Self {
        Self { name, sink, waiting: Vec::new(), rows: 0, bytes: 0, any: false }
    }

    pub(super) fn add(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let other = self.waiting.first().is_some_and(|first| first.schema_ref() != batch.schema_ref());
        if other || self.rows + batch.num_rows() > BATCH_ROWS || self.bytes > BATCH_BYTES {
            self.flush()?;
        }
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.waiting.push(batch);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        let joined = match self.waiting.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            several => concat_batches(several[0].schema_ref(), several)?,
        };
        self.waiting.clear();
        (self.rows, self.bytes) = (0, 0);
        self.any = true;
        self.sink.put(self.name, joined)
    }

    /// Writes what waits; a batch without rows of `schema_of` where nothing was ever written, so that a section
    /// that was there stays there.
    pub(super) fn finish(mut self, schema_of: Option<&RecordBatch>) -> Result<()> {
        self.flush()?;
        match schema_of {
            Some(seen) if !self.any => self.sink.put(self.name, seen.slice(0, 0)),
            _ => Ok(()),
        }
    }
}
