//! Input that can be read again: what its references and hashes cost beside reading, decoding and dropping it.
//!
//! A pipeline uses all processors, so what counts is processor time: that of hashing and journaling against that of the
//! whole run.

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

/// Hashes the input and journals a reference for each chunk that has just been read, as a source does; seconds.
fn journaling(folder: &Path, text: &str) -> Outcome<f64> {
    let (journal, _) = Journal::open(folder, Incarnation(1), Shard(0))?;
    let (mut position, mut took, mut chunk) = (None, 0.0, Vec::with_capacity(CHUNK));
    for (number, read) in (1..).zip(text.as_bytes().chunks(CHUNK)) {
        chunk.clear();
        chunk.extend_from_slice(read);
        let chunk = chunk.as_slice();
        let started = Instant::now();
        let at = |offset: usize| Position(format!("{{\"offset\":{offset}}}").into());
        let (from, to) = (at(0), at(chunk.len()));
        let range = Range { from, to, hash: xxhash_rust::xxh3::xxh3_128(chunk), bytes: chunk.len() as u64 };
        let body = StepBody::Reference { ranges: vec![range], position: at(chunk.len()) };
        position = Some(journal.append(&record(number, body))?);
        took += started.elapsed().as_secs_f64();
    }
    drop((journal, position));
    Ok(took)
}

/// Seconds that passed, and seconds of processors.
async fn pipeline(folder: &Path, name: &str, inline: &str) -> Outcome<(f64, f64)> {
    let text = PIPELINE.replace("FOLDER", &folder.display().to_string()).replace("INLINE", inline);
    let pipeline = open(&text, &catalog(), &folder.join(name)).await?;
    let (started, used) = (Instant::now(), processor_seconds()?);
    pipeline.run().await?;
    Ok((started.elapsed().as_secs_f64(), processor_seconds()? - used))
}

/// What this process has used of processors so far.
fn processor_seconds() -> Outcome<f64> {
    // Fields 14 and 15 of proc_pid_stat(5), in hundredths of a second; the name before them may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// Measures and prints.
pub(crate) fn report(folder: &Path) -> Outcome<()> {
    let text = events();
    std::fs::write(folder.join("events.jsonl"), &text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut journaled, mut auto, mut used, mut all) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        journaled.push(journaling(&folder.join(format!("references-{round}")), &text)?);
        let (seconds, of_processors) = runtime.block_on(pipeline(folder, &format!("auto-{round}"), "auto"))?;
        auto.push(seconds);
        used.push(of_processors);
        all.push(runtime.block_on(pipeline(folder, &format!("all-{round}"), "all"))?.0);
    }
    let (journaled, auto, used, all) = (median(journaled), median(auto), median(used), median(all));
    let mebibytes = text.len() as f64 / f64::from(1 << 20);
    println!("file → drop: {:.0} MiB/s ({mebibytes:.0} MiB, {EVENTS} events)", mebibytes / auto);
    println!(
        "hashing and journaling references: {:.2} % of its processor time (wanted: under 2 %)",
        100.0 * journaled / used
    );
    println!("`inline: all` against references: {:.2} of the throughput", auto / all);
    Ok(())
}
