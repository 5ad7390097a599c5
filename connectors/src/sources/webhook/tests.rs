//! What a webhook takes and what it refuses.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use uuid::Uuid;

use super::WebhookKind;
use crate::sources::http::testing::Served;
use crate::sources::testing::{options, plan};

async fn webhook(more: Value) -> Served {
    Served::start(&WebhookKind, &more).await
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn a_posted_payload_is_an_event_with_its_endpoint_and_headers() {
    let served = webhook(json!({})).await;
    let said = served.post("/any/p%C3%A4th?q=1", &["X-Kind: a", "x-kind: b", "Cookie: c"], "{\n\"i\": 1}").await;
    assert_eq!(said.status, 202);
    let event = &served.events()[0];
    assert_eq!(event["payload"], json!({"i": 1}));
    assert_eq!(event["meta"]["uuid"], said.json()["id"]);
    assert_eq!(event["meta"]["endpoint"], "any/päth");
    assert_eq!(event["meta"]["headers"]["x-kind"], "a, b");
    assert_eq!(event["meta"]["headers"]["cookie"], Value::Null);
    assert_eq!(event["meta"]["source"], json!({"name": "in", "type": "webhook"}));
}

#[tokio::test]
async fn every_json_value_is_a_payload_and_falsy_ones_are_kept() {
    for body in ["0", "\"\"", "[]", "false", "null", "{}", "[{\"a\":1},{\"a\":2}]"] {
        let served = webhook(json!({"status": 200, "headers": []})).await;
        assert_eq!(served.post("/", &[], body).await.status, 200, "{body}");
        assert_eq!(served.events().len(), 1, "{body}");
    }
}

#[tokio::test]
async fn what_does_not_fit_the_columns_is_answered_and_rejected_not_lost() {
    let served = webhook(json!({})).await;
    for body in ["{\"n\": 1}", "{\"n\": {}}", "{\"n\": 2}", "{\"n\": 3, \"n\": 4}"] {
        assert_eq!(served.post("/", &[], body).await.status, 202, "{body}");
    }
    assert_eq!((served.events().len(), served.rejected().len()), (2, 2), "{:?}", served.rejected());
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused_by_kind() {
    let served = webhook(json!({})).await;
    let invalid = (400, "Invalid JSON payload".to_owned());
    assert_eq!(served.post("/", &[], "").await.refusal(), invalid);
    assert_eq!(served.post("/", &["Content-Type: application/json; charset=utf-8"], "{").await.refusal(), invalid);
    let form = served.post("/", &["Content-Type: application/x-www-form-urlencoded"], "a=1").await;
    assert_eq!(form.status, 415);
    let deep = served.post("/", &[], "[".repeat(100_000) + &"]".repeat(100_000)).await;
    assert_eq!(deep.refusal(), (400, "Invalid JSON payload: nested deeper than 64".to_owned()));
    assert_eq!(served.post("/", &["Content-Encoding: gzip"], "{}").await.status, 415);
    assert_eq!(served.post("/", &["Content-Type: text/plain"], "{}").await.status, 202, "the body decides");
    let get = served.raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!(get.refusal(), (405, "Only POST is accepted".to_owned()));
    assert!(get.headers.contains("allow: post"));
    assert_eq!(served.events().len(), 1);
}

#[tokio::test]
async fn tokens_are_asked_for_with_the_words_of_eda() {
    let served = webhook(json!({"token": "secret"})).await;
    let refused = async |headers: &[&str]| {
        let said = served.post("/", headers, "{}").await;
        assert_eq!(said.reason, said.refusal().1, "the reason phrase says it too");
        assert!(said.headers.contains("www-authenticate: bearer"));
        said.refusal()
    };
    assert_eq!(refused(&[]).await, (401, "Missing authorization token".to_owned()));
    assert_eq!(refused(&["Authorization: Basic secret"]).await, (401, "Only Bearer type is accepted".to_owned()));
    for wrong in ["Authorization: Bearer wrong!", "Authorization: secret", "Authorization: Bearer secret more"] {
        assert_eq!(refused(&[wrong]).await, (401, "Invalid authorization token".to_owned()), "{wrong}");
    }
    assert_eq!(served.post("/", &["Authorization: Bearer secret"], "{}").await.status, 202);
    assert_eq!(served.events()[0]["meta"]["headers"]["authorization"], Value::Null);
}

#[tokio::test]
async fn a_wrong_hmac_is_refused_and_a_right_one_taken_in_each_form() {
    let body = br#"{"a":1}"#;
    let good = hex(sha256(b"key", body));
    let served = webhook(json!({"hmac_secret": "key"})).await;
    assert_eq!(served.post("/", &[], body).await.refusal(), (400, "Signature header not found".to_owned()));
    for wrong in [hex(sha256(b"other", body)), "sha256=".to_owned(), "zz".to_owned(), good[2..].to_owned()] {
        let said = served.post("/", &[&format!("X-Hub-Signature-256: {wrong}")], body).await;
        assert_eq!(said.refusal(), (401, "HMAC verification failed".to_owned()), "{wrong}");
    }
    for header in
        [format!("x-hub-signature-256: {good}"), format!("X-Hub-Signature-256: sha256={}", good.to_uppercase())]
    {
        assert_eq!(served.post("/", &[&header], body).await.status, 202, "{header}");
    }
    assert_eq!(served.events()[0]["meta"]["headers"]["x-hub-signature-256"], Value::Null);
    let with = json!({"hmac_secret": "key", "hmac_algo": "sha512", "hmac_header": "X-S", "hmac_format": "base64"});
    let served = webhook(with).await;
    let other = Hmac::<Sha512>::new_from_slice(b"key").unwrap().chain_update(body).finalize().into_bytes();
    assert_eq!(served.post("/", &[&format!("x-s: {}", BASE64.encode(other))], body).await.status, 202);
}

#[tokio::test]
async fn bearer_comes_before_hmac() {
    let served = webhook(json!({"hmac_secret": "key", "token": "secret"})).await;
    assert_eq!(served.post("/", &[], "{}").await.refusal().1, "Missing authorization token");
}

fn standard(key: &[u8], id: &str, time: i64, body: &str) -> Vec<String> {
    let signature = BASE64.encode(sha256(key, format!("{id}.{time}.{body}").as_bytes()));
    vec![
        format!("webhook-id: {id}"),
        format!("webhook-timestamp: {time}"),
        format!("webhook-signature: v1,AAAA v1a,{signature} v1,{signature}"),
    ]
}

#[tokio::test]
async fn a_recorded_request_of_standard_webhooks_cannot_be_sent_again() {
    let key = [7; 24];
    let served = webhook(json!({"webhook_secret": format!("whsec_{}", BASE64.encode(key))})).await;
    let post = async |headers: Vec<String>, body: &str| {
        served.post("/", &headers.iter().map(String::as_str).collect::<Vec<_>>(), body).await
    };
    let now = jiff::Timestamp::now().as_second();
    let first = post(standard(&key, "msg_1", now, "{}"), "{}").await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = post(standard(&key, "msg_1", now, "{}"), "{}").await;
    assert_eq!((again.status, again.json()), (202, first.json()), "within the time its id is known");
    let old = post(standard(&key, "msg_2", now - 301, "{}"), "{}").await;
    assert_eq!(old.refusal(), (401, "webhook-timestamp is more than 300 s away".to_owned()));
    let ahead = post(standard(&key, "msg_2", now + 400, "{}"), "{}").await;
    assert_eq!(ahead.status, 401);
    let mut renamed = standard(&key, "msg_1", now, "{}");
    renamed[0] = "webhook-id: msg_3".to_owned();
    assert_eq!(post(renamed, "{}").await.status, 401, "under another id");
    assert_eq!(post(standard(&key, "msg_4", now, "{}"), "{ }").await.status, 401, "another body");
    assert_eq!(post(standard(&[8; 24], "msg_4", now, "{}"), "{}").await.status, 401, "another key");
    assert_eq!(post(Vec::new(), "{}").await.refusal(), (400, "Header webhook-id not found".to_owned()));
    assert_eq!(served.events().len(), 1);
}

#[tokio::test]
async fn a_repeated_id_is_taken_once_also_after_a_restart() {
    let served = webhook(json!({})).await;
    let first = served.post("/a", &["Idempotency-Key: 7"], r#"{"n":1}"#).await;
    let again = served.post("/a", &["Idempotency-Key: 7"], r#"{"n":2}"#).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    let elsewhere = served.post("/b", &["Idempotency-Key: 7"], r#"{"n":3}"#).await;
    assert_ne!(elsewhere.json(), first.json());
    let own = Uuid::new_v4().to_string();
    let named = served.post("/a", &[&format!("idempotency-key: {own}")], r#"{"n":4}"#).await;
    assert_eq!(named.json()["id"], own);
    let numbers =
        |served: &Served| served.events().iter().map(|event| event["payload"]["n"].clone()).collect::<Vec<_>>();
    assert_eq!(numbers(&served), [1, 3, 4]);
    let stood = served.stop().await;
    let served = Served::start_at(&WebhookKind, &json!({}), stood).await;
    let again = served.post("/a", &["Idempotency-Key: 7"], r#"{"n":5}"#).await;
    assert_eq!((again.status, again.json()), (202, first.json()));
    served.post("/a", &[], r#"{"n":6}"#).await;
    assert_eq!(numbers(&served), [6]);
}

#[tokio::test]
async fn the_ids_that_are_remembered_are_bounded() {
    let served = webhook(json!({"remember_ids": 2, "id_headers": ["x-request-id"]})).await;
    for id in ["1", "2", "3", "2", "1"] {
        assert_eq!(served.post("/", &[&format!("x-request-id: {id}")], "{}").await.status, 202);
    }
    assert_eq!(served.events().len(), 4);
    let stood = served.stop().await.position.unwrap();
    assert!(stood.0.len() < 80, "{stood}");
}

#[tokio::test]
async fn one_id_that_many_bring_at_once_is_taken_once() {
    let served = std::sync::Arc::new(webhook(json!({})).await);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let served = std::sync::Arc::clone(&served);
        callers.spawn(async move { served.post("/", &["webhook-id: same"], "{}").await.status });
    }
    assert_eq!(callers.join_all().await, [202; 50]);
    assert_eq!(served.events().len(), 1);
}

#[test]
fn options_that_make_no_sense_are_named_in_the_words_of_eda() {
    let messages = |json: &str| {
        let found = plan(&WebhookKind, &options(json)).err().unwrap();
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(messages("{}"), ["Missing required argument: port"]);
    assert_eq!(
        messages(r#"{"port": 1, "hmac_algo": "md4", "hmac_format": "hexx", "status": 404, "max_body": 0}"#),
        [
            "Unsupported HMAC algorithm: md4",
            "Unsupported HMAC header format hexx",
            "`status` must be between 200 and 299",
            "`max_body` must be between 1 byte and 1GiB",
        ]
    );
}
