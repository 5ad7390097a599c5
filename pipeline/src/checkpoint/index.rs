//! What the store says of checkpoints and segments: read once, when ownership is taken.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::step::{ContentHash, Incarnation, StepNumber};

use super::fence::OwnerEpoch;
use super::keys::{self, CHECKPOINT, DAMAGED, HIGHEST, INCARNATION, NAMED, OWNER, SEGMENT, from_json};
use super::manifest::{CheckpointNumber, CheckpointSummary};
use super::store::Store;

/// The contents of the store, but for marks and named values.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The checkpoints, oldest first.
    pub(super) listed: Vec<CheckpointSummary>,
    /// Those that were taken from the list because they were damaged.
    pub(super) damaged: BTreeSet<CheckpointNumber>,
    /// Segments, and the first checkpoint that was committed after each.
    pub(super) dated: BTreeMap<ContentHash, CheckpointNumber>,
    /// Segments that the journal names, and the last step that may.
    pub(super) named: BTreeMap<ContentHash, StepNumber>,
    /// The highest number that was ever given.
    pub(super) highest: CheckpointNumber,
    /// The epoch of the last owner; `None` in a store that nobody has owned yet.
    pub(super) epoch: Option<OwnerEpoch>,
    /// The newest incarnation.
    pub(super) incarnation: Option<Incarnation>,
}

impl Index {
    /// Reads the store.
    ///
    /// # Errors
    /// When it is damaged or the disk fails.
    pub(super) fn read(store: &dyn Store) -> Result<Self> {
        let listed = summaries(store, CHECKPOINT)?;
        let damaged: BTreeSet<_> = summaries(store, DAMAGED)?.into_iter().map(|found| found.number).collect();
        let dated = |(key, json): (String, Vec<u8>)| {
            let hash = ContentHash(key.strip_prefix(SEGMENT).unwrap_or(&key).into());
            from_json(&key, &json).map(|number| (hash, number))
        };
        let named = |(key, json): (String, Vec<u8>)| {
            let hash = ContentHash(key.strip_prefix(NAMED).unwrap_or(&key).into());
            from_json(&key, &json).map(|step| (hash, step))
        };
        let noted: CheckpointNumber = value(store, HIGHEST)?.unwrap_or_default();
        let numbers = listed.iter().map(|found| found.number).chain(damaged.iter().copied());
        Ok(Self {
            highest: numbers.max().unwrap_or_default().max(noted),
            dated: store.scan(SEGMENT)?.into_iter().map(dated).collect::<Result<_>>()?,
            named: store.scan(NAMED)?.into_iter().map(named).collect::<Result<_>>()?,
            epoch: value(store, OWNER)?,
            incarnation: value(store, INCARNATION)?,
            listed,
            damaged,
        })
    }

    /// Whether nobody has ever owned this store.
    pub(super) fn is_new(&self) -> bool {
        self.epoch.is_none() && self.highest == CheckpointNumber::default()
    }

    /// Whether the store has forgotten the checkpoint that the file `head` names: `head` is written after the
    /// store, so it never names one that the store has not known.
    pub(super) fn has_forgotten(&self, head: CheckpointNumber) -> bool {
        let newest = self.listed.last().map_or(CheckpointNumber::default(), |newest| newest.number);
        head > newest && !self.damaged.contains(&head)
    }
}

fn summaries(store: &dyn Store, prefix: &str) -> Result<Vec<CheckpointSummary>> {
    let summary = |(key, json): &(String, Vec<u8>)| -> Result<CheckpointSummary> {
        let summary: CheckpointSummary = from_json(key, json)?;
        match keys::numbered(prefix, summary.number) == *key {
            true => Ok(summary),
            false => {
                Err(crate::error::Error::external(format!("`{key}` of the store holds checkpoint {}", summary.number))
                    .never_retry())
            }
        }
    };
    store.scan(prefix)?.iter().map(summary).collect()
}

fn value<T: DeserializeOwned>(store: &dyn Store, key: &str) -> Result<Option<T>> {
    store.get(key)?.map(|json| from_json(key, &json)).transpose()
}
