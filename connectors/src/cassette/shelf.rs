//! Where a cassette lies: read whole, replaced whole.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tidegate_pipeline::error::{Error, Result};

use super::interaction::Interaction;
use super::{read, write};

/// The largest cassette.
pub(super) const MOST: usize = 256 << 20;

/// A cassette's file.
pub(super) struct Shelf {
    path: PathBuf,
    /// Held while something is recorded.
    lock: Option<File>,
}

impl Shelf {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    pub(super) fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// What is recorded; `None` where there is no file, or nothing in it.
    ///
    /// # Errors
    /// When it cannot be read, is no cassette or too large.
    pub(super) fn read(&self) -> Result<Option<Vec<Interaction>>> {
        let failed = |error: io::Error| Error::user(format!("the cassette {} cannot be read: {error}", self.shown()));
        let size = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if size > MOST as u64 {
            let most = MOST >> 20;
            return Err(Error::user(format!("the cassette {} is larger than {most} MiB", self.shown()))
                .with_remedy("record less into one cassette"));
        }
        let text = fs::read_to_string(&self.path).map_err(failed)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let interactions = read::read(&text, MOST).map_err(|wrong| {
            Error::user(format!("{}:{}: no cassette of VCR: {}", self.shown(), wrong.line, wrong.message))
                .with_remedy("record it anew, or mend it")
        })?;
        Ok(Some(interactions))
    }

    /// Keeps other recorders away, for as long as this lives.
    ///
    /// # Errors
    /// When there is another one, or the folder cannot be written.
    pub(super) fn lock(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let failed = |error: io::Error| {
            Error::user(format!("the cassette {} cannot be recorded: {error}", self.shown()))
                .with_remedy("the folder must exist, and this program must be allowed to write into it")
        };
        let file =
            File::options().create(true).truncate(false).write(true).open(self.beside("lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::user(format!("the cassette {} is being recorded already", self.shown()))
                    .with_remedy("give every node a cassette of its own"));
            }
        }
        Ok(())
    }

    /// Replaces the file: what is read at any time is the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write<'i>(&self, interactions: impl Iterator<Item = &'i Interaction>) -> Result<()> {
        let failed =
            |error: io::Error| Error::external(format!("the cassette {} cannot be written: {error}", self.shown()));
        self.replace(interactions).map_err(failed)
    }

    fn replace<'i>(&self, interactions: impl Iterator<Item = &'i Interaction>) -> io::Result<()> {
        let draft = self.beside("tmp");
        let mut out = BufWriter::new(File::create(&draft)?);
        write::write(&mut out, interactions)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&draft, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }

    /// A hidden file of the same folder.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".");
        name.push(ending);
        self.path.with_file_name(name)
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        if self.lock.is_some() {
            // What is left behind harms nobody: it is locked anew.
            let _ = fs::remove_file(self.beside("lock"));
        }
    }
}
