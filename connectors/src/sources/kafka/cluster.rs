//! What the cluster says of topics, partitions and offsets.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use tidegate_pipeline::error::{Error, Result};

use super::connection::failed;
use super::context::Context;
use super::options::{MissingOffset, Topics};
use super::position::Offsets;

/// How long a question to the cluster may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The topics that are there, and why others are not.
pub(super) struct Found {
    /// Each partition of each topic.
    pub(super) partitions: Vec<(Arc<str>, i32)>,
    /// Topics that cannot be read, and why.
    pub(super) missing: Vec<(String, RDKafkaErrorCode)>,
}

/// A consumer that is asked.
pub(super) struct Cluster<'a> {
    consumer: &'a BaseConsumer<Context>,
    patience: Duration,
}

impl<'a> Cluster<'a> {
    /// Asks through this consumer.
    pub(super) fn of(consumer: &'a BaseConsumer<Context>) -> Self {
        Self { consumer, patience: ANSWER }
    }

    /// The same, waiting no longer than so for an answer.
    pub(super) fn within(consumer: &'a BaseConsumer<Context>, patience: Duration) -> Self {
        Self { consumer, patience }
    }

    /// The brokers as they name themselves: what clients are sent to, whatever they began with.
    ///
    /// # Errors
    /// When no broker answers.
    pub(super) fn brokers(&self, topic: Option<&str>) -> Result<Vec<String>> {
        let metadata = self.metadata(topic)?;
        Ok(metadata.brokers().iter().map(|broker| format!("{}:{}", broker.host(), broker.port())).collect())
    }

    fn metadata(&self, topic: Option<&str>) -> Result<Metadata> {
        self.consumer.fetch_metadata(topic, self.patience).map_err(|error| {
            // What the client said about its connections waits in its queue.
            for _ in 0..20 {
                let _ = self.consumer.poll(Duration::ZERO);
            }
            failed("ask the brokers for their topics", &error, &self.consumer.context().said)
        })
    }

    /// The partitions of the wanted topics.
    ///
    /// # Errors
    /// When no broker answers.
    pub(super) fn find(&self, topics: &Topics) -> Result<Found> {
        let mut found = Found { partitions: Vec::new(), missing: Vec::new() };
        match topics {
            Topics::Named(names) => {
                for name in names {
                    self.ask(Some(name), |_| true, &mut found)?;
                }
            }
            Topics::Matching(pattern) => self.ask(None, |name| pattern.is_match(name), &mut found)?,
        }
        found.partitions.sort();
        Ok(found)
    }

    fn ask(&self, topic: Option<&str>, wanted: impl Fn(&str) -> bool, found: &mut Found) -> Result<()> {
        let metadata = self.metadata(topic)?;
        for topic in metadata.topics().iter().filter(|topic| wanted(topic.name())) {
            if let Some(error) = topic.error() {
                found.missing.push((topic.name().to_owned(), error.into()));
                continue;
            }
            let name: Arc<str> = topic.name().into();
            found.partitions.extend(topic.partitions().iter().map(|partition| (Arc::clone(&name), partition.id())));
        }
        Ok(())
    }

    /// The first offset of a partition that is there, and the one behind the last.
    ///
    /// # Errors
    /// When no broker answers.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let asked = self.consumer.fetch_watermarks(topic, partition, self.patience);
        let doing = format!("ask for the offsets of {topic}:{partition}");
        asked.map_err(|error| failed(&doing, &error, &self.consumer.context().said))
    }

    /// The offset at which a partition is gone on with that was read up to `wanted`.
    ///
    /// # Errors
    /// When no broker answers; when the offset is gone and the user wants to be told.
    pub(super) fn go_on(&self, topic: &str, partition: i32, wanted: i64, missing: MissingOffset) -> Result<i64> {
        let (low, high) = self.bounds(topic, partition)?;
        if (low..=high).contains(&wanted) {
            return Ok(wanted);
        }
        let instead = match missing {
            MissingOffset::Stop => return Err(gone(topic, partition, wanted, (low, high))),
            MissingOffset::Earliest => low,
            MissingOffset::Latest => high,
        };
        tracing::warn!(
            topic,
            partition,
            wanted,
            low,
            high,
            instead,
            "The wanted offset is gone; it goes on with another."
        );
        Ok(instead)
    }

    /// What the group has committed, of those partitions for which it has.
    ///
    /// # Errors
    /// When the group's coordinator does not answer.
    pub(super) fn committed(&self, partitions: &TopicPartitionList) -> Result<Offsets> {
        let mut asked = TopicPartitionList::new();
        for partition in partitions.elements() {
            asked.add_partition(partition.topic(), partition.partition());
        }
        let answer = self.consumer.committed_offsets(asked, self.patience);
        let answer =
            answer.map_err(|error| failed("ask for the group's offsets", &error, &self.consumer.context().said))?;
        let mut committed = Offsets::default();
        for partition in answer.elements() {
            if let Offset::Offset(next) = partition.offset() {
                committed.set(&partition.topic().into(), partition.partition(), next);
            }
        }
        Ok(committed)
    }
}

/// The wanted offset is not there any more.
fn gone(topic: &str, partition: i32, wanted: i64, (low, high): (i64, i64)) -> Error {
    let what = match wanted < low {
        true => format!(
            "the messages {wanted} to {} of {topic}:{partition} are gone: the first that is left is {low}",
            low - 1
        ),
        false => format!(
            "{topic}:{partition} ends at {high}, before the wanted offset {wanted}: the topic was made anew or cut"
        ),
    };
    let remedy = "choose where to go on: `on_missing_offset: earliest` or `on_missing_offset: latest`";
    Error::external(what).never_retry().with_remedy(remedy)
}

/// A wanted topic cannot be read.
pub(super) fn topic_missing(topic: &str, code: RDKafkaErrorCode) -> Error {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            Error::external(format!("there is no topic `{topic}`")).with_remedy("create it; it is looked for again")
        }
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            let what = format!("this user may not read the topic `{topic}`");
            Error::external(what).with_remedy("give it the permission; it is tried again")
        }
        other => Error::external(format!("the topic `{topic}` cannot be read: {other}")),
    }
}
