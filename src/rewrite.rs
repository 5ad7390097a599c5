//! Rewriting a pipeline so that a command can look at what comes out of some of its nodes: only these and what
//! feeds them stay, and sinks that keep rows in memory take the place of the pipeline's own.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_pipeline::spec::diagnostic::Located;
use tidegate_pipeline::spec::pipeline::{NodeSpec, OnEnd, OnError, Section};
use tidegate_pipeline::spec::{NOWHERE, Options, PipelineSpec, PortReference, Tree};
use tidegate_pipeline::testing::collect::COLLECT;

/// Keeps the named nodes and what feeds them, directly or through others; drops every sink.
pub(crate) fn keep_feeding(spec: &mut PipelineSpec, nodes: impl IntoIterator<Item = Arc<str>>) {
    let mut wanted: BTreeSet<Arc<str>> = nodes.into_iter().collect();
    loop {
        let feeding = spec.nodes().filter(|node| wanted.contains(&*node.name));
        let more: Vec<Arc<str>> =
            feeding.flat_map(|node| node.from.iter().map(|from| Arc::clone(&from.node))).collect();
        let before = wanted.len();
        wanted.extend(more);
        if wanted.len() == before {
            break;
        }
    }
    spec.sources.retain(|node| wanted.contains(&*node.name));
    spec.operators.retain(|node| wanted.contains(&*node.name));
    spec.sinks.clear();
}

/// A sink of that name which keeps the rows of `from` in memory.
pub(crate) fn collecting(name: &str, from: Vec<PortReference>) -> NodeSpec {
    NodeSpec {
        name: Located::new(name.into(), NOWHERE),
        section: Section::Sink,
        from: from.into_iter().map(|reference| Located::new(reference, NOWHERE)).collect(),
        kind: Located::new(COLLECT.into(), NOWHERE),
        options: no_options(),
        was: None,
        on_error: OnError::Fail,
        description: None,
        on_end: OnEnd::Ignore,
        stall_after: None,
        uses: Vec::new(),
        match_all: false,
        place: NOWHERE,
    }
}

/// The options of a kind that takes none.
pub(crate) fn no_options() -> Options {
    Options::new(Located::new(Tree::Map(Vec::new()), NOWHERE))
}

/// Sets an option of a node.
pub(crate) fn set(node: &mut NodeSpec, key: &str, value: Tree) {
    if let Tree::Map(entries) = &mut node.options.tree.value {
        entries.retain(|(name, _)| &*name.value != key);
        entries.push((Located::new(key.into(), NOWHERE), Located::new(value, NOWHERE)));
    }
}
