//! Files that operators read: the engine reads them, keeps their contents as segments, and journals each
//! change as a step.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::checkpointing::{PIPELINE_SECTIONS, blocking};
use crate::checkpoint::{CheckpointStore, Content, Held, NodeState, Section};
use crate::error::{Error, Result};
use crate::graph::{Graph, Planned};
use crate::step::ContentHash;

/// How often files are looked at for changes.
const LOOK: Duration = Duration::from_secs(1);
/// The section of a segment that holds the contents of a file.
const CONTENTS: &str = "lookup.v1";

/// A file that a node reads.
#[derive(Debug, Clone)]
pub(crate) struct WatchedFile {
    pub(crate) node: Arc<str>,
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    place: String,
    limit: u64,
}

/// The contents of a file, new or changed; already durable as a segment.
#[derive(Debug)]
pub(crate) struct LookupChange {
    pub(crate) node: Arc<str>,
    pub(crate) name: String,
    /// The segment with the contents; it stays until a step names it.
    pub(crate) segment: Held,
    pub(crate) contents: Vec<u8>,
}

/// Every file that some node of the graph reads.
pub(crate) fn watched_files(graph: &Graph) -> Vec<WatchedFile> {
    let mut files = Vec::new();
    for node in &graph.nodes {
        if let Planned::Operator(operator) = &node.planned {
            files.extend(operator.lookups.iter().map(|lookup| WatchedFile {
                node: Arc::clone(&node.name),
                name: lookup.name.clone(),
                path: lookup.path.clone(),
                place: node.shown_place.clone(),
                limit: graph.spec.limits.lookup.0,
            }));
        }
    }
    files
}

impl WatchedFile {
    /// Reads the file and stores its contents as a segment.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than `limits.lookup`.
    pub(crate) async fn read(&self, store: &Arc<CheckpointStore>) -> Result<LookupChange> {
        let (file, store) = (self.clone(), Arc::clone(store));
        blocking(move || {
            let contents = file.contents()?;
            let segment = store_contents(&store, &contents)?;
            Ok(LookupChange { node: Arc::clone(&file.node), name: file.name.clone(), segment, contents })
        })
        .await
    }

    fn contents(&self) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| {
            let message = format!("{} cannot be read: {error}", self.path.display());
            Error::external(message).at_node(&self.node).at_place(&self.place)
        };
        let length = std::fs::metadata(&self.path).map_err(failed)?.len();
        if length > self.limit {
            let message =
                format!("{} has {length} bytes, more than `limits.lookup` ({})", self.path.display(), self.limit);
            return Err(Error::user(message).at_node(&self.node).at_place(&self.place));
        }
        std::fs::read(&self.path).map_err(failed)
    }

    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

fn store_contents(store: &CheckpointStore, contents: &[u8]) -> Result<Held> {
    let (node, name) = (PIPELINE_SECTIONS.to_owned(), CONTENTS.to_owned());
    store.write_held(&[Section { node, name, content: Content::Bytes(contents.to_vec()) }])
}

/// The contents that a segment of [`store_contents`] holds.
pub(crate) fn stored_contents(store: &CheckpointStore, hash: &ContentHash) -> Result<Vec<u8>> {
    let sections = store.read_state(&NodeState { segments: vec![hash.clone()] }, PIPELINE_SECTIONS)?;
    let contents = sections.into_iter().find_map(|section| match section.content {
        Content::Bytes(bytes) if section.name == CONTENTS => Some(bytes),
        _ => None,
    });
    contents.ok_or_else(|| Error::external(format!("segment {hash} holds no contents of a file")).never_retry())
}

/// Looks at files and reports each whose contents have changed. A file that cannot be read keeps its last
/// contents; that is told once.
pub(crate) struct LookupWatch {
    pub(crate) files: Vec<WatchedFile>,
    /// The contents that each file is known with, by node and name.
    pub(crate) known: HashMap<(Arc<str>, String), ContentHash>,
    pub(crate) store: Arc<CheckpointStore>,
    pub(crate) changes: mpsc::Sender<LookupChange>,
}

impl LookupWatch {
    /// Runs until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        // Each is read once more at first: it may have changed since the contents that are known were read.
        let mut stamps = vec![None; self.files.len()];
        let mut told = vec![false; self.files.len()];
        while !self.files.is_empty() {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            for index in 0..self.files.len() {
                let stamp = self.files[index].stamp();
                if stamp == stamps[index] && stamp.is_some() {
                    continue;
                }
                stamps[index] = stamp;
                match self.look(index).await {
                    Ok(()) => told[index] = false,
                    Err(error) if !told[index] => {
                        told[index] = true;
                        tracing::warn!(%error, "A file keeps its last contents.");
                    }
                    Err(_) => {}
                }
            }
        }
    }

    async fn look(&mut self, index: usize) -> Result<()> {
        let change = self.files[index].read(&self.store).await?;
        let key = (Arc::clone(&change.node), change.name.clone());
        if self.known.get(&key) == Some(change.segment.hash()) {
            return Ok(());
        }
        self.known.insert(key, change.segment.hash().clone());
        let gone = || Error::internal("the sequencer has stopped");
        self.changes.send(change).await.map_err(|_| gone())
    }
}
