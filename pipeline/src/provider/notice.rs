//! What a provider is told has changed, and who tells it.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ScopeGroup;
use crate::error::Result;
use crate::source::Reply;
use crate::step::Scope;

/// An object of which something says that it has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// A table of the group that the object is collected with, and the object's account and region.
    pub scope: Scope,
    /// What stands in the tables' columns [`crate::table::TableDefinition::target`].
    pub id: Arc<str>,
}

/// Some of a provider's scopes: those that have all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeSelector {
    /// The account; any where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<Arc<str>>,
    /// The region; any where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Arc<str>>,
    /// The table; any where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Arc<str>>,
}

impl ScopeSelector {
    /// Whether the group has a scope that is meant.
    pub(super) fn takes(&self, group: &ScopeGroup) -> bool {
        let same = |wanted: &Option<Arc<str>>, found: &Arc<str>| wanted.as_ref().is_none_or(|wanted| wanted == found);
        same(&self.account_id, &group.account_id)
            && same(&self.region, &group.region)
            && self.table.as_ref().is_none_or(|table| group.tables.contains(table))
    }
}

/// Something says what has changed.
#[derive(Debug, Default)]
pub struct Notice {
    /// Objects to read again.
    pub targets: Vec<Target>,
    /// Groups to read again wholly: those that have such a scope.
    pub whole: Vec<ScopeSelector>,
    /// Told when all of it has been read again, and what that has changed is durable in the journal. Dropped without a
    /// word when that was not so: then the notice has to be given again.
    pub done: Option<Reply>,
}

/// Hears of changes as they happen: a queue of events, say.
#[async_trait]
pub trait Notices: Send + Sync + 'static {
    /// Gives notices until it is cancelled; waits while many of them have not been dealt with. Called again, with
    /// back-off, after it has failed.
    ///
    /// # Errors
    /// When it cannot go on.
    async fn give(&self, notices: mpsc::Sender<Notice>, cancel: CancellationToken) -> Result<()>;
}
