//! `replay`: the same again, another pipeline over what was recorded, what cannot be replayed.

use crate::changes::events;
use crate::program::{Done, Folder};

const PIPELINE: &str = "version: 1\nname: p\nsources: {events: {file: {path: events.jsonl}}}\noperators:\n  loud: {from: events, filter: \"level > 0\"}\n  fresh: {from: loud, dedupe: {key: k, within: 1h, time: t}}\nsinks: {out: {from: fresh, file: {path: out.jsonl}}}\n";

/// Three runs over a file that grows: a checkpoint after each.
fn three_runs() -> Folder {
    let folder = Folder::with(&[("p.yaml", PIPELINE)]);
    for round in 1..=3 {
        let later = |n: usize| events(n * 20, n * 20 + 20).replace("\"k\":\"k", &format!("\"k\":\"{n}-"));
        folder.write("events.jsonl", (0..round).map(later).collect::<String>());
        folder.run(&["run", "p.yaml", "--once"]).code(0);
    }
    folder
}

fn replay(folder: &Folder, arguments: &[&str]) -> Done {
    folder.run(&[&["replay", "p.yaml"], arguments].concat())
}

fn with(folder: &Folder, from: &str, to: &str) {
    folder.write("other.yaml", PIPELINE.replace(from, to));
}

#[test]
fn a_replay_proves_that_the_same_comes_out() {
    let folder = three_runs();
    let written = folder.read("out.jsonl");
    let all = "the input is what it was, and every sink was given the same rows (out)\n";
    replay(&folder, &[]).code(0).printed(&["replayed ", " (1 to ", all]);
    for arguments in [&["--from", "start"][..], &["--from", "1"], &["--from", "2", "--to", "3"], &["--to", "1"]] {
        replay(&folder, arguments).code(0).printed(&[all]);
    }
    let report = replay(&folder, &["--from", "1", "--format", "json"]).code(0).json();
    let listed = folder.run(&["checkpoint", "list", "p.yaml", "--format", "json"]).json();
    assert_eq!((&report["from"], &report["through"]), (&listed[2]["step"], &listed[0]["step"]));
    assert_eq!((&report["compared"][0], report["differences"].as_array().map(Vec::len)), (&"out".into(), Some(0)));
    assert_eq!(replay(&folder, &["--format", "jsonl"]).code(0).json_lines().len(), 1);
    replay(&folder, &["--output", "again"]).code(0);
    let mut lines: Vec<_> = written.lines().map(str::to_owned).collect();
    assert_eq!(folder.read("again/out.jsonl").lines().map(str::to_owned).collect::<Vec<_>>(), lines);
    replay(&folder, &["--from", "1", "--output", "later"]).code(0);
    lines.retain(|line| !line.contains("\"0-"));
    assert_eq!(folder.read("later/out.jsonl").lines().map(str::to_owned).collect::<Vec<_>>(), lines);
    assert_eq!(folder.read("out.jsonl"), written, "what the run wrote is left alone");
}

#[test]
fn a_backtest_shows_what_another_pipeline_makes_of_the_same_input() {
    let folder = three_runs();
    with(&folder, "level > 0", "level = 2 OR n = 0");
    let shown = replay(&folder, &["--with", "other.yaml", "--diff", "--from", "1"]).code(1).stdout;
    insta::assert_snapshot!(shown);
    let report = replay(&folder, &["--with", "other.yaml", "--diff", "--format", "json"]).code(1).json();
    let sink = &report["sinks"][0];
    assert_eq!((&sink["sink"], &sink["only_after"]), (&"out".into(), &11.into()));
    let lines = replay(&folder, &["--with", "other.yaml", "--diff", "--format", "jsonl"]).code(1).json_lines();
    assert_eq!((lines.len(), &lines[0]), (1, sink));
    replay(&folder, &["--with", "p.yaml", "--diff"]).code(0).printed(&["0 gone, 0 new"]);
    replay(&folder, &["--with", "other.yaml", "--output", "other"]).code(0).printed(&["outputs in other"]);
    assert!(folder.read("other/out.jsonl").starts_with("{\"n\":0,"));
}

#[test]
fn a_backtest_from_a_checkpoint_says_which_state_goes_on() {
    let folder = three_runs();
    with(&folder, "key: k,", "key: [k, level],");
    let done = replay(&folder, &["--with", "other.yaml", "--diff", "--from", "1"]).code(1);
    done.printed(&["  fresh begins without its state: the options"]);
    let from_start = replay(&folder, &["--with", "other.yaml", "--diff"]).code(1).stdout;
    assert!(!from_start.contains("is new") && !from_start.contains("without its state"), "{from_start}");
}

#[test]
fn after_a_change_of_the_pipeline_what_came_since_is_replayed() {
    let folder = three_runs();
    folder.write("p.yaml", PIPELINE.replace("level > 0", "level > 1"));
    folder.write("events.jsonl", folder.read("events.jsonl") + &events(60, 80));
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    replay(&folder, &[]).code(0).printed(&["the same rows (out)"]);
    replay(&folder, &["--from", "start"])
        .code(0)
        .printed(&[", under another definition after step ", "the same rows (out)"]);
    replay(&folder, &["--from", "start", "--to", "3"]).code(0).printed(&["the same rows (out)"]);
    let shown = replay(&folder, &["--from", "start", "--with", "p.yaml", "--diff"]).code(1).stdout;
    assert!(shown.contains("\nout: "), "{shown}");
    let written = folder.read("out.jsonl");
    replay(&folder, &["--from", "start", "--output", "again"]).code(0);
    assert_eq!(folder.read("again/out.jsonl"), written, "both stretches are in one file");
}

#[test]
fn input_that_has_gone_or_changed_is_said_before_anything_runs() {
    let folder = three_runs();
    let input = folder.read("events.jsonl");
    folder.write("events.jsonl", input.replace("\"level\":2", "\"level\":1"));
    let done = replay(&folder, &["--output", "again"]).code(3);
    done.said(&["error: node `events`: its recorded input (step ", "cannot be replayed", "journal: {inline: all}"]);
    folder.write("events.jsonl", &input[..input.len() / 2]);
    replay(&folder, &[]).code(3).said(&["node `events`: its recorded input (step ", "cannot be replayed"]);
    folder.write("events.jsonl", input.replace("\"n\":25,", "\"n\":26,"));
    replay(&folder, &[]).code(3).said(&["node `events`: its recorded input (step ", "`events.jsonl` has changed"]);
    std::fs::remove_file(folder.path().join("events.jsonl")).unwrap();
    let gone = [
        "node `events`: what was recorded cannot be replayed: there is no file `events.jsonl`",
        "nothing was executed",
    ];
    replay(&folder, &[]).code(3).said(&gone);
    folder.write("events.jsonl", input);
    replay(&folder, &[]).code(0);
}

#[test]
fn what_cannot_be_replayed_is_told_with_a_way_out() {
    let folder = Folder::with(&[("p.yaml", PIPELINE), ("events.jsonl", &events(0, 9))]);
    replay(&folder, &[]).code(3).said(&["holds no checkpoint yet", "tidegate run"]);
    folder.run(&["run", "p.yaml"]).code(0);
    replay(&folder, &[]).code(0);
    replay(&folder, &["--from", "7"]).code(3).said(&["no checkpoint 7", "checkpoint list"]);
    replay(&folder, &["--to", "7"]).code(3).said(&["no checkpoint 7"]);
    replay(&folder, &["--from", "soon"]).code(3).said(&["`checkpoint list`", "`start`"]);
    replay(&folder, &["--from", "1"]).code(3).said(&["there is nothing between"]);
    replay(&folder, &["--diff"]).code(3).said(&["--with"]);
    folder.write("other.yaml", PIPELINE.replace("events:", "logins:").replace("from: events", "from: logins"));
    replay(&folder, &["--with", "other.yaml"]).code(3).said(&["none of the recorded sources (events)", "by name"]);
}
