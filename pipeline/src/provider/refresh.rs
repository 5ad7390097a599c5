//! Refreshing a provider: its scopes one after another, as arrivals that hold changes only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use xxhash_rust::xxh3::xxh3_128;

use super::difference::ScopeDifference;
use super::source::position;
use super::{Pages, Provider};
use crate::error::{Error, Result};
use crate::rows::{PortIndex, Rejected};
use crate::source::Arrival;
use crate::step::{SchemaVersion, Scope, ScopeOutcome, Unit};
use crate::table::{INTERRUPTED, LEAF_ROWS, SharedTables, TableVersion};

/// How many pages a provider may be ahead.
const WAITING_PAGES: usize = 2;
/// How many duplicates of a scope are reported with their rows; the rest are counted.
const REPORTED_DUPLICATES: usize = 1_000;

/// When to refresh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// How long to wait after a refresh before the next one; once only if `None`.
    pub(super) every: Option<Duration>,
    /// How many refreshes there have been.
    pub(super) refreshed: u64,
}

/// Collects in a task of its own.
pub(super) struct Refresher<P: ?Sized> {
    provider: Arc<P>,
    schedule: Schedule,
    /// The port and the empty table of each table.
    ports: BTreeMap<Arc<str>, (PortIndex, Arc<TableVersion>)>,
    tables: SharedTables,
    sender: mpsc::Sender<Result<Arrival>>,
    /// What [`crate::table::TableSet::ended`] will be when all ends handed over have been taken in.
    ended: u64,
    /// A hash of the duplicates last reported, by scope: the same ones are reported once.
    reported: BTreeMap<Scope, u128>,
}

/// A scope that is being collected.
struct Collection {
    scope: Scope,
    port: PortIndex,
    table: Arc<TableVersion>,
    difference: ScopeDifference,
    /// Whether its begin has been handed over. It is held back until there is something to tell.
    begun: bool,
    duplicates: Vec<Rejected>,
    duplicate_count: usize,
}

impl<P: Provider + ?Sized> Refresher<P> {
    pub(super) fn new(
        provider: Arc<P>,
        schedule: Schedule,
        tables: SharedTables,
        sender: mpsc::Sender<Result<Arrival>>,
    ) -> Result<Self> {
        let mut ports = BTreeMap::new();
        for (index, definition) in provider.tables().into_iter().enumerate() {
            let name = Arc::clone(&definition.name);
            ports.insert(name, (PortIndex(index), Arc::new(TableVersion::empty(definition)?)));
        }
        let ended = tables.current().ended;
        Ok(Self { provider, schedule, ports, tables, sender, ended, reported: BTreeMap::new() })
    }

    /// Refreshes as the schedule says.
    ///
    /// # Errors
    /// When the provider cannot list its scopes, or nobody takes arrivals any more.
    pub(super) async fn run(mut self) -> Result<()> {
        self.end_interrupted().await?;
        loop {
            self.schedule.refreshed += 1;
            self.refresh().await?;
            let Some(every) = self.schedule.every else { return Ok(()) };
            tokio::time::sleep(every).await;
        }
    }

    /// Ends the scopes that an earlier life of the source left open, so that what it has journaled for them
    /// is visible before it is compared with.
    async fn end_interrupted(&mut self) -> Result<()> {
        for scope in self.tables.current().open.iter() {
            let outcome = ScopeOutcome::Failed(INTERRUPTED.to_owned());
            self.send_end(scope.clone(), outcome, Vec::new()).await?;
        }
        Ok(())
    }

    async fn refresh(&mut self) -> Result<()> {
        let ended = self.ended;
        self.tables.wait_for(|tables| tables.ended >= ended).await;
        let mut done = BTreeSet::new();
        for scope in self.scopes().await? {
            if done.insert(scope.clone()) {
                self.refresh_scope(scope).await?;
            }
        }
        Ok(())
    }

    /// Asks for the scopes in a task, so that a panic becomes an error.
    async fn scopes(&self) -> Result<Vec<Scope>> {
        let provider = Arc::clone(&self.provider);
        let listing = AbortOnDropHandle::new(tokio::spawn(async move { provider.scopes().await }));
        let panicked = |error| {
            let text = panic_text(error);
            Error::external(format!("the provider panicked while it listed its scopes: {text}"))
        };
        let scopes = listing.await.map_err(panicked)?.map_err(|error| Error {
            domain: crate::error::Domain::External,
            message: format!("the provider could not list its scopes: {}", error.message),
            ..error
        })?;
        match scopes.iter().find(|scope| !self.ports.contains_key(&scope.table)) {
            Some(scope) => Err(Error::internal(format!("the provider lists scope {scope}, but not that table"))),
            None => Ok(scopes),
        }
    }

    async fn refresh_scope(&mut self, scope: Scope) -> Result<()> {
        let mut collection = self.begin_collection(scope)?;
        let outcome = self.collect(&mut collection).await?;
        if outcome == ScopeOutcome::Complete {
            for deletes in collection.difference.missing()? {
                self.send_changes(&mut collection, deletes).await?;
            }
        }
        self.finish(collection, outcome).await
    }

    fn begin_collection(&self, scope: Scope) -> Result<Collection> {
        let unknown = || Error::internal(format!("scope {scope} has no port"));
        let (port, empty) = self.ports.get(&scope.table).ok_or_else(unknown)?;
        let current = self.tables.current();
        let table = Arc::clone(current.get(&scope.table).unwrap_or(empty));
        let difference = ScopeDifference::new(&table, &scope)?;
        let (port, duplicates) = (*port, Vec::new());
        Ok(Collection { scope, port, table, difference, begun: false, duplicates, duplicate_count: 0 })
    }

    /// Collects the pages of a scope and hands over what they change; gives the outcome. A page that does not
    /// fit stops the collecting.
    async fn collect(&mut self, collection: &mut Collection) -> Result<ScopeOutcome> {
        let (pages, mut waiting) = mpsc::channel(WAITING_PAGES);
        let (provider, scope) = (Arc::clone(&self.provider), collection.scope.clone());
        let collecting = tokio::spawn(async move { provider.collect(&scope, Pages(pages)).await });
        let collecting = AbortOnDropHandle::new(collecting);
        while let Some(page) = waiting.recv().await {
            let page = match collection.check(&page)? {
                Ok(page) => page,
                Err(reason) => return Ok(ScopeOutcome::Failed(reason)),
            };
            for from in (0..page.num_rows()).step_by(LEAF_ROWS) {
                let rows = page.slice(from, LEAF_ROWS.min(page.num_rows() - from));
                let found = collection.difference.page(&rows)?;
                if let Some(duplicates) = found.duplicates {
                    collection.keep_duplicates(&duplicates)?;
                }
                if let Some(changes) = found.changes {
                    self.send_changes(collection, changes).await?;
                }
            }
        }
        match collecting.await {
            Ok(outcome) => Ok(outcome),
            Err(error) if error.is_panic() => {
                Ok(ScopeOutcome::Failed(format!("the provider panicked: {}", panic_text(error))))
            }
            // Nobody cancels it but a runtime that shuts down: that is no outcome of the scope.
            Err(_) => Err(Error::external("the process is ending while a scope is collected")),
        }
    }

    /// Hands over the end of a scope, unless there is nothing to tell.
    async fn finish(&mut self, mut collection: Collection, outcome: ScopeOutcome) -> Result<()> {
        let duplicates = self.new_duplicates(&mut collection);
        let same_outcome = collection.table.scopes().get(&collection.scope) == Some(&outcome);
        if !collection.begun && same_outcome && duplicates.is_empty() {
            return Ok(());
        }
        self.send_begin(&mut collection).await?;
        self.send_end(collection.scope, outcome, duplicates).await
    }

    /// The duplicates of a scope, unless they were reported before.
    fn new_duplicates(&mut self, collection: &mut Collection) -> Vec<Rejected> {
        let mut duplicates = std::mem::take(&mut collection.duplicates);
        if duplicates.is_empty() {
            self.reported.remove(&collection.scope);
            return duplicates;
        }
        let more = collection.duplicate_count - duplicates.len();
        if more > 0 {
            let reason = format!("{more} more rows have keys that an earlier row of the scope has");
            duplicates.push(Rejected::new(collection.scope.to_string(), reason, b""));
        }
        let text = duplicates.iter().flat_map(|rejected| [rejected.reason.as_bytes(), rejected.raw.as_bytes()]);
        let hash = xxh3_128(&text.collect::<Vec<_>>().concat());
        match self.reported.insert(collection.scope.clone(), hash) {
            Some(reported) if reported == hash => Vec::new(),
            _ => duplicates,
        }
    }

    async fn send_changes(&self, collection: &mut Collection, changes: RecordBatch) -> Result<()> {
        self.send_begin(collection).await?;
        let unit = Unit::Page(collection.scope.clone());
        self.send(unit, vec![(collection.port, changes)], Vec::new()).await
    }

    /// Hands over the scope's begin if that has not been done.
    async fn send_begin(&self, collection: &mut Collection) -> Result<()> {
        if std::mem::replace(&mut collection.begun, true) {
            return Ok(());
        }
        self.send(Unit::Begin(collection.scope.clone()), Vec::new(), Vec::new()).await
    }

    async fn send_end(&mut self, scope: Scope, outcome: ScopeOutcome, rejected: Vec<Rejected>) -> Result<()> {
        self.send(Unit::End(scope, outcome), Vec::new(), rejected).await?;
        self.ended += 1;
        Ok(())
    }

    async fn send(&self, unit: Unit, rows: Vec<(PortIndex, RecordBatch)>, rejected: Vec<Rejected>) -> Result<()> {
        let arrival = Arrival {
            rows,
            rejected,
            unit,
            schema_version: SchemaVersion::default(),
            new_schema: None,
            range: None,
            position: position(self.schedule.refreshed),
            watermark: None,
            replies: Vec::new(),
            alone: false,
        };
        self.sender.send(Ok(arrival)).await.map_err(|_| Error::external("nobody takes the source's arrivals"))
    }
}

/// What a panicking task said. Not the error's own text: that names the task by a number which is another one
/// each time, and a scope that fails in the same way again must look the same.
fn panic_text(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the task was cancelled".to_owned() };
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

impl Collection {
    /// `page` in the table's schema, or why it cannot be one of this scope.
    fn check(&self, page: &RecordBatch) -> Result<Result<RecordBatch, String>> {
        let layout = self.table.layout();
        let page = match layout.conform(page) {
            Ok(page) => page,
            Err(reason) => return Ok(Err(reason)),
        };
        if layout.all_in_scope(&page, &self.scope)? {
            return Ok(Ok(page));
        }
        Ok(Err(format!("a page holds rows whose account_id or region are not those of {}", self.scope)))
    }

    /// Keeps rows whose keys came twice, to report them at the scope's end.
    fn keep_duplicates(&mut self, rows: &RecordBatch) -> Result<()> {
        self.duplicate_count += rows.num_rows();
        let room = REPORTED_DUPLICATES.saturating_sub(self.duplicates.len()).min(rows.num_rows());
        if room == 0 {
            return Ok(());
        }
        let mut text = Vec::new();
        LineDelimitedWriter::new(&mut text).write_batches(&[&rows.slice(0, room)])?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let key = self.table.definition().key.join(", ");
        let reason = format!("an earlier row of the scope has the same key ({key}); that one was kept");
        let position = self.scope.to_string();
        self.duplicates.extend(lines.map(|line| Rejected::new(position.as_str(), reason.as_str(), line)));
        Ok(())
    }
}
