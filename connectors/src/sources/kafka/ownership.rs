//! What a member of a group may commit: only offsets of partitions that it owns, only forwards, and only what is
//! durable.

use super::position::Offsets;

/// The partitions that are owned, and how far each is.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    /// Where each was begun when it came.
    begun: Offsets,
    /// Behind the last message that was handed over.
    handed: Offsets,
    /// Up to where the group's offset has been set.
    committed: Offsets,
}

impl Ownership {
    /// A partition comes and is begun at `next`.
    pub(super) fn take(&mut self, topic: &std::sync::Arc<str>, partition: i32, next: i64) {
        self.begun.set(topic, partition, next);
        self.handed.set(topic, partition, next);
        self.committed.set(topic, partition, next);
    }

    /// A partition goes.
    pub(super) fn give_up(&mut self, topic: &str, partition: i32) {
        self.begun.forget(topic, partition);
        self.handed.forget(topic, partition);
        self.committed.forget(topic, partition);
    }

    /// Messages of a partition before `next` were handed over.
    pub(super) fn hand(&mut self, topic: &std::sync::Arc<str>, partition: i32, next: i64) {
        if self.begun.of(topic, partition).is_some() {
            self.handed.set(topic, partition, next);
        }
    }

    /// Where each partition is gone on with.
    pub(super) fn handed(&self) -> &Offsets {
        &self.handed
    }

    /// Commits have failed: everything that is durable is to be committed again.
    pub(super) fn forget_commits(&mut self) {
        self.committed = self.begun.clone();
    }

    /// What of `durable` is to be committed now; it counts as committed from here on. What is told of partitions that
    /// have gone, or of an earlier time that this member had them, is left out.
    pub(super) fn commit(&mut self, durable: &Offsets) -> Offsets {
        let mut due = Offsets::default();
        for (topic, partition, next) in durable.iter() {
            let (committed, handed) = (self.committed.of(topic, partition), self.handed.of(topic, partition));
            if committed.is_some_and(|committed| committed < next) && handed.is_some_and(|handed| next <= handed) {
                due.set(topic, partition, next);
            }
        }
        self.committed.extend(&due);
        due
    }

    /// Whether all that was handed over of these partitions is durable.
    pub(super) fn is_durable<'a>(
        &self,
        mut partitions: impl Iterator<Item = (&'a str, i32)>,
        durable: &Offsets,
    ) -> bool {
        partitions.all(|(topic, partition)| {
            let (begun, handed) = (self.begun.of(topic, partition), self.handed.of(topic, partition));
            begun == handed || durable.of(topic, partition) >= handed
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn offsets(all: &[(i32, i64)]) -> Offsets {
        let mut offsets = Offsets::default();
        for (partition, next) in all {
            offsets.set(&"t".into(), *partition, *next);
        }
        offsets
    }

    #[test]
    fn only_what_is_owned_and_new_is_committed_and_each_once() {
        let topic: Arc<str> = "t".into();
        let mut owned = Ownership::default();
        owned.take(&topic, 0, 10);
        owned.hand(&topic, 0, 20);
        owned.hand(&topic, 1, 99);
        assert_eq!(owned.commit(&offsets(&[(0, 15), (1, 99)])), offsets(&[(0, 15)]));
        assert!(owned.commit(&offsets(&[(0, 15)])).is_empty());
        owned.forget_commits();
        assert_eq!(owned.commit(&offsets(&[(0, 15)])), offsets(&[(0, 15)]));
    }

    #[test]
    fn what_is_told_late_of_an_earlier_time_never_sets_an_offset_back() {
        let topic: Arc<str> = "t".into();
        let mut owned = Ownership::default();
        owned.take(&topic, 0, 10);
        owned.hand(&topic, 0, 20);
        owned.give_up("t", 0);
        assert!(owned.commit(&offsets(&[(0, 20)])).is_empty());
        // Another member went on to 50, then it came back.
        owned.take(&topic, 0, 50);
        assert!(owned.commit(&offsets(&[(0, 20)])).is_empty());
        assert!(owned.commit(&offsets(&[(0, 60)])).is_empty(), "nothing beyond what was handed over");
    }

    #[test]
    fn a_partition_is_drained_when_all_that_was_handed_over_is_durable() {
        let topic: Arc<str> = "t".into();
        let mut owned = Ownership::default();
        owned.take(&topic, 0, 10);
        assert!(owned.is_durable([("t", 0)].into_iter(), &Offsets::default()));
        owned.hand(&topic, 0, 20);
        assert!(!owned.is_durable([("t", 0)].into_iter(), &offsets(&[(0, 19)])));
        assert!(owned.is_durable([("t", 0)].into_iter(), &offsets(&[(0, 20)])));
    }
}
