//! Input that can be read again: what its references and hashes cost beside reading, decoding and dropping it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use tidegate_pipeline::journal::{Journal, StepBody};
use tidegate_pipeline::step::{Incarnation, Position, Range, Shard};

use super::engine::{catalog, open};
use super::{Outcome, median, record};

const EVENTS: usize = 400_000;
const ROUNDS: usize = 3;
/// About how the source cuts a file.
const CHUNK: usize = 1024 * 1024;

const PIPELINE: &str = "
version: 1
name: seekable
checkpoint: {every: 1s}
journal: {inline: INLINE}
sources: {in: {file: {path: FOLDER/events.jsonl}}}
sinks: {out: {from: in, drop: {report: false}}}
";

fn events() -> String {
    let mut text = String::new();
    for number in 0..EVENTS {
        let _ = writeln!(
            text,
            "{{\"event_id\":\"e-{number:09}\",\"ts\":{},\"resource_id\":\"i-{:016x}\",\"severity\":\"{}\",\"size_gib\":{},\
             \"message\":\"resource changed state during the refresh of its region\"}}",
            1_795_200_000_000_u64 + number as u64,
            (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            ["info", "warning", "critical"][number % 3],
            number % 1_000,
        );
    }
    text
}

/// Hashes the input and journals a reference for each chunk; seconds.
fn journaling(folder: &Path, text: &str) -> Outcome<f64> {
    let (journal, _) = Journal::open(folder, Incarnation(1), Shard(0))?;
    let started = Instant::now();
    let mut position = None;
    for (number, chunk) in (1..).zip(text.as_bytes().chunks(CHUNK)) {
        let at = |offset: usize| Position(format!("{{\"offset\":{offset}}}").into());
        let (from, to) = (at(0), at(chunk.len()));
        let range = Range { from, to, hash: xxhash_rust::xxh3::xxh3_128(chunk), bytes: chunk.len() as u64 };
        let body = StepBody::Reference { ranges: vec![range], position: at(chunk.len()) };
        position = Some(journal.append(&record(number, body))?);
    }
    let took = started.elapsed().as_secs_f64();
    drop((journal, position));
    Ok(took)
}

async fn pipeline(folder: &Path, name: &str, inline: &str) -> Outcome<f64> {
    let text = PIPELINE.replace("FOLDER", &folder.display().to_string()).replace("INLINE", inline);
    let pipeline = open(&text, &catalog(), &folder.join(name)).await?;
    let started = Instant::now();
    pipeline.run().await?;
    Ok(started.elapsed().as_secs_f64())
}

/// Measures and prints.
pub(crate) fn report(folder: &Path) -> Outcome<()> {
    let text = events();
    std::fs::write(folder.join("events.jsonl"), &text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut journaled, mut auto, mut all) = (vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        journaled.push(journaling(&folder.join(format!("references-{round}")), &text)?);
        auto.push(runtime.block_on(pipeline(folder, &format!("auto-{round}"), "auto"))?);
        all.push(runtime.block_on(pipeline(folder, &format!("all-{round}"), "all"))?);
    }
    let (journaled, auto, all) = (median(journaled), median(auto), median(all));
    let mebibytes = text.len() as f64 / f64::from(1 << 20);
    println!("file → drop: {:.0} MiB/s ({mebibytes:.0} MiB, {EVENTS} events)", mebibytes / auto);
    println!("hashing and journaling references: {:.2} % of that (wanted: under 2 %)", 100.0 * journaled / auto);
    println!("`inline: all` against references: {:.2} of the throughput", auto / all);
    Ok(())
}
