//! What each preset sends for a finding, and for one that is over.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};

use super::super::presets;
use super::{Receiver, answer, made, open, plan_over};
use tidegate_pipeline::sink::{Attempt, SinkKind};

/// Two findings: an alarm, and one that is over.
fn findings() -> RecordBatch {
    let columns = [
        ("control", ["sg_ingress_ssh", "sg_ingress_ssh"]),
        ("resource", ["arn:aws:ec2:eu-west-1:1:sg/a b", "arn:aws:ec2:eu-west-1:1:sg/a b"]),
        ("status", ["alarm", "ok"]),
        ("reason", ["open to \"the\nworld\"", "closed"]),
        ("severity", ["high", "high"]),
        ("region", ["eu-west-1", "eu-west-1"]),
    ];
    let columns = columns.map(|(name, values)| (name, Arc::new(StringArray::from(values.to_vec())) as _));
    RecordBatch::try_from_iter(columns).unwrap()
}

fn kind(name: &str) -> Box<dyn SinkKind> {
    presets::kinds().find(|kind| kind.name() == name).unwrap()
}

/// What the service `name` is sent, with `URL` in `given` its address.
async fn sent(name: &str, given: &str, said: &'static str) -> String {
    let receiver = Receiver::start(move |_| answer(200, &[], said)).await;
    let given = given.replace("URL", &format!("http://{}", receiver.address));
    let rows = findings();
    let (planned, warnings) =
        plan_over(kind(name).as_ref(), &given, &rows.schema(), false).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let (payloads, rejected) = made(&planned, &rows);
    assert!(rejected.is_empty(), "{rejected:?}");
    let kept: Vec<u8> = payloads.iter().flat_map(|payload| payload.body.clone()).collect();
    assert!(!String::from_utf8(kept).unwrap().contains("hunter2"), "the outbox holds no secret");
    let sink = open(&planned).await;
    for (row, payload) in payloads.iter().enumerate() {
        assert_eq!(sink.deliver(&format!("p/0/1/{name}/0/7/{row}"), payload).await, Attempt::Done);
    }
    let mut text = String::new();
    for seen in receiver.seen() {
        let _ = writeln!(text, "{}", seen.line);
        for (name, value) in &seen.headers {
            if !["host", "user-agent", "content-length"].contains(&name.as_str()) {
                let _ = writeln!(text, "{name}: {value}");
            }
        }
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        let _ = writeln!(text, "\n{body:#}\n");
    }
    text
}

#[test]
fn every_preset_can_be_read_and_says_what_it_needs() {
    for kind in presets::kinds() {
        let schema = kind.schema();
        assert!(schema.get("description").is_some(), "{} is broken", kind.name());
        let properties = schema.get("properties").and_then(|properties| properties.as_object()).unwrap();
        assert!(properties.contains_key("retry") && properties.len() > 12, "{}", kind.name());
        let wrong = plan_over(kind.as_ref(), "{}", &findings().schema(), false).err().unwrap();
        assert!(wrong.iter().any(|wrong| wrong.message.contains("it needs")), "{}: {wrong:?}", kind.name());
        let wrong = plan_over(kind.as_ref(), r#"{"colour":"red"}"#, &findings().schema(), false).err().unwrap();
        assert!(wrong.iter().any(|wrong| wrong.message.contains("colour")), "{}: {wrong:?}", kind.name());
    }
}

#[tokio::test]
async fn slack_is_posted_to_by_a_webhook_or_by_a_bot() {
    insta::assert_snapshot!(
        "slack_webhook",
        sent("slack", r#"{"webhook_url":"URL/services/T/B/hunter2"}"#, "ok").await
    );
    let bot = r##"{"token":"hunter2","channel":"#ops","url":"URL/api/chat.postMessage","text":"{{ resource }}"}"##;
    insta::assert_snapshot!("slack_bot", sent("slack", bot, r#"{"ok":true}"#).await);
}

#[tokio::test]
async fn slack_says_200_also_when_it_refuses() {
    let outcome = async |said: &'static str| {
        let receiver = Receiver::start(move |_| answer(200, &[], said)).await;
        let given = format!(r#"{{"token":"hunter2","channel":"c","url":"http://{}/"}}"#, receiver.address);
        let (planned, _) = plan_over(kind("slack").as_ref(), &given, &findings().schema(), false).unwrap();
        let (payloads, _) = made(&planned, &findings());
        open(&planned).await.deliver("p/0/1/s/0/7/0", &payloads[0]).await
    };
    assert_eq!(outcome(r#"{"ok":true}"#).await, Attempt::Done);
    let Attempt::Refused { reason } = outcome(r#"{"ok":false,"error":"channel_not_found"}"#).await else { panic!() };
    assert!(reason.contains("channel_not_found"), "{reason}");
    assert!(matches!(outcome(r#"{"ok":false,"error":"ratelimited"}"#).await, Attempt::Again { .. }));
}

#[tokio::test]
async fn pagerduty_alerts_are_triggered_and_resolved_under_one_key() {
    insta::assert_snapshot!(sent("pagerduty", r#"{"routing_key":"hunter2","url":"URL/v2/enqueue"}"#, "").await);
}

#[tokio::test]
async fn opsgenie_alerts_are_created_and_closed_under_one_alias() {
    insta::assert_snapshot!(sent("opsgenie", r#"{"api_key":"hunter2","url":"URL"}"#, "").await);
}

#[tokio::test]
async fn alertmanager_alerts_fire_and_end() {
    insta::assert_snapshot!(sent("alertmanager", r#"{"url":"URL/","token":"hunter2"}"#, "").await);
}

#[tokio::test]
async fn issues_of_github_have_title_text_and_labels() {
    let given = r#"{"token":"hunter2","owner":"acme","repo":"infra","labels":"security, tidegate","url":"URL"}"#;
    insta::assert_snapshot!(sent("github_issue", given, "").await);
}

#[tokio::test]
async fn issues_of_jira_have_project_type_and_labels() {
    let given = r#"{"url":"URL","email":"a@example.com","token":"hunter2","project":"OPS","labels":"tidegate"}"#;
    insta::assert_snapshot!(sent("jira", given, "").await);
}

#[tokio::test]
async fn work_items_of_azure_devops_are_json_patches() {
    let given = r#"{"token":"hunter2","organization":"acme","project":"My Infra","item_type":"Bug","url":"URL"}"#;
    insta::assert_snapshot!(sent("azure_devops", given, "").await);
}
