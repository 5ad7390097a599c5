//! A provider of AWS: an estate, and what reads its tables.

mod collector;
mod document;
mod kind;
mod named;
mod notices;
mod optional;
mod options;
mod page;
mod policy;
mod raw;
mod table;
mod unread;
mod verify;
mod whole;
mod within;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::provider::{Collected, Extent, Notices, Pages, Provider, ScopeGroup, Unverified};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::step::ScopeOutcome;
use tidegate_pipeline::table::TableDefinition;

pub(crate) use collector::{Call, Collector, Filters, Listing, Reach, answered};
pub(crate) use kind::{AwsKind, Service};
pub(crate) use named::Named;
pub(crate) use optional::{CALLS, Optional, unless_unknown};
pub use options::ProviderOptions;
pub(crate) use page::NoPages;
pub(crate) use raw::{Capture, Raw, items, settled};
pub(crate) use table::{Declared, Table, moment};
pub(crate) use unread::Unread;
pub(crate) use whole::WholeAnswers;
pub(crate) use within::{Within, sorted};

use crate::estate::{Account, Estate, GLOBAL};
use crate::feed::{Coverage, EventsOptions};
use notices::EstateNotices;

/// See the module.
pub(crate) struct AwsProvider {
    /// The kind in YAML.
    kind: &'static str,
    estate: Arc<Estate>,
    collectors: Vec<Arc<dyn Collector>>,
    /// The tables that are wanted.
    wanted: Vec<Arc<str>>,
    filters: BTreeMap<String, Filters>,
    hydrate: Vec<String>,
    /// How many objects of a bucket are listed.
    objects: usize,
    concurrency: usize,
    /// Where notifications come from.
    events: Option<EventsOptions>,
    /// What is collected, as the last listing of groups has found it.
    coverage: Arc<Mutex<Coverage>>,
    /// The accounts as the last listing of groups has found them.
    accounts: Mutex<BTreeMap<Arc<str>, Account>>,
}

impl AwsProvider {
    /// The provider of a service that these options, found to be good, describe.
    pub(crate) fn new(service: &Service, read: ProviderOptions, options: &Options) -> Self {
        let mut collectors = (service.collectors)();
        let wanted: Vec<Arc<str>> = collectors
            .iter()
            .flat_map(|collector| collector.tables())
            .map(Declared::name)
            .filter(|name| read.tables.as_ref().is_none_or(|tables| tables.iter().any(|table| table == name)))
            .map(Arc::from)
            .collect();
        collectors.retain(|collector| {
            collector.tables().iter().any(|table| wanted.iter().any(|name| **name == *table.name()))
        });
        Self {
            kind: service.kind,
            estate: Arc::new(Estate::new(read.estate(), read.connection(options))),
            events: read.events,
            collectors,
            wanted,
            filters: read.filters,
            hydrate: read.hydrate,
            objects: read.objects.map_or(0, |objects| objects.most.get()),
            concurrency: read.concurrency.get(),
            coverage: Arc::default(),
            accounts: Mutex::default(),
        }
    }

    /// The collector of a group.
    fn collector(&self, group: &ScopeGroup) -> Option<&Arc<dyn Collector>> {
        let table = group.tables.first()?;
        self.collectors.iter().find(|collector| collector.tables().iter().any(|known| *known.name() == **table))
    }

    /// The wanted tables of a collector.
    fn wanted_of(&self, collector: &dyn Collector) -> Vec<Arc<str>> {
        let tables = collector.tables();
        self.wanted.iter().filter(|name| tables.iter().any(|table| *table.name() == ***name)).cloned().collect()
    }

    /// What a collector must be allowed to do.
    fn actions(&self, collector: &dyn Collector) -> Vec<&'static str> {
        let named = self.hydrate.iter().filter(|name| collector.hydrations().contains(&name.as_str()));
        let hydrated = named.flat_map(|name| collector.hydration_actions(name));
        collector.actions().iter().chain(hydrated).copied().collect()
    }

    fn group(&self, collector: &dyn Collector, account: &Account, region: &Arc<str>) -> ScopeGroup {
        ScopeGroup::new(Arc::clone(&account.id), Arc::clone(region), self.wanted_of(collector))
    }

    /// The regions of an account; those of the first account where it cannot be asked, so that its scopes are there, and
    /// say why they cannot be read.
    async fn regions(&self, account: &Account, fallback: &[Arc<str>]) -> Result<Vec<Arc<str>>> {
        match self.estate.regions(account).await {
            Err(error) if !fallback.is_empty() => {
                tracing::warn!(account = %account.id, %error, "The regions of an account could not be listed; those of the first are tried.");
                Ok(fallback.to_vec())
            }
            found => found,
        }
    }
}

#[async_trait]
impl Provider for AwsProvider {
    fn tables(&self) -> Vec<TableDefinition> {
        let tables =
            self.collectors.iter().flat_map(|collector| collector.tables().into_iter().map(Declared::definition));
        tables.filter(|table| self.wanted.contains(&table.name)).collect()
    }

    async fn verify(&self) -> Result<(), Unverified> {
        self.estate.find_credentials().await.map_err(Unverified::incomplete)?;
        Ok(self.verify_accounts().await?)
    }

    async fn groups(&self) -> Result<Vec<ScopeGroup>> {
        let accounts = self.estate.accounts().await?;
        let mut groups = Vec::new();
        let mut first: Vec<Arc<str>> = Vec::new();
        for account in &accounts {
            let regions = self.regions(account, &first).await?;
            for collector in &self.collectors {
                match collector.reach() {
                    Reach::Global => groups.push(self.group(collector.as_ref(), account, &GLOBAL.into())),
                    Reach::Regional => {
                        groups.extend(regions.iter().map(|region| self.group(collector.as_ref(), account, region)))
                    }
                }
            }
            if first.is_empty() {
                first = regions;
            }
        }
        *self.coverage.lock() = groups
            .iter()
            .flat_map(ScopeGroup::scopes)
            .map(|scope| (scope.account_id, scope.region, scope.table))
            .collect();
        *self.accounts.lock() = accounts.into_iter().map(|account| (Arc::clone(&account.id), account)).collect();
        Ok(groups)
    }

    fn notices(&self) -> Option<Arc<dyn Notices>> {
        let events = self.events.clone()?;
        Some(Arc::new(EstateNotices::new(Arc::clone(&self.estate), events, Arc::clone(&self.coverage))))
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn collect(&self, group: &ScopeGroup, extent: &Extent, pages: Pages) -> Collected {
        let account = self.accounts.lock().get(&group.account_id).cloned();
        let (Some(collector), Some(account)) = (self.collector(group), account) else {
            let error = Error::internal(format!("nothing collects {:?} in account {}", group.tables, group.account_id));
            return Collected::failed(error.message);
        };
        let session = account.session(&group.region);
        let none = Filters::new();
        let name = collector.tables().first().map(|table| table.name()).unwrap_or_default();
        let call = Call {
            session: &session,
            extent,
            filters: self.filters.get(name).unwrap_or(&none),
            wanted: &group.tables,
            hydrate: &self.hydrate,
            objects: self.objects,
            pages,
        };
        Collected::all(match collector.collect(&call).await {
            Ok(()) => ScopeOutcome::Complete,
            Err(unread) => unread.outcome(&self.actions(collector.as_ref())),
        })
    }
}
