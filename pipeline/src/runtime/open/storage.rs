//! What a pipeline has stored: taken ownership of, opened, and known to be of the definition that it goes on with.

use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::{CheckpointStore, Manifest, OwnerLock, SledStore};
use crate::error::Result;
use crate::graph::Graph;
use crate::journal::Journal;
use crate::runtime::adopt::{changed, first_definition};
use crate::runtime::checkpointing::blocking;
use crate::step::{ContentHash, Shard, StepNumber, StepTime};

/// What is stored of a pipeline, in the hands of its owner.
pub(in crate::runtime) struct Storage {
    pub(in crate::runtime) owner: OwnerLock,
    pub(in crate::runtime) store: Arc<CheckpointStore>,
    /// The newest checkpoint.
    pub(in crate::runtime) manifest: Option<Manifest>,
    pub(in crate::runtime) journal: Journal,
    /// The time of the journal's last step.
    pub(in crate::runtime) last_time: StepTime,
}

impl Storage {
    /// Takes ownership of a pipeline's directory and opens what is in it.
    ///
    /// # Errors
    /// When another process owns it, or what is stored is damaged.
    pub(in crate::runtime) async fn open(directory: &Path) -> Result<Self> {
        let directory = directory.to_owned();
        blocking(move || {
            let owner = OwnerLock::acquire(&directory)?;
            let sled = SledStore::open(&directory)?;
            let store = CheckpointStore::open(&directory, Box::new(sled))?;
            let manifest = store.latest()?;
            let (journal, recovery) = Journal::open(&directory, store.incarnation(), Shard(0))?;
            store.check_journal(manifest.as_ref(), recovery.last_step)?;
            Ok(Self { owner, store: Arc::new(store), manifest, journal, last_time: recovery.last_time })
        })
        .await
    }
}

/// A pipeline goes on only as what it was: its journal means something only under the definition that it was
/// recorded with.
pub(super) fn check_definition(
    graph: &Graph,
    now: &ContentHash,
    manifest: Option<&Manifest>,
    journal: &Journal,
) -> Result<()> {
    let recorded = match manifest {
        Some(manifest) => Some(manifest.definition.clone()),
        None => first_definition(journal.read(StepNumber(1))?)?,
    };
    let Some(recorded) = recorded.filter(|recorded| recorded != now) else { return Ok(()) };
    Err(changed(graph, &recorded, now))
}

/// Stores the definition as a segment: its hash is the definition's name in journal and manifests.
pub(super) async fn store_definition(graph: &Graph, store: &Arc<CheckpointStore>) -> Result<ContentHash> {
    let sections = graph.definition.to_sections();
    let store = Arc::clone(store);
    blocking(move || store.write_state(&sections)).await
}
