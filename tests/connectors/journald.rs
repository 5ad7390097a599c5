//! A recorded journal of 2,000 entries, written by systemd's own tools, read by its own `journalctl`.

use std::time::Duration;

use crate::home::{Home, shown};
use crate::program::Folder;
use crate::service::Service;

// matrix: journald: happy, kill-before-ack, kill-after-ack
#[test]
fn every_entry_of_a_recorded_journal_comes_once_through_kills() {
    let Some(service) = Service::start("journal", 0) else { return };
    let file = shown(&service.file("recorded.journal"));
    let home = Home::new(&format!("{{journald: {{match: ALL, delay: 0.0005, file: {file}}}}}"));
    for kill in 0..4 {
        let running = home.run();
        std::thread::sleep(Duration::from_millis(700 + 150 * kill));
        running.kill();
    }
    home.run().wait().code(0);
    let rows = home.rows();
    assert!(rows.iter().all(|row| row["meta"]["source"]["type"] == "journald"));
    let wanted: Vec<String> = (1..=2000).map(|number| format!("entry {number}")).collect();
    assert!(rows.iter().map(|row| &row["journald"]["message"]).eq(&wanted), "each entry once, in order");
}

#[test]
fn a_match_chooses_entries_and_a_test_of_the_source_says_what_reads_them() {
    let Some(service) = Service::start("journal", 0) else { return };
    let folder = Folder::new();
    let file = format!("file={}", shown(&service.file("recorded.journal")));
    let run = folder.run(&["source", "run", "journald", "--arg", "match=PRIORITY=3", "--arg", &file]).code(0);
    assert_eq!(run.stdout.lines().count(), 250);
    let test = folder.run(&["source", "test", "journald", "--arg", "match=ALL", "--arg", &file]);
    test.code(0).printed(&["systemd 2", "journal read"]);
}
