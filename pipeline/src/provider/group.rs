//! What a provider is asked for, and how that ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::step::{Scope, ScopeOutcome};

/// The scopes of one account and region whose rows come from the same calls: they are collected together, and each
/// has its own outcome.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeGroup {
    /// The account (for `host`, the machine id).
    pub account_id: Arc<str>,
    /// The region (for `host`, `local`).
    pub region: Arc<str>,
    /// The tables, at least one, in the order in which their refreshes end.
    pub tables: Vec<Arc<str>>,
}

impl ScopeGroup {
    /// The scopes of these tables in an account and a region.
    pub fn new<T: Into<Arc<str>>>(
        account_id: impl Into<Arc<str>>,
        region: impl Into<Arc<str>>,
        tables: impl IntoIterator<Item = T>,
    ) -> Self {
        let tables = tables.into_iter().map(Into::into).collect();
        Self { account_id: account_id.into(), region: region.into(), tables }
    }

    /// The scope of one of its tables.
    pub fn scope(&self, table: &Arc<str>) -> Scope {
        Scope { account_id: Arc::clone(&self.account_id), region: Arc::clone(&self.region), table: Arc::clone(table) }
    }

    /// Its scopes.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.tables.iter().map(|table| self.scope(table))
    }
}

impl fmt::Display for ScopeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.account_id, self.region, self.tables.join("+"))
    }
}

/// How much of a group is collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Every row.
    Whole,
    /// The rows of these objects: those in whose column [`crate::table::TableDefinition::target`] one of these ids
    /// stands. An id that is not there any more has no rows, and that is no failure.
    Targets(Vec<Arc<str>>),
}

/// How collecting the scopes of a group ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    all: ScopeOutcome,
    except: BTreeMap<Arc<str>, ScopeOutcome>,
}

impl Collected {
    /// All scopes ended so.
    pub fn all(outcome: ScopeOutcome) -> Self {
        Self { all: outcome, except: BTreeMap::new() }
    }

    /// All scopes were read to the end.
    pub fn complete() -> Self {
        Self::all(ScopeOutcome::Complete)
    }

    /// All scopes failed, with the reason.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::all(ScopeOutcome::Failed(reason.into()))
    }

    /// The scope of this table ended otherwise than the others: its own call was denied, say.
    #[must_use]
    pub fn except(mut self, table: impl Into<Arc<str>>, outcome: ScopeOutcome) -> Self {
        self.except.insert(table.into(), outcome);
        self
    }

    /// How the scope of that table ended.
    pub fn of(&self, table: &str) -> &ScopeOutcome {
        self.except.get(table).unwrap_or(&self.all)
    }
}
