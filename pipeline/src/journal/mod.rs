//! The journal: what happened, in order; everything else follows from it.
//!
//! Records are appended to a buffer, and become durable when somebody waits for it ([`Journal::sync`]):
//! however many wait, the disk is waited for once. What a crash has torn above the durable mark is cut at
//! the next [`Journal::open`]; what is bad at or below it stops, since it was promised. After a failed write or
//! synchronisation nothing more is promised: what the system shows of the file may not be what the disk holds.

pub(crate) mod batch;
mod bytes;
mod commit;
mod frame;
mod quarantine;
mod reader;
pub mod record;
mod recover;
mod retention;
mod rewrite;
mod scan;
mod slots;
#[cfg(test)]
mod tests;
mod writer;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, create_directory, failed};
use crate::error::{Error, Result};
use crate::step::{Incarnation, Shard, StepNumber, StepTime};
use crate::testing::crash;

use commit::{Committer, Shared};
use scan::{JournalFile, first_time};
use slots::Slots;
use writer::{Rotation, Writer};

pub use quarantine::Quarantine;
pub use reader::{JournalReader, begins_in, read_directory};
pub use record::{
    EngineEvent, InlinePart, OutboxEffect, OutboxRecord, Outcome, OutcomeRecord, Record, StepBody, StepRecord,
    decode_batch, decode_schema, encode_batch, encode_schema,
};
pub use retention::Reach;

/// What to do about a damaged journal.
const DAMAGE_REMEDY: &str =
    "nothing was changed; restore the pipeline's directory from a copy, or begin anew with `run --fresh`";

/// How many files a bounded journal is made of: it is given up by whole files.
const FILES_WITHIN: u64 = 8;
/// No file is shorter than that because the journal is bounded.
const SHORTEST_FILE: u64 = 64 * 1024;

/// Where the journal is in a pipeline's directory.
const FOLDER: &str = "journal";

/// A place in the journal: the bytes before it, over all files that there ever were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JournalPosition(pub u64);

impl JournalPosition {
    /// Before the first record.
    pub const START: Self = Self(0);
}

/// What opening a journal has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecovery {
    /// The last step in it; [`StepNumber::ZERO`] in an empty one.
    pub last_step: StepNumber,
    /// The time of that step.
    pub last_time: StepTime,
    /// What was torn and has been cut, in one sentence.
    pub torn: Option<String>,
}

/// An open journal, owned by this process. Clones are the same journal; the last one dropped brings what was
/// appended to the disk.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    _committer: Arc<Committer>,
}

impl Journal {
    /// Opens the journal of the pipeline directory `directory` (`.tidegate/NAME`), or begins one. Everything found is durable
    /// when this returns. Blocks.
    ///
    /// # Errors
    /// When the disk fails, what was durable is damaged, or a newer program is needed.
    pub fn open(directory: &Path, incarnation: Incarnation, shard: Shard) -> Result<(Self, JournalRecovery)> {
        Self::open_with(Disk::default(), directory, incarnation, shard, Rotation::default())
    }

    /// A journal whose files are no longer than a test needs them.
    #[cfg(test)]
    pub(crate) fn open_with_files_of(bytes: u64, directory: &Path) -> Result<(Self, JournalRecovery)> {
        Self::open_with(Disk::default(), directory, Incarnation(1), Shard(0), Rotation(bytes))
    }

    /// A journal on a disk with a fault.
    #[cfg(test)]
    pub(crate) fn open_on(disk: Disk, directory: &Path) -> Result<(Self, JournalRecovery)> {
        Self::open_with(disk, directory, Incarnation(1), Shard(0), Rotation(1_000))
    }

    fn open_with(
        disk: Disk,
        directory: &Path,
        incarnation: Incarnation,
        shard: Shard,
        rotation: Rotation,
    ) -> Result<(Self, JournalRecovery)> {
        let directory = &directory.join(FOLDER);
        create_directory(directory)?;
        let recovered = recover::recover(&disk, directory, incarnation, shard)?;
        rewrite::rewrite(&disk, &recovered.files, recovered.durable)?;
        let report = recovered.report.clone();
        if let Some(torn) = &report.torn {
            tracing::warn!(directory = %directory.display(), "journal: {torn}");
        }
        let mut slots = Slots::open(disk.clone(), directory)?;
        let writer = Writer::new(disk.clone(), directory.to_owned(), incarnation, shard, rotation, recovered)?;
        let shared = Arc::new(Shared::new(disk, directory.to_owned(), writer));
        shared.synchronise(&mut slots)?;
        let committer = Arc::new(Committer::start(&shared, slots)?);
        Ok((Self { shared, _committer: committer }, report))
    }

    /// Appends a record to the buffer; the position after it. Cheap; blocks only to write out a full buffer.
    ///
    /// # Errors
    /// When a record exceeds 256 MiB, a step does not follow the one before it, or the disk has failed: then
    /// every later call fails too.
    pub fn append(&self, record: &Record) -> Result<JournalPosition> {
        let encoded = record.encode()?;
        self.shared.writer.lock().append(record, &encoded, self.shared.mark())
    }

    /// Waits until everything before `through` is on the disk. Callers that wait at the same time share one
    /// `fdatasync`. Cancel-safe.
    ///
    /// # Errors
    /// When the disk has failed; then every later call fails too.
    pub async fn sync(&self, through: JournalPosition) -> Result<()> {
        self.sync_for(through, 1).await
    }

    /// As [`Journal::sync`], for so many who wait behind this call: a step may be made of the events of many.
    ///
    /// # Errors
    /// Those of [`Journal::sync`].
    pub async fn sync_for(&self, through: JournalPosition, callers: usize) -> Result<()> {
        if through <= self.shared.mark() {
            return Ok(());
        }
        if through > self.shared.writer.lock().end() {
            return Err(Error::internal(format!("position {} of the journal has not been written", through.0)));
        }
        let mut durable = self.shared.durable.subscribe();
        self.shared.want(through, callers);
        let reached = durable.wait_for(|durable| durable.position >= through || durable.failure.is_some()).await;
        let reached = reached.map_err(|_| Error::internal("the journal was closed while it was waited for"))?;
        match &reached.failure {
            Some(failure) if reached.position < through => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// What is on the disk.
    pub fn durable(&self) -> JournalPosition {
        self.shared.mark()
    }

    /// Where the journal ends, durable or not.
    pub fn end(&self) -> JournalPosition {
        self.shared.writer.lock().end()
    }

    /// Hands everything appended so far to the system: it outlives this process, though not the machine.
    ///
    /// # Errors
    /// When the disk has failed; then every later call fails too.
    pub fn hand_over(&self) -> Result<()> {
        self.shared.writer.lock().write_out()
    }

    /// How often the disk was waited for, for metrics.
    pub fn syncs(&self) -> u64 {
        self.shared.syncs()
    }

    /// Everything appended so far, from the first record of step `from` on; from the beginning for step 0.
    ///
    /// # Errors
    /// When step `from` has been discarded, or the disk fails. Damage is met while reading.
    pub fn read(&self, from: StepNumber) -> Result<JournalReader> {
        let mut writer = self.shared.writer.lock();
        writer.write_out()?;
        let end = writer.end();
        let file = |file: &recover::PlacedFile| JournalFile { first_step: file.first_step, path: file.path.clone() };
        let files = writer.files().iter().map(file).collect();
        // Where nothing was ever discarded, a journal that begins late (that of an imported pipeline) lacks nothing.
        let is_all = writer
            .files()
            .first()
            .is_some_and(|first| first.start == JournalPosition::START && first.first_step > from);
        let from = if is_all { StepNumber::ZERO } else { from };
        drop(writer);
        JournalReader::open(files, from, end, Some(end))
    }

    /// Lets the journal's files be so short that about `bytes` can be kept to (`journal.bytes`).
    pub fn keep_within(&self, bytes: u64) {
        let Rotation(longest) = Rotation::default();
        self.shared.writer.lock().rotate_at(Rotation((bytes / FILES_WITHIN).clamp(SHORTEST_FILE, longest)));
    }

    /// Removes the oldest files, as far as nothing in `reach` wants to keep them; how many bytes that frees.
    ///
    /// # Errors
    /// When a file cannot be read or removed; those before it are gone.
    pub fn discard_beyond(&self, reach: &Reach) -> Result<u64> {
        if reach.since.is_some() {
            self.learn_times()?;
        }
        let writer = self.shared.writer.lock();
        let count = retention::removable(writer.files(), reach);
        let first_left = writer.files().get(count).map(|file| file.first_step);
        drop(writer);
        first_left.map_or(Ok(0), |step| self.discard_before(step))
    }

    /// Looks up the times that files begin at, where that is not known yet.
    fn learn_times(&self) -> Result<()> {
        let mut writer = self.shared.writer.lock();
        writer.write_out()?;
        let unknown: Vec<_> = writer.files().iter().filter(|file| file.first_time.is_none()).cloned().collect();
        drop(writer);
        for file in unknown {
            if let Some(time) = first_time(&file.path)? {
                self.shared.writer.lock().note_time(file.first_step, time);
            }
        }
        Ok(())
    }

    /// Removes whole files that hold only steps before `step`; how many bytes that frees. Never the last file.
    ///
    /// # Errors
    /// When a file cannot be removed; those before it are gone.
    pub fn discard_before(&self, step: StepNumber) -> Result<u64> {
        let durable = self.shared.mark();
        let mut writer = self.shared.writer.lock();
        let mut freed = 0;
        // The next file must hold something durable: a journal that begins late is never torn to nothing.
        while let [first, second, ..] = writer.files()
            && second.first_step <= step
            && second.start.0 + (frame::FILE_HEAD as u64) < durable.0
        {
            crash::point("journal.discard");
            match self.shared.disk.pass("journal.remove").and_then(|()| fs::remove_file(&first.path)) {
                Ok(()) => freed += first.length,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("remove", &first.path, &error)),
            }
            writer.forget(1);
        }
        Ok(freed)
    }

    /// The first step that it reaches back to.
    pub fn begins(&self) -> Option<StepNumber> {
        self.shared.writer.lock().files().first().map(|file| file.first_step)
    }

    /// The length of all files, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shared.writer.lock().files().iter().map(|file| file.length).sum()
    }
}
