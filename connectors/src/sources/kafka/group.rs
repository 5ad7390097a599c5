//! A member of a consumer group: partitions come and go; what is durable is committed, by whoever owns it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use tidegate_pipeline::error::Result;

use super::cluster::{Cluster, Found};
use super::connection::failed;
use super::consumer::{FromConsumer, POLL, Worker};
use super::context::Rebalanced;
use super::position::Offsets;

/// How often offsets are committed at most.
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// How long the last commit is tried: a coordinator that moves, or a group in a rebalance, refuses for a moment.
const LAST_COMMIT: Duration = Duration::from_secs(3);
/// How long partitions that go are kept until what was handed over of them is durable.
const DRAIN: Duration = Duration::from_secs(10);

impl Worker {
    /// Subscribes to the topics that are there.
    pub(super) fn subscribe(&mut self, found: &Found) -> Result<()> {
        let topics: BTreeSet<&str> = found.partitions.iter().map(|(topic, _)| topic.as_ref()).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        if topics.is_empty() || self.subscribed == topics {
            return Ok(());
        }
        let subscribed = self.consumer.subscribe(&topics);
        subscribed.map_err(|error| failed("subscribe", &error, &self.consumer.context().said))?;
        self.subscribed = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Ok(())
    }

    /// Answers the rebalances that the client has told of.
    pub(super) fn answer_rebalances(&mut self) -> Result<()> {
        while let Some(rebalanced) = self.consumer.context().rebalance() {
            match rebalanced {
                Rebalanced::Assigned(partitions) => self.partitions_come(&partitions)?,
                Rebalanced::Revoked(partitions) => self.partitions_go(&partitions)?,
            }
        }
        Ok(())
    }

    fn partitions_come(&mut self, partitions: &TopicPartitionList) -> Result<()> {
        let cluster = Cluster::of(&self.consumer);
        let committed = if partitions.count() == 0 { Offsets::default() } else { cluster.committed(partitions)? };
        let mut starts = Offsets::default();
        for partition in partitions.elements() {
            let (topic, partition) = (partition.topic(), partition.partition());
            let next = match committed.of(topic, partition) {
                Some(wanted) => cluster.go_on(topic, partition, wanted, self.settings.missing)?,
                None => {
                    let (low, high) = cluster.bounds(topic, partition)?;
                    if self.settings.earliest { low } else { high }
                }
            };
            starts.set(&topic.into(), partition, next);
        }
        tracing::info!(partitions = %starts.position()?, "Partitions have come.");
        if starts.is_empty() {
            // The group waits for an answer, also to nothing.
            let answered = self.consumer.incremental_assign(&TopicPartitionList::new());
            return answered.map_err(|error| failed("answer the group", &error, &self.consumer.context().said));
        }
        self.assign(starts)
    }

    /// Hands over what there is of partitions that go, waits until it is durable, commits it and lets them go.
    fn partitions_go(&mut self, partitions: &TopicPartitionList) -> Result<()> {
        let names: Vec<(Arc<str>, i32)> =
            partitions.elements().iter().map(|gone| (gone.topic().into(), gone.partition())).collect();
        tracing::info!(count = names.len(), lost = self.consumer.assignment_lost(), "Partitions go.");
        if !self.consumer.assignment_lost() {
            // Nothing more of them is wanted.
            let _ = self.consumer.pause(partitions);
            self.flush();
            self.drain(&names);
            self.commit(CommitMode::Sync);
        }
        for (topic, partition) in &names {
            self.owned.give_up(topic, *partition);
        }
        let answered = self.consumer.incremental_unassign(partitions);
        answered.map_err(|error| failed("give partitions back", &error, &self.consumer.context().said))?;
        self.send(FromConsumer::Revoked(names));
        Ok(())
    }

    fn drain(&mut self, names: &[(Arc<str>, i32)]) {
        let deadline = Instant::now() + DRAIN;
        let names = || names.iter().map(|(topic, partition)| (topic.as_ref(), *partition));
        while !self.owned.is_durable(names(), &self.durable) && Instant::now() < deadline && !self.is_closed() {
            match self.acknowledged.recv_timeout(Duration::from_millis(50)) {
                Ok(durable) => self.durable.extend(&durable),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Takes note of what is durable, and commits it now and then.
    pub(super) fn take_acknowledgements(&mut self) {
        if self.settings.group.is_none() {
            return;
        }
        while let Ok(durable) = self.acknowledged.try_recv() {
            self.durable.extend(&durable);
        }
        if self.last_commit.elapsed() >= COMMIT_EVERY {
            self.commit(CommitMode::Async);
        }
    }

    /// Commits what is durable and owned; whether that was taken, by the client at least ([`CommitMode::Async`]).
    fn commit(&mut self, mode: CommitMode) -> bool {
        self.last_commit = Instant::now();
        if self.consumer.context().take_commit_failure() {
            self.owned.forget_commits();
        }
        let due = self.owned.commit(&self.durable);
        if due.is_empty() {
            return true;
        }
        let committed = due.list().map(|list| self.consumer.commit(&list, mode));
        let taken = matches!(committed, Ok(Ok(())));
        if !taken {
            tracing::warn!(?committed, "Offsets were not committed; they are committed again.");
            self.owned.forget_commits();
        }
        taken
    }

    /// What is durable when the source ends is committed before the group is left: all of it, since how the commits
    /// that are under way will end is not heard of any more.
    pub(super) fn commit_last(&mut self) {
        if self.settings.group.is_none() {
            return;
        }
        while let Ok(durable) = self.acknowledged.try_recv() {
            self.durable.extend(&durable);
        }
        self.owned.forget_commits();
        let deadline = Instant::now() + LAST_COMMIT;
        while !self.consumer.assignment_lost() && !self.commit(CommitMode::Sync) && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}
