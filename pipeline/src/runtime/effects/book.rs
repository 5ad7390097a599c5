//! The book of effects: what is intended and what is dead, as a fold of journal records.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effect, EffectState};
use crate::journal::JournalPosition;
use crate::journal::record::{DeadLetter, Failure, Outcome, OutcomeRecord};
use crate::rows::MAX_RAW;

/// How many attempts in vain an effect remembers.
const HISTORY: usize = 8;
/// How much of each reason, in bytes.
const REASON: usize = 256;

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
        /// How the last attempts went, oldest first.
        history: Vec<Failure>,
    },
    Dead {
        /// Where the journal says so: the oldest are forgotten first.
        at: JournalPosition,
        attempts: u32,
        reason: Option<String>,
        /// When, in ms since 1970.
        time: i64,
        history: Vec<Failure>,
        /// Whether the sink's port `dead_letter` has told it, or nobody reads that.
        told: bool,
    },
    /// It leaves when somebody has approved it.
    AwaitingApproval {
        attempts: u32,
        /// What it would do.
        report: Option<String>,
    },
    /// Intended, and somebody has approved it.
    Approved {
        /// How often it was tried since.
        attempts: u32,
        /// How the last attempts went, oldest first.
        history: Vec<Failure>,
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
    /// Never tried.
    pub(crate) const NEW: Self = Self::Intended { attempts: 0, history: Vec::new() };

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
            Self::Intended { attempts, .. }
            | Self::Approved { attempts, .. }
            | Self::AwaitingApproval { attempts, .. }
            | Self::Dead { attempts, .. }
            | Self::Done { attempts, .. } => *attempts,
        }
    }

    /// Why it is dead or failed last, or what is known of it.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Intended { history, .. } | Self::Approved { history, .. } => {
                history.last().map(|last| last.reason.as_str())
            }
            Self::Dead { reason, .. } | Self::AwaitingApproval { report: reason, .. } => reason.as_deref(),
            Self::Done { report, .. } => Some(report),
        }
    }

    /// Whether it is still to be delivered.
    pub(crate) fn is_intended(&self) -> bool {
        matches!(self, Self::Intended { .. } | Self::Approved { .. })
    }

    /// The bytes of what is kept besides the effect, as long as its standing is of one kind.
    fn extra_bytes(&self) -> usize {
        match self {
            Self::Intended { .. } | Self::Approved { .. } => 0,
            _ => self.reason().map_or(0, str::len),
        }
    }
}

/// An effect and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) effect: Arc<Effect>,
    pub(crate) standing: Standing,
}

impl Entry {
    /// What the port `dead_letter` tells of it; `None` where it is not dead.
    fn letter(&self) -> Option<DeadLetter> {
        let Standing::Dead { attempts, reason, time, history, .. } = &self.standing else { return None };
        let body = &self.effect.payload.body;
        Some(DeadLetter {
            effect: self.effect.id.to_string(),
            step: self.effect.step,
            row: self.effect.row,
            key: self.effect.payload.key.clone(),
            reason: reason.clone().unwrap_or_default(),
            attempts: *attempts,
            history: history.clone(),
            body: String::from_utf8_lossy(&body[..body.len().min(MAX_RAW)]).into_owned(),
            given_up_at: *time,
        })
    }

    fn bytes(&self) -> usize {
        self.effect.bytes() + self.standing.extra_bytes()
    }

    fn history(&self) -> Vec<Failure> {
        match &self.standing {
            Standing::Intended { history, .. }
            | Standing::Approved { history, .. }
            | Standing::Dead { history, .. } => history.clone(),
            Standing::AwaitingApproval { .. } | Standing::Done { .. } => Vec::new(),
        }
    }
}

/// One more failure behind those before it, of which the newest are kept. A record that is read again finds itself.
fn and_then(mut history: Vec<Failure>, record: &OutcomeRecord) -> Vec<Failure> {
    let (attempt, time) = (record.attempts, record.time);
    let reason = record.reason.as_deref().unwrap_or_default();
    let reason = reason[..reason.floor_char_boundary(REASON)].to_owned();
    history.retain(|failure| failure.attempt < attempt);
    if history.len() >= HISTORY {
        history.drain(..=history.len() - HISTORY);
    }
    history.push(Failure { attempt, time, reason });
    history
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
    /// Dead ones that the port `dead_letter` has to tell first, oldest first. They are not forgotten before.
    untold: BTreeSet<(JournalPosition, Arc<str>)>,
    /// The sinks whose port `dead_letter` is read.
    read: HashSet<String>,
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
            untold: BTreeSet::new(),
            read: HashSet::new(),
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
            self.put(Entry { effect, standing: Standing::NEW });
        }
    }

    /// The journal says at `at` how an effect goes on. Gives back the effect where that was its end.
    pub(crate) fn apply(&mut self, record: &OutcomeRecord, at: JournalPosition) -> Option<Arc<Effect>> {
        let known = self.entries.get(record.effect.as_str())?;
        let (effect, was_approved) = (Arc::clone(&known.effect), matches!(known.standing, Standing::Approved { .. }));
        let (attempts, reason, time) = (record.attempts, record.reason.clone(), record.time);
        let before = || self.entries.get(&effect.id).map(Entry::history).unwrap_or_default();
        match record.outcome {
            Outcome::Dead => {
                let (history, told) = (and_then(before(), record), !self.read.contains(&effect.sink));
                self.put(Entry { effect, standing: Standing::Dead { at, attempts, reason, time, history, told } });
            }
            // After a retry it is tried as often as at first.
            Outcome::Retried => self.put(Entry { effect, standing: Standing::NEW }),
            Outcome::Tried => {
                let history = and_then(before(), record);
                let standing = match was_approved {
                    true => Standing::Approved { attempts, history },
                    false => Standing::Intended { attempts, history },
                };
                self.put(Entry { effect, standing });
            }
            Outcome::Held => {
                self.put(Entry { effect, standing: Standing::AwaitingApproval { attempts, report: reason } });
            }
            Outcome::Approved => {
                let standing = Standing::Approved { attempts: 0, history: Vec::new() };
                self.put(Entry { effect, standing });
            }
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
            Standing::Dead { at, told: false, .. } if self.read.contains(&sink) => {
                self.untold.insert((*at, Arc::clone(&id)));
            }
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
            Standing::Dead { at, .. } if self.untold.remove(&(at, Arc::clone(id))) => return,
            Standing::Dead { at, .. } => return self.dead.remove(at, id, bytes),
            Standing::Done { at, .. } => return self.done.remove(at, id, bytes),
        };
        if let Some(usage) = usage.get_mut(&entry.effect.sink) {
            usage.remove(bytes);
        }
    }

    /// The ports `dead_letter` of these sinks are read: what they give up from now on is to be told. What was restored
    /// untold is, too.
    pub(crate) fn read_letters_of(&mut self, sinks: HashSet<String>) {
        self.read = sinks;
        let untold = |entry: &&Entry| matches!(entry.standing, Standing::Dead { told: false, .. });
        let entries: Vec<Entry> = self.entries.values().filter(untold).cloned().collect();
        entries.into_iter().for_each(|entry| self.put(entry));
    }

    /// The oldest effects of one sink that its port `dead_letter` has to tell: at most so many, and about so many bytes.
    pub(crate) fn letters(&self, most: usize, bytes: usize) -> Option<(String, Vec<DeadLetter>)> {
        let entries = || self.untold.iter().filter_map(|(_, id)| self.entries.get(id));
        let sink = entries().next()?.effect.sink.clone();
        let mut left = bytes;
        let fits = |letter: &DeadLetter| {
            let fits = left > 0;
            left = left.saturating_sub(letter.body.len());
            fits
        };
        let own = entries().filter(|entry| entry.effect.sink == sink).take(most);
        Some((sink.clone(), own.filter_map(Entry::letter).take_while(fits).collect()))
    }

    /// A step has told that an effect was given up.
    pub(crate) fn told(&mut self, id: &str) {
        let Some(entry) = self.entries.get(id) else { return };
        let mut entry = entry.clone();
        if let Standing::Dead { told, .. } = &mut entry.standing {
            *told = true;
            self.put(entry);
        }
    }

    /// Whether something is to be told.
    pub(crate) fn has_letters(&self) -> bool {
        !self.untold.is_empty()
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
