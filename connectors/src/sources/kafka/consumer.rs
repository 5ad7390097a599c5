//! The consumer: a thread of its own that polls, makes lines of messages and hands them over in batches.
//!
//! It ends when the source is dropped, and when the client cannot go on: then the source is opened again. It polls also
//! while nobody takes what it has (with its partitions paused), so that a group never takes it for dead.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc as acknowledgements;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::SourceContext;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::Settings;
use super::avro::AvroDecoder;
use super::batch::Batch;
use super::cluster::{Cluster, topic_missing};
use super::connection::failed;
use super::context::Context;
use super::message::LineWriter;
use super::options::Topics;
use super::ownership::Ownership;
use super::position::Offsets;

/// A batch is handed over at the latest when it is so long, in bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// How many batches wait to be decoded.
const WAITING: usize = 4;
/// How long it waits for a message before it looks around.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// How long it waits for room before it pauses its partitions.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the consumer tells the source.
#[derive(Debug)]
pub(super) enum FromConsumer {
    /// These partitions are read from these offsets on.
    Assigned(Offsets),
    /// These are not read any more.
    Revoked(Vec<(Arc<str>, i32)>),
    /// Messages.
    Batch(Box<Batch>),
    /// It cannot go on.
    Failed(Error),
}

/// The source's ends of the channels to the thread.
pub(super) struct Channels {
    pub(super) inbox: mpsc::Receiver<FromConsumer>,
    pub(super) acknowledge: acknowledgements::Sender<Offsets>,
    /// Closed when the thread has left the group.
    pub(super) left: oneshot::Receiver<Infallible>,
}

/// See the module.
pub(super) struct Worker {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) settings: Arc<Settings>,
    pub(super) owned: Ownership,
    /// What is durable, as far as it was told.
    pub(super) durable: Offsets,
    pub(super) acknowledged: acknowledgements::Receiver<Offsets>,
    pub(super) last_commit: Instant,
    writer: LineWriter,
    avro: Option<AvroDecoder>,
    batch: Batch,
    /// The topic of the last message: they mostly follow one another.
    topic: Arc<str>,
    outbox: mpsc::Sender<FromConsumer>,
    looked_around: Instant,
    /// The topics that are subscribed to, in a group.
    pub(super) subscribed: Vec<String>,
    /// Tells, by being dropped, that the thread has ended. Behind the consumer: fields are dropped in order.
    _here: oneshot::Sender<Infallible>,
}

impl Worker {
    /// Connects, finds the partitions and starts the thread. Blocks.
    ///
    /// # Errors
    /// When no broker answers, no wanted topic is there, or an offset is gone.
    pub(super) fn start(
        settings: Arc<Settings>,
        context: &SourceContext,
        writer: LineWriter,
        avro: Option<AvroDecoder>,
    ) -> Result<Channels> {
        let consumer: BaseConsumer<Context> =
            settings
                .config(&context.node)?
                .create_with_context(Context::default())
                .map_err(|error| Error::user(format!("the Kafka client cannot be made: {error}")))?;
        let (outbox, inbox) = mpsc::channel(WAITING);
        let (acknowledge, acknowledged) = acknowledgements::channel();
        let (here, left) = oneshot::channel();
        let now = Instant::now();
        let mut worker = Self {
            consumer,
            settings,
            owned: Ownership::default(),
            durable: Offsets::default(),
            acknowledged,
            last_commit: now,
            writer,
            avro,
            batch: Batch::default(),
            topic: "".into(),
            outbox,
            looked_around: now,
            subscribed: Vec::new(),
            _here: here,
        };
        let position = context.position.as_ref().map(Offsets::read).transpose()?;
        worker.begin(position.as_ref()).inspect_err(|_| worker.consumer.context().close())?;
        let thread = std::thread::Builder::new().name(format!("kafka {}", context.node));
        thread.spawn(move || worker.run()).map_err(|error| Error::external(format!("no thread for Kafka: {error}")))?;
        Ok(Channels { inbox, acknowledge, left })
    }

    fn begin(&mut self, position: Option<&Offsets>) -> Result<()> {
        let found = Cluster::of(&self.consumer).find(&self.settings.topics)?;
        for (topic, code) in &found.missing {
            let error = topic_missing(topic, *code);
            if found.partitions.is_empty() {
                return Err(error);
            }
            tracing::warn!(%error, "One of several topics cannot be read.");
        }
        if self.settings.group.is_some() {
            return self.subscribe(&found);
        }
        let assigned = self.starts(&found.partitions, position, true)?;
        self.assign(assigned)
    }

    /// Where new partitions are begun. What has never been looked at is begun where the user wants; a partition that
    /// came to a known topic later, at its beginning: nothing of it has been missed.
    fn starts(&self, partitions: &[(Arc<str>, i32)], position: Option<&Offsets>, opening: bool) -> Result<Offsets> {
        let (cluster, mut starts) = (Cluster::of(&self.consumer), Offsets::default());
        let named = matches!(self.settings.topics, Topics::Named(_));
        for (topic, partition) in partitions {
            if self.owned.handed().of(topic, *partition).is_some() {
                continue;
            }
            let next = match position.and_then(|position| position.of(topic, *partition)) {
                Some(wanted) => cluster.go_on(topic, *partition, wanted, self.settings.missing)?,
                None => {
                    let never_looked = position.is_none_or(|position| named && !position.knows(topic));
                    let (low, high) = cluster.bounds(topic, *partition)?;
                    if opening && never_looked && !self.settings.earliest { high } else { low }
                }
            };
            starts.set(topic, *partition, next);
        }
        Ok(starts)
    }

    /// Reads these partitions too.
    pub(super) fn assign(&mut self, starts: Offsets) -> Result<()> {
        if starts.is_empty() {
            return Ok(());
        }
        let assigned = self.consumer.incremental_assign(&starts.list()?);
        assigned.map_err(|error| failed("read the partitions", &error, &self.consumer.context().said))?;
        for (topic, partition, next) in starts.iter() {
            self.owned.take(topic, partition, next);
        }
        self.send(FromConsumer::Assigned(starts));
        Ok(())
    }

    fn run(mut self) {
        if let Err(error) = self.work() {
            self.flush();
            self.send(FromConsumer::Failed(error));
        }
        self.commit_last();
        // Dropping the consumer leaves the group.
        self.consumer.context().close();
    }

    fn work(&mut self) -> Result<()> {
        while !self.outbox.is_closed() {
            self.answer_rebalances()?;
            self.take_acknowledgements();
            self.look_around()?;
            let full = self.batch.len() >= self.settings.batch || self.batch.lines.len() >= BATCH_BYTES;
            if full || !self.poll(if self.batch.is_empty() { POLL } else { Duration::ZERO })? {
                self.flush();
            }
        }
        Ok(())
    }

    /// Takes a message into the batch; whether there was one.
    fn poll(&mut self, wait: Duration) -> Result<bool> {
        let error = match self.consumer.poll(wait) {
            None => return Ok(false),
            Some(Ok(message)) => {
                if &*self.topic != message.topic() {
                    self.topic = message.topic().into();
                }
                add(&mut self.batch, &mut self.writer, self.avro.as_mut(), &self.topic, &message)?;
                return Ok(true);
            }
            Some(Err(error)) => error,
        };
        self.trouble(&error)?;
        Ok(false)
    }

    /// Hands the batch over.
    pub(super) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = Box::new(std::mem::take(&mut self.batch));
        for (at, next) in &batch.moves {
            if let Some((topic, partition)) = batch.partitions.get(*at) {
                self.owned.hand(topic, *partition, *next);
            }
        }
        self.send(FromConsumer::Batch(batch));
    }

    /// Hands something over, as soon as there is room.
    pub(super) fn send(&mut self, mut item: FromConsumer) {
        let (begun, mut paused) = (Instant::now(), None);
        loop {
            item = match self.outbox.try_send(item) {
                Ok(()) | Err(TrySendError::Closed(_)) => break,
                Err(TrySendError::Full(item)) => item,
            };
            if paused.is_none() && begun.elapsed() > PATIENCE {
                paused = self.pause_all();
            }
            match &paused {
                None => std::thread::sleep(Duration::from_millis(1)),
                // What is in trouble now will be so when there is room again.
                Some(_) => drop(self.poll(POLL)),
            }
        }
        if let Some(paused) = paused
            && let Err(error) = self.consumer.resume(&paused)
        {
            tracing::warn!(%error, "Partitions could not be resumed.");
        }
    }

    fn pause_all(&self) -> Option<rdkafka::TopicPartitionList> {
        let all = self.owned.handed().list().ok()?;
        self.consumer.pause(&all).ok()?;
        tracing::debug!("Nobody takes what Kafka gives: its partitions are paused.");
        Some(all)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.outbox.is_closed()
    }

    /// Looks for new topics and partitions from time to time.
    fn look_around(&mut self) -> Result<()> {
        if self.looked_around.elapsed() < self.settings.metadata_max_age {
            return Ok(());
        }
        self.looked_around = Instant::now();
        let found = match Cluster::of(&self.consumer).find(&self.settings.topics) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "New topics and partitions were not looked for.");
                return Ok(());
            }
        };
        if let (true, Some((topic, code))) = (found.partitions.is_empty(), found.missing.first()) {
            return Err(topic_missing(topic, *code));
        }
        if self.settings.group.is_some() {
            return self.subscribe(&found);
        }
        let starts = self.starts(&found.partitions, None, false)?;
        self.assign(starts)
    }

    /// What the client cannot mend by itself ends this consumer; the rest is only told.
    fn trouble(&mut self, error: &KafkaError) -> Result<()> {
        let fatal = |doing: &str| Err(failed(doing, error, &self.consumer.context().said));
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return fatal("go on reading");
        }
        let one_topic = matches!(&self.settings.topics, Topics::Named(names) if names.len() == 1);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => fatal("reach any broker"),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => fatal("log in"),
            Some(RDKafkaErrorCode::GroupAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed) => {
                fatal("read as a member of the group")
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) if one_topic => fatal("read the topic"),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => self.find_lost_offsets(),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => {
                tracing::warn!(%error, "A topic or partition is gone.");
                let found = Cluster::of(&self.consumer).find(&self.settings.topics)?;
                match found.missing.first().filter(|_| found.partitions.is_empty()) {
                    Some((topic, code)) => Err(topic_missing(topic, *code)),
                    None => Ok(()),
                }
            }
            _ => {
                tracing::warn!(%error, "Kafka is in trouble; the client tries again.");
                Ok(())
            }
        }
    }

    /// Some offset is gone: finds out which, and goes on where the user wants.
    fn find_lost_offsets(&mut self) -> Result<()> {
        self.flush();
        let mut moved = Offsets::default();
        for (topic, partition, next) in self.owned.handed().iter() {
            let go_on = Cluster::of(&self.consumer).go_on(topic, partition, next, self.settings.missing)?;
            if go_on != next {
                moved.set(topic, partition, go_on);
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        let dropped = self.consumer.incremental_unassign(&moved.list()?);
        dropped.map_err(|error| failed("leave the lost offsets", &error, &self.consumer.context().said))?;
        self.assign(moved)
    }
}

fn add(
    batch: &mut Batch,
    writer: &mut LineWriter,
    avro: Option<&mut AvroDecoder>,
    topic: &Arc<str>,
    message: &BorrowedMessage<'_>,
) -> Result<()> {
    let name: Arc<str> = format!("{topic}:{}:{}", message.partition(), message.offset()).into();
    let decoded = match (avro, message.payload()) {
        (Some(avro), Some(payload)) => Some(avro.decode(payload, &name)?),
        _ => None,
    };
    let named = Arc::clone(&name);
    batch.add(topic, message, name, |out| match decoded {
        None => writer.write(message, &named, out),
        Some(Ok(json)) => writer.write_json(message, &json, &named, out),
        Some(Err(rejected)) => Err(rejected),
    });
    Ok(())
}
