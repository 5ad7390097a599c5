//! What a feed has seen, to be looked at.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many names of unknown events are counted one by one; more of them are counted together.
const MOST_NAMES: usize = 100;
/// What the others are counted as.
const OTHERS: &str = "(others)";
/// How many unreadable messages are told one by one in each minute.
const TOLD_PER_MINUTE: u32 = 10;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Messages that were received, repeated ones too.
    Messages,
    /// Messages that are no notification. They are deleted.
    Unreadable,
    /// Notifications of a kind that is not known. They are deleted.
    Unknown,
    /// Objects of which there is no table.
    WithoutTable,
    /// Objects of which the notification does not say in which account and region they are.
    WithoutPlace,
    /// Targets in accounts, regions or tables that are not collected.
    NotCollected,
    /// Messages that have led to nothing.
    WithoutTargets,
    /// Targets that were given on, each once for a notice.
    Targets,
    /// Notices that were given on.
    Notices,
    /// Messages whose notices were not done, so that they come again.
    Released,
    /// Messages whose notices are done, so that they are deleted.
    Settled,
}

/// How a feed fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FeedState {
    /// The queue was not reached yet.
    #[default]
    Connecting,
    /// Messages are received.
    Receiving,
    /// The queue cannot be read now; it is tried again.
    Failing {
        /// Why.
        reason: String,
    },
    /// It has ended.
    Stopped,
}

/// What a feed has seen since it was made.
#[derive(Debug, Default)]
pub struct Counts {
    counts: [AtomicU64; 11],
    unknown: Mutex<BTreeMap<String, u64>>,
    state: Mutex<FeedState>,
    told: Mutex<Option<(Instant, u32)>>,
}

impl Counts {
    /// How many.
    pub fn read(&self, counted: Counted) -> u64 {
        self.counts[counted as usize].load(Ordering::Relaxed)
    }

    /// How it fares.
    pub fn state(&self) -> FeedState {
        self.state.lock().clone()
    }

    /// The names of unknown events, and how many of each have come.
    pub fn unknown(&self) -> BTreeMap<String, u64> {
        self.unknown.lock().clone()
    }

    pub(super) fn add(&self, counted: Counted, more: usize) {
        self.counts[counted as usize].fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(super) fn set_state(&self, state: FeedState) {
        *self.state.lock() = state;
    }

    pub(super) fn add_unknown(&self, name: &str) {
        self.add(Counted::Unknown, 1);
        let mut unknown = self.unknown.lock();
        let is_new = !unknown.contains_key(name);
        let name = if is_new && unknown.len() >= MOST_NAMES { OTHERS } else { name };
        *unknown.entry(name.to_owned()).or_default() += 1;
        if is_new && name != OTHERS {
            tracing::debug!(event = name, "A notification of an unknown kind.");
        }
    }

    /// Counts an unreadable message; whether it is to be told of. Of a flood only the first ones are.
    pub(super) fn add_unreadable(&self, now: Instant) -> bool {
        self.add(Counted::Unreadable, 1);
        let mut told = self.told.lock();
        let (since, count) =
            told.filter(|(since, _)| now.duration_since(*since) < Duration::from_secs(60)).unwrap_or((now, 0));
        *told = Some((since, count.saturating_add(1)));
        count < TOLD_PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_stranger_makes_up_do_not_fill_the_memory() {
        let counts = Counts::default();
        (0..1_000).for_each(|number| counts.add_unknown(&format!("event {number}")));
        counts.add_unknown("event 7");
        let unknown = counts.unknown();
        assert_eq!((unknown.len(), unknown[OTHERS], unknown["event 7"]), (MOST_NAMES + 1, 900, 2));
        assert_eq!(counts.read(Counted::Unknown), 1_001);
    }

    #[test]
    fn of_a_flood_of_unreadable_messages_the_first_ones_of_each_minute_are_told() {
        let (counts, now) = (Counts::default(), Instant::now());
        let told = |at: Instant| (0..50).filter(|_| counts.add_unreadable(at)).count();
        assert_eq!(told(now), 10);
        assert_eq!(told(now + Duration::from_secs(59)), 0);
        assert_eq!(told(now + Duration::from_secs(61)), 10);
        assert_eq!(counts.read(Counted::Unreadable), 150);
    }
}
