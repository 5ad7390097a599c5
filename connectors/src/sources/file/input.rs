//! Opening what a file source reads: a file, compressed or not, or a text in memory.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_pipeline::error::{Error, Result};
use xxhash_rust::xxh3::Xxh3;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, also several members one after another.
    Gzip,
    /// Zstandard, also several frames one after another.
    Zstd,
}

impl Compression {
    /// By the extension of `path`: `.gz`, `.zst`, `.zstd`. Also gives the path without that extension.
    pub(crate) fn of(path: &Path) -> (Self, PathBuf) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => (Self::Gzip, path.with_extension("")),
            Some("zst" | "zstd") => (Self::Zstd, path.with_extension("")),
            _ => (Self::None, path.to_owned()),
        }
    }
}

/// What a source reads.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// As the user wrote it.
        name: Arc<str>,
        /// How it is compressed.
        compression: Compression,
    },
    /// A text that was made of several files.
    Memory(Arc<[u8]>),
}

/// A reader and the hash of what went through it, before decompression.
pub(crate) struct OpenInput {
    /// The decompressed text.
    pub(crate) reader: Box<dyn Read + Send>,
    /// The raw bytes so far.
    pub(crate) raw: RawHash,
    /// The inode of the file.
    pub(crate) inode: Option<u64>,
}

/// Length and hash of the bytes of a whole input, before decompression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) bytes: u64,
    pub(crate) hash: String,
}

impl Input {
    /// The text from `offset` on. With `length`, of the raw bytes only so many are read.
    ///
    /// # Errors
    /// When it cannot be opened, with the remedy.
    pub(crate) fn open(&self, offset: u64, length: Option<u64>) -> Result<OpenInput> {
        let raw = RawHash::default();
        let length = length.unwrap_or(u64::MAX);
        let mut inode = None;
        let reader: Box<dyn Read + Send> = match self {
            Self::Memory(text) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
                let rest: Vec<u8> = text[start..].to_vec();
                Box::new(Hashing { inner: io::Cursor::new(rest), raw: raw.clone() })
            }
            Self::File { path, name, compression } => {
                let mut file = open_file(path, name)?;
                let failed = |error: io::Error| read_failed(name, &error);
                inode = Some(file.metadata().map_err(failed)?.ino());
                if *compression == Compression::None {
                    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
                    Box::new(Hashing { inner: file.take(length.saturating_sub(offset)), raw: raw.clone() })
                } else {
                    let hashing = Hashing { inner: file.take(length), raw: raw.clone() };
                    let mut reader = decompressed(hashing, *compression).map_err(failed)?;
                    // A compressed text has no way to begin in the middle.
                    io::copy(&mut (&mut reader).take(offset), &mut io::sink()).map_err(failed)?;
                    reader
                }
            }
        };
        Ok(OpenInput { reader, raw, inode })
    }

    /// How messages name it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::File { name, .. } => name,
            Self::Memory(_) => "the listed files",
        }
    }

    /// The raw length now.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub(crate) fn length(&self) -> Result<u64> {
        match self {
            Self::File { path, name, .. } => Ok(metadata(path, name)?.len()),
            Self::Memory(text) => Ok(text.len() as u64),
        }
    }

    /// Length and hash of the first `length` raw bytes, or of all.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn fingerprint(&self, length: Option<u64>) -> Result<Fingerprint> {
        let raw = RawHash::default();
        let length = length.unwrap_or(u64::MAX);
        match self {
            Self::File { path, name, .. } => {
                let mut reader = Hashing { inner: open_file(path, name)?.take(length), raw: raw.clone() };
                let mut buffer = vec![0; 256 * 1024];
                while reader.read(&mut buffer).map_err(|error| read_failed(name, &error))? > 0 {}
            }
            Self::Memory(text) => raw.update(text),
        }
        Ok(raw.fingerprint())
    }
}

/// The hash of the bytes that went through a reader. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct RawHash(Arc<Mutex<(Xxh3, u64)>>);

impl RawHash {
    pub(crate) fn update(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.update(bytes);
        state.1 += bytes.len() as u64;
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Fingerprint { bytes: state.1, hash: format!("{:032x}", state.0.digest128()) }
    }

    /// xxh3-128 and length.
    pub(crate) fn digest(&self) -> (u128, u64) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.0.digest128(), state.1)
    }
}

/// Hashes what is read through it.
pub(crate) struct Hashing<R> {
    pub(crate) inner: R,
    pub(crate) raw: RawHash,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.raw.update(&buffer[..read]);
        Ok(read)
    }
}

fn decompressed(reader: impl Read + Send + 'static, compression: Compression) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => {
            Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(64 * 1024, reader)))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
    })
}

/// Opens a regular file.
///
/// # Errors
/// When it is missing, not readable or not a regular file, with the remedy.
pub(crate) fn open_file(path: &Path, name: &str) -> Result<File> {
    let file = File::open(path).map_err(|error| open_failed(name, &error))?;
    let metadata = file.metadata().map_err(|error| open_failed(name, &error))?;
    if metadata.is_file() {
        return Ok(file);
    }
    let what = if metadata.is_dir() { "a directory" } else { "not a regular file" };
    Err(Error::user(format!("`{name}` is {what}")).with_remedy("name a regular file"))
}

/// What is known of the file now.
///
/// # Errors
/// When it cannot be looked at.
pub(crate) fn metadata(path: &Path, name: &str) -> Result<Metadata> {
    std::fs::metadata(path).map_err(|error| open_failed(name, &error))
}

fn open_failed(name: &str, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::user(format!("there is no file `{name}`"))
            .with_remedy("create it, or correct the path; relative paths begin at the working directory"),
        io::ErrorKind::PermissionDenied => Error::user(format!("the file `{name}` may not be read"))
            .with_remedy("give this user the permission to read it"),
        _ => Error::external(format!("cannot open `{name}`: {error}")),
    }
}

/// Reading failed in the middle.
pub(crate) fn read_failed(name: &str, error: &io::Error) -> Error {
    Error::external(format!("cannot read `{name}`: {error}"))
}
