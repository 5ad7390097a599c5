//! A pipeline's directory from its copies elsewhere.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::super::fence::token;
use super::super::import::{ImportReport, Staged, stage, vacate};
use super::super::keys::from_json;
use super::super::manifest::Manifest;
use super::remote::Remote;
use super::{NEWEST, Newest, Owner, give_back, segment, take_over};

/// How often a checkpoint is tried that its writer has replaced by a newer one meanwhile.
const ATTEMPTS: u32 = 5;

/// Brings the newest checkpoint at a place to the pipeline directory `directory` (`.tidegate/NAME`), which must not hold
/// anything yet. A new incarnation begins. Without `outputs` the sinks know nothing of what they have written before.
/// With `take` the place becomes this directory's: whoever wrote there before can do so no longer.
///
/// # Errors
/// When there is no copy, it is damaged, the directory holds something or is in use, or the place or the disk fails;
/// then the directory is left as it is, and the place belongs to whom it did.
pub fn restore(directory: &Path, remote: &dyn Remote, outputs: bool, take: bool) -> Result<ImportReport> {
    drop(vacate(directory)?);
    newest(remote)?;
    if !take {
        return restore_newest(directory, remote, outputs, None);
    }
    let pipeline = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let owner = Owner { pipeline, token: token() };
    // First of all: who writes there removes what it needs no longer, until it is told that the place is not its own.
    let before = take_over(remote, &owner)?;
    restore_newest(directory, remote, outputs, Some(&owner)).inspect_err(|_| {
        if let Err(error) = give_back(remote, &owner, before.as_deref()) {
            tracing::warn!(place = %remote.place(), %error, "The place could not be given back to whom it belonged.");
        }
    })
}

/// What names the newest checkpoint there, as it stands in the file.
fn newest(remote: &dyn Remote) -> Result<Vec<u8>> {
    let none = || Error::user(format!("there is no checkpoint at {}", remote.place()));
    remote.read(NEWEST)?.ok_or_else(none)
}

fn restore_newest(directory: &Path, remote: &dyn Remote, outputs: bool, owner: Option<&Owner>) -> Result<ImportReport> {
    let mut attempt = 1;
    loop {
        let named = newest(remote)?;
        let token = owner.map(|owner| owner.token.clone());
        let error = match restore_named(directory, remote, &from_json(NEWEST, &named)?, outputs, token) {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        // Its writer goes on, and may have removed what belonged to an older checkpoint.
        if attempt == ATTEMPTS || newest(remote)? == named {
            return Err(error);
        }
        attempt += 1;
    }
}

fn restore_named(
    directory: &Path,
    remote: &dyn Remote,
    newest: &Newest,
    outputs: bool,
    copies: Option<String>,
) -> Result<ImportReport> {
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
    stage(directory, Staged { manifest, outputs, copies }, fetch)
}
