//! Running an open pipeline to its end: assemble, execute the journal's tail again, go on, stop in order.

mod intake;
mod tasks;
mod wiring;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::intake::Intake;
use self::tasks::Tasks;
use self::wiring::Wired;
use super::checkpointing::blocking;
use super::fenced::taken_over;
use super::open::Pipeline;
use super::sequencer::SequencerEnd;
use crate::error::{Error, Result};
use crate::graph::Planned;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every source has ended and every effect is done or dead.
    Finished,
    /// It had finished before: nothing was done.
    AlreadyFinished,
    /// Everything there was has been read (`--once`).
    Once,
    /// It was told to stop, and went down in order.
    Stopped,
}

impl Pipeline {
    /// Runs to the end, or until [`Pipeline::cancellation`] is told.
    ///
    /// # Errors
    /// The error of the node, source, journal or checkpoint that stopped it. Everything up to the newest
    /// checkpoint is kept; the next start goes on from there.
    pub async fn run(mut self) -> Result<RunOutcome> {
        if self.is_done()? {
            return Ok(RunOutcome::AlreadyFinished);
        }
        if let Some(bytes) = self.graph.spec.journal.bytes {
            self.journal.keep_within(bytes.0);
        }
        let Wired { intake, tasks, trail } = self.wire()?;
        self.drive(intake, tasks).await.inspect(|_| trail.end())
    }

    /// Executes what the journal holds after the newest checkpoint, makes a checkpoint there and ends. Nothing new
    /// is taken, no effect leaves.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub(super) async fn catch_up(mut self) -> Result<()> {
        self.only_tail = true;
        self.ending.ignore_sinks();
        self.run().await.map(drop)
    }

    /// A bounded pipeline that has finished is done, unless effects are left to deliver.
    ///
    /// # Errors
    /// When the input of a finished pipeline has changed.
    fn is_done(&self) -> Result<bool> {
        let Some(manifest) = self.manifest.as_ref().filter(|manifest| manifest.finished) else { return Ok(false) };
        for node in &self.graph.nodes {
            let Planned::Source(source) = &node.planned else { continue };
            let fingerprint = manifest.sources.get(&*node.name).and_then(|state| state.fingerprint.as_ref());
            if let Some(fingerprint) = fingerprint
                && !source.open.unchanged(fingerprint)?
            {
                let message = "its input has changed since the pipeline finished";
                let remedy = "`--fresh` runs it anew from the beginning; `replay --with` shows what another pipeline makes of recorded input";
                return Err(Error::user(message).with_remedy(remedy).at_node(&node.name).at_place(&node.shown_place));
            }
        }
        Ok(self.effects.is_settled())
    }

    async fn drive(self, intake: Intake, mut tasks: Tasks) -> Result<RunOutcome> {
        // Whoever ends the pipeline, from outside or from within: nothing more is taken in.
        let (cancel, within) = (self.ending.intake().clone(), self.graph.spec.stop.within.0);
        let deadline = stop_deadline(cancel, within);
        tokio::pin!(deadline);
        let end = tokio::select! {
            end = intake.run(&self, &mut tasks.sources, &mut tasks.others) => end,
            error = tasks.nodes.first_failure() => Err(error),
            error = taken_over(self.store.fence()) => Err(error),
            () = &mut deadline => Err(overdue(within)),
        };
        let outcome = match end {
            Ok(end) => self.settle(end, &mut tasks, &mut deadline, within).await,
            // The sequencer sees a node's failure as a closed channel; the node's own error says more.
            Err(error) => Err(tasks.nodes.cause(error).await),
        };
        if outcome.is_ok() {
            tasks.sources.left(deadline).await;
        }
        self.cancel.cancel();
        tasks.cut_off().await;
        if outcome.is_ok() && self.graph.spec.checkpoint.copy_to.is_some() {
            self.settle_copies(within).await?;
        }
        outcome
    }

    /// After the last checkpoint: nodes end, effects are delivered.
    async fn settle(
        &self,
        end: SequencerEnd,
        tasks: &mut Tasks,
        deadline: &mut (impl Future<Output = ()> + Unpin),
        within: Duration,
    ) -> Result<RunOutcome> {
        let outcome = match end {
            SequencerEnd::Stopped => return self.settle_stopped(tasks).await,
            SequencerEnd::Finished => RunOutcome::Finished,
            SequencerEnd::Once => RunOutcome::Once,
        };
        let settled = async {
            tokio::select! {
                () = self.effects.settled() => {}
                error = tasks.nodes.first_failure() => return Err(error),
            }
            tasks.nodes.all_ended().await
        };
        tokio::select! {
            settled = settled => settled?,
            () = self.cancel.cancelled() => return Ok(RunOutcome::Stopped),
            () = deadline => return Err(overdue(within)),
        }
        Ok(outcome)
    }

    /// After a stop: where the pipeline has ended itself, effects have some time to be delivered.
    async fn settle_stopped(&self, tasks: &mut Tasks) -> Result<RunOutcome> {
        let Some(delay) = self.ending.delay().filter(|_| !self.only_tail) else { return Ok(RunOutcome::Stopped) };
        self.ending.intake().cancel();
        tokio::select! {
            () = self.effects.settled() => {}
            error = tasks.nodes.first_failure() => return Err(error),
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(delay) => {
                let left = self.effects.intended();
                tracing::warn!(left, ?delay, "Effects were not delivered in time; the next start delivers them.");
            }
        }
        Ok(RunOutcome::Stopped)
    }

    /// The newest checkpoint is copied, too.
    async fn settle_copies(&self, within: Duration) -> Result<()> {
        let store = Arc::clone(&self.store);
        if !blocking(move || Ok(store.settle_copies(within))).await? {
            tracing::warn!("The last checkpoint was not copied within `stop.within`; the next start copies it.");
        }
        Ok(())
    }
}

/// Ends some time after the pipeline was told to stop.
async fn stop_deadline(cancel: CancellationToken, within: Duration) {
    cancel.cancelled().await;
    tokio::time::sleep(within).await;
}

fn overdue(within: Duration) -> Error {
    let message = format!("the pipeline did not stop within {within:?} (`stop.within`) and was cut off");
    Error::external(message).with_remedy("nothing is lost: the next start goes on from the newest checkpoint")
}
