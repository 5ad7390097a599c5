//! What "durable" means on a disk: files replaced whole, directories synchronised, errors with their path.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::testing::crash;

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
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| failed("synchronise the directory", path, &error))
}

/// Creates a directory and what leads to it, durably. Does nothing where it exists.
pub(crate) fn create_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|error| failed("create the directory", path, &error))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

/// Replaces the file at `path` with `bytes`: whoever opens it sees the old contents or the new ones, whole.
/// The contents are durable before they get the name; the name itself is durable after
/// [`sync_directory`]. Until then they are in the file `temporary`, which nobody else may write. `point` names
/// the crash points.
pub(crate) fn replace_file(path: &Path, temporary: &Path, bytes: &[u8], point: &str) -> Result<()> {
    crash::point(&format!("{point}.write"));
    let mut file = File::create(temporary).map_err(|error| failed("create", temporary, &error))?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first).map_err(|error| failed("write", temporary, &error))?;
    crash::point(&format!("{point}.half"));
    file.write_all(second).map_err(|error| failed("write", temporary, &error))?;
    crash::point(&format!("{point}.sync"));
    file.sync_all().map_err(|error| failed("synchronise", temporary, &error))?;
    crash::point(&format!("{point}.rename"));
    fs::rename(temporary, path).map_err(|error| failed("rename to", path, &error))?;
    crash::point(&format!("{point}.renamed"));
    Ok(())
}

/// The extension of files that are being written and have no meaning yet.
pub(crate) const TEMPORARY: &str = "tmp";
