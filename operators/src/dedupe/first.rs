//! `keep: first`: a row leaves at once unless it is a duplicate.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use async_trait::async_trait;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{InputIndex, Operator, Output, StateReader, StateWriter};
use tidegate_pipeline::rows::PortIndex;
use tidegate_pipeline::step::StepHeader;

use super::kept::Kept;
use super::{Late, Limits, Rows};

pub(crate) struct First {
    rows: Rows,
    kept: Kept,
    warned: u64,
}

impl First {
    pub(crate) fn new(rows: Rows, limits: Limits) -> Self {
        Self { rows, kept: Kept::new(limits), warned: 0 }
    }

    /// Warns at the first forgotten key, then each time their number has doubled.
    fn warn(&mut self) {
        if self.kept.forgotten > self.warned * 2 {
            self.warned = self.kept.forgotten;
            tracing::warn!(
                node = %self.rows.node,
                forgotten = self.warned,
                "`max_keys` is reached: the oldest keys are forgotten, duplicates of them will pass"
            );
        }
    }
}

#[async_trait]
impl Operator for First {
    async fn process(&mut self, step: &StepHeader, _: InputIndex, rows: &RecordBatch, out: &mut Output) -> Result<()> {
        let examined = self.rows.examine(step, rows, out)?;
        let count = examined.rows.num_rows();
        let mut leaving = Vec::with_capacity(count);
        // Row by row, because each row decides about those after it.
        for row in 0..count {
            let time = examined.time(row, step.time);
            self.kept.clock.see(time, step.time);
            if self.kept.is_late(time) {
                leaving.push(self.rows.late == Late::Pass);
                if self.rows.late == Late::Errors {
                    self.rows.reject_late(&examined, row, out)?;
                }
            } else {
                leaving.push(self.kept.admit(examined.keys[row], time));
            }
        }
        self.kept.free();
        self.warn();
        let leaving = BooleanArray::from(leaving);
        match leaving.true_count() {
            0 => {}
            all if all == count => out.emit(PortIndex(0), examined.rows),
            _ => out.emit(PortIndex(0), filter_record_batch(&examined.rows, &leaving)?),
        }
        Ok(())
    }

    fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        self.kept.snapshot(writer)
    }

    fn restore(&mut self, reader: StateReader) -> Result<()> {
        self.kept.restore(reader)
    }
}
