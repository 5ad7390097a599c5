//! What the how-to pages promise, tried.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::program::{Done, Folder};
use super::{markdown, read, root};

/// A machine that is a folder: nothing but accounts, and a pipeline that writes their changes.
fn small_machine(refresh: &str) -> Folder {
    let folder = Folder::with(&[("machine/etc/machine-id", "0123456789abcdef0123456789abcdef\n")]);
    accounts(&folder, &["root:x:0:0:root:/root:/bin/bash", "ann:x:1000:1000::/home/ann:/bin/sh"]);
    let pipeline = format!(
        "version: 1\nname: small\ncheckpoint: {{every: 100ms}}\nsources:\n  inventory: {{host: {{root: machine, tables: [host_user]{refresh}}}}}\n\
         sinks:\n  changes: {{from: inventory.host_user, file: {{path: changes.jsonl}}}}\n"
    );
    folder.write("pipeline.yaml", pipeline);
    folder
}

fn accounts(folder: &Folder, lines: &[&str]) {
    folder.write("machine/etc/passwd", lines.join("\n") + "\n");
}

/// The changes after one more run.
fn run_once(folder: &Folder) -> Vec<Value> {
    folder.run(&["run", "pipeline.yaml", "--once"]).code(0);
    folder.rows("changes.jsonl")
}

#[test]
fn a_restart_journals_only_what_has_changed_in_the_inventory() {
    let folder = small_machine("");
    assert_eq!(run_once(&folder).len(), 2);
    let unchanged = run_once(&folder);
    assert_eq!(unchanged.len(), 2, "nothing has changed: {unchanged:?}");

    accounts(&folder, &["root:x:0:0:root:/root:/bin/bash"]);
    let all = run_once(&folder);
    assert_eq!(all.len(), 3);
    assert_eq!((&all[2]["_op"], &all[2]["name"]), (&json!("delete"), &json!("ann")));
}

#[test]
fn inventory_is_refreshed_while_the_pipeline_runs() {
    let folder = small_machine(", refresh: 100ms");
    let mut running = folder.start(&["run", "pipeline.yaml"]);
    running.until("both accounts", || folder.rows("changes.jsonl").len() == 2);
    accounts(&folder, &["root:x:0:0:root:/root:/bin/bash"]);
    running.until("the change", || folder.rows("changes.jsonl").len() == 3);
}

#[test]
fn the_replay_in_the_readme_runs_on_the_quickstart() {
    let folder = super::examples::workplace();
    let blocks = markdown::code_blocks(&read(&root().join("README.md")));
    let block = blocks.iter().find(|block| block.before == "<!-- replay -->").expect("the commands are there");
    let mut codes = Vec::new();
    let mut printed = String::new();
    for line in block.text.lines() {
        let shell = line.replacen("tidegate ", concat!(env!("CARGO_BIN_EXE_tidegate"), " "), 1);
        let mut command = Command::new("sh");
        command.args(["-c", &shell]).current_dir(folder.path()).env_remove("TIDEGATE_DIR");
        let done = Done::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        printed += &done.stdout;
        codes.push(done.code);
    }
    // Whether the backtest differs depends on the machine that is looked at.
    assert_eq!(codes[..3], [Some(0); 3], "{printed}");
    assert!(matches!(codes[3..], [Some(0 | 1)]), "{codes:?}: {printed}");
    for piece in ["every sink was given the same rows (keep, show)", " through both pipelines", "show: ", " the same, "]
    {
        assert!(printed.contains(piece), "`{piece}` is missing: {printed}");
    }
}
