//! A place for copies: whole files by name, and two conditional writes for the fence.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::disk::{TEMPORARY, create_directory, failed, replace_file, sync_directory};
use crate::error::Result;

/// Files by name (`newest.json`, `segments/…`), each written whole. All calls block, and none of them may be made by
/// the thread of an async task.
///
/// What a place owes:
/// 1. What was written is durable, and seen by whoever reads afterwards, when the call returns. A file is there whole
///    or not at all.
/// 2. Of several [`Remote::create`] of one name at the same time one succeeds; of several [`Remote::exchange`] of the
///    same contents too. An attempt whose end is not known is an error, not `false`.
/// 3. A call ends by itself: a place that does not answer is an error after a while.
/// 4. Files may be large: [`Remote::send`] and [`Remote::fetch`] never hold one whole.
pub trait Remote: Send + Sync + fmt::Debug {
    /// The names of all files in a folder; none where there is no such folder.
    ///
    /// # Errors
    /// When the place cannot be reached.
    fn names(&self, folder: &str) -> Result<BTreeSet<String>>;

    /// The contents of a small file; `None` where there is none.
    ///
    /// # Errors
    /// When the place cannot be reached.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes the contents of a file that are at an end, piece by piece; `false` where there is no file of that name.
    /// After an error some of them may have been written.
    ///
    /// # Errors
    /// When the place cannot be reached, or `into` fails.
    fn fetch(&self, name: &str, into: &mut dyn Write) -> Result<bool>;

    /// Writes a file with the contents of the local file `from`, or replaces it.
    ///
    /// # Errors
    /// When the place cannot be reached or is full, or `from` cannot be read.
    fn send(&self, name: &str, from: &Path) -> Result<()>;

    /// Writes a small file if there is none of that name; whether it did.
    ///
    /// # Errors
    /// When the place cannot be reached or is full.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool>;

    /// Replaces a small file if its contents are `before`; whether it did.
    ///
    /// # Errors
    /// When the place cannot be reached or is full.
    fn exchange(&self, name: &str, before: &[u8], bytes: &[u8]) -> Result<bool>;

    /// Removes a file. One that is gone already is no error.
    ///
    /// # Errors
    /// When the place cannot be reached.
    fn remove(&self, name: &str) -> Result<()>;

    /// Where it is, for messages.
    fn place(&self) -> String;
}

/// A folder of a disk, or of a file system that is mounted.
#[derive(Debug)]
pub struct FolderRemote(PathBuf);

impl FolderRemote {
    /// The folder at `path`, which is created when something is written.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Writes contents that have no name yet, then gives them the name in a way that says whether it was free.
    fn linked(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let path = self.0.join(name);
        let draft = path.with_extension(format!("{}.{TEMPORARY}", super::super::fence::token()));
        let unnamed = draft.with_extension("draft");
        replace_file(&draft, &unnamed, bytes, "copy")?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).map_err(|error| failed("remove", &draft, &error))?;
        match linked {
            Ok(()) => sync_directory(&self.0).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed("create", &path, &error)),
        }
    }
}

impl Remote for FolderRemote {
    fn names(&self, folder: &str) -> Result<BTreeSet<String>> {
        let path = self.0.join(folder);
        let error = |error| failed("list", &path, &error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(other) => return Err(error(other)),
        };
        entries.map(|entry| Ok(entry.map_err(error)?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path, &error)),
        }
    }

    fn fetch(&self, name: &str, into: &mut dyn Write) -> Result<bool> {
        let path = self.0.join(name);
        let copied = File::open(&path).and_then(|mut file| io::copy(&mut file, into));
        match copied {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("copy", &path, &error)),
        }
    }

    fn send(&self, name: &str, from: &Path) -> Result<()> {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(&self.0);
        create_directory(folder)?;
        let temporary = path.with_extension(TEMPORARY);
        let mut source = File::open(from).map_err(|error| failed("open", from, &error))?;
        let copied = File::create(&temporary).and_then(|mut file| {
            io::copy(&mut source, &mut file)?;
            file.sync_all()
        });
        copied.map_err(|error| failed("write", &temporary, &error))?;
        fs::rename(&temporary, &path).map_err(|error| failed("rename to", &path, &error))?;
        sync_directory(folder)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        create_directory(&self.0)?;
        self.linked(name, bytes)
    }

    fn exchange(&self, name: &str, before: &[u8], bytes: &[u8]) -> Result<bool> {
        // Those who exchange wait for each other; nobody else replaces a file that is exchanged.
        let lock = self.0.join(format!("{name}.lock"));
        let file: File = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .map_err(|error| failed("open", &lock, &error))?;
        file.lock().map_err(|error| failed("lock", &lock, &error))?;
        if self.read(name)?.as_deref() != Some(before) {
            return Ok(false);
        }
        let path = self.0.join(name);
        replace_file(&path, &path.with_extension(TEMPORARY), bytes, "copy")?;
        sync_directory(&self.0).map(|()| true)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &path, &error)),
            _ => Ok(()),
        }
    }

    fn place(&self) -> String {
        format!("file://{}", self.0.display())
    }
}
