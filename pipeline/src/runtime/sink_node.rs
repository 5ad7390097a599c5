//! Sinks inside a node task: what lies at or below a mark is discarded, the rest goes out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::comparison::Comparison;
use super::ending::Ending;
use super::outbox::Outbox;
use super::row_trail::{RowTrail, Waypoint};
use crate::error::Result;
use crate::journal::record::OutboxEffect;
use crate::row_hash::RunningHash;
use crate::rows::Rejected;
use crate::sink::{DispatchingSink, EffectMaker, Mark, TransactionalSink};
use crate::step::{StepHeader, StepNumber};

/// An open sink and its mark.
pub(crate) struct SinkNode {
    /// Output of steps up to this one is complete already: a re-execution of them is discarded.
    complete_through: StepNumber,
    /// What the mark says of the rows up to there, where it is ahead of the checkpoint: a re-execution has to come
    /// to the same.
    promised: Option<RunningHash>,
    trail: RowTrail,
    /// The name of its mark.
    name: String,
    body: Body,
    /// Makes effects of rows, where rows may be unfit for them.
    maker: Option<Arc<dyn EffectMaker>>,
    ending: Option<Ending>,
}

/// What a sink hands over at a barrier: its mark, once it is durable, and the way there.
pub(crate) struct SinkCommit {
    pub(crate) mark: BoxFuture<'static, Result<Mark>>,
    /// The hash of the rows at the barrier. The mark may be ahead of it.
    pub(crate) rows: RunningHash,
    pub(crate) waypoints: Vec<Waypoint>,
}

enum Body {
    Transactional(Box<dyn TransactionalSink>),
    Dispatching {
        sink: Arc<dyn DispatchingSink>,
        outbox: Outbox,
        input: u32,
        staged: Vec<OutboxEffect>,
    },
    /// A replay: everything is compared, and goes to another place or nowhere.
    Replayed {
        comparison: Comparison,
        output: Option<Box<dyn TransactionalSink>>,
    },
}

impl SinkNode {
    /// A sink that stores its mark with its output. `from` is the hash of its rows at the checkpoint.
    pub(crate) fn transactional(
        node: &str,
        sink: Box<dyn TransactionalSink>,
        mark: Option<&Mark>,
        from: RunningHash,
    ) -> Self {
        Self::new(node.to_owned(), Body::Transactional(sink), mark, from)
    }

    /// One input edge of a sink whose output leaves as effects.
    pub(crate) fn dispatching(
        sink: Arc<dyn DispatchingSink>,
        outbox: Outbox,
        input: u32,
        mark: Option<&Mark>,
        from: RunningHash,
    ) -> Self {
        let name = edge_mark(&outbox.sink, input);
        Self::new(name, Body::Dispatching { sink, outbox, input, staged: Vec::new() }, mark, from)
    }

    /// A sink in a replay from a checkpoint.
    pub(crate) fn replayed(
        comparison: Comparison,
        output: Option<Box<dyn TransactionalSink>>,
        from: RunningHash,
    ) -> Self {
        let name = comparison.sink().to_owned();
        Self::new(name, Body::Replayed { comparison, output }, None, from)
    }

    fn new(name: String, body: Body, mark: Option<&Mark>, from: RunningHash) -> Self {
        // Marks that the outbox implies know nothing of rows.
        let promised = mark.map(|mark| mark.rows).filter(|rows| *rows != RunningHash::default());
        Self {
            complete_through: through(mark),
            promised,
            trail: RowTrail::from(from),
            name,
            body,
            maker: None,
            ending: None,
        }
    }

    /// The same, with what makes effects of its rows.
    pub(crate) fn with_maker(self, maker: Option<Arc<dyn EffectMaker>>) -> Self {
        Self { maker, ..self }
    }

    /// The same, and it may end the pipeline.
    pub(crate) fn with_ending(self, ending: Ending) -> Self {
        Self { ending: Some(ending), ..self }
    }

    /// Takes the rows of one input in one step. Adds those that are unfit to `rejected`, whether or not the step's
    /// output is complete already: others may read them.
    pub(crate) async fn write(
        &mut self,
        header: &StepHeader,
        rows: &RecordBatch,
        rejected: &mut Vec<(u64, Rejected)>,
    ) -> Result<()> {
        self.passed(StepNumber(header.number.0.saturating_sub(1)));
        self.trail.add(header.number, rows)?;
        let made = match &self.maker {
            Some(maker) => Some(maker.make(header, rows, rejected)?),
            None => None,
        };
        if header.number <= self.complete_through {
            return Ok(());
        }
        match &mut self.body {
            Body::Transactional(sink) => {
                sink.write(header, rows).await?;
                if let (Some(ending), Some(shutdown)) = (&self.ending, sink.shutdown()) {
                    ending.ask(&self.name, &shutdown);
                }
                Ok(())
            }
            Body::Dispatching { sink, staged, .. } => {
                let first = staged.len() as u32;
                let made = match made {
                    Some(made) => made,
                    None => sink.effects(header, rows)?,
                };
                let effects = made.into_iter().zip(first..);
                staged.extend(effects.map(|(payload, row)| OutboxEffect { step: header.number, row, payload }));
                Ok(())
            }
            Body::Replayed { output: Some(output), .. } => output.write(header, rows).await,
            Body::Replayed { output: None, .. } => Ok(()),
        }
    }

    /// Hands the effects of a step to the outbox; finishes the output when all input has ended with the step.
    pub(crate) async fn end_of_step(&mut self, header: &StepHeader, ends: bool) -> Result<()> {
        match &mut self.body {
            Body::Transactional(sink) => {
                if ends && header.number > self.complete_through {
                    sink.finish().await
                } else {
                    Ok(())
                }
            }
            Body::Dispatching { outbox, input, staged, .. } if !staged.is_empty() => {
                outbox.intend(*input, header.number, std::mem::take(staged)).await
            }
            Body::Dispatching { .. } | Body::Replayed { .. } => Ok(()),
        }
    }

    /// Everything up to `step` has been seen: tells where it is not what it was.
    fn passed(&mut self, step: StepNumber) {
        let rows = self.trail.rows();
        if let Body::Replayed { comparison, .. } = &mut self.body {
            comparison.passed(step, rows);
        }
        if step < self.complete_through {
            return;
        }
        if self.promised.take().is_some_and(|promised| promised != rows) {
            let through = self.complete_through;
            tracing::warn!(
                sink = %self.name, %through,
                "Executing the steps up to here again gave this sink other rows than before. Its output stays as it was written."
            );
        }
    }

    /// Begins to make everything up to `step` durable.
    pub(crate) async fn commit(&mut self, step: StepNumber) -> Result<SinkCommit> {
        self.passed(step);
        let (at_barrier, waypoints) = (self.trail.rows(), self.trail.take());
        let (step, rows) = match step < self.complete_through {
            true => (self.complete_through, self.promised.unwrap_or_default()),
            false => (step, at_barrier),
        };
        let mark = match &mut self.body {
            Body::Transactional(sink) => {
                let work = sink.commit().await?;
                async move { Ok(Mark { step, detail: work.await?, rows }) }.boxed()
            }
            Body::Replayed { output: Some(output), .. } => {
                let work = output.commit().await?;
                async move { Ok(Mark { step, detail: work.await?, rows }) }.boxed()
            }
            // Effects were durable before they left: nothing is owed but the number.
            Body::Dispatching { .. } | Body::Replayed { output: None, .. } => {
                async move { Ok(Mark { step, detail: "{}".to_owned(), rows }) }.boxed()
            }
        };
        Ok(SinkCommit { mark, rows: at_barrier, waypoints })
    }

    /// The name under which its mark is kept.
    pub(crate) fn mark_name(&self) -> String {
        self.name.clone()
    }
}

/// The name under which the mark of one input edge of a dispatching sink is kept.
pub(crate) fn edge_mark(node: &str, input: u32) -> String {
    format!("{node}/{input}")
}

fn through(mark: Option<&Mark>) -> StepNumber {
    mark.map_or(StepNumber::ZERO, |mark| mark.step)
}
