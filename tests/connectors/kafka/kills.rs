//! Events from Kafka into a file and into another topic, through kills at random moments: each event is in both
//! once. `TIDEGATE_KAFKA_EVENTS=1000000 TIDEGATE_KILLS=20` makes it a long night.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::broker::broker;
use super::home::Home;
use crate::program::{Numbers, from_environment};

const EVENTS: u64 = 20_000;
const KILLS: u64 = 5;
const PARTITIONS: i32 = 3;
/// How many events are written at a time.
const PORTION: u64 = 10_000;

// matrix: kafka: kill-before-ack, kill-after-ack
#[test]
fn killed_at_random_moments_every_event_is_once_in_the_file_and_once_in_the_topic() {
    let Some(broker) = broker() else { return };
    let (events, kills) =
        (from_environment("TIDEGATE_KAFKA_EVENTS", EVENTS), from_environment("TIDEGATE_KILLS", KILLS));
    let mut numbers = Numbers(from_environment("TIDEGATE_SEED", 17));
    broker.create("given", PARTITIONS);
    broker.create("taken", PARTITIONS);
    let home = Home::new(&format!(
        "sources: {{in: {{kafka: {{host: 127.0.0.1, port: {port}, topic: given, offset: earliest}}}}}}\n\
         operators: {{flat: {{from: in, select: \"body.n, meta.source_offset\"}}}}\n\
         sinks:\n  file: {{from: flat, file: {{path: out.jsonl}}}}\n  \
         topic: {{from: flat, kafka: {{host: 127.0.0.1, port: {port}, topic: taken, key: n}}}}\n",
        port = broker.port()
    ));
    let begun = Instant::now();
    let mut written = 0;
    let mut write = |up_to: u64| {
        while written < up_to {
            let next = up_to.min(written + PORTION);
            let mut lines = String::new();
            for n in written..next {
                let _ = writeln!(lines, "{{\"n\":{n},\"payload\":\"some text that makes it longer\"}}");
            }
            broker.produce("given", &[], lines.as_bytes());
            written = next;
        }
    };
    for kill in 1..=kills {
        let program = home.run();
        write(events * kill / (kills + 1));
        std::thread::sleep(Duration::from_millis(300 + numbers.below(3000)));
        program.kill().died();
    }
    write(events);
    let mut program = home.run();
    let out = || std::fs::read(home.folder().file("out.jsonl")).unwrap_or_default();
    let longest = Duration::from_secs(90 + events / 1_000);
    let lines = || out().iter().filter(|byte| **byte == b'\n').count() as u64;
    program.until_within(longest, "all events in the file", || lines() >= events);
    // What is in the file may not be committed in the topic yet.
    program.until_within(longest, "all events in the topic", || {
        broker.consume("taken", "%s\\n").lines().count() as u64 >= events
    });
    program.kill();
    let once = |mut found: Vec<u64>, what: &str| {
        found.sort_unstable();
        assert_eq!(found.len() as u64, events, "{what}");
        assert!(found.iter().enumerate().all(|(at, n)| at as u64 == *n), "{what}: something is lost or twice");
    };
    let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap();
    once(String::from_utf8(out()).unwrap().lines().map(number).collect(), "the file");
    once(broker.consume("taken", "%s\\n").lines().map(number).collect(), "the topic");
    println!("{events} events, {kills} kills, {:?}", begun.elapsed());
}
