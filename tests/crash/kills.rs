//! SIGKILL at random moments, again and again: `TIDEGATE_KILLS=200` kills as often, `TIDEGATE_SEED` chooses the
//! moments.

use std::time::Instant;

use crate::program::{Numbers, Running, from_environment};
use crate::subjects::Subject;

/// How many kills there are over all subjects, unless the environment says otherwise.
const KILLS: u64 = 30;
/// How often one run is killed at most before it may go to its end.
const KILLS_OF_ONE_RUN: u64 = 6;

/// What happened to the runs of a subject.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    kills: u64,
    requests: usize,
}

fn killed_at_random(subject: Subject) {
    let (kills, seed) = (from_environment("TIDEGATE_KILLS", KILLS).div_ceil(3), from_environment("TIDEGATE_SEED", 17));
    let undisturbed = subject.home();
    let begun = Instant::now();
    undisturbed.run_to_the_end("undisturbed");
    let took = begun.elapsed();
    let expected = undisturbed.result();
    assert!(expected.0.none_is_empty(), "every output has rows");
    let (mut numbers, mut tally) = (Numbers(seed), Tally::default());
    while tally.kills < kills {
        let home = subject.home();
        tally.runs += 1;
        let before = tally.kills;
        for _ in 0..KILLS_OF_ONE_RUN.min(kills - tally.kills) {
            let after = took.mul_f64(0.05 + numbers.below(700) as f64 / 1000.0);
            let running = Running::of(&mut home.command());
            std::thread::sleep(after);
            // One that had ended before was not killed.
            tally.kills += u64::from(running.kill().code.is_none());
        }
        let when = format!("seed {seed}, {subject:?}, run {}, {} kills", tally.runs, tally.kills);
        home.run_to_the_end(&when);
        home.assert_ends_like(&expected, &when);
        home.assert_few_attempts(tally.kills - before, &when);
        tally.requests += home.requests();
        assert!(tally.runs <= 3 * kills, "runs end before they can be killed: {tally:?}, {took:?}");
    }
    println!("{subject:?}: {tally:?}, undisturbed {took:?} and {} effects", expected.1.len());
}

// matrix: file: kill-before-ack, kill-after-ack
#[test]
fn killed_at_random_moments_events_come_out_byte_identical() {
    killed_at_random(Subject::Events);
}

// matrix: host: kill-before-ack, kill-after-ack
#[test]
fn killed_at_random_moments_inventory_and_findings_come_out_byte_identical() {
    killed_at_random(Subject::Inventory);
}

#[test]
fn killed_at_random_moments_no_effect_is_lost_and_none_is_sent_under_a_second_id() {
    killed_at_random(Subject::Effects);
}

#[test]
fn killed_at_random_moments_every_webhook_arrives_once_more_per_failure_at_most_and_deaths_are_told_once() {
    killed_at_random(Subject::Webhooks);
}
