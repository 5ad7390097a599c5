//! Merging chains in the background: one at a time, beside steps and checkpoints.
//!
//! A merged segment means nothing until a manifest names it; a process that dies before leaves a file that nobody
//! names, which is collected. While a chain is merged, it goes on growing behind the part that is merged.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow::array::RecordBatch;
use tokio::task::JoinHandle;

use super::chains::{Chains, Link, Merged, Worthwhile};
use crate::checkpoint::{CheckpointStore, Content, Held, NodeSections, Section, SegmentWriter};
use crate::compaction::{Extent, Sections, Sink, StateLayout, merge};
use crate::error::{Error, Result};
use crate::graph::{Graph, Planned};
use crate::table::Tables;

/// The keys of changes that merging remembers at a time: about 70 MB of them.
const KEYS_AT_ONCE: usize = 2_000_000;

/// After so many failures a node's chain is not merged any more in this life of the pipeline.
const ATTEMPTS: u32 = 3;

/// Merges chains, where it is known how.
pub(crate) struct Compactor {
    store: Arc<CheckpointStore>,
    layouts: HashMap<Arc<str>, Arc<StateLayout>>,
    /// How often the chain of a node could not be merged.
    failures: HashMap<Arc<str>, u32>,
    running: Option<(Arc<str>, JoinHandle<Result<Merged>>)>,
    cancelled: Arc<AtomicBool>,
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Compactor {
    /// For the nodes of a graph.
    pub(crate) fn new(store: Arc<CheckpointStore>, graph: &Graph) -> Self {
        let layout = |node: &crate::graph::Node| match &node.planned {
            Planned::Operator(operator) => operator.state.clone(),
            Planned::Source(source) if !source.tables.is_empty() => Some(Tables::layout(&source.tables)),
            _ => None,
        };
        let layouts =
            graph.nodes.iter().filter_map(|node| Some((Arc::clone(&node.name), Arc::new(layout(node)?)))).collect();
        Self { store, layouts, failures: HashMap::new(), running: None, cancelled: Arc::default() }
    }

    /// Whether the chain of a node can be merged.
    pub(super) fn can_merge(&self, node: &str) -> bool {
        self.layouts.contains_key(node) && self.failures.get(node).is_none_or(|failures| *failures < ATTEMPTS)
    }

    /// Begins to merge what is most worth it, unless something is being merged.
    pub(super) fn begin(&mut self, chains: &Chains) {
        if self.running.is_some() {
            return;
        }
        let Some(worthwhile) = chains.worthwhile(&|node| self.can_merge(node)) else { return };
        let Some(layout) = self.layouts.get(&worthwhile.node) else { return };
        let node = Arc::clone(&worthwhile.node);
        let work = Work {
            store: Arc::clone(&self.store),
            layout: Arc::clone(layout),
            cancelled: Arc::clone(&self.cancelled),
            worthwhile,
        };
        self.running = Some((node, tokio::task::spawn_blocking(move || work.run())));
    }

    /// Waits for what is being merged; for ever where that is nothing. Cancel-safe.
    pub(super) async fn ended(&mut self) -> Option<Merged> {
        let Some((_, running)) = &mut self.running else { return std::future::pending().await };
        let ended = running.await.map_err(|error| Error::internal(format!("merging stopped: {error}")));
        let (node, _) = self.running.take()?;
        match ended.and_then(|merged| merged) {
            Ok(merged) => Some(merged),
            Err(error) => {
                tracing::warn!(%error, %node, "The changes of a node's state could not be merged; nothing is lost.");
                *self.failures.entry(node).or_default() += 1;
                None
            }
        }
    }
}

/// One merging.
struct Work {
    store: Arc<CheckpointStore>,
    layout: Arc<StateLayout>,
    cancelled: Arc<AtomicBool>,
    worthwhile: Worthwhile,
}

impl Work {
    fn run(self) -> Result<Merged> {
        let started = Instant::now();
        let Worthwhile { node, links, whole } = &self.worthwhile;
        let chain = Stored::open(&self.store, node, links, &self.cancelled)?;
        let mut output = Output { node, writer: None, store: &self.store };
        let extent = if *whole { Extent::Whole } else { Extent::Changes };
        merge(&self.layout, &chain, extent, KEYS_AT_ONCE, &mut output)?;
        let into = output.writer.map(|writer| self.finish(writer)).transpose()?;
        let bytes = into.as_ref().map_or(0, |(link, _)| link.bytes);
        let took = started.elapsed();
        tracing::debug!(%node, segments = links.len(), bytes, ?took, "Changes of state were merged.");
        let (into, _held) = into.unzip();
        Ok(Merged { node: Arc::clone(node), from: links.clone(), into, _held })
    }

    /// The manifest that names what was merged may be made long after checkpoints that do not.
    fn finish(&self, writer: SegmentWriter) -> Result<(Link, Held)> {
        let (segment, _) = writer.finish()?;
        let held = self.store.hold(&segment)?;
        let held = held.ok_or_else(|| Error::external("a merged segment was collected before it was held"))?;
        let bytes = self.store.segments().bytes_by_node(&segment)?;
        let bytes = bytes.get(&*self.worthwhile.node).copied().unwrap_or_default();
        Ok((Link { segment, bytes }, held))
    }
}

/// The sections of a node in the segments of a chain; none is read any more once the pipeline stops.
struct Stored<'a> {
    segments: Vec<NodeSections>,
    cancelled: &'a AtomicBool,
}

impl<'a> Stored<'a> {
    fn open(store: &CheckpointStore, node: &str, links: &[Link], cancelled: &'a AtomicBool) -> Result<Self> {
        let open = |link: &Link| store.segments().node_sections(&link.segment, node);
        Ok(Self { segments: links.iter().map(open).collect::<Result<_>>()?, cancelled })
    }
}

impl Sections for Stored<'_> {
    fn segments(&self) -> usize {
        self.segments.len()
    }

    fn names(&self, segment: usize) -> &[String] {
        self.segments.get(segment).map_or(&[], NodeSections::names)
    }

    fn batch(&self, segment: usize, section: usize) -> Result<RecordBatch> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(Error::external("the pipeline is stopping"));
        }
        let missing = || Error::internal("a segment that is not there was asked for");
        match self.segments.get(segment).ok_or_else(missing)?.read(section)?.content {
            Content::Batch(batch) => Ok(batch),
            Content::Bytes(_) => Err(Error::internal("a section that should hold rows holds bytes")),
        }
    }
}

/// Writes what merging gives into a segment.
struct Output<'a> {
    node: &'a str,
    store: &'a CheckpointStore,
    writer: Option<SegmentWriter>,
}

impl Sink for Output<'_> {
    fn put(&mut self, name: &str, batch: RecordBatch) -> Result<()> {
        let section = Section { node: self.node.to_owned(), name: name.to_owned(), content: Content::Batch(batch) };
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.store.segments().begin()?),
        };
        writer.add(&section)
    }
}
