//! Polls of endpoints that page, wait, repeat themselves and fail.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tokio::time::timeout;

use super::HttpPollKind;
use crate::sources::http_client::testing::{Stub, response};
use crate::sources::testing::{context, options, plan, text};

async fn open(with: Value, context: SourceContext) -> Box<dyn Source> {
    plan(&HttpPollKind, &options(&with.to_string())).unwrap().open.open(context).await.unwrap()
}

async fn next(source: &mut dyn Source) -> Result<Arrival> {
    let arrival = timeout(Duration::from_secs(20), source.next()).await.expect("something comes");
    arrival.map(|arrival| arrival.expect("it goes on for ever"))
}

/// The next `count` events, and the context behind them.
async fn events(source: &mut dyn Source, count: usize) -> (Vec<Value>, SourceContext) {
    let (mut events, mut stood) = (Vec::new(), context());
    while events.len() < count {
        let arrival = next(source).await.unwrap();
        stood.position = Some(arrival.position.clone());
        stood.schemas.extend(arrival.new_schema.clone().map(|schema| (arrival.schema_version, schema)));
        events.extend(text(&[arrival]).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    (events, stood)
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["body"]["n"].as_i64().unwrap()).collect()
}

fn item(n: i64) -> Value {
    json!({"n": n, "at": format!("2026-01-0{n}T00:00:00Z")})
}

#[tokio::test]
async fn each_item_is_an_event_and_an_item_with_a_known_id_none() {
    let stub = Stub::start(|number, _| {
        let upto = 2 + number.min(3) as i64;
        response(200, &[], json!({"data": {"list": (1..upto).map(item).collect::<Vec<_>>()}}).to_string())
    })
    .await;
    let with = json!({"url": stub.url("/x?key=hunter2"), "interval": "1ms", "items": "data.list", "id": "n"});
    let mut source = open(with.clone(), context()).await;
    let (found, stood) = events(source.as_mut(), 3).await;
    assert_eq!(numbers(&found), [1, 2, 3]);
    let url = found[0]["meta"]["url"].as_str().unwrap();
    assert!(url.ends_with("/x"), "the query is not shown: {url}");
    drop(source);
    let mut again = open(with.clone(), stood).await;
    assert_eq!(numbers(&events(again.as_mut(), 1).await.0), [4], "the others are known across a restart");
    let mut anew = open(with, context()).await;
    assert_eq!(events(anew.as_mut(), 1).await.0[0]["meta"]["uuid"], found[0]["meta"]["uuid"], "from the item's id");
}

#[tokio::test]
async fn pages_are_followed_and_the_cursor_of_time_stays_for_the_next_poll() {
    let stub = Stub::start(|_, request| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (items, next) = match query.as_str() {
            "" => (vec![item(1), item(3)], json!("c2")),
            "c=c2" => (vec![item(2)], json!("c3")),
            "c=c3" => (vec![], json!(null)),
            _ => (vec![item(4)], json!(null)),
        };
        response(200, &[], json!({"items": items, "next": next}).to_string())
    })
    .await;
    let with = json!({"url": stub.url("/"), "interval": "1ms", "items": "items",
        "paging": {"cursor": "c", "cursor_path": "next"}, "since": {"parameter": "after", "path": "at"}});
    let mut source = open(with.clone(), context()).await;
    let (found, _) = events(source.as_mut(), 3).await;
    assert_eq!(numbers(&found), [1, 3, 2]);
    let blank = next(source.as_mut()).await.unwrap();
    assert_eq!(blank.row_count(), 0, "the last page is empty; where it stands is journaled all the same");
    drop(source);
    let mut source = open(with, SourceContext { position: Some(blank.position), ..context() }).await;
    assert_eq!(numbers(&events(source.as_mut(), 1).await.0), [4]);
    assert_eq!(stub.requests()[3], "/?after=2026-01-03T00%3A00%3A00Z");
}

#[tokio::test]
async fn what_is_not_modified_is_no_event() {
    let stub = Stub::start(|number, request| {
        let known = request.headers().get("if-none-match").is_some_and(|tag| tag == "\"v1\"");
        match (number, known) {
            (..=3, true) => response(304, &[], ""),
            (..=3, false) => response(200, &[("etag", "\"v1\"")], json!([item(1)]).to_string()),
            _ => response(200, &[("etag", "\"v2\"")], json!([item(2)]).to_string()),
        }
    })
    .await;
    let mut source = open(json!({"url": stub.url("/"), "interval": "1ms"}), context()).await;
    assert_eq!(numbers(&events(source.as_mut(), 2).await.0), [1, 2]);
    assert_eq!(stub.requests().len(), 4);
}

#[tokio::test]
async fn a_busy_endpoint_is_asked_again_when_it_said() {
    let stub = Stub::start(|number, _| match number {
        1 => response(429, &[("retry-after", "1")], "slow down"),
        _ => response(200, &[], json!([item(1)]).to_string()),
    })
    .await;
    let begun = Instant::now();
    let mut source = open(json!({"url": stub.url("/"), "interval": "1h"}), context()).await;
    assert_eq!(numbers(&events(source.as_mut(), 1).await.0), [1]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn answers_that_cannot_be_taken_are_rejected_and_the_next_poll_is_made() {
    let stub = Stub::start(|number, _| match number {
        1 => response(200, &[], "<html>"),
        2 => response(200, &[], "[".repeat(200) + &"]".repeat(200)),
        3 => response(200, &[], format!("\"{}\"", "x".repeat(2000))),
        _ => response(200, &[], json!([item(1)]).to_string()),
    })
    .await;
    let mut source =
        open(json!({"url": stub.url("/?k=hunter2"), "interval": "1ms", "max_body": 1000}), context()).await;
    for reason in [
        "the answer is not JSON",
        "the answer is nested deeper than 64",
        "the answer is longer than 1000 bytes (`max_body`)",
    ] {
        let arrival = next(source.as_mut()).await.unwrap();
        assert_eq!(arrival.rejected[0].reason, reason);
        assert!(!arrival.rejected[0].position.contains("hunter2"));
    }
    assert_eq!(numbers(&events(source.as_mut(), 1).await.0), [1]);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_an_error_that_shows_no_secret_and_may_pass() {
    let stub = Stub::start(|_, _| response(500, &[], "")).await;
    let with = json!({"url": stub.url("/?k=hunter2"), "token": "hunter2", "secret_headers": {"X-Key": "hunter2"}});
    let mut source = open(with, context()).await;
    let error = next(source.as_mut()).await.unwrap_err();
    assert_eq!(error.retry, tidegate_pipeline::error::Retry::WithBackoff);
    assert!(error.message.contains("500") && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn secrets_are_not_carried_to_another_server() {
    let other = Stub::start(|_, _| response(200, &[], "[]")).await;
    let elsewhere = other.url("/");
    let target = elsewhere.clone();
    let stub = Stub::start(move |number, _| match number {
        1 => response(302, &[("location", &target)], ""),
        _ => response(200, &[("link", &format!("<{target}>; rel=\"next\""))], json!([item(1)]).to_string()),
    })
    .await;
    let with = json!({"url": stub.url("/"), "token": "hunter2", "paging": {"link_header": true}});
    let mut source = open(with.clone(), context()).await;
    assert!(next(source.as_mut()).await.unwrap_err().message.contains("redirects to other servers"));
    let mut source = open(with, context()).await;
    assert_eq!(numbers(&events(source.as_mut(), 1).await.0), [1]);
    assert!(next(source.as_mut()).await.unwrap().rejected[0].reason.contains("another server"));
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn pages_that_never_end_are_bounded() {
    let stub = Stub::start(|number, _| response(200, &[], json!([item(number as i64 % 9)]).to_string())).await;
    let with = json!({"url": stub.url("/"), "paging": {"page": "p"}, "max_pages": 3});
    let mut source = open(with, context()).await;
    assert_eq!(events(source.as_mut(), 3).await.0.len(), 3);
    assert!(next(source.as_mut()).await.unwrap().rejected[0].reason.contains("max_pages"));
    assert_eq!(stub.requests(), ["/?p=1", "/?p=2", "/?p=3"]);
}

#[test]
fn options_that_make_no_sense_are_named() {
    let messages = |json: &str| {
        let found = plan(&HttpPollKind, &options(json)).err().unwrap();
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(messages(r#"{"url": "x", "max_pages": 0}"#).len(), 2);
    let both = messages(r#"{"url": "http://h/", "paging": {"page": "p", "cursor": "c"}, "headers": {"a b": "c"}}"#);
    assert_eq!(both[0], "`a b` is no header");
    assert!(both[1].starts_with("exactly one of `next_link`"));
}

#[tokio::test]
async fn what_a_cassette_recorded_is_replayed_when_the_endpoint_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.yml");
    let stub = Stub::start(|_, request| {
        let (items, next) = match request.uri().query().unwrap_or_default() {
            "api_key=hunter2" => (vec![item(1), item(2)], json!("two")),
            _ => (vec![item(3)], json!(null)),
        };
        response(200, &[("content-type", "application/json")], json!({"items": items, "next": next}).to_string())
    })
    .await;
    let with = json!({"url": stub.url("/?api_key=hunter2"), "token": "hunter2-token", "secret_headers": {"X-Key": "hunter2-key"},
        "interval": "1ms", "items": "items", "id": "n", "paging": {"cursor": "c", "cursor_path": "next"}, "cassette": path});
    let mut source = open(with.clone(), context()).await;
    let (live, _) = events(source.as_mut(), 3).await;
    drop((source, stub));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("c=two") && !text.contains("hunter2"), "{text}");
    let mut source = open(with, context()).await;
    let (replayed, _) = events(source.as_mut(), 3).await;
    assert_eq!(replayed, live);
    let error = loop {
        match next(source.as_mut()).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.message.contains("no further answer for GET http://127.0.0.1"), "{error}");
    assert_eq!(error.retry, tidegate_pipeline::error::Retry::Never);
}

#[tokio::test]
async fn an_answer_that_tells_the_token_is_not_recorded_and_stops_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::start(|_, _| response(200, &[], json!([{"you": "hunter2-token"}]).to_string())).await;
    let with = json!({"url": stub.url("/"), "token": "hunter2-token", "cassette": folder.path().join("c.yml")});
    let error = next(open(with, context()).await.as_mut()).await.unwrap_err();
    assert!(error.message.contains("a secret of this pipeline") && !error.message.contains("hunter2"), "{error}");
    assert_eq!(error.retry, tidegate_pipeline::error::Retry::Never);
    assert!(!folder.path().join("c.yml").exists());
}
