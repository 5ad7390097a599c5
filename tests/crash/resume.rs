//! Kill, start again, compare.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::events::{self, OUTPUTS};
use crate::program::{Folder, Outputs, eventually};

/// How many events the runs read: enough to be killed in the midst of them, in a debug build too.
const EVENTS: usize = 40_000;

const RUN: &[&str] = &["run", "pipeline.yaml"];

/// A folder in which the pipeline has run to its end, and what it has written.
fn finished(count: usize) -> (Folder, Outputs) {
    let folder = events::home(count);
    folder.run(RUN).code(0);
    let outputs = Outputs::of(folder.path(), OUTPUTS);
    (folder, outputs)
}

#[test]
fn a_finished_pipeline_run_again_changes_nothing() {
    let (folder, before) = finished(2_000);
    folder.run(RUN).code(0).said(&["finished already"]);
    Outputs::of(folder.path(), OUTPUTS).assert_same(&before, "run again");
}

#[test]
fn a_finished_pipeline_whose_input_or_definition_has_changed_is_refused() {
    let (folder, before) = finished(2_000);
    folder.write("pipeline.yaml", events::PIPELINE.replace("'info'", "'warning'"));
    folder.run(RUN).code(3).said(&["--fresh"]);

    folder.write("pipeline.yaml", events::PIPELINE);
    folder.write("events.jsonl", folder.read("events.jsonl") + "{\"event_id\":\"one more\"}\n");
    folder.run(RUN).code(3).said(&["--fresh", "replay --with"]);
    Outputs::of(folder.path(), OUTPUTS).assert_same(&before, "run again");
}

#[test]
fn an_output_that_was_changed_behind_the_pipelines_back_stops_it() {
    let folder = events::home(EVENTS);
    let running = folder.start(RUN);
    eventually("a checkpoint that names output", || output_is_checkpointed(&folder));
    running.kill();
    folder.write("others.jsonl", "not what was written\n");
    let refused = folder.run(RUN).said(&["others.jsonl"]);
    assert_ne!(refused.code, Some(0));
}

fn output_is_checkpointed(folder: &Folder) -> bool {
    let shown = folder.run(&["checkpoint", "show", "pipeline.yaml", "--format", "json"]).stdout;
    let manifest: Value = serde_json::from_str(&shown).unwrap_or_default();
    let detail = manifest["marks"]["others"]["detail"].as_str().unwrap_or("{}");
    let detail: Value = serde_json::from_str(detail).unwrap_or_default();
    detail["length"].as_u64().unwrap_or(0) > 0
}

#[test]
fn stopped_in_order_it_goes_on_without_executing_anything_twice() {
    let begun = Instant::now();
    let (_undisturbed, expected) = finished(EVENTS);
    let took: Duration = begun.elapsed();
    let folder = events::home(EVENTS);
    let running = folder.start(RUN);
    std::thread::sleep(took / 2);
    running.stop();
    let resumed = folder.run(&["--log", "info", "run", "pipeline.yaml"]).code(0);
    assert!(!resumed.stderr.contains("executed again"), "{}", resumed.stderr);
    Outputs::of(folder.path(), OUTPUTS).assert_same(&expected, "resumed");
}
