//! What rounds of checks find.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_pipeline::source::{Source, SourceContext};
use tokio::time::timeout;

use super::UrlCheckKind;
use crate::sources::http_client::testing::{Stub, response};
use crate::sources::testing::{context, drain, options, plan, text};

async fn open(with: Value, context: SourceContext) -> Box<dyn Source> {
    plan(&UrlCheckKind, &options(&with.to_string())).unwrap().open.open(context).await.unwrap()
}

/// The next `count` reports, and the position behind them.
async fn reports(source: &mut dyn Source, count: usize) -> (Vec<Value>, SourceContext) {
    let (mut reports, mut stood) = (Vec::new(), context());
    while reports.len() < count {
        let arrival = timeout(Duration::from_secs(20), source.next()).await.unwrap().unwrap().unwrap();
        stood.position = Some(arrival.position.clone());
        for line in text(std::slice::from_ref(&arrival)).lines() {
            reports.push(serde_json::from_str::<Value>(line).unwrap()["url_check"].clone());
        }
    }
    (reports, stood)
}

#[tokio::test]
async fn one_url_that_fails_and_one_that_hangs_stop_none_of_the_others() {
    let stub = Stub::start(|_, request| match request.uri().path() {
        "/teapot" => response(418, &[], ""),
        "/moved" => response(302, &[("location", "/up")], ""),
        _ => response(200, &[], ""),
    })
    .await;
    // It accepts connections and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://me:hunter2@{}/", silent.local_addr().unwrap());
    let urls = [silent_url, "http://127.0.0.1:1/".to_owned(), stub.url("/teapot"), stub.url("/moved"), stub.url("/up")];
    let begun = Instant::now();
    let mut source = open(json!({"urls": urls, "timeout": "1s", "delay": 0}), context()).await;
    let (found, _) = reports(source.as_mut(), 5).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "the others do not wait for it");
    let by_url: BTreeMap<String, &Value> =
        found.iter().map(|one| (one["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), one)).collect();
    assert_eq!(*by_url["teapot"], json!({"url": urls[2], "status": "down", "status_code": 418}));
    assert_eq!(*by_url["moved"], json!({"url": urls[3], "status": "up", "status_code": 200}));
    assert_eq!(by_url["up"]["status"], "up");
    let errors: Vec<&str> = found.iter().filter_map(|one| one["error_msg"].as_str()).collect();
    assert!(errors.len() == 2 && errors.contains(&"no answer in time"), "{errors:?}");
    assert!(!serde_json::to_string(&found).unwrap().contains("hunter2"));
}

#[tokio::test]
async fn changes_alone_are_events_also_across_a_restart() {
    let stub = Stub::start(|number, _| response(if (4..=8).contains(&number) { 503 } else { 200 }, &[], "")).await;
    let with = json!({"urls": [stub.url("/")], "delay": 0.001, "emit": "changes"});
    let codes = |found: &[Value]| found.iter().map(|one| one["status_code"].as_i64().unwrap()).collect::<Vec<_>>();
    let mut source = open(with.clone(), context()).await;
    let (found, stood) = reports(source.as_mut(), 2).await;
    assert_eq!(codes(&found), [200, 503]);
    drop(source);
    let mut source = open(with, stood).await;
    let (found, _) = reports(source.as_mut(), 1).await;
    assert_eq!(codes(&found), [200], "that it is down is known");
    assert!(stub.requests().len() >= 9);
}

#[tokio::test]
async fn codes_that_are_expected_are_up() {
    let stub = Stub::start(|_, _| response(401, &[], "")).await;
    let mut source = open(json!({"urls": [stub.url("/")], "expect": [200, 401]}), context()).await;
    assert_eq!(reports(source.as_mut(), 1).await.0[0]["status"], "up");
}

#[tokio::test]
async fn without_urls_it_ends() {
    let mut source = open(json!({"urls": []}), context()).await;
    assert!(drain(source.as_mut()).await.is_empty());
}

#[test]
fn options_that_make_no_sense_are_named() {
    let wrong = r#"{"urls": ["http://a/", "hunter2"], "delay": -1, "expect": [7], "concurrency": 0, "timeout": "0s"}"#;
    let found = plan(&UrlCheckKind, &options(wrong)).err().unwrap();
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "URL 2: this is no URL: relative URL without a base",
            "`delay` must be a number of seconds, 0 or more",
            "`timeout` must be more than 0s",
            "7 is no status code",
            "`concurrency` must be between 1 and 1024",
        ]
    );
}

#[tokio::test]
async fn recorded_checks_are_replayed_and_a_url_that_was_not_recorded_is_an_error_and_not_down() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(|number, _| response(if number == 1 { 200 } else { 503 }, &[], "")).await;
    let url = stub.url("/");
    let with = |urls: &[&str]| json!({"urls": urls, "delay": 0.001, "cassette": folder.path().join("c.yml")});
    let codes = |found: &[Value]| found.iter().map(|one| one["status_code"].as_i64().unwrap()).collect::<Vec<_>>();
    let mut source = open(with(&[&url]), context()).await;
    let (live, _) = reports(source.as_mut(), 2).await;
    drop((source, stub));
    let mut source = open(with(&[&url]), context()).await;
    let (replayed, _) = reports(source.as_mut(), 2).await;
    assert_eq!((replayed, codes(&live)), (live.clone(), vec![200, 503]));
    let mut source = open(with(&["http://127.0.0.1:1/other"]), context()).await;
    let error = timeout(Duration::from_secs(20), source.next()).await.unwrap().unwrap_err();
    assert!(error.message.contains("has no answer for GET http://127.0.0.1:1/other"), "{error}");
}
