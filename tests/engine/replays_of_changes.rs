//! Replays over changes of the definition: each stretch under its own, the state as the change took it over.

use tidegate_pipeline::checkpoint::{CheckpointNumber, list_checkpoints};
use tidegate_pipeline::runtime::{Recording, ReplayFrom, RunOutcome};

use crate::providers::provider;
use crate::replays::Outputs;
use crate::stage::Stage;

const FIRST: &str = "
checkpoint: {every: off, keep: 100}
sources:
  in: {file: {path: in.jsonl}}
  things: {inventory: {}}
operators:
  some: {from: in, filter: 'n % 3 <> 0'}
  fresh: {from: some, dedupe: {key: 'n % 20', within: 1000h, time: t}}
sinks:
  all: {from: fresh, file: {path: all.jsonl}}
  page: {from: fresh, dispatch: {}}
";

/// Lets other numbers pass, renames the file sink, and adds readers of the tables.
fn second() -> String {
    FIRST.replace("n % 3 <> 0", "n % 2 = 0").replace("all: {", "every: {was: all, ").replace(
        "sinks:",
        "  big: {from: things, filter: 'value > 10'}\nsinks:\n  bigs: {from: big, file: {path: bigs.jsonl}}",
    )
}

/// One life more: ten more numbers, under this text.
fn live(stage: &mut Stage, text: &str, upto: i64, things: &[(i64, i64)]) {
    stage.edit(text);
    let lines: String = (0..upto).map(|n| format!("{{\"n\":{n},\"t\":{}}}\n", n * 1000)).collect();
    std::fs::write(stage.folder().join("in.jsonl"), lines).unwrap();
    stage.provider = Some((provider(&[things]), None));
    assert_eq!(stage.run().unwrap(), RunOutcome::Once);
}

/// Lives under the first definition, under the second, and under the first again.
fn changed_and_changed_back(keep: &str) -> Stage {
    let text = |text: &str| text.replace("keep: 100", keep);
    let mut stage = Stage::new(&text(FIRST));
    stage.options.once = true;
    live(&mut stage, &text(FIRST), 10, &[(1, 50)]);
    live(&mut stage, &text(FIRST), 20, &[(1, 50), (2, 5)]);
    live(&mut stage, &text(&second()), 30, &[(1, 50), (2, 60)]);
    live(&mut stage, &text(&second()), 40, &[(1, 50), (2, 60), (3, 70)]);
    let back = text(FIRST).replace("all: {", "all: {was: every, ");
    live(&mut stage, &back, 50, &[(1, 5)]);
    live(&mut stage, &back, 60, &[(1, 5)]);
    stage
}

fn recording(stage: &Stage, from: ReplayFrom) -> Recording {
    Recording::open(&stage.directory(), from, None).unwrap()
}

fn lines(stage: &Stage, file: &str) -> Vec<String> {
    std::fs::read_to_string(stage.folder().join(file)).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_replay_goes_over_changes_of_the_definition_as_the_original_did() {
    let stage = changed_and_changed_back("keep: 100");
    let oldest = list_checkpoints(&stage.directory()).unwrap().last().unwrap().number;
    for from in [ReplayFrom::Beginning, ReplayFrom::Checkpoint(oldest)] {
        let recording = recording(&stage, from);
        let report = stage.replay_as_it_was(&recording, None).unwrap();
        assert_eq!(report.differences, [], "{from:?}");
        assert_eq!(report.changes.len(), 2, "{report:?}");
        assert_eq!(report.compared, ["all", "bigs", "every", "page/0"]);
        assert_eq!((report.from, report.through), recording.range());
    }
    let outputs = Outputs::default();
    stage.replay_as_it_was(&recording(&stage, ReplayFrom::Beginning), Some(outputs.open())).unwrap();
    let written: Vec<String> = lines(&stage, "all.jsonl");
    // One file, under two names in turn: the middle of it under the second.
    let (all, every) = (outputs.lines("all"), outputs.lines("every"));
    assert_eq!(all.len() + every.len(), written.len());
    assert!(written.starts_with(&all[..7]) && every.iter().chain(&all).all(|line| written.contains(line)));
    assert_eq!(outputs.lines("bigs"), lines(&stage, "bigs.jsonl"), "readers that joined are told once");
    assert_eq!(outputs.lines("bigs").len(), 3, "one thing was there, one became big, one came");
}

#[test]
fn where_the_checkpoint_of_a_change_is_not_kept_the_replayed_state_moves_over() {
    let text = |text: &str| text.replace("keep: 100", "keep: 1").replace("all: {was: all, ", "all: {");
    let (first, second) = (text(FIRST), text(&second().replace("every: {", "all: {")));
    let mut stage = Stage::new(&first);
    stage.options.once = true;
    live(&mut stage, &first, 20, &[(1, 50), (2, 5)]);
    live(&mut stage, &second, 40, &[(1, 50), (2, 60)]);
    live(&mut stage, &second, 50, &[(1, 50), (2, 60)]);
    // The journal still begins with the first step: it has one file.
    assert_eq!(list_checkpoints(&stage.directory()).unwrap().len(), 1);
    let outputs = Outputs::default();
    let report = stage.replay_as_it_was(&recording(&stage, ReplayFrom::Beginning), Some(outputs.open())).unwrap();
    assert_eq!((report.differences.as_slice(), report.changes.len()), ([].as_slice(), 1));
    assert_eq!(report.compared, ["all", "bigs", "page/0"]);
    assert_eq!(outputs.lines("bigs"), lines(&stage, "bigs.jsonl"));
    assert_eq!(outputs.lines("all"), lines(&stage, "all.jsonl"));
}

#[test]
fn a_change_that_may_have_renamed_nodes_is_replayed_from_its_checkpoint_only() {
    let stage = changed_and_changed_back("keep: 1");
    let error = stage.replay_as_it_was(&recording(&stage, ReplayFrom::Beginning), None).unwrap_err();
    assert!(error.message.contains("is not kept any more"), "{error}");
}

#[test]
fn another_pipeline_takes_all_of_a_range_with_changes() {
    let mut stage = changed_and_changed_back("keep: 100");
    let kept = list_checkpoints(&stage.directory()).unwrap();
    stage.edit(&second().replace("n % 2 = 0", "n >= 0").replace("dedupe: {key: 'n % 20'", "dedupe: {key: n"));
    let outputs = Outputs::default();
    let everything = recording(&stage, ReplayFrom::Beginning);
    let report = stage.replay_through(&stage.graph(), &everything, Some(outputs.open())).unwrap();
    assert!(report.compared.is_empty() && report.reconfiguration.is_some() && report.changes.len() == 2);
    assert_eq!(outputs.numbers("every"), (0..60).collect::<Vec<_>>());
    // From the checkpoint of the change on, readers that were new there begin once.
    let change = kept.iter().rev().find(|kept| kept.step == report.changes[0]).unwrap().number;
    let outputs = Outputs::default();
    let later = recording(&stage, ReplayFrom::Checkpoint(change));
    stage.replay_through(&stage.graph(), &later, Some(outputs.open())).unwrap();
    let of = |arn: &str| outputs.lines("bigs").iter().filter(|line| line.contains(arn)).count();
    assert_eq!((of("arn:1"), of("arn:2"), of("arn:3")), (1, 2, 2), "{:?}", outputs.lines("bigs"));
}

#[test]
fn a_difference_is_found_on_either_side_of_a_change() {
    let text = FIRST.replace("filter: 'n % 3 <> 0'", "probe: {}");
    let mut stage = Stage::new(&text);
    stage.options.once = true;
    live(&mut stage, &text, 10, &[(1, 50)]);
    let other = text.replace("key: 'n % 20'", "key: 'n % 40'").replace("within: 1000h", "within: 900h");
    stage.accepted.state_loss = vec!["fresh".to_owned()];
    live(&mut stage, &other, 20, &[(1, 50)]);
    for dropped in [3, 13] {
        stage.probe.dropped.store(dropped, std::sync::atomic::Ordering::SeqCst);
        let report = stage.replay_as_it_was(&recording(&stage, ReplayFrom::Beginning), None).unwrap();
        let sinks: Vec<&str> = report.differences.iter().map(|difference| &*difference.sink).collect();
        assert_eq!(sinks, ["all", "page/0"], "{dropped}: {report:?}");
        assert_eq!(report.differences[0].differs_at > report.changes[0], dropped == 13);
    }
}

#[test]
fn a_change_with_accepted_divergence_is_replayed_from_its_checkpoint_on() {
    let mut stage = Stage::new(FIRST);
    stage.options.once = true;
    live(&mut stage, FIRST, 10, &[(1, 50)]);
    stage.accepted.divergence = true;
    live(&mut stage, &FIRST.replace("n % 3 <> 0", "n % 2 = 0"), 20, &[(1, 50)]);
    let report = stage.replay_as_it_was(&recording(&stage, ReplayFrom::Beginning), None).unwrap();
    assert_eq!((report.differences.as_slice(), report.changes.len()), ([].as_slice(), 1));
}

#[test]
fn input_altered_in_the_middle_is_told_with_its_step_and_node() {
    let mut stage = Stage::new(FIRST);
    stage.options.once = true;
    for upto in [10, 20, 30] {
        live(&mut stage, FIRST, upto, &[(1, 50)]);
    }
    let file = stage.folder().join("in.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, whole.replace("\"n\":15,", "\"n\":16,")).unwrap();
    let error = stage.replay_as_it_was(&recording(&stage, ReplayFrom::Beginning), None).unwrap_err();
    assert!(error.message.contains("its recorded input (step ") && error.message.contains("in.jsonl"), "{error}");
    assert_eq!(error.node.as_deref(), Some("in"));
    let second = list_checkpoints(&stage.directory()).unwrap()[1].number;
    let later = Recording::open(&stage.directory(), ReplayFrom::Checkpoint(CheckpointNumber(second.0)), None).unwrap();
    assert_eq!(stage.replay_as_it_was(&later, None).unwrap().differences, [], "what comes later is as it was");
}
