//! Bytes of a checkpoint against keys that changed, over a million keys of state.

use super::Outcome;
use super::numbers::{BATCH, Shape};
use super::restore::{Operating, write};
use tidegate_pipeline::checkpoint::SegmentStore;
use tidegate_pipeline::operator::SnapshotMode;

const KNOWN: i64 = 1_000_000;

pub(crate) fn report() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let store = SegmentStore::open(folder.path())?;
    let mut node = Operating::new()?;
    let mut next = 0;
    let mut give = |node: &mut Operating, count: i64| -> Outcome<()> {
        let shape = Shape { known: next + count, rows: 0, new_every: 1 };
        let first = next;
        next += count;
        for index in first / BATCH..=(next - 1) / BATCH {
            let batch = shape.batch(index).ok_or("a batch")?;
            let skip = (first - index * BATCH).max(0) as usize;
            node.process(&batch.slice(skip, batch.num_rows() - skip))?;
        }
        Ok(())
    };
    give(&mut node, KNOWN)?;
    let (hash, _) = write(&store, node.snapshot(SnapshotMode::Changes)?)?;
    println!("\n| keys changed (of {KNOWN}) | bytes | bytes per key |\n|---|---|---|");
    println!("| all | {} | {:.1} |", store.length(&hash), store.length(&hash) as f64 / KNOWN as f64);
    for count in [0, 1, 10, 100, 1_000, 10_000, 100_000] {
        if count > 0 {
            give(&mut node, count)?;
        }
        let (_, bytes) = write(&store, node.snapshot(SnapshotMode::Changes)?)?;
        let each = if count > 0 { format!("{:.1}", bytes as f64 / count as f64) } else { String::new() };
        println!("| {count} | {bytes} | {each} |");
    }
    Ok(())
}
