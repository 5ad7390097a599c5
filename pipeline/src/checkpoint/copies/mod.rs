//! Copies of checkpoints elsewhere: made in the background after each commit, never waited for by one.
//!
//! ```text
//! owner.json          who may write here: a token, created once, replaced only by who takes over
//! newest.json         the newest checkpoint that is whole here
//! segments/HASH.segment
//! ```
//! A copy is whole before `newest.json` names it. What no kept checkpoint needs is removed after that.

mod copier;
mod location;
mod remote;
mod restore;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::step::{ContentHash, Incarnation, StepNumber};

use super::keys::{from_json, to_json};
use super::manifest::CheckpointNumber;

pub use copier::CopyStatus;
pub(super) use copier::{Copier, Job};
pub use location::{BucketLocation, CopyLocation, OpenRemote};
pub use remote::{FolderRemote, Remote};
pub use restore::restore;

/// Names the owner of a place.
const OWNER: &str = "owner.json";
/// Names the newest checkpoint there.
const NEWEST: &str = "newest.json";
/// Where segments are.
const SEGMENTS: &str = "segments";

/// Who may write copies to a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    pipeline: String,
    /// Known to the one directory that may write.
    token: String,
}

/// The newest checkpoint at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    number: CheckpointNumber,
    step: StepNumber,
    incarnation: Incarnation,
    manifest: ContentHash,
}

/// The place is somebody else's, or becomes the one of `owner`: by a file that is created once.
///
/// # Errors
/// When another pipeline directory writes there, or the place cannot be reached.
fn hold(remote: &dyn Remote, owner: &Owner) -> Result<()> {
    let present = match remote.read(OWNER)? {
        Some(present) => present,
        None if remote.create(OWNER, &to_json(owner)?)? => return Ok(()),
        None => remote.read(OWNER)?.unwrap_or_default(),
    };
    let found: Owner = from_json(OWNER, &present)?;
    if found == *owner {
        return Ok(());
    }
    Err(Error::user(format!(
        "another directory of pipeline `{}` writes its copies to {}, or has taken them over",
        found.pipeline,
        remote.place()
    ))
    .with_remedy(
        "give each its own place in `copy_to`; a pipeline that was moved takes them over with `run --restore-from`",
    ))
}

/// Makes the place the one of `owner`, whoever had it before: who, as the file said it.
fn take_over(remote: &dyn Remote, owner: &Owner) -> Result<Option<Vec<u8>>> {
    let before = remote.read(OWNER)?;
    let taken = match &before {
        Some(before) => remote.exchange(OWNER, before, &to_json(owner)?)?,
        None => remote.create(OWNER, &to_json(owner)?)?,
    };
    match taken {
        true => Ok(before),
        false => Err(Error::user(format!("somebody else is taking {} over at the same time", remote.place()))),
    }
}

/// Makes the place again the one of who had it before `owner` took it over.
fn give_back(remote: &dyn Remote, owner: &Owner, before: Option<&[u8]>) -> Result<()> {
    match before {
        Some(before) => remote.exchange(OWNER, &to_json(owner)?, before).map(drop),
        None => remote.remove(OWNER),
    }
}

/// The name of a segment there.
fn segment(hash: &ContentHash) -> Result<String> {
    Ok(format!("{SEGMENTS}/{}", super::segments::name(hash)?))
}
