//! Messages of SQS.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use serde_json::{Value, json};
use tidegate_aws::aws_sqs_queue::SqsKind;
use tidegate_pipeline::source::{Source, SourceContext, SourceKind, SourcePlanContext};
use tidegate_pipeline::spec::Options;

use super::fake::Fake;
use super::{config, endpoint, program, wait};
use crate::diagnosis::diagnosed_in;
use crate::program::{Done, Folder, Running, eventually};
use crate::service::Service;

/// A queue, and a pipeline that writes its messages to a file.
pub(super) struct Queue {
    pub(super) endpoint: String,
    pub(super) client: Client,
    pub(super) url: String,
    folder: Folder,
}

impl Queue {
    pub(super) fn new(endpoint: String, name: &str, more: &str) -> Self {
        let client = Client::new(&config(&endpoint));
        let mut request = client.create_queue().queue_name(name);
        if name.ends_with(".fifo") {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
            request = request.attributes(QueueAttributeName::ContentBasedDeduplication, "true");
        }
        let url = wait(request.send()).expect("a queue").queue_url.expect("its URL");
        let folder = Folder::with(&[("p.yaml", &pipeline(name, more))]);
        Self { endpoint, client, url, folder }
    }

    pub(super) fn send(&self, bodies: &[String]) {
        let fifo = self.url.ends_with(".fifo");
        for batch in bodies.chunks(10) {
            let mut request = self.client.send_message_batch().queue_url(&self.url);
            for (index, body) in batch.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
                let entry = if fifo { entry.message_group_id("group") } else { entry };
                request = request.entries(entry.build().expect("an entry"));
            }
            let sent = wait(request.send()).expect("they are sent");
            assert!(sent.failed.is_empty(), "{:?}", sent.failed);
        }
    }

    fn start(&self) -> Running {
        Running::of(&mut program(&self.folder, &self.endpoint, &["run", "p.yaml"]))
    }

    fn rows(&self) -> Vec<Value> {
        self.folder.rows("out.jsonl")
    }

    fn wait_for_rows(&self, count: usize) -> Vec<Value> {
        eventually("all messages", || Some(self.rows()).filter(|rows| rows.len() >= count))
    }

    /// How many messages the queue holds, taken ones included.
    pub(super) fn left(&self) -> usize {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = wait(request.attribute_names(QueueAttributeName::All).send()).expect("attributes");
        let attributes = answer.attributes.unwrap_or_default();
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        names.iter().map(|name| attributes[name].parse::<usize>().expect("a number")).sum()
    }

    pub(super) fn wait_until_empty(&self) {
        eventually("an empty queue", || self.left() == 0);
    }
}

fn pipeline(name: &str, more: &str) -> String {
    format!(
        "version: 1\nname: p\ncheckpoint: {{every: 200ms}}\nrestart: {{initial: 100ms}}\n\
         sources: {{q: {{aws_sqs_queue: {{name: {name}, delay_seconds: 1, visibility_timeout: 5s{more}}}}}}}\n\
         sinks: {{s: {{from: q, file: {{path: out.jsonl}}}}}}\n"
    )
}

// matrix: aws_sqs_queue: happy
#[test]
fn messages_become_events_once_and_are_deleted_when_they_are_durable() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint, "happy", "");
    let bodies = [r#"{"a": 1, "b": [true]}"#, "plain text", r#"{"a": {"other": "shape"}}"#, "[1]", "", "{broken"];
    let sent: Vec<String> = bodies.iter().filter(|body| !body.is_empty()).map(|body| (*body).to_owned()).collect();
    queue.send(&sent);
    let running = queue.start();
    let rows = queue.wait_for_rows(sent.len());
    queue.wait_until_empty();
    queue.send(&[json!({"a": 2, "late": "column"}).to_string()]);
    let all = queue.wait_for_rows(sent.len() + 1);
    running.stop();
    assert_eq!((rows.len(), all.len()), (sent.len(), sent.len() + 1));
    let text = |wanted: &str| rows.iter().any(|row| row["text"] == wanted && row["body"].is_null());
    assert!(text("plain text") && text("{broken"), "{rows:?}");
    // Of two shapes of one name the first makes the column, and the other keeps its text.
    assert!(text(bodies[0]) || text(bodies[2]), "{rows:?}");
    let first = &rows[0];
    assert_eq!(first["meta"]["source"], json!({"name": "q", "type": "aws_sqs_queue"}));
    assert_eq!(first["meta"]["uuid"], first["meta"]["MessageId"]);
    assert_eq!(first["meta"]["receive_count"], 1);
    assert!(first["meta"]["sent_at"].is_string() && first["meta"]["received_at"].is_string(), "{first}");
    assert_eq!(all[sent.len()]["body"]["late"], "column");
}

#[test]
fn after_a_plain_stop_everything_that_was_taken_is_deleted() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint, "stopped", "");
    for life in 1..=3 {
        queue.send(&(0..50).map(|number| json!({"life": life, "number": number}).to_string()).collect::<Vec<_>>());
        let running = queue.start();
        queue.wait_for_rows(life * 50);
        running.terminate();
        running.wait().code(0);
        assert_eq!((queue.left(), queue.rows().len()), (0, life * 50));
    }
}

// matrix: aws_sqs_queue: kill-before-ack, kill-after-ack
#[test]
fn what_is_killed_before_or_after_its_messages_were_deleted_loses_none_and_repeats_none() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint, "killed", "");
    let count = 300;
    queue.send(&(0..count).map(|number| json!({"number": number}).to_string()).collect::<Vec<_>>());
    for kills in 0..4_u64 {
        let before = queue.rows().len();
        let running = queue.start();
        eventually("some messages", || queue.rows().len() > before || queue.left() == 0);
        std::thread::sleep(Duration::from_millis(7 * kills));
        drop(running);
    }
    let running = queue.start();
    queue.wait_until_empty();
    queue.wait_for_rows(count);
    running.stop();
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    for row in queue.rows() {
        *times.entry(row["body"]["number"].as_i64().expect("a number")).or_default() += 1;
    }
    assert_eq!(times.len(), count, "nothing is lost");
    assert!(times.values().all(|times| *times == 1), "nothing comes twice: {times:?}");
}

// matrix: aws_sqs_queue: malformed
#[test]
fn a_fifo_queue_keeps_its_order_whatever_the_bodies_are() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint, "ordered.fifo", "");
    let body = |number: usize| match number % 3 {
        0 => json!({"number": number}).to_string(),
        1 => format!("text {number}"),
        _ => json!({"number": {"inner": number}}).to_string(),
    };
    let sent: Vec<String> = (0..30).map(body).collect();
    queue.send(&sent);
    let running = queue.start();
    let rows = queue.wait_for_rows(sent.len());
    queue.wait_until_empty();
    running.stop();
    let given = |row: &Value| row["text"].as_str().map_or_else(|| row["body"].to_string(), str::to_owned);
    assert_eq!(rows.iter().map(given).collect::<Vec<_>>(), sent);
    assert_eq!(rows[0]["meta"]["group"], "group");
}

#[test]
fn the_recorded_notifications_come_through_whole() {
    let Some(data) = std::env::var_os("TIDEGATE_RECORDED_DATA") else {
        return eprintln!("SKIPPED: TIDEGATE_RECORDED_DATA is not set");
    };
    let Some(endpoint) = endpoint() else { return };
    let folder = PathBuf::from(data).join("aws-events");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("it was recorded");
    let cases: Value = serde_json::from_str(&read("expected_targets.json")).expect("JSON");
    let cases = cases["cases"].as_array().expect("cases");
    let sent: Vec<String> = cases.iter().map(|case| read(case["event"].as_str().expect("a name"))).collect();
    assert_eq!(sent.len(), 62);
    let queue = Queue::new(endpoint, "recorded", "");
    queue.send(&sent);
    let running = queue.start();
    let rows = queue.wait_for_rows(sent.len());
    queue.wait_until_empty();
    running.stop();
    let plain = |value: &Value| {
        value.as_object().map(|map| {
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        })
    };
    let mut came: Vec<_> = rows.iter().filter_map(|row| plain(&row["body"])).collect();
    let sent = sent.iter().map(|body| serde_json::from_str::<Value>(body).expect("it is JSON"));
    let mut sent: Vec<_> = sent.filter_map(|body| plain(&body)).collect();
    let name = |body: &BTreeMap<String, Value>| serde_json::to_string(body).expect("JSON");
    came.sort_by_key(name);
    sent.sort_by_key(name);
    assert_eq!(came.len(), 62, "every notification is an object of columns");
    for (came, sent) in came.iter().zip(&sent) {
        assert_eq!(came["Message"], sent["Message"]);
        assert_eq!(came["MessageId"], sent["MessageId"]);
    }
}

// matrix: aws_sqs_queue: disconnect
#[test]
fn a_queue_that_is_not_there_ends_the_run_with_its_name_and_one_that_goes_away_is_waited_for() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint, "deleted", "");
    let folder = Folder::with(&[("p.yaml", &pipeline("nowhere", ""))]);
    let missing = Done::of(&mut program(&folder, &queue.endpoint, &["run", "p.yaml"]));
    missing.said(&["p.yaml:5:", "Queue nowhere does not exist", "check the name"]);
    queue.send(&["{}".to_owned()]);
    let mut running = queue.start();
    queue.wait_for_rows(1);
    wait(queue.client.delete_queue().queue_url(&queue.url).send()).expect("it is deleted");
    running.until_said("Queue deleted does not exist");
    wait(queue.client.create_queue().queue_name("deleted").send()).expect("it is there again");
    queue.send(&["{}".to_owned()]);
    queue.wait_for_rows(2);
    running.stop();
}

#[test]
fn credentials_that_are_refused_are_said_to_be() {
    let environment = [("INITIAL_NO_AUTH_ACTION_COUNT", "0")];
    let ports = crate::service::free_ports(1);
    let Some(strict) = Service::start_with("moto", &ports, &environment) else { return };
    let endpoint = format!("http://{}", strict.address());
    let folder = Folder::with(&[("p.yaml", &pipeline("any", ""))]);
    let refused = Done::of(&mut program(&folder, &endpoint, &["run", "p.yaml"]));
    refused.said(&["p.yaml:5:", "find the queue any", "the credentials are refused"]);
    let half = Folder::with(&[("p.yaml", &pipeline("any", ", access_key: {env: A}"))]);
    half.run(&["validate", "p.yaml"]).code(3).said(&["p.yaml:5:", "`access_key` and `secret_key` belong together"]);
}

/// The source alone, opened at a position.
async fn opened(queue: &Queue, position: Option<tidegate_pipeline::step::Position>) -> Box<dyn Source> {
    let text = format!(
        "name: {}\nendpoint_url: {}\nregion: us-east-1\naccess_key: test\nsecret_key: test\nvisibility_timeout: 5s\ndelay_seconds: 1",
        queue.url, queue.endpoint
    );
    let options = Options::parse(&text).expect("YAML");
    let context = SourcePlanContext { node: "q", working_directory: PathBuf::from("/"), recorded: None };
    let planned = SqsKind.plan(&options, &context).expect("good options");
    let context = SourceContext {
        node: "q".into(),
        position,
        schemas: Vec::new(),
        once: false,
        tables: tidegate_pipeline::table::SharedTables::default(),
        cancel: tokio_util::sync::CancellationToken::new(),
    };
    planned.open.open(context).await.expect("the queue is there")
}

#[test]
fn what_is_not_durable_is_kept_from_others_and_what_is_known_comes_without_rows() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint, "extended", "");
    queue.send(&["{\"a\":1}".to_owned()]);
    wait(async {
        let mut source = opened(&queue, None).await;
        let arrival = source.next().await.expect("an answer").expect("an arrival");
        assert_eq!(arrival.row_count(), 1);
        // Longer than the visibility timeout, and nobody else gets it.
        tokio::time::sleep(Duration::from_secs(7)).await;
        let other = queue.client.receive_message().queue_url(&queue.url).send().await.expect("an answer");
        assert!(other.messages.unwrap_or_default().is_empty());
        drop(source);
        // The program died after the step was durable: the message comes again, and is not given a second time.
        let mut again = opened(&queue, Some(arrival.position)).await;
        let repeated = again.next().await.expect("an answer").expect("an arrival");
        assert_eq!((repeated.row_count(), repeated.rejected.len()), (0, 0));
        again.acknowledge(&repeated.position).await.expect("it is taken");
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    queue.wait_until_empty();
}

#[test]
fn messages_that_could_not_be_deleted_are_deleted_later_and_come_as_one_event_each() {
    let mut receives = 0;
    let mut refusals = 0;
    let fake = Fake::start(move |action, request| match action {
        "AmazonSQS.GetQueueUrl" => json!({"QueueUrl": "http://127.0.0.1/queue"}),
        "AmazonSQS.ReceiveMessage" => {
            receives += 1;
            let message = |id: &str, receipt: &str| json!({"MessageId": id, "ReceiptHandle": receipt, "Body": "{}"});
            match receives {
                1 => json!({"Messages": [message("a", "a1"), message("b", "b1"), message("c", "c1")]}),
                // It is not told that `c` was deleted, and gives it again.
                5 => json!({"Messages": [message("c", "c2")]}),
                _ => {
                    std::thread::sleep(Duration::from_millis(100));
                    json!({})
                }
            }
        }
        "AmazonSQS.DeleteMessageBatch" => {
            let entries = request["Entries"].as_array().cloned().unwrap_or_default();
            let refused = |entry: &Value| matches!(entry["ReceiptHandle"].as_str(), Some("b1" | "c1"));
            refusals += 1;
            let (bad, good): (Vec<_>, Vec<_>) = match refusals {
                1 => entries.into_iter().partition(refused),
                _ => (Vec::new(), entries),
            };
            let failed = |entry: &Value| {
                let for_good = entry["ReceiptHandle"] == "c1";
                json!({"Id": entry["Id"], "SenderFault": for_good, "Code": "x", "Message": "not now"})
            };
            let done = |entry: &Value| json!({"Id": entry["Id"]});
            json!({
                "Successful": good.iter().map(done).collect::<Vec<_>>(),
                "Failed": bad.iter().map(failed).collect::<Vec<_>>(),
            })
        }
        _ => json!({"Successful": [], "Failed": []}),
    });
    let folder = Folder::with(&[("p.yaml", &pipeline("queue", ""))]);
    let running = Running::of(&mut program(&folder, &fake.endpoint, &["run", "p.yaml"]));
    let deleted = || -> Vec<String> {
        let requests = fake.requests("AmazonSQS.DeleteMessageBatch");
        let entries = requests.iter().flat_map(|request| request["Entries"].as_array().cloned().unwrap_or_default());
        entries.filter_map(|entry| entry["ReceiptHandle"].as_str().map(str::to_owned)).collect()
    };
    eventually("the second deletions", || {
        let deleted = deleted();
        let again = deleted.iter().filter(|receipt| *receipt == "b1").count() == 2;
        again && deleted.contains(&"c2".to_owned())
    });
    running.stop();
    assert_eq!(folder.read("out.jsonl").lines().count(), 3);
    assert_eq!(deleted().iter().filter(|receipt| *receipt == "a1").count(), 1);
}

#[test]
fn a_queue_is_diagnosed_step_by_step_and_no_message_is_received() {
    let Some(endpoint) = endpoint() else { return };
    let queue = Queue::new(endpoint.clone(), "diagnosed", "");
    queue.send(&["one".to_owned()]);
    let with = |name: &str, endpoint: &str, environment: &[(&str, &str)]| {
        let (name, endpoint) = (format!("name={name}"), format!("endpoint_url={endpoint}"));
        diagnosed_in("aws_sqs_queue", &[&name, &endpoint, "region=us-east-1"], environment).hides("hunter2")
    };
    let known = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
    let told = with("diagnosed", &endpoint, &known).all_well().hides("AKIDEXAMPLE");
    assert_eq!((told.detail("region known"), told.detail("credentials found")), ("us-east-1", "from the environment"));
    assert_eq!(told.detail("attributes readable"), "about 1 message waiting, 0 taken");
    with("none", &endpoint, &known).fails_at("queue there", &["Queue none does not exist", "check the name"]);
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().to_str().expect("UTF-8");
    with("diagnosed", &endpoint, &[("HOME", home)]).fails_at("credentials found", &["`access_key` and `secret_key`"]);
    let nobody = format!("http://127.0.0.1:{}", crate::service::free_ports(1)[0]);
    with("diagnosed", &nobody, &known).fails_at("TCP connected", &["refused"]);
    diagnosed_in("aws_sqs_queue", &["name=q"], &[("HOME", home)]).fails_at("region known", &["set `region`"]);
}
