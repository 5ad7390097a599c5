//! The way in for readers that do not own the directory: file `head` → manifest → segments.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::folder::{DiskFolder, Folder};
use super::keys::to_json;
use super::manifest::{CheckpointNumber, CheckpointSummary, Manifest, NodeState};
use super::segment::{Section, Unreadable};
use super::segments::SegmentStore;

/// The file that names the newest checkpoint.
const NAME: &str = "head";
/// How often a reader begins again when what it was reading has been collected.
const ATTEMPTS: u32 = 20;
/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(10);

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The newest checkpoint.
    pub(super) number: CheckpointNumber,
    /// The segment that holds its manifest.
    pub(super) manifest: ContentHash,
    /// All checkpoints that are listed, oldest first: retention may have removed some since the newest was committed.
    pub(super) kept: Vec<CheckpointNumber>,
    /// CRC-32 of the others.
    check: u32,
}

impl Head {
    /// The head that names the newest of the checkpoints `listed`, oldest first.
    fn of(newest: &CheckpointSummary, listed: &[CheckpointSummary]) -> Result<Self> {
        let kept = listed.iter().map(|summary| summary.number).collect();
        let mut head = Self { number: newest.number, manifest: newest.manifest.clone(), kept, check: 0 };
        head.check = head.checksum()?;
        Ok(head)
    }

    fn checksum(&self) -> Result<u32> {
        Ok(crc32fast::hash(&to_json(&(self.number, &self.manifest, &self.kept))?))
    }
}

/// Makes `head` name the newest of the checkpoints `listed`, oldest first. Not synchronised as a name: after a power
/// failure an older one may be back, which the next owner sets right.
pub(super) fn write(folder: &dyn Folder, newest: &CheckpointSummary, listed: &[CheckpointSummary]) -> Result<()> {
    let head = Head::of(newest, listed)?;
    if read(folder).is_ok_and(|present| present.as_ref() == Some(&head)) {
        return Ok(());
    }
    folder.replace(NAME, &to_json(&head)?, "head")
}

/// What the file says; `None` where there is none.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(folder: &dyn Folder) -> Result<Option<Head>> {
    let unreadable = |why: &str| {
        let path = folder.place(NAME);
        Error::external(format!("the file {} is unreadable: {why}", path.display())).never_retry()
    };
    let Some(json) = folder.read(NAME)? else { return Ok(None) };
    let head: Head = serde_json::from_slice(&json).map_err(|error| unreadable(&error.to_string()))?;
    match head.checksum()? == head.check {
        true => Ok(Some(head)),
        false => Err(unreadable("its checksum is wrong")),
    }
}

/// The newest checkpoint of the pipeline directory `directory` (`.tidegate/NAME`), for readers that do not own
/// it; `None` where there is none. Its `retained` lists the others.
///
/// # Errors
/// When it is damaged, or a newer program is needed.
pub fn read_head(directory: &Path) -> Result<Option<Manifest>> {
    Ok(newest(directory)?.map(|(manifest, _)| manifest))
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
    read(&DiskFolder::of(directory)).is_ok_and(|head| head.is_none_or(|head| head.number != from))
}

/// The newest checkpoint, and what `head` says of it.
fn newest(directory: &Path) -> Result<Option<(Manifest, Head)>> {
    let segments = SegmentStore::of(directory);
    let mut missing = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        let Some(head) = read(&DiskFolder::of(directory))? else {
            return Ok(None);
        };
        match manifest(&segments, &head.manifest) {
            Ok(manifest) if manifest.number == head.number => return Ok(Some((manifest, head))),
            Ok(manifest) => {
                let (said, found) = (head.number, manifest.number);
                let message = format!("`head` names checkpoint {said} in a segment that holds checkpoint {found}");
                return Err(Error::external(message).never_retry());
            }
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
    let Some((newest, head)) = newest(directory)? else {
        return Ok(Vec::new());
    };
    let segments = SegmentStore::of(directory);
    let is_there =
        |summary: &&CheckpointSummary| head.kept.contains(&summary.number) && segments.contains(&summary.manifest);
    let others = newest.retained.iter().rev().filter(is_there).cloned();
    Ok(std::iter::once(newest.summary(head.manifest.clone())).chain(others).collect())
}

/// The manifest in segment `hash`, for readers that do not own the directory: one of [`Manifest::retained`].
///
/// # Errors
/// When it has been collected, is damaged, or a newer program is needed.
pub fn read_manifest(directory: &Path, hash: &ContentHash) -> Result<Manifest> {
    Ok(manifest(&SegmentStore::of(directory), hash)?)
}

/// The manifest in a segment, compared with the hash that names it.
pub(super) fn manifest(segments: &SegmentStore, hash: &ContentHash) -> Result<Manifest, Unreadable> {
    segments.verified(hash)?;
    Manifest::from_sections(&segments.read_all(hash)?).map_err(Unreadable::Other)
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
