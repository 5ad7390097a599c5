//! What `check` runs: the part of a pipeline that feeds its `check` nodes, or a pipeline made for a pack.

use std::path::Path;
use std::sync::Arc;

use tidegate_operators::check::pack::PackLibrary;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::{Graph, plan};
use tidegate_pipeline::spec::pipeline::NodeSpec;
use tidegate_pipeline::spec::{PipelineSpec, PortReference, Tree, render};

use super::narrow::Narrowed;
use super::report::Choice;
use crate::arguments::CheckArguments;
use crate::exit::Failure;
use crate::load::{self, PipelineFile};
use crate::rewrite::{self, set};

/// The sink that the findings are read from.
pub(super) const FINDINGS: &str = "findings";
/// The kind whose findings are reported.
pub(super) const CHECK: &str = "check";

/// What is to be run.
pub(super) struct Target {
    pub(super) graph: Graph,
    /// Whether it is the user's file, and not one made for a pack.
    pub(super) in_pipeline: bool,
}

/// Plans what is to be run.
///
/// # Errors
/// When the target is neither a file nor one of the packs, the pipeline is not valid, or it has not what the command
/// line asks for.
pub(super) fn plan_target(
    arguments: &CheckArguments,
    catalog: &Catalog,
    packs: &PackLibrary,
) -> Result<Target, Failure> {
    let path = Path::new(&arguments.target);
    let names = packs.names();
    let in_pipeline = path.extension().is_some() || path.is_file();
    let file = if in_pipeline {
        PipelineFile::read(path)?
    } else if names.contains(&arguments.target) {
        of_pack(&arguments.target, &packs.find(&arguments.target, &load::working_directory())?.0.providers)
    } else {
        return Err(Failure::unknown("pipeline file or pack", &arguments.target, &names));
    };
    let shown = |diagnostics: Vec<_>| {
        file.show(&diagnostics);
        Failure::usage(load::invalid(&file.name, &diagnostics))
    };
    let (spec, mut warnings) = file.spec(catalog).map_err(shown)?;
    let spec = only_checks(spec, &file.name, arguments, packs)?;
    let (graph, more) = plan(Arc::new(spec), &file.name, catalog, &load::working_directory()).map_err(shown)?;
    warnings.extend(more);
    // Controls that are left out or broken must not go unnoticed.
    if in_pipeline {
        file.show(&warnings);
    } else {
        warnings.iter().for_each(|warning| crate::output::told!("{}", render::line(warning, &arguments.target)));
    }
    Ok(Target { graph, in_pipeline })
}

/// A pipeline for a pack that is named without YAML: its providers, as they are without options, checked by the pack.
fn of_pack(pack: &str, providers: &[String]) -> PipelineFile {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let providers: Vec<String> = match providers {
        [] => vec![quoted(pack)],
        named => named.iter().map(|name| quoted(name)).collect(),
    };
    let sources: Vec<String> = providers.iter().map(|kind| format!("{kind}: {{{kind}: {{}}}}")).collect();
    let text = format!(
        "version: 1\nname: {pack}\nsources: {{{}}}\noperators: {{checked: {{from: [{}], check: {{pack: {pack}}}}}}}\n\
         sinks: {{ignored: {{from: checked, drop: {{}}}}}}\n",
        sources.join(", "),
        providers.join(", "),
        pack = quoted(pack),
    );
    PipelineFile { name: format!("check {}", pack), text }
}

/// Keeps the `check` nodes that are asked for and what feeds them; every finding leaves, into one sink.
fn only_checks(
    mut spec: PipelineSpec,
    file: &str,
    arguments: &CheckArguments,
    packs: &PackLibrary,
) -> Result<PipelineSpec, Failure> {
    let is_check = |node: &&NodeSpec| *node.kind.value == *CHECK;
    if !spec.operators.iter().any(|node| is_check(&node)) {
        return Err(Failure::usage(format!("{file} has no `check` node")));
    }
    let nodes: Vec<&NodeSpec> = spec.operators.iter().filter(is_check).collect();
    let narrowed = Narrowed::of(&nodes, file, &Choice::of(arguments), &arguments.params, packs)?;
    let checks = narrowed.nodes();
    rewrite::keep_feeding(&mut spec, checks.iter().cloned());
    for node in spec.operators.iter_mut().filter(|node| *node.kind.value == *CHECK) {
        set(node, "emit", Tree::Text("all".into()));
        set(node, "evaluate", Tree::Text("settled".into()));
        if let Some(file) = &arguments.waivers {
            set(node, "waivers", Tree::Text(file.display().to_string().into()));
        }
        for (option, value) in narrowed.options_of(&node.name) {
            set(node, option, value);
        }
    }
    let from = checks.into_iter().map(|node| PortReference { node, port: None }).collect();
    spec.sinks = vec![rewrite::collecting(FINDINGS, from)];
    Ok(spec)
}
