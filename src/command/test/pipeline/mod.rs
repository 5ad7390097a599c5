//! Pipeline tests: the pipeline as it is, but with sources that give the rows of a case and with sinks that keep
//! what arrives, run in a directory of its own.
//!
//! ```yaml
//! pipeline: ../events.yaml
//! cases:
//!   - name: what is not loud is dropped
//!     given: {events: [{severity: info}, {severity: critical}]}
//!     expect: {loud: [{severity: critical}]}
//! ```

mod compare;
mod document;
mod given;
mod rewritten;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::{Graph, plan};
use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::spec::Options;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located, Place, Severity};
use tidegate_pipeline::spec::render::line;
use tidegate_pipeline::testing::collect::{CollectKind, Collected};

use super::{Filter, Outcome};
use crate::catalog::{catalog, packs};
use crate::exit::Failure;
use crate::load::{PipelineFile, working_directory};
use document::{Case, Document};
use given::{GivenTables, given_rows, given_tables};

/// What is wrong with a case, and where.
type Complaint = Diagnostic;

/// Whether a file holds pipeline tests.
pub(super) fn is_test(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".test.yaml") || name.ends_with(".test.yml")
}

/// Runs the cases of a file. What is wrong with the file or its pipeline counts as a failed test.
pub(super) async fn run(file: &Path, queries: Option<&Path>, filter: &Filter<'_>) -> Result<Vec<Outcome>, Failure> {
    let tests = PipelineFile::read(file)?;
    let document: Document = match Options::parse(&tests.text).and_then(|options| options.read()) {
        Ok(document) => document,
        Err(found) => return Ok(vec![invalid(&tests.name, "the test file is valid", &tests.name, &found)]),
    };
    let path = file.parent().unwrap_or(Path::new("")).join(&*document.pipeline);
    let subject = plain(&path).display().to_string();
    let pipeline = match PipelineFile::read(&plain(&path)) {
        Ok(pipeline) => pipeline,
        Err(failure) => {
            let found = [Diagnostic::error(document.pipeline.place, failure.message)];
            return Ok(vec![invalid(&subject, "the pipeline can be read", &tests.name, &found)]);
        }
    };
    let graph = match pipeline.graph(&catalog(packs(queries)?)) {
        Ok((graph, _)) => graph,
        Err(found) => return Ok(vec![invalid(&subject, "the pipeline is valid", &pipeline.name, &found)]),
    };
    let mut outcomes = Vec::new();
    for case in document.cases.iter().filter(|case| filter.takes(&subject, &case.name)) {
        let started = Instant::now();
        let verdict = run_case(&graph, catalog(packs(queries)?), case).await;
        let told = |found: &Complaint| line(found, &tests.name);
        outcomes.push(Outcome {
            subject: subject.clone(),
            name: case.name.clone(),
            place: format!("{}:{}", tests.name, case.place),
            passed: verdict.is_ok(),
            message: verdict.err().unwrap_or_default().iter().map(told).collect::<Vec<_>>().join("\n"),
            took: started.elapsed(),
        });
    }
    Ok(outcomes)
}

/// `examples/tests/../events.yaml` as `examples/events.yaml`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        let named = plain.file_name().is_some();
        match component {
            std::path::Component::ParentDir if named => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// A file that cannot be used, as a failed test.
fn invalid(subject: &str, name: &str, file: &str, found: &[Diagnostic]) -> Outcome {
    let errors: Vec<&Diagnostic> = found.iter().filter(|found| found.severity == Severity::Error).collect();
    let place = errors.first().map_or_else(Place::default, |error| error.place);
    Outcome {
        subject: subject.to_owned(),
        name: name.to_owned(),
        place: format!("{file}:{place}"),
        passed: false,
        message: errors.iter().map(|error| line(error, file)).collect::<Vec<_>>().join("\n"),
        took: std::time::Duration::ZERO,
    }
}

/// Runs a case; everything that is wrong with it or its outcome.
async fn run_case(graph: &Graph, mut catalog: Catalog, case: &Located<Case>) -> Result<(), Vec<Complaint>> {
    let (rows, tables) = (given_rows(graph, case), given_tables(graph, case));
    let rewritten = rewritten::spec(graph, case);
    let (rows, tables, spec) = match (rows, tables, rewritten) {
        (Ok(rows), Ok(tables), Ok(spec)) => (rows, tables, spec),
        (rows, tables, spec) => {
            return Err([rows.err(), tables.err(), spec.err()].into_iter().flatten().flatten().collect());
        }
    };
    let collected = Collected::default();
    catalog.sources.push(Box::new(rows));
    catalog.sources.push(Box::new(GivenTables(tables)));
    catalog.sinks.push(Box::new(CollectKind(collected.clone())));
    let failed = |message: String| vec![Diagnostic::error(case.place, message)];
    // What the pipeline's own text says was planned once already; what is found now is about the given rows.
    let shown =
        |found: Vec<Diagnostic>| found.iter().map(|found| line(found, &graph.file)).collect::<Vec<_>>().join("\n");
    let (graph, _) =
        plan(Arc::new(spec), &graph.file, &catalog, &working_directory()).map_err(|found| failed(shown(found)))?;
    let mut found = Vec::new();
    for (position, (reference, expected)) in case.expect.iter().enumerate() {
        found.extend(compare::unknown_columns(&graph, &rewritten::sink(position), reference, expected));
    }
    if !found.is_empty() {
        return Err(found);
    }
    execute(graph).await.map_err(failed)?;
    for (position, (reference, expected)) in case.expect.iter().enumerate() {
        let text = collected.take_json_lines(&rewritten::sink(position)).map_err(|error| failed(error.message))?;
        found.extend(compare::compare(reference, expected, &text, case.partial));
    }
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// Runs a pipeline to its end in a directory of its own.
async fn execute(graph: Graph) -> Result<(), String> {
    let directory = tempfile::Builder::new().prefix("tidegate-test-").tempdir().map_err(|error| error.to_string())?;
    let told = |error: tidegate_pipeline::error::Error| Failure::from(error).message;
    let pipeline = Pipeline::open(Arc::new(graph), RunOptions::new(directory.path())).await.map_err(told)?;
    pipeline.run().await.map_err(told)?;
    Ok(())
}
