//! Waits for a change of a followed file.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::input::Input;

/// Wakes up when the folder of a file changes; where that cannot be watched, waiting takes its whole time.
pub(crate) struct Watch {
    changes: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    pub(crate) fn new(input: &Input) -> Self {
        let (wake, changes) = mpsc::sync_channel(1);
        let watcher = match input {
            Input::File { path, .. } => watch(path, wake),
            Input::Memory(_) => None,
        };
        Self { changes, watcher }
    }

    /// Returns after `at_most`, or as soon as something changes.
    pub(crate) fn wait(&self, at_most: Duration) {
        if self.watcher.is_none() {
            std::thread::sleep(at_most);
            return;
        }
        // A wake-up that is too early costs one look at the file.
        let _ = self.changes.recv_timeout(at_most);
    }
}

fn watch(path: &Path, wake: mpsc::SyncSender<()>) -> Option<RecommendedWatcher> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let changed = move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too: answering it would never end.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = wake.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(changed).ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}
