//! A provider that does what a script says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::provider::{Pages, Provider};
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
    begun: AtomicUsize,
}

impl ScriptedProvider {
    /// A provider of `tables` that knows no refresh yet.
    pub fn new(tables: Vec<TableDefinition>) -> Self {
        Self { tables, refreshes: Vec::new(), begun: AtomicUsize::new(0) }
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

    /// How many refreshes have begun.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// The refresh that the last call of [`Provider::scopes`] began.
    fn current(&self) -> Result<&[ScriptedScope]> {
        let last = self.refreshes.len().checked_sub(1);
        let last = last.ok_or_else(|| Error::internal("the script has no refresh"))?;
        let index = self.begun().saturating_sub(1).min(last);
        self.refreshes[index].as_deref().map_err(Clone::clone)
    }
}

#[async_trait]
impl Provider for ScriptedProvider {
    fn tables(&self) -> Vec<TableDefinition> {
        self.tables.clone()
    }

    async fn verify(&self) -> Result<()> {
        Ok(())
    }

    async fn scopes(&self) -> Result<Vec<Scope>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Ok(self.current()?.iter().map(|scripted| scripted.scope.clone()).collect())
    }

    #[expect(clippy::panic, reason = "a script may ask for a provider that panics")]
    async fn collect(&self, scope: &Scope, pages: Pages) -> ScopeOutcome {
        let scopes = self.current().unwrap_or_default();
        let by_scope: BTreeMap<_, _> = scopes.iter().map(|scripted| (&scripted.scope, scripted)).collect();
        let Some(scripted) = by_scope.get(scope) else {
            return ScopeOutcome::Failed("the script does not have this scope".to_owned());
        };
        for page in &scripted.pages {
            if let Err(error) = pages.send(page.clone()).await {
                return ScopeOutcome::Failed(error.message);
            }
        }
        if scripted.hangs {
            return std::future::pending().await;
        }
        match &scripted.outcome {
            Some(outcome) => outcome.clone(),
            None => panic!("the script says so"),
        }
    }
}
