//! The messages that were taken and are not deleted yet: pure bookkeeping.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::Position;

/// How many ids of messages that are not deleted yet are part of a position: the newest.
const REMEMBERED: usize = 256;
/// For how long a message that is durable and cannot be deleted is known by its id.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// The position of a source.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stand {
    /// How many arrivals were given.
    given: u64,
    /// Messages of these arrivals that are not known to be deleted.
    undeleted: Vec<String>,
}

#[derive(Debug)]
enum Stage {
    /// Not given to the journal yet.
    Taken,
    /// Part of this arrival.
    Given(u64),
    /// Durable, to be deleted.
    Leaving,
    /// Durable; SQS knows the receipt no more. It comes again, with a new one.
    Lost,
}

#[derive(Debug)]
struct Held {
    receipt: String,
    stage: Stage,
    /// When its visibility timeout began anew.
    since: Instant,
}

/// What a message that was received is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    /// It comes for the first time.
    New,
    /// It was given to the journal in an earlier life of the source, and not deleted.
    Repeated,
    /// It is held already: SQS has given it twice. It must not be given on.
    Held,
}

/// The messages in custody.
#[derive(Debug)]
pub(crate) struct Custody {
    held: HashMap<String, Held>,
    /// Ids to be deleted.
    leaving: VecDeque<String>,
    /// Ids that the position named when the source was opened, and until when they are known.
    earlier: HashSet<String>,
    earlier_until: Instant,
    given: u64,
}

impl Custody {
    /// Goes on behind a position.
    ///
    /// # Errors
    /// When it is none of this source.
    pub(crate) fn at(position: Option<&Position>, now: Instant) -> Result<Self> {
        let stand: Stand = match position {
            Some(position) => serde_json::from_str(&position.0)
                .map_err(|error| Error::internal(format!("`{position}` is no position of a queue: {error}")))?,
            None => Stand::default(),
        };
        Ok(Self {
            held: HashMap::new(),
            leaving: VecDeque::new(),
            earlier: stand.undeleted.into_iter().collect(),
            earlier_until: now + KNOWN_FOR,
            given: stand.given,
        })
    }

    /// Takes note of a message that was received.
    pub(super) fn take(&mut self, id: &str, receipt: &str, now: Instant) -> Receipt {
        if let Some(held) = self.held.get_mut(id) {
            receipt.clone_into(&mut held.receipt);
            held.since = now;
            if matches!(held.stage, Stage::Lost) {
                held.stage = Stage::Leaving;
                self.leaving.push_back(id.to_owned());
            }
            return Receipt::Held;
        }
        let held = Held { receipt: receipt.to_owned(), stage: Stage::Taken, since: now };
        self.held.insert(id.to_owned(), held);
        match self.earlier.remove(id) {
            true => Receipt::Repeated,
            false => Receipt::New,
        }
    }

    /// These messages are the next arrival; its position.
    pub(crate) fn give<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Position {
        self.given += 1;
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                held.stage = Stage::Given(self.given);
            }
        }
        let age = |held: &Held| match held.stage {
            Stage::Taken => None,
            Stage::Given(arrival) => Some(arrival),
            Stage::Leaving | Stage::Lost => Some(0),
        };
        let mut named: Vec<(u64, &String)> = self.held.iter().filter_map(|(id, held)| Some((age(held)?, id))).collect();
        named.extend(self.earlier.iter().map(|id| (0, id)));
        named.sort_unstable();
        let left_out = named.len().saturating_sub(REMEMBERED);
        let undeleted = named.into_iter().skip(left_out).map(|(_, id)| id.clone()).collect();
        let stand = serde_json::json!(Stand { given: self.given, undeleted });
        Position(stand.to_string().into())
    }

    /// Everything up to a position is durable: those messages are to be deleted.
    ///
    /// # Errors
    /// When it is none of this source.
    pub(crate) fn durable(&mut self, position: &Position) -> Result<()> {
        let through = Self::at(Some(position), Instant::now())?.given;
        let mut leaving: Vec<(u64, &String)> = Vec::new();
        for (id, held) in &mut self.held {
            if let Stage::Given(arrival) = held.stage
                && arrival <= through
            {
                held.stage = Stage::Leaving;
                leaving.push((arrival, id));
            }
        }
        leaving.sort_unstable();
        self.leaving.extend(leaving.into_iter().map(|(_, id)| id.clone()));
        Ok(())
    }

    /// Everything that these messages have led to is durable: they are to be deleted.
    pub(crate) fn settle<I: AsRef<str>>(&mut self, ids: impl IntoIterator<Item = I>) {
        for id in ids {
            let id = id.as_ref();
            if let Some(held) = self.held.get_mut(id)
                && !matches!(held.stage, Stage::Leaving | Stage::Lost)
            {
                held.stage = Stage::Leaving;
                self.leaving.push_back(id.to_owned());
            }
        }
    }

    /// What these messages should have led to did not come about: they are left to come again.
    pub(crate) fn release<I: AsRef<str>>(&mut self, ids: impl IntoIterator<Item = I>) {
        for id in ids {
            let id = id.as_ref();
            if self.held.get(id).is_some_and(|held| matches!(held.stage, Stage::Taken | Stage::Given(_))) {
                self.held.remove(id);
            }
        }
    }

    /// The next messages to be deleted, with their receipts.
    pub(super) fn next_leaving(&mut self, most: usize) -> Vec<(String, String)> {
        let count = most.min(self.leaving.len());
        let ids = self.leaving.drain(..count);
        ids.filter_map(|id| self.held.get(&id).map(|held| held.receipt.clone()).map(|receipt| (id, receipt))).collect()
    }

    /// A message is deleted.
    pub(super) fn deleted(&mut self, id: &str) {
        self.held.remove(id);
    }

    /// A message could not be deleted: to be tried again.
    pub(super) fn kept(&mut self, id: String) {
        self.leaving.push_back(id);
    }

    /// A message cannot be deleted by this receipt.
    pub(super) fn lost(&mut self, id: &str, now: Instant) {
        if let Some(held) = self.held.get_mut(id) {
            (held.stage, held.since) = (Stage::Lost, now);
        }
    }

    /// The messages whose visibility timeout began at least `age` ago, with their receipts. It begins anew.
    pub(super) fn next_overdue(&mut self, age: Duration, now: Instant) -> Vec<(String, String)> {
        let due = |held: &Held| !matches!(held.stage, Stage::Lost) && now.duration_since(held.since) >= age;
        let extended = self.held.iter_mut().filter(|(_, held)| due(held)).map(|(id, held)| {
            held.since = now;
            (id.clone(), held.receipt.clone())
        });
        extended.collect()
    }

    /// Forgets what is remembered no longer.
    pub(super) fn forget(&mut self, now: Instant) {
        let old = |held: &Held| matches!(held.stage, Stage::Lost) && now.duration_since(held.since) >= KNOWN_FOR;
        self.held.retain(|_, held| !old(held));
        if now >= self.earlier_until {
            self.earlier.clear();
        }
    }

    /// How many messages are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are durable messages that are still to be deleted, or are being deleted.
    pub(super) fn is_leaving(&self) -> bool {
        self.held.values().any(|held| matches!(held.stage, Stage::Leaving))
    }

    /// Whether there are messages to be deleted.
    pub(super) fn has_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custody() -> Custody {
        Custody::at(None, Instant::now()).unwrap()
    }

    fn ids(messages: &[(String, String)]) -> Vec<&str> {
        messages.iter().map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn only_what_is_durable_is_deleted_and_is_in_custody_until_it_is() {
        let (mut custody, now) = (custody(), Instant::now());
        for id in ["a", "b", "c"] {
            assert_eq!(custody.take(id, "r", now), Receipt::New);
        }
        let first = custody.give(["a", "b"]);
        custody.give(["c"]);
        assert!(!custody.has_leaving());
        custody.durable(&first).unwrap();
        assert_eq!(ids(&custody.next_leaving(10)), ["a", "b"]);
        custody.deleted("a");
        custody.kept("b".to_owned());
        assert_eq!((custody.len(), ids(&custody.next_leaving(10))), (2, vec!["b"]));
        assert!(custody.is_leaving(), "it is being deleted");
        custody.deleted("b");
        assert!(!custody.is_leaving() && custody.len() == 1, "the last is not durable");
    }

    #[test]
    fn a_message_that_comes_twice_is_given_once_and_deleted_by_its_newest_receipt() {
        let (mut custody, now) = (custody(), Instant::now());
        custody.take("a", "old", now);
        let position = custody.give(["a"]);
        assert_eq!(custody.take("a", "new", now), Receipt::Held);
        custody.durable(&position).unwrap();
        assert_eq!(custody.next_leaving(10), [("a".to_owned(), "new".to_owned())]);
        custody.lost("a", now);
        assert!(custody.next_overdue(Duration::ZERO, now).is_empty());
        assert_eq!(custody.take("a", "newest", now), Receipt::Held);
        assert_eq!(custody.next_leaving(10), [("a".to_owned(), "newest".to_owned())]);
    }

    #[test]
    fn after_a_crash_what_was_given_and_not_deleted_is_known() {
        let (mut custody, now) = (custody(), Instant::now());
        for id in ["a", "b", "c"] {
            custody.take(id, "r", now);
        }
        let first = custody.give(["a"]);
        custody.durable(&first).unwrap();
        custody.deleted("a");
        let position = custody.give(["b"]);
        let mut again = Custody::at(Some(&position), now).unwrap();
        let found: Vec<Receipt> = ["a", "b", "c"].iter().map(|id| again.take(id, "r2", now)).collect();
        assert_eq!(found, [Receipt::New, Receipt::Repeated, Receipt::New]);
        let next = again.give(["b"]);
        assert!(next.0.contains("\"given\":3"), "{next}");
    }

    #[test]
    fn positions_and_memory_are_bounded() {
        let (mut custody, now) = (custody(), Instant::now());
        let ids: Vec<String> = (0..400).map(|number| format!("{number:03}")).collect();
        let mut position = None;
        for id in &ids {
            custody.take(id, "r", now);
            position = Some(custody.give([id.as_str()]));
        }
        let mut again = Custody::at(position.as_ref(), now).unwrap();
        assert_eq!(again.take("399", "r", now), Receipt::Repeated);
        assert_eq!(again.take("000", "r", now), Receipt::New);
        again.forget(now + KNOWN_FOR);
        assert_eq!(again.take("398", "r", now), Receipt::New);
        custody.durable(&position.unwrap()).unwrap();
        custody.next_leaving(1000);
        ids.iter().for_each(|id| custody.lost(id, now));
        custody.forget(now + KNOWN_FOR);
        assert_eq!(custody.len(), 0);
    }

    #[test]
    fn what_is_settled_is_deleted_in_any_order_and_what_is_released_comes_as_new() {
        let (mut custody, now) = (custody(), Instant::now());
        for id in ["a", "b", "c"] {
            custody.take(id, "r", now);
        }
        custody.settle(["c", "c", "absent"]);
        custody.release(["a", "c", "absent"]);
        assert_eq!(ids(&custody.next_leaving(10)), ["c"]);
        assert_eq!(custody.take("a", "r2", now), Receipt::New);
        assert_eq!(custody.take("b", "r2", now), Receipt::Held);
    }

    #[test]
    fn what_is_not_deleted_is_extended_in_time() {
        let (mut custody, now) = (custody(), Instant::now());
        custody.take("a", "r", now);
        let half = Duration::from_secs(30);
        assert!(custody.next_overdue(half, now + half / 2).is_empty());
        assert_eq!(ids(&custody.next_overdue(half, now + half)), ["a"]);
        assert!(custody.next_overdue(half, now + half).is_empty());
    }
}
