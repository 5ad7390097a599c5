//! Beginning anew: what a pipeline has stored is moved out of the way, and put back when that was for nothing.

use std::path::{Path, PathBuf};

use super::Pipeline;
use crate::checkpoint::OwnerLock;
use crate::error::{Error, Result};

/// The state of a pipeline that was set aside: to be removed when the pipeline has begun anew, or put back when it
/// could not.
#[derive(Debug)]
pub struct SetAside {
    directory: PathBuf,
    aside: PathBuf,
}

impl SetAside {
    /// Puts the state back where it was.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn put_back(self) -> Result<()> {
        let moved = match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::rename(&self.aside, &self.directory),
        };
        moved.map_err(|error| {
            Error::external(format!(
                "{} cannot be put back from {}: {error}",
                self.directory.display(),
                self.aside.display()
            ))
        })
    }

    /// Removes the state for good.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<()> {
        std::fs::remove_dir_all(&self.aside)
            .map_err(|error| Error::external(format!("{} cannot be removed: {error}", self.aside.display())))
    }
}

impl Pipeline {
    /// Sets aside everything that a pipeline's directory holds, so that the pipeline begins anew. Outputs are
    /// elsewhere and are left alone. `None` where there is nothing.
    ///
    /// # Errors
    /// When another process owns the directory, or it cannot be moved.
    pub fn set_aside(directory: &Path) -> Result<Option<SetAside>> {
        if !directory.exists() {
            return Ok(None);
        }
        let owner = OwnerLock::acquire(directory)?;
        let mut name = directory.as_os_str().to_owned();
        name.push(".before-fresh");
        let aside = PathBuf::from(name);
        let failed =
            |error: std::io::Error| Error::external(format!("{} cannot be set aside: {error}", directory.display()));
        if aside.exists() {
            std::fs::remove_dir_all(&aside).map_err(failed)?;
        }
        std::fs::rename(directory, &aside).map_err(failed)?;
        drop(owner);
        Ok(Some(SetAside { directory: directory.to_owned(), aside }))
    }
}
