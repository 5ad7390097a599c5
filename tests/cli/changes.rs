//! `run` after a change of the pipeline: what goes on, what is refused, what is said.

use crate::program::Folder;

const PIPELINE: &str = "version: 1\nname: p\nsources: {events: {file: {path: events.jsonl}}}\noperators:\n  loud: {from: events, filter: \"level > 0\"}\n  fresh: {from: loud, dedupe: {key: k, within: 1h, time: t}}\nsinks: {out: {from: fresh, file: {path: out.jsonl}}}\n";

/// Events `from` and later, before `to`: each key comes every 10 events, each level every 3.
pub(crate) fn events(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("{{\"n\":{n},\"k\":\"k{}\",\"level\":{},\"t\":{n}}}\n", n % 10, n % 3)).collect()
}

/// A folder in which the pipeline has read `count` events and may go on.
fn run_over(count: usize) -> Folder {
    let folder = Folder::with(&[("p.yaml", PIPELINE), ("events.jsonl", &events(0, count))]);
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    folder
}

fn changed(folder: &Folder, from: &str, to: &str) {
    folder.write("p.yaml", folder.read("p.yaml").replace(from, to));
}

fn numbers(folder: &Folder, file: &str) -> Vec<u64> {
    let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["n"].as_u64();
    folder.read(file).lines().filter_map(number).collect()
}

#[test]
fn steps_after_the_newest_checkpoint_are_executed_under_the_filter_that_they_were_recorded_with() {
    let folder = run_over(30);
    folder.write("events.jsonl", events(0, 30) + &events(30, 60).replace("\"k\":\"k", "\"k\":\"later-"));
    folder.dies_at("manifest.write", &["run", "p.yaml", "--once"]);
    changed(&folder, "level > 0", "level > 1");
    folder.run(&["run", "p.yaml", "--once"]).code(0).said(&["goes on under a changed definition"]);
    let tail: Vec<u64> = numbers(&folder, "out.jsonl").into_iter().filter(|n| *n >= 30).collect();
    assert!(tail.iter().any(|n| n % 3 == 1), "recorded under the old filter: {tail:?}");
    assert_eq!(tail.len(), 10, "every key once: {tail:?}");

    let more = events(60, 90).replace("\"k\":\"k", "\"k\":\"last-");
    folder.write("events.jsonl", folder.read("events.jsonl") + &more);
    folder.run(&["run", "p.yaml", "--once"]).code(0);
    let last: Vec<u64> = numbers(&folder, "out.jsonl").into_iter().filter(|n| *n >= 60).collect();
    assert!(!last.is_empty() && last.iter().all(|n| n % 3 == 2), "from then on the new filter: {last:?}");
}

#[test]
fn a_renamed_node_goes_on_with_its_state() {
    let folder = run_over(30);
    let written = folder.read("out.jsonl");
    changed(&folder, "fresh: {", "unique: {was: fresh, ");
    changed(&folder, "from: fresh", "from: unique");
    folder.write("events.jsonl", events(0, 60));
    folder.run(&["run", "p.yaml", "--once"]).code(0).said(&["  unique goes on with the state of `fresh`"]);
    assert_eq!(folder.read("out.jsonl"), written, "all keys were known");
}

#[test]
fn state_is_lost_only_by_those_who_agreed() {
    let folder = run_over(30);
    let written = folder.read("out.jsonl");
    changed(&folder, "key: k,", "key: [k, level],");
    let refused = folder.run(&["run", "p.yaml", "--once"]).code(3);
    insta::assert_snapshot!(refused.stderr, @r#"
    error: p.yaml: the change of the pipeline would lose the state of:
      fresh: the options that decide what its state means were {"key":"k","time":"t"} and are {"key":["k","level"],"time":"t"}
    help: nothing was changed; go on without that state with `--accept-state-loss fresh`
    "#);
    folder.run(&["run", "p.yaml", "--once", "--accept-state-loss", "loud"]).code(3);
    assert_eq!(folder.run(&["checkpoint", "list", "p.yaml", "--format", "json"]).json()[0]["checkpoint"], 1);
    let accepted = folder.run(&["run", "p.yaml", "--once", "--accept-state-loss", "fresh"]).code(0);
    accepted.said(&["  fresh begins without its state: the options that decide"]);
    assert_eq!(folder.read("out.jsonl"), written, "nothing new came");
}

#[test]
fn a_node_that_is_gone_takes_its_state_with_it_only_when_that_is_agreed_to() {
    let folder = run_over(30);
    changed(&folder, "fresh: {", "unique: {");
    changed(&folder, "from: fresh", "from: unique");
    let refused = folder.run(&["run", "p.yaml", "--once"]).code(3);
    refused.said(&["fresh: it is not in the pipeline any more", "`was: OLD_NAME`"]);
    folder
        .run(&["run", "p.yaml", "--once", "--accept-state-loss", "fresh"])
        .code(0)
        .said(&["  unique is new", "  fresh is gone, and its state with it"]);
}

#[test]
fn a_name_that_no_node_has_is_not_agreed_to() {
    let folder = run_over(30);
    changed(&folder, "key: k,", "key: [k, level],");
    let refused = folder.run(&["run", "p.yaml", "--once", "--accept-state-loss", "frsh"]).code(3);
    refused.said(&["--accept-state-loss frsh: there is no such node", "did you mean `fresh`?", "nothing was changed"]);
}

#[test]
fn a_list_of_one_key_is_that_key_and_a_filter_that_is_gone_is_no_sink() {
    let folder = run_over(30);
    let written = folder.read("out.jsonl");
    changed(&folder, "key: k,", "key: [k],");
    changed(&folder, "  loud: {from: events, filter: \"level > 0\"}\n", "");
    changed(&folder, "from: loud", "from: events");
    folder.write("events.jsonl", events(0, 60));
    let run = folder.run(&["run", "p.yaml", "--once"]).code(0);
    let run = run.said(&["goes on under a changed definition"]);
    assert!(!run.stderr.contains("loud") && !run.stderr.contains("fresh begins"), "{}", run.stderr);
    assert_eq!(folder.read("out.jsonl"), written, "all keys were known");
}

#[test]
fn a_pipeline_that_has_finished_is_not_changed() {
    let folder = Folder::with(&[("p.yaml", PIPELINE), ("events.jsonl", &events(0, 30))]);
    folder.run(&["run", "p.yaml"]).code(0);
    changed(&folder, "level > 0", "level > 1");
    folder.run(&["run", "p.yaml"]).code(3).said(&[
        "has finished, and has been changed since",
        "--fresh",
        "replay --with",
    ]);
    folder.write("old.yaml", PIPELINE);
    folder.run(&["replay", "old.yaml", "--with", "p.yaml", "--diff"]).code(1);
    folder.run(&["replay", "p.yaml"]).code(0);
}
