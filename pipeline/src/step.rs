//! Steps: the only order and the only clock that anything downstream of the sequencer sees.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of a step. The first step of a pipeline is 1; 0 means "before any".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepNumber(pub u64);

impl StepNumber {
    /// Before any step.
    pub const ZERO: Self = Self(0);

    /// The step after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for StepNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The time of a step: milliseconds since 1970-01-01T00:00:00Z. Never goes back from step to step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepTime(pub i64);

impl fmt::Display for StepTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A life of a pipeline's directory. Restoring elsewhere, importing or cutting the journal starts a new
/// one, so that the ids of effects never repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u32);

/// A part of a pipeline that owns its own journal. There is one today; formats carry it already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

/// The version of the schema that a source decoded a step's rows with. Version 1 is what planning saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(pub u32);

impl Default for SchemaVersion {
    fn default() -> Self {
        Self(1)
    }
}

/// The content hash (BLAKE3, hex) of a definition, a segment or another stored content.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContentHash(pub Arc<str>);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().as_str().into())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A position in a source, as that source writes it: a JSON text, so that people can read it in
/// `checkpoint show`. It means "everything before this has been taken".
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub Arc<str>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stretch of a source that can be read again, and the hash that proves that it reads the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Where it begins.
    pub from: Position,
    /// Where it ends, exclusive.
    pub to: Position,
    /// xxh3-128 of the raw bytes.
    pub hash: u128,
    /// Length of the raw bytes.
    pub bytes: u64,
}

/// The unit in which collecting inventory succeeds or fails: account × region × table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The account (for `host`, the machine id).
    pub account_id: Arc<str>,
    /// The region (for `host`, `local`).
    pub region: Arc<str>,
    /// The table.
    pub table: Arc<str>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.account_id, self.region, self.table)
    }
}

/// How collecting a scope ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScopeOutcome {
    /// Read to the end: what was not seen is gone.
    Complete,
    /// Not readable by this user or not offered by this service, with the reason. Nothing is deleted;
    /// controls that read the table answer `skip` (or `error` where they cannot do without).
    Skipped(String),
    /// Failed, with the reason. Nothing is deleted; findings of the scope are frozen.
    Failed(String),
}

/// Which part of a refresh a step is. A step never joins rows across a scope's begin or end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Rows that belong to no refresh.
    Rows,
    /// A scope's refresh begins. Carries no rows.
    Begin(Scope),
    /// Changes of a scope that is being refreshed; not yet visible in its table.
    Page(Scope),
    /// The scope's refresh ends: what came since its begin becomes visible as one version.
    End(Scope, ScopeOutcome),
    /// Changes of some objects of a scope, which were read by themselves: visible with this step. How the scope last
    /// ended stays as it is.
    Targeted(Scope),
}

/// The name of the built-in source of everything that is not read from a connector.
pub const ENGINE: &str = "engine";

/// The head of a step: everything about it but its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepHeader {
    /// Its number.
    pub number: StepNumber,
    /// Its time.
    pub time: StepTime,
    /// The source it came from, or [`ENGINE`].
    pub source: Arc<str>,
    /// Which part of a refresh it is.
    pub unit: Unit,
    /// The version of the source's schema that its rows were decoded with.
    pub schema_version: SchemaVersion,
    /// The event time up to which the source has spoken, in ms, where it knows.
    pub watermark: Option<i64>,
}
