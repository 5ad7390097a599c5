//! The bodies of nodes: operators with their state, sinks at their marks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Pipeline;
use crate::checkpoint::CheckpointStore;
use crate::error::Result;
use crate::graph::{Node, NodeIndex, Planned};
use crate::operator::PlannedOperator;
use crate::row_hash::RunningHash;
use crate::runtime::assembly::NodeBody;
use crate::runtime::chain::Body;
use crate::runtime::checkpointing::blocking;
use crate::runtime::rerun::ReplaySinks;
use crate::runtime::sink_node::{SinkNode, edge_mark};
use crate::sink::{DispatchingSink, EffectMaker, Mark, PlannedSink, Sink, SinkContext, TransactionalSink};
use crate::step::StepNumber;

/// The sinks that a pipeline is opened with.
pub(super) enum Sinks {
    /// Its own, at their marks.
    Own(SinkMarks),
    /// Those of a replay: they only compare, or write elsewhere.
    Replayed(ReplaySinks),
}

/// Up to where the output of each sink is complete.
pub(super) struct SinkMarks {
    known: BTreeMap<String, Mark>,
    /// Those of sinks that had none before.
    first: BTreeMap<String, Mark>,
}

/// A body, and the inputs of its node that it takes.
type Fed = (Vec<usize>, Body);

impl Pipeline {
    /// Makes the body of every node as it was at the checkpoint.
    ///
    /// # Errors
    /// When an operator cannot be brought back, or a sink cannot be opened.
    pub(super) async fn restore_bodies(&mut self, mut sinks: Sinks) -> Result<()> {
        let graph = Arc::clone(&self.graph);
        for (index, node) in graph.nodes.iter().enumerate() {
            let bodies = match (&node.planned, &mut sinks) {
                (Planned::Source(_), _) => continue,
                (Planned::Operator(planned), _) => self.operator(node, planned).await,
                (Planned::Sink(planned), Sinks::Own(marks)) => self.sinks(node, planned, marks).await,
                (Planned::Sink(planned), Sinks::Replayed(sinks)) => self.replayed(node, planned, sinks),
            };
            let bodies = bodies.map_err(|error| error.at_node(&node.name).at_place(&node.shown_place))?;
            let body = |(inputs, body)| NodeBody { node: NodeIndex(index), inputs, body };
            self.bodies.extend(bodies.into_iter().map(body));
        }
        match sinks {
            Sinks::Own(marks) => marks.keep_first(&self.store).await,
            Sinks::Replayed(_) => Ok(()),
        }
    }

    /// The marks of the sinks, with what the outbox implies of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn marks(&self, outbox: BTreeMap<String, StepNumber>) -> Result<SinkMarks> {
        let mut known = self.store.marks()?;
        // A store that was lost and rebuilt may know less than the checkpoint.
        for (name, mark) in self.manifest.iter().flat_map(|manifest| &manifest.marks) {
            known.entry(name.clone()).or_insert_with(|| mark.clone());
        }
        for (name, step) in outbox {
            let mark =
                known.entry(name).or_insert(Mark { step, detail: "{}".to_owned(), rows: RunningHash::default() });
            if step > mark.step {
                // What the outbox implies says nothing of the rows up to there.
                (mark.step, mark.rows) = (step, RunningHash::default());
            }
        }
        Ok(SinkMarks { known, first: BTreeMap::new() })
    }

    async fn operator(&self, node: &Node, planned: &PlannedOperator) -> Result<Vec<Fed>> {
        let mut operator = (planned.build)()?;
        self.restore_operator(node, operator.as_mut()).await?;
        Ok(vec![(inputs_of(node), Body::Operator(operator))])
    }

    async fn sinks(&mut self, node: &Node, planned: &PlannedSink, marks: &mut SinkMarks) -> Result<Vec<Fed>> {
        let mark = marks.known.get(&*node.name).cloned();
        let context = SinkContext { node: Arc::clone(&node.name), mark: mark.clone() };
        match planned.open.open(context).await? {
            Sink::Transactional(mut sink) => {
                if mark.is_none() {
                    let first = self.first_mark(sink.as_mut()).await?;
                    marks.first.insert(node.name.to_string(), first);
                }
                let sink = SinkNode::transactional(&node.name, sink, mark.as_ref(), self.rows_of(&node.name))
                    .with_ending(self.ending.clone());
                Ok(vec![(inputs_of(node), Body::Sink(Box::new(sink)))])
            }
            Sink::Dispatching(sink) => Ok(self.dispatching(node, &sink, planned.open.maker(), marks)),
        }
    }

    /// A sink that dispatches takes each of its inputs on its own.
    fn dispatching(
        &mut self,
        node: &Node,
        sink: &Arc<dyn DispatchingSink>,
        maker: Option<Arc<dyn EffectMaker>>,
        marks: &SinkMarks,
    ) -> Vec<Fed> {
        let outbox = self.outbox(&node.name, Arc::clone(sink));
        let of_input = |input: usize| {
            let name = edge_mark(&node.name, input as u32);
            let (mark, rows) = (marks.known.get(&name), self.rows_of(&name));
            let sink = SinkNode::dispatching(Arc::clone(sink), outbox.clone(), input as u32, mark, rows)
                .with_maker(maker.clone());
            (vec![input], Body::Sink(Box::new(sink)))
        };
        (0..node.inputs.len()).map(of_input).collect()
    }

    fn replayed(&self, node: &Node, planned: &PlannedSink, sinks: &ReplaySinks) -> Result<Vec<Fed>> {
        let maker = planned.open.maker();
        let sinks = sinks.of(&node.name, node.inputs.len(), |mark| self.rows_of(mark))?;
        let body = |sink: SinkNode| Body::Sink(Box::new(sink.with_maker(maker.clone())));
        Ok(sinks.into_iter().map(|(inputs, sink)| (inputs, body(sink))).collect())
    }

    async fn first_mark(&self, sink: &mut dyn TransactionalSink) -> Result<Mark> {
        let detail = sink.commit().await?.await?;
        Ok(Mark { step: self.checkpointed(), detail, rows: RunningHash::default() })
    }

    /// The hash of what a sink was given up to the checkpoint.
    fn rows_of(&self, mark: &str) -> RunningHash {
        let known = self.manifest.as_ref().and_then(|manifest| manifest.rows.get(mark));
        known.copied().unwrap_or_default()
    }
}

impl SinkMarks {
    /// Stores the first marks. A sink's output is its own from here on: a crash before the first checkpoint must not
    /// leave an output that the next start takes for somebody else's.
    async fn keep_first(self, store: &Arc<CheckpointStore>) -> Result<()> {
        if self.first.is_empty() {
            return Ok(());
        }
        let store = Arc::clone(store);
        blocking(move || store.put_marks(&self.first)).await
    }
}

fn inputs_of(node: &Node) -> Vec<usize> {
    (0..node.inputs.len()).collect()
}
