//! A pipeline's directory from its copies elsewhere.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::super::fence::token;
use super::super::import::{ImportReport, Staged, stage};
use super::super::keys::from_json;
use super::super::manifest::Manifest;
use super::remote::Remote;
use super::{NEWEST, Newest, Owner, segment, take_over};

/// Brings the newest checkpoint at a place to the pipeline directory `directory` (`.tidegate/NAME`), which must not hold
/// anything yet. A new incarnation begins. Without `outputs` the sinks know nothing of what they have written before.
/// With `take` the place becomes this directory's: whoever wrote there before can do so no longer.
///
/// # Errors
/// When there is no copy, it is damaged, the directory holds something or is in use, or the place or the disk fails;
/// then the directory is left as it is.
pub fn restore(directory: &Path, remote: &dyn Remote, outputs: bool, take: bool) -> Result<ImportReport> {
    let none = || Error::user(format!("there is no checkpoint at {}", remote.place()));
    let newest: Newest = from_json(NEWEST, &remote.read(NEWEST)?.ok_or_else(none)?)?;
    let fetch = |hash: &ContentHash, into: &mut dyn Write| match remote.fetch(&segment(hash)?, into)? {
        true => Ok(()),
        false => Err(Error::external(format!("the segment {hash} is missing at {}", remote.place())).never_retry()),
    };
    let mut bytes = Vec::new();
    fetch(&newest.manifest, &mut bytes)?;
    if ContentHash::of(&bytes) != newest.manifest {
        let message = format!("the manifest at {} does not have the hash that it is named by", remote.place());
        return Err(Error::external(message).never_retry());
    }
    let manifest = Manifest::from_bytes(&bytes)?;
    let pipeline = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let owner = take.then(|| Owner { pipeline, token: token() });
    let staged = Staged { manifest, outputs, copies: owner.as_ref().map(|owner| owner.token.clone()) };
    let taken = || owner.as_ref().map_or(Ok(()), |owner| take_over(remote, owner));
    stage(directory, staged, fetch, taken)
}
