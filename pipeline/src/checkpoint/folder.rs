//! Where the files of checkpoints are: a directory of the disk; in tests, a model of one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{TEMPORARY, create_directory, failed, replace_file, sync_directory};
use crate::error::Result;

/// The contents of an open file.
pub(super) trait Contents: Read + Seek + Send {}

impl<T: Read + Seek + Send> Contents for T {}

/// Files that are replaced whole, read and removed.
pub(super) trait Folder: Send + Sync + fmt::Debug {
    /// Gives a file these contents: whoever opens it sees the old ones or the new ones, whole. The contents are
    /// durable before they get the name, the name after [`Folder::synchronise`]. `point` names the crash points.
    fn replace(&self, name: &str, bytes: &[u8], point: &str) -> Result<()>;

    /// Makes new, replaced and removed names durable.
    fn synchronise(&self) -> Result<()>;

    /// Opens a file; with its length in bytes.
    fn open(&self, name: &str) -> io::Result<(Box<dyn Contents>, u64)>;

    /// The names of all files.
    fn names(&self) -> Result<Vec<String>>;

    /// Removes a file. One that is gone already is no error.
    fn remove(&self, name: &str) -> Result<()>;

    /// Where a file is.
    fn place(&self, name: &str) -> PathBuf;

    /// A path in the folder for a file that is being written and has no meaning yet.
    fn scratch(&self) -> Result<PathBuf>;

    /// The whole contents of a file; `None` where there is none.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let error = |error| failed("read", &self.place(name), &error);
        match self.open(name) {
            Ok((mut contents, _)) => {
                let mut bytes = Vec::new();
                contents.read_to_end(&mut bytes).map_err(error)?;
                Ok(Some(bytes))
            }
            Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
            Err(other) => Err(error(other)),
        }
    }
}

/// A directory of the disk.
#[derive(Debug)]
pub(super) struct DiskFolder {
    path: PathBuf,
    /// How many files were begun: tells those apart that are being written.
    begun: AtomicU64,
}

impl DiskFolder {
    /// The directory at `path`, which may be missing as long as nothing is written to it.
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), begun: AtomicU64::default() }
    }

    /// The directory at `path`, created where it is missing, without what a crash has left half-written.
    pub(super) fn create(path: &Path) -> Result<Self> {
        create_directory(path)?;
        let folder = Self::of(path);
        for name in folder.names()? {
            let path = folder.place(&name);
            if path.extension().is_some_and(|extension| extension == TEMPORARY) {
                fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
            }
        }
        Ok(folder)
    }
}

impl Folder for DiskFolder {
    fn replace(&self, name: &str, bytes: &[u8], point: &str) -> Result<()> {
        // Two threads may write the same file.
        let count = self.begun.fetch_add(1, Ordering::Relaxed);
        let path = self.place(name);
        replace_file(&path, &path.with_extension(format!("{count}.{TEMPORARY}")), bytes, point)
    }

    fn synchronise(&self) -> Result<()> {
        sync_directory(&self.path)
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn Contents>, u64)> {
        let file = File::open(self.place(name))?;
        let length = file.metadata()?.len();
        Ok((Box::new(file), length))
    }

    fn names(&self) -> Result<Vec<String>> {
        let error = |error| failed("list", &self.path, &error);
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        fs::read_dir(&self.path).map_err(error)?.map(|entry| name(entry).map_err(error)).collect()
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.place(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path, &error)),
            _ => Ok(()),
        }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn scratch(&self) -> Result<PathBuf> {
        let count = self.begun.fetch_add(1, Ordering::Relaxed);
        Ok(self.path.join(format!("{count}.{TEMPORARY}")))
    }
}
