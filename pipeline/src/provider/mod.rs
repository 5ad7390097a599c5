//! The contract of providers: sources of inventory tables.
//!
//! A provider collects, parses and persists. It lists its tables, verifies its credentials with the same
//! code before and after it is added, and collects a [`ScopeGroup`] in pages as they arrive: the scopes (account ×
//! region × table) whose rows come from the same calls. The runtime diffs pages against the stored tables and journals
//! changes only: a second identical refresh writes nothing, a failed scope deletes nothing.
//! [`planned_provider_source`] makes a source of a provider.

mod collection;
mod collector;
mod difference;
mod group;
mod kind;
mod pages;
mod refresh;
mod source;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::error::Result;
use crate::table::TableDefinition;

pub use group::{Collected, Extent, ScopeGroup};
pub use kind::ProviderKind;
pub use pages::{Page, PageRoom, Pages};
pub use source::{ProviderSource, planned_provider_source};

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

    /// The groups of scopes that there are now, in the order in which a refresh begins them. A scope is in one group.
    ///
    /// # Errors
    /// When not even the list can be had.
    async fn groups(&self) -> Result<Vec<ScopeGroup>>;

    /// How many groups may be collected at a time.
    fn concurrency(&self) -> usize {
        1
    }

    /// Collects a group: wholly, or only some objects of it ([`Extent::Targets`]; asked for only where every table of
    /// the group names its column [`TableDefinition::target`]). Pages hold every row once, in any order, those of the
    /// group's tables in any mixture; rows carry `account_id` and `region` of the group. Gives how each scope ended. When
    /// [`Pages::send`] fails the refresh is over: return at once, with any outcome.
    async fn collect(&self, group: &ScopeGroup, extent: &Extent, pages: Pages) -> Collected;
}
