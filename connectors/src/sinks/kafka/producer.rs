//! The producer: a thread of its own that writes messages in transactions, in the order in which it is told.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::StepNumber;
use tidegate_pipeline::testing::crash;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::records::{Record, Records};
use crate::sources::kafka::connection::{Said, failed};

/// How long a transaction may take to be committed once all its messages are written.
const COMMIT: Duration = Duration::from_secs(120);
/// How long a transaction may take to be given up.
const ABORT: Duration = Duration::from_secs(10);

/// What the client calls back.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// What the client said last.
    pub(super) said: Said,
    /// The first message that was not written, and why.
    lost: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.said.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.lost.lock().get_or_insert_with(|| error.clone());
        }
    }
}

/// What the thread is told.
pub(super) enum Command {
    /// Write these; the permit holds their part of the queue.
    Write(Records, OwnedSemaphorePermit),
    /// Commit everything up to `step`, when `go` says that its steps are durable; then say so.
    Commit { step: StepNumber, go: oneshot::Receiver<()>, done: oneshot::Sender<Result<()>> },
}

/// See the module.
pub(super) struct Transactions {
    pub(super) producer: BaseProducer<Deliveries>,
    pub(super) topic: String,
    /// What the mark is written as: an offset of this group.
    pub(super) group: ConsumerGroupMetadata,
    /// How long a message may wait for room.
    pub(super) timeout: Duration,
    pub(super) open: bool,
}

impl Transactions {
    /// Does what it is told until nobody tells it anything, or something fails: then `trouble` says what.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>, trouble: &Mutex<Option<Error>>) {
        while let Some(command) = commands.blocking_recv() {
            let (done, outcome) = match command {
                Command::Write(records, _permit) => (None, self.write(&records)),
                Command::Commit { step, go, done } => match go.blocking_recv() {
                    Ok(()) => (Some(done), self.commit(step)),
                    // The checkpoint has failed: the transaction goes on until the next one.
                    Err(_) => continue,
                },
            };
            if let Err(error) = &outcome {
                *trouble.lock() = Some(error.clone());
            }
            let ended = outcome.is_err();
            if let Some(done) = done {
                let _ = done.send(outcome);
            }
            if ended {
                break;
            }
        }
        if self.open
            && let Err(error) = self.producer.abort_transaction(ABORT)
        {
            tracing::debug!(%error, "The open transaction is left to the next start.");
        }
    }

    fn begin(&mut self) -> Result<()> {
        if !self.open {
            self.producer.begin_transaction().map_err(|error| self.failed("begin a transaction", &error))?;
            self.open = true;
        }
        Ok(())
    }

    fn write(&mut self, records: &Records) -> Result<()> {
        self.begin()?;
        for record in records.iter() {
            self.send(&record)?;
        }
        self.producer.poll(Duration::ZERO);
        self.check()
    }

    fn send(&self, record: &Record<'_>) -> Result<()> {
        let mut message: BaseRecord<'_, str, [u8]> = BaseRecord::to(&self.topic).payload(record.body);
        if let Some(key) = record.key {
            message = message.key(key);
        }
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            let add = |headers: OwnedHeaders, (key, value): &(&str, &str)| {
                headers.insert(Header { key, value: Some(*value) })
            };
            message = message.headers(record.headers.iter().fold(headers, add));
        }
        let deadline = Instant::now() + self.timeout;
        loop {
            message = match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((error, message)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    if Instant::now() > deadline {
                        return Err(self.failed("write a message in time", &error));
                    }
                    message
                }
                Err((error, _)) => {
                    let what = format!("write a message of {} bytes", record.body.len());
                    return Err(self.failed(&what, &error));
                }
            };
            self.producer.poll(Duration::from_millis(100));
            self.check()?;
        }
    }

    /// Whether every message that was answered for was written.
    fn check(&self) -> Result<()> {
        let lost = self.producer.context().lost.lock().clone();
        lost.map_or(Ok(()), |error| Err(self.failed("write a message", &error)))
    }

    /// Commits what was written, and with it that this was everything up to `step`.
    fn commit(&mut self, step: StepNumber) -> Result<()> {
        self.begin()?;
        let deadline = Instant::now() + COMMIT;
        let flushed = self.producer.flush(COMMIT);
        flushed.map_err(|error| self.failed("write all messages in time", &error))?;
        self.check()?;
        crash::point("sink.sync");
        let mark = mark_offsets(&self.topic, step)?;
        self.until(deadline, "write the mark", |left| {
            self.producer.send_offsets_to_transaction(&mark, &self.group, left)
        })?;
        self.until(deadline, "commit a transaction", |left| self.producer.commit_transaction(left))?;
        self.open = false;
        crash::point("sink.synced");
        Ok(())
    }

    /// Tries until it succeeds, cannot any more, or the time is over.
    fn until(&self, deadline: Instant, doing: &str, attempt: impl Fn(Duration) -> KafkaResult<()>) -> Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match attempt(left) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() => {
                    tracing::debug!(%error, doing, "Kafka is asked again.");
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(self.failed(doing, &error)),
            }
        }
    }

    fn failed(&self, doing: &str, error: &KafkaError) -> Error {
        let code = error.rdkafka_error_code();
        let failed = failed(doing, error, &self.producer.context().said);
        match code {
            Some(
                RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced | RDKafkaErrorCode::InvalidProducerEpoch,
            ) => failed.with_remedy(
                "another program writes under the same `transactional_id`, or the transaction was open longer than \
                     `transaction_timeout`; the next start goes on where this one was",
            ),
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                failed.with_remedy("raise the topic's `max.message.bytes`, or select fewer columns")
            }
            _ => failed,
        }
    }
}

/// The mark as the offset of a group: the number of the last step.
///
/// # Errors
/// When the number is no offset.
pub(super) fn mark_offsets(topic: &str, step: StepNumber) -> Result<TopicPartitionList> {
    let mut mark = TopicPartitionList::new();
    let offset = i64::try_from(step.0).map_err(Error::internal)?;
    mark.add_partition_offset(topic, 0, Offset::Offset(offset)).map_err(Error::internal)?;
    Ok(mark)
}
