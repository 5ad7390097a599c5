//! Pipelines as they were recorded: planned again from what their directory holds.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::graph::{Definition, Graph, plan_as_recorded};
use tidegate_pipeline::runtime::{Replanner, recorded_definition};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Severity};
use tidegate_pipeline::spec::pipeline::NodeSpec;
use tidegate_pipeline::spec::{PipelineSpec, Variables, load, render};

use crate::exit::Failure;
use crate::load::{PipelineFile, invalid, working_directory};

/// What stands for the file of a recorded pipeline in messages.
const FILE: &str = "the recorded definition";

/// Plans recorded definitions with this program's kinds, and the settings (limits, checkpoints) that the pipeline
/// has now: those are not part of a definition.
pub(crate) struct RecordedPlanner {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) settings: Arc<PipelineSpec>,
}

impl fmt::Debug for RecordedPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedPlanner").finish_non_exhaustive()
    }
}

impl Replanner for RecordedPlanner {
    fn replan(&self, recorded: &Definition) -> Result<Graph> {
        let text = recorded.spec()?;
        let wrong = |diagnostics: Vec<_>| {
            let lines: Vec<String> = diagnostics.iter().map(|diagnostic| render::line(diagnostic, FILE)).collect();
            Error::external(lines.join("; ")).never_retry()
        };
        let loaded = load(text, FILE, &Variables::none(), &self.catalog.known_kinds()).map_err(wrong)?.spec;
        let spec = PipelineSpec {
            name: loaded.name,
            sources: loaded.sources,
            operators: loaded.operators,
            sinks: loaded.sinks,
            ..PipelineSpec::clone(&self.settings)
        };
        let spec = Arc::new(spec);
        plan_as_recorded(Arc::clone(&spec), FILE, &self.catalog, &working_directory(), recorded)
            .map(|(graph, _)| graph)
            .map_err(|diagnostics| unplannable(&spec, diagnostics))
    }
}

/// What is wrong with a recorded pipeline by now: something outside it, such as a file that has gone. One error names
/// its node.
fn unplannable(spec: &PipelineSpec, diagnostics: Vec<Diagnostic>) -> Error {
    let errors: Vec<&Diagnostic> =
        diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    if let [error] = errors.as_slice() {
        let before = |node: &&NodeSpec| node.name.place.offset <= error.place.offset;
        let node = spec.nodes().filter(before).max_by_key(|node| node.name.place.offset);
        let found = Error::external(&error.message).never_retry();
        return node.map_or_else(|| found.clone(), |node| found.clone().at_node(&*node.name.value));
    }
    let lines: Vec<String> = errors.iter().map(|diagnostic| render::line(diagnostic, FILE)).collect();
    Error::external(lines.join("; ")).never_retry()
}

/// An error of a recorded pipeline: it names the node, but a place in a text that nobody has seen helps nobody.
pub(crate) fn without_place(error: Error) -> Error {
    Error { place: error.place.filter(|place| !place.starts_with(FILE)), ..error }
}

/// Reads and plans a pipeline that may have run before in a folder of `pipelines`: where its text is the same as
/// then, what was learned from samples of its input is too. Shows warnings and errors.
pub(crate) fn graph(path: &Path, catalog: &Catalog, pipelines: &Path) -> Result<Graph, Failure> {
    let file = PipelineFile::read(path)?;
    let shown = |diagnostics: Vec<_>| {
        file.show(&diagnostics);
        Failure::usage(invalid(&file.name, &diagnostics))
    };
    let (graph, warnings) = file.graph(catalog).map_err(shown)?;
    file.show(&warnings);
    // What is damaged there is told where the directory is opened.
    let recorded = recorded_definition(&pipelines.join(&*graph.spec.name.value)).ok().flatten();
    let Some(recorded) = recorded.filter(|recorded| recorded.spec().ok() == graph.definition.spec().ok()) else {
        return Ok(graph);
    };
    let (spec, file_name) = (Arc::clone(&graph.spec), graph.file.clone());
    let planned = plan_as_recorded(spec, &file_name, catalog, &working_directory(), &recorded.samples());
    Ok(planned.map_err(shown)?.0)
}
