//! Step time: the wall clock once, then time since boot; it never goes back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use crate::error::{Error, Result};
use crate::step::{StepNumber, StepTime};

/// A start that finds the clock this much past the last step needs `--accept-clock`: a clock that is wrong
/// by years would otherwise expire all state at once.
const LARGEST_GAP: Duration = Duration::from_secs(30 * 24 * 3600);

/// A start that finds the clock this much before the last step says so.
const SET_BACK: Duration = Duration::from_secs(60);

/// Gives steps their time.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    anchor: i64,
    /// When it was started; `None`: it stands still.
    since: Option<Instant>,
    last: StepTime,
}

impl Clock {
    /// A clock that goes on after `last` (zero: a new pipeline), where the wall clock says `anchor`.
    ///
    /// A wall clock that has been set back does not hold up time: it goes on from the last step, so that what
    /// waits for a deadline is still served. The wall clock counts again once it is past the last step at a start.
    ///
    /// # Errors
    /// When the wall clock is over 30 days past `last` and that was not accepted.
    pub(crate) fn start(anchor: i64, last: StepTime, accept: bool) -> Result<Self> {
        let gap = anchor.saturating_sub(last.0);
        if last.0 > 0 && gap > LARGEST_GAP.as_millis() as i64 && !accept {
            let message = format!("the clock says {}, over 30 days after the last step at {last}", StepTime(anchor));
            return Err(Error::user(message).with_remedy("set the clock, or accept it with `--accept-clock`"));
        }
        if last.0.saturating_sub(anchor) > SET_BACK.as_millis() as i64 {
            let wall = StepTime(anchor);
            tracing::warn!(%wall, %last, "The clock is behind the last step: step time goes on from that step.");
        }
        Ok(Self { anchor: anchor.max(last.0), since: Some(Instant::now()), last })
    }

    /// A clock that always says `time`.
    pub(crate) fn standing(time: StepTime) -> Self {
        Self { anchor: time.0, since: None, last: time }
    }

    /// The time for the next step.
    pub(crate) fn next(&mut self) -> StepTime {
        self.last = self.last.max(self.now());
        self.last
    }

    /// What time it is, without giving it to a step.
    pub(crate) fn now(&self) -> StepTime {
        let elapsed = self.since.map_or(0, |since| since.elapsed().as_millis() as i64);
        StepTime(self.anchor.saturating_add(elapsed))
    }

    /// How long until a step made then would be at or past `deadline`.
    pub(crate) fn until(&self, deadline: StepTime) -> Duration {
        Duration::from_millis(deadline.0.saturating_sub(self.now().0).max(0) as u64)
    }

    /// Goes on after a step that was read from the journal.
    pub(crate) fn saw(&mut self, time: StepTime) {
        self.last = self.last.max(time);
    }
}

/// Milliseconds since 1970 by the wall clock.
pub(crate) fn wall() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The times of recent steps, shared with the nodes: a node that was sent a coalesced blank finds in it the
/// first step at or past its deadline, whatever the queue did.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepTimes(Arc<RwLock<VecDeque<(StepNumber, StepTime)>>>);

impl StepTimes {
    /// Adds a step, before anything is sent for it.
    pub(crate) fn push(&self, number: StepNumber, time: StepTime) {
        self.0.write().push_back((number, time));
    }

    /// Forgets the steps before `number`.
    pub(crate) fn forget_before(&self, number: StepNumber) {
        let mut times = self.0.write();
        while times.front().is_some_and(|(first, _)| *first < number) {
            times.pop_front();
        }
    }

    /// The first step after `after`, up to and including `through`, whose time is at or past `deadline`.
    pub(crate) fn first_at(
        &self,
        after: StepNumber,
        through: StepNumber,
        deadline: StepTime,
    ) -> Option<(StepNumber, StepTime)> {
        let times = self.0.read();
        let start = times.partition_point(|(number, time)| *number <= after || *time < deadline);
        times.get(start).copied().filter(|(number, _)| *number <= through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 365 * 24 * 3600 * 1000;

    #[test]
    fn step_time_goes_on_from_the_last_step_when_the_clock_was_set_back_by_years() {
        let future = StepTime(wall() + 5 * YEAR);
        let mut clock = Clock::start(wall(), future, false).unwrap();
        let first = clock.next();
        assert!(first >= future && clock.until(StepTime(first.0 + 50)) <= Duration::from_millis(50));
        std::thread::sleep(Duration::from_millis(5));
        assert!(clock.next().0 >= future.0 + 5, "what waits for a deadline is served");
    }

    #[test]
    fn a_clock_before_1970_and_one_at_the_end_of_time_give_a_time_that_never_goes_back() {
        for anchor in [i64::MIN, -YEAR, 0, i64::MAX] {
            let mut clock = Clock::start(anchor, StepTime(YEAR), true).unwrap();
            let times = [clock.next(), clock.next(), clock.next()];
            assert!(times.is_sorted() && times[0] >= StepTime(YEAR), "{anchor}: {times:?}");
        }
    }

    #[test]
    fn a_clock_that_stands_gives_every_step_the_same_time() {
        let mut clock = Clock::standing(StepTime(YEAR));
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!([clock.next(), clock.next()], [StepTime(YEAR); 2]);
    }

    #[test]
    fn a_start_over_thirty_days_later_needs_to_be_accepted() {
        let long_ago = StepTime(wall() - 31 * 24 * 3600 * 1000);
        let refused = Clock::start(wall(), long_ago, false).unwrap_err();
        assert!(refused.to_string().contains("--accept-clock"));
        assert!(Clock::start(wall(), long_ago, true).is_ok());
    }

    #[test]
    fn a_deadline_finds_the_first_step_at_or_past_it() {
        let times = StepTimes::default();
        for (number, time) in [(1, 10), (2, 20), (3, 20), (4, 30)] {
            times.push(StepNumber(number), StepTime(time));
        }
        let first =
            |after, through, deadline| times.first_at(StepNumber(after), StepNumber(through), StepTime(deadline));
        assert_eq!(first(0, 4, 15), Some((StepNumber(2), StepTime(20))));
        assert_eq!(first(2, 4, 15), Some((StepNumber(3), StepTime(20))));
        assert_eq!(first(0, 1, 15), None);
        assert_eq!(first(0, 4, 31), None);
    }
}
