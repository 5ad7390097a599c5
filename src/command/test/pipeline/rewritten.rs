//! The pipeline of a case: its sources give the case's rows, its sinks keep what the case expects something of.

use std::sync::Arc;

use tidegate_pipeline::graph::{Graph, Planned};
use tidegate_pipeline::spec::diagnostic::Located;
use tidegate_pipeline::spec::pipeline::{OnEnd, Section};
use tidegate_pipeline::spec::{NOWHERE, PipelineSpec, PortReference};
use tidegate_pipeline::testing::scripted::SCRIPTED;

use super::Complaint;
use super::document::Case;
use super::given::GIVEN_TABLES;
use crate::rewrite;

/// The name of the sink that keeps the rows of the case's n-th expectation.
pub(super) fn sink(position: usize) -> String {
    format!("expected_{position}")
}

/// The spec to run for a case.
///
/// # Errors
/// Every expectation about a node or port that the pipeline does not have.
pub(super) fn spec(graph: &Graph, case: &Case) -> Result<PipelineSpec, Vec<Complaint>> {
    let mut sinks = Vec::new();
    let mut found = Vec::new();
    for (position, (name, _)) in case.expect.iter().enumerate() {
        match read_by(graph, name) {
            Ok(from) => sinks.push(rewrite::collecting(&sink(position), from)),
            Err(complaint) => found.push(complaint),
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut spec = (*graph.spec).clone();
    let feeding = sinks.iter().flat_map(|sink| sink.from.iter().map(|from| Arc::clone(&from.value.node)));
    rewrite::keep_feeding(&mut spec, feeding.collect::<Vec<_>>());
    spec.sinks = sinks;
    for source in &mut spec.sources {
        let kind = if has_tables(graph, &source.name) { GIVEN_TABLES } else { SCRIPTED };
        source.kind = Located::new(kind.into(), NOWHERE);
        source.options = rewrite::no_options();
        source.on_end = OnEnd::Ignore;
    }
    Ok(spec)
}

/// Whether a source gives inventory tables.
pub(super) fn has_tables(graph: &Graph, source: &str) -> bool {
    let planned = graph.node(source).map(|(_, node)| &node.planned);
    matches!(planned, Some(Planned::Source(source)) if !source.tables.is_empty())
}

/// What to read for `NODE`, `NODE.PORT` or `SINK`: for a sink, what it reads.
fn read_by(graph: &Graph, name: &Located<String>) -> Result<Vec<PortReference>, Complaint> {
    let (node_name, port) = match name.value.split_once('.') {
        Some((node, port)) => (node, Some(port)),
        None => (name.value.as_str(), None),
    };
    let Some((_, node)) = graph.node(node_name) else {
        let names = graph.nodes.iter().map(|node| node.name.to_string());
        let message = format!("the pipeline has no node `{node_name}`");
        return Err(Complaint::error(name.place, message).with_expected(node_name, names));
    };
    let known = |port: &str| node.ports.iter().any(|known| &*known.name == port);
    match port {
        None if node.section == Section::Sink => {
            Ok(node.inputs.iter().map(|input| input.reference.value.clone()).collect())
        }
        Some(port) if node.section == Section::Sink => {
            let message = format!("`{node_name}` is a sink: `{port}` of it cannot be looked at");
            Err(Complaint::error(name.place, message).with_help(format!("`{node_name}` alone means what reaches it")))
        }
        Some(port) if !known(port) => {
            let message = format!("node `{node_name}` has no port `{port}`");
            let names = node.ports.iter().map(|port| port.name.to_string());
            Err(Complaint::error(name.place, message).with_expected(port, names))
        }
        port => Ok(vec![PortReference { node: Arc::clone(&node.name), port: port.map(Into::into) }]),
    }
}
