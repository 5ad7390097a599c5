//! Messages that were taken together.

use std::sync::Arc;

use rdkafka::message::Message;
use tidegate_pipeline::rows::Rejected;

/// Messages that were taken together, as lines.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// A line for each message, empty for those that are no events.
    pub(super) lines: Vec<u8>,
    /// `topic:partition:offset` of each.
    pub(super) names: Vec<Arc<str>>,
    /// Messages that are no events, by line.
    pub(super) rejected: Vec<(usize, Rejected)>,
    /// The partitions that are in it.
    pub(super) partitions: Vec<(Arc<str>, i32)>,
    /// For each line its partition (as an index) and the next offset.
    pub(super) moves: Vec<(usize, i64)>,
}

impl Batch {
    /// Adds a message.
    pub(super) fn add(
        &mut self,
        topic: &Arc<str>,
        message: &impl Message,
        name: Arc<str>,
        line: impl FnOnce(&mut Vec<u8>) -> Result<(), Rejected>,
    ) {
        let start = self.lines.len();
        if let Err(rejected) = line(&mut self.lines) {
            self.lines.truncate(start);
            self.rejected.push((self.names.len(), rejected));
        }
        self.lines.push(b'\n');
        self.names.push(name);
        let partition = self.partition(topic, message.partition());
        self.moves.push((partition, message.offset() + 1));
    }

    fn partition(&mut self, topic: &Arc<str>, partition: i32) -> usize {
        // Messages of a partition mostly follow one another.
        let known = self.partitions.iter().rposition(|known| known.1 == partition && known.0 == *topic);
        known.unwrap_or_else(|| {
            self.partitions.push((Arc::clone(topic), partition));
            self.partitions.len() - 1
        })
    }

    /// How many messages it holds.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it holds none.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}
