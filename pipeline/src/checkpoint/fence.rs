//! The fence: whoever takes ownership raises the epoch; from then on nobody of an earlier one may write.
//!
//! The lock of the file `owner` ([`super::OwnerLock`]) keeps two processes apart that see the same lock. The
//! fence keeps apart those that do not: a directory that was removed and made anew, a file system without
//! locks. It stands in the store, where a commit compares it, and in the file `epoch`, which costs one read.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::folder::Folder;
use super::keys::{from_json, to_json};

/// The file that names the owner's epoch.
pub(super) const NAME: &str = "epoch";

/// How often the ownership of a directory was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OwnerEpoch(pub u64);

impl fmt::Display for OwnerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    epoch: OwnerEpoch,
    /// Tells owners apart that have the same epoch in directories of the same name.
    token: String,
    process: u32,
}

/// The right to write to a pipeline's directory, as long as nobody has taken it over.
#[derive(Debug, Clone)]
pub struct Fence {
    folder: Arc<dyn Folder>,
    owner: Arc<Owner>,
}

impl Fence {
    /// The epoch of the next owner, above what the store knows and what the file says.
    pub(super) fn next(folder: &dyn Folder, known: Option<OwnerEpoch>) -> OwnerEpoch {
        // A file that cannot be read says nothing: the store knows the epoch, too.
        let before = read(folder).ok().flatten().map(|owner| owner.epoch);
        OwnerEpoch(known.max(before).unwrap_or_default().0.saturating_add(1))
    }

    /// Takes the ownership with an epoch that the store knows already, durably.
    ///
    /// # Errors
    /// When somebody else has taken it meanwhile, or the disk fails.
    pub(super) fn raise(folder: &Arc<dyn Folder>, epoch: OwnerEpoch) -> Result<Self> {
        if Self::next(folder.as_ref(), Some(OwnerEpoch(epoch.0.saturating_sub(1)))) != epoch {
            return Err(Error::user("another process is taking this pipeline's directory over"));
        }
        let owner = Owner { epoch, token: token(), process: std::process::id() };
        folder.replace(NAME, &to_json(&owner)?, "epoch")?;
        folder.synchronise()?;
        Ok(Self { folder: Arc::clone(folder), owner: Arc::new(owner) })
    }

    /// The epoch of this owner.
    pub fn epoch(&self) -> OwnerEpoch {
        self.owner.epoch
    }

    /// Whether this owner is still the owner. One short read of a file.
    ///
    /// # Errors
    /// When somebody else has taken the directory over, or the file that says so cannot be read.
    pub fn check(&self) -> Result<()> {
        let now = read(self.folder.as_ref())?;
        if now.as_ref() == Some(&*self.owner) {
            return Ok(());
        }
        let place = self.folder.place(NAME);
        let message = match now {
            Some(now) => format!(
                "process {} has taken this pipeline's directory over ({} says epoch {}, this process has epoch {})",
                now.process,
                place.display(),
                now.epoch,
                self.owner.epoch
            ),
            None => format!("this pipeline's directory was taken away: {} is gone", place.display()),
        };
        Err(Error::user(message)
            .never_retry()
            .with_remedy("let one process run a pipeline; this one writes nothing more"))
    }
}

/// Whether the file that names the owner can be read, if it is there.
pub(super) fn examine(folder: &dyn Folder) -> Result<()> {
    read(folder).map(drop)
}

fn read(folder: &dyn Folder) -> Result<Option<Owner>> {
    folder.read(NAME)?.map(|json| from_json(NAME, &json)).transpose()
}

/// A text that no other call, of this process or another, gives.
pub(super) fn token() -> String {
    // The standard library seeds its hashers from the system's randomness.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}{:016x}", RandomState::new().build_hasher().finish(), hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::folder::DiskFolder;

    fn raised(folder: &Arc<dyn Folder>, known: Option<OwnerEpoch>) -> Fence {
        Fence::raise(folder, Fence::next(folder.as_ref(), known)).unwrap()
    }

    #[test]
    fn a_new_owner_raises_the_epoch_and_fences_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let folder: Arc<dyn Folder> = Arc::new(DiskFolder::create(directory.path()).unwrap());
        let first = raised(&folder, None);
        first.check().unwrap();
        let second = raised(&folder, Some(OwnerEpoch(7)));
        assert_eq!(second.epoch(), OwnerEpoch(8));
        assert!(first.check().unwrap_err().message.contains("taken this pipeline's directory over"));
        second.check().unwrap();
        assert!(Fence::raise(&folder, OwnerEpoch(8)).is_err(), "an epoch is taken once");
        second.check().unwrap();
    }

    #[test]
    fn an_owner_whose_directory_was_made_anew_is_fenced_although_the_epoch_is_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let folder: Arc<dyn Folder> = Arc::new(DiskFolder::create(directory.path()).unwrap());
        let first = raised(&folder, None);
        std::fs::remove_file(directory.path().join(NAME)).unwrap();
        assert!(first.check().unwrap_err().message.contains("is gone"));
        assert_eq!(raised(&folder, None).epoch(), first.epoch());
        assert!(first.check().is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_of_the_file_fences_and_the_next_owner_mends_it() {
        let directory = tempfile::tempdir().unwrap();
        let folder: Arc<dyn Folder> = Arc::new(DiskFolder::create(directory.path()).unwrap());
        let fence = raised(&folder, None);
        let path = directory.path().join(NAME);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut flipped = good.clone();
                flipped[at] ^= 1 << bit;
                std::fs::write(&path, flipped).unwrap();
                assert!(fence.check().is_err(), "flip of bit {bit} of byte {at}");
            }
            std::fs::write(&path, &good[..at]).unwrap();
            assert!(fence.check().is_err(), "truncation to {at}");
        }
        raised(&folder, Some(fence.epoch())).check().unwrap();
    }
}
