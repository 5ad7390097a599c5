//! Group commit: one thread synchronises the journal for everybody who waits.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::disk::{failed, sync_directory};
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

#[derive(Debug, Default)]
struct Wanted {
    through: JournalPosition,
    stop: bool,
}

/// What appenders, waiters and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
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
    pub(super) fn new(directory: PathBuf, writer: Writer) -> Self {
        let (durable, _) = watch::channel(Durable { position: JournalPosition::START, failure: None });
        Self {
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

    /// Asks the thread for durability; does not wait.
    pub(super) fn want(&self, through: JournalPosition) {
        let mut wanted = self.wanted.lock();
        if wanted.through < through {
            wanted.through = through;
            self.wake.notify_one();
        }
    }

    fn stop(&self) {
        self.wanted.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits until somebody wants more than is durable; `false` when it is time to stop.
    fn wait(&self) -> bool {
        let mut wanted = self.wanted.lock();
        while !wanted.stop && wanted.through <= self.mark() {
            self.wake.wait(&mut wanted);
        }
        !wanted.stop
    }

    /// Brings everything appended so far to the disk.
    pub(super) fn synchronise(&self, slots: &mut Slots) -> Result<()> {
        let unsynced = self.writer.lock().take_unsynced()?;
        crash::point("journal.sync");
        for file in &unsynced.files {
            file.sync_data().map_err(|error| failed("synchronise the journal in", &self.directory, &error))?;
        }
        if unsynced.directory {
            sync_directory(&self.directory)?;
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
    loop {
        let go_on = shared.wait();
        if shared.writer.lock().end() > shared.mark()
            && let Err(error) = shared.synchronise(&mut slots)
        {
            shared.fail(&error);
            return;
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
