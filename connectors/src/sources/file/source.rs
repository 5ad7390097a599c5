//! An open file source: pieces are decoded in parallel and handed over in order.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::rows::{PortIndex, Rejected, widen};
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tidegate_pipeline::step::{Position, Range, SchemaVersion, Unit};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::feed::{Feed, Message};
use super::format::{FilePosition, Format};
use super::input::Fingerprint;
use super::reread::Rereader;
use crate::decode::chunk::RawChunk;
use crate::decode::pieces::Piece;
use crate::decode::segment::Segment;

/// A file source that is open.
pub(crate) struct FileSource {
    feed: Feed,
    /// Whether what it reads cannot be read again: a followed file may be rotated away.
    inline: bool,
    rereader: Arc<Rereader>,
    place: FilePosition,
    reading: Option<mpsc::Receiver<Result<Message>>>,
    schemas: Vec<(SchemaVersion, SchemaRef)>,
    /// The newest version that was announced.
    announced: Option<SchemaVersion>,
    /// Pieces that are being decoded, in order.
    decoding: VecDeque<Decoding>,
    /// Decoded, in order.
    ready: VecDeque<Ready>,
    parallel: usize,
    ended: Option<Fingerprint>,
}

/// A chunk that is being decoded under a schema that may be out of date when it is done.
struct Decoding {
    chunk: Arc<RawChunk>,
    inode: Option<u64>,
    schema: SchemaRef,
    task: JoinHandle<Result<Vec<Segment>>>,
}

/// A segment that can be handed over, and the version of its schema.
struct Ready {
    segment: Segment,
    version: SchemaVersion,
    inode: Option<u64>,
}

impl FileSource {
    /// A source that goes on at the context's position; `planned` is the schema that planning found.
    ///
    /// # Errors
    /// When the position cannot be read.
    pub(crate) fn new(feed: Feed, planned: SchemaRef, inline: bool, context: &SourceContext) -> Result<Self> {
        let place = context.position.as_ref().map(FilePosition::read).transpose()?.unwrap_or_default();
        let announced = context.schemas.last().map(|(version, _)| *version);
        let mut schemas = context.schemas.clone();
        if schemas.is_empty() {
            schemas.push((SchemaVersion::default(), planned));
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let rereader = Arc::new(Rereader::new(feed.clone()));
        Ok(Self {
            feed,
            inline,
            rereader,
            place,
            reading: None,
            schemas,
            announced,
            decoding: VecDeque::new(),
            ready: VecDeque::new(),
            parallel: cores + 1,
            ended: None,
        })
    }

    fn current(&self) -> Result<&(SchemaVersion, SchemaRef)> {
        self.schemas.last().ok_or_else(|| Error::internal("a file source without a schema"))
    }

    /// The channel of the reading thread, which is started when it is first needed.
    fn start(&mut self) {
        if self.reading.is_some() {
            return;
        }
        let (sender, receiver) = mpsc::channel(1);
        let (feed, place) = (self.feed.clone(), self.place.clone());
        tokio::task::spawn_blocking(move || feed.run(place.text(), place.inode, &sender));
        self.reading = Some(receiver);
    }

    fn spawn(&self, chunk: Arc<RawChunk>, inode: Option<u64>) -> Result<Decoding> {
        let Format::JsonLines(decoder) = &self.feed.format else {
            return Err(Error::internal("only lines are decoded after reading"));
        };
        let (decoder, lines, schema) = (decoder.clone(), Arc::clone(&chunk), Arc::clone(&self.current()?.1));
        let under = Arc::clone(&schema);
        let task = tokio::task::spawn_blocking(move || decoder.decode(&lines, &under));
        Ok(Decoding { chunk, inode, schema, task })
    }

    fn receive(&mut self, message: Option<Result<Message>>) -> Result<()> {
        match message.transpose()? {
            None => return Err(Error::internal("the reading of a file stopped without a word")),
            Some(Message::End(fingerprint)) => self.ended = Some(fingerprint),
            Some(Message::Piece(Piece::Rows(segment), inode)) => {
                let version = self.current()?.0;
                self.ready.push_back(Ready { segment, version, inode });
            }
            Some(Message::Piece(Piece::Lines(chunk), inode)) => {
                let decoding = self.spawn(Arc::new(chunk), inode)?;
                self.decoding.push_back(decoding);
            }
        }
        Ok(())
    }

    /// The first decoding is done: its segments are ready if they are what the current schema gives;
    /// otherwise it is decoded again.
    fn settle(&mut self, decoded: Result<Vec<Segment>>) -> Result<()> {
        let Some(first) = self.decoding.pop_front() else { return Ok(()) };
        let mut segments = decoded?;
        let current = Arc::clone(&self.current()?.1);
        if !Arc::ptr_eq(&first.schema, &current) {
            match segments.as_mut_slice() {
                // Every row fitted the older schema, so it says the same under the wider one.
                [only] if only.rejected.is_empty() && Arc::ptr_eq(only.batch.schema_ref(), &first.schema) => {
                    only.batch = widen(&only.batch, &current)?
                }
                _ => {
                    let again = self.spawn(first.chunk, first.inode)?;
                    self.decoding.push_front(again);
                    return Ok(());
                }
            }
        }
        for segment in segments {
            let schema = segment.batch.schema_ref();
            let (mut version, newest) = self.current()?.clone();
            if !Arc::ptr_eq(schema, &newest) {
                version = SchemaVersion(version.0 + 1);
                self.schemas.push((version, Arc::clone(schema)));
            }
            self.ready.push_back(Ready { segment, version, inode: first.inode });
        }
        Ok(())
    }

    fn arrival(&mut self, ready: Ready) -> Result<Arrival> {
        let Ready { segment, version, inode } = ready;
        let new_schema = (self.announced < Some(version)).then(|| segment.batch.schema());
        self.announced = self.announced.max(Some(version));
        let position = self.feed.format.position(segment.to, inode)?;
        let range = if self.inline { None } else { Some(self.range(&segment)?) };
        let alone = !self.feed.follow;
        Ok(Arrival { new_schema, range, alone, ..arrival(vec![segment.batch], segment.rejected, version, position) })
    }

    fn range(&self, segment: &Segment) -> Result<Range> {
        Ok(Range {
            from: self.feed.format.position(segment.from, None)?,
            to: self.feed.format.position(segment.to, None)?,
            hash: segment.hash,
            bytes: segment.to.offset - segment.from.offset,
        })
    }

    /// The next thing that happens. Cancel-safe: what is done is taken in the poll that finds it done.
    async fn event(&mut self) -> Event {
        let room = self.ended.is_none() && self.decoding.len() < self.parallel;
        let (reading, first) = (self.reading.as_mut(), self.decoding.front_mut());
        let receive = async {
            match reading {
                Some(reading) if room => reading.recv().await,
                _ => std::future::pending().await,
            }
        };
        let decode = async {
            match first {
                Some(first) => (&mut first.task).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = receive => Event::Received(message),
            decoded = decode => {
                let lost = |error| Err(Error::internal(format!("decoding a chunk failed: {error}")));
                Event::Decoded(decoded.unwrap_or_else(lost))
            }
        }
    }
}

enum Event {
    Received(Option<Result<Message>>),
    Decoded(Result<Vec<Segment>>),
}

#[async_trait]
impl Source for FileSource {
    async fn next(&mut self) -> Result<Option<Arrival>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return self.arrival(ready).map(Some);
            }
            if self.ended.is_some() && self.decoding.is_empty() {
                return Ok(None);
            }
            self.start();
            match self.event().await {
                Event::Received(message) => self.receive(message)?,
                Event::Decoded(segments) => self.settle(segments)?,
            }
        }
    }

    async fn reread(&mut self, range: &Range, version: SchemaVersion) -> Result<Arrival> {
        let schema = self.schemas.iter().find(|(known, _)| *known == version).map(|(_, schema)| Arc::clone(schema));
        let schema =
            schema.ok_or_else(|| Error::internal(format!("schema version {} was never announced", version.0)))?;
        let (rereader, wanted) = (Arc::clone(&self.rereader), range.clone());
        let read = tokio::task::spawn_blocking(move || rereader.read(&wanted, &schema));
        let (batches, rejected) = read.await.map_err(Error::internal)??;
        self.reading = None;
        self.decoding.clear();
        self.ready.clear();
        self.ended = None;
        self.place = FilePosition::read(&range.to)?;
        let arrival = arrival(batches, rejected, version, range.to.clone());
        Ok(Arrival { range: Some(range.clone()), ..arrival })
    }

    fn fingerprint(&self) -> Option<String> {
        serde_json::to_string(self.ended.as_ref()?).ok()
    }
}

fn arrival(batches: Vec<RecordBatch>, rejected: Vec<Rejected>, version: SchemaVersion, position: Position) -> Arrival {
    let rows = batches.into_iter().filter(|batch| batch.num_rows() > 0).map(|batch| (PortIndex(0), batch)).collect();
    Arrival {
        rows,
        rejected,
        unit: Unit::Rows,
        schema_version: version,
        new_schema: None,
        range: None,
        position,
        watermark: None,
        replies: Vec::new(),
        alone: false,
    }
}
