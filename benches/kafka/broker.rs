//! Apache Kafka, and the events in it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::service::Service;
use super::{Outcome, PARTITIONS, TOPIC};

/// A broker that runs until this is dropped.
pub(crate) struct Broker(Service);

impl Broker {
    /// Starts it.
    pub(crate) fn start() -> Outcome<Self> {
        Ok(Self(Service::start("kafka", 4).ok_or("Kafka cannot be had")?))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.0.address()
    }

    /// The port of that.
    pub(crate) fn port(&self) -> u16 {
        self.0.ports()[0]
    }

    /// Makes the topic and writes the events.
    pub(crate) fn write(&self, events: u64) -> Outcome<()> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))?;
        let producer: BaseProducer = config.set("linger.ms", "20").create()?;
        for number in 0..events {
            let body = event(number);
            let partition = i32::try_from(number % PARTITIONS as u64)?;
            let mut record = BaseRecord::<(), str>::to(TOPIC).partition(partition).payload(&body);
            while let Err((error, back)) = producer.send(record) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(error.into());
                }
                producer.poll(Duration::from_millis(10));
                record = back;
            }
        }
        producer.flush(Duration::from_secs(120))?;
        Ok(())
    }
}

fn event(number: u64) -> String {
    format!(
        "{{\"event_id\":\"e-{number:09}\",\"ts\":{},\"resource_id\":\"i-{:016x}\",\"severity\":\"{}\",\"size_gib\":{},\
         \"message\":\"resource changed state during the refresh of its region\"}}",
        1_795_200_000_000_u64 + number,
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ["info", "warning", "critical"][number as usize % 3],
        number % 1_000,
    )
}
