//! Refreshing a provider: its groups, several at a time, as arrivals that hold changes only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::collector::{Collector, panic_text};
use super::{Extent, Provider, ScopeGroup};
use crate::error::{Domain, Error, Result};
use crate::step::ScopeOutcome;
use crate::table::INTERRUPTED;

/// Collects in a task of its own.
pub(super) struct Refresher<P: ?Sized> {
    collector: Arc<Collector<P>>,
    /// How long to wait after a refresh before the next one; once only if `None`.
    every: Option<Duration>,
}

impl<P: Provider + ?Sized> Refresher<P> {
    pub(super) fn new(collector: Collector<P>, every: Option<Duration>) -> Self {
        Self { collector: Arc::new(collector), every }
    }

    /// Refreshes as the schedule says.
    ///
    /// # Errors
    /// When the provider cannot list its groups, or nobody takes arrivals any more.
    pub(super) async fn run(mut self) -> Result<()> {
        self.end_interrupted().await?;
        loop {
            self.collector.refreshed.fetch_add(1, Ordering::SeqCst);
            self.refresh().await?;
            let Some(every) = self.every else { return Ok(()) };
            tokio::time::sleep(every).await;
        }
    }

    /// Ends the scopes that an earlier life of the source left open, so that what it has journaled for them
    /// is visible before it is compared with.
    async fn end_interrupted(&self) -> Result<()> {
        for scope in self.collector.tables.current().open.iter() {
            let outcome = ScopeOutcome::Failed(INTERRUPTED.to_owned());
            self.collector.send_end(scope.clone(), outcome, Vec::new()).await?;
        }
        Ok(())
    }

    async fn refresh(&mut self) -> Result<()> {
        self.collector.caught_up().await;
        let mut waiting = self.groups().await?.into_iter();
        let at_once = self.collector.provider.concurrency().max(1);
        let mut running = JoinSet::new();
        loop {
            while running.len() < at_once
                && let Some(group) = waiting.next()
            {
                let collector = Arc::clone(&self.collector);
                running.spawn(async move { collector.collect(group, Extent::Whole).await });
            }
            let Some(ended) = running.join_next().await else { return Ok(()) };
            group_ended(ended)?;
        }
    }

    /// The groups to collect, each scope once. Asks for them in a task, so that a panic becomes an error.
    async fn groups(&self) -> Result<Vec<ScopeGroup>> {
        let provider = Arc::clone(&self.collector.provider);
        let listing = AbortOnDropHandle::new(tokio::spawn(async move { provider.groups().await }));
        let panicked = |error| {
            let text = panic_text(error);
            Error::external(format!("the provider panicked while it listed its scopes: {text}"))
        };
        let mut groups = listing.await.map_err(panicked)?.map_err(|error| Error {
            domain: Domain::External,
            message: format!("the provider could not list its scopes: {}", error.message),
            ..error
        })?;
        let mut listed = BTreeSet::new();
        for group in &mut groups {
            if let Some(table) = group.tables.iter().find(|table| !self.collector.has_table(table)) {
                let scope = group.scope(table);
                return Err(Error::internal(format!("the provider lists scope {scope}, but not that table")));
            }
            let (account_id, region) = (Arc::clone(&group.account_id), Arc::clone(&group.region));
            group
                .tables
                .retain(|table| listed.insert((Arc::clone(&account_id), Arc::clone(&region), Arc::clone(table))));
        }
        groups.retain(|group| !group.tables.is_empty());
        Ok(groups)
    }
}

/// Takes note of a group that has ended. One whose task panicked has told the sequencer no end: its scopes are ended as
/// interrupted by their next begin, and the other groups go on.
fn group_ended(ended: Result<Result<()>, JoinError>) -> Result<()> {
    match ended {
        Ok(ended) => ended,
        Err(error) => {
            tracing::error!(reason = %panic_text(error), "Comparing what a provider has collected broke off.");
            Ok(())
        }
    }
}
