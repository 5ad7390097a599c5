//! What a pipeline keeps: checkpoints, and what a later run makes of them.

use crate::program::Folder;

const NUMBERS: &str =
    "version: 1\nname: p\nsources: {a: {range: {limit: 3}}}\nsinks: {s: {from: a, file: {path: out.jsonl}}}\n";

#[test]
fn a_finished_pipeline_has_nothing_more_to_do_until_it_is_begun_anew() {
    let folder = Folder::with(&[("p.yaml", NUMBERS)]);
    folder.run(&["run", "p.yaml"]).code(0).said(&["p: finished after", "a (range): 3 rows"]);
    let before = folder.read("out.jsonl");
    folder.run(&["run", "p.yaml"]).code(0).said(&["finished already", "--fresh"]);
    assert_eq!(folder.read("out.jsonl"), before);
    folder.run(&["run", "p.yaml", "--fresh"]).code(3).said(&["out.jsonl"]);
    std::fs::remove_file(folder.path().join("out.jsonl")).expect("it is there");
    folder.run(&["run", "p.yaml", "--fresh"]).code(0);
    assert_eq!(folder.read("out.jsonl"), before);
}

#[test]
fn quiet_says_nothing() {
    let folder = Folder::with(&[("p.yaml", NUMBERS)]);
    let done = folder.run(&["run", "p.yaml", "--quiet"]).code(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

#[test]
fn checkpoints_are_listed_and_shown() {
    let folder = Folder::with(&[("p.yaml", NUMBERS)]);
    folder.run(&["checkpoint", "list", "p.yaml"]).code(0).printed(&["no checkpoints yet"]);
    folder.run(&["checkpoint", "show", "p.yaml"]).code(3).said(&["no checkpoint yet"]);
    folder.run(&["run", "p.yaml"]).code(0);
    let list = folder.run(&["checkpoint", "list", "p.yaml", "--format", "json"]).code(0).json();
    let newest = &list[0];
    assert!(newest["checkpoint"].is_u64() && newest["step"].is_u64() && newest["time"].is_string(), "{list}");
    assert_eq!(newest["finished"], true);
    let number = newest["checkpoint"].to_string();
    let show = ["checkpoint", "show", "p.yaml", "--checkpoint", &number];
    folder.run(&show).code(0).printed(&["checkpoint 1 after step", "the pipeline has finished"]);
    let shown = folder.run(&[&show[..], &["--format", "json"]].concat()).code(0).json();
    assert_eq!(shown["step"], newest["step"]);
    folder.run(&["checkpoint", "show", "p.yaml", "--checkpoint", "99"]).code(3).said(&["no checkpoint 99"]);
    folder.run(&["checkpoint", "list", "p", "--format", "jsonl"]).code(0).printed(&["\"checkpoint\":1"]);
}

#[test]
fn checkpoints_are_listed_newest_first_while_the_pipeline_runs() {
    let text = "version: 1\nname: p\ncheckpoint: {every: 50ms, keep: 3}\nsources: {t: {tick: {delay: 0.02}}}\nsinks: {d: {from: t, drop: {}}}\n";
    let folder = Folder::with(&[("p.yaml", text)]);
    let mut running = folder.start(&["run", "p.yaml"]);
    let list = running.until("three checkpoints", || {
        let list = folder.run(&["checkpoint", "list", "p.yaml", "--format", "json"]).code(0).json();
        list.as_array().filter(|list| list.len() >= 3).cloned()
    });
    let numbers: Vec<u64> = list.iter().filter_map(|row| row["checkpoint"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] > pair[1]), "{numbers:?}");
    running.stop();
}

#[test]
fn stopped_in_order_it_goes_on_where_it_was() {
    let text = "version: 1\nname: p\ncheckpoint: {every: 50ms}\nsources: {t: {tick: {delay: 0.01}}}\nsinks: {d: {from: t, file: {path: out.jsonl}}}\n";
    let folder = Folder::with(&[("p.yaml", text)]);
    for _ in 0..2 {
        let before = folder.read("out.jsonl").len();
        let mut running = folder.start(&["run", "p.yaml"]);
        running.until("more output", || folder.read("out.jsonl").len() > before);
        running.stop().said(&["stopping", "stopped in order"]);
    }
    let numbers: Vec<u64> = folder.rows("out.jsonl").iter().filter_map(|row| row["i"].as_u64()).collect();
    assert!(!numbers.is_empty());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "nothing is lost or repeated: {numbers:?}");
}

const EVEN: &str = "version: 1\nname: p\nsources: {a: {range: {limit: 3}}}\noperators: {even: {from: a, filter: i % 2 = 0}}\nsinks: {s: {from: even, file: {path: out.jsonl}}}\n";

#[test]
fn steps_of_the_journal_are_listed_and_shown() {
    let folder = Folder::with(&[("p.yaml", NUMBERS)]);
    folder.run(&["journal", "list", "p.yaml"]).code(0).printed(&["no steps"]);
    folder.run(&["journal", "show", "p.yaml", "1"]).code(3).said(&["holds no step 1"]);
    folder.run(&["run", "p.yaml"]).code(0);
    let list = folder.run(&["journal", "list", "p.yaml", "--format", "json"]).code(0).json();
    let kinds: Vec<&str> = list.as_array().into_iter().flatten().filter_map(|row| row["kind"].as_str()).collect();
    assert!(kinds[0].starts_with("definition"), "{kinds:?}");
    assert_eq!(kinds[1..], ["reference", "end of a", "end of all input"]);
    assert_eq!((list[1]["step"].as_u64(), list[1]["source"].as_str()), (Some(2), Some("a")));
    folder.run(&["journal", "list", "p", "--from", "2", "--limit", "1"]).code(0).said(&["--from 3"]);
    folder.run(&["journal", "show", "p.yaml", "2"]).code(0).printed(&["step: 2", "kind: reference", "xxh3"]);
    folder.run(&["journal", "show", "p.yaml", "99"]).code(3).said(&["holds no step 99"]);

    let inline = NUMBERS.replace("name: p", "name: q\njournal: {inline: all}").replace("out.jsonl", "q.jsonl");
    folder.write("q.yaml", inline);
    folder.run(&["run", "q.yaml"]).code(0);
    folder.run(&["journal", "show", "q.yaml", "2"]).code(0).printed(&["kind: inline", "rows: 3", "rows of port 0"]);
    let shown = folder.run(&["journal", "show", "q.yaml", "2", "--format", "json"]).code(0).json();
    assert_eq!(shown["ports"][0]["rows"][2]["i"], 2, "{shown}");
}

#[test]
fn a_step_can_be_quarantined_for_a_node_while_nobody_runs_the_pipeline() {
    let folder = Folder::with(&[("p.yaml", EVEN)]);
    folder.run(&["journal", "quarantine", "p.yaml", "2", "even"]).code(3).said(&["holds no step 2"]);
    folder.run(&["run", "p.yaml"]).code(0);
    folder.run(&["journal", "quarantine", "p.yaml", "2", "evn"]).code(3).said(&["did you mean `even`"]);
    folder.run(&["journal", "quarantine", "p.yaml", "2", "a"]).code(3).said(&["no operator or sink `a`"]);
    folder.run(&["journal", "quarantine", "p.yaml", "999", "even"]).code(3).said(&["holds no step 999"]);
    folder.run(&["journal", "quarantine", "p.yaml", "2", "even"]).code(0).printed(&["is quarantined from now on"]);
    folder.run(&["journal", "quarantine", "p.yaml", "2", "even"]).code(0).printed(&["was quarantined already"]);
    let list = folder.run(&["journal", "list", "p.yaml", "--format", "json"]).code(0).json();
    assert_eq!(list[1]["quarantined"][0], "even", "{list}");
}
