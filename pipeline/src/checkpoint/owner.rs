//! Who may write to a pipeline's directory: one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::disk::{create_directory, failed};
use crate::error::{Error, Result};

/// The file that is locked, holding the owner's process id.
const NAME: &str = "owner";

/// The ownership of a pipeline's directory, until it is dropped or the process ends in whatever way.
#[derive(Debug)]
pub struct OwnerLock {
    file: File,
    path: PathBuf,
}

impl OwnerLock {
    /// Takes the ownership of `directory` (`.tidegate/NAME`), creating it where it is missing.
    ///
    /// # Errors
    /// When another process owns it (with its process id), or the disk fails.
    pub fn acquire(directory: &Path) -> Result<Self> {
        create_directory(directory)?;
        let path = directory.join(NAME);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|error| failed("open", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
        }
        // Nobody trusts the file without the lock, so it needs no fsync.
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| failed("write", &path, &error))?;
        Ok(Self { file, path })
    }
}

/// The process that owns `directory` now, as far as it says; `None` when nobody does. Takes nothing and changes
/// nothing.
pub(super) fn owner_of(directory: &Path) -> Option<String> {
    let mut file = File::open(directory.join(NAME)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(named(&mut file)),
        // The lock goes with the file.
        _ => None,
    }
}

impl Drop for OwnerLock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), %error, "the ownership could not be given back before the process ends");
        }
    }
}

/// The process that has locked the file.
fn named(file: &mut File) -> String {
    let mut owner = String::new();
    // A process that has just taken the lock may not have written its id yet.
    let _ = file.take(32).read_to_string(&mut owner);
    match owner.trim() {
        "" => "another process".to_owned(),
        id => format!("process {id}"),
    }
}

fn in_use(directory: &Path, file: &mut File) -> Error {
    let owner = named(file);
    Error::user(format!("pipeline directory {} is in use by {owner}", directory.display()))
        .with_remedy("stop it first, or choose another directory with --dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_with_the_process_id_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("pipeline");
        let first = OwnerLock::acquire(&place).unwrap();
        let error = OwnerLock::acquire(&place).unwrap_err();
        assert_eq!(error.domain, crate::error::Domain::User);
        let expected = format!("is in use by process {}", std::process::id());
        assert!(error.message.contains(&expected) && error.message.contains("pipeline directory"), "{error}");
        drop(first);
        OwnerLock::acquire(&place).unwrap();
    }
}
