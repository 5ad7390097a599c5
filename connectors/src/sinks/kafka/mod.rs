//! `kafka`: rows as JSON messages of a topic; transactional.
//!
//! The rows of a checkpoint are one Kafka transaction. The mark, the number of the last step, is committed in the same
//! transaction as the offset of a consumer group that nobody joins. A restart fences whoever wrote before, aborts what
//! was left open, reads the mark back and leaves out what is there already.

mod open;
pub mod options;
mod producer;
mod records;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{OpenSink, PlannedSink, Sink, SinkContext, SinkKind, TransactionalSink};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{Options, Together, Tree};
use tidegate_pipeline::step::{StepHeader, StepNumber};
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::open::{KafkaMark, Target};
use self::options::KafkaSinkOptions;
use self::producer::{Command, Transactions};
use self::records::Encoder;
use crate::places::Places;
use crate::sources::kafka::connection::ConnectionOptions;

/// How many bytes of messages wait for the client.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// How many steps wait for the client.
const QUEUE: usize = 256;
/// How long a transaction may be open when the user does not say: the most that brokers allow by default.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The cluster forgets the offsets of groups that nobody joins: a mark is written again before.
const REFRESH: Duration = Duration::from_secs(60 * 60);

/// The kind `kafka`.
#[derive(Debug, Clone, Copy)]
pub struct KafkaKind;

impl SinkKind for KafkaKind {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn summary(&self) -> &'static str {
        "JSON messages of a Kafka topic, in transactions; exactly once for readers of committed messages"
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(Together<KafkaSinkOptions, ConnectionOptions>)
    }

    fn state_of(&self, options: &Options) -> Option<String> {
        Some(options.canonical_of(&["host", "port", "topic", "transactional_id"]))
    }

    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let places = Places(options);
        let Together(given, reach): Together<KafkaSinkOptions, ConnectionOptions> = options.read()?;
        let mut found = Vec::new();
        given.check(&places, &mut found);
        let connection = reach.connection(&context.working_directory);
        connection.check(&places, &mut found);
        let mut encoder = Encoder { key: None, headers: Vec::new() };
        for (name, text) in expressions(options) {
            match planned(options, &text, context) {
                Err(wrong) => found.push(wrong),
                Ok(expression) => match name {
                    None => encoder.key = Some(expression),
                    Some(name) => encoder.headers.push((name, expression)),
                },
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        let target = Target {
            connection,
            topic: given.topic,
            transactional_id: given.transactional_id,
            timeout: given.transaction_timeout.map_or(TRANSACTION_TIMEOUT, |timeout| timeout.0),
            compression: given.compression,
            missing: given.on_missing_mark,
        };
        Ok(PlannedSink { open: Box::new(PlannedKafka { target: Arc::new(target), encoder }) })
    }
}

/// The SQL texts of `key` and of each of `headers`, which come with their names.
fn expressions(options: &Options) -> Vec<(Option<String>, Located<Arc<str>>)> {
    let Tree::Map(entries) = &options.tree.value else { return Vec::new() };
    let text = |value: &Located<Tree>| match &value.value {
        Tree::Text(text) => Some(Located::new(Arc::clone(text), value.place)),
        _ => None,
    };
    let mut found = Vec::new();
    for (key, value) in entries {
        match (key.value.as_ref(), &value.value) {
            ("key", _) => found.extend(text(value).map(|text| (None, text))),
            ("headers", Tree::Map(headers)) => {
                let named = |(name, value): &(Located<Arc<str>>, Located<Tree>)| {
                    Some((Some(name.value.to_string()), text(value)?))
                };
                found.extend(headers.iter().filter_map(named));
            }
            _ => {}
        }
    }
    found
}

fn planned(
    options: &Options,
    text: &Located<Arc<str>>,
    context: &mut PlanContext<'_>,
) -> Result<Expression, Diagnostic> {
    let sql = options.sql(text);
    let expression = Expression::plan(&sql, &context.schema, context.open, context.warnings)?;
    match expression.data_type() {
        nested if nested.is_nested() => {
            Err(Diagnostic::error(text.place, format!("keys and headers are text; this is {nested}")))
        }
        _ => Ok(expression),
    }
}

struct PlannedKafka {
    target: Arc<Target>,
    encoder: Encoder,
}

#[async_trait]
impl OpenSink for PlannedKafka {
    async fn open(&self, context: SinkContext) -> Result<Sink> {
        let node = Arc::clone(&context.node);
        let (transactions, mark) = open::open(Arc::clone(&self.target), context).await?;
        Ok(Sink::Transactional(Box::new(KafkaSink::start(&node, transactions, mark, self.encoder.clone())?)))
    }
}

/// An open sink `kafka`.
struct KafkaSink {
    encoder: Encoder,
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    /// What the thread has ended with.
    trouble: Arc<Mutex<Option<Error>>>,
    /// The last step that was written, and the life of the sink.
    mark: KafkaMark,
    /// Steps up to this one are in the topic already.
    there: StepNumber,
    /// Whether something was written since the last commit.
    dirty: bool,
    committed: Instant,
}

impl KafkaSink {
    fn start(node: &str, transactions: Transactions, mark: KafkaMark, encoder: Encoder) -> Result<Self> {
        let (commands, told) = mpsc::channel(QUEUE);
        let trouble = Arc::new(Mutex::new(None));
        let thread = std::thread::Builder::new().name(format!("kafka {node}"));
        let shared = Arc::clone(&trouble);
        let started = thread.spawn(move || transactions.run(told, &shared));
        started.map_err(|error| Error::external(format!("no thread for Kafka: {error}")))?;
        Ok(Self {
            encoder,
            commands,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            trouble,
            there: mark.step,
            mark,
            dirty: false,
            committed: Instant::now(),
        })
    }

    async fn tell(&self, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| ended(&self.trouble))
    }
}

fn ended(trouble: &Mutex<Option<Error>>) -> Error {
    trouble.lock().clone().unwrap_or_else(|| Error::internal("the Kafka producer has ended without a word"))
}

#[async_trait]
impl TransactionalSink for KafkaSink {
    async fn write(&mut self, step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        if step.number <= self.there || rows.num_rows() == 0 {
            return Ok(());
        }
        let records = self.encoder.encode(step, rows)?;
        let bytes = records.bytes().clamp(1, QUEUE_BYTES);
        let wanted = u32::try_from(bytes).map_err(Error::internal)?;
        let permit = Arc::clone(&self.room).acquire_many_owned(wanted).await.map_err(Error::internal)?;
        (self.mark.step, self.dirty) = (records.step, true);
        self.tell(Command::Write(records, permit)).await
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        let detail = serde_json::to_string(&self.mark).map_err(Error::internal)?;
        let refresh = self.mark.step > StepNumber::ZERO && self.committed.elapsed() > REFRESH;
        if !std::mem::take(&mut self.dirty) && !refresh {
            return Ok(async move { Ok(detail) }.boxed());
        }
        self.committed = Instant::now();
        let (go, may_go) = oneshot::channel();
        let (done, outcome) = oneshot::channel();
        self.tell(Command::Commit { step: self.mark.step, go: may_go, done }).await?;
        let trouble = Arc::clone(&self.trouble);
        // The steps are durable in the journal when this is waited for, and not before: what the topic has must never
        // be ahead of the journal.
        Ok(async move {
            let _ = go.send(());
            outcome.await.map_err(|_| ended(&trouble))??;
            Ok(detail)
        }
        .boxed())
    }
}
