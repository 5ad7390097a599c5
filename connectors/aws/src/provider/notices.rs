//! The events of an estate, as notices of what is to be read again.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::provider::{Notice, Notices, ScopeSelector, Target};
use tidegate_pipeline::step::Scope;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::estate::Estate;
use crate::feed::{self, Coverage, EventsOptions, Feed};

/// Hears of changes from a queue of SQS.
pub(super) struct EstateNotices {
    estate: Arc<Estate>,
    options: EventsOptions,
    /// What the provider collects, as its last listing of groups has found it.
    coverage: Arc<Mutex<Coverage>>,
}

impl EstateNotices {
    pub(super) fn new(estate: Arc<Estate>, options: EventsOptions, coverage: Arc<Mutex<Coverage>>) -> Self {
        Self { estate, options, coverage }
    }
}

#[async_trait]
impl Notices for EstateNotices {
    async fn give(&self, notices: mpsc::Sender<Notice>, cancel: CancellationToken) -> Result<()> {
        let feed = Feed::new(&self.options, &self.estate.base().await?);
        feed.give(|target| self.coverage.lock().place(target), notices, cancel).await
    }
}

impl From<feed::Notice> for Notice {
    fn from(notice: feed::Notice) -> Self {
        let mut given = Self { done: Some(notice.done), ..Self::default() };
        for target in notice.targets {
            let (account_id, region, table) = (target.account_id, target.region, Arc::from(target.table));
            match target.id {
                Some(id) => given.targets.push(Target { scope: Scope { account_id, region, table }, id }),
                None => given.whole.push(ScopeSelector {
                    account_id: Some(account_id),
                    region: Some(region),
                    table: Some(table),
                }),
            }
        }
        given
    }
}
