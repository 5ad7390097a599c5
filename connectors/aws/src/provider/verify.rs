//! Whether the credentials are good, and may do what the provider needs: the same before a provider is added and after.
//!
//! Each listing is asked, in the same way as by a refresh, for something that does not exist. What is answered with
//! nothing is allowed; what is refused is named.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::provider::{Extent, PageRoom, Pages, ScopeGroup};

use super::{AwsProvider, Call, Collector, Filters, Reach, Unread};
use crate::estate::{Account, GLOBAL, Patience, Session};

/// The id of something that does not exist.
const NOTHING: &str = "tidegate-verify";

impl AwsProvider {
    /// Verifies every account, in its first region.
    ///
    /// # Errors
    /// What is refused, in one sentence, with what can be done about it.
    pub(super) async fn verify_accounts(&self) -> Result<()> {
        // Somebody waits for it.
        let estate = self.estate.with_patience(Patience::VERDICT);
        let accounts = estate.accounts().await?;
        let first = accounts.first().ok_or_else(|| Error::user("no account is looked at"))?;
        let regions = estate.regions(first).await?;
        let region = regions.first().ok_or_else(|| Error::user("no region is looked at"))?;
        for account in &accounts {
            self.verify_account(account, region).await?;
        }
        Ok(())
    }

    async fn verify_account(&self, account: &Account, region: &Arc<str>) -> Result<()> {
        let mut refused: BTreeSet<&str> = BTreeSet::new();
        for collector in &self.collectors {
            let region = match collector.reach() {
                Reach::Regional => Arc::clone(region),
                Reach::Global => GLOBAL.into(),
            };
            match self.ask_for_nothing(collector.as_ref(), &account.session(&region)).await {
                Ok(()) | Err(Unread::Unsupported(_) | Unread::Cancelled) => {}
                Err(Unread::Denied(_)) => refused.extend(self.actions(collector.as_ref())),
                Err(Unread::Failed(error)) => return Err(error),
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let named = refused.into_iter().collect::<Vec<_>>().join(", ");
        Err(Error::user(format!("the credentials of account {} may not: {named}", account.id))
            .with_remedy(format!("allow it: `tidegate provider policy {}` prints a policy", self.kind)))
    }

    async fn ask_for_nothing(&self, collector: &dyn Collector, session: &Session) -> Result<(), Unread> {
        let wanted: Vec<Arc<str>> = collector.tables().iter().map(|table| table.name().into()).collect();
        let place = &session.place;
        let group = ScopeGroup::new(Arc::clone(&place.account_id), Arc::clone(&place.region), wanted.clone());
        let (pages, mut given) = Pages::channel(group, PageRoom::new(1));
        let (extent, filters) = (Extent::Targets(vec![NOTHING.into()]), Filters::new());
        let asking = async {
            // What sends pages is dropped with the call.
            let hydrate = &self.hydrate;
            let call =
                Call { session, extent: &extent, filters: &filters, wanted: &wanted, hydrate, objects: 0, pages };
            collector.collect(&call).await
        };
        let taking = async { while given.recv().await.is_some() {} };
        tokio::join!(asking, taking).0
    }
}
