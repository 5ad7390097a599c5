//! Apache Kafka, and the events in it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Outcome, PARTITIONS, TOPIC};

/// A broker that runs until this is dropped.
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
}

impl Broker {
    /// Starts it with its files in `folder`.
    pub(crate) fn start(folder: &Path) -> Outcome<Self> {
        let listeners: Vec<TcpListener> =
            (0..4).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
        let ports: Vec<u16> =
            listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<std::io::Result<_>>()?;
        drop(listeners);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/kafka.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(folder.join("kafka")).args(ports.iter().map(u16::to_string));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        if !lines.any(|line| line.is_ok_and(|line| line == "ready")) {
            return Err("Kafka does not start".into());
        }
        Ok(Self { child, port: ports[0] })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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

impl Drop for Broker {
    fn drop(&mut self) {
        // The script stops its server when its stdin is closed.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
