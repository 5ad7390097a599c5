//! The events and the lookup table, from a fixed seed: the shape of real operations events, about 335 bytes each.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn of<'a>(&mut self, values: &[&'a str]) -> &'a str {
        values[self.next() as usize % values.len()]
    }
}

/// Writes `events.jsonl` and `owners.csv` into a folder.
pub(crate) fn write(folder: &Path, count: usize) -> std::io::Result<()> {
    let mut numbers = Numbers(20_261_120);
    let resources: Vec<String> = (0..20_000).map(|_| format!("i-{:016x}", numbers.next())).collect();
    let mut owners = BufWriter::new(File::create(folder.join("owners.csv"))?);
    writeln!(owners, "resource_id,owner,cost_center")?;
    for (index, resource) in resources.iter().take(10_000).enumerate() {
        writeln!(owners, "{resource},team-{},cc-{}", index % 97, index % 13)?;
    }
    owners.flush()?;
    let severities = ["info", "info", "info", "info", "info", "info", "warning", "warning", "warning", "critical"];
    let mut events = BufWriter::with_capacity(1 << 20, File::create(folder.join("events.jsonl"))?);
    for index in 0..count {
        let kind = numbers.of(&["instance", "volume", "elastic_ip", "security_group"]);
        let source = numbers.of(&["alertmanager", "kafka", "webhook"]);
        let (account, region) =
            (numbers.next() % 50, numbers.of(&["us-west-1", "us-east-1", "eu-west-1", "ap-south-1"]));
        let resource = &resources[numbers.next() as usize % resources.len()];
        let state = numbers.of(&["running", "stopped", "available", "in-use"]);
        let severity = numbers.of(&severities);
        let (cpu, size) = ((numbers.next() % 10_000) as f64 / 100.0, numbers.of(&["8", "20", "100", "500", "1000"]));
        let (team, environment) = (numbers.next() % 97, numbers.of(&["prod", "dev", "stage"]));
        let ts = 1_795_200_000_000_u64 + index as u64 * 3;
        writeln!(
            events,
            "{{\"event_id\":\"e-{index:09}\",\"ts\":{ts},\"source\":\"{source}\",\"account\":\"{account:012}\",\
             \"region\":\"{region}\",\"resource_id\":\"{resource}\",\"kind\":\"{kind}\",\"state\":\"{state}\",\
             \"severity\":\"{severity}\",\"cpu\":{cpu:.2},\"size_gib\":{size},\"labels\":{{\"team\":\"t{team}\",\
             \"env\":\"{environment}\"}},\"message\":\"resource changed state during the refresh of its region\"}}"
        )?;
    }
    events.flush()
}
