//! One checkpoint in one file.
//!
//! ```text
//! magic 8 | format u32 | length of head u32 | head | zstd: the segments one after another | BLAKE3 of all before 32
//! ```
//! The head is JSON. The manifest is the first segment; every segment is compared with its name, and the whole file with
//! its last 32 bytes before anything is made of it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{TEMPORARY, failed, sync_directory};
use crate::error::{Error, Result};
use crate::step::{ContentHash, Incarnation, StepNumber, StepTime};

use super::head::{at_head, list_checkpoints, read_manifest};
use super::manifest::CheckpointNumber;
use super::segments::SegmentStore;

const MAGIC: &[u8; 8] = b"TIDEXPRT";
/// The format of files that this program writes.
const FORMAT: u32 = 1;
/// The length of the BLAKE3 at the end.
const SEAL: usize = 32;
/// The longest head: some hundred thousand segments.
const MAX_HEAD: u32 = 64 * 1024 * 1024;
/// How hard zstd tries.
const LEVEL: i32 = 3;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveHead {
    /// The pipeline that it comes from.
    pub pipeline: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// The checkpoint.
    pub checkpoint: CheckpointNumber,
    /// The step after which it was taken.
    pub step: StepNumber,
    /// The time of that step.
    pub time: StepTime,
    /// The incarnation that took it.
    pub incarnation: Incarnation,
    /// The segments in the file and their lengths in bytes; the manifest first.
    pub segments: Vec<(ContentHash, u64)>,
}

/// Writes a checkpoint (the newest for `None`) of the pipeline directory `directory` (`.tidegate/NAME`) to the file
/// `to`, beside a running pipeline if need be. What came after the checkpoint is not in the file.
///
/// # Errors
/// When there is no such checkpoint, a part of it is damaged or was collected meanwhile, the file exists, or the
/// disk fails; then there is no file.
pub fn export(directory: &Path, number: Option<CheckpointNumber>, to: &Path) -> Result<ArchiveHead> {
    if to.exists() {
        return Err(
            Error::user(format!("{} exists", to.display())).with_remedy("name another file, or remove this one")
        );
    }
    let exported = at_head(directory, |newest| {
        let number = number.unwrap_or(newest.number);
        let listed = list_checkpoints(directory)?;
        match listed.iter().find(|summary| summary.number == number) {
            Some(summary) => write(directory, &summary.manifest, to),
            None => Err(Error::user(format!("there is no checkpoint {number}"))
                .with_remedy("`checkpoint list` shows those that there are")),
        }
    });
    exported?.ok_or_else(|| Error::user(format!("{} has no checkpoint yet", directory.display())))
}

fn write(directory: &Path, manifest: &ContentHash, to: &Path) -> Result<ArchiveHead> {
    let temporary = to.with_extension(format!("{}.{TEMPORARY}", std::process::id()));
    let written = write_to(directory, manifest, &temporary).and_then(|head| {
        fs::rename(&temporary, to).map_err(|error| failed("rename to", to, &error))?;
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(parent.unwrap_or(Path::new(".")))?;
        Ok(head)
    });
    if written.is_err() {
        // The error that led here says more than one of cleaning up would.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_to(directory: &Path, own: &ContentHash, path: &Path) -> Result<ArchiveHead> {
    let segments = SegmentStore::of(directory);
    let manifest = read_manifest(directory, own)?;
    let mut lengths = Vec::new();
    for hash in [own.clone()].into_iter().chain(manifest.segments()) {
        let length = segments.verify(&hash)?;
        lengths.push((hash, length));
    }
    let head = ArchiveHead {
        pipeline: directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        checkpoint: manifest.number,
        step: manifest.step,
        time: manifest.time,
        incarnation: manifest.incarnation,
        segments: lengths,
    };
    let error = |error| failed("write", path, &error);
    let json = serde_json::to_vec(&head).map_err(Error::internal)?;
    let length = u32::try_from(json.len()).map_err(Error::internal)?;
    let mut file = Hashing::new(BufWriter::new(File::create(path).map_err(error)?));
    [&MAGIC[..], &FORMAT.to_le_bytes(), &length.to_le_bytes(), &json]
        .iter()
        .try_for_each(|bytes| file.write_all(bytes))
        .map_err(error)?;
    let mut packed = zstd::Encoder::new(file, LEVEL).map_err(error)?;
    for (hash, length) in &head.segments {
        let (mut contents, _) = segments.contents(hash)?;
        let copied = io::copy(&mut contents, &mut packed).map_err(error)?;
        if copied != *length {
            return Err(Error::external(format!("the segment {hash} has changed while it was read")));
        }
    }
    let file = packed.finish().map_err(error)?;
    file.seal()
        .and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all())
        .map_err(error)?;
    Ok(head)
}

/// A file written by [`export`], verified as a whole: its segments are read one after another.
pub(super) struct Archive {
    head: ArchiveHead,
    contents: zstd::Decoder<'static, BufReader<io::Take<BufReader<File>>>>,
    path: PathBuf,
    next: usize,
}

impl Archive {
    /// Opens a file and reads all of it once.
    ///
    /// # Errors
    /// When it is damaged, no such file, or was written by a newer program.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let error = |error| failed("read", path, &error);
        let file = File::open(path).map_err(error)?;
        let length = file.metadata().map_err(error)?.len();
        let mut file = BufReader::new(file);
        let head = read_head(&mut file, path)?;
        let start = file.stream_position().map_err(error)?;
        verify_seal(&mut file, path, length)?;
        file.seek(SeekFrom::Start(start)).map_err(error)?;
        let packed = file.take(length.saturating_sub(start + SEAL as u64));
        let contents = zstd::Decoder::new(packed).map_err(error)?;
        Ok(Self { head, contents, path: path.to_owned(), next: 0 })
    }

    /// What the file says of itself.
    pub(super) fn head(&self) -> &ArchiveHead {
        &self.head
    }

    /// The contents of the next segment, compared with its name; `None` after the last.
    ///
    /// # Errors
    /// When it is not what it is named, or the disk fails.
    pub(super) fn next(&mut self) -> Result<Option<(ContentHash, Vec<u8>)>> {
        let Some((hash, length)) = self.head.segments.get(self.next).cloned() else { return Ok(None) };
        self.next += 1;
        let mut bytes = Vec::new();
        let taken = (&mut self.contents).take(length).read_to_end(&mut bytes);
        taken.map_err(|error| failed("read", &self.path, &error))?;
        if ContentHash::of(&bytes) != hash {
            return Err(damaged(&self.path, &format!("its segment {hash} is not what it is named by")));
        }
        Ok(Some((hash, bytes)))
    }
}

fn read_head(file: &mut impl Read, path: &Path) -> Result<ArchiveHead> {
    let mut start = [0; 16];
    fill(file, path, &mut start)?;
    if &start[..8] != MAGIC {
        let message = format!("{} was not written by `checkpoint export`", path.display());
        return Err(Error::user(message));
    }
    let number = |at: usize| u32::from_le_bytes([start[at], start[at + 1], start[at + 2], start[at + 3]]);
    if number(8) != FORMAT {
        let message = format!("{} has format {}, this program reads format {FORMAT}", path.display(), number(8));
        return Err(Error::user(message).with_remedy("a newer program is needed: run the one that wrote it"));
    }
    if number(12) > MAX_HEAD {
        return Err(damaged(path, "its head claims to be far too long"));
    }
    let mut json = Vec::new();
    file.take(u64::from(number(12))).read_to_end(&mut json).map_err(|error| failed("read", path, &error))?;
    serde_json::from_slice(&json).map_err(|error| damaged(path, &format!("its head is unreadable: {error}")))
}

/// Compares the whole file with the hash at its end.
fn verify_seal(file: &mut BufReader<File>, path: &Path, length: u64) -> Result<()> {
    let error = |error| failed("read", path, &error);
    let body = length.checked_sub(SEAL as u64).ok_or_else(|| damaged(path, "it ends early"))?;
    file.seek(SeekFrom::Start(0)).map_err(error)?;
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut file.take(body), &mut hasher).map_err(error)?;
    let mut seal = [0; SEAL];
    fill(file, path, &mut seal)?;
    if hasher.finalize().as_bytes() != &seal {
        return Err(damaged(path, "its contents do not have the hash that it ends with"));
    }
    Ok(())
}

fn fill(file: &mut impl Read, path: &Path, bytes: &mut [u8]) -> Result<()> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "it ends early"),
        _ => failed("read", path, &error),
    })
}

fn damaged(path: &Path, why: &str) -> Error {
    Error::external(format!("{} is damaged: {why}", path.display()))
        .never_retry()
        .with_remedy("nothing was changed; use another copy")
}

/// Hashes what is written.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new() }
    }

    /// Ends with the hash of everything written.
    fn seal(mut self) -> io::Result<W> {
        self.inner.write_all(self.hasher.finalize().as_bytes())?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
