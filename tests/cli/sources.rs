//! Sources: what they give and what is wrong with them, from the command line; how they are seen while they run.

use std::net::SocketAddr;

use serde_json::Value;

use crate::program::{Folder, eventually};
use crate::running::{free_address, get};

#[test]
fn a_source_is_tested_step_by_step() {
    let folder = Folder::with(&[("a.jsonl", "{\"a\":1}\n{\"a\":2}\n")]);
    let table = folder.run(&["source", "test", "file", "--arg", "path=a.jsonl"]).code(0);
    table.printed(&["step", "outcome", "file opened", "first rows", "2 rows", "ok"]);
    let command = "command=[sh, -c, \"echo '{\\\"a\\\":1}'\"]";
    let steps = folder.run(&["source", "test", "exec", "--arg", command, "--format", "json"]).code(0).json();
    let told: Vec<(&str, &str)> = steps.as_array().expect("a list").iter().map(step).collect();
    assert_eq!(told, [("program started", "ok"), ("first event", "ok")]);
    let watched = folder.run(&["source", "test", "watchdog", "--arg", "path=."]).code(0);
    watched.printed(&["path there", "a folder", "watched"]).said(&["`watchdog` is the old name"]);
}

fn step(check: &Value) -> (&str, &str) {
    (check["step"].as_str().unwrap_or_default(), check["outcome"].as_str().unwrap_or_default())
}

#[test]
fn what_is_wrong_with_a_source_is_said_where_it_is_found() {
    let folder = Folder::new();
    let missing = folder.run(&["source", "test", "exec", "--arg", "command=[no-such-program]", "--format", "jsonl"]);
    let steps = missing.code(2).json_lines();
    assert_eq!(steps.iter().map(step).collect::<Vec<_>>(), [("program started", "failed"), ("first event", "skipped")]);
    assert!(steps[0]["detail"].as_str().is_some_and(|detail| detail.contains("`no-such-program` cannot be started")));
    let broken = folder.run(&["source", "test", "exec", "--arg", "command=[sh, -c, 'echo why >&2; exit 3']"]);
    broken.code(2).printed(&["the program ended (exit status: 3): why"]);
    let silent = ["source", "test", "exec", "--arg", "command=[sleep, '60']", "--timeout", "1"];
    folder.run(&silent).code(2).printed(&["no answer in time"]);
    folder
        .run(&["source", "test", "file_watch", "--arg", "path=none"])
        .code(2)
        .printed(&["cannot be watched", "skipped"]);
    folder.run(&["source", "test", "file_watch", "--arg", "pth=none"]).code(3).said(&["unknown", "pth"]);
    folder.run(&["source", "test", "fil_watch"]).code(3).said(&["there is no source `fil_watch`", "file_watch"]);
}

#[test]
fn the_old_name_of_a_kind_is_warned_of_and_its_state_is_that_of_the_new_one() {
    let pipeline =
        "version: 1\nname: p\nsources: {old: {ansible.eda.watchdog: {path: .}}}\nsinks: {d: {from: old, drop: {}}}\n";
    let folder = Folder::with(&[("p.yaml", pipeline)]);
    let warned = ["`watchdog` is the old name of the source `file_watch`", "write `file_watch:`"];
    folder.run(&["validate", "p.yaml"]).code(0).said(&warned);
    let running = folder.start(&["run", "p.yaml"]);
    eventually("its first checkpoint", || folder.path().join(".tidegate/p/head").exists().then_some(()));
    running.terminate();
    let ended = running.wait().code(0).said(&warned);
    assert_eq!(ended.stderr.matches("is the old name").count(), 1, "{}", ended.stderr);
    folder.write("p.yaml", pipeline.replace("ansible.eda.watchdog", "file_watch"));
    folder.run(&["run", "p.yaml", "--once"]).code(0);
}

#[test]
fn options_go_deeper_by_dots() {
    let folder = Folder::new();
    let given = ["source", "run", "generic", "--arg", "payload.a.b=1", "--arg", "payload.a.c=[x, y]"];
    folder.run(&given).code(0).printed(&[r#"{"a":{"b":1,"c":["x","y"]}}"#]);
    folder.run(&["source", "run", "range", "--arg", "limit=1", "--arg", "limit.a=2"]).code(3).said(&["--arg limit.a"]);
}

const TROUBLED: &str = "
version: 1
name: p
restart: {initial: 10ms, max: 20ms}
sources:
  slow: {tick: {delay: 1000}, stall_after: 100ms}
  broken: {exec: {command: [sh, -c, 'echo why >&2; exit 3']}}
sinks: {d: {from: [slow, broken], drop: {}}}
";

fn status(address: SocketAddr, node: &str) -> Option<Value> {
    let answer = get(address, "/status")?;
    let page: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    page["nodes"].as_array()?.iter().find(|found| found["node"] == node).cloned()
}

#[test]
fn sources_that_stall_or_are_opened_again_and_again_are_seen() {
    let folder = Folder::with(&[("p.yaml", TROUBLED)]);
    let address = free_address();
    let mut running = folder.start(&["run", "p.yaml", "--serve", &address.to_string()]);
    let stalled =
        running.until("a stalled source", || status(address, "slow").filter(|node| node["state"] == "stalled"));
    assert!(stalled["last_arrival"].as_str().is_some_and(|time| time.ends_with('Z')), "{stalled}");
    let broken = running.until("a source that is opened again", || {
        status(address, "broken").filter(|node| node["restarts"].as_u64() > Some(2) && node["state"] == "retrying")
    });
    assert_eq!(broken["trouble"], "the program ended (exit status: 3): why");
    let metrics = get(address, "/metrics").unwrap_or_default();
    let is = |name: &str, node: &str, kind: &str| format!("{name}{{pipeline=\"p\",node=\"{node}\",kind=\"{kind}\"}}");
    assert!(metrics.contains(&format!("{} 1\n", is("tidegate_source_stalled", "slow", "tick"))), "{metrics}");
    assert!(metrics.contains(&is("tidegate_source_restarts_total", "broken", "exec")), "{metrics}");
    assert!(
        !metrics.contains(&format!("{} 0\n", is("tidegate_source_last_arrival_seconds", "slow", "tick"))),
        "{metrics}"
    );
    running.stop().said(&["The source is stalled"]);
}

const MOVED_OVER: &str = "
version: 1
name: p
sources:
  - name: numbers
    ansible.eda.generic:
      payload: {payload-of: {a-url: x, level: 1}}
      create_index: i
      loop_count: -1
    filters:
      - ansible.eda.json_filter: {exclude_keys: ['*url']}
      - eda.builtin.dashes_to_underscores:
operators:
  enough: {from: numbers, filter: 'i = 9'}
sinks:
  all: {from: numbers, file: {path: all.jsonl}}
  end: {from: enough, shutdown: {message: seen enough, delay: 5.0, kind: graceful}}
";

#[test]
fn the_sources_of_a_rulebook_run_and_a_row_ends_the_pipeline() {
    let folder = Folder::with(&[("p.yaml", MOVED_OVER)]);
    folder.run(&["run", "p.yaml", "--log", "info"]).code(0).said(&["seen enough", "stopped in order"]);
    let all = folder.read("all.jsonl");
    assert_eq!(all.lines().next(), Some(r#"{"i":0,"payload_of":{"level":1}}"#));
    assert!(all.lines().count() > 9, "what came before the end is there");
    let lines: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().enumerate().all(|(number, line)| line["i"] == number), "none is missing");
}

const STUBBORN: &str = "
version: 1
name: p
sources:
  stubborn:
    exec: {command: [sh, -c, 'trap \"\" TERM; echo \"{\\\"id\\\": $$}\"; while :; do sleep 0.05; done']}
sinks: {all: {from: stubborn, file: {path: all.jsonl}}}
checkpoint: {every: 50ms}
";

#[test]
fn a_program_that_does_not_want_to_end_ends_with_the_pipeline() {
    let folder = Folder::with(&[("p.yaml", STUBBORN)]);
    let mut running = folder.start(&["run", "p.yaml"]);
    let id = running.until("its number", || {
        let event: Value = serde_json::from_str(folder.read("all.jsonl").lines().next()?).ok()?;
        event["id"].as_u64()
    });
    running.stop();
    let lives = || {
        let state = std::fs::read_to_string(format!("/proc/{id}/stat")).ok();
        state.is_some_and(|state| !state.contains(") Z "))
    };
    eventually("the end of the program", || !lives());
}
