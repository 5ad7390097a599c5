//! The manifest of a checkpoint: everything that "the state after step n" is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::StateMeaning;
use crate::row_hash::RunningHash;
use crate::sink::Mark;
use crate::step::{ContentHash, Incarnation, Position, SchemaVersion, StepNumber, StepTime};

use super::fence::OwnerEpoch;
use super::segment::{Content, Section, read_sections};
use super::segments::SegmentStore;

/// The format of manifests that this program writes.
pub const FORMAT: u32 = 1;
/// The name of the section that holds a manifest, of no node.
const SECTION: &str = "manifest.v1";

/// The number of a checkpoint, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointNumber(pub u64);

impl CheckpointNumber {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for CheckpointNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A checkpoint: all states after one step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format; [`FORMAT`].
    pub format: u32,
    /// Its number.
    pub number: CheckpointNumber,
    /// The step after which it was taken.
    pub step: StepNumber,
    /// The time of that step.
    pub time: StepTime,
    /// The incarnation that took it.
    pub incarnation: Incarnation,
    /// The owner that committed it. Filled in by the commit.
    #[serde(default)]
    pub owner: OwnerEpoch,
    /// The segment that holds the definition.
    pub definition: ContentHash,
    /// The checkpoint before it.
    pub parent: Option<CheckpointNumber>,
    /// Where each source stands.
    pub sources: BTreeMap<String, SourceState>,
    /// The state of each operator.
    pub nodes: BTreeMap<String, NodeState>,
    /// Up to where each sink is complete.
    pub marks: BTreeMap<String, Mark>,
    /// The contents of the files that nodes read.
    pub lookups: Vec<LookupState>,
    /// Effects that have not come to an end, and the newest that were given up.
    #[serde(default)]
    pub effects: NodeState,
    /// The segment that holds the hashes of what sinks were given on the way here from the checkpoint before.
    #[serde(default)]
    pub waypoints: Option<ContentHash>,
    /// The hash of all that each sink was given up to here, by the name of its mark.
    #[serde(default)]
    pub rows: BTreeMap<String, RunningHash>,
    /// What the state of each node means, by node.
    #[serde(default)]
    pub states: BTreeMap<String, StateMeaning>,
    /// Nodes that a change of the definition has brought and that have not been told yet what is there.
    #[serde(default)]
    pub joined: Vec<String>,
    /// Sinks that a change of the definition has removed and whose effects have not all come to an end, with the
    /// definition that knows them.
    #[serde(default)]
    pub retired: BTreeMap<String, ContentHash>,
    /// Whether every source has ended and everything has been seen.
    pub finished: bool,
    /// When it was taken, by the wall clock, in ms since 1970.
    pub created: i64,
    /// How long taking it took, in ms.
    pub took_ms: u64,
    /// How many bytes it has written.
    pub bytes: u64,
    /// The other checkpoints that there were when it was committed, oldest first. Filled in by the commit.
    pub retained: Vec<CheckpointSummary>,
}

/// What is remembered of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// Where it stands.
    pub position: Option<Position>,
    /// The schemas that it has announced, as `encode_schema` writes them, oldest first.
    #[serde(with = "schemas")]
    pub schemas: Vec<(SchemaVersion, Vec<u8>)>,
    /// Whether it has ended.
    pub ended: bool,
    /// What identifies its whole input, once it has ended.
    pub fingerprint: Option<String>,
    /// The event time up to which it has spoken, in ms.
    pub watermark: Option<i64>,
    /// The tables that its changes have made.
    pub tables: NodeState,
}

/// The state of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// The segments that hold sections of the node: the base first, then the changes in order.
    pub segments: Vec<ContentHash>,
}

/// The contents of a file that a node reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupState {
    /// The node.
    pub node: String,
    /// The name under which the node knows it.
    pub name: String,
    /// The segment that holds it.
    pub hash: ContentHash,
}

/// A checkpoint in a list of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSummary {
    /// Its number.
    pub number: CheckpointNumber,
    /// The step after which it was taken.
    pub step: StepNumber,
    /// The time of that step.
    pub time: StepTime,
    /// When it was taken, by the wall clock, in ms since 1970.
    pub created: i64,
    /// How long taking it took, in ms.
    pub took_ms: u64,
    /// How many bytes it has written.
    pub bytes: u64,
    /// The segment that holds its manifest.
    pub manifest: ContentHash,
    /// Whether the pipeline had finished.
    pub finished: bool,
}

impl Manifest {
    /// The segments that it names.
    pub fn segments(&self) -> BTreeSet<ContentHash> {
        let states =
            self.nodes.values().chain(self.sources.values().map(|source| &source.tables)).chain([&self.effects]);
        let segments = states.flat_map(|state| &state.segments);
        let single = std::iter::once(&self.definition)
            .chain(self.lookups.iter().map(|lookup| &lookup.hash))
            .chain(&self.waypoints)
            .chain(self.retired.values());
        segments.chain(single).cloned().collect()
    }

    /// Its line in a list, when it is stored in segment `manifest`.
    pub fn summary(&self, manifest: ContentHash) -> CheckpointSummary {
        CheckpointSummary {
            number: self.number,
            step: self.step,
            time: self.time,
            created: self.created,
            took_ms: self.took_ms,
            bytes: self.bytes,
            manifest,
            finished: self.finished,
        }
    }

    /// The section that holds it.
    pub(super) fn to_section(&self) -> Result<Section> {
        let json = serde_json::to_vec(self)
            .map_err(|error| Error::internal(format!("a manifest cannot be encoded: {error}")))?;
        Ok(Section { node: String::new(), name: SECTION.into(), content: Content::Bytes(json) })
    }

    /// The manifest in the contents of its segment.
    ///
    /// # Errors
    /// When it cannot be read, or a newer program is needed.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut contents = std::io::Cursor::new(bytes.to_vec());
        let sections = read_sections(&mut contents, Path::new("of the manifest"), bytes.len() as u64, |_| true)?;
        Self::from_sections(&sections)
    }

    /// The manifest in a segment that is whole; `None` where it holds something else.
    ///
    /// # Errors
    /// When it cannot be read, or a newer program is needed.
    pub(super) fn in_segment(segments: &SegmentStore, hash: &ContentHash) -> Result<Option<Self>> {
        let sections = segments.read_if(hash, |entry| entry.node.is_empty() && entry.name == SECTION)?;
        if sections.is_empty() { Ok(None) } else { Self::from_sections(&sections).map(Some) }
    }

    /// The manifest in the sections of its segment.
    pub(super) fn from_sections(sections: &[Section]) -> Result<Self> {
        let Some(Section { content: Content::Bytes(json), .. }) =
            sections.iter().find(|section| section.name == SECTION)
        else {
            return Err(Error::external("the segment holds no manifest that this program knows").never_retry());
        };
        let bad = |error| Error::external(format!("the manifest is unreadable: {error}")).never_retry();
        let head: Head = serde_json::from_slice(json).map_err(bad)?;
        if head.format != FORMAT {
            return Err(Error::user(format!(
                "the manifest has format {}, this program reads format {FORMAT}",
                head.format
            ))
            .with_remedy("a newer program is needed: run the one that wrote it"));
        }
        serde_json::from_slice(json).map_err(bad)
    }
}

/// What every format of manifests begins with.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Schemas as hexadecimal text: JSON knows no bytes.
mod schemas {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::step::SchemaVersion;

    type Schemas = [(SchemaVersion, Vec<u8>)];

    pub(super) fn serialize<S: Serializer>(schemas: &Schemas, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        serializer.collect_seq(schemas.iter().map(|(version, bytes)| (version, text(bytes))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(SchemaVersion, Vec<u8>)>, D::Error> {
        let schemas = Vec::<(SchemaVersion, String)>::deserialize(deserializer)?;
        schemas
            .into_iter()
            .map(|(version, text)| match bytes(&text) {
                Some(bytes) => Ok((version, bytes)),
                None => Err(D::Error::custom("a schema is no hexadecimal text")),
            })
            .collect()
    }

    fn bytes(text: &str) -> Option<Vec<u8>> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        };
        text.as_bytes().chunks(2).map(pair).collect()
    }
}
