//! Delivering effects until they are done or dead, always under the same id.

mod circuit;
mod pace;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use self::circuit::Circuit;
pub use self::circuit::{CircuitState, CircuitStatus};
use self::pace::{Pace, lifetime, somewhere_up_to};
use super::crashed::guarded;
use super::effects::{Effect, EffectState, Ledger};
use super::outbox::DeliveryPolicy;
use crate::error::Result;
use crate::journal::Journal;
use crate::journal::record::Outcome;
use crate::pause::doubled;
use crate::sink::{Attempt, DispatchingSink, EffectFollower};
use crate::testing::crash;

/// An effect on its way: how often it was tried, how long it waits after the next failure, and since when it could leave.
struct Try {
    effect: Arc<Effect>,
    attempts: u32,
    wait: Duration,
    since: Instant,
    /// Others of its key have gone on: it takes its place behind them when it has rested.
    has_given_way: bool,
}

/// Attempts that are under way.
type UnderWay = FuturesUnordered<BoxFuture<'static, Result<(Try, Attempt)>>>;

/// Delivers the effects of one sink. Effects of one key go in order; others do not wait for each other.
pub(crate) struct Deliverer {
    node: Arc<str>,
    sink: Arc<dyn DispatchingSink>,
    journal: Journal,
    ledger: Ledger,
    policy: DeliveryPolicy,
    inbox: mpsc::UnboundedReceiver<Arc<Effect>>,
    cancel: CancellationToken,
    circuit: Circuit,
    pace: Pace,
    /// What can be tried now.
    ready: VecDeque<Try>,
    /// What waits for its next attempt, by when it comes; the number tells those of one moment apart.
    resting: BTreeMap<(Instant, u64), Try>,
    rested: u64,
    /// The effects that wait behind the one of their key that is on its way.
    behind: HashMap<String, VecDeque<Arc<Effect>>>,
}

impl Deliverer {
    /// A deliverer of what comes through `inbox`, on the terms of the sink.
    pub(crate) fn new(
        node: Arc<str>,
        sink: Arc<dyn DispatchingSink>,
        journal: Journal,
        ledger: Ledger,
        policy: DeliveryPolicy,
        inbox: mpsc::UnboundedReceiver<Arc<Effect>>,
        cancel: CancellationToken,
    ) -> Self {
        let policy = policy.on(&sink.terms());
        Self {
            node,
            sink,
            journal,
            ledger,
            policy,
            inbox,
            cancel,
            circuit: Circuit::new(policy.breaker, policy.longest),
            pace: Pace::new(policy.rate),
            ready: VecDeque::new(),
            resting: BTreeMap::new(),
            rested: 0,
            behind: HashMap::new(),
        }
    }

    /// Runs until cancelled, or until the outbox is gone and everything is done or dead.
    ///
    /// # Errors
    /// When the journal cannot take an outcome, or the sink crashed.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut under_way = UnderWay::new();
        let mut discards = self.ledger.watch_discards();
        let mut open = true;
        while open || !self.ready.is_empty() || !under_way.is_empty() || !self.resting.is_empty() {
            let due = self.launch(&mut under_way);
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                received = self.inbox.recv(), if open => match received {
                    // What was intended together is known together.
                    Some(effect) => {
                        self.receive(effect);
                        while let Ok(effect) = self.inbox.try_recv() {
                            self.receive(effect);
                        }
                    }
                    None => open = false,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.wake(),
                Ok(()) = discards.changed() => self.drop_discarded(),
                Some(tried) = under_way.next() => {
                    let (tried, attempt) = tried?;
                    let awaits_somebody = matches!(attempt, Attempt::Held { .. });
                    self.settle(tried, attempt)?;
                    if awaits_somebody {
                        // Who is to approve it has to see it, also where nothing else is written for hours.
                        self.journal.sync(self.journal.end()).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets leave what may. Gives back when to look again, if nothing comes before.
    fn launch(&mut self, under_way: &mut UnderWay) -> Option<Instant> {
        let now = Instant::now();
        let mut may_leave = None;
        while under_way.len() < self.policy.concurrency && !self.ready.is_empty() {
            if !self.circuit.lets_through(now) {
                may_leave = self.circuit.opens_at();
                break;
            }
            if let Some(next) = self.pace.next(now) {
                may_leave = Some(next);
                break;
            }
            let Some(next) = self.ready.pop_front() else { break };
            if !self.ledger.is_intended(&next.effect.id) {
                self.tell_of_end(&next.effect, EffectState::Discarded);
                self.follow(&next.effect);
                continue;
            }
            self.pace.leaves(now);
            if self.circuit.sends() {
                self.tell_circuit(now);
            }
            let approved = self.ledger.is_approved(&next.effect.id);
            under_way.push(Box::pin(attempt(Arc::clone(&self.sink), next, approved, self.policy.attempt)));
        }
        let rested = self.resting.first_key_value().map(|((due, _), _)| *due);
        may_leave.into_iter().chain(rested).min()
    }

    fn receive(&mut self, effect: Arc<Effect>) {
        if let Some(follower) = self.sink.follower().filter(|_| self.ledger.is_intended(&effect.id)) {
            follower.expect(&effect.id, &effect.payload);
        }
        self.queue(effect);
    }

    fn tell_of_end(&self, effect: &Effect, state: EffectState) {
        if let Some(follower) = self.sink.follower() {
            follower.ended(&effect.id, &effect.payload, state);
        }
    }

    /// Puts an effect where it can be tried, or behind the one of its key.
    fn queue(&mut self, effect: Arc<Effect>) {
        if let Some(key) = &effect.payload.key {
            if let Some(behind) = self.behind.get_mut(key) {
                return behind.push_back(effect);
            }
            self.behind.insert(key.clone(), VecDeque::new());
        }
        self.ready(effect);
    }

    /// What was tried before, in this life or an earlier one, goes on counting.
    fn ready(&mut self, effect: Arc<Effect>) {
        let attempts = self.ledger.attempts(&effect.id);
        let wait = doubled(self.policy.initial, attempts, self.policy.longest);
        self.ready.push_back(Try { effect, attempts, wait, since: Instant::now(), has_given_way: false });
    }

    /// Makes ready what has rested enough.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.resting.first_entry()
            && first.key().0 <= now
        {
            let rested = first.remove();
            match rested.has_given_way {
                true => self.queue(rested.effect),
                false => self.ready.push_back(Try { since: now, ..rested }),
            }
        }
    }

    /// What was discarded does not rest until its next attempt: others of its key wait behind it.
    fn drop_discarded(&mut self) {
        let ledger = self.ledger.clone();
        let discarded: Vec<Try> = self
            .resting
            .extract_if(.., |_, tried| !ledger.is_intended(&tried.effect.id))
            .map(|(_, tried)| tried)
            .collect();
        for tried in discarded {
            self.tell_of_end(&tried.effect, EffectState::Discarded);
            if !tried.has_given_way {
                self.follow(&tried.effect);
            }
        }
    }

    /// An effect has come to its end: the next one of its key can go.
    fn follow(&mut self, effect: &Effect) {
        let Some(key) = &effect.payload.key else { return };
        match self.behind.get_mut(key).and_then(VecDeque::pop_front) {
            Some(next) => self.ready(next),
            None => drop(self.behind.remove(key)),
        }
    }

    /// Takes note of how an attempt went; lets an effect rest that is to be tried again.
    fn settle(&mut self, mut tried: Try, attempt: Attempt) -> Result<()> {
        let attempt = match attempt {
            Attempt::Later { reason, after } => return self.give_way(tried, &reason, after),
            Attempt::Held { report } => {
                let effect = Arc::clone(&tried.effect);
                tracing::warn!(sink = %effect.sink, effect = %effect.id, "An effect awaits approval.");
                self.ledger.hold(&self.journal, &effect, tried.attempts, report)?;
                crash::point("effect.held");
                self.follow(&effect);
                return Ok(());
            }
            attempt => attempt,
        };
        tried.attempts += 1;
        self.ledger.attempted(&tried.effect.sink);
        self.judge_destination(&attempt)?;
        let (attempts, effect) = (tried.attempts, &tried.effect);
        let (outcome, reason) = match attempt {
            Attempt::Done => (Outcome::Done, None),
            Attempt::Reported { report } => (Outcome::Done, Some(report)),
            // These were dealt with above.
            Attempt::Held { .. } | Attempt::Later { .. } => return Ok(()),
            Attempt::Refused { reason } => (Outcome::Dead, Some(reason)),
            Attempt::Again { reason, .. } if attempts >= self.policy.attempts => (Outcome::Dead, Some(reason)),
            Attempt::Again { .. } if !self.ledger.is_intended(&effect.id) => {
                // It was discarded while it was under way.
                self.follow(&Arc::clone(effect));
                return Ok(());
            }
            Attempt::Again { reason, after } => {
                tracing::warn!(sink = %effect.sink, effect = %effect.id, attempts, reason, "An effect will be tried again.");
                self.ledger.tried(&self.journal, effect, attempts, &reason)?;
                self.rest(tried, after);
                return Ok(());
            }
        };
        self.end(&tried.effect, outcome, attempts, reason)
    }

    /// An effect waits for its next attempt: as long as the other side asks, or a part of its own wait.
    fn rest(&mut self, mut tried: Try, asked: Option<Duration>) {
        let own = tried.wait.min(self.policy.longest);
        let wait = match asked {
            Some(asked) => asked.min(self.policy.longest_asked),
            None if self.policy.jitter => somewhere_up_to(own),
            None => own,
        };
        tried.wait = (tried.wait * 2).min(self.policy.longest);
        self.rested += 1;
        self.resting.insert((Instant::now() + wait, self.rested), tried);
    }

    /// What an attempt says of the destination, whichever effect it was.
    fn judge_destination(&mut self, attempt: &Attempt) -> Result<()> {
        let (now, probing) = (Instant::now(), self.circuit.is_probing());
        let changed = match attempt {
            Attempt::Done | Attempt::Reported { .. } | Attempt::Refused { .. } => self.circuit.answered(),
            // They say nothing of it.
            Attempt::Held { .. } | Attempt::Later { .. } => return Ok(()),
            Attempt::Again { reason, after } => {
                self.circuit.failed(reason, after.map(|after| after.min(self.policy.longest_asked)), now)
            }
        };
        if changed {
            self.tell_circuit(now);
        }
        if changed && probing && !self.circuit.lets_through(now) { self.give_up_the_oldest(now) } else { Ok(()) }
    }

    /// The destination has failed for as long as an effect may fail: what has waited for it all that time is given up,
    /// although it was not tried as often.
    fn give_up_the_oldest(&mut self, now: Instant) -> Result<()> {
        let lifetime = lifetime(self.policy.initial, self.policy.longest, self.policy.attempts);
        let too_old = |tried: &Try| now.saturating_duration_since(tried.since) >= lifetime;
        let (given_up, kept): (VecDeque<Try>, VecDeque<Try>) =
            std::mem::take(&mut self.ready).into_iter().partition(too_old);
        self.ready = kept;
        for tried in given_up {
            let reason = format!("the destination has failed for {lifetime:?}: {}", self.circuit.reason());
            self.end(&tried.effect, Outcome::Dead, tried.attempts, Some(reason))?;
        }
        Ok(())
    }

    fn tell_circuit(&self, now: Instant) {
        let status = self.circuit.status(now);
        match status.state {
            CircuitState::Open => {
                let (reason, failures) = (self.circuit.reason(), status.failures);
                tracing::warn!(sink = %self.node, failures, reason, "A destination that fails is left alone for a while.");
            }
            CircuitState::Closed => tracing::info!(sink = %self.node, "A destination that failed answers again."),
            CircuitState::Probing => {}
        }
        self.ledger.circuit(&self.node, status);
    }

    /// An effect has come to its end.
    fn end(&mut self, effect: &Arc<Effect>, outcome: Outcome, attempts: u32, reason: Option<String>) -> Result<()> {
        if let (Outcome::Dead, Some(reason)) = (&outcome, &reason) {
            tracing::error!(sink = %effect.sink, effect = %effect.id, attempts, reason, "An effect was given up.");
        }
        crash::point("effect.sent");
        self.ledger.end(&self.journal, effect, outcome, attempts, reason)?;
        crash::point("effect.ended");
        if outcome == Outcome::Dead {
            self.tell_of_end(effect, EffectState::Dead);
        }
        self.follow(effect);
        Ok(())
    }

    /// An effect waits for something: others of its key go on meanwhile.
    fn give_way(&mut self, mut waiting: Try, reason: &str, after: Duration) -> Result<()> {
        let effect = Arc::clone(&waiting.effect);
        tracing::debug!(sink = %effect.sink, effect = %effect.id, reason, "An effect waits.");
        waiting.has_given_way = true;
        self.rested += 1;
        self.resting.insert((Instant::now() + after, self.rested), waiting);
        self.follow(&effect);
        Ok(())
    }
}

/// Tries an effect once.
async fn attempt(
    sink: Arc<dyn DispatchingSink>,
    next: Try,
    approved: bool,
    within: Duration,
) -> Result<(Try, Attempt)> {
    crash::point("effect.send");
    let Effect { id, payload, sink: node, .. } = &*next.effect;
    let within = sink.follower().map_or(within, EffectFollower::longest_attempt);
    let delivery = guarded(async {
        Ok(match approved {
            true => sink.deliver_approved(id, payload).await,
            false => sink.deliver(id, payload).await,
        })
    });
    let attempt = match timeout(within, delivery).await {
        Ok(tried) => tried.map_err(|error| error.at_node(node))?,
        Err(_) => Attempt::Again { reason: format!("no answer within {within:?}"), after: None },
    };
    Ok((next, attempt))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::RecordBatch;
    use async_trait::async_trait;

    use super::*;
    use crate::sink::EffectPayload;
    use crate::step::{Incarnation, Shard, StepHeader, StepNumber};

    /// Never answers the first time.
    struct Stuck(AtomicUsize);

    #[async_trait]
    impl DispatchingSink for Stuck {
        fn effects(&self, _step: &StepHeader, _rows: &RecordBatch) -> Result<Vec<EffectPayload>> {
            Ok(Vec::new())
        }

        async fn deliver(&self, _id: &str, _payload: &EffectPayload) -> Attempt {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            Attempt::Done
        }
    }

    #[tokio::test]
    async fn an_attempt_that_never_answers_is_cut_short_and_the_effect_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path(), Incarnation(1), Shard(0)).unwrap();
        let (attempt, initial) = (Duration::from_millis(20), Duration::from_millis(1));
        let policy = DeliveryPolicy { attempt, initial, ..DeliveryPolicy::default() };
        let ledger = Ledger::new(policy.bounds());
        let payload = EffectPayload { key: None, body: Vec::new() };
        let (id, sink) = ("p/0/1/page/0/7/0".into(), "page".to_owned());
        let effect = Arc::new(Effect { id, sink, input: 0, step: StepNumber(7), row: 0, payload });
        ledger.intend(&[Arc::clone(&effect)]);
        let (deliver, inbox) = mpsc::unbounded_channel();
        deliver.send(effect).unwrap();
        drop(deliver);
        let stuck: Arc<Stuck> = Arc::new(Stuck(AtomicUsize::new(0)));
        let sink = Arc::clone(&stuck) as Arc<dyn DispatchingSink>;
        Deliverer::new("page".into(), sink, journal, ledger.clone(), policy, inbox, CancellationToken::new())
            .run()
            .await
            .unwrap();
        assert_eq!((stuck.0.load(Ordering::SeqCst), ledger.intended()), (2, 0));
    }
}
