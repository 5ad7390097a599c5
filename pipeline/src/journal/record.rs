//! What the journal records.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::frame::MAX_PAYLOAD;
use crate::error::{Error, Result};
use crate::rows::Rejected;
use crate::sink::EffectPayload;
use crate::step::{ContentHash, Position, Range, SchemaVersion, StepHeader, StepNumber};

pub use super::batch::{decode_batch, decode_schema, encode_batch, encode_schema};

/// One record of the journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A step.
    Step(StepRecord),
    /// What a dispatching sink is going to send, with its mark.
    Outbox(OutboxRecord),
    /// How an effect ended.
    Outcome(OutcomeRecord),
}

/// A step: its head, and its rows or where to read them again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The head.
    pub header: StepHeader,
    /// The rest.
    pub body: StepBody,
}

/// What a step consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StepBody {
    /// Rows that can be read again.
    Reference {
        /// The stretches of the source, in order.
        ranges: Vec<Range>,
        /// Where the source stands after them.
        position: Position,
    },
    /// The rows themselves.
    Inline {
        /// The rows, by port.
        parts: Vec<InlinePart>,
        /// Input that never became rows.
        rejected: Vec<Rejected>,
        /// Where the source stands after them.
        position: Position,
    },
    /// Something that the engine itself says.
    Engine(EngineEvent),
}

/// Rows of one port of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlinePart {
    /// The index of the port.
    pub port: u32,
    /// One batch, as [`encode_batch`] writes it.
    #[serde(with = "super::bytes")]
    pub ipc: Vec<u8>,
}

/// What is not read from a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineEvent {
    /// From this step on the pipeline is defined by this content.
    Definition {
        /// The hash of the definition.
        hash: ContentHash,
    },
    /// A file that a node reads has these contents from this step on.
    Lookup {
        /// The node.
        node: String,
        /// The name under which the node knows it.
        name: String,
        /// The segment that holds the contents.
        hash: ContentHash,
    },
    /// A source uses a schema for the first time.
    Schema {
        /// The source.
        source: String,
        /// The version that its steps will name.
        version: SchemaVersion,
        /// The schema, as [`encode_schema`] writes it.
        #[serde(with = "super::bytes")]
        schema: Vec<u8>,
    },
    /// Time has passed: a deadline of some node is due.
    Tick,
    /// A source has ended.
    SourceEnded {
        /// The source.
        source: String,
        /// Where it stood.
        position: Option<Position>,
        /// What identifies its whole input, as JSON.
        fingerprint: Option<String>,
    },
    /// Every source has ended, and every node has seen it.
    Finished,
    /// These nodes are new and begin with the tables that they read as they are now.
    Joined {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// A sink has given up effects, and its port `dead_letter` tells.
    GivenUp {
        /// The node of the sink.
        sink: String,
        /// What it has given up.
        letters: Vec<DeadLetter>,
    },
    /// Every source has ended, and the nodes behind at most `depth` ports `dead_letter` have seen it. Others wait for
    /// what these ports still have to say; then comes [`EngineEvent::Finished`].
    Drained {
        /// See above.
        depth: u32,
    },
}

/// An effect that was given up, as its sink's port `dead_letter` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The id of the effect.
    pub effect: String,
    /// The step that it came from.
    pub step: StepNumber,
    /// The index of the row (or batch) in that step.
    pub row: u32,
    /// The key of the effect.
    pub key: Option<String>,
    /// Why it was given up.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// How the last attempts went, oldest first.
    pub history: Vec<Failure>,
    /// What was to be sent, cut to [`crate::rows::MAX_RAW`] bytes; invalid UTF-8 is replaced.
    pub body: String,
    /// When it was given up, in ms since 1970.
    pub given_up_at: i64,
}

/// An attempt in vain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which attempt it was, from 1; 0 where there was none.
    pub attempt: u32,
    /// When, in ms since 1970.
    pub time: i64,
    /// Why.
    pub reason: String,
}

/// Effects of one input of a dispatching sink, and its mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// The node of the sink.
    pub sink: String,
    /// The index of the input.
    pub input: u32,
    /// The mark: all effects of this input up to and with this step are in the journal.
    pub through: StepNumber,
    /// The effects, in order.
    pub effects: Vec<OutboxEffect>,
}

/// An effect as it will be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEffect {
    /// The step that it comes from.
    pub step: StepNumber,
    /// The index of the row (or batch) in that step.
    pub row: u32,
    /// What is sent.
    pub payload: EffectPayload,
}

/// How an effect ended, or goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// The node of the sink.
    pub sink: String,
    /// The id of the effect.
    pub effect: String,
    /// The end, or what has come of it so far.
    pub outcome: Outcome,
    /// How often it was tried.
    pub attempts: u32,
    /// Why, where it was not delivered.
    pub reason: Option<String>,
    /// When, in ms since 1970; 0 where an earlier program did not say.
    pub time: i64,
}

/// An outcome as programs wrote it that did not say when.
#[derive(Deserialize)]
struct TimelessOutcome {
    sink: String,
    effect: String,
    outcome: Outcome,
    attempts: u32,
    reason: Option<String>,
}

impl From<TimelessOutcome> for OutcomeRecord {
    fn from(record: TimelessOutcome) -> Self {
        let TimelessOutcome { sink, effect, outcome, attempts, reason } = record;
        Self { sink, effect, outcome, attempts, reason, time: 0 }
    }
}

/// The ends that an effect can come to, and what lies on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Delivered.
    Done,
    /// Given up.
    Dead,
    /// Dropped on somebody's word.
    Discarded,
    /// Dropped by a rule.
    Suppressed,
    /// No end: intended again, on somebody's word, after it was given up.
    Retried,
    /// No end: it was tried in vain, and will be tried again.
    Tried,
    /// No end: it leaves when somebody has approved it.
    Held,
    /// No end: intended again, on somebody's word, after it was held.
    Approved,
}

/// The kind byte of a frame that holds a step.
pub(super) const STEP: u8 = 1;
const OUTBOX: u8 = 2;
const OUTCOME: u8 = 3;
/// The version byte of plain frames of the first programs, which knew no [`EngineEvent::Joined`], no outcomes on somebody's
/// word or by a rule, and no tries. Compressed frames have the next one. What they hold is read as it is today.
const FIRST_PLAIN: u8 = 1;
/// The version byte of plain frames of programs which knew no [`crate::step::Unit::Targeted`].
const SECOND_PLAIN: u8 = 3;
/// The version byte of plain frames of programs whose outcomes had no time, and which knew no approvals,
/// [`EngineEvent::GivenUp`] and [`EngineEvent::Drained`]. Compressed frames have the next one.
const THIRD_PLAIN: u8 = 5;
/// The version byte of a frame that holds a record as postcard writes it.
pub(super) const PLAIN: u8 = 7;
/// The version byte of a frame that holds the length of that (u32, little endian) and itself compressed with zstd.
pub(super) const COMPRESSED: u8 = 8;
/// Longer records are compressed, if that makes them a quarter shorter: below it neither the disk's time nor its
/// space is worth the processor's (`cargo bench --bench journal -- compression`).
const COMPRESS_ABOVE: usize = 4 * 1024;
/// The fastest level that still finds the repetitions that events are full of.
const LEVEL: i32 = 1;

/// A record as a frame holds it.
#[derive(Debug)]
pub(super) struct Encoded {
    /// The kind byte.
    pub(super) kind: u8,
    /// The version byte.
    pub(super) version: u8,
    /// The payload.
    pub(super) payload: Vec<u8>,
}

impl Record {
    fn kind(&self) -> u8 {
        match self {
            Self::Step(_) => STEP,
            Self::Outbox(_) => OUTBOX,
            Self::Outcome(_) => OUTCOME,
        }
    }

    /// Whether most of it are batches, which are compressed already where that pays.
    fn is_mostly_batches(&self, length: usize) -> bool {
        let Self::Step(StepRecord { body: StepBody::Inline { parts, .. }, .. }) = self else { return false };
        parts.iter().map(|part| part.ipc.len()).sum::<usize>() > length / 2
    }

    /// The frame that holds this record.
    ///
    /// # Errors
    /// When the record exceeds [`MAX_PAYLOAD`].
    pub(super) fn encode(&self) -> Result<Encoded> {
        let encoded = match self {
            Self::Step(step) => postcard::to_stdvec(step),
            Self::Outbox(outbox) => postcard::to_stdvec(outbox),
            Self::Outcome(outcome) => postcard::to_stdvec(outcome),
        };
        let plain = encoded.map_err(|error| Error::internal(format!("a journal record cannot be encoded: {error}")))?;
        if plain.len() > MAX_PAYLOAD {
            let length = plain.len();
            return Err(Error::user(format!("a journal record would have {length} bytes, the most is {MAX_PAYLOAD}"))
                .with_remedy("let the source hand over smaller batches"));
        }
        let kind = self.kind();
        if plain.len() > COMPRESS_ABOVE && !self.is_mostly_batches(plain.len()) {
            let payload = compress(&plain)?;
            if payload.len() < plain.len() - plain.len() / 4 {
                return Ok(Encoded { kind, version: COMPRESSED, payload });
            }
        }
        Ok(Encoded { kind, version: PLAIN, payload: plain })
    }

    /// The record that a frame's payload holds.
    ///
    /// # Errors
    /// When this program does not know the kind or version, or the payload is not of that kind.
    pub(super) fn decode(kind: u8, version: u8, payload: &[u8]) -> Result<Self> {
        known(kind, version)?;
        let plain = plain(version, payload)?;
        match kind {
            STEP => whole(&plain).map(Self::Step),
            OUTBOX => whole(&plain).map(Self::Outbox),
            _ if version < PLAIN => whole(&plain).map(|record: TimelessOutcome| Self::Outcome(record.into())),
            _ => whole(&plain).map(Self::Outcome),
        }
    }
}

/// Whether this program knows a frame's kind and version.
///
/// # Errors
/// The kind, and that a newer program is needed.
pub(super) fn known(kind: u8, version: u8) -> Result<()> {
    let name = match kind {
        STEP => "step",
        OUTBOX => "outbox",
        OUTCOME => "outcome",
        _ => "unknown",
    };
    if name != "unknown" && (FIRST_PLAIN..=COMPRESSED).contains(&version) {
        return Ok(());
    }
    Err(Error::user(format!(
        "the journal holds a record of kind {kind} ({name}), version {version}, which this program ({}) does not know",
        env!("CARGO_PKG_VERSION")
    ))
    .with_remedy("a newer program is needed: run the one that wrote this journal"))
}

/// The head of the step that a payload of kind [`STEP`] holds, without decoding its rows.
pub(super) fn step_header(version: u8, payload: &[u8]) -> Result<StepHeader> {
    let plain = plain(version, payload)?;
    postcard::take_from_bytes(&plain).map(|(header, _)| header).map_err(|error| undecodable(&error))
}

fn compress(plain: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(plain.len()).map_err(Error::internal)?;
    let compressed = zstd::bulk::compress(plain, LEVEL)
        .map_err(|error| Error::internal(format!("a journal record cannot be compressed: {error}")))?;
    Ok([&length.to_le_bytes()[..], &compressed].concat())
}

/// A record as postcard writes it.
fn plain(version: u8, payload: &[u8]) -> Result<Cow<'_, [u8]>> {
    if [FIRST_PLAIN, SECOND_PLAIN, THIRD_PLAIN, PLAIN].contains(&version) {
        return Ok(Cow::Borrowed(payload));
    }
    let Some((length, compressed)) = payload.split_first_chunk::<4>() else {
        return Err(undecodable(&"it is shorter than its head"));
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_PAYLOAD {
        return Err(undecodable(&format!("it claims {length} bytes")));
    }
    match zstd::bulk::decompress(compressed, length) {
        Ok(plain) if plain.len() == length => Ok(Cow::Owned(plain)),
        Ok(plain) => Err(undecodable(&format!("it has {} bytes instead of {length}", plain.len()))),
        Err(error) => Err(undecodable(&error)),
    }
}

fn whole<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(payload) {
        Ok((record, [])) => Ok(record),
        Ok((_, rest)) => Err(undecodable(&format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(undecodable(&error)),
    }
}

fn undecodable(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("a journal record with a good checksum cannot be decoded: {error}"))
        .with_remedy("if a newer program has written it: run that one")
}
