//! The folders of the store: putting one in the place of another, putting broken snapshots aside.

use std::fs;
use std::path::{Path, PathBuf};

use crate::disk::{create_directory, failed, sync_directory};
use crate::error::Result;

/// The folder of the store in a pipeline's directory.
pub(super) const FOLDER: &str = "store";
/// A store that is being written and will take the place of the other.
const NEW: &str = "store.new";
/// The store that a rewritten one has taken the place of; gone a moment later.
pub(super) const OLD: &str = "store.old";
/// The store that a rebuilt one has taken the place of: kept, to be looked at.
pub(super) const DAMAGED: &str = "store.damaged";
/// Where snapshots that cannot be read are put, in the store's folder.
pub(super) const QUARANTINE: &str = "quarantine";

/// Finishes or undoes what a crash has interrupted while one store took the place of another.
pub(super) fn settle(directory: &Path) -> Result<()> {
    let [store, new, old] = [FOLDER, NEW, OLD].map(|name| directory.join(name));
    // The old one was moved away only when the new one was whole.
    if !store.exists() && old.exists() {
        rename(if new.exists() { &new } else { &old }, &store)?;
        sync_directory(directory)?;
    }
    remove(&new)?;
    remove(&old)
}

/// An empty folder for a store that is to take the place of the one in `directory`.
pub(super) fn begin(directory: &Path) -> Result<PathBuf> {
    let new = directory.join(NEW);
    remove(&new)?;
    create_directory(&new)?;
    Ok(new)
}

/// Puts the new store, which is closed and durable, in the place of the one there is, which becomes `aside`.
pub(super) fn exchange(directory: &Path, aside: &str) -> Result<()> {
    let [store, new, aside] = [FOLDER, NEW, aside].map(|name| directory.join(name));
    remove(&aside)?;
    if store.exists() {
        rename(&store, &aside)?;
        sync_directory(directory)?;
    }
    rename(&new, &store)?;
    sync_directory(directory)
}

/// Moves all snapshots aside; whether there were any.
pub(super) fn quarantine_snapshots(path: &Path) -> Result<bool> {
    let error = |error| failed("examine", path, &error);
    let aside = path.join(QUARANTINE);
    let mut any = false;
    for entry in fs::read_dir(path).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("snap.") {
            continue;
        }
        create_directory(&aside)?;
        rename(&entry.path(), &aside.join(name))?;
        any = true;
    }
    sync_directory(path)?;
    Ok(any)
}

/// How many bytes the files of a folder take, folders in it not counted.
pub(super) fn bytes(path: &Path) -> Result<u64> {
    let error = |error| failed("examine", path, &error);
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(error)? {
        let metadata = entry.and_then(|entry| entry.metadata()).map_err(error)?;
        bytes += if metadata.is_file() { metadata.len() } else { 0 };
    }
    Ok(bytes)
}

/// Copies the files of a store to an empty folder.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    let error = |error| failed("copy", from, &error);
    for entry in fs::read_dir(from).map_err(error)? {
        let entry = entry.map_err(error)?;
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != *QUARANTINE {
            let to = to.join(name);
            create_directory(&to)?;
            copy(&path, &to)?;
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).map_err(error)?;
        }
    }
    Ok(())
}

/// Removes a folder with everything in it. One that is not there is no error.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| failed("move", from, &error))
}
