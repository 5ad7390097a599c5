//! Going through the frames of one file.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::disk::failed;
use crate::error::{Error, Result};
use crate::step::{Shard, StepNumber, StepTime};

use super::JournalPosition;
use super::frame::{FILE_HEAD, FRAME_HEAD, FileHead, FrameHead, MAX_PAYLOAD, Unusable, checksum};
use super::record::{STEP, step_header};

/// The extension of journal files.
const EXTENSION: &str = "journal";
/// How much of a file is read at once.
const READ_AHEAD: usize = 256 * 1024;

/// A file of the journal, as its name tells.
#[derive(Debug, Clone)]
pub(super) struct JournalFile {
    /// The step that it is named by.
    pub(super) first_step: StepNumber,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// The path of the file named by `first_step`.
pub(super) fn path_of(directory: &Path, first_step: StepNumber) -> PathBuf {
    directory.join(format!("{:020}.{EXTENSION}", first_step.0))
}

/// The journal files of a directory, oldest first. Other files are none of ours.
pub(super) fn list(directory: &Path) -> Result<Vec<JournalFile>> {
    let error = |error| failed("list", directory, &error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        if let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()) {
            files.push(JournalFile { first_step: StepNumber(number), path });
        }
    }
    files.sort_by_key(|file| file.first_step);
    Ok(files)
}

/// A frame whose checksum is right.
#[derive(Debug)]
pub(super) struct Frame {
    /// The head.
    pub(super) head: FrameHead,
    /// The position after it.
    pub(super) end: JournalPosition,
    /// The payload.
    pub(super) payload: Vec<u8>,
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A frame.
    Frame(Frame),
    /// The end of the file, between two frames.
    End,
    /// Something that is no frame of this file, and why.
    Bad(String),
}

/// What the beginning of a file says.
pub(super) enum Opened {
    /// A head, and the frames after it.
    Scanner(Box<Scanner>),
    /// No head: the file is shorter, or something else stands where the head should be. A crash leaves files like
    /// this; whether it has, or the file is damaged, the durable mark decides.
    Torn(String),
}

/// Goes through the frames of one file.
#[derive(Debug)]
pub(super) struct Scanner {
    input: BufReader<File>,
    path: PathBuf,
    head: FileHead,
    /// The length of the file when it was opened.
    length: u64,
    /// How many bytes have been taken.
    offset: u64,
    /// The checksum of the last frame.
    previous: u32,
}

impl Scanner {
    /// Opens a file and reads its head.
    ///
    /// # Errors
    /// When the file cannot be read, or is of another shard or a later format.
    pub(super) fn open(path: &Path, shard: Option<Shard>) -> Result<Opened> {
        let error = |error| failed("read", path, &error);
        let file = File::open(path).map_err(error)?;
        let length = file.metadata().map_err(error)?.len();
        let mut input = BufReader::with_capacity(READ_AHEAD, file);
        let mut bytes = [0; FILE_HEAD];
        match input.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Ok(Opened::Torn(format!("it has {length} bytes, less than a head")));
            }
            Err(cause) => return Err(error(cause)),
        }
        let (head, previous) = match FileHead::decode(&bytes) {
            Ok(decoded) => decoded,
            Err(Unusable::Broken(why)) => return Ok(Opened::Torn(why)),
            Err(Unusable::Newer(error)) => return Err(head_error(path, error)),
        };
        if let Some(shard) = shard.filter(|shard| *shard != head.shard) {
            return Err(Error::user(format!(
                "{} belongs to shard {}, not to shard {}",
                path.display(),
                head.shard.0,
                shard.0
            )));
        }
        let offset = FILE_HEAD as u64;
        Ok(Opened::Scanner(Box::new(Self { input, path: path.to_owned(), head, length, offset, previous })))
    }

    /// The head of the file.
    pub(super) fn head(&self) -> &FileHead {
        &self.head
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes of the file have been taken.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The length of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The position of the next frame.
    pub(super) fn position(&self) -> JournalPosition {
        JournalPosition(self.head.start.0.saturating_add(self.offset))
    }

    /// The checksum of the last frame, or of the head.
    pub(super) fn previous(&self) -> u32 {
        self.previous
    }

    /// The next frame. Stays in front of what is bad.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Scanned> {
        let left = self.length.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Scanned::End);
        }
        let Some(bytes) = self.take::<FRAME_HEAD>(left)? else {
            return Ok(Scanned::Bad(format!("{left} bytes are less than the head of a record")));
        };
        let (head, crc) = FrameHead::decode(&bytes);
        let length = head.length as usize;
        if length > MAX_PAYLOAD {
            return Ok(Scanned::Bad(format!("a record claims {length} bytes")));
        }
        if length as u64 > left - FRAME_HEAD as u64 {
            return Ok(Scanned::Bad(format!("a record of {length} bytes is cut off")));
        }
        let mut payload = vec![0; length];
        if !self.fill(&mut payload)? {
            return Ok(Scanned::Bad("the file has become shorter while it was read".into()));
        }
        if checksum(&bytes, &payload) != crc {
            return Ok(Scanned::Bad("the checksum of a record is wrong".into()));
        }
        if head.previous != self.previous {
            return Ok(Scanned::Bad("a record does not follow the one before it".into()));
        }
        self.previous = crc;
        self.offset += (FRAME_HEAD + length) as u64;
        Ok(Scanned::Frame(Frame { head, end: self.position(), payload }))
    }

    fn take<const N: usize>(&mut self, left: u64) -> Result<Option<[u8; N]>> {
        let mut bytes = [0; N];
        if left < N as u64 || !self.fill(&mut bytes)? {
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.input.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(failed("read", &self.path, &error)),
        }
    }
}

fn head_error(path: &Path, mut error: Error) -> Error {
    error.message = format!("the journal file {} cannot be used: {}", path.display(), error.message);
    error
}

/// The time of the first step in the file at `path`; `None` when there is none that is whole.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_time(path: &Path) -> Result<Option<StepTime>> {
    let Opened::Scanner(mut scanner) = Scanner::open(path, None)? else { return Ok(None) };
    while let Scanned::Frame(frame) = scanner.next()? {
        if frame.head.kind == STEP {
            return step_header(frame.head.version, &frame.payload).map(|header| Some(header.time));
        }
    }
    Ok(None)
}

/// The latest durable mark that frames after `from` in the file at `path` name, found without knowing where
/// frames begin: behind a broken one, every place that looks like a frame and has a right checksum is one.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn latest_mark_behind(path: &Path, from: u64, shard: Shard) -> Result<Option<JournalPosition>> {
    let bytes = fs::read(path).map_err(|error| failed("read", path, &error))?;
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    let mut rest = &bytes[from..];
    let mut latest = None;
    while let Some((head_bytes, after)) = rest.split_first_chunk::<FRAME_HEAD>() {
        let (head, crc) = FrameHead::decode(head_bytes);
        let length = head.length as usize;
        let plausible = head.shard == shard && (1..=9).contains(&head.kind) && head.version > 0;
        if plausible && length <= after.len() && checksum(head_bytes, &after[..length]) == crc {
            latest = latest.max(Some(head.durable));
            rest = &after[length..];
        } else {
            rest = &rest[1..];
        }
    }
    Ok(latest)
}
