//! A changed definition where there are tables: controls that are asked anew, readers that join.

use std::sync::Arc;
use std::time::Duration;

use tidegate_pipeline::journal::record::{EngineEvent, StepBody, StepRecord};

use crate::definitions::{by_id, step_records, tail};
use crate::given::{Given, rows};
use crate::providers::{hanging, provider};
use crate::stage::{Attempts, Stage, rows_in};

const CHECKED: &str = "
checkpoint: {every: off}
sources: {things: {inventory: {}}}
operators:
  found:
    from: things
    check: {sql: \"SELECT arn AS resource, CASE WHEN value > 10 THEN 'alarm' ELSE 'ok' END AS status, 'v' AS reason FROM thing\"}
sinks:
  page: {from: found, dispatch: {}}
";

const OFTEN: Option<Duration> = Some(Duration::from_millis(5));

/// How many effects, each id counted once, speak of this in this way.
fn told(attempts: &Attempts, what: &str, status: &str) -> usize {
    let status = format!("\"status\":\"{status}\"");
    by_id(&attempts.lock()).values().filter(|body| body.contains(what) && body.contains(&status)).count()
}

/// A control that lies in a folder, or in the text, is changed after a crash.
fn changed_control(text: &str, change: impl Fn(&mut Stage)) {
    let mut stage = Stage::new(text);
    control(&stage, 10);
    let attempts = Arc::clone(&stage.attempts);
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), OFTEN));
    stage.stop_when(|_| told(&attempts, "arn:2", "alarm") == 1).unwrap();
    stage.provider = Some((provider(&[&[(1, 5), (2, 50), (3, 60), (4, 4)]]), OFTEN));
    stage.crash_when(|_| told(&attempts, "arn:3", "alarm") == 1);
    assert!(tail(&stage) > 0);
    change(&mut stage);
    let script = provider(&[&[(1, 5), (2, 50), (3, 60), (4, 4)]]);
    stage.provider = Some((Arc::clone(&script), OFTEN));
    // The things have not changed; what is asked of them has.
    stage.stop_when(|_| told(&attempts, "arn:1", "alarm") == 1 && script.begun() >= 3).unwrap();
    assert_eq!(["arn:1", "arn:2", "arn:3", "arn:4"].map(|arn| told(&attempts, arn, "alarm")), [1, 1, 1, 0]);
    stage.take_attempts();
    stage.stop_when(|_| script.begun() >= 6).unwrap();
    assert_eq!(
        ["arn:1", "arn:2", "arn:3"].map(|arn| told(&attempts, arn, "alarm")),
        [0, 0, 0],
        "nothing is told twice"
    );
}

fn control(stage: &Stage, above: i64) {
    let folder = stage.folder().join("packs/p");
    std::fs::create_dir_all(folder.join("s")).unwrap();
    std::fs::write(folder.join("pack.yaml"), "name: p\nversion: '1'\n").unwrap();
    let controls = "controls:\n  - {id: c, title: T, severity: low, query: c.sql}\n";
    std::fs::write(folder.join("s/controls.yaml"), controls).unwrap();
    let sql = format!(
        "SELECT arn AS resource, CASE WHEN value > {above} THEN 'alarm' ELSE 'ok' END AS status, 'v' AS reason FROM thing"
    );
    std::fs::write(folder.join("s/c.sql"), sql).unwrap();
}

#[test]
fn a_changed_control_is_asked_of_what_is_there_and_the_tail_of_what_it_was() {
    changed_control(CHECKED, |stage| stage.edit(&CHECKED.replace("value > 10", "value > 4")));
}

#[test]
fn a_changed_control_of_a_pack_in_a_folder_is_a_change_of_the_definition() {
    let start = CHECKED.find("check: {").unwrap();
    let end = CHECKED.find("\nsinks:").unwrap();
    let text = format!("{}check: {{pack: ./packs/p}}{}", &CHECKED[..start], &CHECKED[end..]);
    changed_control(&text, |stage| control(stage, 4));
}

const PLAIN: &str = "
checkpoint: {every: off}
sources: {things: {inventory: {}}, in: {given: {}}}
sinks:
  changes: {from: things, collect: {}}
  page: {from: things, dispatch: {}}
  given: {from: in, collect: {}}
";

const WITH_READERS: &str = "
checkpoint: {every: off}
sources: {things: {inventory: {}}, in: {given: {}}}
operators:
  found:
    from: things
    check: {sql: \"SELECT arn AS resource, CASE WHEN value > 10 THEN 'alarm' ELSE 'ok' END AS status, 'v' AS reason FROM thing\"}
  big: {from: things, filter: 'value > 10'}
  known: {from: in, enrich: {node: things.thing, on: {n: id}}}
sinks:
  changes: {from: things, collect: {}}
  page: {from: things, dispatch: {}}
  given: {from: in, collect: {}}
  bigs: {from: big, dispatch: {}}
  alarms: {from: found, dispatch: {}}
  rich: {from: known, collect: {}}
";

fn joins(stage: &Stage) -> usize {
    let joined = |step: &StepRecord| matches!(step.body, StepBody::Engine(EngineEvent::Joined { .. }));
    step_records(stage).iter().filter(|step| joined(step)).count()
}

/// The effects of a sink, each id counted once.
fn of_sink(attempts: &Attempts, sink: &str) -> Vec<String> {
    let of = |(id, body): (String, String)| id.contains(&format!("/{sink}/")).then_some(body);
    by_id(&attempts.lock()).into_iter().filter_map(of).collect()
}

#[test]
fn readers_that_join_begin_with_the_tables_whatever_crashes_and_others_see_nothing_of_it() {
    let idle = Given::new(vec![rows([1, 2, 7])]).endless();
    let mut stage = Stage::new(PLAIN).give("in", idle.clone().stalling_at(0));
    let attempts = Arc::clone(&stage.attempts);
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), OFTEN));
    stage.stop_when(|_| of_sink(&attempts, "page").len() == 2).unwrap();
    assert_eq!(stage.collected("changes").len(), 2);

    stage.edit(WITH_READERS);
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), Some(Duration::from_secs(3_600))));
    stage.crash_when(|_| true);
    for _ in 0..2 {
        stage.crash_when(|_| !of_sink(&attempts, "bigs").is_empty() && told(&attempts, "arn:2", "alarm") == 1);
    }
    let mut stage = stage.give("in", idle.clone());
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), Some(Duration::from_secs(3_600))));
    stage.collected("rich");
    stage.stop_when(|status| rows_in(status, "rich") == 3).unwrap();
    assert_eq!(joins(&stage), 1);
    assert_eq!(of_sink(&attempts, "bigs").len(), 1, "the thing is big once");
    assert_eq!((told(&attempts, "arn:2", "alarm"), told(&attempts, "arn:1", "alarm")), (1, 0));
    assert_eq!(of_sink(&attempts, "page").len(), 2);
    assert_eq!(stage.collected("changes"), [] as [String; 0]);
    let rich = stage.collected("rich");
    assert!(rich.iter().any(|row| row.contains("\"n\":2") && row.contains("50")), "{rich:?}");
    stage.stop_when(|_| true).unwrap();
    assert_eq!(joins(&stage), 1);
}

#[test]
fn a_reader_that_joins_while_a_refresh_lies_open_is_told_what_came_of_it_too() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(vec![rows([1])]).endless().stalling_at(0));
    let attempts = Arc::clone(&stage.attempts);
    stage.provider = Some((hanging(&[(1, 5), (2, 50)]), None));
    stage.stop_when(|_| of_sink(&attempts, "page").len() == 2).unwrap();
    stage.edit(WITH_READERS);
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), OFTEN));
    stage.stop_when(|_| told(&attempts, "arn:2", "alarm") == 1 && !of_sink(&attempts, "bigs").is_empty()).unwrap();
    assert_eq!((of_sink(&attempts, "bigs").len(), of_sink(&attempts, "page").len()), (1, 2));
}

#[test]
fn a_reader_that_joined_and_was_not_told_before_the_next_change_is_told_then() {
    let mut stage = Stage::new(PLAIN).give("in", Given::new(vec![rows([1])]).endless().stalling_at(0));
    let attempts = Arc::clone(&stage.attempts);
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), OFTEN));
    stage.stop_when(|_| of_sink(&attempts, "page").len() == 2).unwrap();
    stage.provider = Some((provider(&[&[(1, 5), (2, 50)]]), Some(Duration::from_secs(3_600))));
    for text in [WITH_READERS.to_owned(), WITH_READERS.replace("value > 10'", "value > 20'"), WITH_READERS.to_owned()] {
        stage.edit(&text);
        stage.crash_when(|_| true);
    }
    stage.stop_when(|_| told(&attempts, "arn:2", "alarm") >= 1 && !of_sink(&attempts, "bigs").is_empty()).unwrap();
    assert_eq!(of_sink(&attempts, "bigs").len(), 1);
    assert_eq!(told(&attempts, "arn:2", "alarm"), 1);
}
