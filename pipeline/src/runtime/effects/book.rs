//! The book of effects: what is intended and what is dead, as a fold of journal records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effect, EffectState};
use crate::journal::JournalPosition;
use crate::journal::record::{Outcome, OutcomeRecord};

/// How much a book holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Intended effects of one sink.
    pub(crate) intended: usize,
    /// Their memory, in bytes.
    pub(crate) intended_bytes: usize,
    /// Dead effects of all sinks, and as many that are done and kept: beyond it the oldest are forgotten.
    pub(crate) dead: usize,
    /// Their memory, in bytes.
    pub(crate) dead_bytes: usize,
}

impl Bounds {
    /// For a reader that looks at everything once.
    pub(crate) const NONE: Self =
        Self { intended: usize::MAX, intended_bytes: usize::MAX, dead: usize::MAX, dead_bytes: usize::MAX };
}

/// How an effect in the book stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Standing {
    Intended {
        /// How often it was tried.
        attempts: u32,
    },
    Dead {
        /// Where the journal says so: the oldest are forgotten first.
        at: JournalPosition,
        attempts: u32,
        reason: Option<String>,
    },
    /// It leaves when somebody has approved it.
    AwaitingApproval {
        attempts: u32,
        /// What it would do.
        report: Option<String>,
    },
    /// Intended, and somebody has approved it.
    Approved {
        /// How often it was tried.
        attempts: u32,
    },
    /// It was delivered, and what came of it is kept.
    Done {
        /// Where the journal says so: the oldest are forgotten first.
        at: JournalPosition,
        attempts: u32,
        report: String,
    },
}

impl Standing {
    pub(crate) fn state(&self) -> EffectState {
        match self {
            Self::Intended { .. } | Self::Approved { .. } => EffectState::Intended,
            Self::Dead { .. } => EffectState::Dead,
            Self::AwaitingApproval { .. } => EffectState::AwaitingApproval,
            Self::Done { .. } => EffectState::Done,
        }
    }

    /// How often it was tried.
    pub(crate) fn attempts(&self) -> u32 {
        match self {
            Self::Intended { attempts }
            | Self::Approved { attempts }
            | Self::AwaitingApproval { attempts, .. }
            | Self::Dead { attempts, .. }
            | Self::Done { attempts, .. } => *attempts,
        }
    }

    /// Why it is dead, or what is known of it.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Intended { .. } | Self::Approved { .. } => None,
            Self::Dead { reason, .. } | Self::AwaitingApproval { report: reason, .. } => reason.as_deref(),
            Self::Done { report, .. } => Some(report),
        }
    }

    /// Whether it is still to be delivered.
    pub(crate) fn is_intended(&self) -> bool {
        matches!(self, Self::Intended { .. } | Self::Approved { .. })
    }

    /// The bytes of what is kept besides the effect.
    fn extra_bytes(&self) -> usize {
        self.reason().map_or(0, str::len)
    }
}

/// An effect and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) effect: Arc<Effect>,
    pub(crate) standing: Standing,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.effect.bytes() + self.standing.extra_bytes()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    count: usize,
    bytes: usize,
}

impl Usage {
    fn add(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

/// Room for more intended effects of one sink.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    count: usize,
    bytes: usize,
}

impl Room {
    /// Whether there is room for one more effect of this size; then it is taken.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        let fits = self.count > 0 && self.bytes >= bytes;
        if fits {
            self.count -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

/// Effects that have come to an end and are kept, for as long as there is room.
#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    order: BTreeSet<(JournalPosition, Arc<str>)>,
    usage: Usage,
}

impl Kept {
    fn add(&mut self, at: JournalPosition, id: &Arc<str>, bytes: usize) {
        self.order.insert((at, Arc::clone(id)));
        self.usage.add(bytes);
    }

    fn remove(&mut self, at: JournalPosition, id: &Arc<str>, bytes: usize) {
        self.order.remove(&(at, Arc::clone(id)));
        self.usage.remove(bytes);
    }

    /// The one that has to go.
    fn too_old(&self, bounds: &Bounds) -> Option<Arc<str>> {
        let is_full = self.usage.count > bounds.dead || self.usage.bytes > bounds.dead_bytes;
        self.order.first().filter(|_| is_full).map(|(_, id)| Arc::clone(id))
    }
}

/// Every effect that is intended or awaits approval, and the newest of those that are dead, or done and kept.
#[derive(Debug)]
pub(crate) struct Book {
    bounds: Bounds,
    entries: BTreeMap<Arc<str>, Entry>,
    dead: Kept,
    done: Kept,
    intended: HashMap<String, Usage>,
    held: HashMap<String, Usage>,
    /// What has changed since the last snapshot: what is in the book, or in an earlier snapshot.
    changed: BTreeSet<Arc<str>>,
    /// What the snapshots hold.
    stored: BTreeSet<Arc<str>>,
}

impl Book {
    /// An empty book.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: BTreeMap::new(),
            dead: Kept::default(),
            done: Kept::default(),
            intended: HashMap::new(),
            held: HashMap::new(),
            changed: BTreeSet::new(),
            stored: BTreeSet::new(),
        }
    }

    /// An effect is intended. One that is in the book stays as it is.
    pub(crate) fn intend(&mut self, effect: Arc<Effect>) {
        if !self.entries.contains_key(&effect.id) {
            self.put(Entry { effect, standing: Standing::Intended { attempts: 0 } });
        }
    }

    /// The journal says at `at` how an effect goes on. Gives back the effect where that was its end.
    pub(crate) fn apply(&mut self, record: &OutcomeRecord, at: JournalPosition) -> Option<Arc<Effect>> {
        let known = self.entries.get(record.effect.as_str())?;
        let (effect, was_approved) = (Arc::clone(&known.effect), matches!(known.standing, Standing::Approved { .. }));
        let (attempts, reason) = (record.attempts, record.reason.clone());
        match record.outcome {
            Outcome::Dead => self.put(Entry { effect, standing: Standing::Dead { at, attempts, reason } }),
            // After a retry it is tried as often as at first.
            Outcome::Retried => self.put(Entry { effect, standing: Standing::Intended { attempts: 0 } }),
            Outcome::Tried if was_approved => self.put(Entry { effect, standing: Standing::Approved { attempts } }),
            Outcome::Tried => self.put(Entry { effect, standing: Standing::Intended { attempts } }),
            Outcome::Held => {
                self.put(Entry { effect, standing: Standing::AwaitingApproval { attempts, report: reason } });
            }
            Outcome::Approved => self.put(Entry { effect, standing: Standing::Approved { attempts: 0 } }),
            Outcome::Done if let Some(report) = reason => {
                self.put(Entry { effect, standing: Standing::Done { at, attempts, report } });
            }
            Outcome::Done | Outcome::Discarded | Outcome::Suppressed => {
                self.take(&effect.id);
                return Some(effect);
            }
        }
        None
    }

    /// Puts an entry in place of what there was of that effect.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.take(&entry.effect.id);
        let (id, bytes, sink) = (Arc::clone(&entry.effect.id), entry.bytes(), entry.effect.sink.clone());
        match &entry.standing {
            Standing::Intended { .. } | Standing::Approved { .. } => self.intended.entry(sink).or_default().add(bytes),
            Standing::AwaitingApproval { .. } => self.held.entry(sink).or_default().add(bytes),
            Standing::Dead { at, .. } => self.dead.add(*at, &id, bytes),
            Standing::Done { at, .. } => self.done.add(*at, &id, bytes),
        }
        self.changed.insert(Arc::clone(&id));
        self.entries.insert(id, entry);
        self.forget_the_oldest();
    }

    /// Takes an effect out of the book.
    pub(crate) fn take(&mut self, id: &Arc<str>) {
        // What comes and goes between two snapshots leaves no trace.
        if self.stored.contains(id) {
            self.changed.insert(Arc::clone(id));
        } else {
            self.changed.remove(id);
        }
        let Some(entry) = self.entries.remove(id) else { return };
        let bytes = entry.bytes();
        let usage = match entry.standing {
            Standing::Intended { .. } | Standing::Approved { .. } => &mut self.intended,
            Standing::AwaitingApproval { .. } => &mut self.held,
            Standing::Dead { at, .. } => return self.dead.remove(at, id, bytes),
            Standing::Done { at, .. } => return self.done.remove(at, id, bytes),
        };
        if let Some(usage) = usage.get_mut(&entry.effect.sink) {
            usage.remove(bytes);
        }
    }

    fn forget_the_oldest(&mut self) {
        while let Some(id) = self.dead.too_old(&self.bounds).or_else(|| self.done.too_old(&self.bounds)) {
            self.take(&id);
        }
    }

    /// An effect and how it stands.
    pub(crate) fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Everything in the book, in order of the ids.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Whether an effect is still to be delivered.
    pub(crate) fn is_intended(&self, id: &str) -> bool {
        self.get(id).is_some_and(|entry| entry.standing.is_intended())
    }

    /// How many effects of each sink are intended.
    pub(crate) fn intended_by_sink(&self) -> impl Iterator<Item = (&str, usize)> {
        self.intended.iter().map(|(sink, usage)| (sink.as_str(), usage.count))
    }

    /// How many effects are intended.
    pub(crate) fn intended(&self) -> usize {
        self.intended.values().map(|usage| usage.count).sum()
    }

    /// How many effects of each sink await approval.
    pub(crate) fn held_by_sink(&self) -> impl Iterator<Item = (&str, usize)> {
        self.held.iter().map(|(sink, usage)| (sink.as_str(), usage.count))
    }

    /// What the bounds leave for one sink.
    pub(crate) fn room(&self, sink: &str) -> Room {
        let of = |usages: &HashMap<String, Usage>| usages.get(sink).copied().unwrap_or_default();
        let (intended, held) = (of(&self.intended), of(&self.held));
        Room {
            count: self.bounds.intended.saturating_sub(intended.count + held.count),
            bytes: self.bounds.intended_bytes.saturating_sub(intended.bytes + held.bytes),
        }
    }

    /// The effects that have changed since the last snapshot, with their entries; `None` for one that is gone.
    pub(crate) fn take_changes(&mut self) -> Vec<(Arc<str>, Option<Entry>)> {
        let changed = std::mem::take(&mut self.changed);
        let mut changes = Vec::with_capacity(changed.len());
        for id in changed {
            let entry = self.entries.get(&id).cloned();
            match entry {
                Some(_) => self.stored.insert(Arc::clone(&id)),
                None => self.stored.remove(&id),
            };
            changes.push((id, entry));
        }
        changes
    }

    /// Everything in the book, as a snapshot that stands alone.
    pub(crate) fn take_all(&mut self) -> Vec<(Arc<str>, Option<Entry>)> {
        self.changed.clear();
        self.stored = self.entries.keys().cloned().collect();
        self.entries.iter().map(|(id, entry)| (Arc::clone(id), Some(entry.clone()))).collect()
    }
}
