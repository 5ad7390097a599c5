//! `http_poll` and `url_check`, killed between and during their rounds.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::diagnosis::{diagnosed, diagnosed_in};
use crate::home::{Home, numbers};
use crate::program::Done;
use crate::service::free_ports;

/// In place of a status: something that is not HTTP.
const GARBAGE: u16 = 1;
/// In place of a status: the connection ends without an answer.
const SILENCE: u16 = 0;

/// A server that answers each request, counted from 1, until the process ends.
fn serve(answer: impl Fn(u64) -> (u16, String) + Send + 'static) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            // A client that was killed has not asked anything.
            if !lines.by_ref().map_while(Result::ok).any(|line| line.is_empty()) {
                continue;
            }
            let (status, body) = answer(counter.fetch_add(1, Ordering::SeqCst) + 1);
            if status == GARBAGE {
                let _ = stream.write_all(b"this is not HTTP\r\n\r\n");
                continue;
            }
            if status == SILENCE {
                continue;
            }
            let length = body.len();
            let _ = stream.write_all(
                format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
                    .as_bytes(),
            );
        }
    });
    (port, asked)
}

/// Starts the program and kills it, again and again, until that many requests were made.
fn kill_until(home: &Home, asked: &AtomicU64, requests: u64) -> u64 {
    let mut kills = 0;
    while asked.load(Ordering::SeqCst) < requests {
        let before = asked.load(Ordering::SeqCst);
        assert!(kills < 200, "only {before} requests");
        let mut running = home.run();
        running.until("more requests", || asked.load(Ordering::SeqCst) > before + kills % 4);
        std::thread::sleep(Duration::from_millis(3 * (kills % 3)));
        running.kill();
        kills += 1;
    }
    kills
}

// matrix: http_poll: kill-before-ack, kill-after-ack
#[test]
fn http_poll_killed_before_and_after_its_steps_are_durable() {
    const MOST: u64 = 40;
    let (port, asked) = serve(|number| {
        let items: Vec<Value> = (1..=number.min(MOST)).map(|n| json!({"n": n})).collect();
        (200, Value::from(items).to_string())
    });
    let home = Home::new(&format!("{{http_poll: {{url: 'http://127.0.0.1:{port}/', interval: 5ms, id: n}}}}"));
    let kills = kill_until(&home, &asked, MOST);
    let mut running = home.run();
    running.until("the last item", || home.rows().iter().any(|row| row["body"]["n"] == MOST));
    running.stop();
    let wanted = ((1..=MOST as i64).collect::<Vec<_>>(), MOST as usize);
    assert_eq!(numbers(&home.rows()), wanted, "{kills} kills");
}

/// An `http_poll` of a server whose first answers are these; then come two items.
fn polled(first: &'static [(u16, &'static str)]) -> (Home, Done) {
    let (port, _) = serve(|number| match first.get(number as usize - 1) {
        Some((status, body)) => (*status, (*body).to_owned()),
        None => (200, json!([{"n": 1}, {"n": 2}]).to_string()),
    });
    let home = Home::new(&format!("{{http_poll: {{url: 'http://127.0.0.1:{port}/x', interval: 5ms, id: n}}}}"));
    let mut running = home.run();
    running.until("both items", || home.rows().len() >= 2);
    let done = running.stop();
    assert_eq!(home.rows().iter().map(|row| row["body"]["n"].clone()).collect::<Vec<_>>(), [1, 2]);
    (home, done)
}

// matrix: http_poll: happy
#[test]
fn http_poll_happy() {
    let (home, _) = polled(&[]);
    let rows = home.rows();
    assert!(rows[0]["meta"]["url"].as_str().expect("a URL").ends_with("/x"));
    assert_eq!(rows[0]["meta"]["source"], json!({"name": "in", "type": "http_poll"}));
    assert!(home.errors().is_empty());
}

// matrix: http_poll: malformed
#[test]
fn http_poll_malformed() {
    let (home, _) = polled(&[(200, "{"), (200, "<html>")]);
    let reasons: Vec<Value> = home.errors().iter().map(|row| row["reason"].clone()).collect();
    assert_eq!(reasons, ["the answer is not JSON", "the answer is not JSON"]);
}

// matrix: http_poll: disconnect
#[test]
fn http_poll_disconnect() {
    let (_, done) = polled(&[(500, ""), (SILENCE, ""), (GARBAGE, "")]);
    done.said(&["500 Internal Server Error"]);
}

/// What a `url_check` says of a server with these answers, the last for ever.
fn checked(answers: &'static [u16]) -> Vec<Value> {
    let (port, _) = serve(|number| (answers[(number as usize).min(answers.len()) - 1], String::new()));
    let home = Home::new(&format!("{{url_check: {{urls: ['http://127.0.0.1:{port}/'], delay: 0.005}}}}"));
    let mut running = home.run();
    running.until("every answer", || home.rows().len() >= answers.len());
    running.stop();
    home.rows().iter().take(answers.len()).map(|row| row["url_check"].clone()).collect()
}

// matrix: url_check: happy
#[test]
fn url_check_happy() {
    let reports = checked(&[200, 404, 200]);
    let said = |report: &Value| (report["status"].clone(), report["status_code"].clone());
    let wanted = [("up", 200), ("down", 404), ("up", 200)].map(|(status, code)| (json!(status), json!(code)));
    assert_eq!(reports.iter().map(said).collect::<Vec<_>>(), wanted);
}

// matrix: url_check: malformed, disconnect
#[test]
fn url_check_malformed_and_disconnect() {
    let reports = checked(&[GARBAGE, SILENCE, 200]);
    for report in &reports[..2] {
        assert_eq!(report["status"], "down");
        assert!(report["error_msg"].as_str().is_some_and(|why| !why.is_empty()), "{report}");
    }
    assert_eq!(reports[2]["status"], "up");
}

// matrix: url_check: kill-before-ack, kill-after-ack
#[test]
fn url_check_killed_tells_each_change_once() {
    let (port, asked) = serve(|number| (if number.div_ceil(10) % 2 == 1 { 200 } else { 503 }, String::new()));
    let url = format!("http://127.0.0.1:{port}/");
    let home = Home::new(&format!("{{url_check: {{urls: ['{url}'], delay: 0.005, emit: changes}}}}"));
    kill_until(&home, &asked, 35);
    let mut running = home.run();
    // A change that nobody saw, because the check that found it was killed, is seen by the next check.
    running.until("two changes", || home.rows().len() >= 2);
    running.stop();
    let rows = home.rows();
    let codes: Vec<i64> = rows.iter().map(|row| row["url_check"]["status_code"].as_i64().expect("a code")).collect();
    assert!(codes.windows(2).all(|two| two[0] != two[1]), "a state is told once: {codes:?}");
}

#[test]
fn urls_are_diagnosed_each_for_itself() {
    let (up, _) = serve(|_| (200, String::new()));
    let (down, _) = serve(|_| (503, String::new()));
    let nobody = free_ports(1)[0];
    let of = |port: u16| format!("http://127.0.0.1:{port}/");
    let urls = format!("urls=['{}', 'http://me:hunter2@127.0.0.1:{up}/?key=hunter2']", of(up));
    diagnosed("url_check", &[&urls]).all_well().hides("hunter2");
    let urls = format!("urls=['{}', '{}']", of(down), of(up));
    let told = diagnosed("url_check", &[&urls]);
    let told = told.fails_at(&format!("{}: expected answer", of(down)), &["503", "200 is expected"]);
    assert_eq!(told.detail(&format!("{}: expected answer", of(up))), "200 OK");
    let told = diagnosed("url_check", &[&format!("urls=['{}']", of(nobody))]);
    told.fails_at(&format!("{}: TCP connected", of(nobody)), &["refused"]);
    let tls = format!("urls=['https://127.0.0.1:{up}/']");
    diagnosed("url_check", &[&tls]).fails_at(&format!("https://127.0.0.1:{up}/: TLS handshake"), &[]);
}

#[test]
fn an_endpoint_is_diagnosed_down_to_its_items() {
    let (port, asked) = serve(|_| (200, r#"{"data": {"items": [{"id": 1}, {"id": 2}]}}"#.to_owned()));
    let url = format!("url=http://127.0.0.1:{port}/?key=hunter2");
    let told = diagnosed("http_poll", &[&url, "items=data.items", "id=id"]).all_well().hides("hunter2");
    assert_eq!((told.detail("items found"), asked.load(Ordering::SeqCst)), ("2 items", 1));
    let wrong = diagnosed("http_poll", &[&url, "items=data.rows"]);
    wrong.fails_at("items found", &["nothing at `data.rows`", "its members are data", "correct `items`"]);
    let wrong = diagnosed("http_poll", &[&url, "items=data.items", "since={parameter: from, path: time}"]);
    wrong.fails_at("items found", &["nothing at `time`", "its members are id"]);
    let (html, _) = serve(|_| (200, "<html>".to_owned()));
    diagnosed("http_poll", &[&format!("url=http://127.0.0.1:{html}/")]).fails_at("answer is JSON", &["not JSON"]);
    let (denied, _) = serve(|_| (401, String::new()));
    let denied = format!("url=http://127.0.0.1:{denied}/");
    let told = diagnosed_in("http_poll", &[&denied, "token={env: TOKEN}"], &[("TOKEN", "hunter2")]);
    told.fails_at("answered", &["401"]).hides("hunter2");
    diagnosed("http_poll", &[&denied, "token={env: NO_SUCH_TOKEN}"]).fails_at("secrets read", &["NO_SUCH_TOKEN"]);
}
