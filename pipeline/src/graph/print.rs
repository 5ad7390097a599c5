//! A graph for the eye and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Graph, Input, Node};
use crate::spec::pipeline::Section;

/// The text on an edge: the ports that are read, where they are not simply all of them.
fn label(graph: &Graph, input: &Input) -> Option<String> {
    let producer = &graph.nodes[input.producer.0];
    let port = input.reference.port.as_ref()?;
    (producer.ports.len() > 2 || &**port == crate::rows::ERRORS).then(|| port.to_string())
}

fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

/// A Mermaid flowchart.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("flowchart LR\n");
    for node in &graph.nodes {
        let (open, close) = match node.section {
            Section::Source => ("([", "])"),
            Section::Operator => ("[", "]"),
            Section::Sink => ("[/", "/]"),
        };
        let _ = writeln!(text, "  {}{open}\"{}<br/><i>{}</i>\"{close}", identifier(&node.name), node.name, node.kind);
    }
    for (producer, consumer, index) in graph.edges() {
        let (from, to) = (&graph.nodes[producer.0], &graph.nodes[consumer.0]);
        let arrow = if to.inputs[index].side { "-.->" } else { "-->" };
        let label = label(graph, &to.inputs[index]).map(|label| format!("|{label}|")).unwrap_or_default();
        let _ = writeln!(text, "  {} {arrow}{label} {}", identifier(&from.name), identifier(&to.name));
    }
    text
}

/// A Graphviz digraph.
pub fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph \"{}\" {{\n  rankdir=LR;\n", graph.spec.name.value);
    for node in &graph.nodes {
        let shape = match node.section {
            Section::Source => "cds",
            Section::Operator => "box",
            Section::Sink => "folder",
        };
        let _ = writeln!(text, "  \"{}\" [shape={shape}, label=\"{}\\n{}\"];", node.name, node.name, node.kind);
    }
    for (producer, consumer, index) in graph.edges() {
        let (from, to) = (&graph.nodes[producer.0], &graph.nodes[consumer.0]);
        let label = label(graph, &to.inputs[index]).map(|label| format!(" [label=\"{label}\"]")).unwrap_or_default();
        let _ = writeln!(text, "  \"{}\" -> \"{}\"{label};", from.name, to.name);
    }
    text.push_str("}\n");
    text
}

/// Nodes with their ports and columns, and edges, as one JSON document.
pub fn json(graph: &Graph) -> Value {
    let edges: Vec<Value> = graph
        .edges()
        .map(|(producer, consumer, index)| {
            let to = &graph.nodes[consumer.0];
            let input = &to.inputs[index];
            json!({"from": input.reference.value.to_string(), "node": graph.nodes[producer.0].name, "to": to.name, "side": input.side})
        })
        .collect();
    json!({
        "name": graph.spec.name.value,
        "definition": graph.definition.hash().ok(),
        "nodes": graph.nodes.iter().map(node_json).collect::<Vec<_>>(),
        "edges": edges,
    })
}

fn node_json(node: &Node) -> Value {
    let port = |port: &crate::rows::Port| {
        let columns: Vec<Value> = port
            .schema
            .fields()
            .iter()
            .map(|field| json!({"name": field.name(), "type": field.data_type().to_string(), "nullable": field.is_nullable()}))
            .collect();
        json!({"name": port.name, "open": port.open, "columns": columns})
    };
    json!({
        "name": node.name,
        "kind": node.kind,
        "section": node.section.to_string(),
        "place": node.shown_place,
        "ports": node.ports.iter().map(port).collect::<Vec<_>>(),
    })
}
