//! One-row events that callers bring at the same time, each waiting until its own is durable.
//!
//! The yardstick: were every caller served by every synchronisation of the disk, 64 callers would be acknowledged 64 times
//! per fdatasync.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use tidegate_pipeline::journal::{InlinePart, Journal, encode_batch};
use tidegate_pipeline::source::Reply;
use tidegate_pipeline::step::{Incarnation, Shard};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::engine::{CallersKind, catalog, event, open};
use super::{Outcome, disk, median, step};

type Sender = mpsc::Sender<(RecordBatch, Reply)>;

const CALLERS: usize = 64;
/// Each contender is measured so often, in turn.
const ROUNDS: usize = 7;

const PIPELINE: &str = "
version: 1
name: callers
checkpoint: {every: 1s}
sources: {in: {callers: {}}}
sinks: {out: {from: in, drop: {report: false}}}
";

/// Acknowledged per second by the journal alone, and how many of them by each synchronisation.
async fn by_the_journal(folder: &Path, callers: usize, each: Duration) -> Outcome<(f64, f64)> {
    let (journal, recovery) = Journal::open(folder, Incarnation(1), Shard(0))?;
    let last = Arc::new(parking_lot::Mutex::new(recovery.last_step.0));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (before, started) = (journal.syncs(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (journal, last, acknowledged) = (journal.clone(), Arc::clone(&last), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            while started.elapsed() < each {
                let ipc = encode_batch(&event(caller as i64))?;
                let position = {
                    let mut last = last.lock();
                    *last += 1;
                    journal.append(&step(*last, vec![InlinePart { port: 0, ipc }]))?
                };
                journal.sync(position).await?;
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, tidegate_pipeline::error::Error>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let (count, seconds) = (acknowledged.load(Ordering::Relaxed) as f64, started.elapsed().as_secs_f64());
    Ok((count / seconds, count / (journal.syncs() - before) as f64))
}

/// Acknowledged per second by a pipeline, and how many of them in each step.
async fn by_a_pipeline(folder: &Path, callers: usize, each: Duration) -> Outcome<(f64, f64)> {
    let (sender, waiting) = mpsc::channel(callers);
    let mut catalog = catalog();
    catalog.sources.push(Box::new(CallersKind(Arc::new(Mutex::new(waiting)))));
    let pipeline = open(PIPELINE, &catalog, folder).await?;
    let (cancel, status) = (pipeline.cancellation(), pipeline.status());
    let calling = async {
        let rate = call(sender, callers, each).await;
        cancel.cancel();
        rate
    };
    let (ended, rate) = tokio::join!(pipeline.run(), calling);
    ended?;
    let rows = status.node("in").map_or(0, |node| node.rows_out.load(Ordering::Relaxed));
    Ok((rate?, rows as f64 / status.step.load(Ordering::Relaxed) as f64))
}

/// Lets callers bring their events; how many were acknowledged per second.
async fn call(sender: Sender, callers: usize, each: Duration) -> Outcome<f64> {
    let first = oneshot::channel();
    sender.send((event(0), first.0)).await?;
    first.1.await?;
    let (acknowledged, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (sender, acknowledged) = (sender.clone(), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            while started.elapsed() < each {
                let (reply, durable) = oneshot::channel();
                if sender.send((event(caller as i64), reply)).await.is_err() || durable.await.is_err() {
                    return;
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tasks.join_all().await;
    Ok(acknowledged.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Measures and prints.
pub(crate) fn report(folder: &Path, each: Duration) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (mut bare, mut journal, mut shared, mut alone) = (vec![], vec![], vec![], vec![]);
    let (mut pipeline, mut joined) = (vec![], vec![]);
    for round in 0..ROUNDS {
        let place = |name: &str| folder.join(format!("{name}-{round}"));
        bare.push(disk::bare_fdatasync(folder, each)?);
        let (rate, together) = runtime.block_on(by_the_journal(&place("journal"), CALLERS, each))?;
        journal.push(rate);
        shared.push(together);
        let (rate, together) = runtime.block_on(by_a_pipeline(&place("pipeline"), CALLERS, each))?;
        pipeline.push(rate);
        joined.push(together);
        alone.push(runtime.block_on(by_the_journal(&place("alone"), 1, each))?.0);
    }
    let (bare, journal, pipeline, alone) = (median(bare), median(journal), median(pipeline), median(alone));
    let most = CALLERS as f64 / bare;
    println!("bare fdatasync of this disk: {:.3} ms (median)", bare * 1e3);
    println!("| acknowledged one-row events | per second | ratio to {CALLERS} ÷ fdatasync | wanted |");
    println!("|---|---|---|---|");
    println!("| {CALLERS} callers, the journal alone | {journal:.0} | {:.2} | 0.70 |", journal / most);
    println!("| {CALLERS} callers, through a pipeline | {pipeline:.0} | {:.2} | 0.70 |", pipeline / most);
    println!("| 1 caller, the journal alone | {alone:.0} | {:.2} (to 1 ÷ fdatasync) | |", alone * bare);
    println!("callers served by one synchronisation of the journal alone: {:.1}", median(shared));
    println!("callers served by one step of a pipeline: {:.1}", median(joined));
    Ok(())
}
