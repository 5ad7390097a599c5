//! A chain: nodes in a straight line that share one task, and what leaves it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow::array::{RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::SchemaRef;

use super::checkpointing::{Barrier, Part, PartSender};
use super::crashed::guarded;
use super::edge::{EdgeSender, Item, Payload};
use super::event::Event;
use super::quarantined;
use super::sink_node::SinkNode;
use super::status::{NodeState, NodeStatus};
use super::trail::Trail;
use crate::error::{Domain, Error, Result};
use crate::operator::{InputIndex, Operator, Output, SnapshotMode, StateWriter};
use crate::rows::{PortIndex, Rejected, adapt_and_keep, errors_schema};
use crate::spec::pipeline::OnError;
use crate::step::{StepHeader, StepNumber, StepTime};
use crate::table::TableSet;

/// What a step brings to one input of the first node of a chain.
pub(crate) struct StepInput {
    pub(crate) index: usize,
    pub(crate) rows: Vec<RecordBatch>,
    pub(crate) tables: Option<TableSet>,
}

/// What a node of a chain does.
pub(crate) enum Body {
    Operator(Box<dyn Operator>),
    Sink(Box<SinkNode>),
}

/// Where the rows of a node go besides the next node of its chain.
pub(crate) struct Outgoing {
    pub(crate) edge: EdgeSender,
    /// The node at its other end.
    pub(crate) consumer: Arc<str>,
    /// The ports that the consumer reads.
    pub(crate) ports: Vec<PortIndex>,
}

/// One node of a chain.
pub(crate) struct ChainNode {
    pub(crate) name: Arc<str>,
    pub(crate) place: String,
    pub(crate) status: Arc<NodeStatus>,
    /// The last step that this body of the node has finished.
    pub(crate) progress: Arc<AtomicU64>,
    pub(crate) on_error: OnError,
    pub(crate) body: Body,
    /// The schema in which its inputs meet; `None` where there is one input and rows pass as they are.
    pub(crate) meets_in: Option<SchemaRef>,
    pub(crate) errors_port: PortIndex,
    pub(crate) outgoing: Vec<Outgoing>,
    /// How many ports `dead_letter` lie between it and the sources, at most: its input ends that much later.
    pub(crate) depth: u32,
    /// Its input has ended.
    pub(crate) ended: bool,
    /// The port by which it tells what its sink has given up, where this is the body that tells it.
    pub(crate) dead_letter_port: Option<PortIndex>,
    /// The ports that the next node of the chain reads; `None` at the end of the chain.
    pub(crate) next_reads: Option<Vec<PortIndex>>,
    /// Which inputs of this node are side inputs: their rows are left out, only tables count.
    pub(crate) side_inputs: Vec<bool>,
    /// Steps that it must not execute.
    pub(crate) quarantined: BTreeSet<StepNumber>,
    /// Where it writes what it executes, for a while after an end without order.
    pub(crate) trail: Option<Trail>,
}

/// Nodes in a straight line.
pub(crate) struct Chain {
    pub(crate) nodes: Vec<ChainNode>,
    pub(crate) parts: PartSender,
    /// The slot of its deadline.
    pub(crate) slot: usize,
}

impl Chain {
    pub(crate) fn started(&self) {
        self.nodes.iter().for_each(|node| node.status.set_state(NodeState::Running));
    }

    pub(crate) fn ended(&self) {
        self.nodes.iter().for_each(|node| node.status.set_state(NodeState::Ended));
    }

    /// The earliest deadline of its nodes.
    pub(crate) fn deadline(&self) -> Option<StepTime> {
        self.nodes.iter().filter_map(ChainNode::deadline).min()
    }

    /// Drives one step through all nodes and sends what leaves them, a blank where nothing does.
    pub(crate) async fn step(
        &mut self,
        header: &Arc<StepHeader>,
        inputs: Vec<StepInput>,
        event: Option<&Arc<Event>>,
    ) -> Result<()> {
        let mut inputs = inputs;
        for node in &mut self.nodes {
            let started = Instant::now();
            node.trail.iter().for_each(|trail| trail.enter(header.number));
            let worked = guarded(node.work(header, inputs, event)).await;
            node.trail.iter().for_each(Trail::leave);
            node.status.busy.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
            let emitted = worked.map_err(|error| {
                node.status.set_state(NodeState::Failed);
                in_step(error, header, &node.name).at_node(&node.name).at_place(&node.place)
            })?;
            node.send(header, &emitted, event).await?;
            inputs = node.for_next(emitted);
        }
        Ok(())
    }

    /// Passes on that nothing up to `through` concerns this chain.
    pub(crate) async fn blank(&mut self, through: StepNumber) -> Result<()> {
        for outgoing in self.nodes.iter_mut().flat_map(|node| &mut node.outgoing) {
            outgoing.edge.send(Item::Blank(through)).await.map_err(|_| downstream_is_gone())?;
        }
        Ok(())
    }

    /// Hands over the state of all nodes and passes the barrier on.
    pub(crate) async fn barrier(&mut self, barrier: &Arc<Barrier>) -> Result<()> {
        for node in &mut self.nodes {
            let taken = guarded(node.snapshot(barrier)).await;
            let part = taken.map_err(|error| error.at_node(&node.name).at_place(&node.place))?;
            self.parts.send(part);
            for outgoing in &node.outgoing {
                outgoing.edge.send(Item::Barrier(Arc::clone(barrier))).await.map_err(|_| downstream_is_gone())?;
            }
        }
        Ok(())
    }
}

/// An error that nobody outside can mend is that of the step: says which one, and how to leave it out.
fn in_step(error: Error, header: &StepHeader, node: &str) -> Error {
    if error.domain != Domain::Internal || error.remedy.is_some() {
        return error;
    }
    let step = header.number;
    let mut error = error.with_remedy(format!(
        "if every start ends so: `tidegate journal quarantine PIPELINE {step} {node}` sends the rows of that step to the node's port `errors`"
    ));
    error.message = format!("in step {step}: {}", error.message);
    error
}

/// What the consumer's own failure will explain better.
fn downstream_is_gone() -> Error {
    Error::internal("a node downstream has stopped").with_remedy(DOWNSTREAM_STOPPED)
}

/// The remedy that marks an error as the echo of another one.
pub(crate) const DOWNSTREAM_STOPPED: &str = "its own error says why";

impl ChainNode {
    fn deadline(&self) -> Option<StepTime> {
        match &self.body {
            Body::Operator(operator) => operator.deadline(),
            Body::Sink(_) => None,
        }
    }

    /// Lets the node handle a step.
    async fn work(
        &mut self,
        header: &StepHeader,
        inputs: Vec<StepInput>,
        event: Option<&Arc<Event>>,
    ) -> Result<Vec<(PortIndex, RecordBatch)>> {
        if self.quarantined.contains(&header.number) {
            return self.refuse(header, &inputs);
        }
        let concerned = !inputs.is_empty();
        if concerned {
            self.status.steps.fetch_add(1, Ordering::Relaxed);
        }
        let mut out = Output::default();
        let ends = self.ends_with(event);
        for input in inputs {
            let index = InputIndex(input.index);
            if let (Some(tables), Body::Operator(operator)) = (&input.tables, &mut self.body) {
                operator.tables(header, index, tables, &mut out).await?;
            }
            if self.side_inputs.get(input.index).copied().unwrap_or(false) {
                continue;
            }
            for rows in input.rows {
                let rows = match &self.meets_in {
                    Some(schema) => adapt_and_keep(&rows, schema)?,
                    None => rows,
                };
                self.status.rows_in.fetch_add(rows.num_rows() as u64, Ordering::Relaxed);
                match &mut self.body {
                    Body::Operator(operator) => operator.process(header, index, &rows, &mut out).await?,
                    Body::Sink(sink) => sink.write(header, &rows, &mut out.rejected).await?,
                }
            }
        }
        match &mut self.body {
            Body::Operator(operator) => {
                let event = event.map(Arc::as_ref);
                end_step(operator.as_mut(), &self.name, header, concerned, (event, ends), &mut out).await?;
            }
            Body::Sink(sink) => sink.end_of_step(header, ends).await?,
        }
        if let (Some(port), Some(Event::GivenUp { sink, rows })) = (self.dead_letter_port, event.map(Arc::as_ref))
            && *sink == self.name
        {
            out.emit(port, rows.clone());
        }
        self.settle(header, out)
    }

    /// Whether this step is the end of all that the node will be given.
    fn ends_with(&mut self, event: Option<&Arc<Event>>) -> bool {
        let Some(Event::EndOfInput { depth }) = event.map(Arc::as_ref) else { return false };
        let ends = *depth >= self.depth && !self.ended;
        self.ended |= ends;
        ends
    }

    /// Nothing of a quarantined step reaches the node: its rows go to the port `errors`, whatever `on_error` says.
    fn refuse(&self, header: &StepHeader, inputs: &[StepInput]) -> Result<Vec<(PortIndex, RecordBatch)>> {
        let rejected = quarantined::rejected(header, inputs)?;
        if rejected.is_empty() {
            return Ok(Vec::new());
        }
        tracing::warn!(node = %self.name, step = %header.number, rows = rejected.len(), "A quarantined step is not executed.");
        self.status.rejected.fetch_add(rejected.len() as u64, Ordering::Relaxed);
        Ok(vec![(self.errors_port, error_rows(&self.name, header, &rejected)?)])
    }

    /// Counts what was emitted and turns rejected rows into rows of the `errors` port.
    fn settle(&self, header: &StepHeader, out: Output) -> Result<Vec<(PortIndex, RecordBatch)>> {
        let Output { mut rows, rejected } = out;
        let emitted: usize = rows.iter().map(|(_, batch)| batch.num_rows()).sum();
        self.status.rows_out.fetch_add(emitted as u64, Ordering::Relaxed);
        if rejected.is_empty() {
            return Ok(rows);
        }
        self.status.rejected.fetch_add(rejected.len() as u64, Ordering::Relaxed);
        match self.on_error {
            OnError::Fail => {
                let (_, first) = &rejected[0];
                let position = if first.position.is_empty() { String::new() } else { format!(" ({})", first.position) };
                let message =
                    format!("a row of step {} could not be handled: {}{position}", header.number, first.reason);
                return Err(Error::external(message)
                    .never_retry()
                    .with_remedy("`on_error: errors` sends such rows to the port `errors`"));
            }
            OnError::Drop => {}
            OnError::Errors => rows.push((self.errors_port, error_rows(&self.name, header, &rejected)?)),
        }
        Ok(rows)
    }

    /// Sends what the node emitted over its edges; a blank over those that it does not concern.
    async fn send(
        &mut self,
        header: &Arc<StepHeader>,
        emitted: &[(PortIndex, RecordBatch)],
        event: Option<&Arc<Event>>,
    ) -> Result<()> {
        for outgoing in &self.outgoing {
            let rows: Vec<_> = emitted.iter().filter(|(port, _)| outgoing.ports.contains(port)).cloned().collect();
            let item = if rows.is_empty() && event.is_none() {
                Item::Blank(header.number)
            } else {
                Item::Step(Arc::clone(header), Payload { rows, tables: None, event: event.cloned() })
            };
            outgoing.edge.send(item).await.map_err(|_| downstream_is_gone())?;
        }
        Ok(())
    }

    /// What the next node of the chain gets.
    fn for_next(&self, emitted: Vec<(PortIndex, RecordBatch)>) -> Vec<StepInput> {
        let Some(ports) = &self.next_reads else { return Vec::new() };
        let rows: Vec<_> = emitted.into_iter().filter(|(port, _)| ports.contains(port)).map(|(_, rows)| rows).collect();
        if rows.is_empty() { Vec::new() } else { vec![StepInput { index: 0, rows, tables: None }] }
    }

    /// Takes the state of the node, or begins the commit of a sink.
    async fn snapshot(&mut self, barrier: &Barrier) -> Result<Part> {
        let name = Arc::clone(&self.name);
        match &mut self.body {
            Body::Operator(operator) => {
                let full = barrier.full.contains(&name);
                let mut writer = StateWriter::new(if full { SnapshotMode::Full } else { SnapshotMode::Changes });
                operator.snapshot(&mut writer)?;
                // A node may have written everything although its changes would have done.
                let full = writer.mode == SnapshotMode::Full;
                Ok(Part::State { node: name, full, batches: writer.batches })
            }
            Body::Sink(sink) => Ok(Part::Sink { mark: sink.mark_name(), commit: sink.commit(barrier.step).await? }),
        }
    }
}

/// What comes after the rows of a step: the engine's event, the end of the step, a deadline.
async fn end_step(
    operator: &mut dyn Operator,
    name: &Arc<str>,
    header: &StepHeader,
    concerned: bool,
    (event, ends): (Option<&Event>, bool),
    out: &mut Output,
) -> Result<()> {
    match event {
        Some(Event::Lookup { node, name: file, contents }) if node == name => {
            operator.lookup(header, file, contents, out).await?;
        }
        _ => {}
    }
    if concerned {
        operator.end_of_step(header, out).await?;
    }
    if operator.deadline().is_some_and(|deadline| deadline <= header.time) {
        operator.on_deadline(header, out).await?;
    }
    if ends {
        operator.end_of_input(header, out).await?;
    }
    Ok(())
}

/// Rejected rows as rows of an `errors` port.
pub(crate) fn error_rows(node: &str, header: &StepHeader, rejected: &[(u64, Rejected)]) -> Result<RecordBatch> {
    let count = rejected.len();
    let text = |of: fn(&Rejected) -> &str| rejected.iter().map(|(_, row)| Some(of(row))).collect::<StringArray>();
    Ok(RecordBatch::try_new(
        errors_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(node, count))),
            Arc::new(UInt64Array::from_value(header.number.0, count)),
            Arc::new(rejected.iter().map(|(row, _)| *row).collect::<UInt64Array>()),
            Arc::new(text(|row| &row.position)),
            Arc::new(text(|row| &row.reason)),
            Arc::new(text(|row| &row.raw)),
        ],
    )?)
}
