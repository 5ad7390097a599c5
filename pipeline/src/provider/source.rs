//! A provider as a source.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Provider;
use super::collector::Collector;
use super::refresh::Refresher;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result};
use crate::rows::Port;
use crate::source::{Arrival, Delivery, OpenSource, PlannedSource, Source, SourceContext};
use crate::step::Position;
use crate::table::change_schema;

/// How many arrivals (each at most a leaf of a table) wait to be taken.
const WAITING_ARRIVALS: usize = 4;

/// A source that refreshes a provider's scopes and gives the changes: for each scope that has changed, or
/// ended otherwise than before, a begin, pages of changes on the port of its table, and an end.
///
/// A refresh is compared with the tables of the [`SourceContext`]. So whoever opens the source keeps these
/// tables current: it folds every arrival into them ([`crate::table::Tables::apply`]) when it gives it a
/// step, and opens the source again only when no arrival of its former life is on its way.
pub struct ProviderSource {
    arrivals: mpsc::Receiver<Result<Arrival>>,
    collecting: Option<AbortOnDropHandle<()>>,
}

#[async_trait]
impl Source for ProviderSource {
    /// The next arrival; `None` after the last refresh, or when the source was told to stop.
    async fn next(&mut self) -> Result<Option<Arrival>> {
        if let Some(arrival) = self.arrivals.recv().await {
            return arrival.map(Some);
        }
        let Some(collecting) = &mut self.collecting else { return Ok(None) };
        let ended = collecting.await;
        self.collecting = None;
        let describe = |error| Error::external(format!("collecting stopped unexpectedly: {error}"));
        ended.map_err(describe).map(|()| None)
    }
}

/// Opens a provider.
struct OpenProvider<P: ?Sized> {
    provider: Arc<P>,
    refresh: Option<Duration>,
}

#[async_trait]
impl<P: Provider + ?Sized> OpenSource for OpenProvider<P> {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let refreshed = context.position.as_ref().map(refreshes_at).transpose()?.unwrap_or(0);
        let every = self.refresh.filter(|_| !context.once);
        let (sender, arrivals) = mpsc::channel(WAITING_ARRIVALS);
        let cancel = context.cancel.clone();
        let collector = Collector::new(Arc::clone(&self.provider), refreshed, context.tables, sender.clone())?;
        let refresher = Refresher::new(collector, every);
        let collecting = async move {
            let ended = cancel.run_until_cancelled(refresher.run()).await;
            if let Some(Err(error)) = ended {
                // Nobody listens any more when the source has been dropped: then there is nobody to tell.
                let _ = sender.send(Err(error)).await;
            }
        };
        let collecting = AbortOnDropHandle::new(tokio::spawn(collecting));
        Ok(Box::new(ProviderSource { arrivals, collecting: Some(collecting) }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let tables = self.provider.tables().len();
        let verified = async { Ok((self.provider.verify().await?, format!("{tables} tables"))) };
        found.check("verified", verified).await;
    }
}

/// A provider as a planned source: a port for each of its tables, of that name, carrying the table's
/// changes ([`change_schema`]). With `refresh` it collects again and again, waiting that long after each
/// refresh; without, it collects once and ends.
pub fn planned_provider_source<P: Provider + ?Sized>(provider: Arc<P>, refresh: Option<Duration>) -> PlannedSource {
    let tables = provider.tables();
    PlannedSource {
        delivery: Delivery::Inline,
        acknowledges: false,
        bounded: refresh.is_none(),
        envelope: false,
        reconnects: false,
        ports: tables.iter().map(|table| Port::named(Arc::clone(&table.name), change_schema(table))).collect(),
        tables,
        open: Box::new(OpenProvider { provider, refresh }),
    }
}

/// The position during and after the `refresh`th refresh.
pub(super) fn position(refresh: u64) -> Position {
    Position(serde_json::json!({ "refresh": refresh }).to_string().into())
}

/// How many refreshes a position counts.
fn refreshes_at(position: &Position) -> Result<u64> {
    let parsed = serde_json::from_str::<serde_json::Value>(&position.0).ok();
    let count = parsed.and_then(|value| value.get("refresh").and_then(serde_json::Value::as_u64));
    count.ok_or_else(|| Error::internal(format!("`{position}` is no position of a provider ({{\"refresh\": N}})")))
}
