//! Opening the sink: fences whoever wrote before, and finds out how far it came.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::sink::SinkContext;
use tidegate_pipeline::step::StepNumber;
use uuid::Uuid;

use super::options::MissingMark;
use super::producer::{Deliveries, Transactions, mark_offsets};
use crate::sources::kafka::connection::{Connection, Said, failed};

/// How long the cluster may take to answer.
const ANSWER: Duration = Duration::from_secs(60);

/// The detail of a mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KafkaMark {
    /// Names this pipeline's life of the sink: what a pipeline before it wrote is not its business.
    pub(super) id: String,
    /// The last step that is in the topic.
    pub(super) step: StepNumber,
}

/// What the sink is planned with.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) connection: Connection,
    pub(super) topic: String,
    pub(super) transactional_id: Option<String>,
    pub(super) timeout: Duration,
    pub(super) compression: String,
    pub(super) missing: MissingMark,
}

impl Target {
    /// Opens the sink at its mark: gives the writer, and the mark as the topic has it. Blocks.
    ///
    /// # Errors
    /// When the cluster or the topic is not there, or the mark is lost.
    pub(super) fn open(&self, context: &SinkContext) -> Result<(Transactions, KafkaMark)> {
        let mark: Option<KafkaMark> =
            match &context.mark {
                None => None,
                Some(mark) => Some(serde_json::from_str(&mark.detail).map_err(|error| {
                    Error::internal(format!("`{}` is no mark of a Kafka sink: {error}", mark.detail))
                })?),
            };
        let known = mark.is_some();
        let mark =
            mark.unwrap_or_else(|| KafkaMark { id: Uuid::new_v4().simple().to_string(), step: StepNumber::ZERO });
        let (transactional, group) = match &self.transactional_id {
            Some(name) => (name.clone(), format!("{name}-{}", mark.id)),
            None => (format!("tidegate-{}", mark.id), format!("tidegate-{}", mark.id)),
        };
        let producer = self.producer(&context.node, &transactional)?;
        let mut config = self.connection.config(&context.node)?;
        config.set("group.id", &group).set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().map_err(Error::user)?;
        let metadata = consumer.group_metadata().ok_or_else(|| Error::internal("a group without metadata"))?;
        let step = if known { self.recover(&consumer, &mark)? } else { mark.step };
        let transactions =
            Transactions { producer, topic: self.topic.clone(), group: metadata, timeout: self.timeout, open: false };
        Ok((transactions, KafkaMark { step, ..mark }))
    }

    /// A producer that is the only one of its name: what another left open is aborted.
    fn producer(&self, node: &str, transactional: &str) -> Result<BaseProducer<Deliveries>> {
        let mut config = self.connection.config(node)?;
        config.set("transactional.id", transactional);
        config.set("transaction.timeout.ms", self.timeout.as_millis().to_string());
        config.set("compression.type", &self.compression).set("linger.ms", "5");
        // How long a row may be is for the brokers to say.
        config.set("message.max.bytes", "67108864").set("queue.buffering.max.kbytes", "65536");
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(Deliveries::default())
            .map_err(|error| Error::user(format!("the Kafka client cannot be made: {error}")))?;
        let doing = format!("find the topic `{}`", self.topic);
        let asked = producer.client().fetch_metadata(Some(&self.topic), ANSWER);
        let metadata = asked.map_err(|error| {
            producer.poll(Duration::from_millis(100));
            failed(&doing, &error, &producer.context().said)
        })?;
        if let Some(code) = metadata.topics().iter().find_map(|topic| topic.error()) {
            let code = RDKafkaErrorCode::from(code);
            return Err(Error::external(format!("cannot {doing}: {code}"))
                .with_remedy("create it, or allow this user to write to it"));
        }
        let begun = producer.init_transactions(ANSWER);
        begun.map_err(|error| {
            producer.poll(Duration::from_millis(100));
            failed("become the one that writes under this `transactional_id`", &error, &producer.context().said)
        })?;
        Ok(producer)
    }

    /// The last step that is in the topic. It may be later than the mark says: the transaction was committed, and the
    /// program ended before the mark was stored.
    fn recover(&self, consumer: &BaseConsumer, mark: &KafkaMark) -> Result<StepNumber> {
        let deadline = Instant::now() + ANSWER;
        let answer = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match consumer.committed_offsets(mark_offsets(&self.topic, StepNumber::ZERO)?, left) {
                Ok(answer) => break answer,
                Err(error) if left.is_zero() => return Err(failed("read the mark", &error, &Said::default())),
                Err(error) => {
                    tracing::debug!(%error, "The mark is asked for again.");
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        };
        let found = answer.elements().first().and_then(|partition| match partition.offset() {
            Offset::Offset(step) => u64::try_from(step).ok().map(StepNumber),
            _ => None,
        });
        match found {
            Some(step) if step >= mark.step => Ok(step),
            _ if mark.step == StepNumber::ZERO || self.missing == MissingMark::Continue => Ok(mark.step),
            _ => {
                let what = format!(
                    "the cluster has forgotten what this pipeline wrote to `{}` last: its mark was step {}",
                    self.topic, mark.step
                );
                Err(Error::external(what).never_retry().with_remedy(
                    "if it was not killed while it wrote, go on with `on_missing_mark: continue`; otherwise rows may be \
                     there already, and come twice",
                ))
            }
        }
    }
}

/// Opens off the runtime's threads.
///
/// # Errors
/// Those of [`Target::open`].
pub(super) async fn open(target: Arc<Target>, context: SinkContext) -> Result<(Transactions, KafkaMark)> {
    tokio::task::spawn_blocking(move || target.open(&context)).await.map_err(Error::internal)?
}
