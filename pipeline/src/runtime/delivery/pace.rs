//! When effects leave: waits before attempts, and at most so many in a stretch of time.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::pause::doubled;
use crate::sink::Rate;

/// Keeps to a rate.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<Rate>,
    /// When the last ones left, as many as the rate counts.
    left: VecDeque<Instant>,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self { rate, left: VecDeque::new() }
    }

    /// When the next one may leave, where it may not now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let rate = self.rate?;
        let oldest = self.left.front().filter(|_| self.left.len() >= rate.count)?;
        Some(*oldest + rate.per).filter(|next| *next > now)
    }

    /// One leaves.
    pub(super) fn leaves(&mut self, now: Instant) {
        let Some(rate) = self.rate else { return };
        self.left.push_back(now);
        while self.left.len() > rate.count {
            self.left.pop_front();
        }
    }
}

/// A wait of any length up to `longest` ("full jitter"): what failed together does not come back together.
pub(super) fn somewhere_up_to(longest: Duration) -> Duration {
    // Each state of hashing is seeded anew.
    let random = RandomState::new().build_hasher().finish();
    longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

/// How long an effect lives that fails for as long as it may: the sum of the longest waits between its attempts.
pub(super) fn lifetime(initial: Duration, longest: Duration, attempts: u32) -> Duration {
    // However often it may be tried: nobody waits longer than a year.
    let year = Duration::from_secs(365 * 24 * 3600);
    let waits = (0..attempts.saturating_sub(1).min(100_000)).map(|attempt| doubled(initial, attempt, longest));
    waits.fold(Duration::ZERO, Duration::saturating_add).min(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stretch_of_time_has_more_than_its_rate() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pace = Pace::new(Some(Rate { count: 3, per: second }));
        let (mut now, mut left) = (start, Vec::new());
        while left.len() < 30 {
            match pace.next(now) {
                Some(next) => now = next,
                None => {
                    pace.leaves(now);
                    left.push(now);
                    now += Duration::from_millis(70);
                }
            }
        }
        assert!(left.windows(4).all(|four| four[3] - four[0] >= second));
        assert!(left[29] - left[0] < 11 * second, "and it comes close to it");
        assert_eq!(Pace::new(None).next(start), None);
    }

    #[test]
    fn waits_spread_over_the_whole_of_their_length() {
        let waits: Vec<f64> = (0..1000).map(|_| somewhere_up_to(Duration::from_secs(10)).as_secs_f64()).collect();
        assert!(waits.iter().all(|wait| (0.0..10.0).contains(wait)));
        let middle = waits.iter().sum::<f64>() / 1000.0;
        assert!((4.0..6.0).contains(&middle), "{middle}");
    }

    #[test]
    fn a_lifetime_is_the_sum_of_the_waits() {
        let second = Duration::from_secs(1);
        assert_eq!(lifetime(second, 5 * second, 5), 12 * second, "1 + 2 + 4 + 5");
        assert_eq!(lifetime(second, 5 * second, 1), Duration::ZERO);
    }
}
