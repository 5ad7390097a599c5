//! Joining: small arrivals of one source that wait in its queue become one step.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::error::Result;
use crate::rows::{PortIndex, Rejected};
use crate::runtime::source_task::FromSource;
use crate::source::{Arrival, Reply};
use crate::step::{Position, Range, SchemaVersion, Unit};

/// A joined step holds at most this many rows; an arrival that has them is not joined with others.
const MOST_ROWS: usize = 8192;

/// One or more arrivals that become one step.
pub(super) struct Joined {
    pub(super) unit: Unit,
    pub(super) schema_version: SchemaVersion,
    pub(super) new_schema: Option<arrow::datatypes::SchemaRef>,
    pub(super) rows: Vec<(PortIndex, RecordBatch)>,
    pub(super) rejected: Vec<Rejected>,
    pub(super) ranges: Vec<Range>,
    pub(super) position: Position,
    pub(super) watermark: Option<i64>,
    pub(super) replies: Vec<Reply>,
    /// Holds the bytes of the source's queue until the step is made.
    permits: Vec<OwnedSemaphorePermit>,
    row_count: usize,
    alone: bool,
}

/// What an arrival counts for: its rows, those that were rejected too; never nothing, so that joining ends.
fn weight(arrival: &Arrival) -> usize {
    (arrival.row_count() + arrival.rejected.len()).max(1)
}

impl Joined {
    pub(super) fn new(arrival: Arrival, permit: OwnedSemaphorePermit) -> Self {
        let row_count = weight(&arrival);
        Self {
            unit: arrival.unit,
            schema_version: arrival.schema_version,
            new_schema: arrival.new_schema,
            rows: arrival.rows,
            rejected: arrival.rejected,
            ranges: arrival.range.into_iter().collect(),
            position: arrival.position,
            watermark: arrival.watermark,
            replies: arrival.replies,
            permits: vec![permit],
            row_count,
            alone: arrival.alone,
        }
    }

    /// Joins what waits in the queue, as long as it fits. Gives back the first message that does not.
    pub(super) fn fill(&mut self, queue: &mut mpsc::Receiver<FromSource>) -> Option<FromSource> {
        while !self.alone && self.unit == Unit::Rows && self.row_count < MOST_ROWS {
            match queue.try_recv().ok()? {
                FromSource::Arrival(arrival, permit) if self.takes(&arrival) => self.add(*arrival, permit),
                other => return Some(other),
            }
        }
        None
    }

    fn takes(&self, arrival: &Arrival) -> bool {
        !arrival.alone
            && arrival.unit == Unit::Rows
            && arrival.new_schema.is_none()
            && arrival.schema_version == self.schema_version
            && self.row_count + weight(arrival) <= MOST_ROWS
    }

    fn add(&mut self, arrival: Arrival, permit: OwnedSemaphorePermit) {
        self.row_count += weight(&arrival);
        self.rows.extend(arrival.rows);
        self.rejected.extend(arrival.rejected);
        // The hash of two stretches is not the hash of both: they stay apart, even where they touch.
        self.ranges.extend(arrival.range);
        self.position = arrival.position;
        self.watermark = self.watermark.max(arrival.watermark);
        self.replies.extend(arrival.replies);
        self.permits.push(permit);
    }

    /// The rows, one batch per port and schema.
    ///
    /// # Errors
    /// When Arrow cannot join batches of one schema.
    pub(super) fn take_rows(&mut self) -> Result<Vec<(PortIndex, RecordBatch)>> {
        let parts = std::mem::take(&mut self.rows);
        concatenate(parts)
    }
}

/// Joins neighbouring batches of one port and schema.
pub(crate) fn concatenate(parts: Vec<(PortIndex, RecordBatch)>) -> Result<Vec<(PortIndex, RecordBatch)>> {
    let mut joined: Vec<(PortIndex, Vec<RecordBatch>)> = Vec::new();
    for (port, batch) in parts {
        match joined.last_mut() {
            Some((last, batches)) if *last == port && batches[0].schema_ref() == batch.schema_ref() => {
                batches.push(batch)
            }
            _ => joined.push((port, vec![batch])),
        }
    }
    let concat = |(port, batches): (PortIndex, Vec<RecordBatch>)| match <[RecordBatch; 1]>::try_from(batches) {
        Ok([only]) => Ok((port, only)),
        Err(batches) => Ok((port, concat_batches(batches[0].schema_ref(), &batches)?)),
    };
    joined.into_iter().map(concat).collect()
}
