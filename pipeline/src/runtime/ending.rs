//! A pipeline that is to end although nobody told it from outside: a sink says so, or the end of a source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::sink::{Shutdown, ShutdownKind};

/// How long effects may take after a source with `on_end: stop` has ended.
const AFTER_A_SOURCE: Duration = Duration::from_secs(60);

/// Ends a pipeline from within.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    /// Stops everything at once, as a signal does.
    cancel: CancellationToken,
    /// Stops sources and sequencer; what was taken in is worked through.
    intake: CancellationToken,
    delay: Arc<Mutex<Option<Duration>>>,
    /// Nobody is listened to.
    deaf: Arc<AtomicBool>,
}

impl Ending {
    /// An end by this token, which also means the end of all intake.
    pub(crate) fn new(cancel: &CancellationToken) -> Self {
        Self { cancel: cancel.clone(), intake: cancel.child_token(), delay: Arc::default(), deaf: Arc::default() }
    }

    /// Told when nothing more is to be taken in.
    pub(crate) fn intake(&self) -> &CancellationToken {
        &self.intake
    }

    /// From now on no sink is listened to: only what is recorded is executed, and all of it.
    pub(crate) fn ignore_sinks(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// A sink says that the pipeline shall end. The first one counts, unless a later one wants it at once.
    pub(crate) fn ask(&self, sink: &str, shutdown: &Shutdown) {
        let ending =
            self.cancel.is_cancelled() || (self.intake.is_cancelled() && shutdown.kind == ShutdownKind::Graceful);
        if ending || self.deaf.load(Ordering::Relaxed) {
            return;
        }
        tracing::info!(sink, kind = ?shutdown.kind, message = shutdown.message, "The pipeline is asked to end.");
        match shutdown.kind {
            ShutdownKind::Now => self.cancel.cancel(),
            ShutdownKind::Graceful => {
                self.delay.lock().get_or_insert(shutdown.delay);
                self.intake.cancel();
            }
        }
    }

    /// How long effects may take; `None` where it was told to stop from outside.
    pub(crate) fn delay(&self) -> Option<Duration> {
        (!self.cancel.is_cancelled()).then(|| self.delay.lock().unwrap_or(AFTER_A_SOURCE))
    }
}
