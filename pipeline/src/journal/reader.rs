//! Reading the journal, by its owner or by anybody else.

use std::collections::VecDeque;
use std::path::Path;

use crate::error::{Error, Result};
use crate::step::{Incarnation, StepNumber};

use super::record::{STEP, step_header};
use super::recover::{damage, in_file};
use super::scan::{Frame, JournalFile, Opened, Scanned, Scanner, list};
use super::{JournalPosition, Record, slots};

/// Goes through the records of a journal, oldest first. Ends at the first error.
#[derive(Debug)]
pub struct JournalReader {
    files: VecDeque<JournalFile>,
    current: Option<Box<Scanner>>,
    /// Where the last file ended, and the checksum of its last frame.
    follows: Option<(JournalPosition, u32)>,
    /// The first step that is wanted; `None` once it has been reached.
    from: Option<StepNumber>,
    /// Everything below is whole, or the journal is damaged.
    whole: JournalPosition,
    /// Where to stop; `None` for a reader that does not own the journal, which stops at what is not whole.
    end: Option<JournalPosition>,
    incarnation: Incarnation,
    over: bool,
}

/// Reads the journal of the pipeline directory `directory` (`.tidegate/NAME`) without owning it, from the first
/// record of step `from` on; from the beginning for step 0. What its owner is writing just now may be missing.
///
/// # Errors
/// When step `from` has been discarded, or the directory cannot be read. Damage is met while reading.
pub fn read_directory(directory: &Path, from: StepNumber) -> Result<JournalReader> {
    let directory = &directory.join(super::FOLDER);
    let whole = slots::read(directory)?;
    JournalReader::open(list(directory)?, from, whole, None)
}

/// The first step that the journal of the pipeline directory `directory` reaches back to; `None` where there is none.
///
/// # Errors
/// When the directory cannot be read.
pub fn begins_in(directory: &Path) -> Result<Option<StepNumber>> {
    let directory = directory.join(super::FOLDER);
    match directory.is_dir() {
        true => Ok(list(&directory)?.first().map(|file| file.first_step)),
        false => Ok(None),
    }
}

impl JournalReader {
    /// Reads `files` from step `from` on. Everything below `whole` must be there.
    pub(super) fn open(
        files: Vec<JournalFile>,
        from: StepNumber,
        whole: JournalPosition,
        end: Option<JournalPosition>,
    ) -> Result<Self> {
        let mut files = VecDeque::from(files);
        if let Some(first) = files.front().filter(|first| from > StepNumber::ZERO && first.first_step > from) {
            return Err(Error::user(format!(
                "step {from} is no longer in the journal, which begins at step {}",
                first.first_step
            ))
            .with_remedy("choose a checkpoint from `checkpoint list` that is not older, or extend `journal.keep`"));
        }
        while files.get(1).is_some_and(|second| second.first_step <= from) {
            files.pop_front();
        }
        let from = (from > StepNumber::ZERO).then_some(from);
        let incarnation = Incarnation::default();
        Ok(Self { files, current: None, follows: None, from, whole, end, incarnation, over: false })
    }

    /// The incarnation that wrote the record that was read last.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn advance(&mut self) -> Result<Option<(JournalPosition, Record)>> {
        loop {
            let Some(frame) = self.next_frame()? else {
                return Ok(None);
            };
            self.incarnation = frame.head.incarnation;
            let place = |error| match &self.current {
                Some(scanner) => in_file(scanner.path(), frame.end, error),
                None => error,
            };
            if let Some(from) = self.from {
                let reached = frame.head.kind == STEP
                    && step_header(frame.head.version, &frame.payload).map_err(place)?.number >= from;
                if !reached {
                    continue;
                }
            }
            let record = Record::decode(frame.head.kind, frame.head.version, &frame.payload).map_err(place)?;
            self.from = None;
            return Ok(Some((frame.end, record)));
        }
    }

    /// The next frame of any file.
    fn next_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some(scanner) = &mut self.current else {
                return Ok(None);
            };
            if self.end.is_some_and(|end| scanner.position() >= end) {
                return Ok(None);
            }
            match scanner.next()? {
                Scanned::Frame(frame) => return Ok(Some(frame)),
                Scanned::End => {
                    self.follows = Some((scanner.position(), scanner.previous()));
                    self.current = None;
                }
                Scanned::Bad(_) if self.end.is_none() && scanner.position() >= self.whole => return Ok(None),
                Scanned::Bad(why) => return Err(damage(scanner.path(), scanner.offset(), &why)),
            }
        }
    }

    /// Opens the next file; `false` after the last.
    fn open_next(&mut self) -> Result<bool> {
        let Some(file) = self.files.pop_front() else {
            return match self.follows {
                Some((position, _)) if position < self.whole => Err(Error::external(format!(
                    "the journal ends at position {}, but {} was durable",
                    position.0, self.whole.0
                ))
                .never_retry()
                .with_remedy(super::DAMAGE_REMEDY)),
                _ => Ok(false),
            };
        };
        let expected = self.follows;
        let scanner = match Scanner::open(&file.path, None)? {
            Opened::Scanner(scanner) => scanner,
            Opened::Torn(_) if self.end.is_none() && expected.is_none_or(|(position, _)| position >= self.whole) => {
                return Ok(false);
            }
            Opened::Torn(why) => return Err(damage(&file.path, 0, &why)),
        };
        if expected.is_some_and(|expected| expected != (scanner.head().start, scanner.head().previous)) {
            return Err(damage(&file.path, 0, "it does not follow the file before it"));
        }
        self.current = Some(scanner);
        Ok(true)
    }
}

impl Iterator for JournalReader {
    type Item = Result<(JournalPosition, Record)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.advance().transpose();
        self.over = !matches!(next, Some(Ok(_)));
        next
    }
}
