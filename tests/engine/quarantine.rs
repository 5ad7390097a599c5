//! A step that ends the process, or the pipeline, at every start is named with its node, and can be left out.

use std::process::Command;
use std::sync::Arc;

use tidegate_pipeline::journal::Quarantine;
use tidegate_pipeline::runtime::{RunOutcome, suspects};
use tidegate_pipeline::step::StepNumber;

use crate::given::{Given, batches};
use crate::stage::Stage;

const PROBED: &str = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
operators: {probed: {from: in, probe: {}}}
sinks:
  all: {from: probed, collect: {}}
  wrong: {from: probed.errors, collect: {}}
";

/// The step that an error tells to quarantine.
fn named(error: &tidegate_pipeline::error::Error) -> StepNumber {
    let remedy = error.remedy.as_deref().unwrap_or_default();
    let words: Vec<&str> = remedy.split(' ').collect();
    let at = words.iter().position(|word| *word == "PIPELINE").unwrap_or_else(|| panic!("{error}"));
    assert_eq!(words[at + 2], "probed`", "{error}");
    StepNumber(words[at + 1].parse().unwrap())
}

#[test]
fn a_step_whose_node_panics_at_every_start_is_named_and_once_quarantined_left_out() {
    let mut stage = Stage::new(PROBED).give("in", Given::new(batches(100, 10)));
    stage.probe.at = Arc::new(|n| if n == 70 { panic!("seventy!") } else { Ok(()) });
    let first = stage.run().unwrap_err();
    assert!(first.message.contains("seventy!"), "{first}");
    let step = named(&first);
    assert_eq!(named(&stage.run().unwrap_err()), step, "it is the same step at every start");
    stage.collected("all");
    assert!(Quarantine::add(&stage.directory(), step, "probed").unwrap());
    // Also where such rows would stop the pipeline.
    stage.text = stage.text.replace("probe: {}", "probe: {}, on_error: errors");
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    let after = stage.numbers("all");
    assert_eq!(after, (after[0]..70).chain(80..100).collect::<Vec<_>>());
    let wrong = stage.collected("wrong");
    assert_eq!(wrong.len(), 10);
    assert!(wrong[3].contains("is quarantined") && wrong[3].contains(r#"\"n\":73"#), "{}", wrong[3]);
    assert!(wrong[3].contains(r#""row":3"#) && wrong[3].contains(r#""node":"probed""#), "{}", wrong[3]);
}

#[test]
fn a_quarantined_step_of_a_sink_is_not_written() {
    let text = "
sources: {in: {given: {}}}
sinks: {all: {from: in, collect: {}}, wrong: {from: all.errors, collect: {}}}
";
    // The definition is step 1.
    let stage = Stage::new(text).give("in", Given::new(batches(30, 10)));
    Quarantine::add(&stage.directory(), StepNumber(3), "all").unwrap();
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    assert_eq!(stage.numbers("all"), (0..10).chain(20..30).collect::<Vec<_>>());
    assert_eq!(stage.collected("wrong").len(), 10);
}

#[test]
fn a_list_of_quarantined_steps_that_is_damaged_stops_the_start() {
    let stage = Stage::new(PROBED).give("in", Given::new(batches(30, 10)));
    Quarantine::add(&stage.directory(), StepNumber(3), "probed").unwrap();
    std::fs::write(stage.directory().join("journal/quarantine"), "nothing of the sort").unwrap();
    let error = stage.run().unwrap_err();
    assert!(error.message.contains("journal/quarantine") && error.message.contains("damaged"), "{error}");
}

const ABORTING: &str = "
checkpoint: {every: 200ms}
sources: {in: {given: {}}}
operators: {probed: {from: in, probe: {}}}
sinks: {all: {from: probed, file: {path: FOLDER/out.jsonl}}, wrong: {from: probed.errors, file: {path: FOLDER/wrong.jsonl}}}
";
/// Names the folder to the child.
const FOLDER: &str = "TIDEGATE_TEST_ABORTING";

/// Run as a child: a life that aborts when the number 70 comes, as an overflow of the stack would.
#[test]
fn a_life_that_aborts() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = std::path::PathBuf::from(folder);
    let text = ABORTING.replace("FOLDER", &folder.display().to_string());
    let mut stage = Stage::new(&text).give("in", Given::new(batches(100, 10)));
    stage.options.directory = folder.join("state");
    stage.probe.at = Arc::new(|n| if n == 70 { std::process::abort() } else { Ok(()) });
    stage.run().unwrap();
}

fn life(folder: &std::path::Path) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "quarantine::a_life_that_aborts"]).env(FOLDER, folder);
    child.output().unwrap().status.success()
}

#[test]
fn a_step_that_aborts_the_process_at_every_start_is_named_and_once_quarantined_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    assert!(!life(folder.path()), "the first life dies");
    assert_eq!(suspects(&state), [], "and leaves no trail: it costs something");
    for starts in 1..=2 {
        assert!(!life(folder.path()));
        let found = suspects(&state);
        let named: Vec<_> = found.iter().map(|found| (found.node.as_str(), found.starts)).collect();
        assert!(named.contains(&("probed", starts)), "{found:?}");
    }
    let found = suspects(&state).into_iter().find(|found| found.node == "probed").unwrap();
    Quarantine::add(&state, found.step, "probed").unwrap();
    assert!(life(folder.path()), "without the step it lives");
    assert_eq!(suspects(&state), []);
    let lines = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap().lines().count();
    assert_eq!((lines("out.jsonl"), lines("wrong.jsonl")), (90, 10));
}
