//! What "durable" means on a disk: files replaced whole, directories synchronised, errors with their path.
//!
//! What writes goes through here, so that a test can let it fail ([`crate::testing::fault`]).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
#[cfg(test)]
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::testing::{crash, fault};

/// The disk: the real one, with the fault that a test has given to this value or to the whole process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    fault: Option<Arc<fault::Fault>>,
}

impl Disk {
    /// A disk with a fault, as [`fault::VARIABLE`] writes it.
    #[cfg(test)]
    pub(crate) fn failing(fault: &str) -> Self {
        Self { fault: fault::Fault::parse(fault).map(Arc::new) }
    }

    #[cfg(test)]
    fn due(&self, point: &str) -> Option<fault::Kind> {
        self.fault.as_ref()?.due(point)
    }

    /// An operation is about to be made.
    ///
    /// # Errors
    /// The fault that a test wants there.
    pub(crate) fn pass(&self, point: &str) -> io::Result<()> {
        #[cfg(test)]
        fault::failing(self.due(point))?;
        fault::pass(point)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// What writing fails with, or the fault that a test wants there.
    pub(crate) fn write_all(&self, point: &str, writer: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if let Some(kind) = self.due(point) {
            return fault::write_unless(Some(kind), writer, bytes);
        }
        fault::write_all(point, writer, bytes)
    }

    /// Makes the contents of a file durable. When this fails, what was written since the last time may be lost
    /// although the system still shows it: it has to be written again before it can be trusted.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn sync_data(&self, point: &str, file: &File) -> io::Result<()> {
        self.pass(point)?;
        file.sync_data()
    }

    /// Makes the entries of a directory (new, renamed and removed files) durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn sync_directory(&self, path: &Path) -> Result<()> {
        self.pass("directory.sync")
            .and_then(|()| File::open(path))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| failed("synchronise the directory", path, &error))
    }

    /// See [`replace_file`].
    pub(crate) fn replace_file(&self, path: &Path, temporary: &Path, bytes: &[u8], point: &str) -> Result<()> {
        crash::point(&format!("{point}.write"));
        let at = |operation: &str| format!("{point}.{operation}");
        let created = self.pass(&at("create")).and_then(|()| File::create(temporary));
        let mut file = created.map_err(|error| failed("create", temporary, &error))?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.write_all(&at("write"), &mut file, first).map_err(|error| failed("write", temporary, &error))?;
        crash::point(&at("half"));
        file.write_all(second).map_err(|error| failed("write", temporary, &error))?;
        crash::point(&at("sync"));
        let synced = self.pass(&at("sync")).and_then(|()| file.sync_all());
        synced.map_err(|error| failed("synchronise", temporary, &error))?;
        crash::point(&at("rename"));
        let renamed = self.pass(&at("rename")).and_then(|()| fs::rename(temporary, path));
        renamed.map_err(|error| failed("rename to", path, &error))?;
        crash::point(&at("renamed"));
        Ok(())
    }
}

/// An error of the disk: what was tried, on what, and what the system said.
pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    let message = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::external(message).with_remedy("make room on this disk, then start again")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::user(message)
            .with_remedy("give this user the right to write there, or choose another place with --dir"),
        _ => Error::external(message),
    }
}

/// Makes the entries of a directory (new, renamed and removed files) durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    Disk::default().sync_directory(path)
}

/// Creates a directory and what leads to it, durably. Does nothing where it exists.
pub(crate) fn create_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), create_directory)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("create the directory", path, &error)),
        _ => sync_directory(parent.unwrap_or(Path::new("."))),
    }
}

/// Replaces the file at `path` with `bytes`: whoever opens it sees the old contents or the new ones, whole.
/// The contents are durable before they get the name; the name itself is durable after
/// [`sync_directory`]. Until then they are in the file `temporary`, which nobody else may write. `point` names
/// the crash points and the places of faults.
pub(crate) fn replace_file(path: &Path, temporary: &Path, bytes: &[u8], point: &str) -> Result<()> {
    Disk::default().replace_file(path, temporary, bytes, point)
}

/// The extension of files that are being written and have no meaning yet.
pub(crate) const TEMPORARY: &str = "tmp";
