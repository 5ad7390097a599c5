//! `host`: the inventory of this machine as keyed tables, read from `/proc`, `/etc` and `/var/lib`.
//!
//! Each table is a file in `tables`: its columns, its row and how it is read. Rows hold what an administrator
//! or the kernel has set, never what changes by itself (load, memory in use, up time), so that a refresh of a
//! quiet machine changes nothing. What this user may not read is `NULL` in its column, or the table is
//! skipped with the reason.

mod accounts;
mod glob;
mod kind;
mod machine;
#[cfg(test)]
mod queries;
mod root;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::provider::{Collected, Extent, Pages, Provider, ScopeGroup, Unverified};
use tidegate_pipeline::spec::Refresh;
use tidegate_pipeline::spec::diagnostic::remedy_for;
use tidegate_pipeline::step::ScopeOutcome;
use tidegate_pipeline::table::TableDefinition;

pub use kind::HostKind;
pub use root::HostRoot;
use root::Unread;
use table::HostTable;

/// The region of everything on this machine.
pub const REGION: &str = "local";

/// The options of the `host` provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostOptions {
    /// The tables to collect, such as `host_user`; all of them where it is absent.
    pub tables: Option<Vec<String>>,
    /// When the machine is read: so often (`15m`), at times (`{cron: "0 */6 * * *"}`) or on demand (`off`); without it, once.
    pub refresh: Option<Refresh>,
    /// The directory under which the machine's files lie; `/` where it is absent. Another one reads a mounted image.
    pub root: Option<PathBuf>,
}

/// The inventory of one machine.
pub struct HostProvider {
    root: HostRoot,
    tables: Vec<Arc<dyn HostTable>>,
}

impl HostProvider {
    /// The provider that these options describe.
    ///
    /// # Errors
    /// When `tables` names a table that does not exist, or none.
    pub fn new(options: HostOptions) -> Result<Self> {
        let root = HostRoot::new(options.root.unwrap_or_else(|| PathBuf::from("/")));
        let all = tables::all();
        let tables = match options.tables {
            None => all,
            Some(names) => chosen(all, &names)?,
        };
        Ok(Self { root, tables })
    }

    fn table(&self, name: &str) -> Option<Arc<dyn HostTable>> {
        self.tables.iter().find(|table| table.name() == name).cloned()
    }
}

/// The definitions of every table that the provider can collect.
pub fn definitions() -> Vec<TableDefinition> {
    tables::all().iter().map(|table| table.definition()).collect()
}

/// The tables of those names, in the order of `all`.
fn chosen(all: Vec<Arc<dyn HostTable>>, names: &[String]) -> Result<Vec<Arc<dyn HostTable>>> {
    let known: Vec<String> = all.iter().map(|table| table.name().to_owned()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let remedy = remedy_for(unknown, "tables", &known);
        return Err(Error::user(format!("`host` has no table `{unknown}`")).with_remedy(remedy));
    }
    if names.is_empty() {
        return Err(Error::user("`tables` of `host` is empty")
            .with_remedy(format!("leave it out for all tables, or name some of {}", known.join(", "))));
    }
    Ok(all.into_iter().filter(|table| names.iter().any(|name| name == table.name())).collect())
}

#[async_trait]
impl Provider for HostProvider {
    fn tables(&self) -> Vec<TableDefinition> {
        self.tables.iter().map(|table| table.definition()).collect()
    }

    async fn verify(&self) -> Result<(), Unverified> {
        let root = self.root.clone();
        let verified = blocking(move || {
            root.verify()?;
            machine::id(&root).map(drop)
        });
        Ok(verified.await??)
    }

    /// Each table is a group of its own: they are read from different files.
    async fn groups(&self) -> Result<Vec<ScopeGroup>> {
        let root = self.root.clone();
        let account_id: Arc<str> = blocking(move || machine::id(&root)).await??.into();
        Ok(self.tables.iter().map(|table| ScopeGroup::new(Arc::clone(&account_id), REGION, [table.name()])).collect())
    }

    /// A machine's files are read wholly: no table names targets.
    async fn collect(&self, group: &ScopeGroup, _extent: &Extent, pages: Pages) -> Collected {
        let Some(table) = group.tables.first().and_then(|name| self.table(name)) else {
            return Collected::failed(format!("`host` does not collect {group}"));
        };
        let (root, account_id, name) = (self.root.clone(), group.account_id.clone(), table.name());
        let read = match blocking(move || table.read(&root, &account_id)).await {
            Ok(read) => read,
            Err(error) => return Collected::failed(error.to_string()),
        };
        match read {
            Ok(batches) => send(name, batches, &pages).await,
            Err(Unread::Skipped(reason)) => Collected::all(ScopeOutcome::Skipped(reason)),
            Err(Unread::Failed(reason)) => Collected::failed(reason),
        }
    }
}

async fn send(table: &str, batches: Vec<RecordBatch>, pages: &Pages) -> Collected {
    for batch in batches {
        if let Err(error) = pages.send(table, batch).await {
            return Collected::failed(error.to_string());
        }
    }
    Collected::complete()
}

/// Runs what reads files away from the threads that must not wait.
async fn blocking<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| Error::internal(format!("reading the machine's files stopped: {error}")))
}
