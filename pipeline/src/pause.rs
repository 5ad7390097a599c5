//! Pauses between attempts.

use std::time::Duration;

/// More doublings make no difference: the longest pause has been reached.
const DOUBLINGS: u32 = 16;

/// `first`, doubled so many times, but never more than `longest`: the pause before something is tried again.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(DOUBLINGS)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_until_it_is_the_longest() {
        let pause = |times| doubled(Duration::from_secs(1), times, Duration::from_secs(5)).as_secs();
        assert_eq!([0, 1, 2, 3, 16, u32::MAX].map(pause), [1, 2, 4, 5, 5, 5]);
    }
}
