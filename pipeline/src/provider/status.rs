//! What a provider's refreshes have done, and how the running one goes.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

use super::credentials::{CredentialHistory, Unverified, Verified};
use crate::table::Unresolved;

/// The counters of one provider node since the process started.
#[derive(Debug, Default)]
pub struct RefreshStatus {
    pub(super) refreshes: AtomicU64,
    pub(super) targeted: AtomicU64,
    pub(super) targets: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) merged: AtomicU64,
    pub(super) escalated: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) failed_scopes: AtomicU64,
    pub(super) ignored_rows: AtomicU64,
    pub(super) rows: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) groups_done: AtomicU64,
    last: Mutex<Last>,
    unresolved: Mutex<Vec<Unresolved>>,
    notices: Mutex<Option<String>>,
    credentials: Mutex<CredentialHistory>,
}

#[derive(Debug, Default, Clone)]
struct Last {
    begun: Option<i64>,
    ended: Option<i64>,
    /// Of the running refresh, or of the last one.
    error: Option<String>,
}

/// What [`RefreshStatus`] says at one moment. Times are in ms since 1970.
#[derive(Debug, Clone, Serialize)]
pub struct RefreshReport {
    /// Refreshes of everything that have ended.
    pub refreshes: u64,
    /// Refreshes of some objects of a group that have ended, however.
    pub targeted: u64,
    /// Objects of which something said that they have changed.
    pub targets: u64,
    /// Those among them that are in no scope which is collected.
    pub unknown_targets: u64,
    /// Requests that joined one which waited for the same group.
    pub merged: u64,
    /// Requests for objects that became a refresh of their whole group.
    pub escalated: u64,
    /// Targeted refreshes that failed and are tried again.
    pub retried: u64,
    /// Ends of scopes that were failures.
    pub failed_scopes: u64,
    /// Rows of targeted refreshes that were of other objects, or came twice.
    pub ignored_rows: u64,
    /// Whether everything is being refreshed now.
    pub running: bool,
    /// Groups in the running or the last refresh of everything.
    pub groups: u64,
    /// Those among them that have ended.
    pub groups_done: u64,
    /// Rows that it has read.
    pub rows: u64,
    /// When the last refresh of everything began.
    pub begun: Option<i64>,
    /// When the last refresh of everything ended.
    pub ended: Option<i64>,
    /// What failed in it first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why no notices come at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notices_error: Option<String>,
    /// Whether its credentials are good, and were.
    pub credentials: CredentialHistory,
    /// Rows that refer to what is not there, by table and table referred to, as of the end of that refresh.
    pub unresolved: Vec<UnresolvedReport>,
}

/// Rows of a table that refer to what is not there.
#[derive(Debug, Clone, Serialize)]
pub struct UnresolvedReport {
    /// The table.
    pub table: String,
    /// The table that it refers to.
    pub to: String,
    /// How many rows; `None` where that table is another provider's.
    pub rows: Option<u64>,
}

impl RefreshStatus {
    /// How it is now.
    pub fn report(&self) -> RefreshReport {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last = self.last.lock().clone();
        let told = |unresolved: &Unresolved| UnresolvedReport {
            table: unresolved.table.to_string(),
            to: unresolved.reference.table.to_string(),
            rows: unresolved.rows,
        };
        let unresolved = self.unresolved.lock().iter().map(told).collect();
        RefreshReport {
            refreshes: get(&self.refreshes),
            targeted: get(&self.targeted),
            targets: get(&self.targets),
            unknown_targets: get(&self.unknown),
            merged: get(&self.merged),
            escalated: get(&self.escalated),
            retried: get(&self.retried),
            failed_scopes: get(&self.failed_scopes),
            ignored_rows: get(&self.ignored_rows),
            running: last.begun.is_some() && last.ended.is_none(),
            groups: get(&self.groups),
            groups_done: get(&self.groups_done),
            rows: get(&self.rows),
            begun: last.begun,
            ended: last.ended,
            error: last.error,
            notices_error: self.notices.lock().clone(),
            credentials: self.credentials.lock().clone(),
            unresolved,
        }
    }

    /// A refresh of everything begins.
    pub(super) fn begin(&self, groups: usize) {
        self.groups.store(groups as u64, Ordering::Relaxed);
        self.groups_done.store(0, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
        *self.last.lock() = Last { begun: Some(now()), ended: None, error: None };
    }

    /// A refresh of everything has ended.
    pub(super) fn end(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
        self.last.lock().ended = Some(now());
    }

    /// Something failed; of several failures of a refresh the first is told.
    pub(super) fn error(&self, text: impl Into<String>) {
        self.last.lock().error.get_or_insert(text.into());
    }

    pub(super) fn set_unresolved(&self, unresolved: Vec<Unresolved>) {
        *self.unresolved.lock() = unresolved;
    }

    /// Why no notices come, or that they do.
    pub(super) fn notices(&self, error: Option<String>) {
        *self.notices.lock() = error;
    }

    /// What looking at the credentials has found.
    pub(super) fn verified(&self, outcome: Result<(), &Unverified>) {
        self.credentials.lock().found(Verified::of(outcome, now()));
    }

    pub(super) fn count(counter: &AtomicU64, more: usize) {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
