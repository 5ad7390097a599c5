//! Where the machine's files lie: `/`, or the root of a mounted image or of a test.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use tidegate_pipeline::error::{Error, Result};

/// How many symbolic links one path may lead through, as in the kernel.
const LINKS_AT_MOST: usize = 40;

/// Why a table could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is not there, or not for this user.
    Skipped(String),
    /// It should have been readable.
    Failed(String),
}

impl Unread {
    /// What an error of the file system at `path` means for the table that needs it.
    pub(super) fn at(path: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                Self::Skipped(format!("there is no {path} on this machine"))
            }
            io::ErrorKind::PermissionDenied => Self::Skipped(format!("{path} is not readable by this user")),
            _ => Self::Failed(format!("{path} could not be read: {error}")),
        }
    }
}

/// The directory that stands for `/`. Paths given to it are absolute paths of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRoot {
    root: PathBuf,
}

impl HostRoot {
    /// The machine whose files lie under `root`.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Whether there is such a directory.
    pub(super) fn verify(&self) -> Result<()> {
        if self.root.is_dir() {
            return Ok(());
        }
        Err(Error::user(format!("`root` of `host`, {}, is not a directory", self.root.display()))
            .with_remedy("name the directory under which the machine's files lie, or leave `root` out"))
    }

    /// Where `path` lies, symbolic links in it followed inside this root; the last part too when `last`.
    fn locate(&self, path: &str, last: bool) -> PathBuf {
        if self.root == Path::new("/") {
            return PathBuf::from(path);
        }
        let mut pending = parts(Path::new(path));
        let mut inside = PathBuf::new();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            if part == ".." {
                inside.pop();
                continue;
            }
            let next = inside.join(&part);
            let follow = links < LINKS_AT_MOST && (last || !pending.is_empty());
            match follow.then(|| std::fs::read_link(self.root.join(&next))) {
                Some(Ok(target)) => {
                    links += 1;
                    if target.is_absolute() {
                        inside = PathBuf::new();
                    }
                    parts(&target).into_iter().rev().for_each(|part| pending.push_front(part));
                }
                _ => inside = next,
            }
        }
        self.root.join(inside)
    }

    /// The text of a file; what is not UTF-8 in it becomes U+FFFD.
    pub(super) fn text(&self, path: &str) -> Result<String, Unread> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a file, or nothing where there is none or this user may not read it.
    pub(super) fn text_if_readable(&self, path: &str) -> Option<String> {
        self.text(path).ok()
    }

    /// The first line of a file without the white space around it, unless it is empty or unreadable.
    pub(super) fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path).ok()?;
        let line = text.trim_matches('\0').lines().next()?.trim();
        (!line.is_empty()).then(|| line.to_owned())
    }

    /// The bytes of a file.
    pub(super) fn bytes(&self, path: &str) -> Result<Vec<u8>, Unread> {
        std::fs::read(self.locate(path, true)).map_err(|error| Unread::at(path, &error))
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, directory: &str) -> Result<Vec<String>, Unread> {
        let entries = std::fs::read_dir(self.locate(directory, true)).map_err(|error| Unread::at(directory, &error))?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }

    /// The names in a directory, sorted; none where there is no such directory or this user may not read it.
    pub(super) fn names_if_readable(&self, directory: &str) -> Vec<String> {
        self.names(directory).unwrap_or_default()
    }

    /// What the symbolic link at `path` says, unresolved.
    pub(super) fn link(&self, path: &str) -> io::Result<String> {
        std::fs::read_link(self.locate(path, false)).map(|target| target.to_string_lossy().into_owned())
    }

    /// What lies at `path`, a symbolic link itself and not its target.
    pub(super) fn metadata_of_link(&self, path: &str) -> io::Result<std::fs::Metadata> {
        std::fs::symlink_metadata(self.locate(path, false))
    }

    /// What lies at `path` once symbolic links are followed.
    pub(super) fn metadata(&self, path: &str) -> io::Result<std::fs::Metadata> {
        std::fs::symlink_metadata(self.locate(path, true))
            .and_then(|found| if found.is_symlink() { std::fs::metadata(self.locate(path, true)) } else { Ok(found) })
    }

    /// Whether there is anything at `path` that this user can see.
    pub(super) fn has(&self, path: &str) -> bool {
        self.metadata(path).is_ok()
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_absolute_link_of_an_image_stays_inside_the_image() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("data/etc")).unwrap();
        std::fs::write(directory.path().join("data/etc/name"), "inside\n").unwrap();
        symlink("/data/etc", directory.path().join("etc")).unwrap();
        symlink("../../../../data/etc/name", directory.path().join("data/up")).unwrap();
        let root = HostRoot::new(directory.path().to_owned());
        assert_eq!(root.line("/etc/name").as_deref(), Some("inside"));
        assert_eq!(root.line("/data/up").as_deref(), Some("inside"));
        assert_eq!(root.link("/etc").unwrap(), "/data/etc");
    }

    #[test]
    fn a_loop_of_links_ends() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/b", directory.path().join("a")).unwrap();
        symlink("/a", directory.path().join("b")).unwrap();
        let root = HostRoot::new(directory.path().to_owned());
        assert!(!root.has("/a"));
        assert!(root.text("/a").is_err());
    }

    #[test]
    fn what_may_not_be_read_is_skipped_and_what_breaks_fails() {
        let skipped = |kind| matches!(Unread::at("/x", &io::Error::from(kind)), Unread::Skipped(_));
        assert!(skipped(io::ErrorKind::PermissionDenied));
        assert!(skipped(io::ErrorKind::NotFound));
        assert!(!skipped(io::ErrorKind::IsADirectory));
    }
}
