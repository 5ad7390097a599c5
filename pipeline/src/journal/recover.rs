//! Opening a journal that a former process has left: what is torn is cut, what is damaged stops.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::disk::{Disk, failed};
use crate::error::{Error, Result};
use crate::step::{Incarnation, Shard, StepHeader, StepNumber, StepTime};

use super::frame::FILE_HEAD;
use super::record::{STEP, known, step_header};
use super::scan::{JournalFile, Opened, Scanned, Scanner, latest_mark_behind, list};
use super::{DAMAGE_REMEDY, JournalPosition, JournalRecovery, slots};

/// A file of the journal and where it lies.
#[derive(Debug, Clone)]
pub(super) struct PlacedFile {
    /// The step that it is named by.
    pub(super) first_step: StepNumber,
    /// The time of the first step in it, once it is known.
    pub(super) first_time: Option<StepTime>,
    /// Where it is.
    pub(super) path: PathBuf,
    /// The position of its first byte.
    pub(super) start: JournalPosition,
    /// Its length in bytes.
    pub(super) length: u64,
}

/// What is there to go on from.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The files, oldest first; the last is the one to append to.
    pub(super) files: Vec<PlacedFile>,
    /// The checksum of the last frame.
    pub(super) previous: u32,
    /// Where the journal ends.
    pub(super) end: JournalPosition,
    /// Everything below was on the disk when the journal was last written to.
    pub(super) durable: JournalPosition,
    /// What the opener is told.
    pub(super) report: JournalRecovery,
}

/// Where a file stops being a journal.
struct Break {
    /// Index among the files.
    file: usize,
    /// How many bytes of it are good; 0 when not even the head is.
    good: u64,
    /// The position of the first bad byte.
    at: JournalPosition,
    why: String,
}

/// What going through the files has found.
#[derive(Default)]
struct Survey {
    placed: Vec<PlacedFile>,
    previous: u32,
    end: JournalPosition,
    last: Option<StepHeader>,
    /// The latest durable mark that a good frame or head names.
    mark: JournalPosition,
    broken: Option<Break>,
}

/// Examines the journal in `directory` from the durable mark on, cuts a torn tail and says where to go on.
///
/// # Errors
/// When anything at or below the durable mark is damaged, or a newer program is needed.
pub(super) fn recover(disk: &Disk, directory: &Path, incarnation: Incarnation, shard: Shard) -> Result<Recovered> {
    let marked = slots::read(directory)?;
    let files = list(directory)?;
    let mut survey = survey(&files, marked, incarnation, shard)?;
    survey.mark = survey.mark.max(marked);
    let torn = match survey.broken.take() {
        Some(broken) => {
            judge(&broken, &files, &survey, shard)?;
            cut(disk, directory, &files, &mut survey, &broken)?
        }
        None => None,
    };
    if survey.end < survey.mark {
        return Err(damage(
            directory,
            survey.end.0,
            &format!("it ends at {}, but {} was durable", survey.end.0, survey.mark.0),
        ));
    }
    let (last_step, last_time) =
        survey.last.map_or((StepNumber::ZERO, StepTime::default()), |step| (step.number, step.time));
    let report = JournalRecovery { last_step, last_time, torn };
    let (end, durable) = (survey.end, survey.mark);
    Ok(Recovered { files: survey.placed, previous: survey.previous, end, durable, report })
}

/// Reads the heads of all files, and the frames of those from the one that holds the mark on; of earlier
/// ones too when no step is found in these.
fn survey(files: &[JournalFile], marked: JournalPosition, incarnation: Incarnation, shard: Shard) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut earlier = open_files(files, shard, &mut survey)?;
    let first = earlier.iter().rposition(|scanner| scanner.head().start <= marked).unwrap_or(0);
    let scanned = earlier.split_off(first);
    // The files before the mark were verified when they were written and are again when they are read: only
    // their ends are compared here.
    for (file, scanner) in files.iter().zip(&earlier) {
        if !survey.placed.is_empty() && scanner.head().start != survey.end {
            return Err(damage(scanner.path(), 0, "it does not follow the file before it"));
        }
        survey.placed.push(placed(file, scanner.head().start, scanner.length()));
        survey.end = JournalPosition(scanner.head().start.0.saturating_add(scanner.length()));
    }
    for (index, mut scanner) in (first..).zip(scanned) {
        let head = scanner.head();
        let follows = head.start == survey.end && (index == first || head.previous == survey.previous);
        if index > 0 && !follows {
            let why = "it does not follow the file before it".to_owned();
            survey.broken = Some(Break { file: index, good: 0, at: survey.end, why });
            return Ok(survey);
        }
        let broken = take_frames(&mut scanner, index, incarnation, &mut survey)?;
        survey.placed.push(placed(&files[index], scanner.head().start, scanner.offset()));
        (survey.end, survey.previous) = (scanner.position(), scanner.previous());
        if broken.is_some() {
            survey.broken = broken;
            return Ok(survey);
        }
    }
    find_last_step(earlier, &mut survey, incarnation)?;
    Ok(survey)
}

/// Opens all files up to one that has no head.
fn open_files(files: &[JournalFile], shard: Shard, survey: &mut Survey) -> Result<Vec<Scanner>> {
    let mut scanners: Vec<Scanner> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        match Scanner::open(&file.path, Some(shard))? {
            Opened::Scanner(scanner) => {
                survey.mark = survey.mark.max(scanner.head().durable);
                scanners.push(*scanner);
            }
            Opened::Torn(why) => {
                let end = |last: &Scanner| last.head().start.0.saturating_add(last.length());
                let at = JournalPosition(scanners.last().map_or(0, end));
                survey.broken = Some(Break { file: index, good: 0, at, why });
                break;
            }
        }
    }
    Ok(scanners)
}

/// Goes back through earlier files until a step is found.
fn find_last_step(earlier: Vec<Scanner>, survey: &mut Survey, incarnation: Incarnation) -> Result<()> {
    for (index, mut scanner) in earlier.into_iter().enumerate().rev() {
        if survey.last.is_some() {
            break;
        }
        if let Some(broken) = take_frames(&mut scanner, index, incarnation, survey)? {
            return Err(damage(scanner.path(), broken.good, &broken.why));
        }
    }
    Ok(())
}

fn placed(file: &JournalFile, start: JournalPosition, length: u64) -> PlacedFile {
    PlacedFile { first_step: file.first_step, first_time: None, path: file.path.clone(), start, length }
}

/// Takes all good frames of a file.
fn take_frames(
    scanner: &mut Scanner,
    file: usize,
    incarnation: Incarnation,
    survey: &mut Survey,
) -> Result<Option<Break>> {
    loop {
        match scanner.next()? {
            // A crash right after a file was begun: it would be named by a step that it does not hold.
            Scanned::End if scanner.offset() == FILE_HEAD as u64 => {
                let why = "a file without records".to_owned();
                return Ok(Some(Break { file, good: scanner.offset(), at: scanner.position(), why }));
            }
            Scanned::End => return Ok(None),
            Scanned::Bad(why) => {
                return Ok(Some(Break { file, good: scanner.offset(), at: scanner.position(), why }));
            }
            Scanned::Frame(frame) => {
                let place = |error: Error| in_file(scanner.path(), frame.end, error);
                known(frame.head.kind, frame.head.version).map_err(place)?;
                if frame.head.incarnation > incarnation {
                    return Err(place(Error::user(format!(
                        "the journal was written by incarnation {}, this is incarnation {}",
                        frame.head.incarnation.0, incarnation.0
                    ))
                    .with_remedy("the directory was put together from parts of different ages: restore all of it from one copy")));
                }
                survey.mark = survey.mark.max(frame.head.durable);
                if frame.head.kind == STEP {
                    survey.last = Some(step_header(frame.head.version, &frame.payload).map_err(place)?);
                }
            }
        }
    }
}

/// Whether what is bad was ever durable: then it is damage.
fn judge(broken: &Break, files: &[JournalFile], survey: &Survey, shard: Shard) -> Result<()> {
    let mut mark = survey.mark;
    for (index, file) in files.iter().enumerate().skip(broken.file) {
        let from = if index == broken.file { broken.good } else { FILE_HEAD as u64 };
        mark = mark.max(latest_mark_behind(&file.path, from, shard)?.unwrap_or_default());
    }
    // The first file of all may begin late, where earlier ones were discarded: that was done for what it holds.
    let nothing_left = broken.file == 0 && broken.good <= FILE_HEAD as u64 && broken.at.0 > FILE_HEAD as u64;
    if broken.at < mark || nothing_left {
        return Err(damage(&files[broken.file].path, broken.good, &broken.why));
    }
    Ok(())
}

/// Removes everything from the break on; says so, unless it was only a file that had just been created.
fn cut(
    disk: &Disk,
    directory: &Path,
    files: &[JournalFile],
    survey: &mut Survey,
    broken: &Break,
) -> Result<Option<String>> {
    let mut bytes = 0;
    for (index, file) in files.iter().enumerate().skip(broken.file).rev() {
        let length = fs::metadata(&file.path).map_err(|error| failed("examine", &file.path, &error))?.len();
        // A file without a single frame would be named by a step that it does not hold.
        let empty = index > broken.file || broken.good <= FILE_HEAD as u64;
        if empty {
            bytes += length;
            let removed = disk.pass("journal.remove").and_then(|()| fs::remove_file(&file.path));
            removed.map_err(|error| failed("remove", &file.path, &error))?;
        } else {
            bytes += length.saturating_sub(broken.good);
            OpenOptions::new()
                .write(true)
                .open(&file.path)
                .and_then(|open| open.set_len(broken.good).and_then(|()| open.sync_all()))
                .map_err(|error| failed("cut", &file.path, &error))?;
        }
    }
    disk.sync_directory(directory)?;
    if broken.good <= FILE_HEAD as u64 {
        drop_placed(broken.file, survey)?;
    }
    let step = survey.last.as_ref().map_or(StepNumber::ZERO, |step| step.number);
    Ok((bytes > 0).then(|| format!("{bytes} bytes after step {step} were torn and have been cut ({})", broken.why)))
}

/// Forgets the files from `index` on, and goes on at the end of the file before.
fn drop_placed(index: usize, survey: &mut Survey) -> Result<()> {
    survey.placed.truncate(index);
    let Some(last) = survey.placed.last() else {
        (survey.end, survey.previous) = (JournalPosition::START, 0);
        return Ok(());
    };
    let Opened::Scanner(mut scanner) = Scanner::open(&last.path, None)? else {
        return Err(Error::internal("a journal file has changed while it was examined"));
    };
    let mut step = None;
    let broken = loop {
        match scanner.next()? {
            Scanned::End => break None,
            Scanned::Bad(why) => break Some(why),
            Scanned::Frame(frame) if frame.head.kind == STEP => {
                step = Some(step_header(frame.head.version, &frame.payload)?)
            }
            Scanned::Frame(_) => {}
        }
    };
    if let Some(why) = broken {
        return Err(damage(&last.path, scanner.offset(), &why));
    }
    (survey.end, survey.previous) = (scanner.position(), scanner.previous());
    survey.last = step.or(survey.last.take());
    Ok(())
}

/// The error of a journal that was durable and no longer is what it was.
pub(super) fn damage(path: &Path, offset: u64, why: &str) -> Error {
    Error::external(format!("the journal is damaged: {} at byte {offset}: {why}", path.display()))
        .never_retry()
        .with_remedy(DAMAGE_REMEDY)
}

/// Says in which file, and before which position, a frame is that cannot be used.
pub(super) fn in_file(path: &Path, end: JournalPosition, mut error: Error) -> Error {
    error.message = format!("{} before position {}: {}", path.display(), end.0, error.message);
    error
}
