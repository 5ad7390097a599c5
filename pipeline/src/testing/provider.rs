//! A provider that does what a script says, and what asks a provider as a refresh does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::provider::{Collected, Extent, PageRoom, Pages, Provider, ScopeGroup, Unverified};
use crate::step::{Scope, ScopeOutcome};
use crate::table::TableDefinition;

/// What collecting a scope gives in one refresh.
#[derive(Debug, Clone)]
pub struct ScriptedScope {
    /// The scope.
    pub scope: Scope,
    /// The pages, in the schema of the scope's table.
    pub pages: Vec<RecordBatch>,
    /// How it ends after them; `None` to panic instead.
    pub outcome: Option<ScopeOutcome>,
    /// It never ends after its pages, as when nobody answers any more.
    pub hangs: bool,
}

impl ScriptedScope {
    /// A scope that gives `pages` and completes.
    pub fn complete(scope: Scope, pages: Vec<RecordBatch>) -> Self {
        Self::ending(scope, pages, ScopeOutcome::Complete)
    }

    /// A scope that gives `pages` and then ends with `outcome`.
    pub fn ending(scope: Scope, pages: Vec<RecordBatch>, outcome: ScopeOutcome) -> Self {
        Self { scope, pages, outcome: Some(outcome), hangs: false }
    }

    /// A scope that gives `pages` and then panics.
    pub fn panicking(scope: Scope, pages: Vec<RecordBatch>) -> Self {
        Self { scope, pages, outcome: None, hangs: false }
    }

    /// A scope that gives `pages` and never ends.
    pub fn hanging(scope: Scope, pages: Vec<RecordBatch>) -> Self {
        Self { hangs: true, ..Self::complete(scope, pages) }
    }
}

/// A provider whose refreshes are written down beforehand. The last of them repeats for ever.
#[derive(Debug)]
pub struct ScriptedProvider {
    tables: Vec<TableDefinition>,
    refreshes: Vec<Result<Vec<ScriptedScope>>>,
    grouped: bool,
    concurrency: usize,
    /// What verifying its credentials finds.
    refused: Option<Error>,
    begun: AtomicUsize,
    collecting: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl ScriptedProvider {
    /// A provider of `tables` that knows no refresh yet.
    pub fn new(tables: Vec<TableDefinition>) -> Self {
        let (begun, collecting, most_at_once) = <(AtomicUsize, AtomicUsize, AtomicUsize)>::default();
        Self {
            tables,
            refreshes: Vec::new(),
            grouped: false,
            concurrency: 1,
            refused: None,
            begun,
            collecting,
            most_at_once,
        }
    }

    /// Adds a refresh: its scopes, in order.
    #[must_use]
    pub fn refresh(mut self, scopes: Vec<ScriptedScope>) -> Self {
        self.refreshes.push(Ok(scopes));
        self
    }

    /// Adds a refresh that cannot even list its scopes.
    #[must_use]
    pub fn failing_refresh(mut self, message: &str) -> Self {
        self.refreshes.push(Err(Error::external(message)));
        self
    }

    /// The scopes of one account and region are one group; each is one of its own otherwise.
    #[must_use]
    pub fn grouped(mut self) -> Self {
        self.grouped = true;
        self
    }

    /// So many groups may be collected at a time.
    #[must_use]
    pub fn at_once(mut self, groups: usize) -> Self {
        self.concurrency = groups;
        self
    }

    /// Its credentials are found to be refused.
    #[must_use]
    pub fn refusing(mut self, message: &str) -> Self {
        self.refused = Some(Error::user(message));
        self
    }

    /// How many refreshes have begun.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// How many groups were being collected at a time, at most.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// The refresh that the last call of [`Provider::groups`] began.
    fn current(&self) -> Result<&[ScriptedScope]> {
        let last = self.refreshes.len().checked_sub(1);
        let last = last.ok_or_else(|| Error::internal("the script has no refresh"))?;
        let index = self.begun().saturating_sub(1).min(last);
        self.refreshes[index].as_deref().map_err(Clone::clone)
    }

    #[expect(clippy::panic, reason = "a script may ask for a provider that panics")]
    async fn play(&self, group: &ScopeGroup, pages: Pages) -> Collected {
        let (scopes, mut collected) = (self.current().unwrap_or_default(), Collected::complete());
        for scope in group.scopes() {
            // Of two that are alike the last counts.
            let Some(scripted) = scopes.iter().rev().find(|scripted| scripted.scope == scope) else {
                return Collected::failed("the script does not have this scope");
            };
            for page in &scripted.pages {
                if let Err(error) = pages.send(&scope.table, page.clone()).await {
                    return Collected::failed(error.message);
                }
            }
            if scripted.hangs {
                return std::future::pending().await;
            }
            match &scripted.outcome {
                Some(outcome) => collected = collected.except(scope.table, outcome.clone()),
                None => panic!("the script says so"),
            }
        }
        collected
    }
}

#[async_trait]
impl Provider for ScriptedProvider {
    fn tables(&self) -> Vec<TableDefinition> {
        self.tables.clone()
    }

    async fn verify(&self) -> Result<(), Unverified> {
        self.refused.clone().map_or(Ok(()), |refused| Err(refused.into()))
    }

    async fn groups(&self) -> Result<Vec<ScopeGroup>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut groups: Vec<ScopeGroup> = Vec::new();
        for Scope { account_id, region, table } in self.current()?.iter().map(|scripted| scripted.scope.clone()) {
            let same = |group: &&mut ScopeGroup| (&group.account_id, &group.region) == (&account_id, &region);
            match groups.iter_mut().find(same) {
                Some(group) if self.grouped => group.tables.push(table),
                _ => groups.push(ScopeGroup::new(account_id, region, [table])),
            }
        }
        Ok(groups)
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn collect(&self, group: &ScopeGroup, _extent: &Extent, pages: Pages) -> Collected {
        let at_once = self.collecting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let _collecting = Collecting(&self.collecting);
        self.play(group, pages).await
    }
}

/// Counts a group that is being collected until this is dropped.
struct Collecting<'a>(&'a AtomicUsize);

impl Drop for Collecting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Collects a group as a refresh does: how it ended, and the pages with their tables, in order.
pub async fn collect(
    provider: &(impl Provider + ?Sized),
    group: &ScopeGroup,
    extent: &Extent,
) -> (Collected, Vec<(Arc<str>, RecordBatch)>) {
    let (pages, mut waiting) = Pages::channel(group.clone(), PageRoom::new(4));
    let taking = async {
        let mut taken = Vec::new();
        while let Some(page) = waiting.recv().await {
            taken.push((page.table.clone(), page.rows.clone()));
        }
        taken
    };
    tokio::join!(provider.collect(group, extent, pages), taking)
}
