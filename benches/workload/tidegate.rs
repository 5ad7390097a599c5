//! The workload as a pipeline, run in this process exactly as `tidegate run` does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tidegate_pipeline::catalog::Catalog;
use tidegate_pipeline::graph::plan;
use tidegate_pipeline::runtime::{Pipeline, RunOptions};
use tidegate_pipeline::spec::{Variables, load};

use super::Outcome;

const PIPELINE: &str = r#"
version: 1
name: workload
checkpoint: {every: EVERY}
sources:
  events: {file: {path: FOLDER/events.jsonl}}
operators:
  loud:  {from: events, filter: "severity <> 'info'"}
  owned: {from: loud, enrich: {table: FOLDER/owners.csv, on: resource_id}}
  fresh: {from: owned, dedupe: {key: [resource_id, kind, severity, "ts / 3600000"], within: 1h, time: ts}}
  alarm: {from: fresh, select: "*, state = 'available' AND size_gib > 100 AS alarm"}
  split: {from: alarm, route: {critical: "severity = 'critical'"}}
sinks:
  critical: {from: split.critical, file: {path: critical.jsonl}}
  others:   {from: split.unmatched, file: {path: others.jsonl}}
"#;

/// The kinds that the benches use.
pub(crate) fn catalog() -> Catalog {
    Catalog {
        sources: tidegate_connectors::sources(),
        operators: tidegate_operators::operators(),
        sinks: tidegate_connectors::sinks(),
    }
}

/// Runs a pipeline's text to its end in a directory; gives back what each sink took.
pub(crate) async fn run_text(text: &str, catalog: &Catalog, directory: &Path) -> Outcome<u64> {
    let loaded =
        load(text, "bench.yaml", &Variables::none(), &catalog.known_kinds()).map_err(|wrong| format!("{wrong:?}"))?;
    let planned =
        plan(Arc::new(loaded.spec), "bench.yaml", catalog, Path::new(".")).map_err(|wrong| format!("{wrong:?}"))?;
    let pipeline = Pipeline::open(Arc::new(planned.0), RunOptions::new(directory)).await?;
    let status = pipeline.status();
    pipeline.run().await?;
    let sinks = status.nodes.iter().filter(|node| node.section == tidegate_pipeline::spec::pipeline::Section::Sink);
    Ok(sinks.map(|node| node.rows_in.load(Ordering::Relaxed)).sum())
}

/// Runs the workload; seconds and rows written.
pub(crate) async fn run(folder: &Path, every: &str) -> Outcome<(f64, u64)> {
    let text = PIPELINE.replace("EVERY", every).replace("FOLDER", &folder.display().to_string());
    let started = Instant::now();
    let rows = run_text(&text, &catalog(), Path::new("state")).await?;
    Ok((started.elapsed().as_secs_f64(), rows))
}
