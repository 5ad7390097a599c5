//! What the owner knows of its checkpoints and segments without asking the disk, and what may go.

use std::collections::{BTreeMap, BTreeSet};

use crate::step::{ContentHash, StepNumber};

use super::index::Index;
use super::manifest::{CheckpointNumber, CheckpointSummary};
use super::retention::Retention;

/// A segment is on the disk before the step that names it is in the journal. When the segment was on the disk before checkpoint n was committed, the step that names
/// it comes before checkpoint n + 1 was begun. One more, for a checkpoint begun while n was under way.
const SLACK: u64 = 2;

#[derive(Debug)]
struct Committed {
    summary: CheckpointSummary,
    /// The segments that it names; `None` until its manifest has been read.
    names: Option<BTreeSet<ContentHash>>,
}

/// All checkpoints and segments of a directory.
#[derive(Debug, Default)]
pub(super) struct Known {
    checkpoints: BTreeMap<CheckpointNumber, Committed>,
    /// All segments, with the first checkpoint that was committed after they were written, or asked for again.
    segments: BTreeMap<ContentHash, Option<CheckpointNumber>>,
    /// Segments that the journal names (definitions, the contents of files that nodes read), with the last step that
    /// may name them.
    named: BTreeMap<ContentHash, StepNumber>,
    /// Those among them that the store has not been told of.
    untold: BTreeSet<ContentHash>,
    /// The highest number that was ever given: also to checkpoints that are gone, damaged, or failed.
    highest: CheckpointNumber,
    /// Those that were taken from the list because they were damaged.
    damaged: BTreeSet<CheckpointNumber>,
    /// Segments that are on their way to what will name them, with how many hold each.
    held: BTreeMap<ContentHash, usize>,
    /// What commits name whose end is not known: the store may list them after the next start.
    uncertain: BTreeMap<CheckpointNumber, BTreeSet<ContentHash>>,
}

/// What retention has decided, before anything is deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// The checkpoints to remove, oldest first.
    pub(super) checkpoints: Vec<CheckpointNumber>,
    /// The segments to remove.
    pub(super) segments: Vec<ContentHash>,
    /// Segments that the journal names no longer.
    pub(super) unnamed: Vec<ContentHash>,
    /// Damaged checkpoints that are older than all others: nobody asks for them any more.
    pub(super) damaged: Vec<CheckpointNumber>,
}

impl Known {
    /// What the store says of the segments that are `present`.
    pub(super) fn new(index: Index, present: BTreeSet<ContentHash>) -> Self {
        let dated = index.dated;
        let segments = present.into_iter().map(|hash| {
            let date = dated.get(&hash).copied();
            (hash, date)
        });
        let committed = |summary: CheckpointSummary| (summary.number, Committed { summary, names: None });
        Self {
            segments: segments.collect(),
            checkpoints: index.listed.into_iter().map(committed).collect(),
            highest: index.highest,
            damaged: index.damaged,
            named: index.named,
            untold: BTreeSet::new(),
            held: BTreeMap::new(),
            uncertain: BTreeMap::new(),
        }
    }

    /// The highest number that was ever given. It is never given again.
    pub(super) fn highest(&self) -> CheckpointNumber {
        self.highest
    }

    /// The store is about to be told of a checkpoint. Until it has answered, the checkpoint may be listed or not.
    pub(super) fn attempt(&mut self, summary: &CheckpointSummary, names: &BTreeSet<ContentHash>) {
        self.highest = self.highest.max(summary.number);
        self.uncertain.insert(summary.number, names.iter().cloned().chain([summary.manifest.clone()]).collect());
    }

    /// A step names a segment.
    pub(super) fn journaled(&mut self, hash: &ContentHash, step: StepNumber) {
        let known = self.named.entry(hash.clone()).or_default();
        if *known < step {
            *known = step;
            self.untold.insert(hash.clone());
        }
    }

    /// A checkpoint after `step` has these from the journal. Those that the one before did not have are named by a step
    /// between the two.
    pub(super) fn journaled_by<'a>(&mut self, hashes: impl Iterator<Item = &'a ContentHash>, step: StepNumber) {
        for hash in hashes {
            let before = self.checkpoints.values().next_back().and_then(|newest| newest.names.as_ref());
            let had = before.is_some_and(|names| names.contains(hash)) && self.named.contains_key(hash);
            if !had {
                self.journaled(hash, step);
            }
        }
    }

    /// What the store has not been told of segments that the journal names.
    pub(super) fn untold(&self) -> Vec<(ContentHash, StepNumber)> {
        self.untold.iter().filter_map(|hash| Some((hash.clone(), *self.named.get(hash)?))).collect()
    }

    /// The store has been told of these.
    pub(super) fn told(&mut self, told: &[(ContentHash, StepNumber)]) {
        told.iter().filter(|(hash, step)| self.named.get(hash) == Some(step)).for_each(|(hash, _)| {
            self.untold.remove(hash);
        });
    }

    /// The journal names a segment no longer.
    pub(super) fn forget_named(&mut self, hash: &ContentHash) {
        self.named.remove(hash);
        self.untold.remove(hash);
    }

    /// All checkpoints, oldest first.
    pub(super) fn summaries(&self) -> Vec<CheckpointSummary> {
        self.checkpoints.values().map(|committed| committed.summary.clone()).collect()
    }

    /// One checkpoint.
    pub(super) fn summary(&self, number: CheckpointNumber) -> Option<&CheckpointSummary> {
        self.checkpoints.get(&number).map(|committed| &committed.summary)
    }

    /// The store lists a checkpoint that was attempted.
    pub(super) fn commit(&mut self, summary: CheckpointSummary, names: BTreeSet<ContentHash>, dated: &[ContentHash]) {
        self.uncertain.remove(&summary.number);
        for hash in dated {
            self.segments.insert(hash.clone(), Some(summary.number));
        }
        self.checkpoints.insert(summary.number, Committed { summary, names: Some(names) });
    }

    /// The segments after which no checkpoint has been committed.
    pub(super) fn undated(&self) -> Vec<ContentHash> {
        self.segments.iter().filter(|(_, date)| date.is_none()).map(|(hash, _)| hash.clone()).collect()
    }

    /// A segment has been written, or asked for again; whether it had a date, which is now void.
    pub(super) fn wrote(&mut self, hash: &ContentHash) -> bool {
        self.segments.insert(hash.clone(), None).flatten().is_some()
    }

    /// A segment stays until it is let go as often as it was held.
    pub(super) fn hold(&mut self, hash: &ContentHash) {
        *self.held.entry(hash.clone()).or_default() += 1;
    }

    /// A segment is held once less.
    pub(super) fn let_go(&mut self, hash: &ContentHash) {
        if let Some(times) = self.held.get_mut(hash) {
            *times -= 1;
            if *times == 0 {
                self.held.remove(hash);
            }
        }
    }

    /// Whether a segment is there.
    pub(super) fn has(&self, hash: &ContentHash) -> bool {
        self.segments.contains_key(hash)
    }

    /// Checkpoints whose manifests have not been read.
    pub(super) fn unread(&self) -> Vec<CheckpointSummary> {
        self.checkpoints.values().filter(|found| found.names.is_none()).map(|found| found.summary.clone()).collect()
    }

    /// Everything that any checkpoint names, manifests included; `None` while a manifest is unread.
    pub(super) fn named(&self) -> Option<BTreeSet<ContentHash>> {
        let mut named = BTreeSet::new();
        for committed in self.checkpoints.values() {
            named.extend(committed.names.as_ref()?.iter().cloned());
            named.insert(committed.summary.manifest.clone());
        }
        Some(named)
    }

    /// What the manifest of a checkpoint names.
    pub(super) fn names(&mut self, number: CheckpointNumber, names: BTreeSet<ContentHash>) {
        if let Some(committed) = self.checkpoints.get_mut(&number) {
            committed.names = Some(names);
        }
    }

    /// A checkpoint is damaged.
    pub(super) fn put_aside(&mut self, number: CheckpointNumber) {
        self.checkpoints.remove(&number);
        self.damaged.insert(number);
    }

    /// A damaged checkpoint is remembered no longer.
    pub(super) fn forget_damaged(&mut self, number: CheckpointNumber) {
        self.damaged.remove(&number);
    }

    /// A checkpoint is gone.
    pub(super) fn forget_checkpoint(&mut self, number: CheckpointNumber) {
        self.checkpoints.remove(&number);
    }

    /// A segment is gone.
    pub(super) fn forget_segment(&mut self, hash: &ContentHash) {
        self.segments.remove(hash);
    }

    /// Decides what may go; nothing while a manifest is unread. The journal begins with step `journal`; `None`: there is
    /// none. What its steps name stays.
    pub(super) fn decide(&self, retention: Retention, journal: Option<StepNumber>) -> Decision {
        let summaries = self.summaries();
        let kept = retention.kept(&summaries);
        let (Some(reach), true) = (retention.oldest_of_last(&summaries), self.unread().is_empty()) else {
            return Decision::default();
        };
        let reached = |step: &StepNumber| journal.is_some_and(|begins| begins <= *step);
        let protected: BTreeSet<&ContentHash> = self
            .checkpoints
            .values()
            .filter(|committed| kept.contains(&committed.summary.number))
            .flat_map(|committed| committed.names.iter().flatten().chain([&committed.summary.manifest]))
            .chain(self.uncertain.values().flatten())
            .chain(self.held.keys())
            .chain(self.named.iter().filter(|(_, step)| reached(step)).map(|(hash, _)| hash))
            .collect();
        let settled = |date: &Option<CheckpointNumber>| date.is_some_and(|date| date.0 + SLACK <= reach.number.0);
        let unneeded = self.segments.iter().filter(|(hash, date)| !protected.contains(hash) && settled(date));
        Decision {
            checkpoints: self.checkpoints.keys().filter(|number| !kept.contains(number)).copied().collect(),
            segments: unneeded.map(|(hash, _)| hash.clone()).collect(),
            unnamed: self
                .named
                .iter()
                .filter(|(hash, _)| !protected.contains(hash))
                .map(|(hash, _)| hash.clone())
                .collect(),
            damaged: self.damaged.iter().filter(|number| kept.first() > Some(number)).copied().collect(),
        }
    }
}
