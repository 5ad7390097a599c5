//! `webhook` and the listening half of `alertmanager`: what was answered is there, once, whatever happened then.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::home::Home;
use crate::http::{post, receive, send};
use crate::service::free_ports;

/// How often a program is killed.
const KILLS: u64 = 5;

fn webhook(port: u16) -> Home {
    Home::new(&format!("{{webhook: {{host: 127.0.0.1, port: {port}, headers: []}}}}"))
}

/// How often each number came out.
fn numbers(rows: &[Value]) -> BTreeMap<i64, usize> {
    let mut numbers = BTreeMap::new();
    for row in rows {
        *numbers.entry(row["payload"]["n"].as_i64().expect("a number")).or_default() += 1;
    }
    numbers
}

fn all_once(count: u64) -> BTreeMap<i64, usize> {
    (1..=count as i64).map(|number| (number, 1)).collect()
}

/// Posts until it is answered with success.
fn insist(port: u16, number: u64) -> String {
    let headers = format!("Idempotency-Key: {number}\r\n");
    for _ in 0..2_000 {
        match post(port, "/", &headers, &json!({"n": number}).to_string()) {
            Some((202, body)) => return body,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("{number} is never answered");
}

// matrix: webhook: happy
#[test]
fn webhook_happy() {
    let port = free_ports(1)[0];
    let home = webhook(port);
    let running = home.run_listening(port);
    let (status, body) = post(port, "/alerts/a", "", r#"{"n": 1, "text": "ä"}"#).expect("an answer");
    running.stop();
    let rows = home.rows();
    let id: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, rows.len()), (202, 1));
    assert_eq!(rows[0]["payload"], json!({"n": 1, "text": "ä"}));
    assert_eq!(rows[0]["meta"]["uuid"], id["id"]);
    assert_eq!(rows[0]["meta"]["endpoint"], "alerts/a");
    assert_eq!(rows[0]["meta"]["source"], json!({"name": "in", "type": "webhook"}));
    assert!(rows[0]["meta"]["received_at"].is_string());
}

// matrix: webhook: malformed
#[test]
fn webhook_malformed() {
    let port = free_ports(1)[0];
    let home = webhook(port);
    let running = home.run_listening(port);
    let mut statuses = Vec::new();
    for body in ["", "{", r#"{"n": 1}"#, r#"{"n": "one"}"#] {
        statuses.push(post(port, "/", "", body).expect("an answer").0);
    }
    running.stop();
    assert_eq!(statuses, [400, 400, 202, 202]);
    assert_eq!(numbers(&home.rows()), all_once(1));
    let bad = home.errors();
    assert_eq!(bad.len(), 1, "what is JSON and fits no column is kept");
    assert!(bad[0]["raw"].as_str().expect("the input").contains("one"));
}

// matrix: webhook: disconnect
#[test]
fn webhook_disconnect() {
    let port = free_ports(1)[0];
    let home = webhook(port);
    let running = home.run_listening(port);
    for part in ["", "POST", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{\"n\""] {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.write_all(part.as_bytes()).expect("it reads");
    }
    drop(send(port, "/", "Idempotency-Key: 1\r\n", r#"{"n": 1}"#).expect("it reads"));
    insist(port, 1);
    running.stop();
    assert_eq!(numbers(&home.rows()), all_once(1));
}

// matrix: webhook: kill-before-ack
#[test]
fn webhook_killed_before_the_answer() {
    let port = free_ports(1)[0];
    let home = webhook(port);
    for number in 1..=KILLS {
        let running = home.run_listening(port);
        let headers = format!("Idempotency-Key: {number}\r\n");
        let unanswered = send(port, "/", &headers, &json!({"n": number}).to_string()).expect("it reads");
        std::thread::sleep(Duration::from_millis(2 * (number - 1)));
        running.kill();
        drop(receive(unanswered));
        let running = home.run_listening(port);
        insist(port, number);
        running.kill();
    }
    home.run_listening(port).stop();
    assert_eq!(numbers(&home.rows()), all_once(KILLS));
}

// matrix: webhook: kill-after-ack
#[test]
fn webhook_killed_after_the_answer() {
    let port = free_ports(1)[0];
    let home = webhook(port);
    let mut ids = Vec::new();
    for number in 1..=KILLS {
        let running = home.run_listening(port);
        ids.push(insist(port, number));
        running.kill();
    }
    let running = home.run_listening(port);
    let again: Vec<String> = (1..=KILLS).map(|number| insist(port, number)).collect();
    assert_eq!(again, ids, "a repetition is answered as the first was");
    running.stop();
    assert_eq!(numbers(&home.rows()), all_once(KILLS));
}

// matrix: webhook: kill-before-ack, kill-after-ack
#[test]
fn webhook_killed_again_and_again_while_many_call() {
    const CALLERS: u64 = 8;
    const EACH: u64 = 40;
    let port = free_ports(1)[0];
    let home = webhook(port);
    let (next, done) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        insist(port, next.fetch_add(1, Ordering::Relaxed));
                    }
                })
            })
            .collect();
        let killer = scope.spawn(|| {
            let mut kills = 0;
            while !done.load(Ordering::Relaxed) {
                let running = home.run_listening(port);
                std::thread::sleep(Duration::from_millis(20 + 37 * (kills % 4)));
                if kills < 3 * KILLS {
                    running.kill();
                    kills += 1;
                } else {
                    while !done.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            }
            kills
        });
        callers.into_iter().for_each(|caller| caller.join().expect("every caller is answered"));
        done.store(true, Ordering::Relaxed);
        println!("{} kills", killer.join().expect("the program starts again"));
    });
    home.run_listening(port).stop();
    assert_eq!(numbers(&home.rows()), all_once(CALLERS * EACH));
}

#[test]
fn webhook_that_stops_answers_everybody_whose_event_it_has_kept_and_asks_the_others_to_come_again() {
    const CALLERS: u64 = 8;
    let port = free_ports(1)[0];
    let home = webhook(port);
    for round in 0..KILLS {
        let running = home.run_listening(port);
        let call = |caller: u64| {
            let first = (round * CALLERS + caller) * 100_000;
            let (mut kept, mut last) = (Vec::new(), Some((202, String::new())));
            for n in first..first + 100_000 {
                last = post(port, "/", "", &json!({"n": n}).to_string());
                match &last {
                    Some((202, _)) => kept.push(n as i64),
                    _ => break,
                }
            }
            (kept, last)
        };
        let mut kept = Vec::new();
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || call(caller))).collect();
            std::thread::sleep(Duration::from_millis(100 + 20 * round));
            running.stop();
            for caller in callers {
                let (answered, last) = caller.join().expect("a caller ends");
                kept.extend(answered);
                assert!(last.is_none_or(|(status, _)| status == 503), "it stops");
            }
        });
        let numbers = numbers(&home.rows());
        let of_this_round = (round * CALLERS * 100_000) as i64..((round + 1) * CALLERS * 100_000) as i64;
        let found: Vec<i64> = numbers.keys().filter(|n| of_this_round.contains(n)).copied().collect();
        kept.sort_unstable();
        assert_eq!(found, kept, "what is kept was answered, and what was answered is kept");
        assert!(numbers.values().all(|times| *times == 1), "{numbers:?}");
    }
}

#[test]
fn webhook_without_ids_keeps_what_it_answered_once() {
    let port = free_ports(1)[0];
    let home = webhook(port);
    let mut answered = Vec::new();
    for round in 0..KILLS {
        let running = home.run_listening(port);
        std::thread::scope(|scope| {
            let caller = scope.spawn(move || {
                let post = |n: u64| post(port, "/", "", &json!({"n": n}).to_string()).filter(|said| said.0 == 202);
                (round * 1000..).take(500).take_while(|n| post(*n).is_some()).collect::<Vec<_>>()
            });
            std::thread::sleep(Duration::from_millis(30 + 20 * round));
            running.kill();
            answered.extend(caller.join().expect("a caller ends"));
        });
    }
    home.run_listening(port).stop();
    let numbers = numbers(&home.rows());
    assert!(!answered.is_empty());
    assert!(answered.iter().all(|number| numbers.contains_key(&(*number as i64))), "{answered:?} {numbers:?}");
    assert!(numbers.values().all(|times| *times == 1), "{numbers:?}");
}

// matrix: alertmanager: kill-before-ack, kill-after-ack
#[test]
fn alertmanager_killed_before_and_after_the_answer() {
    let port = free_ports(1)[0];
    let home = Home::new(&format!("{{alertmanager: {{host: 127.0.0.1, port: {port}}}}}"));
    let alert = |n: u64| json!({"n": n, "alerts": [{"labels": {"instance": "a:1"}}, {"labels": {"instance": "b"}}]});
    for number in 1..=KILLS {
        let running = home.run_listening(port);
        let answer = post(port, "/", "", &alert(number).to_string()).expect("an answer");
        assert_eq!(answer.0, 202);
        running.kill();
        let running = home.run_listening(port);
        let unanswered = send(port, "/", "", &alert(1000 + number).to_string()).expect("it reads");
        running.kill();
        drop(receive(unanswered));
    }
    home.run_listening(port).stop();
    let rows = home.rows();
    let notifications: Vec<Value> = rows.iter().filter(|row| row["payload"].is_object()).cloned().collect();
    let numbers = numbers(&notifications);
    assert!((1..=KILLS as i64).all(|number| numbers[&number] == 1), "{numbers:?}");
    assert!(numbers.values().all(|times| *times == 1), "{numbers:?}");
    assert_eq!(rows.len(), 3 * notifications.len(), "a notification and its alerts are there together");
}

// matrix: alertmanager: malformed, disconnect
#[test]
fn alertmanager_malformed_and_disconnect() {
    let port = free_ports(1)[0];
    let home = Home::new(&format!("{{alertmanager: {{host: 127.0.0.1, port: {port}}}}}"));
    let running = home.run_listening(port);
    assert_eq!(post(port, "/", "", "{").expect("an answer").0, 400);
    drop(send(port, "/", "Content-Length: 5\r\n", "{").expect("it reads"));
    assert_eq!(post(port, "/", "", r#"{"alerts": [{"labels": {}}]}"#).expect("an answer").0, 202);
    running.stop();
    assert_eq!(home.rows().len(), 2);
}

#[test]
fn a_port_in_use_ends_the_program_with_its_reason() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = webhook(taken.local_addr().expect("an address").port());
    home.run().wait().code(2).said(&["address already in use"]);
}
