//! Generated operations events, and the pipeline that is killed while it reads them.

use std::fmt::Write as _;
use std::path::Path;

use crate::program::{Folder, Numbers};

/// What the pipeline writes.
pub(crate) const OUTPUTS: &[&str] = &["critical.jsonl", "others.jsonl", "rejected.jsonl"];

/// Reads, filters, enriches, removes duplicates, routes; some lines are broken.
pub(crate) const PIPELINE: &str = r#"
version: 1
name: events
checkpoint: {every: 20ms, keep: 3}
limits: {edge: {rows: 2000}}
sources:
  events: {file: {path: events.jsonl}}
operators:
  loud:  {from: events, filter: "severity <> 'info'"}
  owned: {from: loud, enrich: {table: owners.csv, on: resource_id}}
  fresh: {from: owned, dedupe: {key: [resource_id, kind, severity], within: 10m, time: ts}}
  alarm: {from: fresh, select: "*, size_gib > 100 AS alarm"}
  split: {from: alarm, route: {critical: "severity = 'critical'"}}
sinks:
  critical: {from: split.critical, file: {path: critical.jsonl}}
  others:   {from: split.unmatched, file: {path: others.jsonl}}
  rejected: {from: events.errors, file: {path: rejected.jsonl}}
"#;

/// A folder with all that the pipeline needs.
pub(crate) fn home(count: usize) -> Folder {
    let folder = Folder::new();
    write(folder.path(), count);
    folder
}

/// Writes the pipeline, `count` events and the table of owners into a folder.
pub(crate) fn write(directory: &Path, count: usize) {
    let mut numbers = Numbers(20_261_121);
    let mut events = String::new();
    for index in 0..count {
        let kind = ["instance", "volume", "elastic_ip"][numbers.below(3) as usize];
        let severity = ["info", "info", "warning", "critical"][numbers.below(4) as usize];
        let (resource, size) = (numbers.below(2_000), numbers.below(1_000));
        let ts = 1_795_200_000_000_u64 + index as u64 * 100;
        let message = "resource changed state during the refresh of its region";
        if index % 5_000 == 4_999 {
            events.push_str("{\"event_id\": \"broken\n");
        }
        let _ = writeln!(
            events,
            "{{\"event_id\":\"e-{index:07}\",\"ts\":{ts},\"resource_id\":\"i-{resource:05}\",\"kind\":\"{kind}\",\
             \"severity\":\"{severity}\",\"size_gib\":{size},\"message\":\"{message}\"}}"
        );
    }
    let owners = (0..1_000).map(|index| format!("i-{index:05},team-{}\n", index % 17));
    let owners: String = std::iter::once("resource_id,owner\n".to_owned()).chain(owners).collect();
    for (name, text) in [("events.jsonl", events.as_str()), ("owners.csv", &owners), ("pipeline.yaml", PIPELINE)] {
        std::fs::write(directory.join(name), text).expect("the folder can be written");
    }
}
