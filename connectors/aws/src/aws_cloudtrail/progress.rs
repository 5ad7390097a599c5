//! What was given already: pure bookkeeping.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::Position;

/// The position of the source. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// When the source began: nothing before that is given.
    begun: i64,
    /// The time of the newest event that was given, or `begun`.
    last: i64,
    /// The ids of events that were given, by their time: those within the overlap before `last`.
    seen: BTreeMap<i64, BTreeSet<String>>,
}

impl Progress {
    /// Begins now.
    pub(super) fn begin(now: i64) -> Self {
        Self { begun: now, last: now, seen: BTreeMap::new() }
    }

    /// Goes on at a position.
    ///
    /// # Errors
    /// When it is none of this source.
    pub(super) fn at(position: &Position) -> Result<Self> {
        serde_json::from_str(&position.0)
            .map_err(|error| Error::internal(format!("`{position}` is no position in CloudTrail: {error}")))
    }

    pub(super) fn position(&self) -> Position {
        Position(serde_json::json!(self).to_string().into())
    }

    /// From when on the history is to be looked at.
    pub(super) fn from(&self, overlap: i64) -> i64 {
        (self.last - overlap).max(self.begun)
    }

    /// Whether an event was not given yet.
    pub(super) fn is_new(&self, time: i64, id: &str) -> bool {
        time >= self.begun && !self.seen.get(&time).is_some_and(|ids| ids.contains(id))
    }

    /// An event is given.
    pub(super) fn give(&mut self, time: i64, id: &str, overlap: i64) {
        self.seen.entry(time).or_default().insert(id.to_owned());
        self.last = self.last.max(time);
        let from = self.from(overlap);
        self.seen = self.seen.split_off(&from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_new_once_also_when_it_turns_up_late() {
        let mut progress = Progress::begin(1_000);
        assert!(progress.is_new(1_010, "a") && !progress.is_new(999, "before"));
        progress.give(1_010, "a", 60);
        progress.give(1_050, "b", 60);
        assert_eq!(progress.from(60), 1_000);
        assert!(!progress.is_new(1_010, "a") && progress.is_new(1_010, "late"));
        let again = Progress::at(&progress.position()).unwrap();
        assert_eq!(again, progress);
    }

    #[test]
    fn only_the_ids_of_the_overlap_are_kept() {
        let mut progress = Progress::begin(0);
        for time in 0..10_000 {
            progress.give(time, &format!("event {time}"), 60);
        }
        assert_eq!((progress.from(60), progress.seen.len()), (9_939, 61));
        assert!(progress.position().0.len() < 4096);
    }
}
