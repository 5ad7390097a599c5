//! How much a policy may do.
//!
//! regorus stops a policy by a clock, and asks its program for the time: here the time is how often it was asked, which is once
//! for each step of the evaluation. So a policy is stopped by what it does, and at the same step each time. Asking is also
//! the moment to see how deep the policy has called itself, before the stack ends and the process with it.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::time::Duration;

use regorus::Engine;
use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source};

/// The steps that each policy may take, however few rows it has.
const STEPS: u64 = 1_000_000;
/// The further steps for each row.
const STEPS_PER_ROW: u64 = 5_000;
/// The stack that a policy is evaluated on. Only what is used of it takes memory.
const STACK_BYTES: usize = 64 << 20;
/// How much of it a policy may use; the rest is for what it was doing.
const DEEPEST_BYTES: usize = 48 << 20;

/// Why a policy was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It took more steps than this.
    TooMuch(u64),
    /// It called itself too deeply.
    TooDeep,
}

impl Stopped {
    /// Why, in a sentence without a final period.
    pub(super) fn reason(self) -> String {
        match self {
            Self::TooMuch(limit) => {
                format!("the policy does more work than the {limit} steps that it may take for so many rows")
            }
            Self::TooDeep => "a function of the policy calls itself without an end".to_owned(),
        }
    }
}

/// What the policy on this thread has done.
#[derive(Clone, Copy)]
struct Done {
    steps: u64,
    /// Where its stack begins.
    bottom: usize,
    too_deep: bool,
}

thread_local! {
    // regorus knows one clock for the whole process, which tells the policies apart by their threads: each runs on its own.
    static DONE: Cell<Done> = const { Cell::new(Done { steps: 0, bottom: 0, too_deep: false }) };
}

/// A clock that goes on by a nanosecond whenever it is looked at.
struct StepCounter;

static STEP_COUNTER: StepCounter = StepCounter;

impl TimeSource for StepCounter {
    fn now(&self) -> Option<Duration> {
        let mut done = DONE.get();
        done.steps = done.steps.saturating_add(1);
        done.too_deep |= done.bottom.abs_diff(here()) > DEEPEST_BYTES;
        DONE.set(done);
        Some(if done.too_deep { Duration::MAX } else { Duration::from_nanos(done.steps) })
    }
}

/// About where the stack ends at this moment.
fn here() -> usize {
    let local = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&local)).addr()
}

/// How many steps a policy may take that has so many rows.
pub(super) fn limit(rows: usize) -> u64 {
    STEPS.saturating_add(STEPS_PER_ROW.saturating_mul(rows as u64))
}

/// Evaluates a policy on a thread of its own, of which the caller waits for the end, within `limit` steps for each rule.
///
/// # Errors
/// Why it was stopped; the inner error is the policy's own.
pub(super) fn bounded<T: Send>(
    engine: &mut Engine,
    limit: u64,
    evaluate: impl FnOnce(&mut Engine) -> T + Send,
) -> Result<T, Stopped> {
    // Refused after the first time: then it is there already.
    let _ = set_time_source(&STEP_COUNTER);
    let limit_as_time = Duration::from_nanos(limit);
    engine.set_execution_timer_config(ExecutionTimerConfig { limit: limit_as_time, check_interval: NonZeroU32::MIN });
    let run = move || {
        DONE.set(Done { steps: 0, bottom: here(), too_deep: false });
        let value = evaluate(engine);
        (value, DONE.get())
    };
    let ended = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy".to_owned()).stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, run).map(std::thread::ScopedJoinHandle::join)
    });
    match ended {
        Ok(Ok((_, Done { too_deep: true, .. }))) => Err(Stopped::TooDeep),
        Ok(Ok((_, done))) if done.steps > limit => Err(Stopped::TooMuch(limit)),
        Ok(Ok((value, _))) => Ok(value),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => resume_unwind(Box::new(format!("no thread can be started: {error}"))),
    }
}
