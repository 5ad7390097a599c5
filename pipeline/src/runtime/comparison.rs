//! Comparing what a sink is given in a replay with what it was given when the steps were first executed.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::row_trail::Waypoint;
use crate::row_hash::RunningHash;
use crate::step::StepNumber;

/// Where a re-execution first gave a sink other rows than the original run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The sink; for one that dispatches, with the index of its input (`page/0`).
    pub sink: String,
    /// The last step after which both were still the same; 0 where none was.
    pub same_through: StepNumber,
    /// The first step at which they are known to differ.
    pub differs_at: StepNumber,
}

/// What replayed sinks have found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Differences(Arc<Mutex<Vec<Difference>>>);

impl Differences {
    /// All of them, the earliest first, then by sink.
    pub(crate) fn all(&self) -> Vec<Difference> {
        let mut all = self.0.lock().clone();
        all.sort_by(|a, b| (a.differs_at, &a.sink).cmp(&(b.differs_at, &b.sink)));
        all
    }
}

/// The waypoints that one sink edge has to come through.
#[derive(Debug)]
pub(crate) struct Comparison {
    sink: String,
    expected: VecDeque<Waypoint>,
    same_through: StepNumber,
    found: Differences,
}

impl Comparison {
    /// A comparison with `expected`, in order of steps; `from` is where the replay begins.
    pub(crate) fn new(sink: String, from: StepNumber, expected: Vec<Waypoint>, found: Differences) -> Self {
        Self { sink, expected: expected.into(), same_through: from, found }
    }

    /// The name of the sink's mark.
    pub(crate) fn sink(&self) -> &str {
        &self.sink
    }

    /// Everything up to `step` has been seen, and has the hash `rows`. To be called before the hash moves on.
    pub(crate) fn passed(&mut self, step: StepNumber, rows: RunningHash) {
        while let Some(next) = self.expected.front().filter(|next| next.step <= step).copied() {
            self.expected.pop_front();
            if next.rows == rows {
                self.same_through = next.step;
                continue;
            }
            let difference =
                Difference { sink: self.sink.clone(), same_through: self.same_through, differs_at: next.step };
            self.found.0.lock().push(difference);
            // One difference changes every later hash.
            self.expected.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc as Shared;

    use arrow::array::{Int64Array, RecordBatch};

    use super::*;
    use crate::runtime::row_trail::RowTrail;

    fn run(steps: &[(u64, i64)]) -> Vec<Waypoint> {
        let mut trail = RowTrail::from(RunningHash::default());
        for (step, value) in steps {
            trail.add(StepNumber(*step), &rows(*value)).unwrap();
        }
        trail.take()
    }

    fn rows(value: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Shared::new(Int64Array::from(vec![value])) as _)]).unwrap()
    }

    /// Replays `steps` through step `last` against what the original run gave.
    fn differences(original: &[(u64, i64)], replayed: &[(u64, i64)], last: u64) -> Vec<(u64, u64)> {
        let found = Differences::default();
        let mut comparison = Comparison::new("out".into(), StepNumber(0), run(original), found.clone());
        let mut trail = RowTrail::from(RunningHash::default());
        for (step, value) in replayed {
            comparison.passed(StepNumber(step - 1), trail.rows());
            trail.add(StepNumber(*step), &rows(*value)).unwrap();
        }
        comparison.passed(StepNumber(last), trail.rows());
        found.all().iter().map(|difference| (difference.same_through.0, difference.differs_at.0)).collect()
    }

    #[test]
    fn the_same_rows_in_the_same_steps_do_not_differ() {
        let steps = [(2, 20), (5, 50), (9, 90)];
        assert_eq!(differences(&steps, &steps, 10), []);
    }

    #[test]
    fn another_value_a_missing_step_and_a_step_too_many_are_found_where_they_begin() {
        let original = [(2, 20), (5, 50), (9, 90)];
        assert_eq!(differences(&original, &[(2, 20), (5, 51), (9, 90)], 10), [(2, 5)]);
        assert_eq!(differences(&original, &[(2, 20), (9, 90)], 10), [(2, 5)]);
        assert_eq!(differences(&original, &[(2, 20), (3, 30), (5, 50), (9, 90)], 10), [(2, 5)]);
    }
}
