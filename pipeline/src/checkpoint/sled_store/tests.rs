//! What the store keeps, and what it does about damage.

use std::fs;

use super::worker::open_when_free;
use super::*;
use crate::checkpoint::store::{MAX_VALUE, MemoryStore};

fn batch(key: &str, value: &[u8]) -> StoreBatch {
    let mut batch = StoreBatch::default();
    batch.put(key, value.to_vec()).unwrap();
    batch
}

/// A directory whose store holds these values.
fn holding(values: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    for (key, value) in values {
        store.apply(&batch(key, value)).unwrap();
    }
    store.flush().unwrap();
    directory
}

/// sled itself, to do what the store would never do.
fn sled_of(directory: &tempfile::TempDir) -> sled::Db {
    open_when_free(&sled::Config::new().path(directory.path().join(FOLDER))).unwrap()
}

fn assert_keeps_the_laws(store: &dyn Store) {
    store.apply(&batch("mark/b", b"2")).unwrap();
    store.apply(&batch("mark/a", b"1")).unwrap();
    store.apply(&batch("marks", b"no")).unwrap();
    let marks = vec![("mark/a".to_owned(), b"1".to_vec()), ("mark/b".to_owned(), b"2".to_vec())];
    assert_eq!(store.scan("mark/").unwrap(), marks);
    let mut change = batch("mark/a", b"3");
    change.delete("mark/b");
    change.absent("mark/a");
    assert!(store.apply(&change).unwrap_err().message.contains("`mark/a` is in the store already"));
    let mut change = batch("mark/a", b"3");
    change.expect("mark/b", b"1".to_vec());
    assert!(store.apply(&change).unwrap_err().message.contains("`mark/b` of the store is not what it was"));
    assert_eq!(store.scan("mark/").unwrap(), marks);
    let mut change = batch("mark/c", &[7; MAX_VALUE]);
    change.delete("mark/b");
    change.absent("mark/c");
    change.expect("mark/b", b"2".to_vec());
    store.apply(&change).unwrap();
    store.flush().unwrap();
    assert_eq!(store.get("mark/b").unwrap(), None);
    assert_eq!(store.get("mark/c").unwrap(), Some(vec![7; MAX_VALUE]));
}

#[test]
fn both_stores_keep_the_same_laws() {
    let directory = tempfile::tempdir().unwrap();
    assert_keeps_the_laws(&MemoryStore::default());
    assert_keeps_the_laws(&SledStore::open(directory.path()).unwrap());
}

#[test]
fn values_over_4_kib_are_refused() {
    let error = StoreBatch::default().put("mark/a", vec![0; MAX_VALUE + 1]).unwrap_err();
    assert!(error.message.contains("at most"), "{error}");
    const { assert!(MAX_VALUE + 5 <= 4096) };
}

#[test]
fn what_was_flushed_is_there_after_opening_again() {
    let directory = holding(&[("value/clock", b"12")]);
    let store = SledStore::open(directory.path()).unwrap();
    assert_eq!(store.get("value/clock").unwrap(), Some(b"12".to_vec()));
}

#[test]
fn broken_snapshots_are_put_aside_and_nothing_is_lost() {
    let directory = holding(&[("value/clock", b"12")]);
    let folder = directory.path().join(FOLDER);
    fs::write(folder.join("snap.0000000000000ABC.generating"), b"").unwrap();
    let store = SledStore::open(directory.path()).unwrap();
    assert_eq!(store.get("value/clock").unwrap(), Some(b"12".to_vec()));
    assert!(folder.join(files::QUARANTINE).join("snap.0000000000000ABC.generating").exists());
}

#[test]
fn a_value_that_has_changed_under_its_checksum_is_damage() {
    for (key, sealed) in [("mark/a", seal("mark/a", b"12")), ("mark/b", seal("mark/a", b"12"))] {
        let directory = holding(&[("value/clock", b"12")]);
        let mut sealed = sealed;
        sealed[6] ^= u8::from(key == "mark/a");
        sled_of(&directory).insert(key, sealed).unwrap();
        let error = SledStore::open(directory.path()).unwrap_err();
        assert!(error.message.contains(key) && error.message.contains("damaged"), "{error}");
        assert!(error.to_string().contains("verify") && error.to_string().contains("--rebuild"), "{error}");
    }
}

#[test]
fn a_value_that_is_lost_or_old_again_is_damage() {
    let directory = holding(&[("value/clock", b"12"), ("mark/a", b"7")]);
    sled_of(&directory).remove("mark/a").unwrap();
    assert!(SledStore::open(directory.path()).unwrap_err().message.contains("not those that were last stored"));
    let directory = holding(&[("value/clock", b"12"), ("value/clock", b"13")]);
    sled_of(&directory).insert("value/clock", seal("value/clock", b"12")).unwrap();
    assert!(SledStore::open(directory.path()).unwrap_err().message.contains("not those that were last stored"));
}

#[test]
fn a_store_of_a_later_format_asks_for_a_newer_program() {
    let directory = holding(&[(FORMAT_KEY, b"tidegate-store 2")]);
    assert!(SledStore::open(directory.path()).unwrap_err().to_string().contains("newer program"));
}

#[test]
fn a_store_that_takes_far_more_space_than_it_holds_is_written_anew() {
    let directory = holding(&[("mark/a", b"kept")]);
    let store = SledStore::open(directory.path()).unwrap();
    for round in 0..600_u32 {
        store.apply(&batch("value/filler", &vec![round as u8; MAX_VALUE])).unwrap();
        if round % 50 == 0 {
            store.flush().unwrap();
        }
    }
    let mut last = StoreBatch::default();
    last.delete("value/filler");
    store.apply(&last).unwrap();
    store.flush().unwrap();
    drop(store);
    let folder = directory.path().join(FOLDER);
    let before = files::bytes(&folder).unwrap();
    let limits = Limits { floor: 1_000_000, ..Limits::default() };
    let store = SledStore::open_within(directory.path(), limits).unwrap();
    assert_eq!(store.get("mark/a").unwrap(), Some(b"kept".to_vec()));
    assert_eq!(store.get("value/filler").unwrap(), None);
    let after = files::bytes(&folder).unwrap();
    assert!(before > 1_000_000 && after < before, "{before} bytes, then {after}");
    drop(store);
    // Small enough now: it is left alone.
    let store = SledStore::open_within(directory.path(), limits).unwrap();
    assert_eq!(store.get("mark/a").unwrap(), Some(b"kept".to_vec()));
    assert!(!directory.path().join(files::OLD).exists());
}

#[test]
fn a_crash_while_one_store_takes_the_place_of_another_leaves_one_of_them() {
    for (crash, moved) in [("before", false), ("between", true)] {
        let directory = holding(&[("mark/a", b"kept")]);
        let path = |name: &str| directory.path().join(name);
        let new = files::begin(directory.path()).unwrap();
        files::copy(&path(FOLDER), &new).unwrap();
        if moved {
            fs::rename(path(FOLDER), path(files::OLD)).unwrap();
        }
        let store = SledStore::open(directory.path()).unwrap();
        assert_eq!(store.get("mark/a").unwrap(), Some(b"kept".to_vec()), "{crash}");
        assert!(!new.exists() && !path(files::OLD).exists(), "{crash}");
    }
}

#[test]
fn after_a_failure_it_is_opened_again_and_holds_what_it_should() {
    let directory = holding(&[("mark/a", b"1")]);
    let store = SledStore::open(directory.path()).unwrap();
    store.apply(&batch("mark/a", b"2")).unwrap();
    // As after an error of the disk: the worker is gone, and what it did last is not known.
    store.state.lock().worker = None;
    sled_of(&directory).insert("value/half", seal("value/half", b"")).unwrap();
    store.apply(&batch("mark/b", b"3")).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = SledStore::open(directory.path()).unwrap();
    assert_eq!(store.scan("").unwrap().len(), 3);
    assert_eq!(store.scan("mark/").unwrap().len(), 2);
    assert_eq!(store.get("mark/a").unwrap(), Some(b"2".to_vec()));
}

#[test]
fn examining_reads_a_copy_and_leaves_the_store_as_it_is() {
    let directory = holding(&[("mark/a", b"1")]);
    let listing = |folder: &Path| {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (fs::read(&path).unwrap_or_default(), path)).collect::<Vec<_>>()
    };
    let before = listing(&directory.path().join(FOLDER));
    let values = SledStore::examine(directory.path(), Limits::default()).unwrap().unwrap();
    assert_eq!(values.get("mark/a"), Some(&b"1".to_vec()));
    assert!(listing(&directory.path().join(FOLDER)) == before);
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(SledStore::examine(nothing.path(), Limits::default()).unwrap(), None);
}
