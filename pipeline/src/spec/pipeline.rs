//! A pipeline as its file describes it.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostic::{Located, Place};
use super::{Duration, Options, PortReference};

pub use super::settings::{
    CheckpointInterval, CheckpointSettings, EdgeLimits, JournalInline, JournalSettings, Keep, Limits, RestartSettings,
    StopSettings,
};

/// The version of the format of pipeline files.
pub const VERSION: i64 = 1;

/// A pipeline: its settings and its nodes, in the order of the file.
#[derive(Debug, Clone)]
pub struct PipelineSpec {
    /// Its name: `[a-z0-9_-]+`; the file's where it has none of its own.
    pub name: Located<Arc<str>>,
    /// What it is for.
    pub description: Option<String>,
    /// `checkpoint:`.
    pub checkpoint: CheckpointSettings,
    /// `limits:`.
    pub limits: Limits,
    /// `journal:`.
    pub journal: JournalSettings,
    /// `restart:`.
    pub restart: RestartSettings,
    /// `stop:`.
    pub stop: StopSettings,
    /// `sources:`.
    pub sources: Vec<NodeSpec>,
    /// `operators:`.
    pub operators: Vec<NodeSpec>,
    /// `sinks:`.
    pub sinks: Vec<NodeSpec>,
}

impl PipelineSpec {
    /// All nodes: sources, operators, sinks.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeSpec> {
        self.sources.iter().chain(&self.operators).chain(&self.sinks)
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&NodeSpec> {
        self.nodes().find(|node| *node.name.value == *name)
    }
}

/// The part of a pipeline that a node belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// `sources:`.
    Source,
    /// `operators:`.
    Operator,
    /// `sinks:`.
    Sink,
}

impl Section {
    /// All of them, in the order of the flow.
    pub const ALL: [Self; 3] = [Self::Source, Self::Operator, Self::Sink];

    /// The key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Operator => "operators",
            Self::Sink => "sinks",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key().trim_end_matches('s'))
    }
}

/// What happens to rows that a node cannot handle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// They go to the node's port `errors`.
    #[default]
    Errors,
    /// They are counted and dropped.
    Drop,
    /// The pipeline stops.
    Fail,
}

/// What happens when a source ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnEnd {
    /// The pipeline goes on with the others; it ends when all have ended.
    #[default]
    Ignore,
    /// The pipeline stops.
    Stop,
    /// The source is started again.
    Restart,
}

/// A node.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name.
    pub name: Located<Arc<str>>,
    /// Where it belongs.
    pub section: Section,
    /// What it reads; empty for sources.
    pub from: Vec<Located<PortReference>>,
    /// The name of its kind, without any prefix that ansible-rulebook would want.
    pub kind: Located<Arc<str>>,
    /// The options of its kind.
    pub options: Options,
    /// The name that it had before: its state moves along.
    pub was: Option<Located<Arc<str>>>,
    /// What happens to rows that it cannot handle.
    pub on_error: OnError,
    /// What it is for.
    pub description: Option<String>,
    /// For sources: what happens when it ends.
    pub on_end: OnEnd,
    /// For sources: how long it may give nothing before it counts as stalled; for ever where it is absent.
    pub stall_after: Option<Duration>,
    /// For sources: the sources that must be set up before it, and whose shared options it takes over.
    pub uses: Vec<Located<Arc<str>>>,
    /// For `route`: whether `match: all` stands beside it.
    pub match_all: bool,
    /// Where it stands.
    pub place: Place,
}
