//! The store on disk: sled, and what keeps its weak sides from hurting.
//!
//! * `flush` of sled does not reach the disk by itself: the file is synchronised after it.
//! * Values stay below 4 KiB ([`super::store::MAX_VALUE`]), or its file grows without end.
//! * Every value carries a version and a checksum over key and value.
//! * A half-written snapshot (`snap.*`) keeps it from opening, although the log holds everything: such files
//!   are put aside, once.
//! * A flipped bit can make opening hang: it happens on a thread of its own, with a time limit.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use sled::transaction::{ConflictableTransactionError, TransactionError};

use crate::disk::{create_directory, failed, sync_directory};
use crate::error::{Error, Result};
use crate::testing::crash;

use super::store::{Store, StoreBatch, present};

/// The folder of the store in a pipeline's directory.
const FOLDER: &str = "store";
/// Where snapshots that cannot be read are put.
const QUARANTINE: &str = "quarantine";
/// sled takes up to ten times of it.
const CACHE: u64 = 32 * 1024 * 1024;
/// How long opening may take. A store of this kind opens in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for a lock that an earlier life of this process may still hold.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// The version byte of every value.
const VERSION: u8 = 1;
/// The key and contents of the record that says whose file this is.
const FORMAT_KEY: &str = "format";
const FORMAT: &str = "tidegate-store 1";

/// A store in sled.
pub struct SledStore {
    database: sled::Db,
    /// The file that sled writes to.
    file: File,
    path: PathBuf,
}

impl SledStore {
    /// Opens the store of the pipeline directory `directory` (`.tidegate/NAME`), or creates it. The caller owns
    /// the directory.
    ///
    /// # Errors
    /// When it does not open in 20 seconds, is damaged, or was written by a newer program.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(FOLDER);
        create_directory(&path)?;
        let database = open_or_heal(&path)?;
        let file = path.join("db");
        let file = File::open(&file).map_err(|error| failed("open", &file, &error))?;
        let store = Self { database, file, path };
        store.check_format()?;
        sync_directory(&store.path)?;
        Ok(store)
    }

    fn check_format(&self) -> Result<()> {
        match self.get(FORMAT_KEY)? {
            Some(format) if format == FORMAT.as_bytes() => Ok(()),
            Some(format) => Err(Error::user(format!(
                "the store {} says `{}`, this program reads `{FORMAT}`",
                self.path.display(),
                String::from_utf8_lossy(&format)
            ))
            .with_remedy("a newer program is needed: run the one that wrote it")),
            None => {
                let mut batch = StoreBatch::default();
                batch.put(FORMAT_KEY, FORMAT.as_bytes().to_vec())?;
                self.apply(&batch)?;
                self.flush()
            }
        }
    }

    fn failed(&self, error: &sled::Error) -> Error {
        Error::external(format!("the store {} has failed: {error}", self.path.display())).never_retry()
    }

    fn unseal(&self, key: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        unseal(key, sealed).map_err(|why| {
            let message = format!("the value `{key}` in the store {} is damaged: {why}", self.path.display());
            Error::external(message).never_retry().with_remedy(REMEDY)
        })
    }
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store for SledStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let sealed = self.database.get(key).map_err(|error| self.failed(&error))?;
        sealed.map(|sealed| self.unseal(key, &sealed)).transpose()
    }

    fn apply(&self, batch: &StoreBatch) -> Result<()> {
        let done = self.database.transaction(|tree| {
            for key in batch.wanted_absent() {
                if tree.get(key.as_bytes())?.is_some() {
                    return Err(ConflictableTransactionError::Abort(present(key)));
                }
            }
            for (key, value) in batch.changes() {
                match value {
                    Some(value) => tree.insert(key.as_bytes(), seal(key, value))?,
                    None => tree.remove(key.as_bytes())?,
                };
            }
            Ok(())
        });
        done.map_err(|error| match error {
            TransactionError::Abort(error) => error,
            TransactionError::Storage(error) => self.failed(&error),
        })
    }

    fn scan(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        for entry in self.database.scan_prefix(prefix) {
            let (key, sealed) = entry.map_err(|error| self.failed(&error))?;
            let key = String::from_utf8_lossy(&key).into_owned();
            let value = self.unseal(&key, &sealed)?;
            found.push((key, value));
        }
        Ok(found)
    }

    fn flush(&self) -> Result<()> {
        crash::point("store.flush");
        self.database.flush().map_err(|error| self.failed(&error))?;
        crash::point("store.sync");
        self.file.sync_data().map_err(|error| failed("synchronise the store", &self.path, &error))?;
        crash::point("store.synced");
        Ok(())
    }
}

/// What to do about a store that is lost: the segments know what it knew.
const REMEDY: &str =
    "move this folder away and start again: the list of checkpoints is then rebuilt from the file `head` beside it";

fn seal(key: &str, value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(5 + value.len());
    sealed.push(VERSION);
    sealed.extend_from_slice(&checksum(key, value).to_le_bytes());
    sealed.extend_from_slice(value);
    sealed
}

fn unseal(key: &str, sealed: &[u8]) -> std::result::Result<Vec<u8>, String> {
    match sealed {
        [VERSION, a, b, c, d, value @ ..] if checksum(key, value) == u32::from_le_bytes([*a, *b, *c, *d]) => {
            Ok(value.to_vec())
        }
        [VERSION, ..] | [] => Err("its checksum is wrong".to_owned()),
        [version, ..] => Err(format!("it has version {version}, this program reads version {VERSION}")),
    }
}

fn checksum(key: &str, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(value);
    hasher.finalize()
}

/// Opens sled; when a snapshot is broken, without its snapshots.
fn open_or_heal(path: &Path) -> Result<sled::Db> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
    let open = move || {
        let config = config.clone();
        within(PATIENCE, move || open_when_free(&config)).map_err(|why| unopenable(path, &why))
    };
    let error = match open()? {
        Ok(database) => return Ok(database),
        Err(error) => error,
    };
    if !may_be_a_snapshot(&error) || !quarantine_snapshots(path)? {
        return Err(unopenable(path, &error.to_string()));
    }
    tracing::warn!(path = %path.display(), %error, "the store did not open; its snapshots were put aside and it is read from its log");
    open()?.map_err(|error| unopenable(path, &error.to_string()))
}

/// sled gives its lock back some time after a database was dropped: an owner that opens again waits for it.
fn open_when_free(config: &sled::Config) -> sled::Result<sled::Db> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        match config.open() {
            Err(error) if is_locked(&error) && Instant::now() < until => std::thread::sleep(LOCK_PAUSE),
            opened => return opened,
        }
    }
}

/// sled tells of a lock that is held in words only.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn unopenable(path: &Path, why: &str) -> Error {
    Error::external(format!("the store {} cannot be opened: {why}", path.display())).never_retry().with_remedy(REMEDY)
}

fn may_be_a_snapshot(error: &sled::Error) -> bool {
    match error {
        sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => true,
        sled::Error::Io(error) => matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData),
        _ => false,
    }
}

/// Moves all snapshots aside; whether there were any.
fn quarantine_snapshots(path: &Path) -> Result<bool> {
    let error = |error| failed("examine", path, &error);
    let aside = path.join(QUARANTINE);
    let mut any = false;
    for entry in fs::read_dir(path).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("snap.") {
            continue;
        }
        create_directory(&aside)?;
        let (from, to) = (entry.path(), aside.join(name));
        fs::rename(&from, to).map_err(|error| failed("put aside", &from, &error))?;
        any = true;
    }
    sync_directory(path)?;
    Ok(any)
}

/// Runs `work` on a thread of its own. A thread that hangs is left to hang: there is no way to end it.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::result::Result<T, String> {
    let (sender, receiver) = mpsc::channel();
    let spawned = std::thread::Builder::new().name("store".into()).spawn(move || sender.send(work()).is_ok());
    spawned.map_err(|error| format!("no thread could be started: {error}"))?;
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("it was still busy after {} s; it is probably damaged", limit.as_secs()),
        RecvTimeoutError::Disconnected => "the library failed on it; it is probably damaged".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::store::{MAX_VALUE, MemoryStore};

    fn batch(key: &str, value: &[u8]) -> StoreBatch {
        let mut batch = StoreBatch::default();
        batch.put(key, value.to_vec()).unwrap();
        batch
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
        assert_eq!(store.scan("mark/").unwrap(), marks);
        let mut change = batch("mark/c", &[7; MAX_VALUE]);
        change.delete("mark/b");
        change.absent("mark/c");
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
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        store.apply(&batch("value/clock", b"12")).unwrap();
        store.flush().unwrap();
        drop(store);
        let store = SledStore::open(directory.path()).unwrap();
        assert_eq!(store.get("value/clock").unwrap(), Some(b"12".to_vec()));
    }

    #[test]
    fn broken_snapshots_are_put_aside_and_nothing_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        store.apply(&batch("value/clock", b"12")).unwrap();
        store.flush().unwrap();
        drop(store);
        let folder = directory.path().join(FOLDER);
        fs::write(folder.join("snap.0000000000000ABC.generating"), b"").unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        assert_eq!(store.get("value/clock").unwrap(), Some(b"12".to_vec()));
        assert!(folder.join(QUARANTINE).join("snap.0000000000000ABC.generating").exists());
    }

    #[test]
    fn a_value_that_has_changed_under_its_checksum_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        let mut sealed = seal("mark/a", b"12");
        sealed[6] ^= 1;
        store.database.insert("mark/a", sealed).unwrap();
        store.database.insert("mark/b", seal("mark/a", b"12")).unwrap();
        for key in ["mark/a", "mark/b"] {
            assert!(store.get(key).unwrap_err().message.contains("damaged"), "{key}");
        }
    }

    #[test]
    fn a_store_of_a_later_format_asks_for_a_newer_program() {
        let directory = tempfile::tempdir().unwrap();
        let store = SledStore::open(directory.path()).unwrap();
        store.apply(&batch(FORMAT_KEY, b"tidegate-store 2")).unwrap();
        store.flush().unwrap();
        drop(store);
        assert!(SledStore::open(directory.path()).unwrap_err().to_string().contains("newer program"));
    }

    #[test]
    fn work_that_hangs_is_given_up() {
        let why = within(Duration::from_millis(20), || std::thread::sleep(Duration::from_secs(3))).unwrap_err();
        assert!(why.contains("still busy"), "{why}");
    }
}
