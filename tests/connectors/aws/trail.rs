//! The event history of CloudTrail. moto knows none, so a server of our own answers as CloudTrail does: newest first, in
//! pages, events that turn up late, and refusals of who asks too often.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::fake::Fake;
use super::program;
use crate::diagnosis::diagnosed_in;
use crate::program::{Done, Folder, Running, eventually};

const PIPELINE: &str = "version: 1\nname: p\ncheckpoint: {every: 200ms}\nrestart: {initial: 100ms}\n\
                        sources: {t: {ansible.eda.aws_cloudtrail: {delay_seconds: 1, lookup_attributes: [{AttributeKey: ReadOnly, AttributeValue: \"false\"}]}}}\n\
                        sinks: {s: {from: t, file: {path: out.jsonl}}}\n";

/// The history: time and id of each event, and its record.
type History = Arc<Mutex<Vec<(i64, String, Value)>>>;

fn event((time, id, record): &(i64, String, Value)) -> Value {
    json!({
        "EventId": id,
        "EventName": "RunInstances",
        "ReadOnly": "false",
        "EventTime": *time as f64,
        "EventSource": "ec2.amazonaws.com",
        "Username": "ops",
        "Resources": [{"ResourceType": "AWS::EC2::Instance", "ResourceName": "i-1"}],
        "CloudTrailEvent": record.to_string(),
    })
}

/// Answers in pages of two, newest first.
fn look_up(history: &History, request: &Value) -> Value {
    let time = |name: &str| request[name].as_f64().map(|time| time as i64);
    let (from, to) = (time("StartTime").expect("a start"), time("EndTime").expect("an end"));
    let mut found: Vec<_> = history.lock().iter().filter(|(time, ..)| (from..=to).contains(time)).cloned().collect();
    found.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
    let skip = request["NextToken"].as_str().map_or(0, |token| token.parse::<usize>().expect("our own token"));
    let page: Vec<Value> = found.iter().skip(skip).take(2).map(event).collect();
    match found.len() > skip + 2 {
        true => json!({"Events": page, "NextToken": (skip + 2).to_string()}),
        false => json!({"Events": page}),
    }
}

fn now() -> i64 {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    elapsed.expect("it is later").as_secs() as i64
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["EventId"].as_str().expect("an id")).collect()
}

// matrix: aws_cloudtrail: happy, kill-before-ack, kill-after-ack
#[test]
fn every_event_comes_once_oldest_first_also_late_ones_and_across_a_kill() {
    let history = History::default();
    let (told, mut asked) = (Arc::clone(&history), 0);
    let fake = Fake::start(move |_, request| {
        asked += 1;
        match asked {
            2 | 3 => json!({"__type": "ThrottlingException", "message": "Rate exceeded"}),
            _ => look_up(&told, request),
        }
    });
    let folder = Folder::with(&[("p.yaml", PIPELINE)]);
    let start = || Running::of(&mut program(&folder, &fake.endpoint, &["run", "p.yaml"]));
    let rows =
        |count: usize| eventually("the events", || Some(folder.rows("out.jsonl")).filter(|rows| rows.len() >= count));
    let running = start();
    let lookups = || fake.requests("CloudTrail_20131101.LookupEvents");
    let first = eventually("the first look", || lookups().first().cloned());
    assert_eq!(first["LookupAttributes"], json!([{"AttributeKey": "ReadOnly", "AttributeValue": "false"}]));
    let begun = first["StartTime"].as_f64().expect("a time") as i64;
    let add = |after: i64, id: &str, record: Value| history.lock().push((begun + after, id.to_owned(), record));
    add(-5, "before", json!({}));
    for (after, id) in [(1, "a"), (1, "b"), (2, "c"), (2, "d"), (3, "e")] {
        add(after, id, json!({"requestParameters": {"instanceType": "m7i.large"}, "after": after}));
    }
    eventually("some seconds", || now() > begun + 3);
    let early = rows(5);
    let seconds: Vec<i64> = early.iter().map(|row| row["CloudTrailEvent"]["after"].as_i64().expect("it")).collect();
    assert!(seconds.is_sorted(), "{seconds:?}");
    add(2, "late", json!({"requestParameters": "another shape"}));
    let late = rows(6);
    assert_eq!(ids(&late)[5], "late");
    assert!(late[5]["CloudTrailEvent"].is_null() && late[5]["text"].as_str().expect("text").contains("another shape"));
    drop(running);
    add(1, "late and while it was down", json!({}));
    add(4, "while it was down", json!({}));
    let running = start();
    let all = rows(8);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(rows(8).len(), 8, "nothing comes twice");
    running.stop();
    let mut sorted = ids(&all);
    sorted.sort_unstable();
    assert_eq!(sorted, ["a", "b", "c", "d", "e", "late", "late and while it was down", "while it was down"]);
    assert_eq!(all[0]["meta"]["source"], json!({"name": "t", "type": "aws_cloudtrail"}));
    assert_eq!(all[0]["Resources"][0]["ResourceName"], "i-1");
    assert_eq!(all[0]["CloudTrailEvent"]["requestParameters"]["instanceType"], "m7i.large");
}

// matrix: aws_cloudtrail: disconnect
#[test]
fn a_refusal_is_said_with_what_was_asked() {
    let fake = Fake::start(|_, _| json!({"__type": "AccessDeniedException", "message": "not you"}));
    let folder = Folder::with(&[("p.yaml", PIPELINE)]);
    let refused = Done::of(&mut program(&folder, &fake.endpoint, &["run", "p.yaml"]));
    refused.code(3).said(&["p.yaml:5:", "look up events of CloudTrail", "may not do that", "not you"]);
}

#[test]
fn a_history_is_diagnosed_step_by_step() {
    let fake = Fake::start(|_, _| json!({"Events": []}));
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let at = |fake: &Fake| {
        let endpoint = format!("endpoint_url={}", fake.endpoint);
        diagnosed_in("aws_cloudtrail", &[&endpoint, "region=us-east-1"], &keys).hides("hunter2")
    };
    at(&fake).all_well();
    let refusing = |code: &'static str| Fake::start(move |_, _| json!({"__type": code, "message": "no"}));
    at(&refusing("AccessDeniedException")).fails_at("lookup allowed", &["may not do that", "allow it in the policy"]);
    at(&refusing("UnrecognizedClientException")).fails_at("lookup allowed", &["the credentials are refused"]);
}
