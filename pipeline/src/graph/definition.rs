//! The content of a pipeline's definition: what its journal means something under.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use super::{Node, Planned};
use crate::checkpoint::segment::{self, Content, Section};
use crate::error::{Error, Result};
use crate::journal::{decode_schema, encode_schema};
use crate::spec::PipelineSpec;
use crate::step::ContentHash;

/// The part that holds the canonical spec.
const SPEC: &str = "pipeline";
/// What the name of a source's part ends with that holds the columns it was planned with.
const SCHEMA: &str = "/schema";
/// Sections that belong to no node have this for one.
const NO_NODE: &str = "";

/// The part of the spec that is a node's, and the texts that it was planned with.
pub(crate) type NodeMeaning = (serde_json::Value, Vec<(String, Arc<[u8]>)>);

/// Everything that decides what a pipeline makes of its steps, by content: the canonical spec, the texts that
/// operators were planned with (packs, templates), and the columns that sources were planned with, since those
/// may come from a sample of input that has grown since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    parts: Vec<(String, Arc<[u8]>)>,
}

impl Definition {
    /// The definition of a planned pipeline.
    ///
    /// # Errors
    /// When a schema cannot be encoded.
    pub(super) fn of(spec: &PipelineSpec, nodes: &[Node]) -> Result<Self> {
        let mut parts: Vec<(String, Arc<[u8]>)> = vec![(SPEC.to_owned(), spec.canonical().into_bytes().into())];
        for node in nodes {
            match &node.planned {
                Planned::Source(source) if source.tables.is_empty() => {
                    parts.push((format!("{}{SCHEMA}", node.name), encode_schema(&source.ports[0].schema)?.into()));
                }
                Planned::Operator(operator) => {
                    let named =
                        |(name, bytes): &(String, Arc<[u8]>)| (format!("{}/{name}", node.name), Arc::clone(bytes));
                    parts.extend(operator.contents.iter().map(named));
                }
                Planned::Source(_) | Planned::Sink(_) => {}
            }
        }
        // By name: the order in which a file has its nodes means nothing, and is not recorded.
        parts.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { parts })
    }

    /// The canonical spec: the text of a pipeline file.
    ///
    /// # Errors
    /// When there is none, or it is no text.
    pub fn spec(&self) -> Result<&str> {
        let spec = self.part(SPEC).ok_or_else(|| Error::external("the recorded definition holds no pipeline"))?;
        std::str::from_utf8(spec).map_err(|error| Error::external(format!("the recorded pipeline is no text: {error}")))
    }

    /// What is left when only what was learned from samples of input is kept: with it the same text is planned
    /// as it was before, whatever the input has become.
    #[must_use]
    pub fn samples(&self) -> Self {
        Self { parts: self.parts.iter().filter(|(name, _)| name.ends_with(SCHEMA)).cloned().collect() }
    }

    /// The columns that a source was planned with, where they are recorded.
    pub(super) fn schema_of(&self, source: &str) -> Option<SchemaRef> {
        self.part(&format!("{source}{SCHEMA}")).and_then(|bytes| decode_schema(bytes).ok())
    }

    /// The texts that a node was planned with, by the names that its kind gave them.
    pub(super) fn contents_of(&self, node: &str) -> Vec<(String, Arc<[u8]>)> {
        let own = |(name, bytes): &(String, Arc<[u8]>)| {
            let name = name.strip_prefix(node)?.strip_prefix('/')?;
            Some((name.to_owned(), Arc::clone(bytes)))
        };
        self.parts.iter().filter_map(own).collect()
    }

    /// What a node means: its part of the spec, and the texts that it was planned with.
    ///
    /// # Errors
    /// When the spec cannot be read.
    pub(crate) fn meaning_of(&self, node: &str) -> Result<NodeMeaning> {
        let spec: serde_json::Value = serde_json::from_str(self.spec()?).map_err(Error::external)?;
        let sections = ["sources", "operators", "sinks"];
        let own = sections.iter().find_map(|section| spec.get(section)?.get(node)).cloned();
        Ok((own.unwrap_or_default(), self.contents_of(node)))
    }

    /// Whether a node is a sink.
    ///
    /// # Errors
    /// When the spec cannot be read.
    pub(crate) fn is_sink(&self, node: &str) -> Result<bool> {
        let spec: serde_json::Value = serde_json::from_str(self.spec()?).map_err(Error::external)?;
        Ok(spec.get("sinks").is_some_and(|sinks| sinks.get(node).is_some()))
    }

    fn part(&self, wanted: &str) -> Option<&Arc<[u8]>> {
        self.parts.iter().find(|(name, _)| name == wanted).map(|(_, bytes)| bytes)
    }

    /// The sections of the segment that it is stored in.
    pub fn to_sections(&self) -> Vec<Section> {
        let section = |(name, bytes): &(String, Arc<[u8]>)| Section {
            node: NO_NODE.to_owned(),
            name: name.clone(),
            content: Content::Bytes(bytes.to_vec()),
        };
        self.parts.iter().map(section).collect()
    }

    /// The definition that such a segment holds.
    pub fn from_sections(sections: Vec<Section>) -> Self {
        let part = |section: Section| match section.content {
            Content::Bytes(bytes) => Some((section.name, bytes.into())),
            Content::Batch(_) => None,
        };
        Self { parts: sections.into_iter().filter_map(part).collect() }
    }

    /// Its name in journal and manifests: the hash of the segment that holds it.
    ///
    /// # Errors
    /// When it is too large for a segment.
    pub fn hash(&self) -> Result<ContentHash> {
        segment::hash_of(&self.to_sections())
    }
}
