//! Group commit: one thread synchronises the journal for everybody who waits.
//!
//! Callers whom one synchronisation has released mostly come back with their next record a moment later. If the thread
//! went on with the first of them, every other synchronisation would serve one caller and all the rest would wait for
//! the next: half of the disk's time for nothing. So it waits for as many callers as it has just served, but never
//! longer than three quarters of what a synchronisation takes (then it would gain nothing). One who waits alone is served at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::disk::{Disk, failed};
use crate::error::{Error, Result};
use crate::testing::crash;

use super::JournalPosition;
use super::slots::Slots;
use super::writer::Writer;

/// What is durable, or why nothing more will be.
#[derive(Debug, Clone)]
pub(super) struct Durable {
    pub(super) position: JournalPosition,
    pub(super) failure: Option<Error>,
}

/// The longest that is waited for callers to come back, on however slow a disk.
const LONGEST_GATHERING: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct Wanted {
    through: JournalPosition,
    /// How many callers have come since the last synchronisation began.
    callers: usize,
    /// How many the last one has served.
    expected: usize,
    stop: bool,
}

/// What appenders, waiters and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Disk,
    pub(super) directory: PathBuf,
    pub(super) writer: Mutex<Writer>,
    pub(super) durable: watch::Sender<Durable>,
    /// The same position as in `durable`, for a look without a lock.
    mark: AtomicU64,
    wanted: Mutex<Wanted>,
    wake: Condvar,
    /// How often the disk was waited for.
    syncs: AtomicU64,
}

impl Shared {
    pub(super) fn new(disk: Disk, directory: PathBuf, writer: Writer) -> Self {
        let (durable, _) = watch::channel(Durable { position: JournalPosition::START, failure: None });
        Self {
            disk,
            directory,
            writer: Mutex::new(writer),
            durable,
            mark: AtomicU64::new(0),
            wanted: Mutex::default(),
            wake: Condvar::new(),
            syncs: AtomicU64::new(0),
        }
    }

    pub(super) fn mark(&self) -> JournalPosition {
        JournalPosition(self.mark.load(Ordering::Acquire))
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Asks the thread for durability, for so many callers; does not wait.
    pub(super) fn want(&self, through: JournalPosition, callers: usize) {
        let mut wanted = self.wanted.lock();
        let first = wanted.callers == 0;
        wanted.through = wanted.through.max(through);
        wanted.callers += callers.max(1);
        // Waking the thread for each of many would cost more than it is worth.
        if first || wanted.callers >= wanted.expected {
            self.wake.notify_one();
        }
    }

    /// How many callers more would be waited for.
    #[cfg(test)]
    pub(super) fn missing(&self) -> usize {
        let wanted = self.wanted.lock();
        wanted.expected.saturating_sub(wanted.callers)
    }

    fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits until somebody wants more than is durable, and a little for others; `false` when it is time to stop.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let mut wanted = self.wanted.lock();
        while !wanted.stop && wanted.through <= self.mark() {
            wanted.callers = 0;
            self.wake.wait(&mut wanted);
        }
        let deadline = Instant::now() + patience.min(LONGEST_GATHERING);
        while !wanted.stop && wanted.callers < wanted.expected {
            if self.wake.wait_until(&mut wanted, deadline).timed_out() {
                break;
            }
        }
        wanted.expected = std::mem::take(&mut wanted.callers);
        !wanted.stop
    }

    /// Brings everything appended so far to the disk.
    pub(super) fn synchronise(&self, slots: &mut Slots) -> Result<()> {
        let unsynced = self.writer.lock().take_unsynced()?;
        crash::point("journal.sync");
        for file in &unsynced.files {
            let synced = self.disk.sync_data("journal.sync", file);
            synced.map_err(|error| failed("synchronise the journal in", &self.directory, &error))?;
        }
        if unsynced.directory {
            self.disk.sync_directory(&self.directory)?;
        }
        self.syncs.fetch_add(1, Ordering::Relaxed);
        crash::point("journal.synced");
        slots.write(unsynced.end)?;
        crash::point("journal.marked");
        self.mark.store(unsynced.end.0, Ordering::Release);
        self.durable.send_modify(|durable| durable.position = unsynced.end);
        Ok(())
    }

    fn fail(&self, error: &Error) {
        tracing::error!(directory = %self.directory.display(), %error, "the journal can no longer be written");
        self.writer.lock().fail(error);
        let error = error.clone().never_retry();
        self.durable.send_modify(|durable| {
            durable.failure.get_or_insert(error);
        });
    }
}

/// The thread; ends, after a last synchronisation, when this is dropped.
#[derive(Debug)]
pub(super) struct Committer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(shared: &Arc<Shared>, slots: Slots) -> Result<Self> {
        let worker = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || run(&worker, slots))
            .map_err(|error| Error::external(format!("cannot start the journal's thread: {error}")))?;
        Ok(Self { shared: Arc::clone(shared), thread: Some(thread) })
    }
}

fn run(shared: &Shared, mut slots: Slots) {
    let mut takes = Duration::ZERO;
    loop {
        let go_on = shared.wait(takes * 3 / 4);
        if shared.writer.lock().end() > shared.mark() {
            let started = Instant::now();
            if let Err(error) = shared.synchronise(&mut slots) {
                shared.fail(&error);
                return;
            }
            // A disk that was busy for once shall not make everybody wait.
            takes = (takes * 3 + started.elapsed()) / 4;
        }
        if !go_on {
            return;
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread has failed");
        }
    }
}
