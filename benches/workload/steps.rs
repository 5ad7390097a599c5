//! What the engine itself costs: rows that need no decoding, and steps of one row through ten nodes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use tidegate_pipeline::source::Delivery;
use tidegate_pipeline::testing::scripted::ScriptedKind;

use super::Outcome;
use super::tidegate::{catalog, run_text};

const ROUTED: &str = r#"
version: 1
name: routed
checkpoint: {every: 1s}
sources: {rows: {scripted: {}}}
operators:
  loud:  {from: rows, filter: "severity <> 'info'"}
  split: {from: loud, route: {critical: "severity = 'critical'"}}
sinks:
  a: {from: split.critical, drop: {report: false}}
  b: {from: split.unmatched, drop: {report: false}}
"#;

fn batch(rows: usize, first: i64) -> RecordBatch {
    let severities = ["info", "info", "warning", "critical"];
    let schema =
        Schema::new(vec![Field::new("i", DataType::Int64, false), Field::new("severity", DataType::Utf8, false)]);
    let numbers: Int64Array = (first..first + rows as i64).collect();
    let texts: StringArray = (0..rows).map(|row| Some(severities[row % severities.len()])).collect();
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(numbers), Arc::new(texts)]).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

async fn seconds(text: &str, batches: Vec<RecordBatch>) -> Outcome<f64> {
    let mut catalog = catalog();
    let schema = batches[0].schema();
    let scripts = vec![("rows".to_owned(), schema, Arc::new(batches))];
    catalog.sources.push(Box::new(ScriptedKind { delivery: Delivery::Seek, bounded: true, scripts }));
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    run_text(text, &catalog, folder.path()).await?;
    Ok(started.elapsed().as_secs_f64())
}

/// Ten nodes in a straight line.
fn line_of_ten() -> String {
    let mut text =
        String::from("version: 1\nname: line\ncheckpoint: {every: 1s}\nsources: {rows: {scripted: {}}}\noperators:\n");
    let mut from = "rows".to_owned();
    for index in 0..9 {
        let _ = writeln!(text, "  f{index}: {{from: {from}, filter: \"i >= 0\"}}");
        from = format!("f{index}");
    }
    let _ = writeln!(text, "sinks: {{end: {{from: {from}, drop: {{report: false}}}}}}");
    text
}

/// Measures both and prints them.
pub(crate) fn report() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let start_up = runtime.block_on(seconds(ROUTED, vec![batch(1, 0)]))?;
    let million = 20;
    let rows: Vec<RecordBatch> = (0..million * 125).map(|index| batch(8_000, index * 8_000)).collect();
    let took = runtime.block_on(seconds(ROUTED, rows))? - start_up;
    println!(
        "filter + route + drop: {:.1} M rows/s ({million} M rows of 2 columns, start-up of {start_up:.3} s left out)",
        million as f64 / took
    );
    let small = runtime.block_on(seconds(&line_of_ten(), vec![batch(1, 0)]))?;
    let steps = 20_000;
    let rows: Vec<RecordBatch> = (0..steps).map(|index| batch(1, index)).collect();
    let took = runtime.block_on(seconds(&line_of_ten(), rows))? - small;
    println!(
        "one-row steps through ten nodes: {:.2} µs each ({steps} steps; the scripted source's are never joined)",
        took * 1e6 / steps as f64
    );
    Ok(())
}
