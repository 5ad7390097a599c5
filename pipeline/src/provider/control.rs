//! Where refreshes are asked for, and told of, from outside the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{RefreshStatus, ScopeSelector};
use crate::error::{Error, Result};
use crate::spec::diagnostic::remedy_for;
use crate::table::TableDefinition;

/// How many ids and selectors may wait to be taken by the source.
const MOST_WAITING: usize = 10_000;

/// Something to read again: everything that is selected, or the objects with these ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefreshRequest {
    /// The account; any where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<Arc<str>>,
    /// The region; any where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Arc<str>>,
    /// The table; any where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Arc<str>>,
    /// Objects of that table; all of them where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Arc<str>>,
}

impl RefreshRequest {
    pub(super) fn selector(&self) -> ScopeSelector {
        let Self { account_id, region, table, .. } = self.clone();
        ScopeSelector { account_id, region, table }
    }
}

/// One for each provider node: made when the node is planned, shared by its source and those who command it.
#[derive(Debug)]
pub struct RefreshControl {
    tables: Vec<Arc<str>>,
    requests: Mutex<Vec<RefreshRequest>>,
    rung: Notify,
    /// Whether a source takes requests.
    is_open: AtomicBool,
    /// What its refreshes have done.
    pub status: RefreshStatus,
}

impl RefreshControl {
    /// For a provider of these tables.
    pub(super) fn new(tables: &[TableDefinition]) -> Self {
        let tables = tables.iter().map(|table| Arc::clone(&table.name)).collect();
        let (requests, rung, is_open, status) = Default::default();
        Self { tables, requests, rung, is_open, status }
    }

    /// Whether the provider has such a table.
    pub fn has_table(&self, name: &str) -> bool {
        self.tables.iter().any(|table| **table == *name)
    }

    /// Has something read again, soon.
    ///
    /// # Errors
    /// When there is no such table, ids without a table, too many requests wait, or the source collects once only.
    pub fn ask(&self, request: RefreshRequest) -> Result<()> {
        if let Some(table) = &request.table
            && !self.has_table(table)
        {
            let known: Vec<String> = self.tables.iter().map(|table| table.to_string()).collect();
            let remedy = remedy_for(table, "tables", &known);
            return Err(Error::user(format!("there is no table `{table}`")).with_remedy(remedy));
        }
        if request.table.is_none() && !request.ids.is_empty() {
            return Err(Error::user("ids belong to a table").with_remedy("name the table with --table"));
        }
        if !self.is_open.load(Ordering::SeqCst) {
            let remedy = "give it `refresh: off` to have it refreshed by command only, or a time";
            return Err(
                Error::user("the source takes no requests: it collects once, or is not open").with_remedy(remedy)
            );
        }
        let mut requests = self.requests.lock();
        let waiting: usize = requests.iter().map(|request| request.ids.len().max(1)).sum();
        if waiting + request.ids.len().max(1) > MOST_WAITING {
            let message = format!("{waiting} requests wait already, {MOST_WAITING} may");
            return Err(Error::external(message).with_remedy("ask again later, or for the whole table"));
        }
        requests.push(request);
        drop(requests);
        self.rung.notify_one();
        Ok(())
    }

    /// Waits until something is asked for. Cancel-safe.
    pub(super) async fn asked(&self) {
        while self.requests.lock().is_empty() {
            self.rung.notified().await;
        }
    }

    /// What was asked for since the last time.
    pub(super) fn take(&self) -> Vec<RefreshRequest> {
        std::mem::take(&mut *self.requests.lock())
    }

    pub(super) fn is_asked(&self) -> bool {
        !self.requests.lock().is_empty()
    }

    pub(super) fn set_open(&self, open: bool) {
        self.is_open.store(open, Ordering::SeqCst);
    }
}
