//! Where a consumer stands: the next offset of each partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::Position;

/// The next offset of each partition, by topic: `{"orders":{"0":512,"1":77}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Offsets(BTreeMap<Arc<str>, BTreeMap<i32, i64>>);

impl Offsets {
    /// Reads a position.
    ///
    /// # Errors
    /// When it is not one.
    pub(crate) fn read(position: &Position) -> Result<Self> {
        serde_json::from_str(&position.0)
            .map_err(|error| Error::internal(format!("`{position}` is no position of a Kafka source: {error}")))
    }

    /// As a position.
    ///
    /// # Errors
    /// Only for failures of the program itself.
    pub(crate) fn position(&self) -> Result<Position> {
        Ok(Position(serde_json::to_string(self).map_err(Error::internal)?.into()))
    }

    /// The next offset of a partition.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> Option<i64> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// Whether any partition of `topic` is known.
    pub(crate) fn knows(&self, topic: &str) -> bool {
        self.0.contains_key(topic)
    }

    /// Sets the next offset of a partition.
    pub(crate) fn set(&mut self, topic: &Arc<str>, partition: i32, next: i64) {
        match self.0.get_mut(topic) {
            Some(partitions) => {
                partitions.insert(partition, next);
            }
            None => {
                self.0.insert(Arc::clone(topic), BTreeMap::from([(partition, next)]));
            }
        }
    }

    /// Forgets a partition.
    pub(crate) fn forget(&mut self, topic: &str, partition: i32) {
        if let Some(partitions) = self.0.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.0.remove(topic);
            }
        }
    }

    /// Takes over what `other` says.
    pub(crate) fn extend(&mut self, other: &Self) {
        for (topic, partition, next) in other.iter() {
            self.set(topic, partition, next);
        }
    }

    /// All partitions with their next offsets.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, i32, i64)> {
        self.0
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |(partition, next)| (topic, *partition, *next)))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As librdkafka wants it.
    ///
    /// # Errors
    /// Only for failures of the program itself.
    pub(crate) fn list(&self) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (topic, partition, next) in self.iter() {
            list.add_partition_offset(topic, partition, Offset::Offset(next)).map_err(Error::internal)?;
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_as_it_was_written() {
        let mut offsets = Offsets::default();
        offsets.set(&"b".into(), 10, 7);
        offsets.set(&"a".into(), 2, 5);
        let position = offsets.position().unwrap();
        assert_eq!(position.0.as_ref(), r#"{"a":{"2":5},"b":{"10":7}}"#);
        assert_eq!(Offsets::read(&position).unwrap(), offsets);
        offsets.forget("a", 2);
        assert!(!offsets.knows("a"));
    }
}
