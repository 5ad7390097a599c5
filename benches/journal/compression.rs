//! From which length on compressing an inline batch is worthwhile.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use tidegate_pipeline::journal::encode_batch;

use super::Outcome;

fn batch(rows: i64) -> Outcome<RecordBatch> {
    let numbers = Int64Array::from_iter_values((0..rows).map(|row| 1_795_200_000_000 + row * 37));
    let ids = StringArray::from_iter_values(
        (0..rows).map(|row| format!("i-{:016x}", (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
    );
    let messages = StringArray::from_iter_values((0..rows).map(|row| format!("volume {} changed its state", row % 97)));
    let columns = [("ts", Arc::new(numbers) as _), ("id", Arc::new(ids) as _), ("message", Arc::new(messages) as _)];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Measures and prints: bytes as they are and compressed, and the throughput at which compressing wins them.
pub(crate) fn report() -> Outcome<()> {
    println!("| rows | plain bytes | zstd bytes | saved | µs to compress | MiB saved per second |");
    println!("|---|---|---|---|---|---|");
    for rows in [1, 4, 16, 64, 256, 1_024, 8_192] {
        let batch = batch(rows)?;
        let mut plain = Vec::new();
        let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut plain, batch.schema_ref())?;
        writer.write(&batch)?;
        writer.finish()?;
        let times = (2_000_000 / plain.len()).max(10);
        let started = Instant::now();
        let mut compressed = 0;
        for _ in 0..times {
            compressed = zstd::bulk::compress(&plain, 1)?.len();
        }
        let each = started.elapsed().as_secs_f64() / times as f64;
        let saved = plain.len().saturating_sub(compressed);
        println!(
            "| {rows} | {} | {compressed} | {:.0} % | {:.1} | {:.0} |",
            plain.len(),
            100.0 * saved as f64 / plain.len() as f64,
            each * 1e6,
            saved as f64 / each / f64::from(1 << 20),
        );
    }
    println!("an encoded batch of one row has {} bytes", encode_batch(&batch(1)?)?.len());
    Ok(())
}
