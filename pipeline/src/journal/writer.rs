//! The end of the journal: where records are appended.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, failed};
use crate::error::{Error, Result};
use crate::step::{Incarnation, Shard, StepNumber, StepTime};
use crate::testing::crash;

use super::JournalPosition;
use super::frame::{FILE_HEAD, FRAME_HEAD, FileHead, FrameHead};
use super::record::{Encoded, Record};
use super::recover::{PlacedFile, Recovered};
use super::scan::path_of;

/// How much is gathered before it is written out.
const BUFFER: usize = 256 * 1024;

/// How long files may grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation(pub(super) u64);

impl Default for Rotation {
    fn default() -> Self {
        Self(64 * 1024 * 1024)
    }
}

/// What has been written out and is not yet known to be on the disk.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    /// Files with new bytes, oldest first.
    pub(super) files: Vec<Arc<File>>,
    /// Whether files are new in the directory.
    pub(super) directory: bool,
    /// Where the journal ended.
    pub(super) end: JournalPosition,
}

/// Appends records to the last file, through a buffer.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Disk,
    directory: PathBuf,
    incarnation: Incarnation,
    shard: Shard,
    rotation: Rotation,
    files: Vec<PlacedFile>,
    /// The last file, once it is open.
    active: Option<Arc<File>>,
    /// Files that were full, not yet on the disk.
    full: Vec<Arc<File>>,
    directory_changed: bool,
    buffer: Vec<u8>,
    /// The checksum of the last frame.
    previous: u32,
    end: JournalPosition,
    last_step: StepNumber,
    /// The first error of the disk: nothing is written after it.
    failure: Option<Error>,
}

impl Writer {
    pub(super) fn new(
        disk: Disk,
        directory: PathBuf,
        incarnation: Incarnation,
        shard: Shard,
        rotation: Rotation,
        recovered: Recovered,
    ) -> Result<Self> {
        let active = match recovered.files.last() {
            Some(last) => {
                let open = OpenOptions::new().append(true).open(&last.path);
                Some(Arc::new(open.map_err(|error| failed("open", &last.path, &error))?))
            }
            None => None,
        };
        Ok(Self {
            disk,
            directory,
            incarnation,
            shard,
            rotation,
            files: recovered.files,
            active,
            full: Vec::new(),
            directory_changed: true,
            buffer: Vec::with_capacity(BUFFER),
            previous: recovered.previous,
            end: recovered.end,
            last_step: recovered.report.last_step,
            failure: None,
        })
    }

    /// Where the journal ends.
    pub(super) fn end(&self) -> JournalPosition {
        self.end
    }

    /// The files, oldest first.
    pub(super) fn files(&self) -> &[PlacedFile] {
        &self.files
    }

    /// Files that are begun from now on are no longer than that.
    pub(super) fn rotate_at(&mut self, rotation: Rotation) {
        self.rotation = rotation;
    }

    /// Notes the time of the first step of a file.
    pub(super) fn note_time(&mut self, file: StepNumber, time: StepTime) {
        if let Some(placed) = self.files.iter_mut().find(|placed| placed.first_step == file) {
            placed.first_time = Some(time);
        }
    }

    /// Forgets the oldest files.
    pub(super) fn forget(&mut self, count: usize) {
        self.files.drain(..count);
    }

    /// The first error of the disk, if there was one.
    pub(super) fn failure(&self) -> Result<()> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Notes an error of the disk: from now on everything fails with it.
    pub(super) fn fail(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| error.clone().never_retry());
    }

    /// Appends a record that is already encoded.
    pub(super) fn append(
        &mut self,
        record: &Record,
        encoded: &Encoded,
        durable: JournalPosition,
    ) -> Result<JournalPosition> {
        self.failure()?;
        let step = match record {
            Record::Step(step) => Some((step.header.number, step.header.time)),
            _ => None,
        };
        if let Some((step, _)) = step.filter(|(step, _)| *step <= self.last_step) {
            return Err(Error::internal(format!("step {step} was to be journaled after step {}", self.last_step)));
        }
        let written = self.write(encoded, step, durable);
        if let Err(error) = &written {
            self.fail(error);
        }
        written?;
        self.last_step = step.map_or(self.last_step, |(step, _)| step);
        Ok(self.end)
    }

    fn write(
        &mut self,
        encoded: &Encoded,
        step: Option<(StepNumber, StepTime)>,
        durable: JournalPosition,
    ) -> Result<()> {
        crash::point("journal.append");
        // Files begin with a step, so that each tells which steps it can serve.
        let full = step.is_some() && self.files.last().is_some_and(|file| file.length >= self.rotation.0);
        if self.files.is_empty() || full {
            let first_step = step.map_or(self.last_step.next(), |(step, _)| step);
            self.begin_file(first_step, step.map(|(_, time)| time), durable)?;
        }
        let Encoded { kind, version, payload } = encoded;
        let length = u32::try_from(payload.len()).map_err(Error::internal)?;
        let (shard, incarnation, previous) = (self.shard, self.incarnation, self.previous);
        let head = FrameHead { length, kind: *kind, version: *version, shard, incarnation, previous, durable };
        let (head, crc) = head.encode(payload);
        self.put(&head)?;
        self.put(payload)?;
        self.previous = crc;
        self.grow(FRAME_HEAD + payload.len());
        Ok(())
    }

    fn begin_file(
        &mut self,
        first_step: StepNumber,
        first_time: Option<StepTime>,
        durable: JournalPosition,
    ) -> Result<()> {
        self.write_out()?;
        crash::point("journal.rotate");
        let path = path_of(&self.directory, first_step);
        let opened = self
            .disk
            .pass("journal.create")
            .and_then(|()| OpenOptions::new().create_new(true).append(true).open(&path));
        let file = Arc::new(opened.map_err(|error| failed("create", &path, &error))?);
        crash::point("journal.created");
        self.full.extend(self.active.replace(file));
        self.directory_changed = true;
        let (incarnation, shard, previous, start) = (self.incarnation, self.shard, self.previous, self.end);
        let head = FileHead { incarnation, shard, previous, start, first_step, durable }.encode();
        self.files.push(PlacedFile { first_step, first_time, path, start, length: 0 });
        self.put(&head)?;
        // The chain goes on from the head: its checksum covers the one of the last frame.
        self.previous =
            u32::from_le_bytes([head[FILE_HEAD - 4], head[FILE_HEAD - 3], head[FILE_HEAD - 2], head[FILE_HEAD - 1]]);
        self.grow(FILE_HEAD);
        Ok(())
    }

    fn grow(&mut self, bytes: usize) {
        self.end.0 += bytes as u64;
        if let Some(last) = self.files.last_mut() {
            last.length += bytes as u64;
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER {
            self.write_out()?;
        }
        if bytes.len() >= BUFFER {
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Hands the buffer to the system: readers of the files see it.
    pub(super) fn write_out(&mut self) -> Result<()> {
        // What was in the buffer when the disk failed is lost: nothing may look whole after it.
        self.failure()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_through(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<()> {
        let (Some(mut file), Some(placed)) = (self.active.as_deref(), self.files.last()) else {
            return Err(Error::internal("the journal has no file to write to"));
        };
        crash::point("journal.write");
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let halves = self.disk.write_all("journal.write", &mut file, first).and_then(|()| {
            crash::point("journal.write.half");
            file.write_all(second)
        });
        crash::point("journal.written");
        let written = halves.map_err(|error| failed("write", &placed.path, &error));
        if let Err(error) = &written {
            self.fail(error);
        }
        written
    }

    /// Writes the buffer out and takes the list of what has to reach the disk.
    pub(super) fn take_unsynced(&mut self) -> Result<Unsynced> {
        self.write_out()?;
        let mut files = std::mem::take(&mut self.full);
        files.extend(self.active.clone());
        let directory = std::mem::take(&mut self.directory_changed);
        Ok(Unsynced { files, directory, end: self.end })
    }
}
