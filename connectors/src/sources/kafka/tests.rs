//! Against the mock cluster of librdkafka.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::{Value, json};
use tidegate_pipeline::error::{Error, Retry};
use tidegate_pipeline::source::{Arrival, Source, SourceContext};
use tidegate_pipeline::step::Position;

use super::KafkaKind;
use crate::sources::testing::{context, options, plan, text};

/// No test waits longer for anything.
const LONGEST: Duration = Duration::from_secs(30);

type Mock = MockCluster<'static, DefaultProducerContext>;

fn cluster(partitions: i32) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", partitions, 1).unwrap();
    cluster
}

fn produce(cluster: &Mock, partition: i32, bodies: &[&str]) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer = config.set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    for body in bodies {
        producer.send(BaseRecord::<(), str>::to("t").partition(partition).payload(body)).unwrap();
    }
    producer.flush(LONGEST).unwrap();
}

async fn try_open(cluster: &Mock, more: &str, context: SourceContext) -> Result<Box<dyn Source>, Error> {
    let servers = cluster.bootstrap_servers();
    let given = format!(r#"{{"host":"{servers}","port":9092,"metadata_max_age_ms":300{more}}}"#);
    plan(&KafkaKind, &options(&given)).unwrap().open.open(context).await
}

async fn open(cluster: &Mock, more: &str, context: SourceContext) -> Box<dyn Source> {
    try_open(cluster, more, context).await.unwrap()
}

/// Arrivals until so many rows and rejected messages have come.
async fn take(source: &mut dyn Source, wanted: usize) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    let count = |arrivals: &[Arrival]| -> usize {
        arrivals.iter().map(|arrival| arrival.row_count() + arrival.rejected.len()).sum()
    };
    let taking = async {
        while count(&arrivals) < wanted {
            arrivals.push(source.next().await.unwrap().unwrap());
        }
    };
    tokio::time::timeout(LONGEST, taking).await.expect("the messages come");
    arrivals
}

fn rows(arrivals: &[Arrival]) -> Vec<Value> {
    text(arrivals).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bodies(arrivals: &[Arrival]) -> Vec<Value> {
    rows(arrivals).iter().map(|row| row["body"].clone()).collect()
}

fn at(position: &str) -> SourceContext {
    SourceContext { position: Some(Position(position.into())), ..context() }
}

const EARLIEST: &str = r#","topic":"t","offset":"earliest""#;

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_behind_a_position_and_says_where_each_event_was() {
    let cluster = cluster(1);
    produce(&cluster, 0, &[r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#]);
    let mut source = open(&cluster, EARLIEST, context()).await;
    let arrivals = take(source.as_mut(), 3).await;
    assert_eq!(arrivals[0].position.0.as_ref(), r#"{"t":{"0":0}}"#, "where it begins is journaled first");
    assert_eq!(arrivals.last().unwrap().position.0.as_ref(), r#"{"t":{"0":3}}"#);
    assert_eq!(rows(&arrivals)[2]["meta"]["source_offset"], "t:0:2");
    let mut resumed = open(&cluster, EARLIEST, at(r#"{"t":{"0":1}}"#)).await;
    assert_eq!(bodies(&take(resumed.as_mut(), 2).await), [json!({"n": 1}), json!({"n": 2})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_message_goes_to_errors_with_its_position_and_stops_nothing() {
    let cluster = cluster(1);
    let config = ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).clone();
    let producer: BaseProducer = config.create().unwrap();
    let bodies: [&[u8]; 4] = [b"{\"n\":0}", b"\xff\xfe", b"{\"n\":\"text\"}", b"{\"n\":3}"];
    for body in bodies {
        producer.send(BaseRecord::<(), [u8]>::to("t").partition(0).payload(body)).unwrap();
    }
    producer.flush(LONGEST).unwrap();
    let mut source = open(&cluster, EARLIEST, context()).await;
    let arrivals = take(source.as_mut(), 4).await;
    let rejected: Vec<&str> =
        arrivals.iter().flat_map(|arrival| &arrival.rejected).map(|rejected| rejected.position.as_str()).collect();
    assert_eq!(BTreeSet::from_iter(rejected), BTreeSet::from(["t:0:1", "t:0:2"]));
    assert_eq!(rows(&arrivals).len(), 2);
    assert_eq!(arrivals.last().unwrap().position.0.as_ref(), r#"{"t":{"0":4}}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_begins_behind_what_is_there_and_never_misses_what_comes_while_it_is_away() {
    let cluster = cluster(1);
    produce(&cluster, 0, &["{\"n\":0}"]);
    let mut source = open(&cluster, r#","topic":"t""#, context()).await;
    let first = source.next().await.unwrap().unwrap();
    assert_eq!((first.row_count(), first.position.0.as_ref()), (0, r#"{"t":{"0":1}}"#));
    drop(source);
    produce(&cluster, 0, &["{\"n\":1}"]);
    let mut again = open(&cluster, r#","topic":"t""#, at(&first.position.0)).await;
    assert_eq!(bodies(&take(again.as_mut(), 1).await), [json!({"n": 1})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_gone_stops_the_source_unless_the_user_has_chosen() {
    let cluster = cluster(1);
    produce(&cluster, 0, &["{\"n\":0}"]);
    let gone = at(r#"{"t":{"0":500}}"#);
    let error = try_open(&cluster, EARLIEST, gone.clone()).await.err().unwrap();
    assert!(error.retry == Retry::Never && error.message.contains("t:0 ends at 1"), "{error}");
    assert!(error.remedy.unwrap().contains("on_missing_offset"));
    let earliest = format!(r#"{EARLIEST},"on_missing_offset":"earliest""#);
    let mut source = open(&cluster, &earliest, gone).await;
    assert_eq!(bodies(&take(source.as_mut(), 1).await), [json!({"n": 0})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_come_later_are_found_by_a_pattern_and_read_from_their_beginning() {
    let cluster = cluster(1);
    let mut source = open(&cluster, r#","topic_pattern":"t|late""#, context()).await;
    assert_eq!(source.next().await.unwrap().unwrap().row_count(), 0);
    cluster.create_topic("later", 1, 1).unwrap();
    let config = ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).clone();
    let producer: BaseProducer = config.create().unwrap();
    producer.send(BaseRecord::<(), str>::to("later").partition(0).payload("{\"n\":7}")).unwrap();
    producer.flush(LONGEST).unwrap();
    assert_eq!(bodies(&take(source.as_mut(), 1).await), [json!({"n": 7})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_and_brokers_that_are_away_are_tried_again() {
    let cluster = cluster(1);
    let error = try_open(&cluster, r#","topic":"none""#, context()).await.err();
    if let Some(error) = error {
        assert!(error.retry == Retry::WithBackoff && error.message.contains("none"), "{error}");
    }
    let mut source = open(&cluster, EARLIEST, context()).await;
    source.next().await.unwrap();
    cluster.broker_down(1).unwrap();
    let error = tokio::time::timeout(LONGEST, source.next()).await.expect("it is noticed").unwrap_err();
    assert!(error.retry == Retry::WithBackoff && error.message.contains("reach any broker"), "{error}");
    cluster.broker_up(1).unwrap();
    produce(&cluster, 0, &["{\"n\":1}"]);
    let mut again = open(&cluster, EARLIEST, context()).await;
    assert_eq!(bodies(&take(again.as_mut(), 1).await), [json!({"n": 1})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_goes_on_behind_what_was_acknowledged_and_commits_nothing_before() {
    let cluster = cluster(1);
    let group = format!(r#"{EARLIEST},"group_id":"g""#);
    produce(&cluster, 0, &["{\"n\":0}", "{\"n\":1}"]);
    let mut source = open(&cluster, &group, context()).await;
    let arrivals = take(source.as_mut(), 2).await;
    drop(source);
    let mut again = open(&cluster, &group, context()).await;
    assert_eq!(bodies(&take(again.as_mut(), 2).await).len(), 2, "what was not acknowledged comes again");
    again.acknowledge(&arrivals.last().unwrap().position).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    drop(again);
    produce(&cluster, 0, &["{\"n\":2}"]);
    let mut third = open(&cluster, &group, context()).await;
    assert_eq!(bodies(&take(third.as_mut(), 1).await), [json!({"n": 2})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_a_group_share_its_partitions_and_one_takes_over_what_the_other_leaves() {
    let cluster = cluster(4);
    let group = format!(r#"{EARLIEST},"group_id":"g""#);
    let mut one = open(&cluster, &group, context()).await;
    let mut other = open(&cluster, &group, context()).await;
    for partition in 0..4 {
        produce(&cluster, partition, &[&format!("{{\"n\":{partition}}}")]);
    }
    let mut seen = Vec::new();
    let both = async {
        while seen.len() < 4 {
            let (source, arrival) = tokio::select! {
                arrival = one.next() => (&mut one, arrival),
                arrival = other.next() => (&mut other, arrival),
            };
            let arrival = arrival.unwrap().unwrap();
            source.acknowledge(&arrival.position).await.unwrap();
            seen.extend(bodies(&[arrival]).iter().map(|body| body["n"].as_i64().unwrap()));
        }
    };
    tokio::time::timeout(LONGEST, both).await.expect("all partitions are read");
    tokio::time::sleep(Duration::from_millis(600)).await;
    drop(other);
    for partition in 0..4 {
        produce(&cluster, partition, &[&format!("{{\"n\":{}}}", 10 + partition)]);
    }
    let late = take(one.as_mut(), 4).await;
    let mut late: Vec<i64> = bodies(&late).iter().map(|body| body["n"].as_i64().unwrap()).collect();
    late.sort_unstable();
    assert_eq!(late, [10, 11, 12, 13]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_a_fetch_that_pass_lose_nothing() {
    let cluster = cluster(1);
    let mut source = open(&cluster, EARLIEST, context()).await;
    source.next().await.unwrap();
    let passing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[passing, passing]);
    produce(&cluster, 0, &["{\"n\":0}", "{\"n\":1}"]);
    assert_eq!(bodies(&take(source.as_mut(), 2).await), [json!({"n": 0}), json!({"n": 1})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_lost_and_a_topic_that_is_deleted_are_said() {
    let cluster = cluster(1);
    let mut source = open(&cluster, EARLIEST, context()).await;
    source.next().await.unwrap();
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[denied; 3]);
    let error = tokio::time::timeout(LONGEST, source.next()).await.expect("it is noticed").unwrap_err();
    assert!(error.retry == Retry::WithBackoff && error.message.contains("cannot read the topic"), "{error}");
    cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    let mut again = open(&cluster, EARLIEST, context()).await;
    again.next().await.unwrap();
    cluster.topic_error("t", RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let error = tokio::time::timeout(LONGEST, again.next()).await.expect("it is noticed").unwrap_err();
    assert!(error.retry == Retry::WithBackoff && error.message.contains("there is no topic `t`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_takes_what_comes_partitions_are_paused_and_nothing_is_lost() {
    let cluster = cluster(1);
    let mut source = open(&cluster, &format!(r#"{EARLIEST},"max_poll_records":1"#), context()).await;
    let all: Vec<String> = (0..40).map(|n| format!("{{\"n\":{n}}}")).collect();
    produce(&cluster, 0, &all.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let taken = bodies(&take(source.as_mut(), 40).await);
    assert_eq!(taken, (0..40).map(|n| json!({"n": n})).collect::<Vec<_>>());
}

#[test]
fn what_is_wrong_with_the_options_is_said_all_at_once_in_the_words_of_the_event_driven_plugin() {
    let given = r#"{"host":"h","port":1,"topic":"a","topics":["b"],"offset":"x","verify_mode":"y",
        "message_format":"z","sasl_mechanism":"GSSAPI","encoding":"ebcdic"}"#;
    let found = plan(&KafkaKind, &options(given)).err().unwrap();
    let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "Exactly one of topic, topics, or topic_pattern must be provided.",
            "Invalid offset option: x",
            "Invalid message_format: z. Must be 'json' or 'avro'.",
            "the encoding `ebcdic` is not known",
            "Invalid verify_mode option: y",
            "the SASL mechanism GSSAPI cannot be used: this build has no Kerberos",
        ]
    );
}
