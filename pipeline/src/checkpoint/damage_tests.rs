//! Flipped bits and cut files: found out or harmless, never other contents, never a panic, never for ever.
//!
//! sled's own files are damaged by a child process, since some flips let it hang: 200 of them, or as many as
//! `TIDEGATE_FLIPS` says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::archive::Archive;
use super::sled_store::{Limits, SledStore};
use super::store::{Store, StoreBatch};
use super::tests::Pipeline;
use super::*;

/// Each file that is made of `good` by flipping one bit of one byte, or by cutting it.
fn damaged(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let flipped = (0..good.len()).map(|at| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    });
    flipped.chain((0..good.len()).map(|length| good[..length].to_vec()))
}

#[test]
fn every_flipped_byte_and_every_truncation_of_an_exported_file_is_refused() {
    let pipeline = Pipeline::new();
    pipeline.commit("one");
    let file = pipeline.directory.path().join("one.tidegate");
    export(pipeline.directory.path(), None, &file).unwrap();
    let good = fs::read(&file).unwrap();
    assert!(Archive::open(&file).is_ok());
    for bytes in damaged(&good) {
        fs::write(&file, bytes).unwrap();
        assert!(Archive::open(&file).is_err());
    }
    fs::write(&file, [&good[..], b"more"].concat()).unwrap();
    assert!(Archive::open(&file).is_err());
}

#[test]
fn every_flipped_byte_and_every_truncation_of_a_manifest_is_refused() {
    let pipeline = Pipeline::new();
    pipeline.commit("one");
    let hash = pipeline.checkpoints.list()[0].manifest.clone();
    let path = pipeline.directory.path().join(format!("segments/{hash}.segment"));
    let good = fs::read(&path).unwrap();
    for bytes in damaged(&good) {
        assert!(Manifest::from_bytes(&bytes).is_err());
        fs::write(&path, bytes).unwrap();
        assert!(read_manifest(pipeline.directory.path(), &hash).is_err());
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_of_the_file_head_is_found_out_and_mended() {
    let mut pipeline = Pipeline::new();
    pipeline.commit("one");
    let newest = pipeline.checkpoints.list()[0].clone();
    let path = pipeline.directory.path().join("head");
    let good = fs::read(&path).unwrap();
    let segments = SegmentStore::of(pipeline.directory.path());
    let folder = folder::DiskFolder::of(pipeline.directory.path());
    for bytes in damaged(&good) {
        fs::write(&path, &bytes).unwrap();
        let read = head::read(&folder).ok().flatten();
        let manifest = read.and_then(|head| {
            let manifest = head::manifest(&segments, &head.manifest).ok()?;
            (manifest.number == head.number).then_some(manifest)
        });
        assert!(manifest.is_none(), "{}", String::from_utf8_lossy(&bytes));
    }
    fs::write(&path, b"{").unwrap();
    pipeline.reopen();
    assert_eq!(pipeline.checkpoints.latest().unwrap().unwrap().number, newest.number);
    assert!(pipeline.checkpoints.notes()[0].contains("written anew"));
    assert_eq!(fs::read(&path).unwrap(), good);
}

/// Names to the child the directory, the first flip and the number of flips.
const CHILD: &str = "TIDEGATE_TEST_FLIPS";

/// What the store of the test holds at each of its flushes.
fn values(round: u64) -> BTreeMap<String, Vec<u8>> {
    let mut values = BTreeMap::from([("round".to_owned(), round.to_le_bytes().to_vec())]);
    values.extend((0..round).map(|n| (format!("checkpoint/{n:020}"), vec![n as u8; 200])));
    values
}

const ROUNDS: u64 = 40;

fn write_store(directory: &Path) {
    for life in 0..4 {
        let store = SledStore::open(directory).unwrap();
        for round in life * (ROUNDS / 4)..(life + 1) * (ROUNDS / 4) {
            let mut batch = StoreBatch::default();
            values(round + 1).into_iter().for_each(|(key, value)| batch.put(key, value).unwrap());
            store.apply(&batch).unwrap();
            store.flush().unwrap();
        }
    }
}

/// A sequence of numbers that looks random and is the same every time.
fn scattered(index: u64) -> u64 {
    let mut number = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ (number >> 27)
}

/// Flips one bit of the files of a store. Flips among zeros at the end say little: most go where something is.
fn flip(folder: &Path, index: u64) {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && fs::metadata(path).unwrap().len() > 0);
    files.sort();
    // `db` is by far the largest of them and holds everything.
    let path = if index % 4 == 3 { &files[scattered(index) as usize % files.len()] } else { &folder.join("db") };
    let mut bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    let at = scattered(index ^ 0xf11b) as usize % used.max(1);
    bytes[at] ^= 1 << (scattered(index) >> 60 & 7);
    fs::write(path, bytes).unwrap();
}

/// How a flip went; anything else is a failed test.
fn judge(directory: &Path) -> &'static str {
    let limits = Limits { patience: Duration::from_secs(3), ..Limits::default() };
    let store = match SledStore::open_within(directory, limits) {
        Err(error) => {
            assert!(error.to_string().contains("--rebuild") || error.to_string().contains("newer program"), "{error}");
            return if error.message.contains("still busy") { "hung" } else { "refused" };
        }
        Ok(store) => store,
    };
    let mut found: BTreeMap<_, _> = store.scan("").unwrap().into_iter().collect();
    found.remove("format");
    let round = found.get("round").map_or(0, |bytes| u64::from_le_bytes(bytes[..].try_into().unwrap()));
    assert!(found == if round == 0 { BTreeMap::new() } else { values(round) }, "values of different times");
    // An older state as a whole is told from the file `head`, which names a checkpoint that it lacks.
    if round == ROUNDS { "harmless" } else { "older" }
}

#[test]
#[ignore = "started by the test below, in a process of its own"]
fn some_flips() {
    let Ok(text) = std::env::var(CHILD) else { return };
    let [directory, first, count] = text.split('|').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let (good, first, count) = (Path::new(directory), first.parse::<u64>().unwrap(), count.parse::<u64>().unwrap());
    for index in first..first + count {
        let copy = tempfile::tempdir().unwrap();
        let folder = copy.path().join("store");
        fs::create_dir_all(&folder).unwrap();
        for entry in fs::read_dir(good.join("store")).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() {
                fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        flip(&folder, index);
        let outcome = judge(copy.path());
        println!("flip {index} {outcome}");
        if outcome == "hung" {
            // The thread that hangs takes a processor: a new process goes on.
            std::process::exit(0);
        }
    }
}

/// Lets child processes do the flips; how often each outcome came.
fn flips(directory: &Path, count: u64) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    let mut next = 0;
    while next < count {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "checkpoint::damage_tests::some_flips", "--ignored", "--nocapture"]);
        child.env(CHILD, format!("{}|{next}|{}", directory.display(), count - next)).stderr(Stdio::piped());
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "after {next}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let before = next;
        for line in said.lines().filter_map(|line| line.strip_prefix("flip ")) {
            *outcomes.entry(line.split(' ').next_back().unwrap().to_owned()).or_default() += 1;
            next += 1;
        }
        assert!(next > before, "{said}");
    }
    outcomes
}

#[test]
fn a_flipped_bit_in_the_files_of_sled_is_refused_or_harmless_and_never_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    write_store(directory.path());
    let count = std::env::var("TIDEGATE_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let outcomes = flips(directory.path(), count);
    println!("{count} flips: {outcomes:?}");
    assert!(outcomes.contains_key("harmless"), "{outcomes:?}");
}
