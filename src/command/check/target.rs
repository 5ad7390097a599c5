//! What `check` runs: the part of a pipeline that feeds its `check` nodes, or a pipeline made for a pack.

use std::path::Path;
use std::sync::Arc;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::{Graph, plan};
use tidegate_pipeline::spec::diagnostic::Located;
use tidegate_pipeline::spec::pipeline::NodeSpec;
use tidegate_pipeline::spec::{NOWHERE, PipelineSpec, PortReference, Tree};

use crate::arguments::CheckArguments;
use crate::exit::Failure;
use crate::load::{self, PipelineFile};
use crate::rewrite;

/// The sink that the findings are read from.
pub(super) const FINDINGS: &str = "findings";
/// The kind whose findings are reported.
const CHECK: &str = "check";

/// Plans what is to be run.
///
/// # Errors
/// When the target is neither a file nor one of `packs`, or the pipeline is not valid.
pub(super) fn graph(arguments: &CheckArguments, catalog: &Catalog, packs: &[String]) -> Result<Graph, Failure> {
    let path = Path::new(&arguments.target);
    let file = if path.extension().is_some() || path.is_file() {
        PipelineFile::read(path)?
    } else if packs.contains(&arguments.target) {
        of_pack(&arguments.target)
    } else {
        return Err(Failure::unknown("pipeline file or pack", &arguments.target, packs));
    };
    let shown = |diagnostics: Vec<_>| {
        file.show(&diagnostics);
        Failure::usage(load::invalid(&file.name, &diagnostics))
    };
    let (spec, _) = file.spec(catalog).map_err(shown)?;
    let spec = only_checks(spec, &file.name, &arguments.controls)?;
    let (graph, _) = plan(Arc::new(spec), &file.name, catalog, &load::working_directory()).map_err(shown)?;
    Ok(graph)
}

/// A pipeline for a pack that is named without YAML: the provider of the pack's name, checked by the pack.
fn of_pack(pack: &str) -> PipelineFile {
    let quoted = serde_json::Value::from(pack);
    let text = format!(
        "version: 1\nname: check\nsources: {{inventory: {{{quoted}: {{}}}}}}\n\
         operators: {{checked: {{from: inventory, check: {{pack: {quoted}}}}}}}\n\
         sinks: {{ignored: {{from: checked, drop: {{}}}}}}\n"
    );
    PipelineFile { name: format!("check {pack}"), text }
}

/// Keeps the `check` nodes and what feeds them; every finding leaves, into one sink.
fn only_checks(mut spec: PipelineSpec, file: &str, controls: &[String]) -> Result<PipelineSpec, Failure> {
    let checks: Vec<Arc<str>> =
        spec.operators.iter().filter(|node| *node.kind.value == *CHECK).map(|node| Arc::clone(&node.name)).collect();
    if checks.is_empty() {
        return Err(Failure::usage(format!("{file} has no `check` node")));
    }
    rewrite::keep_feeding(&mut spec, checks.iter().cloned());
    for node in spec.operators.iter_mut().filter(|node| *node.kind.value == *CHECK) {
        set(node, "emit", Tree::Text("all".into()));
        if !controls.is_empty() {
            let globs = controls.iter().map(|glob| Located::new(Tree::Text(glob.as_str().into()), NOWHERE));
            set(node, "controls", Tree::List(globs.collect()));
        }
    }
    let from = checks.into_iter().map(|node| PortReference { node, port: None }).collect();
    spec.sinks = vec![rewrite::collecting(FINDINGS, from)];
    Ok(spec)
}

/// Sets an option of a node.
fn set(node: &mut NodeSpec, key: &str, value: Tree) {
    if let Tree::Map(entries) = &mut node.options.tree.value {
        entries.retain(|(name, _)| &*name.value != key);
        entries.push((Located::new(key.into(), NOWHERE), Located::new(value, NOWHERE)));
    }
}
