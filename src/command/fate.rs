//! What a change of the pipeline means for a node, in words.

use tidegate_pipeline::graph::Graph;
use tidegate_pipeline::runtime::{Fate, NodeFate};

/// A line about a node under `graph`, the new one; `None` where nothing happens to it.
pub(crate) fn line(graph: &Graph, node: &NodeFate) -> Option<String> {
    let fate = match &node.fate {
        Fate::Kept => return None,
        Fate::Renamed { from } => format!("goes on with the state of `{from}`"),
        Fate::New => "is new".to_owned(),
        Fate::Redirected => "writes to another place from now on".to_owned(),
        Fate::Removed => "is gone; effects that it has left are sent".to_owned(),
        Fate::Lost { .. } if graph.node(&node.node).is_none() => "is gone, and its state with it".to_owned(),
        Fate::Lost { why } => format!("begins without its state: {why}"),
    };
    Some(format!("  {} {fate}\n", node.node))
}
