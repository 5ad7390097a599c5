//! What the how-to pages promise, tried.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{markdown, read, root, tidegate, tidegate_in};

/// A machine that is a folder: nothing but accounts, and a pipeline that writes their changes.
fn small_machine(folder: &Path, refresh: &str) {
    std::fs::create_dir_all(folder.join("machine/etc")).expect("the folder can be made");
    std::fs::write(folder.join("machine/etc/machine-id"), "0123456789abcdef0123456789abcdef\n")
        .expect("an id is written");
    accounts(folder, &["root:x:0:0:root:/root:/bin/bash", "ann:x:1000:1000::/home/ann:/bin/sh"]);
    let pipeline = format!(
        "version: 1\nname: small\nsources:\n  inventory: {{host: {{root: machine, tables: [host_user]{refresh}}}}}\n\
         sinks:\n  changes: {{from: inventory.host_user, file: {{path: changes.jsonl}}}}\n"
    );
    std::fs::write(folder.join("pipeline.yaml"), pipeline).expect("the pipeline can be written");
}

fn accounts(folder: &Path, lines: &[&str]) {
    std::fs::write(folder.join("machine/etc/passwd"), lines.join("\n") + "\n").expect("accounts can be written");
}

fn changes(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("changes.jsonl")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn run_once(folder: &Path) {
    let output = tidegate_in(folder, &["run", "pipeline.yaml", "--once"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_restart_journals_only_what_has_changed_in_the_inventory() {
    let folder = tempfile::tempdir().expect("a folder");
    small_machine(folder.path(), "");
    run_once(folder.path());
    assert_eq!(changes(folder.path()).len(), 2);
    run_once(folder.path());
    assert_eq!(changes(folder.path()).len(), 2, "nothing has changed: {:?}", changes(folder.path()));

    accounts(folder.path(), &["root:x:0:0:root:/root:/bin/bash"]);
    run_once(folder.path());
    let all = changes(folder.path());
    assert_eq!(all.len(), 3);
    assert!(all[2].contains("delete") && all[2].contains("ann"), "{}", all[2]);
}

/// A program that is stopped when the test is over, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn inventory_is_refreshed_while_the_pipeline_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    small_machine(folder.path(), ", refresh: 100ms");
    let checkpoints = "version: 1\ncheckpoint: {every: 100ms}\n";
    let pipeline = std::fs::read_to_string(folder.path().join("pipeline.yaml")).expect("the pipeline");
    std::fs::write(folder.path().join("pipeline.yaml"), pipeline.replacen("version: 1\n", checkpoints, 1))
        .expect("written");
    let child = tidegate(folder.path(), &["run", "pipeline.yaml"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _running = Running(child.expect("the program starts"));
    wait_for(folder.path(), 2);
    accounts(folder.path(), &["root:x:0:0:root:/root:/bin/bash"]);
    wait_for(folder.path(), 3);
}

/// Waits until so many changes have been written.
fn wait_for(folder: &Path, count: usize) {
    let patience = Instant::now() + Duration::from_secs(30);
    while changes(folder).len() < count {
        assert!(Instant::now() < patience, "only {:?} after half a minute", changes(folder));
        std::thread::sleep(Duration::from_millis(50));
    }
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
        let done =
            Command::new("sh").args(["-c", &shell]).current_dir(folder.path()).env_remove("TIDEGATE_DIR").output();
        let done = done.expect("a shell");
        printed += &String::from_utf8_lossy(&done.stdout);
        codes.push(done.status.code());
    }
    // Whether the backtest differs depends on the machine that is looked at.
    assert_eq!(codes[..3], [Some(0); 3], "{printed}");
    assert!(matches!(codes[3..], [Some(0 | 1)]), "{codes:?}: {printed}");
    for piece in ["every sink was given the same rows (keep, show)", " through both pipelines", "show: ", " the same, "]
    {
        assert!(printed.contains(piece), "`{piece}` is missing: {printed}");
    }
}
