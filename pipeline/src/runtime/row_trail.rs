//! What a sink has been given, as hashes: kept with its mark and in checkpoints, compared when steps are executed
//! again.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::row_hash::RunningHash;
use crate::step::StepNumber;

/// How many hashes are kept between two checkpoints. With more, every other one is dropped: running hashes
/// prove the steps between them too, only less is known of where a difference begins.
const MOST: usize = 4096;

/// The running hash of a sink's rows after some step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waypoint {
    pub(crate) step: StepNumber,
    pub(crate) rows: RunningHash,
}

/// The running hash of one sink edge, and what it was on the way since the last checkpoint.
#[derive(Debug, Default)]
pub(crate) struct RowTrail {
    now: RunningHash,
    /// The last step that brought rows, not yet a waypoint.
    open: Option<StepNumber>,
    waypoints: Vec<Waypoint>,
    /// Every how many steps with rows there is a waypoint; a power of two.
    every: usize,
    passed: usize,
}

impl RowTrail {
    /// A trail that goes on where a checkpoint was.
    pub(crate) fn from(rows: RunningHash) -> Self {
        Self { now: rows, every: 1, ..Self::default() }
    }

    /// The hash now.
    pub(crate) fn rows(&self) -> RunningHash {
        self.now
    }

    /// Takes the rows of a step.
    ///
    /// # Errors
    /// When they cannot be hashed.
    pub(crate) fn add(&mut self, step: StepNumber, rows: &arrow::array::RecordBatch) -> Result<()> {
        if self.open.is_some_and(|open| open != step) {
            self.close();
        }
        self.open = Some(step);
        self.now.add(step, rows)
    }

    /// The waypoints since this was last asked.
    pub(crate) fn take(&mut self) -> Vec<Waypoint> {
        self.close();
        (self.every, self.passed) = (1, 0);
        std::mem::take(&mut self.waypoints)
    }

    /// Ends the step that brought rows last. Called before the hash moves on.
    fn close(&mut self) {
        let Some(step) = self.open.take() else { return };
        self.passed += 1;
        if !self.passed.is_multiple_of(self.every.max(1)) {
            return;
        }
        self.waypoints.push(Waypoint { step, rows: self.now });
        if self.waypoints.len() >= MOST {
            // Every second one, the last among them.
            let mut keep = true;
            self.waypoints.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatch};

    use super::*;

    fn rows(n: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![n])) as _)]).unwrap()
    }

    #[test]
    fn a_waypoint_is_the_hash_after_a_step_that_brought_rows() {
        let mut trail = RowTrail::from(RunningHash::default());
        trail.add(StepNumber(3), &rows(1)).unwrap();
        trail.add(StepNumber(3), &rows(2)).unwrap();
        let after_three = trail.rows();
        trail.add(StepNumber(9), &rows(3)).unwrap();
        let expected =
            [Waypoint { step: StepNumber(3), rows: after_three }, Waypoint { step: StepNumber(9), rows: trail.rows() }];
        assert_eq!(trail.take(), expected);
        assert_eq!(trail.take(), []);
    }

    #[test]
    fn a_long_stretch_keeps_a_bounded_number_of_waypoints_that_are_all_true() {
        let (mut trail, mut all) = (RowTrail::from(RunningHash::default()), Vec::new());
        for step in 1..=20_000 {
            trail.add(StepNumber(step), &rows(1)).unwrap();
            all.push(trail.rows());
        }
        let kept = trail.take();
        assert!(kept.len() <= MOST && kept.len() > MOST / 4, "{}", kept.len());
        assert!(kept.windows(2).all(|pair| pair[0].step < pair[1].step));
        assert!(kept.iter().all(|point| all[point.step.0 as usize - 1] == point.rows));
    }
}
