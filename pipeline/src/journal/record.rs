//! What the journal records.

use serde::{Deserialize, Serialize};

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

/// How an effect ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// The node of the sink.
    pub sink: String,
    /// The id of the effect.
    pub effect: String,
    /// The end.
    pub outcome: Outcome,
    /// How often it was tried.
    pub attempts: u32,
    /// Why, where it was not delivered.
    pub reason: Option<String>,
}

/// The ends that an effect can come to.
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
}

/// The kind byte of a frame that holds a step.
pub(super) const STEP: u8 = 1;
const OUTBOX: u8 = 2;
const OUTCOME: u8 = 3;
/// The version byte that this program writes, for every kind.
const VERSION: u8 = 1;

impl Record {
    /// The kind and version bytes of the frame that holds this record.
    pub(super) fn kind_and_version(&self) -> (u8, u8) {
        match self {
            Self::Step(_) => (STEP, VERSION),
            Self::Outbox(_) => (OUTBOX, VERSION),
            Self::Outcome(_) => (OUTCOME, VERSION),
        }
    }

    /// The payload of the frame that holds this record.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let encoded = match self {
            Self::Step(step) => postcard::to_stdvec(step),
            Self::Outbox(outbox) => postcard::to_stdvec(outbox),
            Self::Outcome(outcome) => postcard::to_stdvec(outcome),
        };
        encoded.map_err(|error| Error::internal(format!("a journal record cannot be encoded: {error}")))
    }

    /// The record that a frame's payload holds.
    ///
    /// # Errors
    /// When this program does not know the kind or version, or the payload is not of that kind.
    pub(super) fn decode(kind: u8, version: u8, payload: &[u8]) -> Result<Self> {
        known(kind, version)?;
        match kind {
            STEP => whole(payload).map(Self::Step),
            OUTBOX => whole(payload).map(Self::Outbox),
            _ => whole(payload).map(Self::Outcome),
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
    if name != "unknown" && version == VERSION {
        return Ok(());
    }
    Err(Error::user(format!(
        "the journal holds a record of kind {kind} ({name}), version {version}, which this program ({}) does not know",
        env!("CARGO_PKG_VERSION")
    ))
    .with_remedy("a newer program is needed: run the one that wrote this journal"))
}

/// The head of the step that a payload of kind [`STEP`] holds, without decoding its rows.
pub(super) fn step_header(payload: &[u8]) -> Result<StepHeader> {
    postcard::take_from_bytes(payload).map(|(header, _)| header).map_err(|error| undecodable(&error))
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
}
