//! Collecting one group: its pages are compared as they come, and what they change is handed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use xxhash_rust::xxh3::xxh3_128;

use super::collection::Collection;
use super::control::RefreshControl;
use super::difference::Targets;
use super::pages::PageRoom;
use super::source::Handed;
use super::waiting::Wanted;
use super::{Collected, Pages, Provider, RefreshStatus, ScopeGroup};
use crate::error::{Error, Result};
use crate::rows::{PortIndex, Rejected};
use crate::source::{Arrival, Reply};
use crate::step::{Position, SchemaVersion, Scope, ScopeOutcome, Unit};
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
    handed: mpsc::Sender<Result<Handed>>,
    pub(super) control: Arc<RefreshControl>,
    room: PageRoom,
    /// What [`crate::table::TableSet::ended`] will be when all ends handed over have been taken in.
    ended: AtomicU64,
    /// How many refreshes there have been.
    pub(super) refreshed: AtomicU64,
    /// A hash of the duplicates last reported, by scope: the same ones are reported once.
    reported: Mutex<BTreeMap<Scope, u128>>,
    /// That rows of targeted refreshes were ignored has been told.
    told: AtomicBool,
}

/// How collecting a group ended.
#[derive(Debug, Default)]
pub(super) struct GroupEnd {
    /// The whole group was collected.
    pub(super) whole: bool,
    /// How many of its scopes failed, and why the first did.
    pub(super) failed: usize,
    pub(super) reason: Option<String>,
    /// What [`Collector::ended`] was at its end.
    pub(super) ended: u64,
}

impl GroupEnd {
    pub(super) fn failure(&mut self, scope: &Scope, reason: &str) {
        self.failed += 1;
        self.reason.get_or_insert_with(|| format!("{scope}: {reason}"));
    }
}

impl<P: Provider + ?Sized> Collector<P> {
    pub(super) fn new(
        provider: Arc<P>,
        refreshed: u64,
        tables: SharedTables,
        handed: mpsc::Sender<Result<Handed>>,
        control: Arc<RefreshControl>,
    ) -> Result<Self> {
        let mut ports = BTreeMap::new();
        for (index, definition) in provider.tables().into_iter().enumerate() {
            let name = Arc::clone(&definition.name);
            ports.insert(name, (PortIndex(index), Arc::new(TableVersion::empty(definition)?)));
        }
        let ended = AtomicU64::new(tables.current().ended);
        let (refreshed, reported, told) = (AtomicU64::new(refreshed), Mutex::default(), AtomicBool::new(false));
        let room = PageRoom::new(PAGES);
        Ok(Self { provider, ports, tables, handed, control, room, ended, refreshed, reported, told })
    }

    /// Whether it has such a table.
    pub(super) fn has_table(&self, name: &str) -> bool {
        self.ports.contains_key(name)
    }

    /// How many ends of scopes and changes of targets were handed over.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Waits until the tables hold so many of them.
    pub(super) async fn caught_up(&self, ended: u64) {
        self.tables.wait_for(|tables| tables.ended >= ended).await;
    }

    /// Collects a group, or some objects of it. The tables must hold all that was handed over for it before. Whatever
    /// becomes of one of its scopes, the others end by themselves. A group that was never read before is read wholly.
    ///
    /// # Errors
    /// When nobody takes arrivals any more, or the process is ending.
    pub(super) async fn collect(&self, group: &ScopeGroup, wanted: &Wanted) -> Result<GroupEnd> {
        let wanted = if self.can_be_targeted(group) { wanted } else { &Wanted::Whole };
        let mut end = GroupEnd { whole: *wanted == Wanted::Whole, ..GroupEnd::default() };
        let (mut collections, mut broken) = (BTreeMap::new(), Vec::new());
        for scope in group.scopes() {
            match self.collection(&scope, wanted) {
                Ok(collection) => drop(collections.insert(Arc::clone(&scope.table), collection)),
                Err(error) => broken.push((scope, error.message)),
            }
        }
        let collected = self.pages(group, wanted, &mut collections).await?;
        for (scope, reason) in broken {
            end.failure(&scope, &reason);
            if end.whole {
                self.send(Unit::Begin(scope.clone()), Vec::new(), Vec::new()).await?;
                self.send_end(scope, ScopeOutcome::Failed(reason), Vec::new()).await?;
            }
        }
        for table in &group.tables {
            let Some(mut collection) = collections.remove(table) else { continue };
            let outcome = self.outcome(&mut collection, collected.of(table).clone()).await?;
            if let ScopeOutcome::Failed(reason) = &outcome {
                end.failure(&collection.scope, reason);
            }
            match end.whole {
                true => self.finish(collection, outcome).await?,
                false => self.finish_targets(collection).await?,
            }
        }
        end.ended = self.ended();
        Ok(end)
    }

    /// Whether objects of the group can be read by themselves: its tables say which row belongs to which object, and
    /// there is something to compare with.
    fn can_be_targeted(&self, group: &ScopeGroup) -> bool {
        let current = self.tables.current();
        group.scopes().all(|scope| {
            let table = current.get(&scope.table);
            table.is_some_and(|table| table.definition().target.is_some() && table.scopes().contains_key(&scope))
        })
    }

    fn collection(&self, scope: &Scope, wanted: &Wanted) -> Result<Collection> {
        let unknown = || Error::internal(format!("scope {scope} has no port"));
        let (port, empty) = self.ports.get(&scope.table).ok_or_else(unknown)?;
        let current = self.tables.current();
        let table = Arc::clone(current.get(&scope.table).unwrap_or(empty));
        let targets = match wanted {
            Wanted::Whole => None,
            Wanted::Targets(ids) => Targets::new(&table, ids),
        };
        Collection::new(scope.clone(), *port, table, targets)
    }

    /// Lets the provider collect, and hands over what its pages change. Gives how it ended.
    async fn pages(
        &self,
        group: &ScopeGroup,
        wanted: &Wanted,
        collections: &mut BTreeMap<Arc<str>, Collection>,
    ) -> Result<Collected> {
        let (pages, mut waiting) = Pages::channel(group.clone(), self.room.clone());
        let (provider, asked, extent) = (Arc::clone(&self.provider), group.clone(), wanted.extent());
        let collecting = tokio::spawn(async move { provider.collect(&asked, &extent, pages).await });
        let collecting = AbortOnDropHandle::new(collecting);
        while let Some(page) = waiting.recv().await {
            let Some(collection) = collections.get_mut(&page.table) else { continue };
            if *wanted == Wanted::Whole {
                RefreshStatus::count(&self.control.status.rows, page.rows.num_rows());
            }
            for rows in collection.slices(&page.rows) {
                if let Some(changes) = collection.compare(&rows) {
                    self.changed(collection, changes).await?;
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

    /// How a scope has ended; if it was read to the end, with what it has lost.
    async fn outcome(&self, collection: &mut Collection, outcome: ScopeOutcome) -> Result<ScopeOutcome, Gone> {
        match collection.failed.take() {
            Some(reason) => return Ok(ScopeOutcome::Failed(reason)),
            None if outcome != ScopeOutcome::Complete => return Ok(outcome),
            None => {}
        }
        match collection.missing() {
            Ok(missing) => {
                for deletes in missing {
                    self.changed(collection, deletes).await?;
                }
                Ok(outcome)
            }
            Err(error) => Ok(ScopeOutcome::Failed(error.message)),
        }
    }

    /// Hands over the end of a scope, unless there is nothing to tell.
    async fn finish(&self, mut collection: Collection, outcome: ScopeOutcome) -> Result<(), Gone> {
        let duplicates = self.new_duplicates(&mut collection);
        if !collection.begun && collection.has_ended_so(&outcome) && duplicates.is_empty() {
            return Ok(());
        }
        if let ScopeOutcome::Failed(reason) = &outcome
            && !collection.has_ended_so(&outcome)
        {
            tracing::warn!(scope = %collection.scope, %reason, "A table could not be read; its rows stay as they were.");
        }
        self.send_begin(&mut collection).await?;
        self.send_end(collection.scope, outcome, duplicates).await
    }

    /// Hands over what has changed of the targets. How the scope last ended stays.
    async fn finish_targets(&self, mut collection: Collection) -> Result<(), Gone> {
        let held = collection.take_held();
        self.send_targeted(&collection, held).await?;
        let ignored = collection.ignored();
        RefreshStatus::count(&self.control.status.ignored_rows, ignored);
        if ignored > 0 && !self.told.swap(true, Ordering::SeqCst) {
            let scope = &collection.scope;
            tracing::warn!(%scope, ignored, "Rows that are not of the objects asked for, or came twice, were ignored; this is said once.");
        }
        Ok(())
    }

    /// A page, or its end, has changed something.
    async fn changed(&self, collection: &mut Collection, changes: RecordBatch) -> Result<(), Gone> {
        if !collection.has_targets() {
            return self.send_changes(collection, changes).await;
        }
        match collection.hold(changes) {
            Some(held) => self.send_targeted(collection, held).await,
            None => Ok(()),
        }
    }

    async fn send_targeted(&self, collection: &Collection, changes: Vec<RecordBatch>) -> Result<(), Gone> {
        if changes.is_empty() {
            return Ok(());
        }
        let rows = changes.into_iter().map(|changes| (collection.port, changes)).collect();
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.send(Unit::Targeted(collection.scope.clone()), rows, Vec::new()).await
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
            // The source gives it, when it hands the arrival over.
            position: Position("".into()),
            watermark: None,
            replies: Vec::new(),
            alone: false,
        };
        let refresh = self.refreshed.load(Ordering::SeqCst);
        self.handed.send(Ok(Handed::Arrival { refresh, arrival: Box::new(arrival) })).await.map_err(|_| Gone)
    }

    /// Has these told once all that was handed over is durable.
    pub(super) async fn settle(&self, replies: Vec<Reply>) -> Result<(), Gone> {
        if replies.is_empty() {
            return Ok(());
        }
        self.handed.send(Ok(Handed::Settled(replies))).await.map_err(|_| Gone)
    }
}

/// What a panicking task said. Not the error's own text: that names the task by a number which is another one
/// each time, and a scope that fails in the same way again must look the same.
pub(super) fn panic_text(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the task was cancelled".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
