//! Node tasks: take aligned steps from the input edges and drive them through a chain of nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

use super::alignment::{Next, next};
use super::chain::{Chain, StepInput};
use super::checkpointing::Barrier;
use super::clock::StepTimes;
use super::deadlines::Deadlines;
use super::edge::{EdgeReceiver, Head, Item};
use super::event::Event;
use crate::error::{Error, Result};
use crate::rows::PortIndex;
use crate::step::{ENGINE, SchemaVersion, StepHeader, StepNumber, Unit};

/// An input edge of a node task: the edge, and which input of the chain's first node it feeds.
pub(crate) struct TaskInput {
    pub(crate) edge: EdgeReceiver,
    /// The index of the input. A producer with several bodies feeds it over as many edges.
    pub(crate) index: usize,
    /// The ports of the producer that this input reads.
    pub(crate) ports: Vec<PortIndex>,
}

/// One task: aligned inputs, then a chain of nodes in a straight line.
pub(crate) struct NodeTask {
    pub(crate) inputs: Vec<TaskInput>,
    pub(crate) pushed: Arc<Notify>,
    pub(crate) chain: Chain,
    pub(crate) times: StepTimes,
    pub(crate) deadlines: Deadlines,
    /// The last step that this task has finished.
    pub(crate) finished: StepNumber,
}

impl NodeTask {
    /// Runs until every input has ended.
    ///
    /// # Errors
    /// The error of the node that failed, naming it.
    pub(crate) async fn run(mut self) -> Result<()> {
        self.chain.started();
        self.publish_deadline();
        let mut heads = vec![Head::Empty; self.inputs.len()];
        loop {
            for (head, input) in heads.iter_mut().zip(&self.inputs) {
                *head = input.edge.head();
            }
            match next(&heads) {
                Next::Wait => self.pushed.notified().await,
                Next::Step(number) => self.take_step(number, &heads).await?,
                Next::Blank(through) => {
                    self.inputs.iter().for_each(|input| input.edge.pop_blank(through));
                    self.pass_time(through).await?;
                    self.chain.blank(through).await?;
                    self.finish(through);
                }
                Next::Barrier(_) => self.take_barrier().await?,
                Next::Ended => {
                    self.chain.ended();
                    return Ok(());
                }
            }
        }
    }

    async fn take_step(&mut self, number: StepNumber, heads: &[Head]) -> Result<()> {
        self.pass_time(StepNumber(number.0 - 1)).await?;
        let mut header: Option<Arc<StepHeader>> = None;
        let mut event: Option<Arc<Event>> = None;
        let mut step_inputs = Vec::new();
        for (index, input) in self.inputs.iter().enumerate() {
            if heads[index] != Head::Step(number) {
                input.edge.pop_blank(number);
                continue;
            }
            let Some(Item::Step(step, payload)) = input.edge.pop() else {
                return Err(Error::internal("an edge changed its head"));
            };
            header.get_or_insert(step);
            let rows = payload.rows.into_iter().filter(|(port, _)| input.ports.contains(port)).map(|(_, rows)| rows);
            let rows: Vec<_> = rows.collect();
            event = event.or(payload.event);
            if !rows.is_empty() || payload.tables.is_some() {
                step_inputs.push(StepInput { index: input.index, rows, tables: payload.tables });
            }
        }
        let header = header.ok_or_else(|| Error::internal("a step without a header"))?;
        self.chain.step(&header, step_inputs, event.as_ref()).await?;
        self.finish(number);
        Ok(())
    }

    /// Calls the deadlines that lie in the blank steps up to `through`, each at the first step at or past it,
    /// whatever blanks were coalesced.
    async fn pass_time(&mut self, through: StepNumber) -> Result<()> {
        while let Some(deadline) = self.chain.deadline() {
            let Some((number, time)) = self.times.first_at(self.finished, through, deadline) else { break };
            let unit = Unit::Rows;
            let header = StepHeader {
                number,
                time,
                source: ENGINE.into(),
                unit,
                schema_version: SchemaVersion(1),
                watermark: None,
            };
            self.chain.step(&Arc::new(header), Vec::new(), None).await?;
            self.finish(number);
        }
        Ok(())
    }

    async fn take_barrier(&mut self) -> Result<()> {
        let mut barrier: Option<Arc<Barrier>> = None;
        for input in &self.inputs {
            if let Head::Barrier(_) = input.edge.head()
                && let Some(Item::Barrier(found)) = input.edge.pop()
            {
                barrier = Some(found);
            }
        }
        let barrier = barrier.ok_or_else(|| Error::internal("a barrier went missing"))?;
        self.chain.barrier(&barrier).await
    }

    fn finish(&mut self, through: StepNumber) {
        self.finished = self.finished.max(through);
        self.chain.finished(self.finished);
        self.publish_deadline();
    }

    fn publish_deadline(&self) {
        self.deadlines.set(self.chain.slot, self.chain.deadline());
    }
}

impl Chain {
    fn finished(&self, through: StepNumber) {
        for node in &self.nodes {
            node.progress.store(through.0, Ordering::Relaxed);
        }
    }
}
