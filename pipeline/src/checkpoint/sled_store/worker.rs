//! sled on a thread of its own: what hangs or panics in there is an error out here.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crate::testing::crash;

/// sled takes up to ten times of it.
const CACHE: u64 = 32 * 1024 * 1024;
/// How long to wait for a lock that an earlier life of this process may still hold.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two attempts to take the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
/// How long a write may take: a disk may be slow for a while.
const WRITE_PATIENCE: Duration = Duration::from_secs(120);

/// Keys and sealed values.
pub(super) type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Why sled did not do what it was asked.
#[derive(Debug)]
pub(super) struct Trouble {
    /// In words.
    pub(super) why: String,
    /// Whether a snapshot that cannot be read may be the reason.
    pub(super) snapshot: bool,
}

type Answer<T> = std::result::Result<T, Trouble>;

enum Request {
    Apply(sled::Batch),
    Flush,
}

/// An open database. Dropping it waits for the thread to give the lock back, though not for ever.
#[derive(Debug)]
pub(super) struct Worker {
    requests: Option<Sender<(Request, Sender<Answer<()>>)>>,
    ended: Receiver<()>,
}

impl Worker {
    /// Opens the database in a folder and reads everything in it, within a time. A thread that hangs is left to
    /// hang: there is no way to end it.
    pub(super) fn open(path: &Path, patience: Duration) -> Answer<(Self, Entries)> {
        let (requests, received) = mpsc::channel();
        let (opened, opening) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let path = path.to_owned();
        let life = move || {
            live(&path, &opened, &received);
            // The receiver may have lost its patience.
            let _ = ending.send(());
        };
        let spawned = std::thread::Builder::new().name("store".into()).spawn(life);
        spawned.map_err(|error| other(format!("no thread could be started: {error}")))?;
        let entries = wait(&opening, patience)?;
        Ok((Self { requests: Some(requests), ended }, entries))
    }

    /// Makes all changes of a batch, or none.
    pub(super) fn apply(&self, batch: sled::Batch) -> Answer<()> {
        self.ask(Request::Apply(batch))
    }

    /// Makes everything applied so far durable.
    pub(super) fn flush(&self) -> Answer<()> {
        self.ask(Request::Flush)
    }

    fn ask(&self, request: Request) -> Answer<()> {
        let (reply, answer) = mpsc::channel();
        let asked = self.requests.as_ref().is_some_and(|requests| requests.send((request, reply)).is_ok());
        if !asked {
            return Err(other("it has failed before".to_owned()));
        }
        wait(&answer, WRITE_PATIENCE)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.requests = None;
        // Ends when the thread ends, in whatever way.
        let _ = self.ended.recv_timeout(LOCK_PATIENCE);
    }
}

fn live(path: &Path, opened: &Sender<Answer<Entries>>, requests: &Receiver<(Request, Sender<Answer<()>>)>) {
    let (database, file) = match open(path) {
        Ok((database, file, entries)) => {
            if opened.send(Ok(entries)).is_err() {
                return;
            }
            (database, file)
        }
        Err(trouble) => {
            // Nobody waits any more: then nobody needs to know.
            let _ = opened.send(Err(trouble));
            return;
        }
    };
    while let Ok((request, reply)) = requests.recv() {
        let answer = match request {
            Request::Apply(batch) => database.apply_batch(batch).map_err(|error| trouble(&error)),
            Request::Flush => flush(&database, &file),
        };
        let _ = reply.send(answer);
    }
}

fn open(path: &Path) -> Answer<(sled::Db, File, Entries)> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
    let database = open_when_free(&config).map_err(|error| trouble(&error))?;
    let mut entries = Entries::new();
    for entry in database.iter() {
        let (key, value) = entry.map_err(|error| trouble(&error))?;
        entries.push((key.to_vec(), value.to_vec()));
    }
    let file = File::open(path.join("db")).map_err(|error| other(format!("its file cannot be opened: {error}")))?;
    Ok((database, file, entries))
}

/// `flush` of sled does not reach the disk by itself: the file is synchronised after it.
fn flush(database: &sled::Db, file: &File) -> Answer<()> {
    crash::point("store.flush");
    database.flush().map_err(|error| trouble(&error))?;
    crash::point("store.sync");
    file.sync_data().map_err(|error| other(format!("it cannot be synchronised: {error}")))?;
    crash::point("store.synced");
    Ok(())
}

/// sled gives its lock back some time after a database was dropped: an owner that opens again waits for it.
pub(super) fn open_when_free(config: &sled::Config) -> sled::Result<sled::Db> {
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

fn trouble(error: &sled::Error) -> Trouble {
    let snapshot = match error {
        sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) => true,
        sled::Error::Io(error) => matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData),
        _ => false,
    };
    Trouble { why: error.to_string(), snapshot }
}

fn other(why: String) -> Trouble {
    Trouble { why, snapshot: false }
}

/// Waits for what a thread sends.
pub(super) fn wait<T>(receiver: &Receiver<Answer<T>>, patience: Duration) -> Answer<T> {
    receiver.recv_timeout(patience).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => {
                other(format!("it was still busy after {} s; it is probably damaged", patience.as_secs_f32()))
            }
            // The thread panicked; a broken snapshot can be the reason for that, too.
            RecvTimeoutError::Disconnected => {
                Trouble { why: "the library failed on it; it is probably damaged".to_owned(), snapshot: true }
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_is_given_up_and_one_that_panics_is_an_error() {
        let (sender, receiver) = mpsc::channel::<Answer<()>>();
        assert!(wait(&receiver, Duration::from_millis(5)).unwrap_err().why.contains("still busy"));
        drop(sender);
        assert!(wait(&receiver, Duration::from_secs(5)).unwrap_err().why.contains("the library failed"));
    }
}
