//! The thread that makes copies: one at a time, the newest of those that wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result, Retry};
use crate::pause::doubled;
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

/// The pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Desk {
    waiting: Option<Job>,
    /// What failed, to be tried again unless a newer one comes.
    failed: Option<Job>,
    /// Nothing is tried before.
    pause: Option<Instant>,
    /// Somebody waits for the end: what was not tried yet is tried at once.
    hurried: bool,
    busy: bool,
    closed: bool,
}

impl Desk {
    /// What is to be copied now.
    fn take(&mut self, now: Instant) -> Option<Job> {
        let paused = self.pause.is_some_and(|until| now < until);
        let job = match self.waiting.is_some() && (self.hurried || !paused) {
            true => self.waiting.take(),
            false if paused => None,
            false => self.failed.take(),
        }?;
        // A newer one takes the place of one that failed.
        self.failed = None;
        self.busy = true;
        Some(job)
    }

    /// Until when nothing is tried although there is something to do.
    fn pausing(&self) -> Option<Instant> {
        self.pause.filter(|_| self.waiting.is_some() || self.failed.is_some())
    }
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
        let work = Work { shared: Arc::clone(&shared), remote, segments, owner, status, present: None, failures: 0 };
        let spawned = std::thread::Builder::new().name("copies".into()).spawn(|| work.run());
        spawned.map_err(|error| Error::external(format!("no thread could be started: {error}")))?;
        Ok(Self(shared))
    }

    /// Lets a checkpoint be copied. Does not wait.
    pub(in crate::checkpoint) fn copy(&self, job: Job) {
        self.0.desk.lock().waiting = Some(job);
        self.0.changed.notify_all();
    }

    /// Waits until everything has been copied, or tried at least once, at most so long; whether it has.
    pub(in crate::checkpoint) fn settle(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut desk = self.0.desk.lock();
        desk.hurried = true;
        self.0.changed.notify_all();
        while desk.busy || desk.waiting.is_some() {
            if self.0.changed.wait_until(&mut desk, until).timed_out() {
                break;
            }
        }
        desk.hurried = false;
        !desk.busy && desk.waiting.is_none()
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
    /// How many attempts have failed one after the other.
    failures: u32,
}

impl Work {
    fn run(mut self) {
        while let Some(job) = self.next() {
            let copied = self.copy(&job);
            let mut failed = None;
            match copied {
                Ok(()) => self.succeeded(&job),
                // It was collected while it was copied, and a newer one waits.
                Err(Unreadable::Missing(_)) if self.shared.desk.lock().waiting.is_some() => {}
                Err(error) => failed = self.failed(job, Error::from(error)),
            }
            let mut desk = self.shared.desk.lock();
            desk.pause = (self.failures > 0).then(|| Instant::now() + self.pause());
            desk.failed = failed;
            desk.busy = false;
            self.shared.changed.notify_all();
        }
    }

    fn succeeded(&mut self, job: &Job) {
        self.failures = 0;
        self.status.copied.fetch_add(1, Ordering::Relaxed);
        *self.status.newest.lock() = Some(job.summary.number);
        *self.status.last_error.lock() = None;
    }

    /// Says so; what of it may succeed later.
    fn failed(&mut self, job: Job, error: Error) -> Option<Job> {
        self.failures = self.failures.saturating_add(1);
        let (checkpoint, place) = (job.summary.number, self.remote.place());
        tracing::warn!(%checkpoint, %place, %error, attempt = self.failures, again_in = ?self.pause(), "A checkpoint could not be copied.");
        self.status.failed.fetch_add(1, Ordering::Relaxed);
        *self.status.last_error.lock() = Some(error.to_string());
        // What is there is looked at anew.
        self.present = None;
        (error.retry == Retry::WithBackoff).then_some(job)
    }

    fn pause(&self) -> Duration {
        doubled(FIRST_PAUSE, self.failures.saturating_sub(1), LONGEST_PAUSE)
    }

    /// The next checkpoint; `None` when the owner has gone.
    fn next(&self) -> Option<Job> {
        let mut desk = self.shared.desk.lock();
        loop {
            if desk.closed {
                return None;
            }
            if let Some(job) = desk.take(Instant::now()) {
                return Some(job);
            }
            match desk.pausing() {
                Some(until) => {
                    self.shared.changed.wait_until(&mut desk, until);
                }
                None => self.shared.changed.wait(&mut desk),
            }
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
        self.segments.verified(hash)?;
        let sent = segment(hash).and_then(|name| self.remote.send(&name, &self.segments.place(hash)?));
        sent.map_err(|error| match self.segments.contains(hash) {
            true => Unreadable::Other(error),
            false => Unreadable::Missing(error),
        })
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
            // Who has taken the place over may need what is garbage here.
            hold(self.remote.as_ref(), &self.owner)?;
            self.remote.remove(&segment(&hash)?)?;
            present.remove(&hash);
        }
        Ok(())
    }
}
