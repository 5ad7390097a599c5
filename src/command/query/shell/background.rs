//! Where a statement runs, so that the person at the terminal can end the wait for it.

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use tokio::runtime::{Builder, Runtime};

use super::super::collect;
use crate::exit::Failure;

/// Threads of their own: a statement that computes for long without a pause would keep those of the program from
/// hearing of Ctrl-C.
pub(super) struct Background(Option<Runtime>);

impl Background {
    pub(super) fn start() -> Result<Self, Failure> {
        Ok(Self(Some(Builder::new_multi_thread().enable_all().build()?)))
    }

    /// Leaves what runs to its end, and begins anew: the next statement must not wait for it.
    fn renew(&mut self) -> Result<(), Failure> {
        *self = Self::start()?;
        Ok(())
    }

    /// What a statement gives. Ctrl-C ends the wait at once; the statement itself ends at its next pause.
    pub(super) async fn collect(&mut self, session: &SessionContext, sql: &str) -> Result<Vec<RecordBatch>, Failure> {
        let Some(runtime) = &self.0 else { return collect(session, sql).await };
        let (session, sql) = (session.clone(), sql.to_owned());
        let mut running = runtime.spawn(async move { collect(&session, &sql).await });
        tokio::select! {
            done = &mut running => done.map_err(|error| Failure::failed(error.to_string()))?,
            _ = tokio::signal::ctrl_c() => {
                running.abort();
                self.renew()?;
                Err(Failure::failed("cancelled"))
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
