//! A broker, and what tests ask of it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

use crate::service::{Service, free_ports};

/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Apache Kafka with what it needs.
pub(super) struct Broker {
    service: Option<Service>,
    ports: Vec<u16>,
    folder: TempDir,
}

/// The broker that the tests share.
pub(super) fn broker() -> Option<&'static Broker> {
    static BROKER: OnceLock<Option<Broker>> = OnceLock::new();
    BROKER.get_or_init(Broker::start).as_ref()
}

impl Broker {
    /// A broker of one's own, with a certificate for 127.0.0.1 that signs itself.
    pub(super) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(folder.path().join("ca.pem"), &certificate).unwrap();
        std::fs::write(folder.path().join("server.pem"), format!("{key}{certificate}")).unwrap();
        let mut broker = Self { service: None, ports: free_ports(4), folder };
        broker.service = broker.service();
        broker.service.is_some().then_some(broker)
    }

    fn service(&self) -> Option<Service> {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let (data, pem) = (path("data"), path("server.pem"));
        Service::start_with("kafka", &self.ports, &[("KAFKA_DATA", &data), ("KAFKA_PEM", &pem)])
    }

    /// Stops it; what it has stays.
    pub(super) fn stop(&mut self) {
        self.service = None;
    }

    /// Starts it again with what it had.
    pub(super) fn start_again(&mut self) {
        self.service = self.service();
        assert!(self.service.is_some(), "the broker started before");
    }

    pub(super) fn port(&self) -> u16 {
        self.ports[0]
    }

    pub(super) fn sasl_port(&self) -> u16 {
        self.ports[1]
    }

    pub(super) fn tls_port(&self) -> u16 {
        self.ports[2]
    }

    /// The certificate that the TLS listener shows.
    pub(super) fn certificate(&self) -> String {
        self.folder.path().join("ca.pem").to_str().unwrap().to_owned()
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    fn config(&self) -> ClientConfig {
        ClientConfig::new().set("bootstrap.servers", self.address()).clone()
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T) -> T {
        let admin = self.config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(question(&admin, &options))
    }

    /// Makes a topic.
    pub(super) fn create(&self, topic: &str, partitions: i32) {
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let made = self.ask(async |admin, options| admin.create_topics([&topic], options).await.unwrap());
        made[0].as_ref().unwrap();
    }

    /// Deletes what stands before `offset` in partition 0.
    pub(super) fn delete_before(&self, topic: &str, offset: i64) {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
        self.ask(async |admin, options| admin.delete_records(&partitions, options).await.unwrap());
    }

    /// Has kcat write a message for each line.
    pub(super) fn produce(&self, topic: &str, more: &[&str], lines: &[u8]) {
        let mut kcat = Command::new("kcat");
        kcat.args(["-P", "-b", &self.address(), "-t", topic]).args(more);
        let mut child = kcat.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What kcat reads of the committed messages of a topic up to its end.
    pub(super) fn consume(&self, topic: &str, format: &str) -> String {
        let mut kcat = Command::new("kcat");
        kcat.args(["-C", "-q", "-e", "-b", &self.address(), "-t", topic, "-o", "beginning", "-f", format]);
        let output = kcat.args(["-X", "isolation.level=read_committed"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many members a group has.
    pub(super) fn members(&self, group: &str) -> usize {
        let reader: BaseConsumer = self.config().create().unwrap();
        let groups = reader.client().fetch_group_list(Some(group), ANSWER).unwrap();
        groups.groups().iter().map(|group| group.members().len()).sum()
    }

    /// How many messages of a topic a group has not committed.
    pub(super) fn lag(&self, group: &str, topic: &str, partitions: i32) -> i64 {
        let reader: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let committed = reader.committed_offsets(list, ANSWER).unwrap();
        let lag = |partition: i32, offset: Offset| {
            let (low, high) = reader.fetch_watermarks(topic, partition, ANSWER).unwrap();
            high - offset.to_raw().filter(|offset| *offset >= 0).unwrap_or(low)
        };
        committed.elements().iter().map(|element| lag(element.partition(), element.offset())).sum()
    }
}
