//! The contract of providers: sources of inventory tables.
//!
//! A provider collects, parses and persists. It lists its tables, verifies its credentials with the same
//! code before and after it is added, and collects a [`ScopeGroup`] in pages as they arrive: the scopes (account ×
//! region × table) whose rows come from the same calls. The runtime diffs pages against the stored tables and journals
//! changes only: a second identical refresh writes nothing, a failed scope deletes nothing.
//! [`planned_provider_source`] makes a source of a provider.

mod collection;
mod collector;
mod control;
mod credential_watch;
mod credentials;
mod difference;
mod group;
mod kind;
mod known;
mod notice;
mod pages;
mod refresh;
mod schedule;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod waiting;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::table::TableDefinition;

pub use control::{RefreshControl, RefreshRequest};
pub use credentials::{CredentialHistory, CredentialStatus, Unverified, Verified};
pub use group::{Collected, Extent, ScopeGroup};
pub use kind::ProviderKind;
pub use notice::{Notice, Notices, ScopeSelector, Target};
pub use pages::{Page, PageRoom, Pages};
pub use schedule::Schedule;
pub use source::{ProviderSource, planned_provider_source};
pub use status::{RefreshReport, RefreshStatus, UnresolvedReport};

/// A source of inventory tables.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The tables that it can collect.
    fn tables(&self) -> Vec<TableDefinition>;

    /// Whether it can reach what it collects from, and its credentials allow that: asked before a provider is added, and
    /// again where a refresh has read nothing.
    ///
    /// # Errors
    /// Why not, in one sentence for the user.
    async fn verify(&self) -> Result<(), Unverified>;

    /// The groups of scopes that there are now, in the order in which a refresh begins them. A scope is in one group.
    ///
    /// # Errors
    /// When not even the list can be had.
    async fn groups(&self) -> Result<Vec<ScopeGroup>>;

    /// How many groups may be collected wholly at a time, and as many again of which only some objects are read.
    fn concurrency(&self) -> usize {
        1
    }

    /// From how many objects of one group on, not counting this number itself, the whole group is read instead.
    fn full_refresh_threshold(&self) -> usize {
        100
    }

    /// What hears of changes as they happen, if anything does.
    fn notices(&self) -> Option<Arc<dyn Notices>> {
        None
    }

    /// Collects a group: wholly, or only some objects of it ([`Extent::Targets`]; asked for only where every table of
    /// the group names its column [`TableDefinition::target`]). Pages hold every row once, in any order, those of the
    /// group's tables in any mixture; rows carry `account_id` and `region` of the group. Gives how each scope ended. When
    /// [`Pages::send`] fails the refresh is over: return at once, with any outcome.
    async fn collect(&self, group: &ScopeGroup, extent: &Extent, pages: Pages) -> Collected;
}
