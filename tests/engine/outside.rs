//! What a source tells the outside, for tests to look at; it may take too long, or fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::Position;

/// How the outside takes what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temper {
    /// At once.
    Quick,
    /// Each acknowledgement takes a while.
    Slow(Duration),
    /// An acknowledgement never comes to an end.
    Hanging,
    /// A source that says goodbye is told that this has failed.
    FailsAtTheEnd,
    /// A source that says goodbye panics.
    PanicsAtTheEnd,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    temper: Temper,
    /// Everything before this arrival is acknowledged.
    through: Arc<AtomicU64>,
    /// How sources ended: `closed` and `dropped`, in order.
    ends: Arc<Mutex<Vec<&'static str>>>,
}

impl Outside {
    pub(crate) fn new(temper: Temper) -> Self {
        Self { temper, through: Arc::default(), ends: Arc::default() }
    }

    /// The number of the arrivals that were acknowledged.
    pub(crate) fn through(&self) -> u64 {
        self.through.load(Ordering::SeqCst)
    }

    /// How sources ended.
    pub(crate) fn ends(&self) -> Vec<&'static str> {
        self.ends.lock().clone()
    }

    pub(crate) async fn acknowledged(&self, position: &Position) -> Result<()> {
        match self.temper {
            Temper::Slow(time) => tokio::time::sleep(time).await,
            Temper::Hanging => std::future::pending().await,
            _ => {}
        }
        let through: u64 = position.0.parse().map_err(Error::internal)?;
        let before = self.through.fetch_max(through, Ordering::SeqCst);
        assert!(before < through, "acknowledgements never go back: {before}, then {through}");
        Ok(())
    }

    pub(crate) fn closed(&self) -> Result<()> {
        self.ends.lock().push("closed");
        match self.temper {
            Temper::FailsAtTheEnd => Err(Error::external("nobody listens any more")),
            Temper::PanicsAtTheEnd => panic!("as the test wants it"),
            _ => Ok(()),
        }
    }

    pub(crate) fn dropped(&self) {
        self.ends.lock().push("dropped");
    }
}
