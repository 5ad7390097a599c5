//! Against the mock cluster of librdkafka.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::sink::{Mark, Sink, SinkContext, SinkKind, TransactionalSink};

use super::KafkaKind;
use crate::sinks::testing::step;
use crate::sources::testing::options;

type Mock = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("out", 1, 1).unwrap();
    cluster
}

fn rows(values: &[i64]) -> RecordBatch {
    let names: Vec<String> = values.iter().map(|value| format!("name {value}")).collect();
    let (numbers, names) = (Int64Array::from(values.to_vec()), StringArray::from(names));
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("name", Arc::new(names) as _)]).unwrap()
}

async fn open(cluster: &Mock, detail: Option<String>) -> Box<dyn TransactionalSink> {
    try_open(cluster, detail, "").await.unwrap()
}

async fn try_open(cluster: &Mock, detail: Option<String>, more: &str) -> Result<Box<dyn TransactionalSink>, Error> {
    let servers = cluster.bootstrap_servers();
    let given = format!(
        r#"{{"host":"{servers}","port":9092,"topic":"out","key":"n","headers":{{"h":"name","none":"CAST(NULL AS VARCHAR)"}}{more}}}"#
    );
    let mut warnings = Vec::new();
    let mut context = PlanContext {
        node: "out",
        inputs: &[],
        schema: rows(&[]).schema(),
        open: false,
        match_all: false,
        working_directory: "/".into(),
        memory: 1 << 20,
        recorded: Vec::new(),
        tables_of: &|_| None,
        warnings: &mut warnings,
    };
    let planned = KafkaKind.plan(&options(&given), &mut context).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let mark = detail.map(|detail| Mark { detail, ..Mark::default() });
    match planned.open.open(SinkContext { node: "out".into(), mark }).await? {
        Sink::Transactional(sink) => Ok(sink),
        Sink::Dispatching(_) => panic!("a transactional sink"),
    }
}

fn expected(numbers: std::ops::RangeInclusive<i64>) -> Vec<(String, String)> {
    numbers.map(|n| (n.to_string(), format!(r#"{{"n":{n},"name":"name {n}"}}"#))).collect()
}

async fn commit(sink: &mut dyn TransactionalSink) -> String {
    sink.commit().await.unwrap().await.unwrap()
}

/// Keys and bodies of the messages that are in the topic.
fn messages(cluster: &Mock, wanted: usize) -> Vec<(String, String)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "reader");
    let reader: BaseConsumer = config.create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("out", 0, Offset::Beginning).unwrap();
    reader.assign(&partitions).unwrap();
    let (mut found, mut quiet) = (Vec::new(), 0);
    while quiet < 100 && (found.len() < wanted || quiet < 5) {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
                assert_eq!(message.headers().map(|headers| (headers.count(), headers.get(0).key)), Some((1, "h")));
                found.push((text(message.key()), text(message.payload())));
            }
            _ => quiet += 1,
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_messages_in_order_and_the_mark_says_how_far() {
    let cluster = cluster();
    let mut sink = open(&cluster, None).await;
    let first = commit(sink.as_mut()).await;
    sink.write(&step(3), &rows(&[1, 2])).await.unwrap();
    sink.write(&step(4), &rows(&[3])).await.unwrap();
    let second = commit(sink.as_mut()).await;
    assert!(first.contains(r#""step":0"#) && second.contains(r#""step":4"#), "{first} {second}");
    assert_eq!(commit(sink.as_mut()).await, second, "nothing new is no new mark");
    assert_eq!(messages(&cluster, 3), expected(1..=3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_the_cluster_has_forgotten_stops_unless_the_user_has_chosen() {
    let cluster = cluster();
    let mark = || Some(r#"{"id":"x","step":3}"#.to_owned());
    let error = try_open(&cluster, mark(), "").await.err().unwrap();
    assert!(error.message.contains("forgotten") && error.remedy.unwrap().contains("on_missing_mark"));
    let mut sink = try_open(&cluster, mark(), r#","on_missing_mark":"continue""#).await.unwrap();
    sink.write(&step(3), &rows(&[1])).await.unwrap();
    sink.write(&step(4), &rows(&[2])).await.unwrap();
    commit(sink.as_mut()).await;
    assert_eq!(messages(&cluster, 1), expected(2..=2), "what the mark covers is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_before_the_steps_are_durable() {
    let cluster = cluster();
    let mut sink = open(&cluster, None).await;
    let first = commit(sink.as_mut()).await;
    sink.write(&step(1), &rows(&[1])).await.unwrap();
    // A checkpoint that never comes to wait for it.
    drop(sink.commit().await.unwrap());
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(sink);
    let mut again = open(&cluster, Some(first)).await;
    again.write(&step(1), &rows(&[1])).await.unwrap();
    let second = commit(again.as_mut()).await;
    assert!(second.contains(r#""step":1"#), "{second}");
}
