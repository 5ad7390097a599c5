//! Sinks inside a node task: what lies at or below a mark is discarded, the rest goes out.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::event::Event;
use super::outbox::Outbox;
use crate::error::Result;
use crate::journal::record::OutboxEffect;
use crate::sink::{DispatchingSink, Mark, TransactionalSink};
use crate::step::{StepHeader, StepNumber};

/// An open sink and its mark.
pub(crate) struct SinkNode {
    /// Output of steps up to this one is complete already: a re-execution of them is discarded.
    complete_through: StepNumber,
    body: Body,
}

enum Body {
    Transactional(Box<dyn TransactionalSink>),
    Dispatching { sink: Arc<dyn DispatchingSink>, outbox: Outbox, input: u32, staged: Vec<OutboxEffect> },
}

impl SinkNode {
    /// A sink that stores its mark with its output.
    pub(crate) fn transactional(sink: Box<dyn TransactionalSink>, mark: Option<&Mark>) -> Self {
        Self { complete_through: through(mark), body: Body::Transactional(sink) }
    }

    /// One input edge of a sink whose output leaves as effects.
    pub(crate) fn dispatching(sink: Arc<dyn DispatchingSink>, outbox: Outbox, input: u32, mark: Option<&Mark>) -> Self {
        let body = Body::Dispatching { sink, outbox, input, staged: Vec::new() };
        Self { complete_through: through(mark), body }
    }

    /// Takes the rows of one input in one step.
    pub(crate) async fn write(&mut self, header: &StepHeader, _input: usize, rows: &RecordBatch) -> Result<()> {
        if header.number <= self.complete_through {
            return Ok(());
        }
        match &mut self.body {
            Body::Transactional(sink) => sink.write(header, rows).await,
            Body::Dispatching { sink, staged, .. } => {
                let first = staged.len() as u32;
                let effects = sink.effects(header, rows)?.into_iter().zip(first..);
                staged.extend(effects.map(|(payload, row)| OutboxEffect { step: header.number, row, payload }));
                Ok(())
            }
        }
    }

    /// Hands the effects of a step to the outbox; finishes the output when all input has ended.
    pub(crate) async fn end_of_step(&mut self, header: &StepHeader, event: Option<&Arc<Event>>) -> Result<()> {
        match &mut self.body {
            Body::Transactional(sink) => {
                let ends = matches!(event.map(Arc::as_ref), Some(Event::EndOfInput));
                if ends && header.number > self.complete_through { sink.finish().await } else { Ok(()) }
            }
            Body::Dispatching { outbox, input, staged, .. } if !staged.is_empty() => {
                outbox.intend(*input, header.number, std::mem::take(staged)).await
            }
            Body::Dispatching { .. } => Ok(()),
        }
    }

    /// Begins to make everything up to `step` durable. The work resolves to the mark, with its name.
    pub(crate) async fn commit(&mut self, step: StepNumber) -> Result<BoxFuture<'static, Result<Mark>>> {
        let step = step.max(self.complete_through);
        match &mut self.body {
            Body::Transactional(sink) => {
                let work = sink.commit().await?;
                Ok(async move { Ok(Mark { step, detail: work.await? }) }.boxed())
            }
            // Effects were durable before they left: nothing is owed but the number.
            Body::Dispatching { .. } => Ok(async move { Ok(Mark { step, detail: "{}".to_owned() }) }.boxed()),
        }
    }

    /// The name under which its mark is kept.
    pub(crate) fn mark_name(&self, node: &str) -> String {
        match &self.body {
            Body::Transactional(_) => node.to_owned(),
            Body::Dispatching { input, .. } => edge_mark(node, *input),
        }
    }
}

/// The name under which the mark of one input edge of a dispatching sink is kept.
pub(crate) fn edge_mark(node: &str, input: u32) -> String {
    format!("{node}/{input}")
}

fn through(mark: Option<&Mark>) -> StepNumber {
    mark.map_or(StepNumber::ZERO, |mark| mark.step)
}
