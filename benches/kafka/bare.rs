//! The least that can be done: poll, and decode batches of bodies with arrow-json.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Outcome, PARTITIONS, TOPIC};

/// How many messages are decoded at a time.
const BATCH: usize = 4096;

/// Reads all events; seconds.
pub(crate) fn read(address: &str, events: u64) -> Outcome<f64> {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let fields = vec![
        text("event_id"),
        number("ts"),
        text("resource_id"),
        text("severity"),
        number("size_gib"),
        text("message"),
    ];
    let schema = Arc::new(Schema::new(fields));
    let started = Instant::now();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", "bare").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(TOPIC, partition, Offset::Beginning)?;
    }
    consumer.assign(&partitions)?;
    let mut decoder = ReaderBuilder::new(schema).with_batch_size(BATCH).build_decoder()?;
    let (mut taken, mut decoded, mut lines) = (0_u64, 0_u64, Vec::new());
    while decoded < events {
        let message = consumer.poll(Duration::from_secs(30)).ok_or("no message comes")??;
        lines.extend_from_slice(message.payload().unwrap_or_default());
        lines.push(b'\n');
        taken += 1;
        if taken == events || taken.is_multiple_of(BATCH as u64) {
            let read = decoder.decode(&lines)?;
            if read != lines.len() {
                return Err("a batch holds more than it should".into());
            }
            decoded += decoder.flush()?.map_or(0, |rows| rows.num_rows() as u64);
            lines.clear();
        }
    }
    Ok(started.elapsed().as_secs_f64())
}
