//! Collecting one group: its pages are compared as they come, and what they change is handed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use xxhash_rust::xxh3::xxh3_128;

use super::collection::Collection;
use super::pages::PageRoom;
use super::source::position;
use super::{Collected, Extent, Pages, Provider, ScopeGroup};
use crate::error::{Error, Result};
use crate::rows::{PortIndex, Rejected};
use crate::source::Arrival;
use crate::step::{SchemaVersion, Scope, ScopeOutcome, Unit};
use crate::table::{SharedTables, TableVersion};

/// How many pages of all groups may wait or be compared at a time.
const PAGES: usize = 8;

/// Nobody takes arrivals any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone;

impl From<Gone> for Error {
    fn from(_: Gone) -> Self {
        Self::external("nobody takes the source's arrivals")
    }
}

/// What the collections of one source share.
pub(super) struct Collector<P: ?Sized> {
    pub(super) provider: Arc<P>,
    /// The port and the empty table of each table.
    ports: BTreeMap<Arc<str>, (PortIndex, Arc<TableVersion>)>,
    pub(super) tables: SharedTables,
    arrivals: mpsc::Sender<Result<Arrival>>,
    room: PageRoom,
    /// What [`crate::table::TableSet::ended`] will be when all ends handed over have been taken in.
    ended: AtomicU64,
    /// How many refreshes there have been.
    pub(super) refreshed: AtomicU64,
    /// A hash of the duplicates last reported, by scope: the same ones are reported once.
    reported: Mutex<BTreeMap<Scope, u128>>,
}

impl<P: Provider + ?Sized> Collector<P> {
    pub(super) fn new(
        provider: Arc<P>,
        refreshed: u64,
        tables: SharedTables,
        arrivals: mpsc::Sender<Result<Arrival>>,
    ) -> Result<Self> {
        let mut ports = BTreeMap::new();
        for (index, definition) in provider.tables().into_iter().enumerate() {
            let name = Arc::clone(&definition.name);
            ports.insert(name, (PortIndex(index), Arc::new(TableVersion::empty(definition)?)));
        }
        let ended = AtomicU64::new(tables.current().ended);
        let (refreshed, reported) = (AtomicU64::new(refreshed), Mutex::default());
        Ok(Self { provider, ports, tables, arrivals, room: PageRoom::new(PAGES), ended, refreshed, reported })
    }

    /// Whether it has such a table.
    pub(super) fn has_table(&self, name: &str) -> bool {
        self.ports.contains_key(name)
    }

    /// Waits until the tables hold all that was handed over.
    pub(super) async fn caught_up(&self) {
        let ended = self.ended.load(Ordering::SeqCst);
        self.tables.wait_for(|tables| tables.ended >= ended).await;
    }

    /// Collects a group. Whatever becomes of one of its scopes, the others end by themselves.
    ///
    /// # Errors
    /// When nobody takes arrivals any more, or the process is ending.
    pub(super) async fn collect(&self, group: ScopeGroup, extent: Extent) -> Result<()> {
        let (mut collections, mut broken) = (BTreeMap::new(), Vec::new());
        for scope in group.scopes() {
            match self.collection(&scope) {
                Ok(collection) => drop(collections.insert(Arc::clone(&scope.table), collection)),
                Err(error) => broken.push((scope, error.message)),
            }
        }
        let collected = self.pages(&group, extent, &mut collections).await?;
        for (scope, reason) in broken {
            self.send(Unit::Begin(scope.clone()), Vec::new(), Vec::new()).await?;
            self.send_end(scope, ScopeOutcome::Failed(reason), Vec::new()).await?;
        }
        for table in &group.tables {
            if let Some(collection) = collections.remove(table) {
                self.finish(collection, collected.of(table).clone()).await?;
            }
        }
        Ok(())
    }

    fn collection(&self, scope: &Scope) -> Result<Collection> {
        let unknown = || Error::internal(format!("scope {scope} has no port"));
        let (port, empty) = self.ports.get(&scope.table).ok_or_else(unknown)?;
        let current = self.tables.current();
        let table = Arc::clone(current.get(&scope.table).unwrap_or(empty));
        Collection::new(scope.clone(), *port, table)
    }

    /// Lets the provider collect, and hands over what its pages change. Gives how it ended.
    async fn pages(
        &self,
        group: &ScopeGroup,
        extent: Extent,
        collections: &mut BTreeMap<Arc<str>, Collection>,
    ) -> Result<Collected> {
        let (pages, mut waiting) = Pages::channel(group.clone(), self.room.clone());
        let (provider, asked) = (Arc::clone(&self.provider), group.clone());
        let collecting = tokio::spawn(async move { provider.collect(&asked, &extent, pages).await });
        let collecting = AbortOnDropHandle::new(collecting);
        while let Some(page) = waiting.recv().await {
            let Some(collection) = collections.get_mut(&page.table) else { continue };
            for rows in collection.slices(&page.rows) {
                if let Some(changes) = collection.compare(&rows) {
                    self.send_changes(collection, changes).await?;
                }
            }
        }
        match collecting.await {
            Ok(collected) => Ok(collected),
            Err(error) if error.is_panic() => {
                Ok(Collected::failed(format!("the provider panicked: {}", panic_text(error))))
            }
            // Nobody cancels it but a runtime that shuts down: that is no outcome of the scopes.
            Err(_) => Err(Error::external("the process is ending while a scope is collected")),
        }
    }

    /// Hands over what a scope has lost, and its end, unless there is nothing to tell.
    async fn finish(&self, mut collection: Collection, outcome: ScopeOutcome) -> Result<(), Gone> {
        let mut outcome = collection.failed.take().map_or(outcome, ScopeOutcome::Failed);
        if outcome == ScopeOutcome::Complete {
            match collection.missing() {
                Ok(missing) => {
                    for deletes in missing {
                        self.send_changes(&mut collection, deletes).await?;
                    }
                }
                Err(error) => outcome = ScopeOutcome::Failed(error.message),
            }
        }
        let duplicates = self.new_duplicates(&mut collection);
        if !collection.begun && collection.has_ended_so(&outcome) && duplicates.is_empty() {
            return Ok(());
        }
        self.send_begin(&mut collection).await?;
        self.send_end(collection.scope, outcome, duplicates).await
    }

    /// The duplicates of a scope, unless they were reported before.
    fn new_duplicates(&self, collection: &mut Collection) -> Vec<Rejected> {
        let duplicates = collection.take_duplicates();
        let mut reported = self.reported.lock();
        if duplicates.is_empty() {
            reported.remove(&collection.scope);
            return duplicates;
        }
        let text = duplicates.iter().flat_map(|rejected| [rejected.reason.as_bytes(), rejected.raw.as_bytes()]);
        let hash = xxh3_128(&text.collect::<Vec<_>>().concat());
        match reported.insert(collection.scope.clone(), hash) {
            Some(reported) if reported == hash => Vec::new(),
            _ => duplicates,
        }
    }

    async fn send_changes(&self, collection: &mut Collection, changes: RecordBatch) -> Result<(), Gone> {
        self.send_begin(collection).await?;
        self.send(Unit::Page(collection.scope.clone()), vec![(collection.port, changes)], Vec::new()).await
    }

    /// Hands over the scope's begin if that has not been done.
    async fn send_begin(&self, collection: &mut Collection) -> Result<(), Gone> {
        if std::mem::replace(&mut collection.begun, true) {
            return Ok(());
        }
        self.send(Unit::Begin(collection.scope.clone()), Vec::new(), Vec::new()).await
    }

    pub(super) async fn send_end(
        &self,
        scope: Scope,
        outcome: ScopeOutcome,
        rejected: Vec<Rejected>,
    ) -> Result<(), Gone> {
        // Counted before it leaves: whoever looks afterwards waits for an end too many rather than for one too few.
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.send(Unit::End(scope, outcome), Vec::new(), rejected).await
    }

    async fn send(&self, unit: Unit, rows: Vec<(PortIndex, RecordBatch)>, rejected: Vec<Rejected>) -> Result<(), Gone> {
        let arrival = Arrival {
            rows,
            rejected,
            unit,
            schema_version: SchemaVersion::default(),
            new_schema: None,
            range: None,
            position: position(self.refreshed.load(Ordering::SeqCst)),
            watermark: None,
            replies: Vec::new(),
            alone: false,
        };
        self.arrivals.send(Ok(arrival)).await.map_err(|_| Gone)
    }
}

/// What a panicking task said. Not the error's own text: that names the task by a number which is another one
/// each time, and a scope that fails in the same way again must look the same.
pub(super) fn panic_text(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the task was cancelled".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
