//! What becomes of each node's state when a pipeline goes on under another definition: decided before anything
//! runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::checkpoint::Manifest;
use crate::error::{Error, Result};
use crate::graph::{Definition, Graph, Node, Planned};
use crate::spec::diagnostic::closest;
use crate::spec::pipeline::Section;

/// What becomes of a node when the definition changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It goes on with its state; most nodes have none.
    Kept,
    /// It goes on with the state of the node that it was.
    Renamed {
        /// The name that it had.
        from: String,
    },
    /// It was not there before.
    New,
    /// It is a sink that writes to another place from now on; what it wrote so far is left as it is.
    Redirected,
    /// It is a sink that is not there any more. What it still has to send is sent.
    Removed,
    /// It has state that means nothing under the new definition.
    Lost {
        /// Why, in one sentence.
        why: String,
    },
}

/// What becomes of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeFate {
    /// Its name: the new one; of a node that is gone, the old one.
    pub node: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What a change of the definition means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconfiguration {
    /// Every node, old and new.
    pub nodes: Vec<NodeFate>,
    /// The nodes that take over state: new name → old name.
    #[serde(skip)]
    pub(super) taken_over: BTreeMap<String, String>,
    /// Nodes that read tables and are new, or evaluate them by other rules: they begin with what is there.
    #[serde(skip)]
    pub(super) joined: Vec<String>,
}

impl Reconfiguration {
    /// Decides for a pipeline that stands at `before` and goes on as `graph`.
    ///
    /// # Errors
    /// When the recorded definition cannot be read.
    pub(super) fn decide(before: &Manifest, recorded: &Definition, graph: &Graph) -> Result<Self> {
        let mut this = Self::default();
        for node in &graph.nodes {
            let fate = this.fate_of(before, graph, node);
            this.nodes.push(NodeFate { node: node.name.to_string(), fate });
        }
        let going_on: BTreeSet<&String> = this.taken_over.values().collect();
        let named = |name: &String| graph.node(name).is_some();
        let gone: Vec<&String> = before.states.keys().filter(|old| !going_on.contains(old) && !named(old)).collect();
        for old in gone {
            if let Some(fate) = fate_of_gone(before, recorded, old)? {
                this.nodes.push(NodeFate { node: old.clone(), fate });
            }
        }
        for node in graph.nodes.iter().filter(|node| reads_tables(graph, node)) {
            let name = node.name.to_string();
            if !this.joined.contains(&name) && this.has_news(before, recorded, graph, node)? {
                this.joined.push(name);
            }
        }
        Ok(this)
    }

    /// Whether a node that was there before has to be told all the same what is in the tables that it reads.
    fn has_news(&self, before: &Manifest, recorded: &Definition, graph: &Graph, node: &Node) -> Result<bool> {
        let taken_over = self.taken_over.get(&*node.name);
        let old = taken_over.map_or(&*node.name, String::as_str);
        // One that has joined and was not told before the definition changed again.
        if before.joined.iter().any(|joined| joined == old) {
            return Ok(true);
        }
        // What evaluates tables by other rules now has something to say of them as they are.
        match &node.planned {
            Planned::Operator(operator) if operator.evaluates_tables && taken_over.is_some() => {
                Ok(graph.definition.meaning_of(&node.name)? != recorded.meaning_of(old)?)
            }
            Planned::Operator(_) | Planned::Source(_) | Planned::Sink(_) => Ok(false),
        }
    }

    fn fate_of(&mut self, before: &Manifest, graph: &Graph, node: &Node) -> Fate {
        let name = node.name.to_string();
        let was = node.was.as_ref().map(ToString::to_string);
        let renamed = was.filter(|was| graph.node(was).is_none() && before.states.contains_key(was));
        let old = match (before.states.contains_key(&name), renamed) {
            (true, _) => name.clone(),
            (false, Some(was)) => was,
            (false, None) => {
                if reads_tables(graph, node) {
                    self.joined.push(name);
                }
                return Fate::New;
            }
        };
        let means = &before.states[&old];
        if means.is_same(&node.state) {
            self.taken_over.insert(name.clone(), old.clone());
            return if old == name { Fate::Kept } else { Fate::Renamed { from: old } };
        }
        if node.section == Section::Sink {
            return Fate::Redirected;
        }
        if !has_state(before, &old) {
            return Fate::Kept;
        }
        if reads_tables(graph, node) {
            self.joined.push(name);
        }
        let why = match means.kind == node.state.kind {
            true => format!("the options that decide what its state means were {} and are {}", means.of, node.state.of),
            false => format!("it was of kind `{}` and is of kind `{}`", means.kind, node.state.kind),
        };
        Fate::Lost { why }
    }

    fn check_names(&self, accepted: &[String], graph: &Graph) -> Result<()> {
        let known: Vec<String> = self.nodes.iter().map(|node| node.node.clone()).collect();
        let Some(unknown) = accepted.iter().find(|name| !known.contains(name)) else { return Ok(()) };
        let near = closest(unknown, &known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let losing: Vec<&str> = self.losses().map(|loss| loss.node.as_str()).collect();
        let losing = if losing.is_empty() { "none".to_owned() } else { losing.join(", ") };
        Err(Error::user(format!("--accept-state-loss {unknown}: there is no such node, and there was none"))
            .with_remedy(format!("{near}nothing was changed; nodes that would lose their state: {losing}"))
            .at_place(&graph.file))
    }

    /// Whether a node has come that may be one of those that have gone, under another name.
    pub(super) fn may_rename(&self, before: &Manifest, graph: &Graph) -> bool {
        let is_new = |node: &NodeFate| node.fate == Fate::New;
        self.nodes.iter().any(is_new) && before.states.keys().any(|old| graph.node(old).is_none())
    }

    /// The names of nodes that lose state.
    pub fn losses(&self) -> impl Iterator<Item = &NodeFate> {
        self.nodes.iter().filter(|node| matches!(node.fate, Fate::Lost { .. }))
    }

    /// Whether every loss is among `accepted`.
    ///
    /// # Errors
    /// Naming the nodes that would lose their state, and why; or a name that no node has or had.
    pub(super) fn accept(&self, accepted: &[String], graph: &Graph) -> Result<()> {
        self.check_names(accepted, graph)?;
        let refused: Vec<&NodeFate> = self.losses().filter(|loss| !accepted.contains(&loss.node)).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let line = |loss: &&NodeFate| match &loss.fate {
            Fate::Lost { why } => format!("\n  {}: {why}", loss.node),
            _ => String::new(),
        };
        let lines: String = refused.iter().map(line).collect();
        let flags: Vec<String> = refused.iter().map(|loss| format!("--accept-state-loss {}", loss.node)).collect();
        let renamed = refused.iter().any(|loss| graph.node(&loss.node).is_none());
        let was = if renamed { "; a node that has another name now says so with `was: OLD_NAME`" } else { "" };
        Err(Error::user(format!("the change of the pipeline would lose the state of:{lines}"))
            .with_remedy(format!("nothing was changed; go on without that state with `{}`{was}", flags.join(" ")))
            .at_place(&graph.file))
    }
}

/// Whether the node reads tables of a source directly.
fn reads_tables(graph: &Graph, node: &Node) -> bool {
    node.inputs.iter().any(|input| match &graph.nodes[input.producer.0].planned {
        Planned::Source(source) => !source.tables.is_empty(),
        Planned::Operator(_) | Planned::Sink(_) => false,
    })
}

fn has_state(manifest: &Manifest, node: &str) -> bool {
    let source = manifest.sources.get(node);
    manifest.nodes.get(node).is_some_and(|state| !state.segments.is_empty())
        || source.is_some_and(|source| source.position.is_some() || !source.tables.segments.is_empty())
}

/// What becomes of a node that is not there any more; `None` where it leaves nothing.
fn fate_of_gone(manifest: &Manifest, recorded: &Definition, node: &str) -> Result<Option<Fate>> {
    if has_state(manifest, node) {
        return Ok(Some(Fate::Lost { why: "it is not in the pipeline any more".to_owned() }));
    }
    Ok(recorded.is_sink(node)?.then_some(Fate::Removed))
}
