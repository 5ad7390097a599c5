//! The circuit to a destination: after so many failures in a row it is left alone for a while, then one effect is tried.
//!
//! ```text
//! closed ── failures in a row ──► open ── rest is over ──► probing
//!    ▲                             ▲                         │
//!    │                             └──────── failed ─────────┤
//!    └──────────────────────────────────── answered ─────────┘
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::sink::Breaker;

/// How the circuit to a destination stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Effects leave.
    #[default]
    Closed,
    /// The destination is left alone.
    Open,
    /// One effect is on its way to find out.
    Probing,
}

/// What is to be said of a circuit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitStatus {
    /// How it stands.
    pub state: CircuitState,
    /// How many failures in a row there were.
    pub failures: u32,
    /// What went wrong last.
    pub reason: Option<String>,
    /// When the destination is tried again, in ms since 1970, where it is left alone.
    pub until: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, rest: Duration },
    Probing { rest: Duration },
}

/// See the module. Without a breaker it is always closed.
#[derive(Debug)]
pub(super) struct Circuit {
    breaker: Option<Breaker>,
    longest: Duration,
    failures: u32,
    reason: Option<String>,
    state: State,
}

impl Circuit {
    pub(super) fn new(breaker: Option<Breaker>, longest: Duration) -> Self {
        Self { breaker, longest, failures: 0, reason: None, state: State::Closed }
    }

    /// Whether an effect may leave now.
    pub(super) fn lets_through(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until, .. } => until <= now,
            State::Probing { .. } => false,
        }
    }

    /// When the next effect may leave, where it may not now.
    pub(super) fn opens_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed | State::Probing { .. } => None,
        }
    }

    /// An effect leaves. Says whether that has changed anything.
    pub(super) fn sends(&mut self) -> bool {
        match self.state {
            State::Open { rest, .. } => {
                self.state = State::Probing { rest };
                true
            }
            State::Closed | State::Probing { .. } => false,
        }
    }

    /// The destination has answered. Says whether that has changed anything.
    pub(super) fn answered(&mut self) -> bool {
        self.failures = 0;
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }

    /// It has failed, and asks to be left alone for `after`. Says whether that has changed anything.
    pub(super) fn failed(&mut self, reason: &str, after: Option<Duration>, now: Instant) -> bool {
        let Some(breaker) = self.breaker else { return false };
        self.failures = self.failures.saturating_add(1);
        self.reason = Some(reason.to_owned());
        let rest = match self.state {
            State::Closed if self.failures >= breaker.failures => breaker.rest,
            State::Probing { rest } => (rest * 2).min(self.longest.max(breaker.rest)),
            // What was under way when it opened says nothing new.
            State::Closed | State::Open { .. } => return false,
        };
        self.state = State::Open { until: now + rest.max(after.unwrap_or_default()), rest };
        true
    }

    /// Whether an effect is on its way to find out.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }

    /// What went wrong last.
    pub(super) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    /// What is to be said of it.
    pub(super) fn status(&self, now: Instant) -> CircuitStatus {
        let state = match self.state {
            State::Closed => return CircuitStatus::default(),
            State::Open { .. } => CircuitState::Open,
            State::Probing { .. } => CircuitState::Probing,
        };
        let until = self.opens_at().map(|until| {
            let left = i64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(i64::MAX);
            jiff::Timestamp::now().as_millisecond().saturating_add(left)
        });
        CircuitStatus { state, failures: self.failures, reason: self.reason.clone(), until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: Breaker = Breaker { failures: 2, rest: Duration::from_secs(10) };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_probe_decides() {
        let start = Instant::now();
        let mut circuit = Circuit::new(Some(BREAKER), seconds(15));
        assert!(!circuit.failed("down", None, start) && !circuit.answered(), "an answer ends the row");
        assert!(!circuit.failed("down", None, start) && circuit.failed("down", None, start));
        assert!(!circuit.lets_through(start + seconds(9)) && circuit.lets_through(start + seconds(10)));
        assert!(circuit.sends() && !circuit.lets_through(start + seconds(99)), "one probe at a time");
        assert!(circuit.failed("still down", None, start + seconds(10)));
        assert_eq!(circuit.opens_at(), Some(start + seconds(25)), "the rest doubles up to the longest wait");
        assert_eq!(circuit.status(start).state, CircuitState::Open);
        assert!(circuit.sends() && circuit.answered());
        assert_eq!(circuit.status(start), CircuitStatus::default());
    }

    #[test]
    fn it_rests_as_long_as_the_other_side_asks() {
        let start = Instant::now();
        let mut circuit = Circuit::new(Some(Breaker { failures: 1, ..BREAKER }), seconds(15));
        circuit.failed("too many", Some(seconds(60)), start);
        assert_eq!(circuit.opens_at(), Some(start + seconds(60)));
    }

    #[test]
    fn without_a_breaker_it_never_opens() {
        let mut circuit = Circuit::new(None, seconds(15));
        assert!((0..100).all(|_| !circuit.failed("down", None, Instant::now())));
        assert!(circuit.lets_through(Instant::now()));
    }
}
