//! Merging of what nodes have written, without segments.

use arrow::array::RecordBatch;

use crate::compaction::{Extent, Sections, Sink, StateLayout, merge};
use crate::error::{Error, Result};

/// The sections of a node by segment, in memory.
struct InMemory<'a> {
    names: Vec<Vec<String>>,
    segments: &'a [Vec<(String, RecordBatch)>],
}

impl Sections for InMemory<'_> {
    fn segments(&self) -> usize {
        self.segments.len()
    }

    fn names(&self, segment: usize) -> &[String] {
        self.names.get(segment).map_or(&[], Vec::as_slice)
    }

    fn batch(&self, segment: usize, section: usize) -> Result<RecordBatch> {
        let found = self.segments.get(segment).and_then(|segment| segment.get(section));
        found.map(|(_, batch)| batch.clone()).ok_or_else(|| Error::internal("there is no such section"))
    }
}

struct Collected(Vec<(String, RecordBatch)>);

impl Sink for Collected {
    fn put(&mut self, name: &str, batch: RecordBatch) -> Result<()> {
        self.0.push((name.to_owned(), batch));
        Ok(())
    }
}

/// Merges `segments`, oldest first, as the background does: all from the base on, or (`whole` is false) changes
/// that follow a base. `keys_at_once` bounds its memory.
///
/// # Errors
/// When a section is not as `layout` says.
pub fn merge_batches(
    layout: &StateLayout,
    segments: &[Vec<(String, RecordBatch)>],
    whole: bool,
    keys_at_once: usize,
) -> Result<Vec<(String, RecordBatch)>> {
    let names = segments.iter().map(|segment| segment.iter().map(|(name, _)| name.clone()).collect()).collect();
    let mut collected = Collected(Vec::new());
    let extent = if whole { Extent::Whole } else { Extent::Changes };
    merge(layout, &InMemory { names, segments }, extent, keys_at_once, &mut collected)?;
    Ok(collected.0)
}
