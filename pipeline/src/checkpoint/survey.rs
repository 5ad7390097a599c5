//! Everything that the segments of a directory are: every byte read and compared with its name.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::manifest::{CheckpointNumber, Manifest};
use super::segment::Unreadable;
use super::segments::SegmentStore;

/// What the segments are.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Those that are whole, with their lengths in bytes.
    pub(super) whole: BTreeMap<ContentHash, u64>,
    /// Those that are there and are not what they were.
    pub(super) damaged: BTreeMap<ContentHash, Error>,
    /// Every manifest among those that are whole.
    pub(super) manifests: Vec<(ContentHash, Manifest)>,
}

impl Survey {
    /// Reads all segments.
    ///
    /// # Errors
    /// When the disk fails, or a manifest is of a later format.
    pub(super) fn of(segments: &SegmentStore) -> Result<Self> {
        let mut survey = Self::default();
        for hash in segments.list()? {
            match segments.verified(&hash) {
                Ok(length) => {
                    if let Some(manifest) = Manifest::in_segment(segments, &hash)? {
                        survey.manifests.push((hash.clone(), manifest));
                    }
                    survey.whole.insert(hash, length);
                }
                Err(Unreadable::Damaged(error)) => {
                    survey.damaged.insert(hash, error);
                }
                // The owner may have removed it meanwhile.
                Err(Unreadable::Missing(_)) => {}
                Err(Unreadable::Other(error)) => return Err(error),
            }
        }
        Ok(survey)
    }

    /// What a manifest names that cannot be had, each with the reason.
    pub(super) fn lacks(&self, manifest: &Manifest) -> Vec<(ContentHash, String)> {
        let names = manifest.segments().into_iter().filter(|hash| !self.whole.contains_key(hash));
        names.map(|hash| (hash.clone(), self.why(&hash))).collect()
    }

    /// Why a segment cannot be had.
    pub(super) fn why(&self, hash: &ContentHash) -> String {
        self.damaged.get(hash).map_or_else(|| "it is missing".to_owned(), |error| error.message.clone())
    }

    /// Whether a segment is there, whole or not.
    pub(super) fn has(&self, hash: &ContentHash) -> bool {
        self.whole.contains_key(hash) || self.damaged.contains_key(hash)
    }

    /// The manifest in a segment.
    pub(super) fn manifest(&self, hash: &ContentHash) -> Option<&Manifest> {
        self.manifests.iter().find(|(of, _)| of == hash).map(|(_, manifest)| manifest)
    }

    /// The numbers of all manifests.
    pub(super) fn numbers(&self) -> BTreeSet<CheckpointNumber> {
        self.manifests.iter().map(|(_, manifest)| manifest.number).collect()
    }
}
