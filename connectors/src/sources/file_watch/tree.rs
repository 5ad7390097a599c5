//! What lies under a watched path, and what has changed since it was last looked at.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tidegate_pipeline::error::{Error, Result};

/// The most files and folders that are watched by one source.
const MAX_ENTRIES: usize = 1_000_000;

/// What has happened to a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    pub(crate) directory: bool,
    pub(crate) what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Created,
    Deleted,
    Modified,
    Moved(PathBuf),
}

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Whether folders inside of it belong to it.
    pub(crate) recursive: bool,
    /// Whether it is a single file.
    pub(crate) single: bool,
}

impl Root {
    /// What is at `path` now.
    ///
    /// # Errors
    /// When there is nothing, or it may not be looked at.
    pub(crate) fn at(path: PathBuf, recursive: bool) -> Result<Self> {
        let found = std::fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        Ok(Self { single: !found.is_dir(), path, recursive })
    }

    /// Whether a change at `path` is of interest.
    pub(crate) fn has(&self, path: &Path) -> bool {
        match (self.single, self.recursive) {
            (true, _) => path == self.path,
            (false, true) => path != self.path && path.starts_with(&self.path),
            (false, false) => path.parent() == Some(&self.path),
        }
    }

    /// The folder to be told about.
    pub(crate) fn folder(&self) -> &Path {
        match self.single {
            true => self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            false => &self.path,
        }
    }
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "create it, or correct `path`",
        io::ErrorKind::PermissionDenied => "let this user read it",
        _ => "look at the path",
    };
    Error::external(format!("`{}` cannot be watched: {error}", path.display())).with_remedy(remedy)
}

/// What is known of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    directory: bool,
    /// Device and inode: who keeps them has been moved.
    identity: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(found: &Metadata) -> Self {
        Self {
            directory: found.is_dir(),
            identity: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// Everything under a root.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<PathBuf, Seen>);

impl Tree {
    /// Looks at everything under `root`.
    ///
    /// # Errors
    /// When the root itself cannot be looked at, or holds too much.
    pub(crate) fn scan(root: &Root) -> Result<Self> {
        let mut tree = Self::default();
        match root.single {
            true => match std::fs::symlink_metadata(&root.path) {
                Ok(found) => drop(tree.0.insert(root.path.clone(), Seen::of(&found))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unreadable(&root.path, &error)),
            },
            false => {
                std::fs::read_dir(&root.path).map_err(|error| unreadable(&root.path, &error))?;
                tree.add_under(&root.path, root.recursive)?;
            }
        }
        Ok(tree)
    }

    /// Adds what lies under a folder and is not known; gives it back. What vanishes meanwhile is passed over.
    fn add_under(&mut self, folder: &Path, recursive: bool) -> Result<Vec<(PathBuf, bool)>> {
        let (mut added, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let Ok(found) = entry.metadata() else { continue };
                let (path, seen) = (entry.path(), Seen::of(&found));
                let directory = seen.directory;
                if directory && recursive {
                    folders.push(path.clone());
                }
                if !self.0.contains_key(&path) {
                    self.add(path.clone(), seen)?;
                    added.push((path, directory));
                }
            }
        }
        added.sort();
        Ok(added)
    }

    fn add(&mut self, path: PathBuf, seen: Seen) -> Result<()> {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&path) {
            let message = format!("more than {MAX_ENTRIES} files and folders are to be watched");
            return Err(Error::external(message).with_remedy("watch a smaller part of the tree").never_retry());
        }
        self.0.insert(path, seen);
        Ok(())
    }

    /// What has happened between `self` and `now`.
    pub(crate) fn changes(&self, now: &Self) -> Vec<Change> {
        let mut gone: HashMap<(u64, u64), Vec<(&PathBuf, &Seen)>> = HashMap::new();
        for (path, seen) in self.0.iter().filter(|(path, _)| !now.0.contains_key(*path)) {
            gone.entry(seen.identity).or_default().push((path, seen));
        }
        let mut changes = Vec::new();
        let change =
            |path: &Path, seen: &Seen, what: What| Change { path: path.to_owned(), directory: seen.directory, what };
        for (path, seen) in &now.0 {
            match self.0.get(path) {
                Some(before) if before == seen || before.directory && seen.directory => {}
                Some(_) => changes.push(change(path, seen, What::Modified)),
                None => {
                    // Numbers of files are used again; a file that was moved has kept its length and time too.
                    let from = gone.get_mut(&seen.identity).and_then(|same| {
                        let at = same
                            .iter()
                            .position(|(_, before)| *before == seen || before.directory && seen.directory)?;
                        Some(same.remove(at).0)
                    });
                    changes.push(match from {
                        Some(from) => change(from, seen, What::Moved(path.clone())),
                        None => change(path, seen, What::Created),
                    });
                }
            }
        }
        let deleted = gone.into_values().flatten().map(|(path, seen)| change(path, seen, What::Deleted));
        let mut all: Vec<Change> = deleted.collect();
        all.sort_by(|a, b| b.path.cmp(&a.path));
        all.extend(changes);
        all
    }

    /// Something is at `path` that was not: what is new by that, with what lies under it.
    pub(crate) fn created(&mut self, path: &Path, directory: bool, recursive: bool) -> Result<Vec<Change>> {
        let created = |path: PathBuf, directory: bool| Change { path, directory, what: What::Created };
        let Ok(found) = std::fs::symlink_metadata(path) else {
            // It has gone again; the news of that is on its way.
            return Ok(vec![created(path.to_owned(), directory)]);
        };
        let seen = Seen::of(&found);
        let mut changes = Vec::new();
        if self.0.get(path).is_none_or(|known| known.identity != seen.identity) {
            changes.push(created(path.to_owned(), seen.directory));
        }
        let directory = seen.directory;
        self.add(path.to_owned(), seen)?;
        if directory && recursive {
            changes.extend(self.add_under(path, true)?.into_iter().map(|(path, directory)| created(path, directory)));
        }
        Ok(changes)
    }

    /// The contents at `path` are others.
    pub(crate) fn modified(&mut self, path: &Path) -> Option<Change> {
        let seen = Seen::of(&std::fs::symlink_metadata(path).ok()?);
        if seen.directory {
            return None;
        }
        self.0.insert(path.to_owned(), seen);
        Some(Change { path: path.to_owned(), directory: false, what: What::Modified })
    }

    /// What was at `path` is not any more.
    pub(crate) fn deleted(&mut self, path: &Path, directory: bool) -> Vec<Change> {
        let change = |path: PathBuf, directory: bool| Change { path, directory, what: What::Deleted };
        let mut under: Vec<Change> =
            self.take_under(path).into_iter().map(|(path, seen)| change(path, seen.directory)).rev().collect();
        let known = self.0.remove(path).map(|seen| seen.directory);
        under.push(change(path.to_owned(), known.unwrap_or(directory)));
        under
    }

    /// What was at `from` is at `to` now, with what lies under it.
    pub(crate) fn moved(&mut self, from: &Path, to: &Path) -> Vec<Change> {
        let mut moved = Vec::new();
        let own = self.0.remove(from).or_else(|| std::fs::symlink_metadata(to).ok().map(|found| Seen::of(&found)));
        let under = self.take_under(from);
        // What was overwritten by that is gone without a word of its own.
        let _ = self.take_under(to);
        for (path, seen) in own.map(|seen| (from.to_owned(), seen)).into_iter().chain(under) {
            let Ok(rest) = path.strip_prefix(from) else { continue };
            let now = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            moved.push(Change { path, directory: seen.directory, what: What::Moved(now.clone()) });
            self.0.insert(now, seen);
        }
        moved
    }

    fn take_under(&mut self, folder: &Path) -> Vec<(PathBuf, Seen)> {
        let range = self.0.range(folder.to_owned()..).skip_while(|(path, _)| *path == folder);
        let paths: Vec<PathBuf> =
            range.take_while(|(path, _)| path.starts_with(folder)).map(|(path, _)| path.clone()).collect();
        paths.into_iter().filter_map(|path| self.0.remove_entry(&path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shown(changes: &[Change], folder: &Path) -> Vec<String> {
        let name = |path: &Path| path.strip_prefix(folder).unwrap().display().to_string();
        let kind = |change: &Change| if change.directory { "/" } else { "" };
        changes
            .iter()
            .map(|change| match &change.what {
                What::Moved(to) => format!("moved {}{} {}", name(&change.path), kind(change), name(to)),
                what => format!("{what:?} {}{}", name(&change.path), kind(change)).to_lowercase(),
            })
            .collect()
    }

    #[test]
    fn two_looks_at_a_tree_tell_what_has_happened_between_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["same", "longer", "gone", "old"] {
            fs::write(at(name), name).unwrap();
        }
        fs::create_dir_all(at("d/e")).unwrap();
        fs::write(at("d/e/f"), "f").unwrap();
        let root = Root::at(folder.path().to_owned(), true).unwrap();
        let before = Tree::scan(&root).unwrap();
        fs::write(at("longer"), "longer than before").unwrap();
        fs::write(at("new"), "n").unwrap();
        fs::remove_file(at("gone")).unwrap();
        fs::rename(at("old"), at("renamed")).unwrap();
        fs::rename(at("d"), at("g")).unwrap();
        let changes = before.changes(&Tree::scan(&root).unwrap());
        let mut found = shown(&changes, folder.path());
        found.sort();
        let expected = [
            "deleted gone",
            "modified longer",
            "moved d/ g",
            "moved d/e/ g/e",
            "moved d/e/f g/e/f",
            "moved old renamed",
        ];
        let new = found.iter().position(|change| change == "created new").expect("the new file");
        found.remove(new);
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_is_watched_belongs_to_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("f"), "").unwrap();
        fs::write(at("d/g"), "").unwrap();
        let root = |path: &str, recursive| Root::at(at(path), recursive).unwrap();
        assert!(root("", true).has(&at("d/g")) && !root("", false).has(&at("d/g")) && root("", false).has(&at("f")));
        assert!(root("f", true).has(&at("f")) && !root("f", true).has(&at("d")));
        assert_eq!(Tree::scan(&root("", false)).unwrap().0.len(), 2);
        let error = Root::at(at("none"), true).unwrap_err();
        assert!(error.to_string().contains("cannot be watched") && error.to_string().contains("create it"), "{error}");
    }
}
