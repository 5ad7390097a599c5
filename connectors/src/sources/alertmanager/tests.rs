//! What becomes of notifications.

use serde_json::{Value, json};

use super::AlertmanagerKind;
use crate::sources::http::testing::Served;

async fn alertmanager(more: Value) -> Served {
    Served::start(&AlertmanagerKind, &more).await
}

fn notification() -> String {
    let alert = |instance: &str| json!({"status": "firing", "labels": {"instance": instance, "job": "node"}});
    json!({"receiver": "eda", "alerts": [alert("web-1:9100"), alert("web-2:9100")]}).to_string()
}

#[tokio::test]
async fn the_notification_and_each_of_its_alerts_are_events() {
    let served = alertmanager(json!({})).await;
    for path in ["/alerts", "/", "/a/b/c"] {
        assert_eq!(served.post(path, &[], notification()).await.status, 202, "{path}");
    }
    let events = served.events();
    assert_eq!(events.len(), 9);
    assert_eq!(events[0]["payload"]["receiver"], "eda");
    assert_eq!(events[0]["meta"]["endpoint"], "alerts");
    assert_eq!(events[1]["alert"]["labels"]["job"], "node");
    let hosts = |event: &Value| event["meta"]["hosts"].clone();
    assert_eq!([hosts(&events[1]), hosts(&events[2])], [json!(["web-1"]), json!(["web-2"])]);
    let mut ids: Vec<&str> = events.iter().map(|event| event["meta"]["uuid"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9);
}

#[tokio::test]
async fn paths_say_where_alerts_and_hosts_are() {
    let with = json!({"data_alerts_path": "data/list", "data_host_path": "at/host", "data_path_separator": "/",
                      "skip_original_data": true});
    let served = alertmanager(with).await;
    served.post("/", &[], json!({"data": {"list": [{"at": {"host": "h"}}, {"n": 1}]}}).to_string()).await;
    served.post("/", &[], json!({"data": {"list": {"n": 2}}}).to_string()).await;
    let nothing = served.post("/", &[], json!({"other": 1}).to_string()).await;
    assert_eq!(nothing.status, 202, "no alerts are no events");
    let hosts: Vec<Value> = served.events().iter().map(|event| event["meta"]["hosts"].clone()).collect();
    assert_eq!(hosts, [json!(["h"]), Value::Null, Value::Null]);
}

#[tokio::test]
async fn without_paths_the_whole_is_one_alert_of_no_host() {
    let served = alertmanager(json!({"data_alerts_path": "", "data_host_path": "", "skip_original_data": true})).await;
    served.post("/", &[], notification()).await;
    let events = served.events();
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["alert"]["receiver"], &events[0]["meta"]["hosts"]), (&json!("eda"), &Value::Null));
}

#[tokio::test]
async fn it_says_that_it_is_up_and_what_is_wrong() {
    let served = alertmanager(json!({})).await;
    let up = served.raw(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!((up.status, up.body.as_str()), (200, "up"));
    assert_eq!(served.post("/alerts", &[], "{").await.refusal(), (400, "Invalid JSON payload".to_owned()));
    assert_eq!(served.raw(b"GET /alerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.status, 405);
}
