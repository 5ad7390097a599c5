//! The thread that watches: told by the kernel, or looking again and again.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use notify::event::{CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::SourceContext;
use tokio_util::sync::CancellationToken;

use super::tree::{Change, Root, Tree, What};

/// How many events of the kernel wait; beyond, everything is looked at anew.
const EVENTS: usize = 8192;
/// How long more events are waited for, once there is one: what comes together is told once.
const TOGETHER: Duration = Duration::from_millis(20);
/// The most events that are taken together.
const AT_ONCE: usize = 4096;
/// How long the first half of a move waits for the other.
const HALF: Duration = Duration::from_millis(100);
/// How often it is looked whether anybody listens still.
const LISTENING: Duration = Duration::from_millis(200);

/// Where changes go.
pub(super) type Sender = tokio::sync::mpsc::Sender<Result<Vec<Change>>>;

/// How a root is watched.
pub(super) struct Watcher {
    root: Root,
    tree: Tree,
    told: Option<Told>,
    poll: Duration,
    cancel: CancellationToken,
    node: Arc<str>,
    /// First halves of moves: where from, and when they came.
    halves: HashMap<usize, (PathBuf, Instant)>,
}

/// What the kernel tells.
struct Told {
    _watcher: RecommendedWatcher,
    events: mpsc::Receiver<notify::Event>,
    /// More came than could wait, or something could not be watched.
    lost: Arc<AtomicBool>,
    /// The kernel cannot watch all of it.
    full: Arc<AtomicBool>,
}

impl Told {
    fn new(root: &Root) -> notify::Result<Self> {
        let (to, events) = mpsc::sync_channel(EVENTS);
        let (lost, full) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (on_loss, on_full) = (Arc::clone(&lost), Arc::clone(&full));
        let mut watcher = notify::recommended_watcher(move |event| take(event, &to, &on_loss, &on_full))?;
        let mode = if root.recursive && !root.single { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(root.folder(), mode)?;
        Ok(Self { _watcher: watcher, events, lost, full })
    }
}

/// Takes an event in the kernel's thread, which must never wait.
fn take(event: notify::Result<notify::Event>, to: &SyncSender<notify::Event>, lost: &AtomicBool, full: &AtomicBool) {
    match event {
        Ok(event) if event.need_rescan() => lost.store(true, Ordering::Relaxed),
        Ok(event) if event.kind.is_access() => {}
        Ok(event) => {
            if to.try_send(event).is_err() {
                lost.store(true, Ordering::Relaxed);
            }
        }
        Err(_) => full.store(true, Ordering::Relaxed),
    }
}

impl Watcher {
    /// Begins to watch: what happens from here on is told.
    ///
    /// # Errors
    /// When there is nothing at the root.
    pub(super) fn new(root: Root, always_poll: bool, poll: Duration, context: &SourceContext) -> Result<Self> {
        let told = match always_poll {
            true => None,
            false => Told::new(&root).map_err(|error| falls_back(&context.node, &error.to_string())).ok(),
        };
        // Looked at after the kernel was asked: nothing can happen in between.
        let tree = Tree::scan(&root)?;
        let (cancel, node) = (context.cancel.clone(), Arc::clone(&context.node));
        Ok(Self { root, tree, told, poll, cancel, node, halves: HashMap::new() })
    }

    /// Whether the kernel tells what happens.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Sends what happens until nobody listens any more.
    pub(super) fn run(mut self, to: &Sender) {
        let mut due = Instant::now() + self.poll;
        while !to.is_closed() && !self.cancel.is_cancelled() {
            let changes = match &self.told {
                Some(_) => self.listen(),
                None if Instant::now() >= due => {
                    due = Instant::now() + self.poll;
                    self.look()
                }
                None => {
                    std::thread::sleep(LISTENING.min(due.saturating_duration_since(Instant::now())));
                    continue;
                }
            };
            match changes {
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => {
                    if to.blocking_send(Ok(changes)).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    let _ = to.blocking_send(Err(error));
                    return;
                }
            }
        }
    }

    /// Looks at everything anew.
    fn look(&mut self) -> Result<Vec<Change>> {
        let now = Tree::scan(&self.root)?;
        let changes = self.tree.changes(&now);
        self.tree = now;
        Ok(changes)
    }

    /// What the kernel tells within a short time.
    fn listen(&mut self) -> Result<Vec<Change>> {
        let Some(told) = &self.told else { return Ok(Vec::new()) };
        let mut events = Vec::new();
        let mut wait = if self.halves.is_empty() { LISTENING } else { HALF };
        while events.len() < AT_ONCE {
            match told.events.recv_timeout(wait) {
                Ok(event) => events.push(event),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    told.full.store(true, Ordering::Relaxed);
                    break;
                }
            }
            wait = TOGETHER;
        }
        if told.full.load(Ordering::Relaxed) {
            falls_back(&self.node, "it cannot watch all of the tree");
            self.told = None;
            self.halves.clear();
            return self.look();
        }
        if told.lost.swap(false, Ordering::Relaxed) {
            tracing::warn!(node = %self.node, "More changes came than could wait: everything is looked at anew.");
            while told.events.try_recv().is_ok() {}
            self.halves.clear();
            return self.look();
        }
        let mut changes = Vec::new();
        for event in events {
            self.apply(&event, &mut changes)?;
        }
        self.end_halves(&mut changes);
        Ok(together(changes))
    }

    fn apply(&mut self, event: &notify::Event, changes: &mut Vec<Change>) -> Result<()> {
        for path in &event.paths {
            if *path == self.root.path && matches!(event.kind, EventKind::Remove(_)) && !self.root.single {
                // The root itself has gone: opening it again tells.
                return Tree::scan(&self.root).map(drop);
            }
        }
        let [path, ..] = event.paths.as_slice() else { return Ok(()) };
        match event.kind {
            // Both halves have come already.
            EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {}
            EventKind::Modify(ModifyKind::Name(RenameMode::From)) => match event.tracker() {
                Some(tracker) => drop(self.halves.insert(tracker, (path.clone(), Instant::now()))),
                None => self.delete(path, false, changes),
            },
            EventKind::Modify(ModifyKind::Name(_)) => {
                let from = event.tracker().and_then(|tracker| self.halves.remove(&tracker));
                self.arrive(from.map(|(from, _)| from), path, changes)?;
            }
            _ if !self.root.has(path) => {}
            EventKind::Create(kind) => {
                let directory = kind == CreateKind::Folder;
                changes.extend(self.tree.created(path, directory, self.root.recursive)?);
            }
            EventKind::Remove(kind) => self.delete(path, kind == RemoveKind::Folder, changes),
            EventKind::Modify(_) => changes.extend(self.tree.modified(path)),
            _ => {}
        }
        Ok(())
    }

    /// The second half of a move.
    fn arrive(&mut self, from: Option<PathBuf>, to: &Path, changes: &mut Vec<Change>) -> Result<()> {
        let from = from.filter(|from| self.root.has(from));
        match (from, self.root.has(to)) {
            (Some(from), true) => changes.extend(self.tree.moved(&from, to)),
            (Some(from), false) => self.delete(&from, false, changes),
            (None, true) => {
                // A file that is replaced by another is one that has changed.
                let replaced = self.tree.deleted(to, false).len() > 1;
                let mut created = self.tree.created(to, replaced, self.root.recursive)?;
                if self.root.single {
                    created.iter_mut().for_each(|change| change.what = What::Modified);
                }
                changes.extend(created);
            }
            (None, false) => {}
        }
        Ok(())
    }

    fn delete(&mut self, path: &Path, directory: bool, changes: &mut Vec<Change>) {
        if self.root.has(path) {
            changes.extend(self.tree.deleted(path, directory));
        }
    }

    /// What was moved away and came to no place that is watched is gone.
    fn end_halves(&mut self, changes: &mut Vec<Change>) {
        let over: Vec<PathBuf> =
            self.halves.extract_if(|_, (_, came)| came.elapsed() >= HALF).map(|(_, (path, _))| path).collect();
        over.iter().for_each(|path| self.delete(path, false, changes));
    }
}

/// Changes without those of contents that are followed by another of the same file.
fn together(changes: Vec<Change>) -> Vec<Change> {
    let mut modified: HashSet<PathBuf> = HashSet::new();
    let mut kept = Vec::with_capacity(changes.len());
    for change in changes.into_iter().rev() {
        match &change.what {
            What::Modified => {
                if !modified.insert(change.path.clone()) {
                    continue;
                }
            }
            _ => drop(modified.remove(&change.path)),
        }
        kept.push(change);
    }
    kept.reverse();
    kept
}

fn falls_back(node: &str, why: &str) {
    tracing::warn!(
        node,
        why,
        "The kernel does not tell of changes here: the files are looked at again and again (`poll_every`)."
    );
}
