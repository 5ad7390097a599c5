//! A provider whose inventory a test changes while it is being read, wholly and by objects, and that says what has
//! changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::provider::{Collected, Extent, Notice, Notices, Pages, Provider, ScopeGroup, Unverified};
use crate::step::Scope;
use crate::table::TableDefinition;

/// See the module.
pub struct World {
    tables: Vec<TableDefinition>,
    groups: Vec<ScopeGroup>,
    rows: Mutex<BTreeMap<Scope, Vec<RecordBatch>>>,
    asked: Mutex<Vec<(ScopeGroup, Extent)>>,
    trouble: Mutex<Trouble>,
    events: mpsc::UnboundedSender<Event>,
    heard: Arc<Events>,
}

/// What goes wrong.
#[derive(Debug, Default, Clone, Copy)]
struct Trouble {
    failing: usize,
    hangs: bool,
    pause: Duration,
}

/// What listeners hear.
enum Event {
    Notice(Notice),
    Failure(String),
}

struct Events(tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>);

impl World {
    /// Groups of these tables, without rows.
    pub fn new(tables: Vec<TableDefinition>, groups: Vec<ScopeGroup>) -> Arc<Self> {
        let (rows, asked, trouble) = Default::default();
        let (events, heard) = mpsc::unbounded_channel();
        let heard = Arc::new(Events(tokio::sync::Mutex::new(heard)));
        Arc::new(Self { tables, groups, rows, asked, trouble, events, heard })
    }

    /// From now on a scope has these rows.
    pub fn set(&self, scope: &Scope, rows: Vec<RecordBatch>) {
        self.rows.lock().insert(scope.clone(), rows);
    }

    /// Reading objects fails so many times, after their rows.
    pub fn fail_targets(&self, times: usize) {
        self.trouble.lock().failing = times;
    }

    /// Whether reading objects never ends, after their rows.
    pub fn hang_at_targets(&self, hangs: bool) {
        self.trouble.lock().hangs = hangs;
    }

    /// How long reading a group takes.
    pub fn set_pause(&self, pause: Duration) {
        self.trouble.lock().pause = pause;
    }

    /// What was collected so far.
    pub fn asked(&self) -> Vec<(ScopeGroup, Extent)> {
        self.asked.lock().clone()
    }

    /// How often objects were read so far.
    pub fn targeted(&self) -> usize {
        self.asked.lock().iter().filter(|(_, extent)| *extent != Extent::Whole).count()
    }

    /// Says that something has changed.
    pub fn notify(&self, notice: Notice) {
        // The receiver lives as long as the sender.
        drop(self.events.send(Event::Notice(notice)));
    }

    /// Whoever listens fails once.
    pub fn fail_notices(&self, message: &str) {
        drop(self.events.send(Event::Failure(message.to_owned())));
    }

    /// The rows of a table that are asked for.
    fn pages(&self, scope: &Scope, extent: &Extent) -> Result<Vec<RecordBatch>> {
        let pages = self.rows.lock().get(scope).cloned().unwrap_or_default();
        let Extent::Targets(ids) = extent else { return Ok(pages) };
        let target = self.tables.iter().find(|table| table.name == scope.table).and_then(|table| table.target);
        let target = target.ok_or_else(|| Error::internal("this table cannot be read by objects"))?;
        let of_targets = |page: &RecordBatch| {
            let column = page.column_by_name(target).map(|column| column.as_string::<i32>());
            let wanted = |id: Option<&str>| id.is_some_and(|id| ids.iter().any(|wanted| **wanted == *id));
            let mask: BooleanArray = column.into_iter().flatten().map(|id| Some(wanted(id))).collect();
            Ok(filter_record_batch(page, &mask)?)
        };
        pages.iter().map(of_targets).collect()
    }
}

#[async_trait]
impl Provider for World {
    fn tables(&self) -> Vec<TableDefinition> {
        self.tables.clone()
    }

    async fn verify(&self) -> Result<(), Unverified> {
        Ok(())
    }

    async fn groups(&self) -> Result<Vec<ScopeGroup>> {
        Ok(self.groups.clone())
    }

    fn notices(&self) -> Option<Arc<dyn Notices>> {
        Some(Arc::clone(&self.heard) as Arc<dyn Notices>)
    }

    async fn collect(&self, group: &ScopeGroup, extent: &Extent, pages: Pages) -> Collected {
        self.asked.lock().push((group.clone(), extent.clone()));
        let Trouble { failing, hangs, pause } = *self.trouble.lock();
        tokio::time::sleep(pause).await;
        for scope in group.scopes() {
            let found = match self.pages(&scope, extent) {
                Ok(found) => found,
                Err(error) => return Collected::failed(error.message),
            };
            for page in found {
                if let Err(error) = pages.send(&scope.table, page).await {
                    return Collected::failed(error.message);
                }
            }
        }
        if *extent == Extent::Whole {
            return Collected::complete();
        }
        if hangs {
            return std::future::pending().await;
        }
        self.trouble.lock().failing = failing.saturating_sub(1);
        if failing > 0 { Collected::failed("throttled") } else { Collected::complete() }
    }
}

#[async_trait]
impl Notices for Events {
    async fn give(&self, notices: mpsc::Sender<Notice>, _cancel: CancellationToken) -> Result<()> {
        let mut events = self.0.lock().await;
        loop {
            match events.recv().await {
                Some(Event::Notice(notice)) => {
                    notices.send(notice).await.map_err(|_| Error::external("nobody takes notices"))?
                }
                Some(Event::Failure(message)) => return Err(Error::external(message)),
                None => return Ok(()),
            }
        }
    }
}
