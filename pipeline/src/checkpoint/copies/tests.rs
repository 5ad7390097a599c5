//! What copies elsewhere promise.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::checkpoint::tests::Pipeline;
use crate::checkpoint::{OwnerLock, Retention, SegmentStore};

/// A folder that can be cut off or made to wait.
#[derive(Debug, Clone)]
struct Hindered {
    folder: Arc<FolderRemote>,
    cut_off: Arc<AtomicBool>,
    slow: Duration,
}

impl Remote for Hindered {
    fn names(&self, folder: &str) -> Result<BTreeSet<String>> {
        self.folder.names(folder)
    }
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.folder.read(name)
    }
    fn fetch(&self, name: &str, into: &mut dyn std::io::Write) -> Result<bool> {
        self.folder.fetch(name, into)
    }
    fn send(&self, name: &str, from: &std::path::Path) -> Result<()> {
        std::thread::sleep(self.slow);
        match self.cut_off.load(Ordering::SeqCst) {
            true => Err(Error::external("the place cannot be reached")),
            false => self.folder.send(name, from),
        }
    }
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.folder.create(name, bytes)
    }
    fn exchange(&self, name: &str, before: &[u8], bytes: &[u8]) -> Result<bool> {
        self.folder.exchange(name, before, bytes)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.folder.remove(name)
    }
    fn place(&self) -> String {
        self.folder.place()
    }
}

/// A pipeline that copies to a folder.
struct Copied {
    pipeline: Pipeline,
    elsewhere: tempfile::TempDir,
    remote: Hindered,
    status: Arc<CopyStatus>,
}

impl Copied {
    fn new(slow: Duration) -> Self {
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = Arc::new(FolderRemote::new(&elsewhere.path().join("copies")));
        let remote = Hindered { folder, cut_off: Arc::default(), slow };
        let copied = Self { pipeline: Pipeline::new(), elsewhere, remote, status: Arc::default() };
        copied.begin();
        copied
    }

    fn begin(&self) {
        self.pipeline.checkpoints.copy_to(Box::new(self.remote.clone()), "p", &self.status).unwrap();
    }

    fn settle(&self) {
        assert!(self.pipeline.checkpoints.settle_copies(Duration::from_secs(30)));
    }

    fn place(&self) -> PathBuf {
        self.elsewhere.path().join("copies")
    }

    /// Restores into a new folder; its directory.
    fn restored(&self, take: bool) -> (tempfile::TempDir, PathBuf, crate::checkpoint::ImportReport) {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("p");
        let report = restore(&directory, &self.remote, true, take).unwrap();
        (folder, directory, report)
    }
}

#[test]
fn every_checkpoint_is_copied_and_the_newest_is_brought_back_as_a_new_incarnation() {
    let copied = Copied::new(Duration::ZERO);
    for text in ["one", "two"] {
        copied.pipeline.commit(text);
        copied.settle();
    }
    assert_eq!(copied.status.copied.load(Ordering::SeqCst), 2);
    assert_eq!(*copied.status.newest.lock(), Some(CheckpointNumber(2)));
    let (_folder, directory, report) = copied.restored(false);
    assert_eq!((report.checkpoint, report.step), (CheckpointNumber(2), StepNumber(20)));
    assert!(report.incarnation > Incarnation(1));
    let (original, back) = (copied.pipeline.checkpoints.load(report.checkpoint).unwrap(), read(&directory));
    assert_eq!(back.incarnation, report.incarnation);
    assert_eq!((&back.nodes, &back.marks, &back.sources), (&original.nodes, &original.marks, &original.sources));
    assert!(crate::checkpoint::verify(&directory).unwrap().is_whole());
    let (_folder, _, again) = copied.restored(false);
    assert_ne!(again.incarnation, report.incarnation, "two restored from one copy send no effects under the same ids");
}

fn read(directory: &std::path::Path) -> crate::checkpoint::Manifest {
    crate::checkpoint::read_head(directory).unwrap().unwrap()
}

#[test]
fn a_slow_place_holds_up_no_checkpoint_and_gets_the_newest() {
    let copied = Copied::new(Duration::from_millis(30));
    let started = std::time::Instant::now();
    for round in 0..12 {
        copied.pipeline.commit(&format!("state {round}"));
        copied.pipeline.checkpoints.retain(Retention::last(1), None).unwrap();
    }
    let committed = started.elapsed();
    copied.settle();
    assert_eq!(*copied.status.newest.lock(), Some(CheckpointNumber(12)));
    assert!(copied.status.copied.load(Ordering::SeqCst) < 12, "those in between were left out");
    assert_eq!(copied.status.failed.load(Ordering::SeqCst), 0, "{:?}", copied.status.last_error);
    assert!(committed < Duration::from_secs(20), "{committed:?}");
    // Twelve states in their time: those that nobody keeps are gone there, too.
    assert!(copied.remote.names(SEGMENTS).unwrap().len() < 14);
}

#[test]
fn a_place_that_cannot_be_reached_is_counted_and_tried_again_with_the_next_checkpoint() {
    let copied = Copied::new(Duration::ZERO);
    copied.remote.cut_off.store(true, Ordering::SeqCst);
    copied.pipeline.commit("one");
    copied.settle();
    assert_eq!(copied.status.failed.load(Ordering::SeqCst), 1);
    assert!(copied.status.last_error.lock().as_ref().is_some_and(|error| error.contains("cannot be reached")));
    assert!(restore(&copied.elsewhere.path().join("p"), &copied.remote, true, false).is_err());
    copied.remote.cut_off.store(false, Ordering::SeqCst);
    copied.pipeline.commit("two");
    copied.settle();
    assert_eq!(
        (*copied.status.newest.lock(), copied.status.last_error.lock().clone()),
        (Some(CheckpointNumber(2)), None)
    );
}

#[test]
fn two_pipelines_cannot_copy_to_one_place() {
    let copied = Copied::new(Duration::ZERO);
    copied.pipeline.commit("one");
    copied.settle();
    let other = Pipeline::new();
    let status = Arc::default();
    other.checkpoints.copy_to(Box::new(copied.remote.clone()), "p", &status).unwrap();
    other.commit("other");
    assert!(other.checkpoints.settle_copies(Duration::from_secs(30)));
    assert!(status.last_error.lock().as_ref().is_some_and(|error| error.contains("another directory")), "{status:?}");
    let newest: Newest = from_json(NEWEST, &copied.remote.read(NEWEST).unwrap().unwrap()).unwrap();
    assert_eq!(newest.manifest, copied.pipeline.checkpoints.list()[0].manifest);
    copied.begin();
    copied.pipeline.commit("two");
    copied.settle();
    assert_eq!(*copied.status.last_error.lock(), None, "its own place, also when it is opened again");
}

#[test]
fn who_restores_from_its_own_place_takes_it_over_and_the_one_before_writes_there_no_more() {
    let copied = Copied::new(Duration::ZERO);
    copied.pipeline.commit("one");
    copied.settle();
    let (_folder, directory, report) = copied.restored(true);
    copied.pipeline.commit("two");
    copied.settle();
    assert!(copied.status.last_error.lock().as_ref().is_some_and(|error| error.contains("taken them over")));
    let newest: Newest = from_json(NEWEST, &copied.remote.read(NEWEST).unwrap().unwrap()).unwrap();
    assert_eq!(newest.number, CheckpointNumber(1));
    let _owner = OwnerLock::acquire(&directory).unwrap();
    let sled = crate::checkpoint::SledStore::open(&directory).unwrap();
    let store = crate::checkpoint::CheckpointStore::open(&directory, Box::new(sled)).unwrap();
    let status = Arc::default();
    store.copy_to(Box::new(copied.remote.clone()), "p", &status).unwrap();
    assert!(store.settle_copies(Duration::from_secs(30)));
    assert_eq!(*status.last_error.lock(), None);
    let newest: Newest = from_json(NEWEST, &copied.remote.read(NEWEST).unwrap().unwrap()).unwrap();
    assert_eq!(newest.incarnation, report.incarnation);
}

#[test]
fn a_damaged_copy_is_refused_and_leaves_nothing_behind() {
    let copied = Copied::new(Duration::ZERO);
    let manifest = copied.pipeline.commit("one");
    copied.settle();
    let state = manifest.nodes["fresh"].segments[0].clone();
    let own = copied.pipeline.checkpoints.list()[0].manifest.clone();
    let into = copied.elsewhere.path().join("p");
    for hash in [state, own] {
        let path = copied.place().join(segment(&hash).unwrap());
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 4;
        std::fs::write(&path, bad).unwrap();
        assert!(restore(&into, &copied.remote, true, false).unwrap_err().message.contains("named by"));
        std::fs::remove_file(&path).unwrap();
        assert!(restore(&into, &copied.remote, true, false).unwrap_err().message.contains("missing"));
        assert!(!into.exists());
        std::fs::write(&path, good).unwrap();
    }
    restore(&into, &copied.remote, true, false).unwrap();
    assert_eq!(SegmentStore::of(&into).list().unwrap().len(), 3);
    assert!(restore(&into, &copied.remote, true, false).unwrap_err().message.contains("holds a pipeline already"));
}

/// A place whose writer goes on while somebody restores from it.
struct Busy<'a> {
    copied: &'a Copied,
    left: std::sync::atomic::AtomicU32,
}

impl std::fmt::Debug for Busy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Busy")
    }
}

impl Remote for Busy<'_> {
    fn names(&self, folder: &str) -> Result<BTreeSet<String>> {
        self.copied.remote.names(folder)
    }
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.copied.remote.read(name)
    }
    fn fetch(&self, name: &str, into: &mut dyn std::io::Write) -> Result<bool> {
        let another = |left: u32| left.checked_sub(1);
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, another).is_ok() {
            for state in 0..3 {
                self.copied.pipeline.commit(&format!("{name} {state}"));
                self.copied.pipeline.checkpoints.retain(Retention::last(1), None).unwrap();
                self.copied.settle();
            }
        }
        self.copied.remote.fetch(name, into)
    }
    fn send(&self, name: &str, from: &std::path::Path) -> Result<()> {
        self.copied.remote.send(name, from)
    }
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.copied.remote.create(name, bytes)
    }
    fn exchange(&self, name: &str, before: &[u8], bytes: &[u8]) -> Result<bool> {
        self.copied.remote.exchange(name, before, bytes)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.copied.remote.remove(name)
    }
    fn place(&self) -> String {
        self.copied.remote.place()
    }
}

#[test]
fn a_writer_that_goes_on_and_removes_what_it_needs_no_longer_spoils_no_restore() {
    let copied = Copied::new(Duration::ZERO);
    copied.pipeline.commit("one");
    copied.settle();
    let busy = |left: u32| Busy { copied: &copied, left: left.into() };
    let into = copied.elsewhere.path().join("followed");
    let followed = restore(&into, &busy(2), true, false).unwrap();
    assert!(followed.checkpoint > CheckpointNumber(1), "it followed the writer: {followed:?}");
    let newest = followed.checkpoint;
    let taken = restore(&copied.elsewhere.path().join("taken"), &busy(2), true, true).unwrap();
    assert!(taken.checkpoint >= newest);
    assert!(copied.status.last_error.lock().as_ref().is_some_and(|error| error.contains("taken them over")));
}

#[test]
fn a_place_that_was_taken_over_for_a_restore_that_failed_is_given_back() {
    let copied = Copied::new(Duration::ZERO);
    let manifest = copied.pipeline.commit("one");
    copied.settle();
    let path = copied.place().join(segment(&manifest.nodes["fresh"].segments[0]).unwrap());
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, b"rotten").unwrap();
    assert!(restore(&copied.elsewhere.path().join("p"), &copied.remote, true, true).is_err());
    std::fs::write(&path, good).unwrap();
    copied.pipeline.commit("two");
    copied.settle();
    assert_eq!(*copied.status.last_error.lock(), None);
    assert_eq!(*copied.status.newest.lock(), Some(CheckpointNumber(2)));
}

#[test]
fn a_copy_that_failed_is_tried_again_without_another_checkpoint() {
    let copied = Copied::new(Duration::ZERO);
    copied.remote.cut_off.store(true, Ordering::SeqCst);
    copied.pipeline.commit("one");
    copied.settle();
    assert_eq!(copied.status.copied.load(Ordering::SeqCst), 0);
    copied.remote.cut_off.store(false, Ordering::SeqCst);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while copied.status.copied.load(Ordering::SeqCst) == 0 && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(*copied.status.newest.lock(), Some(CheckpointNumber(1)));
    assert_eq!(*copied.status.last_error.lock(), None);
}

#[test]
fn a_place_is_named_by_a_url_that_this_program_knows() {
    assert_eq!("file:///backup/p".parse::<CopyLocation>().unwrap().to_string(), "file:///backup/p");
    for nonsense in ["", "/backup", "file://", "ftp://x"] {
        assert!(nonsense.parse::<CopyLocation>().unwrap_err().contains("file:///"), "{nonsense}");
    }
}

#[test]
fn a_bucket_is_named_with_how_it_is_reached() {
    let text = "s3://backup/a/b/?region=eu-west-1&endpoint=http://127.0.0.1:9000&profile=ops";
    let CopyLocation::Bucket(bucket) = text.parse().unwrap() else { panic!("it is a bucket") };
    assert_eq!((bucket.bucket.as_str(), bucket.prefix.as_str()), ("backup", "a/b"));
    assert_eq!(bucket.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert_eq!((bucket.region.as_deref(), bucket.profile.as_deref()), (Some("eu-west-1"), Some("ops")));
    assert_eq!(bucket.to_string(), "s3://backup/a/b");
    let plain: CopyLocation = "s3://backup/a/b".parse().unwrap();
    assert!(plain.is_same_place(&CopyLocation::Bucket(bucket)));
    assert!(!plain.is_same_place(&"s3://backup/a".parse().unwrap()));
    for (text, reason) in [
        ("s3://", "no name of a bucket"),
        ("s3://Backup/p", "no name of a bucket"),
        ("s3://backup/p?zone=x", "`zone=x`"),
        ("s3://backup/p?region=", "has no value"),
        ("s3://backup/p?endpoint=localhost:9000", "is a URL"),
    ] {
        let refused = text.parse::<CopyLocation>().unwrap_err();
        assert!(refused.contains(reason), "{text}: {refused}");
    }
}
