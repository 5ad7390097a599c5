//! The source and the sink `kafka` against Apache Kafka, with kcat on the other side.

mod broker;
mod kills;
mod program;
mod security;

use std::time::Duration;

use serde_json::{Value, json};

use self::broker::{Broker, broker};
use self::program::{Home, eventually};

/// The options that reach the broker.
fn reach(broker: &Broker) -> String {
    format!("host: 127.0.0.1, port: {}, metadata_max_age_ms: 500", broker.port())
}

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
    let home = Home::new(&format!(
        "sources: {{in: {{kafka: {{{}, topic: round, offset: earliest}}}}}}\n\
         sinks:\n  out: {{from: in, file: {{path: out.jsonl}}}}\n  bad: {{from: in.errors, file: {{path: bad.jsonl}}}}\n",
        reach(broker)
    ));
    let _program = home.run();
    eventually("all messages", || home.lines("out.jsonl").len() == 4 && home.lines("bad.jsonl").len() == 1);
    let rows = home.lines("out.jsonl");
    assert_eq!(rows[0]["body"], json!({"n": 1}));
    assert_eq!(rows[0]["meta"]["headers"], json!({"trace": "abc"}));
    assert_eq!((&rows[0]["meta"]["key"], &rows[0]["meta"]["source_offset"]), (&json!("k1"), &json!("round:0:0")));
    assert_eq!((&rows[1]["body_text"], &rows[2]["body_text"]), (&json!("plain text"), &json!("0")));
    assert_eq!(rows[3]["body"], json!({"n": 2}));
    let bad = &home.lines("bad.jsonl")[0];
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
    let output = home.command().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
        let died = (1..=4).filter(|pass| {
            let crashed = home.command().env("TIDEGATE_CRASH_AT", format!("{point}:{pass}")).output().unwrap();
            !crashed.status.success()
        });
        assert!(died.count() > 0, "{point} was never reached");
        let output = home.command().output().unwrap();
        assert!(output.status.success(), "{point}: {}", String::from_utf8_lossy(&output.stderr));
        let expected: String = (0..100).map(|i| format!("{{\"i\":{i}}}\n")).collect();
        assert_eq!(broker.consume(&topic, "%s\\n"), expected, "{point}");
    }
}

#[test]
fn two_members_of_a_group_share_a_topic_and_one_that_is_killed_loses_nothing() {
    let Some(broker) = broker() else { return };
    broker.create("shared", 4);
    let pipeline = format!(
        "sources: {{in: {{kafka: {{{}, topic: shared, offset: earliest, group_id: readers}}}}}}\n\
         sinks: {{out: {{from: in, file: {{path: out.jsonl}}}}}}\n",
        reach(broker)
    );
    let (one, other) = (Home::new(&pipeline), Home::new(&pipeline));
    let numbers = |home: &Home| home.numbers("out.jsonl");
    let (_first, mut second) = (one.run(), other.run());
    let mut produced = 0;
    let produce = |from: &mut i64, count: i64| {
        let lines: String = (*from..*from + count).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        broker.produce("shared", &[], lines.as_bytes());
        *from += count;
    };
    // Until both have something: only then the second has joined.
    eventually("both read", || {
        produce(&mut produced, 50);
        !numbers(&one).is_empty() && !numbers(&other).is_empty()
    });
    second.kill();
    produce(&mut produced, 500);
    // What was durable in the journal of the second, and so committed, may not have reached its file yet.
    let _again = other.run();
    let all = || {
        let mut all = [numbers(&one), numbers(&other)].concat();
        all.sort_unstable();
        all.dedup();
        all.len() as i64
    };
    eventually("nothing is lost", || all() == produced);
    eventually("everything is committed", || broker.lag("readers", "shared", 4) == 0);
}

#[test]
fn a_member_that_is_stopped_has_committed_what_it_took_and_left_its_group() {
    let Some(broker) = broker() else { return };
    broker.create("left", 2);
    let home = Home::new(&format!(
        "sources: {{in: {{kafka: {{{}, topic: left, offset: earliest, group_id: leavers}}}}}}\n\
         sinks: {{out: {{from: in, file: {{path: out.jsonl}}}}}}\n",
        reach(broker)
    ));
    for life in 1..=3 {
        let lines: String = (0..100).map(|n| format!("{{\"n\":{}}}\n", (life - 1) * 100 + n)).collect();
        broker.produce("left", &[], lines.as_bytes());
        let program = home.run();
        eventually("every message", || home.numbers("out.jsonl").len() as i64 >= life * 100);
        program.stop();
        assert_eq!(broker.lag("leavers", "left", 2), 0);
    }
    let mut numbers = home.numbers("out.jsonl");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>(), "each came once");
}

// matrix: kafka: disconnect
#[test]
fn a_broker_that_stops_and_comes_back_is_waited_for() {
    let Some(mut broker) = Broker::start() else { return };
    broker.create("steady", 1);
    broker.produce("steady", &[], b"{\"n\":0}\n");
    let home = Home::new(&format!(
        "restart: {{initial: 100ms, max: 1s}}\n\
         sources: {{in: {{kafka: {{{}, topic: steady, offset: earliest}}}}}}\n\
         sinks: {{out: {{from: in, file: {{path: out.jsonl}}}}}}\n",
        reach(&broker)
    ));
    let _program = home.run();
    eventually("the first", || home.numbers("out.jsonl") == [0]);
    broker.stop();
    std::thread::sleep(Duration::from_secs(3));
    broker.start_again();
    broker.produce("steady", &[], b"{\"n\":1}\n");
    eventually("the second", || home.numbers("out.jsonl") == [0, 1]);
}

#[test]
fn messages_that_retention_has_deleted_are_missed_only_when_the_user_says_so() {
    let Some(broker) = broker() else { return };
    broker.create("short", 1);
    broker.produce("short", &[], b"{\"n\":0}\n{\"n\":1}\n");
    let pipeline = |more: &str| {
        format!(
            "sources: {{in: {{kafka: {{{}, topic: short, offset: earliest{more}}}}}}}\n\
             sinks: {{out: {{from: in, file: {{path: out.jsonl}}}}}}\n",
            reach(broker)
        )
    };
    let home = Home::new(&pipeline(""));
    let mut program = home.run();
    eventually("both", || home.numbers("out.jsonl") == [0, 1]);
    program.kill();
    broker.produce("short", &[], b"{\"n\":2}\n{\"n\":3}\n");
    broker.delete_before("short", 3);
    let output = home.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the messages 2 to 2 of short:0 are gone") && said.contains("on_missing_offset"), "{said}");
    home.edit(&pipeline(", on_missing_offset: earliest"));
    let _program = home.run();
    eventually("the rest", || home.numbers("out.jsonl") == [0, 1, 3]);
}
