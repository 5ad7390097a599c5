//! What the client calls back: rebalances and results of commits are kept for the consumer's own thread.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;

use super::connection::Said;

/// A change of what this member of a group owns; it stands until it is answered.
#[derive(Debug)]
pub(super) enum Rebalanced {
    /// These partitions come.
    Assigned(TopicPartitionList),
    /// These partitions go.
    Revoked(TopicPartitionList),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// What the client said last.
    pub(super) said: Said,
    /// Rebalances that have not been answered, oldest first.
    rebalances: Mutex<VecDeque<Rebalanced>>,
    /// Nobody answers any more: the callback does.
    closing: AtomicBool,
    /// A commit has failed since this was last asked.
    commit_failed: AtomicBool,
}

impl Context {
    /// The oldest rebalance that has not been answered.
    pub(super) fn rebalance(&self) -> Option<Rebalanced> {
        self.rebalances.lock().pop_front()
    }

    /// From now on partitions are given back at once.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Whether a commit has failed since this was last asked.
    pub(super) fn take_commit_failure(&self) -> bool {
        self.commit_failed.swap(false, Ordering::SeqCst)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.said.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            let answered = match assigned {
                true => consumer.incremental_assign(partitions),
                false => consumer.incremental_unassign(partitions),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "A rebalance while closing could not be answered.");
            }
            return;
        }
        let partitions = partitions.clone();
        self.rebalances.lock().push_back(match assigned {
            true => Rebalanced::Assigned(partitions),
            false => Rebalanced::Revoked(partitions),
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(%error, "Offsets were not committed; they are committed again.");
            self.commit_failed.store(true, Ordering::SeqCst);
        }
    }
}
