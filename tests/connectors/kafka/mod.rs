//! The source and the sink `kafka` against Apache Kafka, with kcat on the other side.

mod broker;
mod home;
mod kills;
mod security;

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_pipeline::testing::crash::VARIABLE;

use self::broker::{Broker, broker};
use self::home::{Home, reading, topic};
use crate::program::Done;

// matrix: kafka: happy, malformed
#[test]
fn what_kcat_writes_comes_out_as_events_and_what_is_none_goes_to_errors() {
    let Some(broker) = broker() else { return };
    broker.create("round", 1);
    broker.produce("round", &["-H", "trace=abc", "-K", ":"], b"k1:{\"n\":1}\n");
    broker.produce("round", &[], b"plain text\n0\n");
    broker.produce("round", &["-K", ":", "-Z"], b"gone:\n");
    broker.produce("round", &[], b"\xff\xfe\n");
    broker.produce("round", &[], b"{\"n\":2}\n");
    let source = format!("{{kafka: {{host: 127.0.0.1, offset: earliest, {}}}}}", topic(broker, "round", ""));
    let home = crate::home::Home::new(&source);
    home.run().until("all messages", || home.rows().len() == 4 && home.errors().len() == 1);
    let rows = home.rows();
    assert_eq!(rows[0]["body"], json!({"n": 1}));
    assert_eq!(rows[0]["meta"]["headers"], json!({"trace": "abc"}));
    assert_eq!((&rows[0]["meta"]["key"], &rows[0]["meta"]["source_offset"]), (&json!("k1"), &json!("round:0:0")));
    assert_eq!((&rows[1]["body_text"], &rows[2]["body_text"]), (&json!("plain text"), &json!("0")));
    assert_eq!(rows[3]["body"], json!({"n": 2}));
    let bad = &home.errors()[0];
    assert_eq!(bad["position"], "round:0:4");
    assert!(bad["reason"].as_str().unwrap().contains("UTF-8"), "{bad}");
}

#[test]
fn rows_reach_a_topic_with_their_keys_and_headers_and_only_when_they_are_committed() {
    let Some(broker) = broker() else { return };
    broker.create("written", 3);
    let home = Home::new(&format!(
        "sources: {{in: {{range: {{limit: 100}}}}}}\n\
         sinks: {{out: {{from: in, kafka: {{host: 127.0.0.1, port: {}, topic: written, key: \"i % 3\", \
         headers: {{kind: \"'even-' || (i % 2 = 0)\"}}}}}}}}\n",
        broker.port()
    ));
    home.done().code(0);
    let mut found: Vec<(i64, String, String)> = broker
        .consume("written", "%k\\t%h\\t%s\\n")
        .lines()
        .map(|line| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            let (key, headers, body) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            (serde_json::from_str::<Value>(&body).unwrap()["i"].as_i64().unwrap(), key, headers)
        })
        .collect();
    found.sort_unstable();
    let expected: Vec<(i64, String, String)> =
        (0..100).map(|i| (i, (i % 3).to_string(), format!("kind=even-{}", i % 2 == 0))).collect();
    assert_eq!(found, expected);
}

#[test]
fn wherever_it_dies_while_it_commits_rows_are_in_the_topic_once() {
    let Some(broker) = broker() else { return };
    for point in ["sink.sync", "sink.synced", "marks.apply", "marks.applied"] {
        let topic = format!("once-{}", point.replace('.', "-"));
        broker.create(&topic, 1);
        let home = Home::new(&format!(
            "sources: {{in: {{range: {{limit: 100}}}}}}\n\
             sinks: {{out: {{from: in, kafka: {{host: 127.0.0.1, port: {}, topic: {topic}}}}}}}\n",
            broker.port()
        ));
        let died =
            (1..=4).filter(|pass| Done::of(home.command().env(VARIABLE, format!("{point}:{pass}"))).code.is_none());
        assert!(died.count() > 0, "{point} was never reached");
        home.done().code(0);
        let expected: String = (0..100).map(|i| format!("{{\"i\":{i}}}\n")).collect();
        assert_eq!(broker.consume(&topic, "%s\\n"), expected, "{point}");
    }
}

#[test]
fn two_members_of_a_group_share_a_topic_and_one_that_is_killed_loses_nothing() {
    let Some(broker) = broker() else { return };
    broker.create("shared", 4);
    let options = topic(broker, "shared", ", group_id: readers");
    let (one, other) = (Home::reads(&options), Home::reads(&options));
    let (_first, mut second) = (one.run(), other.run());
    let mut produced = 0;
    let produce = |from: &mut i64, count: i64| {
        let lines: String = (*from..*from + count).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        broker.produce("shared", &[], lines.as_bytes());
        *from += count;
    };
    // Until both have something: only then the second has joined.
    second.until("both read", || {
        produce(&mut produced, 50);
        !one.numbers().is_empty() && !other.numbers().is_empty()
    });
    second.kill();
    produce(&mut produced, 500);
    // What was durable in the journal of the second, and so committed, may not have reached its file yet.
    let mut again = other.run();
    let all = || {
        let mut all = [one.numbers(), other.numbers()].concat();
        all.sort_unstable();
        all.dedup();
        all.len() as i64
    };
    again.until("nothing is lost", || all() == produced);
    again.until("everything is committed", || broker.lag("readers", "shared", 4) == 0);
}

#[test]
fn a_member_that_is_stopped_has_committed_what_it_took_and_left_its_group() {
    let Some(broker) = broker() else { return };
    broker.create("left", 2);
    let home = Home::reads(&topic(broker, "left", ", group_id: leavers"));
    for life in 1..=3 {
        let lines: String = (0..100).map(|n| format!("{{\"n\":{}}}\n", (life - 1) * 100 + n)).collect();
        broker.produce("left", &[], lines.as_bytes());
        let mut program = home.run();
        program.until("every message", || home.numbers().len() as i64 >= life * 100);
        let done = program.stop();
        assert_eq!(broker.lag("leavers", "left", 2), 0, "life {life}: {}", done.stderr);
    }
    let mut numbers = home.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>(), "each came once");
}

// matrix: kafka: disconnect
#[test]
fn a_broker_that_stops_and_comes_back_is_waited_for() {
    let Some(mut broker) = Broker::start() else { return };
    broker.create("steady", 1);
    broker.produce("steady", &[], b"{\"n\":0}\n");
    let home = Home::reads(&topic(&broker, "steady", ""));
    let mut program = home.run();
    program.until("the first", || home.numbers() == [0]);
    broker.stop();
    std::thread::sleep(Duration::from_secs(3));
    broker.start_again();
    broker.produce("steady", &[], b"{\"n\":1}\n");
    program.until("the second", || home.numbers() == [0, 1]);
}

#[test]
fn messages_that_retention_has_deleted_are_missed_only_when_the_user_says_so() {
    let Some(broker) = broker() else { return };
    broker.create("short", 1);
    broker.produce("short", &[], b"{\"n\":0}\n{\"n\":1}\n");
    let home = Home::reads(&topic(broker, "short", ""));
    let mut program = home.run();
    program.until("both", || home.numbers() == [0, 1]);
    program.kill();
    broker.produce("short", &[], b"{\"n\":2}\n{\"n\":3}\n");
    broker.delete_before("short", 3);
    home.done().code(2).said(&["the messages 2 to 2 of short:0 are gone", "on_missing_offset"]);
    home.edit(&reading(&topic(broker, "short", ", on_missing_offset: earliest")));
    home.run().until("the rest", || home.numbers() == [0, 1, 3]);
}
