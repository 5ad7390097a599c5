//! Which checkpoints are kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::manifest::{CheckpointNumber, CheckpointSummary};

/// How many checkpoints are kept: the newest ones, and the newest of each of so many hours and days (UTC, by the
/// time at which they were taken). The newest of all is always kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The newest so many. The journal reaches back to the oldest of them.
    pub last: u32,
    /// The newest of each of so many hours in which there are any.
    pub hourly: u32,
    /// The newest of each of so many days in which there are any.
    pub daily: u32,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Retention {
    /// The newest `last` checkpoints only.
    pub fn last(last: u32) -> Self {
        Self { last, hourly: 0, daily: 0 }
    }

    /// The oldest checkpoint that is kept for being among the newest; `None` without checkpoints.
    /// `checkpoints` are oldest first.
    pub(crate) fn oldest_of_last(self, checkpoints: &[CheckpointSummary]) -> Option<&CheckpointSummary> {
        let index = checkpoints.len().saturating_sub(self.last.max(1) as usize);
        checkpoints.get(index)
    }

    /// The checkpoints to keep. `checkpoints` are oldest first.
    pub(super) fn kept(self, checkpoints: &[CheckpointSummary]) -> BTreeSet<CheckpointNumber> {
        let newest_first = || checkpoints.iter().rev();
        let mut kept: BTreeSet<_> = newest_first().take(self.last.max(1) as usize).map(|found| found.number).collect();
        for (count, span) in [(self.hourly, HOUR_MS), (self.daily, DAY_MS)] {
            let mut spans = BTreeSet::new();
            for found in newest_first() {
                let new = spans.len() < count as usize && spans.insert(found.created.div_euclid(span));
                if new {
                    kept.insert(found.number);
                }
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{ContentHash, StepNumber, StepTime};

    /// Checkpoints 1, 2, … taken at these minutes.
    fn taken_at(minutes: impl IntoIterator<Item = i64>) -> Vec<CheckpointSummary> {
        let summary = |(index, minute): (usize, i64)| CheckpointSummary {
            number: CheckpointNumber(index as u64 + 1),
            step: StepNumber(index as u64 * 10),
            time: StepTime(0),
            created: minute * 60_000,
            took_ms: 0,
            bytes: 0,
            manifest: ContentHash::of(b""),
            finished: false,
        };
        minutes.into_iter().enumerate().map(summary).collect()
    }

    fn kept(retention: Retention, minutes: impl IntoIterator<Item = i64>) -> Vec<u64> {
        retention.kept(&taken_at(minutes)).into_iter().map(|number| number.0).collect()
    }

    #[test]
    fn the_newest_are_kept_and_always_at_least_one() {
        assert_eq!(kept(Retention::last(2), [0, 1, 2, 3]), [3, 4]);
        assert_eq!(kept(Retention::last(0), [0, 1]), [2]);
        assert_eq!(kept(Retention::last(5), []), [0; 0]);
        assert_eq!(Retention::last(2).oldest_of_last(&taken_at([0, 1, 2])).unwrap().number, CheckpointNumber(2));
        assert_eq!(Retention::last(9).oldest_of_last(&taken_at([0, 1, 2])).unwrap().number, CheckpointNumber(1));
    }

    #[test]
    fn the_newest_of_each_hour_and_day_is_kept_beside_them() {
        let retention = Retention { last: 1, hourly: 2, daily: 0 };
        assert_eq!(kept(retention, [0, 30, 59, 60, 90, 119, 120, 121]), [6, 8]);
        let retention = Retention { last: 1, hourly: 0, daily: 3 };
        let day = 24 * 60;
        assert_eq!(kept(retention, [0, 1, day, day + 1, 3 * day, 9 * day]), [4, 5, 6]);
    }

    #[test]
    fn keeping_twice_keeps_the_same() {
        let retention = Retention { last: 2, hourly: 3, daily: 2 };
        let all = taken_at((0..200).map(|index| index * 17));
        let once = retention.kept(&all);
        let left: Vec<_> = all.into_iter().filter(|found| once.contains(&found.number)).collect();
        assert_eq!(retention.kept(&left), once);
    }
}
