//! A provider as a source.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::collector::Collector;
use super::control::RefreshControl;
use super::refresh::Refresher;
use super::{Provider, Schedule};
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result};
use crate::rows::Port;
use crate::source::{Arrival, Delivery, OpenSource, PlannedSource, Reply, Source, SourceContext};
use crate::step::Position;
use crate::table::change_schema;

/// How many arrivals (each at most a leaf of a table) wait to be taken.
const WAITING_ARRIVALS: usize = 4;

/// What the refresher hands to the source.
pub(super) enum Handed {
    /// Something has changed, in that refresh; its position is still to be given.
    Arrival { refresh: u64, arrival: Box<Arrival> },
    /// To be told when all that was handed over before is durable.
    Settled(Vec<Reply>),
}

/// Where a provider's source stands: how many refreshes have begun, and how many arrivals there have been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) refresh: u64,
    /// Positions of earlier programs do not have it.
    #[serde(default)]
    pub(super) arrival: u64,
}

impl Place {
    fn position(self) -> Result<Position> {
        Ok(Position(serde_json::to_string(&self).map_err(Error::internal)?.into()))
    }

    fn at(position: &Position) -> Result<Self> {
        serde_json::from_str(&position.0).map_err(|_| {
            Error::internal(format!("`{position}` is no position of a provider ({{\"refresh\": N, \"arrival\": N}})"))
        })
    }
}

/// A source that refreshes a provider's scopes and gives the changes: for each scope that has changed, or
/// ended otherwise than before, a begin, pages of changes on the port of its table, and an end; for targets that have
/// changed, an arrival of their own.
///
/// A refresh is compared with the tables of the [`SourceContext`]. So whoever opens the source keeps these
/// tables current: it folds every arrival into them ([`crate::table::Tables::apply`]) when it gives it a
/// step, and opens the source again only when no arrival of its former life is on its way.
pub struct ProviderSource {
    handed: mpsc::Receiver<Result<Handed>>,
    collecting: Option<AbortOnDropHandle<()>>,
    control: Arc<RefreshControl>,
    place: Place,
    /// Up to which arrival all is durable.
    durable: u64,
    /// Who is told when the arrival is durable, in order.
    waiting: VecDeque<(u64, Vec<Reply>)>,
}

impl ProviderSource {
    fn placed(&mut self, refresh: u64, mut arrival: Box<Arrival>) -> Result<Arrival> {
        self.place = Place { refresh, arrival: self.place.arrival + 1 };
        arrival.position = self.place.position()?;
        Ok(*arrival)
    }

    fn tell(&mut self) {
        while self.waiting.front().is_some_and(|(arrival, _)| *arrival <= self.durable) {
            let told = self.waiting.pop_front().into_iter().flat_map(|(_, replies)| replies);
            for reply in told {
                // Who does not listen any more has given up.
                let _ = reply.send(());
            }
        }
    }
}

impl Drop for ProviderSource {
    fn drop(&mut self) {
        self.control.set_open(false);
    }
}

#[async_trait]
impl Source for ProviderSource {
    /// The next arrival; `None` after the last refresh, or when the source was told to stop.
    async fn next(&mut self) -> Result<Option<Arrival>> {
        while let Some(handed) = self.handed.recv().await {
            match handed? {
                Handed::Arrival { refresh, arrival } => return self.placed(refresh, arrival).map(Some),
                Handed::Settled(replies) => {
                    self.waiting.push_back((self.place.arrival, replies));
                    self.tell();
                }
            }
        }
        let Some(collecting) = &mut self.collecting else { return Ok(None) };
        let ended = collecting.await;
        self.collecting = None;
        let describe = |error| Error::external(format!("collecting stopped unexpectedly: {error}"));
        ended.map_err(describe).map(|()| None)
    }

    async fn acknowledge(&mut self, position: &Position) -> Result<()> {
        self.durable = self.durable.max(Place::at(position)?.arrival);
        self.tell();
        Ok(())
    }
}

/// Opens a provider.
struct OpenProvider<P: ?Sized> {
    provider: Arc<P>,
    schedule: Schedule,
    control: Arc<RefreshControl>,
}

#[async_trait]
impl<P: Provider + ?Sized> OpenSource for OpenProvider<P> {
    async fn open(&self, context: SourceContext) -> Result<Box<dyn Source>> {
        let place = context.position.as_ref().map(Place::at).transpose()?.unwrap_or_default();
        let schedule = if context.once { Schedule::Once } else { self.schedule.clone() };
        let (sender, handed) = mpsc::channel(WAITING_ARRIVALS);
        let cancel = context.cancel.clone();
        let control = Arc::clone(&self.control);
        let provider = Arc::clone(&self.provider);
        let collector = Collector::new(provider, place.refresh, context.tables, sender.clone(), Arc::clone(&control))?;
        control.set_open(schedule != Schedule::Once);
        let refresher = Refresher::new(collector, schedule, cancel.clone());
        let collecting = async move {
            let ended = cancel.run_until_cancelled(refresher.run()).await;
            if let Some(Err(error)) = ended {
                // Nobody listens any more when the source has been dropped: then there is nobody to tell.
                let _ = sender.send(Err(error)).await;
            }
        };
        let collecting = Some(AbortOnDropHandle::new(tokio::spawn(collecting)));
        // What an earlier life has handed over was journaled, and on its way to the disk, before this one begins.
        let (durable, waiting) = (place.arrival, VecDeque::new());
        Ok(Box::new(ProviderSource { handed, collecting, control, place, durable, waiting }))
    }

    async fn diagnose(&self, _context: SourceContext, found: &mut Diagnosis) {
        let tables = self.provider.tables().len();
        let verified = async {
            self.provider.verify().await.map_err(|unverified| unverified.error)?;
            Ok(((), format!("{tables} tables")))
        };
        found.check("verified", verified).await;
    }
}

/// A provider as a planned source: a port for each of its tables, of that name, carrying the table's
/// changes ([`change_schema`]). It collects as `schedule` says (an `Option` of a duration: so often, or once), and when
/// it is asked to.
pub fn planned_provider_source<P: Provider + ?Sized>(provider: Arc<P>, schedule: impl Into<Schedule>) -> PlannedSource {
    let (tables, schedule) = (provider.tables(), schedule.into());
    let control = Arc::new(RefreshControl::new(&tables));
    PlannedSource {
        delivery: Delivery::Inline,
        acknowledges: provider.notices().is_some(),
        bounded: schedule == Schedule::Once,
        envelope: false,
        // What is collected from may be away for any time; the other sources go on meanwhile.
        reconnects: true,
        ports: tables.iter().map(|table| Port::named(Arc::clone(&table.name), change_schema(table))).collect(),
        tables,
        refresh: Some(Arc::clone(&control)),
        open: Box::new(OpenProvider { provider, schedule, control }),
    }
}
