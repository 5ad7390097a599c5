//! Which step a node with several inputs takes next: step n when all of them have reached n.

use super::edge::Head;
use crate::step::StepNumber;

/// What a node can do next, given the heads of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Take this step from the inputs that stand at it.
    Step(StepNumber),
    /// Nothing up to this step concerns the node.
    Blank(StepNumber),
    /// Every input stands at a barrier, after this step.
    Barrier(StepNumber),
    /// Wait for more.
    Wait,
    /// Every input has ended.
    Ended,
}

/// Decides from the heads of all inputs.
pub(crate) fn next(heads: &[Head]) -> Next {
    if heads.iter().all(|head| *head == Head::Ended) {
        return Next::Ended;
    }
    if heads.contains(&Head::Empty) {
        return Next::Wait;
    }
    // Up to where every input is known. A step at n says that nothing came before n; it covers n itself too.
    let known = heads.iter().filter_map(|head| match head {
        Head::Step(number) | Head::Blank(number) | Head::Barrier(number) => Some(*number),
        Head::Ended | Head::Empty => None,
    });
    let known = known.min().unwrap_or(StepNumber::ZERO);
    let first_step = heads.iter().filter_map(|head| match head {
        Head::Step(number) => Some(*number),
        _ => None,
    });
    match first_step.min() {
        Some(step) if step <= known => Next::Step(step),
        _ if heads.iter().all(|head| matches!(head, Head::Barrier(_) | Head::Ended)) => Next::Barrier(known),
        // A barrier after n that stands beside blanks up to n: they must be taken first.
        _ => Next::Blank(known),
    }
}

#[cfg(test)]
mod tests {
    use super::Head::{Barrier, Blank, Empty, Ended, Step};
    use super::*;

    fn number(n: u64) -> StepNumber {
        StepNumber(n)
    }

    #[test]
    fn a_step_is_taken_when_all_inputs_have_reached_it() {
        assert_eq!(next(&[Step(number(3)), Blank(number(5))]), Next::Step(number(3)));
        assert_eq!(next(&[Step(number(3)), Empty]), Next::Wait);
        assert_eq!(next(&[Step(number(3)), Step(number(4))]), Next::Step(number(3)));
    }

    #[test]
    fn a_blank_that_ends_before_the_step_is_passed_on_first() {
        assert_eq!(next(&[Step(number(3)), Blank(number(2))]), Next::Blank(number(2)));
    }

    #[test]
    fn a_barrier_waits_for_all_inputs() {
        assert_eq!(next(&[Barrier(number(3)), Step(number(3))]), Next::Step(number(3)));
        assert_eq!(next(&[Barrier(number(3)), Blank(number(3))]), Next::Blank(number(3)));
        assert_eq!(next(&[Barrier(number(3)), Empty]), Next::Wait);
        assert_eq!(next(&[Barrier(number(3)), Barrier(number(3))]), Next::Barrier(number(3)));
    }

    #[test]
    fn an_ended_input_counts_as_aligned_for_every_later_step_and_barrier() {
        assert_eq!(next(&[Ended, Step(number(9))]), Next::Step(number(9)));
        assert_eq!(next(&[Ended, Barrier(number(9))]), Next::Barrier(number(9)));
        assert_eq!(next(&[Ended, Ended]), Next::Ended);
    }
}
