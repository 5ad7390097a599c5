//! The contract of providers: sources of inventory tables.
//!
//! A provider collects, parses and persists. It lists its tables, verifies its credentials with the same
//! code before and after it is added, and collects a [`Scope`] in pages as they arrive. The runtime diffs
//! pages against the stored table and journals changes only: a second identical refresh writes nothing, a
//! failed scope deletes nothing. [`planned_provider_source`] makes a source of a provider.

mod difference;
mod refresh;
mod source;
#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::step::{Scope, ScopeOutcome};
use crate::table::TableDefinition;

pub use source::{ProviderSource, planned_provider_source};

/// Where a provider hands over the pages of a scope: each a batch in the schema of the scope's table.
#[derive(Debug, Clone)]
pub struct Pages(pub mpsc::Sender<RecordBatch>);

impl Pages {
    /// Hands over a page; waits while earlier pages are being taken.
    ///
    /// # Errors
    /// When the refresh has been cancelled.
    pub async fn send(&self, page: RecordBatch) -> Result<()> {
        self.0.send(page).await.map_err(|_| Error::external("the refresh was cancelled"))
    }
}

/// A source of inventory tables.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The tables that it can collect.
    fn tables(&self) -> Vec<TableDefinition>;

    /// Whether it can reach what it collects from.
    ///
    /// # Errors
    /// Why not, in one sentence for the user.
    async fn verify(&self) -> Result<()>;

    /// The scopes to refresh now, in order.
    ///
    /// # Errors
    /// When not even the list of scopes can be had.
    async fn scopes(&self) -> Result<Vec<Scope>>;

    /// Collects one scope to the end. Pages hold every row of the scope once; rows carry `account_id` and
    /// `region` of the scope. When [`Pages::send`] fails the refresh is over: return at once, with any
    /// outcome.
    async fn collect(&self, scope: &Scope, pages: Pages) -> ScopeOutcome;
}
