//! The store on disk: sled, and what keeps its weak sides from hurting.
//!
//! * `flush` of sled does not reach the disk by itself: the file is synchronised after it.
//! * Values stay below 4 KiB ([`super::store::MAX_VALUE`]), or its file grows without end.
//! * Every value carries a version and a checksum over key and value; a digest covers all of them together.
//! * A half-written snapshot (`snap.*`) keeps it from opening, although the log holds everything: such files
//!   are put aside, once.
//! * A flipped bit can make it hang or panic: it lives on a thread of its own, and every answer has a time limit.
//! * Everything is read when it is opened, and kept in memory: it is small. Reading never asks sled again.
//! * It needs far more space than it holds: then it is written anew when it is opened.
//! * After an error of the disk it answers nothing but that error: it is opened again, and brought to what it
//!   should hold.

mod files;
mod sealed;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;

use crate::disk::create_directory;
use crate::error::{Error, Result};

use super::fence::token;
use super::owned::rebuild_remedy;
use super::store::{Store, StoreBatch, change, matching};
use files::FOLDER;
use sealed::{DIGEST, Digest, seal, unseal};
use worker::{Entries, Trouble, Worker};

/// The key and contents of the record that says whose file this is.
const FORMAT_KEY: &str = "format";
const FORMAT: &str = "tidegate-store 1";

/// What opening a store may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long it may take. A store of this kind opens in milliseconds.
    pub(super) patience: Duration,
    /// How many bytes it may have on the disk whatever it holds.
    pub(super) floor: u64,
    /// Above the floor: how many times the bytes that it holds.
    pub(super) factor: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { patience: Duration::from_secs(20), floor: 16 * 1024 * 1024, factor: 8 }
    }
}

type Values = BTreeMap<String, Vec<u8>>;

/// A store in sled.
#[derive(Debug)]
pub struct SledStore {
    directory: PathBuf,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` after it has failed, until it is opened again.
    worker: Option<Worker>,
    values: Values,
    digest: Digest,
}

impl SledStore {
    /// Opens the store of the pipeline directory `directory` (`.tidegate/NAME`), or creates it. The caller owns
    /// the directory.
    ///
    /// # Errors
    /// When it does not open in 20 seconds or is damaged, with the command that rebuilds it; or when it was
    /// written by a newer program.
    pub fn open(directory: &Path) -> Result<Self> {
        Self::open_within(directory, Limits::default())
    }

    pub(super) fn open_within(directory: &Path, limits: Limits) -> Result<Self> {
        files::settle(directory)?;
        let path = directory.join(FOLDER);
        create_directory(&path)?;
        let (mut worker, entries) = open_or_heal(directory, limits)?;
        let mut values = unsealed(directory, &entries)?;
        if values.is_empty() {
            values.insert(FORMAT_KEY.into(), FORMAT.into());
            let written = write_all(&worker, &values);
            written.map_err(|trouble| unwritten(directory, &trouble.why))?;
            crate::disk::sync_directory(&path)?;
        }
        check_format(directory, &values)?;
        if is_bloated(&path, &entries, limits)? {
            drop(worker);
            replace(directory, &values, files::OLD)?;
            files::remove(&directory.join(files::OLD))?;
            (worker, _) = open_or_heal(directory, limits)?;
        }
        let state = State { worker: Some(worker), digest: Digest::of(&values), values };
        Ok(Self { directory: directory.to_owned(), limits, state: Mutex::new(state) })
    }

    /// Puts a store that holds `values` in the place of the one there is, which is kept in `store.damaged`.
    ///
    /// # Errors
    /// When the disk fails; then the one there is stays, or is in `store.damaged`.
    pub(super) fn rebuild(directory: &Path, values: &Values) -> Result<()> {
        let mut values = values.clone();
        values.insert(FORMAT_KEY.into(), FORMAT.into());
        replace(directory, &values, files::DAMAGED)
    }

    /// What the store of a directory holds, read from a copy of it: the store itself is left as it is. `None`
    /// where there is no store.
    ///
    /// # Errors
    /// When it is damaged, or cannot be copied.
    pub(super) fn examine(directory: &Path, limits: Limits) -> Result<Option<Values>> {
        let path = directory.join(FOLDER);
        if !path.is_dir() {
            return Ok(None);
        }
        let copy = std::env::temp_dir().join(format!("tidegate-examines-{}", token()));
        let to = copy.join(FOLDER);
        let examined = create_directory(&to).and_then(|()| files::copy(&path, &to)).and_then(|()| {
            let (_worker, entries) = open_or_heal(&copy, limits)?;
            unsealed(directory, &entries)
        });
        files::remove(&copy)?;
        let values = examined.map_err(|mut error| {
            error.message = error.message.replace(&copy.display().to_string(), &directory.display().to_string());
            error.with_remedy(rebuild_remedy(directory))
        })?;
        check_format(directory, &values)?;
        Ok(Some(values))
    }
}

impl State {
    /// Asks sled; after a failure it is opened again next time.
    fn ask(
        &mut self,
        directory: &Path,
        limits: Limits,
        ask: impl FnOnce(&Worker) -> std::result::Result<(), Trouble>,
    ) -> Result<()> {
        let worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.reopened(directory, limits)?,
        };
        ask(&worker).map_err(|trouble| unwritten(directory, &trouble.why))?;
        self.worker = Some(worker);
        Ok(())
    }

    /// Opens sled again and brings it to what it should hold: what it had not made durable may be missing, what
    /// failed may be there.
    fn reopened(&self, directory: &Path, limits: Limits) -> Result<Worker> {
        let (worker, entries) = open_or_heal(directory, limits)?;
        let mut batch = batch_of(&self.values);
        let surplus = entries.iter().map(|(key, _)| String::from_utf8_lossy(key));
        surplus
            .filter(|key| **key != *DIGEST && !self.values.contains_key(&**key))
            .for_each(|key| batch.remove(key.as_bytes()));
        let written = worker.apply(batch).and_then(|()| worker.flush());
        written.map_err(|trouble| unwritten(directory, &trouble.why))?;
        Ok(worker)
    }
}

impl Store for SledStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.state.lock().values.get(key).cloned())
    }

    fn apply(&self, batch: &StoreBatch) -> Result<()> {
        let mut state = self.state.lock();
        batch.check(&state.values)?;
        let digest = state.digest.after(&state.values, batch);
        let mut changes = sled::Batch::default();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => changes.insert(key.as_bytes(), seal(key, value)),
                None => changes.remove(key.as_bytes()),
            }
        }
        changes.insert(DIGEST, seal(DIGEST, &digest.to_bytes()));
        state.ask(&self.directory, self.limits, |worker| worker.apply(changes))?;
        change(&mut state.values, batch);
        state.digest = digest;
        Ok(())
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(matching(&self.state.lock().values, prefix))
    }

    fn flush(&self) -> Result<()> {
        self.state.lock().ask(&self.directory, self.limits, Worker::flush)
    }
}

fn write_all(worker: &Worker, values: &Values) -> std::result::Result<(), Trouble> {
    worker.apply(batch_of(values)).and_then(|()| worker.flush())
}

/// All values and their digest.
fn batch_of(values: &Values) -> sled::Batch {
    let mut batch = sled::Batch::default();
    values.iter().for_each(|(key, value)| batch.insert(key.as_bytes(), seal(key, value)));
    batch.insert(DIGEST, seal(DIGEST, &Digest::of(values).to_bytes()));
    batch
}

/// Writes a store that holds `values`, and puts it in the place of the one there is.
fn replace(directory: &Path, values: &Values, aside: &str) -> Result<()> {
    let new = files::begin(directory)?;
    let (worker, _) =
        Worker::open(&new, Limits::default().patience).map_err(|trouble| failed(directory, &trouble.why))?;
    write_all(&worker, values).map_err(|trouble| unwritten(directory, &trouble.why))?;
    drop(worker);
    crate::disk::sync_directory(&new)?;
    files::exchange(directory, aside)
}

/// The values, when all of them are what was stored, and no other is missing.
fn unsealed(directory: &Path, entries: &Entries) -> Result<Values> {
    let mut values = Values::new();
    for (key, sealed) in entries {
        let key = String::from_utf8_lossy(key).into_owned();
        let value = unseal(&key, sealed).map_err(|why| damaged(directory, &format!("its value `{key}`: {why}")))?;
        values.insert(key, value);
    }
    let digest = values.remove(DIGEST);
    let expected = (!values.is_empty()).then(|| Digest::of(&values).to_bytes());
    if digest != expected {
        return Err(damaged(directory, "its values are not those that were last stored together"));
    }
    Ok(values)
}

fn check_format(directory: &Path, values: &Values) -> Result<()> {
    match values.get(FORMAT_KEY) {
        Some(format) if format == FORMAT.as_bytes() => Ok(()),
        Some(format) => Err(Error::user(format!(
            "the store {} says `{}`, this program reads `{FORMAT}`",
            directory.join(FOLDER).display(),
            String::from_utf8_lossy(format)
        ))
        .with_remedy("a newer program is needed: run the one that wrote it")),
        None => Err(damaged(directory, "it does not say of which format it is")),
    }
}

fn is_bloated(path: &Path, entries: &Entries, limits: Limits) -> Result<bool> {
    let live: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    let bytes = files::bytes(path)?;
    Ok(bytes > limits.floor && bytes > limits.factor.saturating_mul(live as u64))
}

/// Opens sled; when a snapshot is broken, without its snapshots.
fn open_or_heal(directory: &Path, limits: Limits) -> Result<(Worker, Entries)> {
    let path = directory.join(FOLDER);
    let trouble = match Worker::open(&path, limits.patience) {
        Ok(opened) => return Ok(opened),
        Err(trouble) => trouble,
    };
    if !trouble.snapshot || !files::quarantine_snapshots(&path)? {
        return Err(failed(directory, &trouble.why));
    }
    tracing::warn!(path = %path.display(), error = %trouble.why, "the store did not open; its snapshots were put aside and it is read from its log");
    Worker::open(&path, limits.patience).map_err(|trouble| failed(directory, &trouble.why))
}

fn failed(directory: &Path, why: &str) -> Error {
    let store = directory.join(FOLDER);
    Error::external(format!("the store {} cannot be opened: {why}", store.display()))
        .with_remedy(rebuild_remedy(directory))
}

/// The error of a write: what was stored before is there, and the next write tries again.
fn unwritten(directory: &Path, why: &str) -> Error {
    let store = directory.join(FOLDER);
    Error::external(format!("the store {} could not be written: {why}", store.display()))
        .with_remedy("see to the disk; nothing is lost, and the next checkpoint tries again")
}

fn damaged(directory: &Path, why: &str) -> Error {
    let store = directory.join(FOLDER);
    Error::external(format!("the store {} is damaged: {why}", store.display()))
        .never_retry()
        .with_remedy(rebuild_remedy(directory))
}
