//! The keys of the store and how their values are written.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::step::ContentHash;

use super::manifest::CheckpointNumber;

/// Keys of checkpoints: `checkpoint/` and the number in 20 digits.
pub(super) const CHECKPOINT: &str = "checkpoint/";
/// Keys of checkpoints that turned out to be damaged.
pub(super) const DAMAGED: &str = "damaged/";
/// Keys of segments: the hash; the value is the first checkpoint that was committed after they were written.
pub(super) const SEGMENT: &str = "segment/";
/// Keys of segments that the journal names: the hash; the value is the last step that may name it.
pub(super) const NAMED: &str = "named/";
/// Keys of small named values.
pub(super) const VALUE: &str = "value/";
/// The highest number that a checkpoint was ever given.
pub(super) const HIGHEST: &str = "highest";
/// The epoch of the owner.
pub(super) const OWNER: &str = "owner";
/// The newest incarnation.
pub(super) const INCARNATION: &str = "incarnation";

/// The key of a segment.
pub(super) fn segment(hash: &ContentHash) -> String {
    format!("{SEGMENT}{hash}")
}

/// The key of a segment under [`NAMED`].
pub(super) fn named(hash: &ContentHash) -> String {
    format!("{NAMED}{hash}")
}

/// The key of a checkpoint, under [`CHECKPOINT`] or [`DAMAGED`].
pub(super) fn numbered(prefix: &str, number: CheckpointNumber) -> String {
    format!("{prefix}{:020}", number.0)
}

/// A value as it is stored.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::internal(format!("a value of the store cannot be encoded: {error}")))
}

/// A value as it was stored under `key`.
pub(super) fn from_json<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        Error::external(format!("the value `{key}` of the store is unreadable: {error}")).never_retry()
    })
}
