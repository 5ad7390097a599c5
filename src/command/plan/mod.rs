//! `tidegate plan`: what the handlers of a pipeline would change, and why. Collects as `check` does, into a private
//! directory; nothing is changed, written or sent.

mod intents;
mod text;

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use serde::Serialize;
use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::{Graph, Planned, plan as plan_graph};
use tidegate_pipeline::handler::{DiffStatus, DryRun, DryRunReport};
use tidegate_pipeline::spec::pipeline::NodeSpec;
use tidegate_pipeline::spec::{PipelineSpec, Tree};

use super::check;
use crate::arguments::{Format, PlanArguments};
use crate::catalog::{catalog, packs};
use crate::exit::{ALARMS, DONE, FAILED, Failure};
use crate::load::{self, PipelineFile};
use crate::{output, rewrite};
use intents::{Gathered, Intended, IntentsKind};

/// How many resources are looked at at the same time.
const AT_ONCE: usize = 32;

/// What a handler would do.
#[derive(Debug, Serialize)]
struct HandlerPlan {
    /// The node.
    node: String,
    /// The kind.
    kind: String,
    #[serde(flatten)]
    report: DryRunReport,
}

/// What a pipeline would do.
#[derive(Debug, Serialize)]
struct PipelinePlan {
    pipeline: String,
    handlers: Vec<HandlerPlan>,
    summary: Summary,
}

/// How many resources there are of each sort.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Summary {
    add: usize,
    change: usize,
    remove: usize,
    unchanged: usize,
    /// Differ, and would not be changed.
    only_reported: usize,
    /// Of those that would be changed: somebody has to approve them first.
    need_approval: usize,
    failed: usize,
}

/// Shows what handlers would do.
pub(crate) async fn plan(arguments: &PlanArguments, queries: Option<&Path>) -> Result<u8, Failure> {
    let gathered = Gathered::default();
    let mut catalog = catalog(packs(queries)?);
    let graph = Arc::new(graph(&arguments.pipeline, &mut catalog, &gathered)?);
    gives_nothing_away(&graph)?;
    check::collect(Arc::clone(&graph)).await?;
    let mut handlers = Vec::new();
    for sink in &graph.spec.sinks {
        let intended = gathered.take(&sink.name);
        let report = look(intended).await;
        handlers.push(HandlerPlan { node: sink.name.to_string(), kind: sink.kind.to_string(), report });
    }
    let summary = summary(&handlers);
    let plan = PipelinePlan { pipeline: graph.spec.name.to_string(), handlers, summary };
    show(&plan, arguments.format)?;
    Ok(match summary {
        Summary { failed: 1.., .. } => FAILED,
        Summary { add: 0, change: 0, remove: 0, .. } => DONE,
        _ => ALARMS,
    })
}

/// The pipeline with nothing but its handlers, and what feeds them.
fn graph(path: &Path, catalog: &mut Catalog, gathered: &Gathered) -> Result<Graph, Failure> {
    let file = PipelineFile::read(path)?;
    let shown = |diagnostics: Vec<_>| {
        file.show(&diagnostics);
        Failure::usage(load::invalid(&file.name, &diagnostics))
    };
    let (mut spec, mut warnings) = file.spec(catalog).map_err(shown)?;
    only_handlers(&mut spec, catalog, &file.name)?;
    catalog.sinks = std::mem::take(&mut catalog.sinks)
        .into_iter()
        .filter(|kind| kind.is_handler())
        .map(|kind| IntentsKind::boxed(kind, gathered.clone()))
        .collect();
    let planned = plan_graph(Arc::new(spec), &file.name, catalog, &load::working_directory());
    let (graph, more) = planned.map_err(shown)?;
    warnings.extend(more);
    file.show(&warnings);
    Ok(graph)
}

fn only_handlers(spec: &mut PipelineSpec, catalog: &Catalog, file: &str) -> Result<(), Failure> {
    let is_handler = |node: &NodeSpec| catalog.sink(&node.kind).is_some_and(|kind| kind.is_handler());
    let handlers: Vec<NodeSpec> = spec.sinks.iter().filter(|node| is_handler(node)).cloned().collect();
    if handlers.is_empty() {
        let message = format!("{file} has no handler: there is nothing that it would change");
        return Err(Failure::usage(message));
    }
    let feeding = handlers.iter().flat_map(|node| node.from.iter().map(|from| Arc::clone(&from.node)));
    rewrite::keep_feeding(spec, feeding.collect::<Vec<_>>());
    spec.sinks = handlers;
    for node in spec.operators.iter_mut().filter(|node| &*node.kind.value == "check") {
        rewrite::set(node, "evaluate", Tree::Text("settled".into()));
    }
    Ok(())
}

/// A plan must not take events away from the pipeline that is planned.
fn gives_nothing_away(graph: &Graph) -> Result<(), Failure> {
    for node in &graph.nodes {
        if let Planned::Source(source) = &node.planned
            && source.acknowledges
            && source.delivery != tidegate_pipeline::source::Delivery::Inline
        {
            let message = format!(
                "{}: the source `{}` tells its server what was read: a plan would take events from the pipeline itself",
                node.shown_place, node.name
            );
            return Err(Failure::usage(message));
        }
    }
    Ok(())
}

/// What would become of each resource.
async fn look(intended: Vec<Intended>) -> DryRunReport {
    let mut report = DryRunReport::begin(intended.len());
    let mut looked = futures::stream::iter(intended).map(Intended::look).buffer_unordered(AT_ONCE);
    while let Some(found) = looked.next().await {
        found.into_iter().for_each(|found| report.add(found));
    }
    report
}

fn summary(handlers: &[HandlerPlan]) -> Summary {
    let mut summary = Summary::default();
    for found in handlers.iter().flat_map(|handler| &handler.report.resources) {
        let count = match found.status {
            _ if found.error.is_some() => &mut summary.failed,
            DiffStatus::Unmodified => &mut summary.unchanged,
            _ if !found.applies => &mut summary.only_reported,
            DiffStatus::Added => &mut summary.add,
            DiffStatus::Modified => &mut summary.change,
            DiffStatus::Deleted => &mut summary.remove,
            DiffStatus::AgentDown | DiffStatus::Undefined | DiffStatus::SkippedForUndefined => &mut summary.failed,
        };
        *count += 1;
        if found.would_change() && found.held.is_some() {
            summary.need_approval += 1;
        }
    }
    summary
}

/// A line of the plan for programs.
#[derive(Serialize)]
struct Line<'a> {
    node: &'a str,
    #[serde(flatten)]
    found: &'a DryRun,
}

fn show(plan: &PipelinePlan, format: Format) -> Result<(), Failure> {
    match format {
        Format::Text => output::print(&text::plan(plan, text::colours())),
        Format::Json => output::document(format, plan),
        Format::Jsonl => {
            for handler in &plan.handlers {
                for found in &handler.report.resources {
                    output::document(format, &Line { node: &handler.node, found })?;
                }
            }
            Ok(())
        }
    }
}
