//! A recorded journal of 2,000 entries, written by systemd's own tools, read by its own `journalctl`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::service::Service;

fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().expect("the program starts")
}

fn messages(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("out.jsonl")).unwrap_or_default();
    let message = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("a line is JSON");
        assert_eq!(event["meta"]["source"]["type"], "journald");
        event["journald"]["message"].as_str().expect("a message").to_owned()
    };
    text.lines().map(message).collect()
}

// matrix: journald: happy, kill-before-ack, kill-after-ack
#[test]
fn every_entry_of_a_recorded_journal_comes_once_through_kills() {
    let Some(service) = Service::start("journal", 0) else { return };
    let folder = tempfile::tempdir().unwrap();
    let pipeline = format!(
        "version: 1\nname: p\ncheckpoint: {{every: 50ms}}\n\
         sources: {{in: {{journald: {{match: ALL, delay: 0.0005, file: {}}}}}}}\n\
         sinks: {{out: {{from: in, file: {{path: out.jsonl}}}}}}\n",
        service.file("recorded.journal").display()
    );
    std::fs::write(folder.path().join("p.yaml"), pipeline).unwrap();
    for kill in 0..4 {
        let mut child = start(folder.path(), &["run", "p.yaml", "--quiet"]);
        std::thread::sleep(Duration::from_millis(700 + 150 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let end = start(folder.path(), &["run", "p.yaml", "--quiet"]).wait().unwrap();
    assert!(end.success(), "{end}");
    let wanted: Vec<String> = (1..=2000).map(|number| format!("entry {number}")).collect();
    assert!(messages(folder.path()) == wanted, "each entry once, in order");
}

#[test]
fn a_match_chooses_entries_and_a_test_of_the_source_says_what_reads_them() {
    let Some(service) = Service::start("journal", 0) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = format!("file={}", service.file("recorded.journal").display());
    let run = start(folder.path(), &["source", "run", "journald", "--arg", "match=PRIORITY=3", "--arg", &file]);
    let printed = run.wait_with_output().unwrap();
    assert!(printed.status.success());
    assert_eq!(String::from_utf8_lossy(&printed.stdout).lines().count(), 250);
    let test = start(folder.path(), &["source", "test", "journald", "--arg", "match=ALL", "--arg", &file]);
    let printed = test.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.status.success() && told.contains("systemd 2") && told.contains("journal read"), "{told}");
}
