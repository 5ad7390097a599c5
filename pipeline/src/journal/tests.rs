//! What the journal promises.

mod crashes;
mod faults;
mod golden;
mod records;
mod together;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::frame::{FILE_HEAD, FRAME_HEAD, FrameHead};
use super::*;
use crate::rows::Rejected;
use crate::sink::EffectPayload;
use crate::step::{ContentHash, Position, Range, SchemaVersion, StepHeader, Unit};

const INCARNATION: Incarnation = Incarnation(1);
const SHARD: Shard = Shard(0);

fn header(number: u64) -> StepHeader {
    StepHeader {
        number: StepNumber(number),
        time: StepTime(1_000 + number as i64),
        source: "events".into(),
        unit: Unit::Rows,
        schema_version: SchemaVersion(1),
        watermark: None,
    }
}

fn step(number: u64, length: usize) -> Record {
    let parts = vec![InlinePart { port: 0, ipc: vec![number as u8; length] }];
    let body = StepBody::Inline { parts, rejected: Vec::new(), position: Position(number.to_string().into()) };
    Record::Step(StepRecord { header: header(number), body })
}

fn outbox(through: u64) -> Record {
    let payload = EffectPayload { key: None, body: b"page somebody".to_vec() };
    let effects = vec![OutboxEffect { step: StepNumber(through), row: 0, payload }];
    Record::Outbox(OutboxRecord { sink: "page".into(), input: 0, through: StepNumber(through), effects })
}

fn open(directory: &Path) -> Result<(Journal, JournalRecovery)> {
    Journal::open(directory, INCARNATION, SHARD)
}

fn records(reader: Result<JournalReader>) -> Result<Vec<Record>> {
    reader?.map(|record| record.map(|(_, record)| record)).collect()
}

async fn append_and_sync(journal: &Journal, record: &Record) -> JournalPosition {
    let position = journal.append(record).unwrap();
    journal.sync(position).await.unwrap();
    position
}

fn file_of(directory: &Path, step: u64) -> PathBuf {
    directory.join(FOLDER).join(format!("{step:020}.journal"))
}

fn mark_file(directory: &Path) -> PathBuf {
    directory.join(FOLDER).join(slots::NAME)
}

/// A journal of steps 1 to `count`, as the disk holds it after a crash: the durable mark stands after step
/// `durable`, the bytes behind it have reached the disk by chance.
/// `rotation` is the length of its files.
async fn crashed(directory: &Path, count: u64, durable: u64, rotation: u64) -> Vec<Record> {
    let (journal, _) = Journal::open_with_files_of(rotation, directory).unwrap();
    let mut written = Vec::new();
    let mut mark = fs::read(mark_file(directory)).unwrap();
    for number in 1..=count {
        written.push(step(number, 8));
        let position = journal.append(&written[written.len() - 1]).unwrap();
        if number <= durable {
            journal.sync(position).await.unwrap();
            mark = fs::read(mark_file(directory)).unwrap();
        }
    }
    drop(journal);
    fs::write(mark_file(directory), mark).unwrap();
    written
}

#[tokio::test]
async fn what_was_appended_is_read_back_in_order_also_after_opening_again() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery, JournalRecovery { last_step: StepNumber::ZERO, last_time: StepTime(0), torn: None });
    let written = vec![step(1, 10), outbox(1), step(2, 300_000), step(3, 0), outbox(3)];
    let positions: Vec<_> = written.iter().map(|record| journal.append(record).unwrap()).collect();
    assert!(positions.is_sorted_by(|a, b| a < b));
    assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), written);
    assert_eq!(records(journal.read(StepNumber(2))).unwrap(), written[2..]);
    assert_eq!(records(journal.read(StepNumber(4))).unwrap(), []);
    journal.sync(positions[4]).await.unwrap();
    assert_eq!(journal.durable(), positions[4]);
    drop(journal);

    let (journal, recovery) = open(directory.path()).unwrap();
    assert_eq!((recovery.last_step, recovery.last_time, recovery.torn), (StepNumber(3), StepTime(1_003), None));
    assert_eq!(journal.durable(), positions[4]);
    let next = append_and_sync(&journal, &step(4, 1)).await;
    assert!(next > positions[4]);
    assert_eq!(records(journal.read(StepNumber(4))).unwrap(), [step(4, 1)]);
    assert_eq!(records(read_directory(directory.path(), StepNumber(3))).unwrap(), [step(3, 0), outbox(3), step(4, 1)]);
}

#[tokio::test]
async fn a_torn_record_above_the_mark_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let written = crashed(directory.path(), 5, 3, 10_000).await;
    let path = file_of(directory.path(), 1);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let (journal, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery.last_step, StepNumber(4));
    assert!(recovery.torn.unwrap().contains("after step 4"));
    assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), written[..4]);
    append_and_sync(&journal, &step(5, 7)).await;
    drop(journal);
    let (journal, recovery) = open(directory.path()).unwrap();
    assert_eq!((recovery.last_step, recovery.torn), (StepNumber(5), None));
    assert_eq!(records(journal.read(StepNumber(5))).unwrap(), [step(5, 7)]);
}

#[tokio::test]
async fn a_bad_record_below_the_mark_is_damage_and_nothing_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    crashed(directory.path(), 5, 3, 10_000).await;
    let path = file_of(directory.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[FILE_HEAD + FRAME_HEAD + 5] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("00000000000000000001.journal at byte 56"), "{error}");
    assert!(error.contains("--fresh"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert!(records(read_directory(directory.path(), StepNumber::ZERO)).is_err());
}

#[tokio::test]
async fn a_bad_record_is_damage_when_only_a_later_record_says_that_it_was_durable() {
    let directory = tempfile::tempdir().unwrap();
    crashed(directory.path(), 5, 3, 10_000).await;
    fs::remove_file(mark_file(directory.path())).unwrap();
    let path = file_of(directory.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[FILE_HEAD + FRAME_HEAD + 5] ^= 0x10;
    fs::write(&path, &bytes).unwrap();
    assert!(open(directory.path()).unwrap_err().message.contains("damaged"));
}

#[tokio::test]
async fn a_journal_shorter_than_its_mark_or_without_its_files_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    crashed(directory.path(), 3, 3, 10_000).await;
    let path = file_of(directory.path(), 1);
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for shorter in [length - 1, FILE_HEAD as u64, 3, 0] {
        file.set_len(shorter).unwrap();
        assert!(open(directory.path()).unwrap_err().message.contains("damaged"), "{shorter}");
    }
    fs::remove_file(&path).unwrap();
    assert!(open(directory.path()).unwrap_err().message.contains("damaged"));
}

/// Opens and reads a journal that something has happened to: an error, or a beginning of what was written.
fn assert_detected_or_harmless(directory: &Path, written: &[Record], durable: usize, what: &str) {
    // As `Journal::open` does, but for making what is left durable.
    let Ok(recovered) = recover::recover(&Disk::default(), &directory.join(FOLDER), INCARNATION, SHARD) else {
        return;
    };
    let Ok(read) = records(read_directory(directory, StepNumber::ZERO)) else {
        return;
    };
    assert_eq!(recovered.report.last_step.0, read.len() as u64, "{what}");
    assert!(read.len() >= durable, "{what}: only {} of {durable} durable records are left", read.len());
    assert_eq!(read, written[..read.len()], "{what}");
}

/// Tries every flipped byte and every truncation of every file of the journal in `origin`.
fn assert_every_damage_is_detected_or_harmless(origin: &Path, written: &[Record], durable: usize) {
    let folder = origin.join(FOLDER);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let contents: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (damaged, good) in files.iter().zip(&contents) {
        // Between the two slots of the mark there is nothing.
        let meaningful = |at: &usize| !(20..512).contains(at) || !damaged.ends_with(slots::NAME);
        for at in (0..good.len()).filter(meaningful) {
            let mut flipped = good.clone();
            flipped[at] ^= 0x41;
            for bad in [&flipped[..], &good[..at]] {
                for (path, content) in files.iter().zip(&contents) {
                    fs::write(path, content).unwrap();
                }
                fs::write(damaged, bad).unwrap();
                let what = format!("byte {at} of {}, {} bytes left", damaged.display(), bad.len());
                assert_detected_or_harmless(origin, written, durable, &what);
            }
        }
    }
}

#[tokio::test]
async fn every_flipped_byte_and_every_truncation_is_detected_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let written = crashed(directory.path(), 3, 2, 1_000).await;
    assert_every_damage_is_detected_or_harmless(directory.path(), &written, 2);
}

#[tokio::test]
async fn every_flipped_byte_and_every_truncation_in_any_file_is_detected_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let written = crashed(directory.path(), 4, 2, 1).await;
    assert!(file_of(directory.path(), 4).exists());
    assert_every_damage_is_detected_or_harmless(directory.path(), &written, 2);
}

#[test]
fn readers_beside_a_writer_see_a_beginning_of_what_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_rotating(directory.path()).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=2_000 {
                let position = journal.append(&step(number, 100)).unwrap();
                if number % 40 == 0 {
                    futures::executor::block_on(journal.sync(position)).unwrap();
                }
            }
        });
        while !writer.is_finished() {
            let read = records(read_directory(directory.path(), StepNumber::ZERO)).unwrap();
            let expected: Vec<_> = (1..=read.len() as u64).map(|number| step(number, 100)).collect();
            assert_eq!(read, expected);
        }
    });
}

#[tokio::test]
async fn a_tail_of_zeros_or_of_noise_is_cut() {
    for tail in [vec![0; 5_000], (0..5_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()] {
        let directory = tempfile::tempdir().unwrap();
        let written = crashed(directory.path(), 3, 3, 10_000).await;
        let path = file_of(directory.path(), 1);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(tail);
        fs::write(&path, bytes).unwrap();
        let (journal, recovery) = open(directory.path()).unwrap();
        assert!(recovery.torn.is_some());
        assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), written);
    }
}

fn open_rotating(directory: &Path) -> Result<(Journal, JournalRecovery)> {
    Journal::open_with_files_of(1_000, directory)
}

#[tokio::test]
async fn files_are_rotated_at_steps_and_discarded_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_rotating(directory.path()).unwrap();
    let mut end = JournalPosition::START;
    for number in 1..=9 {
        end = journal.append(&step(number, 600)).unwrap();
        end = end.max(journal.append(&outbox(number)).unwrap());
    }
    journal.sync(end).await.unwrap();
    for first in [1, 3, 5, 7, 9] {
        assert!(file_of(directory.path(), first).exists(), "file of step {first}");
    }
    assert_eq!(records(journal.read(StepNumber(4))).unwrap().len(), 12);
    let before = journal.bytes();
    let freed = journal.discard_before(StepNumber(6)).unwrap();
    assert!(freed > 0);
    assert_eq!(journal.bytes(), before - freed);
    assert!(!file_of(directory.path(), 3).exists() && file_of(directory.path(), 5).exists());
    assert_eq!(records(journal.read(StepNumber(6))).unwrap()[0], step(6, 600));
    let error = journal.read(StepNumber(2)).unwrap_err().to_string();
    assert!(error.contains("step 2 is no longer in the journal, which begins at step 5"), "{error}");
    journal.discard_before(StepNumber(1_000)).unwrap();
    drop(journal);
    let (journal, recovery) = open_rotating(directory.path()).unwrap();
    assert_eq!(recovery.last_step, StepNumber(9));
    assert_eq!(journal.durable(), end);
}

#[tokio::test]
async fn a_missing_file_in_between_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_rotating(directory.path()).unwrap();
    for number in 1..=9 {
        append_and_sync(&journal, &step(number, 600)).await;
    }
    drop(journal);
    fs::remove_file(file_of(directory.path(), 5)).unwrap();
    assert!(open_rotating(directory.path()).unwrap_err().message.contains("damaged"));
    assert!(records(read_directory(directory.path(), StepNumber(3))).is_err());
}

#[tokio::test]
async fn a_file_that_was_begun_by_a_crash_is_removed() {
    for beginning in [&[][..], &[0; FILE_HEAD], &[0; 3]] {
        let directory = tempfile::tempdir().unwrap();
        let written = crashed(directory.path(), 3, 3, 10_000).await;
        fs::write(file_of(directory.path(), 4), beginning).unwrap();
        let (journal, recovery) = open(directory.path()).unwrap();
        assert_eq!(recovery.torn.is_some(), !beginning.is_empty());
        append_and_sync(&journal, &step(4, 1)).await;
        assert_eq!(records(journal.read(StepNumber::ZERO)).unwrap(), [&written[..], &[step(4, 1)]].concat());
    }
}

#[tokio::test]
async fn waiting_for_what_was_never_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    assert!(journal.sync(JournalPosition(1)).await.is_err());
}

#[tokio::test]
async fn an_error_of_the_disk_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    let position = append_and_sync(&journal, &step(1, 10)).await;
    let buffered = journal.append(&step(2, 10)).unwrap();
    journal.shared.writer.lock().fail(&Error::external("the disk is gone"));
    assert!(journal.sync(buffered).await.unwrap_err().message.contains("the disk is gone"));
    assert_eq!(journal.durable(), position);
    assert!(journal.append(&step(3, 10)).unwrap_err().message.contains("the disk is gone"));
    assert!(journal.read(StepNumber::ZERO).is_err());
    journal.sync(position).await.unwrap();
}

#[tokio::test]
async fn a_step_that_does_not_follow_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path()).unwrap();
    journal.append(&step(5, 1)).unwrap();
    assert!(journal.append(&step(5, 1)).is_err());
    journal.append(&step(6, 1)).unwrap();
    assert_eq!(records(journal.read(StepNumber(5))).unwrap().len(), 2);
}

#[tokio::test]
async fn an_unknown_kind_or_version_asks_for_a_newer_program() {
    for (kind, version) in [(7, 1), (1, record::COMPRESSED + 1)] {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = open(directory.path()).unwrap();
        append_and_sync(&journal, &step(1, 10)).await;
        let (previous, durable) = {
            let path = file_of(directory.path(), 1);
            let bytes = fs::read(&path).unwrap();
            let crc = bytes[FILE_HEAD + 24..FILE_HEAD + 28].try_into().unwrap();
            (u32::from_le_bytes(crc), journal.durable())
        };
        drop(journal);
        let head = FrameHead { length: 3, kind, version, shard: SHARD, incarnation: INCARNATION, previous, durable };
        let mut bytes = fs::read(file_of(directory.path(), 1)).unwrap();
        bytes.extend(head.encode(b"new").0);
        bytes.extend(b"new");
        fs::write(file_of(directory.path(), 1), &bytes).unwrap();
        let error = open(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("kind {kind}")) && error.contains("newer program is needed"), "{error}");
        assert_eq!(fs::read(file_of(directory.path(), 1)).unwrap(), bytes);
    }
}

#[tokio::test]
async fn another_shard_or_an_earlier_incarnation_is_refused_and_a_later_one_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    crashed(directory.path(), 2, 2, 10_000).await;
    assert!(Journal::open(directory.path(), INCARNATION, Shard(1)).unwrap_err().message.contains("shard"));
    assert!(Journal::open(directory.path(), Incarnation(0), SHARD).unwrap_err().message.contains("incarnation"));
    let (journal, _) = Journal::open(directory.path(), Incarnation(2), SHARD).unwrap();
    append_and_sync(&journal, &step(3, 1)).await;
    let mut reader = journal.read(StepNumber::ZERO).unwrap();
    let incarnations: Vec<_> = std::iter::from_fn(|| reader.next().map(|_| reader.incarnation().0)).collect();
    assert_eq!(incarnations, [1, 1, 2]);
}

#[tokio::test]
async fn the_journal_reaches_back_as_far_as_it_is_wanted_to_also_in_its_next_life() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open_rotating(directory.path()).unwrap();
    for number in 1..=9 {
        append_and_sync(&journal, &step(number, 600)).await;
    }
    drop(journal);
    // Files begin with the steps 1, 3, 5, 7 and 9; step n has the time 1,000 + n.
    let (journal, _) = open_rotating(directory.path()).unwrap();
    let newest = Reach { needed: StepNumber(9), wanted: StepNumber(8), since: None, bytes: None };
    journal.discard_beyond(&Reach { since: Some(StepTime(1_004)), ..newest }).unwrap();
    let there = || [1, 3, 5, 7, 9].map(|step| file_of(directory.path(), step).exists());
    assert_eq!(there(), [false, true, true, true, true], "step 4 is young enough");
    journal.discard_beyond(&Reach { since: Some(StepTime(0)), bytes: Some(4_500), ..newest }).unwrap();
    assert_eq!(there(), [false, false, true, true, true], "it was too long");
    journal.discard_beyond(&newest).unwrap();
    assert_eq!(there(), [false, false, false, true, true]);
    assert!(journal.bytes() < 2_500);
}
