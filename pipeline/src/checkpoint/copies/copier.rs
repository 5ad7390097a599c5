//! The thread that makes copies: one at a time, the newest of those that wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};
use crate::step::{ContentHash, Incarnation};

use super::super::keys::{from_json, to_json};
use super::super::manifest::{CheckpointNumber, CheckpointSummary};
use super::super::segment::Unreadable;
use super::super::segments::{self, SegmentStore};
use super::remote::Remote;
use super::{NEWEST, Newest, Owner, SEGMENTS, hold, segment};

/// How copying goes.
#[derive(Debug, Default)]
pub struct CopyStatus {
    /// How many checkpoints were copied by this process.
    pub copied: AtomicU64,
    /// How many attempts failed.
    pub failed: AtomicU64,
    /// The newest checkpoint that is whole elsewhere.
    pub newest: Mutex<Option<CheckpointNumber>>,
    /// Why the last attempt failed, if it did.
    pub last_error: Mutex<Option<String>>,
}

/// A checkpoint to be copied.
#[derive(Debug)]
pub(in crate::checkpoint) struct Job {
    pub(in crate::checkpoint) summary: CheckpointSummary,
    pub(in crate::checkpoint) incarnation: Incarnation,
    /// The segments that it names.
    pub(in crate::checkpoint) names: BTreeSet<ContentHash>,
    /// Everything that checkpoints name which are kept; `None` when that is not known: then nothing is removed.
    pub(in crate::checkpoint) kept: Option<BTreeSet<ContentHash>>,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: Option<Job>,
    busy: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// Makes copies in the background. A newer checkpoint takes the place of one that still waits: so no more than two are
/// held, however slow the place is.
#[derive(Debug)]
pub(in crate::checkpoint) struct Copier(Arc<Shared>);

impl Copier {
    /// Starts the thread.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(in crate::checkpoint) fn start(
        remote: Box<dyn Remote>,
        segments: SegmentStore,
        pipeline: String,
        token: String,
        status: Arc<CopyStatus>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let owner = Owner { pipeline, token };
        let work = Work { shared: Arc::clone(&shared), remote, segments, owner, status, present: None };
        let spawned = std::thread::Builder::new().name("copies".into()).spawn(|| work.run());
        spawned.map_err(|error| Error::external(format!("no thread could be started: {error}")))?;
        Ok(Self(shared))
    }

    /// Lets a checkpoint be copied. Does not wait.
    pub(in crate::checkpoint) fn copy(&self, job: Job) {
        self.0.desk.lock().waiting = Some(job);
        self.0.changed.notify_all();
    }

    /// Waits until nothing is left to copy, at most so long; whether nothing is left.
    pub(in crate::checkpoint) fn settle(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut desk = self.0.desk.lock();
        while desk.busy || desk.waiting.is_some() {
            if self.0.changed.wait_until(&mut desk, until).timed_out() {
                return false;
            }
        }
        true
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.0.desk.lock().closed = true;
        self.0.changed.notify_all();
    }
}

struct Work {
    shared: Arc<Shared>,
    remote: Box<dyn Remote>,
    segments: SegmentStore,
    owner: Owner,
    status: Arc<CopyStatus>,
    /// The segments that are there already; `None` until they were listed.
    present: Option<BTreeSet<ContentHash>>,
}

impl Work {
    fn run(mut self) {
        while let Some(job) = self.next() {
            let number = job.summary.number;
            let copied = self.copy(&job);
            let superseded = self.shared.desk.lock().waiting.is_some();
            match copied {
                Ok(()) => {
                    self.status.copied.fetch_add(1, Ordering::Relaxed);
                    *self.status.newest.lock() = Some(number);
                    *self.status.last_error.lock() = None;
                }
                // It was collected while it was copied, and a newer one waits.
                Err(Unreadable::Missing(_)) if superseded => {}
                Err(error) => self.failed(number, &Error::from(error)),
            }
            self.shared.desk.lock().busy = false;
            self.shared.changed.notify_all();
        }
    }

    fn failed(&mut self, number: CheckpointNumber, error: &Error) {
        tracing::warn!(checkpoint = %number, place = %self.remote.place(), %error, "A checkpoint could not be copied; the next one will be tried.");
        self.status.failed.fetch_add(1, Ordering::Relaxed);
        *self.status.last_error.lock() = Some(error.to_string());
        // What is there is looked at anew.
        self.present = None;
    }

    /// The next checkpoint; `None` when the owner has gone.
    fn next(&self) -> Option<Job> {
        let mut desk = self.shared.desk.lock();
        loop {
            if desk.closed {
                return None;
            }
            if let Some(job) = desk.waiting.take() {
                desk.busy = true;
                return Some(job);
            }
            self.shared.changed.wait(&mut desk);
        }
    }

    fn copy(&mut self, job: &Job) -> Result<(), Unreadable> {
        hold(self.remote.as_ref(), &self.owner).map_err(Unreadable::Other)?;
        let mut present = match self.present.take() {
            Some(present) => present,
            None => self.list().map_err(Unreadable::Other)?,
        };
        for hash in job.names.iter().chain([&job.summary.manifest]) {
            if !present.contains(hash) {
                self.send(hash)?;
                present.insert(hash.clone());
            }
        }
        self.name(job).map_err(Unreadable::Other)?;
        self.tidy(job, &mut present).map_err(Unreadable::Other)?;
        self.present = Some(present);
        Ok(())
    }

    fn list(&self) -> Result<BTreeSet<ContentHash>> {
        Ok(self.remote.names(SEGMENTS)?.iter().filter_map(|name| segments::hash(name)).collect())
    }

    fn send(&self, hash: &ContentHash) -> Result<(), Unreadable> {
        let bytes = self.segments.bytes(hash)?;
        segment(hash).and_then(|name| self.remote.put(&name, &bytes)).map_err(Unreadable::Other)
    }

    /// Makes it the newest there, unless another owner came between.
    fn name(&self, job: &Job) -> Result<()> {
        let newest = Newest {
            number: job.summary.number,
            step: job.summary.step,
            incarnation: job.incarnation,
            manifest: job.summary.manifest.clone(),
        };
        let before = self.remote.read(NEWEST)?;
        hold(self.remote.as_ref(), &self.owner)?;
        let json = to_json(&newest)?;
        let named = match &before {
            Some(before) => {
                let there: Newest = from_json(NEWEST, before)?;
                if (there.incarnation, there.number) > (newest.incarnation, newest.number) {
                    return Err(Error::user(format!(
                        "{} holds checkpoint {} of incarnation {}, which is newer",
                        self.remote.place(),
                        there.number,
                        there.incarnation.0
                    )));
                }
                self.remote.exchange(NEWEST, before, &json)?
            }
            None => self.remote.create(NEWEST, &json)?,
        };
        match named {
            true => Ok(()),
            false => Err(Error::external(format!("somebody else has written to {}", self.remote.place()))),
        }
    }

    /// Removes what no checkpoint that is kept names.
    fn tidy(&self, job: &Job, present: &mut BTreeSet<ContentHash>) -> Result<()> {
        let Some(kept) = &job.kept else { return Ok(()) };
        let garbage: Vec<ContentHash> = present
            .iter()
            .filter(|hash| !kept.contains(hash) && !job.names.contains(hash) && **hash != job.summary.manifest)
            .cloned()
            .collect();
        for hash in garbage {
            self.remote.remove(&segment(&hash)?)?;
            present.remove(&hash);
        }
        Ok(())
    }
}
