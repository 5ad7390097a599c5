//! Graph → tasks: which nodes share a task, and the edges between tasks.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::chain::{Body, Chain, ChainNode, Outgoing};
use super::checkpointing::{Part, PartSender};
use super::clock::StepTimes;
use super::deadlines::Deadlines;
use super::edge::{EdgeCapacity, edge};
use super::node::{NodeTask, TaskInput};
use super::status::NodeStatus;
use super::trail::TrailFile;
use crate::graph::{Graph, Node, NodeIndex};
use crate::journal::Quarantine;
use crate::spec::pipeline::Section;
use crate::step::StepNumber;

/// The body of a node, made and restored, and the inputs that it is fed by. A dispatching sink has one per
/// input edge, so that a slow branch never delays a fast one.
pub(crate) struct NodeBody {
    pub(crate) node: NodeIndex,
    pub(crate) inputs: Vec<usize>,
    pub(crate) body: Body,
}

/// The tasks of a graph and what connects them to the sequencer.
pub(crate) struct Assembly {
    pub(crate) tasks: Vec<NodeTask>,
    /// The edges that leave each source, in the order of [`Assembly::sources`].
    pub(crate) source_edges: Vec<Vec<Outgoing>>,
    /// The sources, in topological order.
    pub(crate) sources: Vec<NodeIndex>,
    /// How many parts a checkpoint consists of.
    pub(crate) parts: usize,
    pub(crate) deadlines: Deadlines,
}

/// The index of a body in the list of bodies.
type BodyIndex = usize;

/// Builds the tasks. `capacity` bounds each edge.
pub(crate) fn assemble(
    graph: &Graph,
    bodies: Vec<NodeBody>,
    statuses: &[Arc<NodeStatus>],
    parts: &mpsc::UnboundedSender<Part>,
    times: &StepTimes,
    from: StepNumber,
    capacity: EdgeCapacity,
) -> Assembly {
    let count = bodies.len();
    let fused = fused_into(graph, &bodies);
    let deadlines = Deadlines::new(count);
    let sources: Vec<NodeIndex> =
        (0..graph.nodes.len()).filter(|index| graph.nodes[*index].section == Section::Source).map(NodeIndex).collect();
    let mut outgoing: HashMap<(NodeIndex, usize), Vec<Outgoing>> = HashMap::new();
    let mut inputs: Vec<Vec<TaskInput>> = (0..count).map(|_| Vec::new()).collect();
    let wakers: Vec<Arc<Notify>> = (0..count).map(|_| Arc::default()).collect();
    for (index, body) in bodies.iter().enumerate().filter(|(index, _)| fused[*index].is_none()) {
        for (of, input) in body.inputs.iter().enumerate() {
            let input = &graph.nodes[body.node.0].inputs[*input];
            // A sink that dispatches has a body for each of its own inputs: what it rejects comes from all of them.
            for copy in 0..bodies_of(&bodies, input.producer).max(1) {
                let (sender, receiver, gauge) = edge(capacity, Arc::clone(&wakers[index]));
                statuses[body.node.0].watch_queue(gauge);
                let (consumer, ports) = (Arc::clone(&graph.nodes[body.node.0].name), input.ports.clone());
                outgoing.entry((input.producer, copy)).or_default().push(Outgoing { edge: sender, consumer, ports });
                inputs[index].push(TaskInput { edge: receiver, index: of, ports: input.ports.clone() });
            }
        }
    }
    let mut chains: Vec<Vec<ChainNode>> = (0..count).map(|_| Vec::new()).collect();
    let heads: Vec<BodyIndex> = (0..count).map(|index| head_of(index, &fused)).collect();
    let depths = graph.depths();
    let mut made: HashMap<NodeIndex, usize> = HashMap::new();
    for (index, body) in bodies.into_iter().enumerate() {
        let node = &graph.nodes[body.node.0];
        let chain = &mut chains[heads[index]];
        if let (Some(_), Some(last)) = (fused[index], chain.last_mut()) {
            last.next_reads = Some(node.inputs[body.inputs[0]].ports.clone());
        }
        let copy = made.entry(body.node).or_default();
        let leaving = outgoing.remove(&(body.node, *copy)).unwrap_or_default();
        *copy += 1;
        let (status, depth) = (Arc::clone(&statuses[body.node.0]), depths[body.node.0]);
        chain.push(ChainNode { depth, ..chain_node(node, body, status, leaving) });
    }
    let source_edges = sources.iter().map(|source| outgoing.remove(&(*source, 0)).unwrap_or_default()).collect();
    let tasks = chains.into_iter().zip(inputs).zip(wakers).enumerate().filter(|(_, ((chain, _), _))| !chain.is_empty());
    let task = |(slot, ((nodes, inputs), pushed))| NodeTask {
        inputs,
        pushed,
        chain: Chain { nodes, parts: PartSender(parts.clone()), slot },
        times: times.clone(),
        deadlines: deadlines.clone(),
        finished: from,
    };
    let tasks = tasks.map(task).collect();
    Assembly { tasks, source_edges, sources, parts: count, deadlines }
}

/// For each body, the body whose task it shares: the one that it reads alone and that it alone reads.
fn fused_into(graph: &Graph, bodies: &[NodeBody]) -> Vec<Option<BodyIndex>> {
    let readers = |producer: NodeIndex| {
        bodies
            .iter()
            .flat_map(|body| body.inputs.iter().map(move |input| (body, *input)))
            .filter(|(body, input)| graph.nodes[body.node.0].inputs[*input].producer == producer)
            .count()
    };
    let fuse = |body: &NodeBody| {
        let [input] = body.inputs[..] else { return None };
        let input = &graph.nodes[body.node.0].inputs[input];
        let producer = bodies.iter().position(|other| other.node == input.producer)?;
        let alone = readers(input.producer) == 1 && bodies_of(bodies, input.producer) == 1;
        (!input.side && alone).then_some(producer)
    };
    bodies.iter().map(fuse).collect()
}

fn bodies_of(bodies: &[NodeBody], node: NodeIndex) -> usize {
    bodies.iter().filter(|body| body.node == node).count()
}

fn head_of(index: BodyIndex, fused: &[Option<BodyIndex>]) -> BodyIndex {
    let mut head = index;
    while let Some(producer) = fused[head] {
        head = producer;
    }
    head
}

fn chain_node(node: &Node, body: NodeBody, status: Arc<NodeStatus>, outgoing: Vec<Outgoing>) -> ChainNode {
    let inputs: Vec<_> = body.inputs.iter().map(|input| &node.inputs[*input]).collect();
    let rows_from: Vec<_> = inputs.iter().filter(|input| !input.side).collect();
    let ports: usize = rows_from.iter().map(|input| input.ports.len()).sum();
    let schemas: Vec<_> = rows_from.iter().map(|input| Arc::clone(&input.schema)).collect();
    let meets_in = if ports > 1 { crate::rows::union_schema(&schemas).ok() } else { None };
    // One of the bodies of a sink tells what it has given up.
    let tells = body.inputs.first() == Some(&0);
    ChainNode {
        name: Arc::clone(&node.name),
        place: node.shown_place.clone(),
        progress: status.new_progress(),
        status,
        depth: 0,
        ended: false,
        dead_letter_port: node.dead_letter_port().filter(|_| tells),
        on_error: node.on_error,
        side_inputs: inputs.iter().map(|input| input.side).collect(),
        body: body.body,
        meets_in,
        errors_port: node.errors_port(),
        outgoing,
        next_reads: None,
        quarantined: BTreeSet::new(),
        trail: None,
    }
}

impl Assembly {
    /// Tells each node which steps it must not execute, and lets it leave a trail where one is wanted. The file that holds it.
    pub(crate) fn watch(&mut self, directory: &Path, quarantine: &Quarantine) -> TrailFile {
        let mut nodes: Vec<&mut ChainNode> = self.tasks.iter_mut().flat_map(|task| &mut task.chain.nodes).collect();
        let names: Vec<Arc<str>> = nodes.iter().map(|node| Arc::clone(&node.name)).collect();
        let trail = TrailFile::begin(directory, &names.iter().map(|name| &**name).collect::<Vec<_>>());
        for (index, node) in nodes.iter_mut().enumerate() {
            node.quarantined = quarantine.of(&node.name);
            node.trail = trail.of(index);
        }
        trail
    }
}
