//! What sinks have given up, as steps; and the end of a pipeline that reads it: nodes behind a port `dead_letter` have
//! not been given everything before the effects of that sink are done or dead.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Sequencer;
use super::queues::Queues;
use crate::error::Result;
use crate::journal::record::EngineEvent;
use crate::rows::dead_letter_rows;
use crate::runtime::event::Event;

/// How often it is looked whether effects are settled, while that is waited for.
pub(super) const PACE: Duration = Duration::from_millis(10);
/// The most dead letters of one step.
const MOST_LETTERS: usize = 1_000;
/// About the most bytes of their bodies: a record of the journal holds them.
const MOST_BYTES: usize = 4 * 1024 * 1024;

impl Sequencer {
    /// Makes a step of the oldest dead letters. The journal says before it that these effects are dead, and with it that
    /// this is told: whatever a crash leaves of the two, a start tells each death once.
    pub(super) fn tell_letters(&mut self) -> Result<()> {
        let Some((sink, letters)) = self.effects.oldest_letters(MOST_LETTERS, MOST_BYTES) else { return Ok(()) };
        let told = letters.clone();
        if let Some(node) = self.settings.tellers.get(&sink).cloned() {
            let rows = dead_letter_rows(&node, &letters)?;
            let record = EngineEvent::GivenUp { sink: node.to_string(), letters };
            self.engine_step(record, Some(Event::GivenUp { sink: node, rows }))?;
        }
        self.effects.told(&told);
        Ok(())
    }

    /// After the end of all sources: lets the nodes end that lie behind so many ports `dead_letter`, and waits until what
    /// they have sent is done or dead, one port after the other. Says whether it was told to stop.
    ///
    /// # Errors
    /// What the journal fails with.
    pub(super) async fn drain(&mut self, cancel: &CancellationToken) -> Result<bool> {
        let ends = !self.settings.once && !self.progress.finished;
        for depth in 0..self.settings.depth {
            if ends {
                self.engine_step(EngineEvent::Drained { depth }, Some(Event::EndOfInput { depth }))?;
            }
            let (mut seek, mut inline) = (Queues::default(), Queues::default());
            if self.attend(&mut seek, &mut inline, true, cancel).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether no effect can be given up any more by what has entered the graph.
    pub(super) fn is_drained(&self) -> bool {
        self.status.slowest() >= self.progress.step.0 && self.effects.is_settled()
    }
}
