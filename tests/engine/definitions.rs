//! A start with a changed definition, also after a crash: what was recorded is executed as it was recorded, marks
//! hold, state moves over or is refused, and nothing is written or sent twice or lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_pipeline::checkpoint::list_checkpoints;
use tidegate_pipeline::journal::read_directory;
use tidegate_pipeline::journal::record::{EngineEvent, Record, StepBody, StepRecord};
use tidegate_pipeline::runtime::{EffectChange, Fate, RunOutcome, change_effects};
use tidegate_pipeline::sink::Attempt;
use tidegate_pipeline::step::StepNumber;
use tidegate_pipeline::testing::crash::VARIABLE;

use crate::crash_points;
use crate::given::{Given, batches, rows};
use crate::program::{Folder, Outputs};
use crate::stage::{Attempts, Stage, copy, rows_in};

const EVEN: &str = "
checkpoint: {every: off}
sources: {in: {given: {}}}
operators: {some: {from: in, filter: 'n % 2 = 0'}}
sinks:
  all: {from: some, file: {path: all.jsonl}}
  page: {from: some, dispatch: {}}
";

fn again() -> Attempt {
    Attempt::Again { reason: "not now".to_owned(), after: None }
}

fn number(line: &str) -> i64 {
    let row: serde_json::Value = serde_json::from_str(line).unwrap();
    row["n"].as_i64().unwrap()
}

/// Whether an effect with this number has left.
fn left(attempts: &Attempts, wanted: i64) -> bool {
    attempts.lock().iter().any(|(_, body)| number(body) == wanted)
}

/// The bodies that left, by id: under one id only ever one.
pub(crate) fn by_id(attempts: &[(String, String)]) -> BTreeMap<String, String> {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for (id, body) in attempts {
        let known = bodies.insert(id.clone(), body.clone());
        assert!(known.is_none_or(|known| known == *body), "{id} left with two bodies");
    }
    bodies
}

/// The numbers of all effects, each id counted once, sorted.
fn sent(stage: &Stage) -> Vec<i64> {
    let mut numbers: Vec<i64> = by_id(&stage.attempts.lock()).values().map(|body| number(body)).collect();
    numbers.sort_unstable();
    numbers
}

fn written(stage: &Stage, file: &str) -> Vec<i64> {
    std::fs::read_to_string(stage.folder().join(file)).unwrap().lines().map(number).collect()
}

pub(crate) fn step_records(stage: &Stage) -> Vec<StepRecord> {
    let step = |record| match record {
        Record::Step(step) => Some(step),
        _ => None,
    };
    let records = read_directory(&stage.directory(), StepNumber::ZERO).unwrap();
    records.filter_map(|record| step(record.unwrap().1)).collect()
}

/// How many steps the journal holds after the newest checkpoint.
pub(crate) fn tail(stage: &Stage) -> usize {
    let newest = list_checkpoints(&stage.directory()).unwrap().first().map_or(StepNumber::ZERO, |newest| newest.step);
    step_records(stage).iter().filter(|step| step.header.number > newest).count()
}

/// Four batches of ten numbers, of which the first `count` come.
fn tens(count: usize) -> Given {
    Given::new(batches(40, 10)).endless().stalling_at(count)
}

/// Stops after the first batch and crashes after the second one, which then lies in the journal's tail.
fn crashed(text: &str, answer: fn(&str) -> Attempt, given: impl Fn(usize) -> Given) -> Stage {
    let mut stage = Stage::new(text).give("in", given(1));
    (stage.answer, stage.options.delivery.attempts) = (Arc::new(answer), 100_000);
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 8)).unwrap();
    let stage = stage.give("in", given(2));
    stage.crash_when(|_| left(&attempts, 18));
    assert!(tail(&stage) > 0, "a crash leaves steps behind the checkpoint");
    stage.give("in", given(4))
}

fn fate(stage: &Stage, node: &str) -> Option<Fate> {
    let change = stage.change.lock();
    change.as_ref()?.nodes.iter().find(|known| known.node == node).map(|known| known.fate.clone())
}

fn multiples(of: i64, range: std::ops::Range<i64>) -> Vec<i64> {
    range.filter(|n| n % of == 0).collect()
}

#[test]
fn a_changed_filter_decides_from_the_end_of_the_journal_on() {
    let mut stage = crashed(EVEN, |_| Attempt::Done, tens);
    stage.edit(&EVEN.replace("n % 2 = 0", "n % 5 = 0"));
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 35)).unwrap();
    let expected = [multiples(2, 0..20), multiples(5, 20..40)].concat();
    assert_eq!(written(&stage, "all.jsonl"), expected);
    assert_eq!(sent(&stage), expected);
    assert_eq!(fate(&stage, "some"), Some(Fate::Kept));
}

#[test]
fn a_new_sink_begins_behind_the_journal_and_the_others_go_on() {
    let mut stage = crashed(EVEN, |_| Attempt::Done, tens);
    stage.edit(&format!(
        "{EVEN}  more: {{from: in, file: {{path: more.jsonl}}}}\n  also: {{from: in, dispatch: {{}}}}\n"
    ));
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| by_id(&attempts.lock()).len() >= 40).unwrap();
    assert_eq!(written(&stage, "all.jsonl"), multiples(2, 0..40));
    assert_eq!(written(&stage, "more.jsonl"), (20..40).collect::<Vec<_>>());
    let bodies = by_id(&stage.take_attempts());
    let of = |sink: &str| bodies.keys().filter(|id| id.contains(&format!("/{sink}/"))).count();
    assert_eq!((of("page"), of("also")), (20, 20));
    assert_eq!(fate(&stage, "more"), Some(Fate::New));
}

#[test]
fn the_effects_of_a_removed_sink_are_delivered_as_its_old_definition_says() {
    let mut stage = crashed(EVEN, |_| again(), tens);
    let before = by_id(&stage.take_attempts());
    assert_eq!(before.len(), 10);
    stage.edit(EVEN.split("  page:").next().unwrap());
    stage.answer = Arc::new(|_| Attempt::Done);
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|status| attempts.lock().len() >= 10 && rows_in(status, "all") >= 10).unwrap();
    let after = stage.take_attempts();
    assert_eq!((after.len(), by_id(&after)), (10, before), "each once, under its id");
    assert_eq!(written(&stage, "all.jsonl"), multiples(2, 0..40));
    assert_eq!(fate(&stage, "page"), Some(Fate::Removed));
    stage.crash_when(|_| true);
    stage.stop_when(|_| true).unwrap();
    assert_eq!(stage.take_attempts(), []);
}

#[test]
fn a_removed_sink_that_comes_back_sends_what_is_left_once() {
    let mut stage = crashed(EVEN, |_| again(), tens);
    let before = by_id(&stage.take_attempts());
    stage.edit(EVEN.split("  page:").next().unwrap());
    stage.stop_when(|status| rows_in(status, "all") >= 10).unwrap();
    stage.take_attempts();
    stage.edit(EVEN);
    stage.answer = Arc::new(|_| Attempt::Done);
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| attempts.lock().len() >= 10).unwrap();
    let after = stage.take_attempts();
    assert_eq!((after.len(), by_id(&after)), (10, before));
}

#[test]
fn a_new_input_of_a_dispatching_sink_brings_only_what_is_new() {
    let mut stage = crashed(EVEN, |_| Attempt::Done, tens);
    stage.edit(&EVEN.replace("page: {from: some", "page: {from: [some, in]"));
    let attempts = Arc::clone(&stage.attempts);
    stage
        .stop_when(|_| left(&attempts, 39) && attempts.lock().iter().filter(|(_, body)| number(body) == 38).count() > 1)
        .unwrap();
    let mut expected = [multiples(2, 0..40), (20..40).collect()].concat();
    expected.sort_unstable();
    assert_eq!(sent(&stage), expected);
}

#[test]
fn renamed_nodes_keep_state_marks_and_effects() {
    let text = "
checkpoint: {every: off}
sources: {in: {given: {}}}
operators: {fresh: {from: in, dedupe: {key: n, within: 1000h, time: t}}}
sinks:
  all: {from: fresh, file: {path: all.jsonl}}
  page: {from: fresh, dispatch: {}}
";
    let overlapping =
        |count| Given::new((0..4).map(|n| rows(n * 10 - n..n * 10 + 10)).collect()).endless().stalling_at(count);
    let mut stage = crashed(text, |_| again(), overlapping);
    let before = by_id(&stage.take_attempts());
    assert_eq!(before.len(), 20);
    let renamed = text
        .replace("fresh: {from", "unique: {was: fresh, from")
        .replace("from: fresh", "from: unique")
        .replace("all: {", "every: {was: all, ")
        .replace("page: {", "pager: {was: page, ");
    stage.edit(&renamed);
    stage.answer = Arc::new(|_| Attempt::Done);
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 39) && by_id(&attempts.lock()).len() >= 40).unwrap();
    let after = stage.take_attempts();
    assert_eq!(after.len(), 40, "each once");
    let after = by_id(&after);
    assert!(before.iter().all(|known| after.get(known.0) == Some(known.1)), "under the ids that they had");
    assert_eq!(written(&stage, "all.jsonl"), (0..40).collect::<Vec<_>>());
    assert_eq!(fate(&stage, "pager"), Some(Fate::Renamed { from: "page".to_owned() }));
    stage.stop_when(|_| true).unwrap();
    assert_eq!(stage.take_attempts(), []);
}

#[test]
fn a_removed_dedupe_is_refused_by_name_and_changes_nothing() {
    let text = EVEN.replace("filter: 'n % 2 = 0'", "dedupe: {key: n, within: 1h}");
    let mut stage = crashed(&text, |_| Attempt::Done, tens);
    stage.edit(
        &text
            .replace("operators: {some: {from: in, dedupe: {key: n, within: 1h}}}", "")
            .replace("from: some", "from: in"),
    );
    let before = (step_records(&stage).len(), list_checkpoints(&stage.directory()).unwrap().len());
    let error = stage.run().unwrap_err();
    assert!(error.message.contains("lose the state of") && error.message.contains("some"), "{error}");
    assert!(error.remedy.unwrap().contains("--accept-state-loss some"));
    assert_eq!((step_records(&stage).len(), list_checkpoints(&stage.directory()).unwrap().len()), before);
    stage.edit(&text);
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 39)).unwrap();
    assert_eq!(written(&stage, "all.jsonl"), (0..40).collect::<Vec<_>>());
}

#[test]
fn another_path_of_a_source_is_refused_until_the_loss_is_accepted() {
    let text = "
checkpoint: {every: off}
sources: {in: {file: {path: a.jsonl}}, idle: {given: {}}}
sinks: {all: {from: in, file: {path: all.jsonl}}, page: {from: [in, idle], dispatch: {}}}
";
    let mut stage = Stage::new(text).give("idle", Given::new(batches(1, 1)).endless().stalling_at(0));
    for (file, from) in [("a.jsonl", 0), ("b.jsonl", 100)] {
        let lines: String = rows_text(from..from + 5, "");
        std::fs::write(stage.folder().join(file), lines).unwrap();
    }
    let attempts = Arc::clone(&stage.attempts);
    stage.crash_when(|_| left(&attempts, 4));
    stage.edit(&text.replace("a.jsonl", "b.jsonl"));
    let error = stage.run().unwrap_err();
    assert!(error.message.contains("in: the options"), "{error}");
    stage.accepted.state_loss = vec!["in".to_owned()];
    stage.stop_when(|_| left(&attempts, 104)).unwrap();
    let expected = [0, 1, 2, 3, 4, 100, 101, 102, 103, 104];
    assert_eq!((sent(&stage), written(&stage, "all.jsonl")), (expected.to_vec(), expected.to_vec()));
}

fn rows_text(numbers: std::ops::Range<i64>, more: &str) -> String {
    numbers.map(|n| format!("{{\"k\":\"k{}\",\"n\":{n},\"t\":{}{more}}}\n", n % 5, n * 1000)).collect()
}

#[test]
fn effects_that_ended_behind_the_newest_checkpoint_without_a_step_have_ended() {
    let mut stage = Stage::new(EVEN).give("in", tens(1));
    stage.answer = Arc::new(|_| again());
    stage.options.delivery.attempts = 100_000;
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 8)).unwrap();
    let ids: Vec<String> = by_id(&stage.take_attempts()).into_keys().collect();
    change_effects(&stage.directory(), "stage", EffectChange::Discard, &ids[..2]).unwrap();
    // The others are delivered in a life without a step and without an order.
    stage.answer = Arc::new(|_| Attempt::Done);
    stage.stop_when(|_| attempts.lock().len() >= 3).unwrap();
    assert_eq!(tail(&stage), 0);
    stage.take_attempts();
    stage.edit(&EVEN.replace("n % 2 = 0", "n % 5 = 0"));
    let stage = stage.give("in", tens(2));
    stage.stop_when(|_| left(&attempts, 15)).unwrap();
    assert_eq!(sent(&stage), [10, 15]);
}

/// The state that a crash leaves between the journaled definition and the checkpoint that takes it over.
fn half_changed(text: &str) -> Stage {
    let mut stage = crashed(EVEN, |_| Attempt::Done, tens);
    let stalled = tens(2);
    stage = stage.give("in", stalled);
    stage.stop_when(|status| rows_in(status, "some") >= 10).unwrap();
    assert_eq!(tail(&stage), 0);
    let (state, kept) = (stage.directory(), stage.folder().join("kept"));
    copy(&state, &kept);
    stage.edit(text);
    stage.stop_when(|_| true).unwrap();
    for folder in ["journal", "segments"] {
        copy(&state.join(folder), &kept.join(folder));
    }
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(&kept, &state).unwrap();
    let last = step_records(&stage).pop().unwrap();
    assert!(matches!(last.body, StepBody::Engine(EngineEvent::Definition { .. })), "{last:?}");
    assert_eq!(tail(&stage), 1);
    stage.give("in", tens(4))
}

#[test]
fn a_crash_between_the_journaled_definition_and_its_checkpoint_leaves_both_ways_open() {
    let new = EVEN.replace("n % 2 = 0", "n % 5 = 0");
    for (text, last, later) in [(new.as_str(), 35, multiples(5, 20..40)), (EVEN, 38, multiples(2, 20..40))] {
        let mut stage = half_changed(&new);
        stage.edit(text);
        let attempts = Arc::clone(&stage.attempts);
        stage.stop_when(|_| left(&attempts, last)).unwrap();
        let expected = [multiples(2, 0..20), later].concat();
        assert_eq!(written(&stage, "all.jsonl"), expected);
        assert_eq!(sent(&stage), expected);
    }
}

#[test]
fn a_definition_that_cannot_be_planned_any_more_stops_until_divergence_is_accepted() {
    let mut stage = crashed(EVEN, |_| Attempt::Done, tens);
    stage.edit(&EVEN.replace("n % 2 = 0", "n % 5 = 0").replace("page: {", "pager: {was: page, "));
    stage.forgetful = true;
    let error = stage.run().unwrap_err();
    assert!(error.message.contains("cannot be planned any more"), "{error}");
    assert!(error.remedy.unwrap().contains("--accept-divergence"));
    assert!(tail(&stage) > 0, "nothing was executed");
    stage.accepted.divergence = true;
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 35)).unwrap();
    // What had left by the mark is not sent again by other rules; the file had not got there.
    assert_eq!(sent(&stage), [multiples(2, 0..20), multiples(5, 20..40)].concat());
    assert_eq!(written(&stage, "all.jsonl"), [multiples(2, 0..10), multiples(5, 10..40)].concat());
}

#[test]
fn divergence_can_be_accepted_before_there_is_any_checkpoint() {
    let mut stage = Stage::new(EVEN).give("in", tens(2));
    let attempts = Arc::clone(&stage.attempts);
    stage.crash_when(|_| left(&attempts, 18));
    stage.edit(&EVEN.replace("n % 2 = 0", "n % 5 = 0"));
    (stage.forgetful, stage.accepted.divergence) = (true, true);
    let stage = stage.give("in", tens(4));
    stage.stop_when(|_| left(&attempts, 35)).unwrap();
    assert_eq!(sent(&stage), [multiples(2, 0..20), multiples(5, 20..40)].concat());
    assert_eq!(written(&stage, "all.jsonl"), multiples(5, 0..40));
}

#[test]
fn a_finished_pipeline_that_has_changed_is_refused() {
    let mut stage = Stage::new(EVEN).give("in", Given::new(batches(10, 10)));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    stage.edit(&EVEN.replace("n % 2 = 0", "n % 5 = 0"));
    let error = stage.run().unwrap_err();
    let remedy = error.remedy.clone().unwrap();
    assert!(error.message.contains("has finished") && remedy.contains("--fresh") && remedy.contains("replay --with"));
    stage.edit(EVEN);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished);
    assert_eq!(written(&stage, "all.jsonl"), multiples(2, 0..10));
}

#[test]
fn a_pipeline_whose_end_lies_in_the_journal_only_has_finished_too() {
    let mut stage = Stage::new(EVEN).give("in", Given::new(batches(10, 10)));
    let (state, kept) = (stage.directory(), stage.folder().join("kept"));
    let stalled = tens(1);
    stage = stage.give("in", stalled);
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| left(&attempts, 8)).unwrap();
    copy(&state, &kept);
    stage = stage.give("in", Given::new(batches(10, 10)));
    assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
    for folder in ["journal", "segments"] {
        copy(&state.join(folder), &kept.join(folder));
    }
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(&kept, &state).unwrap();
    assert!(tail(&stage) > 0);
    stage.edit(&EVEN.replace("n % 2 = 0", "n % 5 = 0"));
    let error = stage.run().unwrap_err();
    assert!(error.message.contains("has finished"), "{error}");
    stage.edit(EVEN);
    assert_eq!(stage.run().unwrap(), RunOutcome::AlreadyFinished);
    assert_eq!(sent(&stage), multiples(2, 0..10));
}

#[test]
fn a_file_that_has_grown_by_columns_is_planned_as_it_was_recorded() {
    let text = "
checkpoint: {every: off}
sources: {in: {file: {path: a.jsonl}}}
operators: {fresh: {from: in, dedupe: {key: n, within: 1000h, time: t}}}
sinks: {all: {from: fresh, file: {path: all.jsonl}}}
";
    let lines = |more| format!("{}{}", rows_text(0..10, ""), rows_text(10..20, more));
    let grown = |text: &str, edit: Option<&str>| {
        let mut stage = Stage::new(text);
        std::fs::write(stage.folder().join("a.jsonl"), rows_text(0..10, "")).unwrap();
        stage.options.once = true;
        assert_eq!(stage.run().unwrap(), RunOutcome::Once);
        std::fs::write(stage.folder().join("a.jsonl"), lines(",\"late\":true")).unwrap();
        edit.into_iter().for_each(|edit| stage.edit(edit));
        stage.options.once = false;
        assert_eq!(stage.run().unwrap(), RunOutcome::Finished);
        let changed = stage.change.lock().is_some();
        (written(&stage, "all.jsonl"), changed)
    };
    assert_eq!(grown(text, None), ((0..20).collect(), false));
    // With another text the file is looked at anew: the new column can be used.
    let edit = text
        .replace("from: in, dedupe", "from: late, dedupe")
        .replace("operators: {", "operators: {late: {from: in, filter: late}, ");
    assert_eq!(grown(text, Some(&edit)), ((0..20).collect(), true));
}

/// Where the program dies while it takes over a definition.
const POINTS: &[&str] = &["journal.synced", "segment.renamed", "marks.applied", "marks.applied:2", "manifest.renamed"];

#[test]
fn killed_while_it_takes_over_a_definition_the_program_ends_with_the_same_output() {
    let folder = crash_points::home();
    let whole = folder.read("events.jsonl");
    let some: Vec<&str> = whole.split_inclusive('\n').take(1_010).collect();
    folder.write("events.jsonl", some.concat());
    folder.dies_at("manifest.renamed", &["run", "small.yaml", "--once"]);
    folder.write("events.jsonl", whole);
    folder.write("small.yaml", folder.read("small.yaml").replace("n % 3 <> 0", "n % 4 <> 0"));
    let life = |environment: &[(&str, &str)]| {
        let copied = Folder::new();
        copy(folder.path(), copied.path());
        let died = crash_points::life(&copied, environment).code != Some(0);
        if died {
            crash_points::life(&copied, &[]).code(0);
        }
        // Another life more is another step more: the errors name their steps.
        (Outputs::of(copied.path(), &["out.jsonl"]), copied.rows("wrong.jsonl").len(), died)
    };
    let (expected, wrong, died) = life(&[]);
    assert!(!died && expected.none_is_empty() && wrong > 0);
    for point in POINTS {
        let (found, errors, _) = life(&[(VARIABLE, point)]);
        found.assert_same(&expected, &format!("after a crash at {point}"));
        assert_eq!(errors, wrong, "after a crash at {point}");
    }
}
