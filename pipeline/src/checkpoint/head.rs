//! The way in for readers that do not own the directory: file `head` → manifest → segments.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::{TEMPORARY, failed, replace_file};
use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::manifest::{CheckpointNumber, CheckpointSummary, Manifest, NodeState};
use super::segment::{Section, SegmentStore, Unreadable};
use super::to_json;

/// The file that names the newest checkpoint.
const NAME: &str = "head";
/// How often a reader begins again when what it was reading has been collected.
const ATTEMPTS: u32 = 20;
/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    number: CheckpointNumber,
    manifest: ContentHash,
}

/// Makes `head` name a checkpoint. Not synchronised as a name: after a power failure an older one may be
/// back, which the next owner sets right.
pub(super) fn write(directory: &Path, newest: &CheckpointSummary) -> Result<()> {
    let head = Head { number: newest.number, manifest: newest.manifest.clone() };
    if read(directory).is_ok_and(|present| present.as_ref() == Some(&head)) {
        return Ok(());
    }
    let path = directory.join(NAME);
    replace_file(&path, &path.with_extension(TEMPORARY), &to_json(&head)?, "head")
}

fn read(directory: &Path) -> Result<Option<Head>> {
    let path = directory.join(NAME);
    let json = match fs::read(&path) {
        Ok(json) => json,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, &error)),
    };
    let unreadable =
        |error| Error::external(format!("the file {} is unreadable: {error}", path.display())).never_retry();
    serde_json::from_slice(&json).map(Some).map_err(unreadable)
}

/// The newest checkpoint of the pipeline directory `directory` (`.tidegate/NAME`), for readers that do not own
/// it; `None` where there is none. Its `retained` lists the others.
///
/// # Errors
/// When it is damaged, or a newer program is needed.
pub fn read_head(directory: &Path) -> Result<Option<Manifest>> {
    Ok(read_head_with_hash(directory)?.map(|(manifest, _)| manifest))
}

/// What `read` makes of the newest checkpoint, for readers that do not own the directory. When what it names is
/// collected while it is read, `read` is called again with the checkpoint that is the newest then.
///
/// # Errors
/// Those of [`read_head`] and of `read`.
pub fn at_head<T>(directory: &Path, mut read: impl FnMut(&Manifest) -> Result<T>) -> Result<Option<T>> {
    let mut attempt = 0;
    loop {
        let Some(manifest) = read_head(directory)? else {
            return Ok(None);
        };
        attempt += 1;
        match read(&manifest) {
            Ok(made) => return Ok(Some(made)),
            Err(_) if attempt < ATTEMPTS && has_moved(directory, manifest.number) => {}
            Err(error) => return Err(error),
        }
    }
}

fn has_moved(directory: &Path, from: CheckpointNumber) -> bool {
    read(directory).is_ok_and(|head| head.is_none_or(|head| head.number != from))
}

/// The newest checkpoint and the segment that holds its manifest.
pub(super) fn read_head_with_hash(directory: &Path) -> Result<Option<(Manifest, ContentHash)>> {
    let segments = SegmentStore::of(directory);
    let mut missing = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let Some(head) = read(directory)? else {
            return Ok(None);
        };
        match segments.read_all(&head.manifest) {
            Ok(sections) => return Ok(Some((Manifest::from_sections(&sections)?, head.manifest))),
            Err(Unreadable::Missing(error)) => missing = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(missing.unwrap_or_else(|| Error::internal("the newest checkpoint was never looked for")))
}

/// Every checkpoint of the pipeline directory, newest first, for readers that do not own it.
///
/// # Errors
/// Those of [`read_head`].
pub fn list_checkpoints(directory: &Path) -> Result<Vec<CheckpointSummary>> {
    let Some((newest, hash)) = read_head_with_hash(directory)? else {
        return Ok(Vec::new());
    };
    let segments = SegmentStore::of(directory);
    // What retention has removed since the newest was committed is not there any more.
    let there = newest.retained.iter().rev().filter(|summary| segments.contains(&summary.manifest)).cloned();
    Ok(std::iter::once(newest.summary(hash)).chain(there).collect())
}

/// The manifest in segment `hash`, for readers that do not own the directory: one of [`Manifest::retained`].
///
/// # Errors
/// When it has been collected, is damaged, or a newer program is needed.
pub fn read_manifest(directory: &Path, hash: &ContentHash) -> Result<Manifest> {
    Manifest::from_sections(&SegmentStore::of(directory).read(hash)?)
}

/// All sections of a segment, for readers that do not own the directory.
///
/// # Errors
/// When it has been collected, is damaged, or a newer program is needed.
pub fn read_segment(directory: &Path, hash: &ContentHash) -> Result<Vec<Section>> {
    SegmentStore::of(directory).read(hash)
}

/// The sections of one node, from the base through all changes, for readers that do not own the directory.
/// When something has been collected meanwhile, begin again at [`read_head`].
///
/// # Errors
/// When a segment is missing or damaged.
pub fn read_node_state(directory: &Path, state: &NodeState, node: &str) -> Result<Vec<Section>> {
    node_state(&SegmentStore::of(directory), state, node)
}

pub(super) fn node_state(segments: &SegmentStore, state: &NodeState, node: &str) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for hash in &state.segments {
        sections.extend(segments.read_node(hash, node)?);
    }
    Ok(sections)
}
