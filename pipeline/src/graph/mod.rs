//! Spec → graph: every node planned against the schemas of its inputs, nothing opened yet.

mod definition;
mod order;
mod plan;
mod print;
mod uses;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operator::PlannedOperator;
use crate::rows::{DEAD_LETTER, Port, PortIndex};
use crate::sink::PlannedSink;
use crate::source::PlannedSource;
use crate::spec::diagnostic::{Located, Place};
use crate::spec::pipeline::{OnEnd, OnError, Section};
use crate::spec::{PipelineSpec, PortReference};

pub use definition::Definition;
pub use plan::{PlanError, plan, plan_as_recorded};
pub use print::{dot, json, mermaid};

/// The index of a node in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// A planned pipeline. Nodes stand in topological order: inputs before those who read them.
pub struct Graph {
    /// What it was planned from.
    pub spec: Arc<PipelineSpec>,
    /// The file that the spec was read from.
    pub file: String,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What the pipeline is, by content: the canonical spec and the packs and templates it uses.
    pub definition: Definition,
}

/// One node of the graph.
pub struct Node {
    /// Its name in YAML.
    pub name: Arc<str>,
    /// Its kind in YAML.
    pub kind: Arc<str>,
    /// Source, operator or sink.
    pub section: Section,
    /// Where it is configured.
    pub place: Place,
    /// Where it is configured, as `file:line:col`.
    pub shown_place: String,
    /// What happens to rows that it cannot handle.
    pub on_error: OnError,
    /// What the end of this source means.
    pub on_end: OnEnd,
    /// How long this source may give nothing before it counts as stalled.
    pub stall_after: Option<Duration>,
    /// For sources: the sources that are set up before it.
    pub uses: Vec<Arc<str>>,
    /// Its ports: the data ports (of a sink that dispatches, `dead_letter`), then `errors`.
    pub ports: Vec<Port>,
    /// What it reads: `from:` in order, then side inputs.
    pub inputs: Vec<Input>,
    /// What its kind made of its options.
    pub planned: Planned,
    /// The name that it had before.
    pub was: Option<Arc<str>>,
    /// What its state means. State is taken over by a node whose state means the same.
    pub state: StateMeaning,
}

/// What the state of a node means: its kind, and what of its options decides it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMeaning {
    /// The kind of node.
    pub kind: String,
    /// What its kind says of the options; the options themselves where it says nothing.
    pub of: String,
}

impl StateMeaning {
    /// Whether state of the one means the same to the other. One value and a list of only that value are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind
            && (self.of == other.of || plain(&self.of).is_some_and(|of| Some(of) == plain(&other.of)))
    }
}

/// Options with the only value of a list in place of the list; `None` where they are no JSON.
fn plain(options: &str) -> Option<Value> {
    fn unlist(value: Value) -> Value {
        match value {
            Value::Array(values) => {
                let mut values: Vec<Value> = values.into_iter().map(unlist).collect();
                match values.len() {
                    1 => values.remove(0),
                    _ => Value::Array(values),
                }
            }
            Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, unlist(value))).collect(),
            other => other,
        }
    }
    serde_json::from_str(options).ok().map(unlist)
}

impl Node {
    /// The index of its `errors` port.
    pub fn errors_port(&self) -> PortIndex {
        PortIndex(self.ports.len() - 1)
    }

    /// The index of its port `dead_letter`, where it is a sink that dispatches.
    pub fn dead_letter_port(&self) -> Option<PortIndex> {
        let port = self.ports.iter().position(|port| &*port.name == DEAD_LETTER);
        port.filter(|_| self.section == Section::Sink).map(PortIndex)
    }
}

/// What a node reads from another.
#[derive(Debug, Clone)]
pub struct Input {
    /// As written.
    pub reference: Located<PortReference>,
    /// The node that it reads.
    pub producer: NodeIndex,
    /// The ports of that node that it reads.
    pub ports: Vec<PortIndex>,
    /// All these ports united by column name.
    pub schema: SchemaRef,
    /// Whether only the tables behind it are read, not its rows.
    pub side: bool,
}

/// A node as planned by its kind.
pub enum Planned {
    /// A source.
    Source(PlannedSource),
    /// An operator.
    Operator(PlannedOperator),
    /// A sink.
    Sink(PlannedSink),
}

impl Graph {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<(NodeIndex, &Node)> {
        self.nodes.iter().enumerate().find(|(_, node)| &*node.name == name).map(|(i, node)| (NodeIndex(i), node))
    }

    /// Every edge: (producer, consumer, index of the input at the consumer).
    pub fn edges(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex, usize)> + '_ {
        self.nodes.iter().enumerate().flat_map(|(consumer, node)| {
            node.inputs.iter().enumerate().map(move |(i, input)| (input.producer, NodeIndex(consumer), i))
        })
    }

    /// How many ports `dead_letter` lie between each node and the sources, on the way that has the most.
    pub fn depths(&self) -> Vec<u32> {
        let mut depths: Vec<u32> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let of_input = |input: &Input| {
                let behind = self.reads_dead_letters(input);
                depths.get(input.producer.0).copied().unwrap_or(0) + u32::from(behind)
            };
            let depth = node.inputs.iter().map(of_input).max().unwrap_or(0);
            depths.push(depth);
        }
        depths
    }

    /// Whether an input takes what a sink has given up.
    fn reads_dead_letters(&self, input: &Input) -> bool {
        let port = self.nodes.get(input.producer.0).and_then(Node::dead_letter_port);
        port.is_some_and(|port| input.ports.contains(&port))
    }

    /// The sinks whose port `dead_letter` is read.
    pub fn read_dead_letters(&self) -> impl Iterator<Item = &Node> {
        let read = |index: usize| {
            let inputs = self.nodes.iter().flat_map(|node| &node.inputs);
            inputs.filter(|input| input.producer.0 == index).any(|input| self.reads_dead_letters(input))
        };
        self.nodes.iter().enumerate().filter(move |(index, _)| read(*index)).map(|(_, node)| node)
    }

    /// Whether every source ends by itself.
    pub fn is_bounded(&self) -> bool {
        self.nodes.iter().all(|node| !matches!(&node.planned, Planned::Source(source) if !source.bounded))
    }
}
