//! Which messages of a stream have been taken.

use serde::{Deserialize, Serialize};

/// The most ranges that are remembered.
const RANGES: usize = 100;

/// Where an open source stands: its position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// How many messages have been looked at, over all starts: what acknowledgements are counted by.
    pub(super) seen: u64,
    /// When the stream was created: another stream of the same name has other messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stream: Option<i64>,
    /// The sequence numbers that were taken, as ranges of first and last, in order. A consumer sends again what was
    /// not acknowledged, behind newer messages: so there may be gaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) taken: Vec<(u64, u64)>,
}

impl Standing {
    /// Whether a message was taken.
    pub(super) fn has(&self, sequence: u64) -> bool {
        self.taken.iter().any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// Takes all messages from `first` to `last`. Beyond the bound the oldest range is forgotten: should one of its
    /// messages come again, it is taken twice and not lost.
    pub(super) fn take(&mut self, first: u64, last: u64) {
        // Nearly always the newest range grows by one.
        if let Some(newest) = self.taken.last_mut()
            && first == newest.1 + 1
        {
            newest.1 = last;
            return;
        }
        let (mut first, mut last) = (first, last);
        self.taken.retain(|(begin, end)| {
            let apart = *end + 1 < first || last + 1 < *begin;
            if !apart {
                (first, last) = (first.min(*begin), last.max(*end));
            }
            apart
        });
        let place = self.taken.partition_point(|(begin, _)| *begin < first);
        self.taken.insert(place, (first, last));
        if self.taken.len() > RANGES {
            self.taken.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_in_any_order_becomes_ranges_that_meet() {
        let mut standing = Standing::default();
        for (first, last) in [(1, 3), (4, 4), (10, 10), (8, 8), (9, 9), (20, 30)] {
            standing.take(first, last);
        }
        assert_eq!(standing.taken, [(1, 4), (8, 10), (20, 30)]);
        assert!(standing.has(9) && !standing.has(7));
        standing.take(2, 25);
        assert_eq!(standing.taken, [(1, 30)]);
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut standing = Standing::default();
        for number in 0..1_000 {
            standing.take(number * 2, number * 2);
        }
        assert_eq!(standing.taken.len(), RANGES);
        assert!(standing.has(1_998) && !standing.has(0));
    }
}
