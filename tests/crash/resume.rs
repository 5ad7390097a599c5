//! Kill, start again, compare.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::events::{self, OUTPUTS};
use crate::{assert_same, outputs, run_to_the_end, tidegate};

/// How many events the runs read: enough to be killed in the midst of them, in a debug build too.
const EVENTS: usize = 40_000;

/// The outputs of a run that nobody disturbed, and how long it took.
fn undisturbed(count: usize) -> (Vec<(std::path::PathBuf, Vec<u8>)>, Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    events::write(folder.path(), count);
    let started = Instant::now();
    run_to_the_end(folder.path(), "pipeline.yaml");
    (outputs(folder.path(), OUTPUTS), started.elapsed())
}

#[test]
fn a_finished_pipeline_run_again_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    events::write(folder.path(), 2_000);
    run_to_the_end(folder.path(), "pipeline.yaml");
    let before = outputs(folder.path(), OUTPUTS);
    let again = run_to_the_end(folder.path(), "pipeline.yaml");
    assert!(String::from_utf8_lossy(&again.stderr).contains("finished already"));
    assert_same(&outputs(folder.path(), OUTPUTS), &before, "run again");
}

#[test]
fn a_finished_pipeline_whose_input_or_definition_has_changed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    events::write(folder.path(), 2_000);
    run_to_the_end(folder.path(), "pipeline.yaml");
    let before = outputs(folder.path(), OUTPUTS);

    let pipeline = folder.path().join("pipeline.yaml");
    std::fs::write(&pipeline, events::PIPELINE.replace("'info'", "'warning'")).expect("the pipeline can be written");
    let output = tidegate(folder.path()).args(["run", "pipeline.yaml"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--fresh"));

    std::fs::write(&pipeline, events::PIPELINE).expect("the pipeline can be written");
    let events_file = folder.path().join("events.jsonl");
    let mut text = std::fs::read_to_string(&events_file).expect("the events can be read");
    text.push_str("{\"event_id\":\"one more\"}\n");
    std::fs::write(&events_file, text).expect("the events can be written");
    let output = tidegate(folder.path()).args(["run", "pipeline.yaml"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--fresh") && said.contains("replay --with"), "{said}");
    assert_same(&outputs(folder.path(), OUTPUTS), &before, "run again");
}

#[test]
fn an_output_that_was_changed_behind_the_pipelines_back_stops_it() {
    let folder = tempfile::tempdir().expect("a folder");
    events::write(folder.path(), EVENTS);
    kill_after_output_was_checkpointed(folder.path());
    let others = folder.path().join("others.jsonl");
    std::fs::write(&others, "not what was written\n").expect("the output can be written");
    let output = tidegate(folder.path()).args(["run", "pipeline.yaml"]).output().expect("the program starts");
    assert_ne!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("others.jsonl"));
}

/// Runs the pipeline until a checkpoint names output, then kills it.
fn kill_after_output_was_checkpointed(directory: &Path) {
    let mut child = tidegate(directory).args(["run", "pipeline.yaml"]).spawn().expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !output_is_checkpointed(directory) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends");
    assert!(output_is_checkpointed(directory), "no checkpoint names any output");
}

fn output_is_checkpointed(directory: &Path) -> bool {
    let shown = tidegate(directory).args(["checkpoint", "show", "pipeline.yaml", "--format", "json"]).output();
    let shown = shown.expect("the program starts");
    let manifest: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
    let detail = manifest["marks"]["others"]["detail"].as_str().unwrap_or("{}");
    let detail: serde_json::Value = serde_json::from_str(detail).unwrap_or_default();
    detail["length"].as_u64().unwrap_or(0) > 0
}

#[test]
fn stopped_in_order_it_goes_on_without_executing_anything_twice() {
    let (expected, took) = undisturbed(EVENTS);
    let folder = tempfile::tempdir().expect("a folder");
    events::write(folder.path(), EVENTS);
    let child = tidegate(folder.path()).args(["run", "pipeline.yaml"]).spawn().expect("the program starts");
    std::thread::sleep(took / 2);
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
    let stopped = child.wait_with_output().expect("the child ends");
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert!(stopped.status.success(), "{said}");
    let resumed = tidegate(folder.path()).args(["--log", "info", "run", "pipeline.yaml"]).output().expect("it starts");
    let resumed_said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(resumed.status.success(), "{resumed_said}");
    assert!(!resumed_said.contains("executed again"), "{resumed_said}");
    assert_same(&outputs(folder.path(), OUTPUTS), &expected, "resumed");
}
