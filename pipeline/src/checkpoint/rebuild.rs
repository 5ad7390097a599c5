//! The store anew, from what else there is: manifests are segments, too.
//!
//! What the store alone knows is lost: which of the newest manifests was listed (one that was written and not
//! committed before a crash is as good: everything that it names is durable), dates of segments (garbage is kept
//! somewhat longer), and marks that were set after the newest checkpoint: a sink then goes back to the mark of that
//! checkpoint and gets the same output again from the steps that are executed again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::sink::Mark;
use crate::step::{ContentHash, Incarnation};

use super::fence::OwnerEpoch;
use super::folder::DiskFolder;
use super::head::{self, Head};
use super::keys::{self, CHECKPOINT, HIGHEST, INCARNATION, OWNER, to_json};
use super::manifest::{CheckpointNumber, CheckpointSummary, Manifest};
use super::marks;
use super::recovery;
use super::segments::SegmentStore;
use super::sled_store::SledStore;
use super::store::{MemoryStore, Store, StoreBatch};
use super::survey::Survey;

/// What a rebuilt store says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rebuilt {
    /// The checkpoints that are whole, oldest first.
    pub(super) listed: Vec<CheckpointSummary>,
    /// Above every number that may have been given.
    pub(super) highest: CheckpointNumber,
    /// The newest mark of each sink that any manifest holds.
    pub(super) marks: BTreeMap<String, Mark>,
    pub(super) incarnation: Incarnation,
    pub(super) owner: OwnerEpoch,
    /// The checkpoints whose manifests are there, and parts of which are not.
    pub(super) incomplete: Vec<CheckpointNumber>,
}

/// Decides what the store was, by everything that the segments are and what the file `head` says.
pub(super) fn decide(survey: &Survey, head: Option<&Head>) -> Rebuilt {
    let mut rebuilt = Rebuilt { incarnation: Incarnation(1), ..Rebuilt::default() };
    let newest = survey.manifests.iter().map(|(_, manifest)| manifest).max_by_key(|manifest| rank(manifest));
    // What an earlier incarnation has left above is another future.
    let is_past = |manifest: &Manifest| {
        newest.is_none_or(|newest| manifest.number <= newest.number || manifest.incarnation >= newest.incarnation)
    };
    for number in survey.numbers() {
        let Some((hash, manifest)) = committed(survey, head, number) else { continue };
        if !is_past(manifest) {
            continue;
        }
        match survey.lacks(manifest).is_empty() {
            true => rebuilt.listed.push(manifest.summary(hash.clone())),
            false => rebuilt.incomplete.push(number),
        }
    }
    for (_, manifest) in survey.manifests.iter().filter(|(_, manifest)| is_past(manifest)) {
        rebuilt.incarnation = rebuilt.incarnation.max(manifest.incarnation);
        rebuilt.owner = rebuilt.owner.max(manifest.owner);
        for (sink, mark) in &manifest.marks {
            let known = rebuilt.marks.entry(sink.clone()).or_insert_with(|| mark.clone());
            if mark.step > known.step {
                *known = mark.clone();
            }
        }
    }
    let known = survey.numbers().last().copied().max(head.map(|head| head.number)).unwrap_or_default();
    // Each segment that is damaged may have been the manifest of a newer one.
    rebuilt.highest = CheckpointNumber(known.0.saturating_add(survey.damaged.len() as u64));
    rebuilt
}

/// Which of the manifests of one number was committed: the one that a later manifest or the file `head` names;
/// else that of the newest owner.
fn committed<'a>(
    survey: &'a Survey,
    head: Option<&Head>,
    number: CheckpointNumber,
) -> Option<(&'a ContentHash, &'a Manifest)> {
    let named: BTreeSet<&ContentHash> = survey
        .manifests
        .iter()
        .flat_map(|(_, manifest)| &manifest.retained)
        .filter(|summary| summary.number == number)
        .map(|summary| &summary.manifest)
        .chain(head.filter(|head| head.number == number).map(|head| &head.manifest))
        .collect();
    let candidates = || survey.manifests.iter().filter(move |(_, manifest)| manifest.number == number);
    let best = candidates().max_by_key(|(hash, manifest)| (named.contains(hash), rank(manifest)));
    best.map(|(hash, manifest)| (hash, manifest))
}

/// The order of manifests of which nothing else is known.
fn rank(manifest: &Manifest) -> (Incarnation, CheckpointNumber, OwnerEpoch, u64, i64) {
    (manifest.incarnation, manifest.number, manifest.owner, manifest.step.0, manifest.created)
}

/// What a rebuild has brought back.
#[derive(Debug, Clone, Serialize)]
pub struct RebuildReport {
    /// The checkpoints that are listed again, oldest first.
    pub checkpoints: Vec<CheckpointNumber>,
    /// Checkpoints of which parts are missing or damaged: they are not listed.
    pub incomplete: Vec<CheckpointNumber>,
    /// The mark of each sink, as the newest manifest that knows it says: the step that its output is complete
    /// through. The lost store may have known a newer one.
    pub marks: BTreeMap<String, Mark>,
}

/// Builds the store of the pipeline directory `directory` (`.tidegate/NAME`) anew; the one there was is kept in the
/// folder `store.damaged`. The caller owns the directory, and the store is not open.
///
/// # Errors
/// When no checkpoint is whole although there were some, the disk fails, or a newer program is needed; then
/// nothing is changed.
pub fn rebuild(directory: &Path) -> Result<RebuildReport> {
    let survey = Survey::of(&SegmentStore::of(directory))?;
    let root = DiskFolder::of(directory);
    // A file that is damaged says nothing; the next start writes it anew.
    let head = head::read(&root).ok().flatten();
    let rebuilt = decide(&survey, head.as_ref());
    if rebuilt.listed.is_empty() && (head.is_some() || !survey.manifests.is_empty() || !survey.damaged.is_empty()) {
        return Err(Error::external(format!("no checkpoint in {} is whole", directory.display()))
            .never_retry()
            .with_remedy(recovery::NO_CHECKPOINT));
    }
    SledStore::rebuild(directory, &values(&rebuilt)?)?;
    // It may name a checkpoint that is not whole: it names the newest that is.
    if let Some(newest) = rebuilt.listed.last() {
        head::write(&root, newest, &rebuilt.listed)?;
    }
    Ok(RebuildReport {
        checkpoints: rebuilt.listed.iter().map(|summary| summary.number).collect(),
        incomplete: rebuilt.incomplete,
        marks: rebuilt.marks,
    })
}

/// The keys and values of a store that says this.
pub(super) fn values(rebuilt: &Rebuilt) -> Result<BTreeMap<String, Vec<u8>>> {
    let store = MemoryStore::default();
    let mut batch = StoreBatch::default();
    for summary in &rebuilt.listed {
        batch.put(keys::numbered(CHECKPOINT, summary.number), to_json(summary)?)?;
    }
    batch.put(HIGHEST, to_json(&rebuilt.highest)?)?;
    batch.put(INCARNATION, to_json(&rebuilt.incarnation)?)?;
    batch.put(OWNER, to_json(&rebuilt.owner)?)?;
    marks::put(&store, &mut batch, &rebuilt.marks)?;
    store.apply(&batch)?;
    Ok(store.scan("")?.into_iter().collect())
}
