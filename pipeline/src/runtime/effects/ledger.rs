//! The ledger of a running pipeline: the book, shared by sinks, deliverers, checkpoints and commands, and kept in
//! step with the journal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};

use super::book::{Book, Bounds, Standing};
use super::change::{ChangedEffects, EffectChange};
use super::list::ListedEffect;
use super::{Effect, OVERFLOW, stored};
use crate::checkpoint::Section;
use crate::error::Result;
use crate::journal::record::{DeadLetter, Outcome, OutcomeRecord, Record};
use crate::journal::{Journal, JournalPosition};
use crate::operator::SnapshotMode;
use crate::runtime::delivery::{CircuitState, CircuitStatus};
use crate::testing::crash;

/// What a process has done for the effects of a sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that have come to an end, whichever.
    pub attempts: u64,
    /// Effects that were delivered.
    pub done: u64,
    /// Effects that were given up.
    pub given_up: u64,
}

/// How the effects of a sink stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EffectCounts {
    /// Effects that are to be delivered, now.
    pub intended: usize,
    /// Effects that await approval, now.
    pub awaiting_approval: usize,
    /// What this process has done for them.
    pub tally: Tally,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Shared>);

struct Shared {
    book: Mutex<Book>,
    settled: Notify,
    /// Told when there are dead letters.
    letters: Notify,
    /// Counts effects that are gone on somebody's word: deliverers then look at what they hold.
    discards: watch::Sender<u64>,
    /// What this process has done for each sink.
    tallies: Mutex<BTreeMap<String, Tally>>,
    /// The circuits to the destinations of sinks that are not closed.
    circuits: Mutex<BTreeMap<String, CircuitStatus>>,
    /// The way to the deliverer of each sink, for as long as the sink runs.
    deliverers: Mutex<HashMap<String, mpsc::WeakUnboundedSender<Arc<Effect>>>>,
}

impl Ledger {
    /// A ledger without effects.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Shared {
            book: Mutex::new(Book::new(bounds)),
            settled: Notify::new(),
            letters: Notify::new(),
            discards: watch::channel(0).0,
            tallies: Mutex::default(),
            circuits: Mutex::default(),
            deliverers: Mutex::default(),
        }))
    }

    /// Goes on from what checkpoints hold.
    pub(crate) fn restore(&self, sections: Vec<Section>) -> Result<()> {
        stored::restore(&mut self.0.book.lock(), sections)
    }

    /// What a checkpoint writes.
    pub(crate) fn snapshot(&self, mode: SnapshotMode) -> Result<Vec<(String, RecordBatch)>> {
        stored::snapshot(&mut self.0.book.lock(), mode)
    }

    /// Effects whose outbox record is durable are intended.
    pub(crate) fn intend(&self, effects: &[Arc<Effect>]) {
        let mut book = self.0.book.lock();
        effects.iter().for_each(|effect| book.intend(Arc::clone(effect)));
    }

    /// The journal's tail says how an effect went on.
    pub(crate) fn replay(&self, record: &OutcomeRecord, at: JournalPosition) {
        self.apply(&mut self.0.book.lock(), record, at);
    }

    /// Appends to the journal that those of `effects` for which there is no room are dead. Gives back the
    /// records, to be applied once they are durable, and the journal's position behind them.
    pub(crate) fn refuse_overflow(
        &self,
        journal: &Journal,
        sink: &str,
        effects: &[Arc<Effect>],
    ) -> Result<Vec<(OutcomeRecord, JournalPosition)>> {
        let mut room = self.0.book.lock().room(sink);
        let refused = effects.iter().filter(|effect| !room.take(effect.bytes()));
        let refuse = |effect: &Arc<Effect>| {
            self.tally(sink, |tally| tally.given_up += 1);
            let reason = Some(OVERFLOW.to_owned());
            let record = outcome(effect, Outcome::Dead, 0, reason);
            let at = journal.append(&Record::Outcome(record.clone()))?;
            Ok((record, at))
        };
        refused.map(refuse).collect()
    }

    /// Journals how the delivery of an effect ended. The book changes with the journal under one lock, so that
    /// no checkpoint holds less than the journal before its step. An effect that was discarded meanwhile stays
    /// so, unless it has been delivered all the same.
    pub(crate) fn end(
        &self,
        journal: &Journal,
        effect: &Effect,
        ended: Outcome,
        attempts: u32,
        reason: Option<String>,
    ) -> Result<()> {
        let mut book = self.0.book.lock();
        if ended == Outcome::Done || book.is_intended(&effect.id) {
            let record = outcome(effect, ended, attempts, reason);
            let at = journal.append(&Record::Outcome(record.clone()))?;
            self.apply(&mut book, &record, at);
            self.tally(&effect.sink, |tally| match ended {
                Outcome::Done => tally.done += 1,
                _ => tally.given_up += 1,
            });
        }
        Ok(())
    }

    /// Journals that an effect was tried in vain: the next start goes on counting.
    pub(crate) fn tried(&self, journal: &Journal, effect: &Effect, attempts: u32, reason: &str) -> Result<()> {
        let mut book = self.0.book.lock();
        if book.is_intended(&effect.id) {
            let record = outcome(effect, Outcome::Tried, attempts, Some(reason.to_owned()));
            let at = journal.append(&Record::Outcome(record.clone()))?;
            self.apply(&mut book, &record, at);
        }
        Ok(())
    }

    /// Journals that an effect awaits approval.
    pub(crate) fn hold(&self, journal: &Journal, effect: &Effect, attempts: u32, report: String) -> Result<()> {
        let mut book = self.0.book.lock();
        if book.is_intended(&effect.id) {
            let record = outcome(effect, Outcome::Held, attempts, Some(report));
            let at = journal.append(&Record::Outcome(record.clone()))?;
            self.apply(&mut book, &record, at);
        }
        Ok(())
    }

    /// Counts an attempt.
    pub(crate) fn attempted(&self, sink: &str) {
        self.tally(sink, |tally| tally.attempts += 1);
    }

    fn tally(&self, sink: &str, count: impl FnOnce(&mut Tally)) {
        let mut tallies = self.0.tallies.lock();
        match tallies.get_mut(sink) {
            Some(tally) => count(tally),
            None => count(tallies.entry(sink.to_owned()).or_default()),
        }
    }

    /// How the effects of each sink stand, and what this process has done for them.
    pub(crate) fn counts(&self) -> BTreeMap<String, EffectCounts> {
        let mut counts: BTreeMap<String, EffectCounts> = BTreeMap::new();
        for (sink, tally) in self.0.tallies.lock().iter() {
            counts.entry(sink.clone()).or_default().tally = *tally;
        }
        let book = self.0.book.lock();
        for (sink, intended) in book.intended_by_sink() {
            counts.entry(sink.to_owned()).or_default().intended = intended;
        }
        for (sink, held) in book.held_by_sink() {
            counts.entry(sink.to_owned()).or_default().awaiting_approval = held;
        }
        counts
    }

    /// The circuit to the destination of a sink has changed.
    pub(crate) fn circuit(&self, sink: &str, status: CircuitStatus) {
        let mut circuits = self.0.circuits.lock();
        match status.state {
            CircuitState::Closed => drop(circuits.remove(sink)),
            CircuitState::Open | CircuitState::Probing => drop(circuits.insert(sink.to_owned(), status)),
        }
    }

    /// The circuits that are not closed, by sink.
    pub(crate) fn circuits(&self) -> BTreeMap<String, CircuitStatus> {
        self.0.circuits.lock().clone()
    }

    /// How often an effect was tried.
    pub(crate) fn attempts(&self, id: &str) -> u32 {
        self.0.book.lock().get(id).map_or(0, |entry| entry.standing.attempts())
    }

    /// Whether somebody has approved an effect that is to be delivered.
    pub(crate) fn is_approved(&self, id: &str) -> bool {
        self.0.book.lock().get(id).is_some_and(|entry| matches!(entry.standing, Standing::Approved { .. }))
    }

    /// What is kept of one sink that is not to be delivered as it stands, in the order of intent.
    pub(crate) fn past_of(&self, sink: &str) -> Vec<ListedEffect> {
        let book = self.0.book.lock();
        let own = book.entries().filter(|entry| entry.effect.sink == sink && !entry.standing.is_intended());
        let mut past: Vec<ListedEffect> = own.map(ListedEffect::of).collect();
        past.sort_by_key(|listed| listed.effect.order());
        past
    }

    /// The ports `dead_letter` of these sinks are read.
    pub(crate) fn read_letters_of(&self, sinks: HashSet<String>) {
        self.0.book.lock().read_letters_of(sinks);
    }

    /// Waits until there are dead letters.
    pub(crate) async fn letters(&self) {
        loop {
            let there = self.0.letters.notified();
            if self.0.book.lock().has_letters() {
                return;
            }
            there.await;
        }
    }

    /// The oldest dead letters of one sink: see [`Book::letters`].
    pub(crate) fn oldest_letters(&self, most: usize, bytes: usize) -> Option<(String, Vec<DeadLetter>)> {
        self.0.book.lock().letters(most, bytes)
    }

    /// A step has told these dead letters.
    pub(crate) fn told(&self, letters: &[DeadLetter]) {
        let mut book = self.0.book.lock();
        letters.iter().for_each(|letter| book.told(&letter.effect));
    }

    /// Whether nothing is intended, and every death is told.
    pub(crate) fn is_settled(&self) -> bool {
        let book = self.0.book.lock();
        book.intended() == 0 && !book.has_letters()
    }

    fn apply(&self, book: &mut Book, record: &OutcomeRecord, at: JournalPosition) {
        book.apply(record, at);
        if record.outcome == Outcome::Dead && book.has_letters() {
            self.0.letters.notify_waiters();
        }
        if book.intended() == 0 {
            self.0.settled.notify_waiters();
        }
    }

    /// Changes effects on somebody's word; durable when this returns.
    pub(crate) async fn change(
        &self,
        journal: &Journal,
        change: EffectChange,
        ids: &[String],
    ) -> Result<ChangedEffects> {
        let mut answer = ChangedEffects::default();
        let mut changed = Vec::new();
        for id in ids {
            let mut book = self.0.book.lock();
            match change.applies_to(book.get(id)) {
                Ok(effect) => {
                    let record = outcome(&effect, change.outcome(), 0, Some(change.reason().to_owned()));
                    let at = journal.append(&Record::Outcome(record.clone()))?;
                    self.apply(&mut book, &record, at);
                    answer.changed.push(id.clone());
                    changed.push(effect);
                }
                Err(reason) => answer.refuse(id, reason),
            }
        }
        journal.sync(journal.end()).await?;
        crash::point("effect.changed");
        if change == EffectChange::Discard {
            self.0.discards.send_modify(|count| *count += 1);
        }
        // Who holds a discarded one drops it, and others that wait for it are told.
        self.deliver(changed);
        Ok(answer)
    }

    /// Hands effects to the deliverers of their sinks. What has no deliverer is taken up by the next start.
    fn deliver(&self, effects: Vec<Arc<Effect>>) {
        let deliverers = self.0.deliverers.lock();
        for effect in effects {
            let deliverer = deliverers.get(&effect.sink).and_then(mpsc::WeakUnboundedSender::upgrade);
            let _ = deliverer.map(|deliverer| deliverer.send(effect));
        }
    }

    /// Whether an effect is still to be delivered.
    pub(crate) fn is_intended(&self, id: &str) -> bool {
        self.0.book.lock().is_intended(id)
    }

    /// What is intended of one sink, in the order of intent.
    pub(crate) fn intended_of(&self, sink: &str) -> Vec<Arc<Effect>> {
        let book = self.0.book.lock();
        let own = book.entries().filter(|entry| entry.effect.sink == sink && entry.standing.is_intended());
        let mut effects: Vec<Arc<Effect>> = own.map(|entry| Arc::clone(&entry.effect)).collect();
        effects.sort_by_key(|effect| effect.order());
        effects
    }

    /// How many effects are intended.
    pub(crate) fn intended(&self) -> usize {
        self.0.book.lock().intended()
    }

    /// Waits until no effect is intended.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.0.settled.notified();
            if self.intended() == 0 {
                return;
            }
            settled.await;
        }
    }

    /// Registers the way to a sink's deliverer.
    pub(crate) fn delivers(&self, sink: &str, deliverer: &mpsc::UnboundedSender<Arc<Effect>>) {
        self.0.deliverers.lock().insert(sink.to_owned(), deliverer.downgrade());
    }

    /// Tells when effects were discarded on somebody's word.
    pub(crate) fn watch_discards(&self) -> watch::Receiver<u64> {
        self.0.discards.subscribe()
    }
}

pub(super) fn outcome(effect: &Effect, outcome: Outcome, attempts: u32, reason: Option<String>) -> OutcomeRecord {
    let time = jiff::Timestamp::now().as_millisecond();
    OutcomeRecord { sink: effect.sink.clone(), effect: effect.id.to_string(), outcome, attempts, reason, time }
}
