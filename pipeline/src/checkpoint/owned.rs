//! The checkpoints of a pipeline directory, in the hands of its owner.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result, Retry};
use crate::sink::Mark;
use crate::step::{ContentHash, Incarnation};
use crate::testing::crash;

use super::copies::{Copier, CopyStatus, Job, Remote};
use super::fence::{self, Fence, OwnerEpoch};
use super::folder::{DiskFolder, Folder};
use super::head;
use super::import::COPIES;
use super::index::Index;
use super::keys::{OWNER, VALUE, from_json, to_json};
use super::known::Known;
use super::manifest::{CheckpointNumber, CheckpointSummary};
use super::marks;
use super::segments::{self, SegmentStore};
use super::store::{Store, StoreBatch};

/// The checkpoints of a pipeline directory, in the hands of its owner.
pub struct CheckpointStore {
    /// The pipeline's directory: the files `head` and `epoch`.
    pub(super) root: Arc<dyn Folder>,
    pub(super) segments: SegmentStore,
    pub(super) store: Box<dyn Store>,
    pub(super) fence: Fence,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) incarnation: Mutex<Incarnation>,
    copier: Mutex<Option<Copier>>,
    notes: Mutex<Vec<String>>,
}

impl std::fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointStore").field("root", &self.root).finish_non_exhaustive()
    }
}

impl CheckpointStore {
    /// Opens the checkpoints of the pipeline directory `directory` (`.tidegate/NAME`), whose owner the caller
    /// is, and raises the fence: an owner before this one can commit nothing more.
    ///
    /// # Errors
    /// When `store` has lost what it once knew (with the command that rebuilds it), or the store or the disk fails.
    pub fn open(directory: &Path, store: Box<dyn Store>) -> Result<Self> {
        let root: Arc<dyn Folder> = Arc::new(DiskFolder::create(directory)?);
        let folder: Arc<dyn Folder> = Arc::new(DiskFolder::create(&directory.join(segments::FOLDER))?);
        Self::open_on(&root, folder, store, has_journal(directory)).map_err(|error| match error.remedy {
            None if error.retry == Retry::Never => error.with_remedy(rebuild_remedy(directory)),
            _ => error,
        })
    }

    /// Opens the checkpoints whose files are in these folders. `journaled`: there is a journal.
    pub(super) fn open_on(
        root: &Arc<dyn Folder>,
        segments: Arc<dyn Folder>,
        store: Box<dyn Store>,
        journaled: bool,
    ) -> Result<Self> {
        let segments = SegmentStore::on(segments);
        let index = Index::read(store.as_ref())?;
        let named = head::read(root.as_ref());
        if let Ok(Some(head)) = &named
            && index.has_forgotten(head.number)
        {
            return Err(lost(&format!("it does not list checkpoint {}, which the file `head` names", head.number)));
        }
        if index.is_new() && (journaled || !segments.list()?.is_empty()) {
            return Err(lost("it lists nothing, although there are segments or a journal"));
        }
        let fence = take(root, store.as_ref(), &index)?;
        // From here on no earlier owner changes anything: what it did until now counts.
        let index = Index::read(store.as_ref())?;
        let present = segments.list()?;
        let opened = Self {
            root: Arc::clone(root),
            segments,
            store,
            fence,
            incarnation: Mutex::new(index.incarnation.unwrap_or(Incarnation(1))),
            known: Arc::new(Mutex::new(Known::new(index, present))),
            copier: Mutex::default(),
            notes: Mutex::default(),
        };
        if let Err(error) = named {
            opened.note(format!("{error}; it is written anew"));
        }
        Ok(opened)
    }

    pub(super) fn note(&self, note: String) {
        tracing::warn!(directory = %self.root.place("").display(), "{note}");
        self.notes.lock().push(note);
    }

    /// What has been mended or passed over since opening, in sentences for the user.
    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().clone()
    }

    /// Whether this owner is still the owner: nobody else has opened the directory since. Costs one short read.
    ///
    /// # Errors
    /// When somebody has, and who; or when that cannot be read.
    pub fn still_owner(&self) -> Result<()> {
        self.fence.check()
    }

    /// What [`CheckpointStore::still_owner`] asks, to be handed to others that write or send.
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// A batch that the store takes only from its present owner.
    pub(super) fn batch(&self) -> Result<StoreBatch> {
        let mut batch = StoreBatch::default();
        let epoch: OwnerEpoch = self.fence.epoch();
        batch.expect(OWNER, to_json(&epoch)?);
        Ok(batch)
    }

    /// Lets every checkpoint be copied to a place from now on, the newest one at once, in the background. A copy that
    /// fails is counted in `status`, and holds up nothing.
    ///
    /// # Errors
    /// When the store fails, or no thread can be started.
    pub fn copy_to(&self, remote: Box<dyn Remote>, pipeline: &str, status: &Arc<CopyStatus>) -> Result<()> {
        let token = match self.value(COPIES)? {
            Some(token) => token,
            None => {
                let token = fence::token();
                self.put_value(COPIES, &token)?;
                token
            }
        };
        let copier = Copier::start(remote, self.segments.clone(), pipeline.to_owned(), token, Arc::clone(status))?;
        *self.copier.lock() = Some(copier);
        if let Some(newest) = self.list().pop() {
            let names = self.load(newest.number)?.segments();
            self.copy(newest, names);
        }
        Ok(())
    }

    /// Lets a checkpoint be copied, where copies are made.
    pub(super) fn copy(&self, summary: CheckpointSummary, names: BTreeSet<ContentHash>) {
        if let Some(copier) = self.copier.lock().as_ref() {
            let kept = self.known.lock().named();
            copier.copy(Job { summary, incarnation: self.incarnation(), names, kept });
        }
    }

    /// Waits until the newest checkpoint is copied or has failed to be, at most so long; whether it was.
    pub fn settle_copies(&self, patience: Duration) -> bool {
        self.copier.lock().as_ref().is_none_or(|copier| copier.settle(patience))
    }

    /// The incarnation of the directory: the newest that any checkpoint was taken in.
    pub fn incarnation(&self) -> Incarnation {
        *self.incarnation.lock()
    }

    /// The segments.
    pub fn segments(&self) -> &SegmentStore {
        &self.segments
    }

    /// All checkpoints, oldest first.
    pub fn list(&self) -> Vec<CheckpointSummary> {
        self.known.lock().summaries()
    }

    /// The number for the next checkpoint: higher than any that was ever given.
    pub fn next_number(&self) -> CheckpointNumber {
        self.known.lock().highest().next()
    }

    /// Stores the marks of sinks; those not named keep theirs. Durable when this returns.
    ///
    /// # Errors
    /// When the store fails, or this is no longer its owner.
    pub fn put_marks(&self, marks: &BTreeMap<String, Mark>) -> Result<()> {
        let mut batch = self.batch()?;
        marks::put(self.store.as_ref(), &mut batch, marks)?;
        crash::point("marks.apply");
        self.store.apply(&batch)?;
        crash::point("marks.applied");
        self.store.flush()
    }

    /// Stores the marks of sinks; those not named are forgotten. Durable when this returns.
    ///
    /// # Errors
    /// When the store fails, or this is no longer its owner.
    pub fn replace_marks(&self, marks: &BTreeMap<String, Mark>) -> Result<()> {
        let mut batch = self.batch()?;
        marks::forget_all(self.store.as_ref(), &mut batch)?;
        marks::put(self.store.as_ref(), &mut batch, marks)?;
        self.store.apply(&batch)?;
        self.store.flush()
    }

    /// The marks of all sinks. They may be ahead of the newest manifest.
    ///
    /// # Errors
    /// When the store fails.
    pub fn marks(&self) -> Result<BTreeMap<String, Mark>> {
        marks::all(self.store.as_ref())
    }

    /// Stores a small named value (at most 4 KiB as JSON). Durable when this returns.
    ///
    /// # Errors
    /// When it is too long, the store fails, or this is no longer its owner.
    pub fn put_value<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        let mut batch = self.batch()?;
        batch.put(format!("{VALUE}{name}"), to_json(value)?)?;
        self.store.apply(&batch)?;
        self.store.flush()
    }

    /// A small named value; `None` where there is none of that name.
    ///
    /// # Errors
    /// When it is not of this type, or the store fails.
    pub fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let key = format!("{VALUE}{name}");
        self.store.get(&key)?.map(|json| from_json(&key, &json)).transpose()
    }
}

/// Takes the ownership: in the store first, which lets one of two win, then in the file.
fn take(root: &Arc<dyn Folder>, store: &dyn Store, index: &Index) -> Result<Fence> {
    let epoch = Fence::next(root.as_ref(), index.epoch);
    let mut batch = StoreBatch::default();
    match index.epoch {
        Some(before) => batch.expect(OWNER, to_json(&before)?),
        None => batch.absent(OWNER),
    }
    batch.put(OWNER, to_json(&epoch)?)?;
    store.apply(&batch)?;
    store.flush()?;
    Fence::raise(root, epoch)
}

fn lost(why: &str) -> Error {
    Error::external(format!("the store of checkpoints has lost what it knew: {why}")).never_retry()
}

/// What to do about a store that is lost or damaged: the command that rebuilds it.
pub(super) fn rebuild_remedy(directory: &Path) -> String {
    let name = directory.file_name().map_or_else(|| "PIPELINE".to_owned(), |name| name.to_string_lossy().into_owned());
    let parent = directory.parent().filter(|parent| *parent != Path::new(".tidegate") && *parent != Path::new(""));
    let dir = parent.map(|parent| format!(" --dir {}", parent.display())).unwrap_or_default();
    format!("`tidegate checkpoint verify {name}{dir} --rebuild` builds it anew from segments and journal")
}

fn has_journal(directory: &Path) -> bool {
    let is_journal = |path: PathBuf| path.extension().is_some_and(|extension| extension == "journal");
    let files = fs::read_dir(directory.join("journal"));
    files.is_ok_and(|files| files.filter_map(|entry| entry.ok()).any(|entry| is_journal(entry.path())))
}
