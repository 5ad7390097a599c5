//! A disk and a store in memory that lose, at a crash, what was not synchronised.
//!
//! Every write (a file replaced or removed, a folder synchronised, a batch, a flush) is counted, so that a
//! test can let the machine die, or the disk fail, at each. After a crash, of names that were not synchronised any
//! may have survived; of batches that were not flushed any number of the first.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Cursor, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::folder::{Contents, Folder};
use super::store::{Store, StoreBatch, change, matching};
use crate::disk::failed;
use crate::error::{Error, Result};

/// The folders of a pipeline's directory.
const ROOT: &str = "root";
const SEGMENTS: &str = "segments";

/// Files by folder and name, and the values of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Disk {
    files: BTreeMap<(&'static str, String), Arc<[u8]>>,
    values: BTreeMap<String, Vec<u8>>,
}

/// A change of a name: contents, or `None` for a file that was removed.
#[derive(Debug, Clone)]
struct Renamed {
    folder: &'static str,
    name: String,
    contents: Option<Arc<[u8]>>,
}

impl Disk {
    fn name(&mut self, renamed: &Renamed) {
        let key = (renamed.folder, renamed.name.clone());
        match &renamed.contents {
            Some(contents) => self.files.insert(key, Arc::clone(contents)),
            None => self.files.remove(&key),
        };
    }

    /// As it is, but the store lost.
    pub(super) fn without_store(&self) -> Self {
        Self { values: BTreeMap::new(), ..self.clone() }
    }
}

/// What goes wrong, and at which write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The machine dies before the write; everything after it fails.
    Dies(usize),
    /// The write fails and does nothing; the next one is good.
    Fails(usize),
    /// The write fails, and is done all the same.
    FailsAndIsDone(usize),
}

#[derive(Default)]
struct State {
    /// What the process sees.
    live: Disk,
    /// What survives in any case.
    durable: Disk,
    /// What may survive.
    renamed: Vec<Renamed>,
    batches: Vec<StoreBatch>,
    writes: usize,
    fault: Option<Fault>,
    dead: bool,
    intruder: Option<(usize, Intruder)>,
}

/// Something that somebody else does between two writes.
pub(super) type Intruder = Box<dyn FnOnce() + Send>;

/// See the module. Clones are the same machine.
#[derive(Clone, Default)]
pub(super) struct Machine(Arc<Mutex<State>>);

impl Machine {
    /// A machine that was started with this on its disk.
    pub(super) fn with(disk: Disk, fault: Option<Fault>) -> Self {
        let state = State { live: disk.clone(), durable: disk, fault, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Lets somebody else act right before a write.
    pub(super) fn intrude(&self, before: usize, intruder: Intruder) {
        self.0.lock().intruder = Some((before, intruder));
    }

    /// How many writes there were.
    pub(super) fn writes(&self) -> usize {
        self.0.lock().writes
    }

    /// Whether it has died.
    pub(super) fn is_dead(&self) -> bool {
        self.0.lock().dead
    }

    /// The pipeline's directory.
    pub(super) fn root(&self) -> Arc<dyn Folder> {
        Arc::new(ModelFolder { machine: self.clone(), folder: ROOT })
    }

    /// The folder of segments.
    pub(super) fn segments(&self) -> Arc<dyn Folder> {
        Arc::new(ModelFolder { machine: self.clone(), folder: SEGMENTS })
    }

    /// The store.
    pub(super) fn store(&self) -> Box<dyn Store> {
        Box::new(ModelStore(self.clone()))
    }

    /// Everything that the disk may hold after a crash: each subset of names as long as there are few, and the
    /// extremes otherwise, with each number of batches.
    pub(super) fn survivors(&self) -> Vec<Disk> {
        let state = self.0.lock();
        let count = state.renamed.len();
        let all = (1_u64 << count) - 1;
        let singles = (0..count).flat_map(|index| [1 << index, all & !(1 << index)]);
        let masks: Vec<u64> =
            if count <= 3 { (0..=all).collect() } else { [0, all].into_iter().chain(singles).collect() };
        let mut survivors: Vec<Disk> = Vec::new();
        for kept in 0..=state.batches.len() {
            for mask in &masks {
                let mut disk = state.durable.clone();
                let names = state.renamed.iter().enumerate().filter(|(index, _)| mask & (1 << index) != 0);
                names.for_each(|(_, renamed)| disk.name(renamed));
                state.batches[..kept].iter().for_each(|batch| change(&mut disk.values, batch));
                if !survivors.contains(&disk) {
                    survivors.push(disk);
                }
            }
        }
        survivors
    }

    /// Counts a write, and does it or fails as the fault says.
    fn write(&self, write: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        let mut state = self.0.lock();
        if state.intruder.as_ref().is_some_and(|(before, _)| *before == state.writes)
            && let Some((_, intrude)) = state.intruder.take()
        {
            drop(state);
            intrude();
            state = self.0.lock();
        }
        let index = state.writes;
        state.writes += 1;
        state.dead |= state.fault == Some(Fault::Dies(index));
        if state.dead {
            return Err(Error::external("the machine is dead"));
        }
        if state.fault != Some(Fault::Fails(index)) {
            write(&mut state)?;
        }
        match state.fault {
            Some(Fault::Fails(at) | Fault::FailsAndIsDone(at)) if at == index => {
                Err(Error::external("the disk failed"))
            }
            _ => Ok(()),
        }
    }
}

struct ModelFolder {
    machine: Machine,
    folder: &'static str,
}

impl ModelFolder {
    fn renamed(&self, name: &str, contents: Option<Arc<[u8]>>) -> Result<()> {
        let renamed = Renamed { folder: self.folder, name: name.to_owned(), contents };
        self.machine.write(|state| {
            state.live.name(&renamed);
            state.renamed.push(renamed);
            Ok(())
        })
    }
}

impl fmt::Debug for ModelFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder)
    }
}

impl Folder for ModelFolder {
    fn replace(&self, name: &str, bytes: &[u8], _point: &str) -> Result<()> {
        self.renamed(name, Some(bytes.into()))
    }

    fn synchronise(&self) -> Result<()> {
        self.machine.write(|state| {
            for renamed in std::mem::take(&mut state.renamed) {
                match renamed.folder == self.folder {
                    true => state.durable.name(&renamed),
                    false => state.renamed.push(renamed),
                }
            }
            Ok(())
        })
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn Contents>, u64)> {
        let state = self.machine.0.lock();
        let contents = state.live.files.get(&(self.folder, name.to_owned())).ok_or(ErrorKind::NotFound)?;
        Ok((Box::new(Cursor::new(contents.to_vec())), contents.len() as u64))
    }

    fn names(&self) -> Result<Vec<String>> {
        let state = self.machine.0.lock();
        Ok(state.live.files.keys().filter(|(folder, _)| *folder == self.folder).map(|(_, name)| name.clone()).collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.renamed(name, None).map_err(|error| failed("remove", Path::new(name), &io::Error::other(error.message)))
    }

    fn place(&self, name: &str) -> PathBuf {
        Path::new(self.folder).join(name)
    }

    fn scratch(&self) -> Result<PathBuf> {
        Err(Error::internal("the model has no files that are written piece by piece"))
    }
}

struct ModelStore(Machine);

impl Store for ModelStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.0.lock().live.values.get(key).cloned())
    }

    fn apply(&self, batch: &StoreBatch) -> Result<()> {
        self.0.write(|state| {
            batch.check(&state.live.values)?;
            change(&mut state.live.values, batch);
            state.batches.push(batch.clone());
            Ok(())
        })
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        Ok(matching(&self.0.0.lock().live.values, prefix))
    }

    fn flush(&self) -> Result<()> {
        self.0.write(|state| {
            for batch in std::mem::take(&mut state.batches) {
                change(&mut state.durable.values, &batch);
            }
            Ok(())
        })
    }
}
