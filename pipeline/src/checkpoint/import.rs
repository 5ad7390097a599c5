//! A pipeline's directory from a copy of a checkpoint: beside the place first, then in it, whole or not at all.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::disk::{create_directory, failed, sync_directory};
use crate::error::{Error, Result};
use crate::runtime::{PIPELINE_SECTIONS, any_intended};
use crate::step::{ContentHash, Incarnation, StepNumber};

use super::archive::Archive;
use super::fence;
use super::manifest::{CheckpointNumber, Manifest};
use super::owned::CheckpointStore;
use super::owner::OwnerLock;
use super::sled_store::SledStore;

/// The named value that says after which step the journal of an imported pipeline begins.
pub(super) const JOURNAL_BEGINS: &str = "journal_begins";
/// The named value that holds the token of the place that copies go to.
pub(super) const COPIES: &str = "copies";
/// Incarnations grow by at most this much: two copies of one checkpoint get different ones.
const STRIDE: u64 = 1 << 20;

/// What an import has brought.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// The checkpoint.
    pub checkpoint: CheckpointNumber,
    /// The step after which it was taken: the next `run` goes on with the step after it.
    pub step: StepNumber,
    /// The incarnation that begins with it.
    pub incarnation: Incarnation,
    /// How many segments there are.
    pub segments: u64,
    /// Whether there are effects that had not come to an end: they are sent, under the ids that they had. Dead ones are
    /// kept, but do not count.
    pub pending_effects: bool,
    /// The sinks that go back to the mark of the checkpoint. Empty when outputs were left out.
    pub marks: Vec<String>,
}

/// Brings the checkpoint in the file `from` to the pipeline directory `directory` (`.tidegate/NAME`), which must not hold
/// anything yet. A new incarnation begins. Without `outputs` the sinks know nothing of what they have written before.
///
/// # Errors
/// When the file is damaged, the directory holds something or is in use, or the disk fails; then nothing is changed.
pub fn import(directory: &Path, from: &Path, outputs: bool) -> Result<ImportReport> {
    let mut archive = Archive::open(from)?;
    let Some((_, bytes)) = archive.next()? else {
        return Err(Error::external(format!("{} holds no checkpoint", from.display())).never_retry());
    };
    let manifest = Manifest::from_bytes(&bytes)?;
    let expected = archive.head().checkpoint;
    if manifest.number != expected {
        let message = format!("{} says checkpoint {expected} and holds {}", from.display(), manifest.number);
        return Err(Error::external(message).never_retry());
    }
    let fetch = |name: &ContentHash, into: &mut dyn Write| match archive.next()? {
        Some((hash, bytes)) if hash == *name => {
            into.write_all(&bytes).map_err(|error| Error::external(format!("the segment {name}: {error}")))
        }
        Some(_) => Err(Error::external("the file holds other segments than its manifest names").never_retry()),
        None => Err(Error::external("the file holds too few segments").never_retry()),
    };
    stage(directory, Staged { manifest, outputs, copies: None }, fetch)
}

/// What a directory is made of.
pub(super) struct Staged {
    pub(super) manifest: Manifest,
    /// Whether sinks go back to their marks.
    pub(super) outputs: bool,
    /// The token of the place that copies were taken over at.
    pub(super) copies: Option<String>,
}

/// Makes the directory of a checkpoint beside the place and moves it there. `fetch` is asked for each segment that
/// the manifest names, in that order, and writes its contents.
pub(super) fn stage(
    directory: &Path,
    staged: Staged,
    mut fetch: impl FnMut(&ContentHash, &mut dyn Write) -> Result<()>,
) -> Result<ImportReport> {
    let vacated = vacate(directory)?;
    let staging = beside(directory);
    let owner = OwnerLock::acquire(&staging)?;
    clear(&staging)?;
    let names = staged.manifest.segments();
    let store = CheckpointStore::open(&staging, Box::new(SledStore::open(&staging)?))?;
    for name in &names {
        store.adopt(name, |into| fetch(name, into))?;
    }
    let report = take(&store, staged, names.len() as u64)?;
    drop(store);
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|error| failed("remove", directory, &error))?;
    }
    fs::rename(&staging, directory).map_err(|error| failed("rename to", directory, &error))?;
    drop((owner, vacated));
    sync_directory(directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(report)
}

/// Commits the manifest as the first checkpoint of a new incarnation.
fn take(store: &CheckpointStore, staged: Staged, segments: u64) -> Result<ImportReport> {
    let Staged { mut manifest, outputs, copies } = staged;
    manifest.incarnation = successor(manifest.incarnation);
    manifest.parent = None;
    if !outputs {
        manifest.marks.clear();
    }
    let report = ImportReport {
        checkpoint: manifest.number,
        step: manifest.step,
        incarnation: manifest.incarnation,
        segments,
        pending_effects: any_intended(store.read_state(&manifest.effects, PIPELINE_SECTIONS)?)?,
        marks: manifest.marks.keys().cloned().collect(),
    };
    store.put_value(JOURNAL_BEGINS, &manifest.step)?;
    if let Some(token) = copies {
        store.put_value(COPIES, &token)?;
    }
    store.put_marks(&manifest.marks)?;
    store.commit(manifest)?;
    Ok(report)
}

/// An incarnation after this one, which another copy of the same checkpoint will hardly get.
fn successor(incarnation: Incarnation) -> Incarnation {
    let stride = 1 + u64::from_str_radix(&fence::token()[..12], 16).unwrap_or_default() % STRIDE;
    Incarnation(incarnation.0.saturating_add(stride as u32))
}

/// Makes sure that a directory holds no pipeline; it is locked as long as what this returns lives.
pub(super) fn vacate(directory: &Path) -> Result<Option<OwnerLock>> {
    if !directory.exists() {
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            create_directory(parent)?;
        }
        return Ok(None);
    }
    let owner = OwnerLock::acquire(directory)?;
    let holds = |name: &str| {
        let path = directory.join(name);
        path.is_file() || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
    };
    if ["head", "segments", "journal"].into_iter().any(holds) {
        return Err(Error::user(format!("{} holds a pipeline already", directory.display()))
            .with_remedy("move it away first, or choose another place with --dir"));
    }
    Ok(Some(owner))
}

/// Where a directory is made before it gets its place.
fn beside(directory: &Path) -> PathBuf {
    let mut name: OsString = directory.as_os_str().to_owned();
    name.push(".importing");
    PathBuf::from(name)
}

/// Removes what an import that was interrupted has left, but for the lock.
fn clear(staging: &Path) -> Result<()> {
    let error = |error| failed("clear", staging, &error);
    for entry in fs::read_dir(staging).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else if path.ends_with("owner") {
            Ok(())
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(error)?;
    }
    Ok(())
}
