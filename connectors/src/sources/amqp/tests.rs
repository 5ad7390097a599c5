//! `azure_service_bus` with a broker in this process that takes tokens as Service Bus does.

use std::path::Path;
use std::time::{Duration, Instant};

use fe2o3_amqp::acceptor::{
    ConnectionAcceptor, LinkAcceptor, LinkEndpoint, ListenerConnectionHandle, ListenerSessionHandle,
    SaslAnonymousMechanism, SessionAcceptor,
};
use fe2o3_amqp::link::{Receiver, Sender};
use fe2o3_amqp::types::messaging::{ApplicationProperties, Body, Message, Outcome as Settled, Properties};
use fe2o3_amqp::types::primitives::Value;
use tidegate_pipeline::diagnosis::{Diagnosis, Outcome};
use tidegate_pipeline::error::Retry;
use tidegate_pipeline::source::{PlannedSource, SourceKind};
use tokio::net::TcpListener;

use super::options::ServiceBusOptions;
use super::{AmqpKind, ServiceBusKind, Target, planned};
use crate::sources::testing::{context, options, plan, text};

/// A connection that has put a token.
struct Peer {
    token: String,
    session: ListenerSessionHandle,
    _connection: ListenerConnectionHandle,
    links: (Sender, Receiver),
}

/// Takes a connection and the token that is put, and answers with `status`.
async fn accept(listener: &TcpListener, status: i32) -> Peer {
    let (stream, _) = listener.accept().await.unwrap();
    let acceptor = ConnectionAcceptor::builder().container_id("broker").sasl_acceptor(SaslAnonymousMechanism::new());
    let mut connection = acceptor.build().accept(stream).await.unwrap();
    let mut session = SessionAcceptor::new().accept(&mut connection).await.unwrap();
    let (mut answers, mut requests) = (None, None);
    while answers.is_none() || requests.is_none() {
        match LinkAcceptor::new().accept(&mut session).await.unwrap() {
            LinkEndpoint::Sender(link) => answers = Some(link),
            LinkEndpoint::Receiver(link) => requests = Some(link),
        }
    }
    let (mut answers, mut requests) = (answers.unwrap(), requests.unwrap());
    let token = answer(&mut requests, &mut answers, status).await;
    Peer { token, session, _connection: connection, links: (answers, requests) }
}

/// Takes a token and answers with `status`.
async fn answer(requests: &mut Receiver, answers: &mut Sender, status: i32) -> String {
    let request = requests.recv::<String>().await.unwrap();
    requests.accept(&request).await.unwrap();
    let token = request.body().clone();
    let id = request.message().properties.as_ref().and_then(|properties| properties.message_id.clone());
    let mut properties = Properties::new();
    properties.correlation_id = id;
    let said = ApplicationProperties::builder().insert("status-code", status).insert("status-description", "said");
    let answer =
        Message::builder().properties(properties).application_properties(said.build()).value("done".to_owned());
    let sent = tokio::time::timeout(Duration::from_secs(5), answers.send(answer.build())).await;
    // Who is refused may go before it says that it has heard.
    if status == 202 {
        assert!(matches!(sent.unwrap().unwrap(), Settled::Accepted(_)));
    }
    token
}

fn given(listener: &TcpListener) -> String {
    let port = listener.local_addr().unwrap().port();
    format!(
        r#"{{"conn_str": "Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=Listen;SharedAccessKey=a2V5;UseDevelopmentEmulator=true", "queue_name": "alerts"}}"#
    )
}

fn service_bus(listener: &TcpListener) -> PlannedSource {
    plan(&ServiceBusKind, &options(&given(listener))).unwrap()
}

/// The same, with tokens that end soon.
fn with_short_tokens(listener: &TcpListener) -> PlannedSource {
    let given = options(&given(listener));
    let settings: ServiceBusOptions = given.read().unwrap();
    let target = settings.target(Path::new("/"), &given).unwrap();
    planned("azure_service_bus", Target { token_life: Duration::from_secs(4), ..target })
}

// matrix: azure_service_bus: happy
#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_queue_and_a_message_is_settled_when_it_is_durable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let planned = service_bus(&listener);
    let broker = tokio::spawn(async move {
        let mut peer = accept(&listener, 202).await;
        let LinkEndpoint::Sender(queue) = LinkAcceptor::new().accept(&mut peer.session).await.unwrap() else {
            panic!("the source receives");
        };
        (peer, queue)
    });
    let mut source = planned.open.open(context()).await.unwrap();
    let (peer, mut queue) = broker.await.unwrap();
    assert!(peer.token.starts_with("SharedAccessSignature sr=sb%3A%2F%2F127.0.0.1%2Falerts&sig="), "{}", peer.token);
    let body: Body<Value> = Message::builder().data(b"{\"n\":1}".to_vec()).build().body.into();
    let message =
        Message::builder().properties(Properties::builder().message_id("seven".to_owned()).build()).body(body);
    let mut outcome = tokio::spawn(async move {
        let outcome = queue.send(message.build()).await;
        (queue, outcome)
    });
    let arrival = source.next().await.unwrap().unwrap();
    let position = arrival.position.clone();
    let row: serde_json::Value = serde_json::from_str(&text(&[arrival])).unwrap();
    assert_eq!((&row["body"]["n"], &row["meta"]["message_id"]), (&serde_json::json!(1), &serde_json::json!("seven")));
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut outcome).await.is_err(), "settled too early");
    source.acknowledge(&position).await.unwrap();
    let (_queue, outcome) = outcome.await.unwrap();
    assert!(matches!(outcome, Ok(Settled::Accepted(_))), "{outcome:?}");
}

/// When a token ends, in seconds since 1970.
fn end(token: &str) -> u64 {
    let (_, rest) = token.split_once("&se=").unwrap();
    rest.split('&').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends_and_one_that_is_refused_then_fails_the_source() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let planned = with_short_tokens(&listener);
    let broker = tokio::spawn(async move {
        let mut peer = accept(&listener, 202).await;
        let LinkEndpoint::Sender(queue) = LinkAcceptor::new().accept(&mut peer.session).await.unwrap() else {
            panic!("the source receives");
        };
        let begun = Instant::now();
        let (answers, requests) = &mut peer.links;
        let second = answer(requests, answers, 202).await;
        let after = begun.elapsed();
        let third = answer(requests, answers, 401).await;
        (peer, queue, [second, third], after)
    });
    let mut source = planned.open.open(context()).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(30), source.next()).await.unwrap().unwrap_err();
    assert!(error.message.contains("refuses the token") && !error.message.contains("a2V5"), "{error}");
    let (peer, _queue, [second, third], after) = broker.await.unwrap();
    assert!(after < Duration::from_secs(4), "{after:?}: the first has ended before");
    assert!(end(&peer.token) <= end(&second) && end(&second) <= end(&third));
    assert!(end(&peer.token) < end(&third), "each is a new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_an_error_that_no_other_attempt_mends_and_the_key_is_not_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let planned = service_bus(&listener);
    let broker = tokio::spawn(async move { accept(&listener, 401).await });
    let error = planned.open.open(context()).await.err().unwrap();
    assert!(error.message.contains("refuses the token") && !error.message.contains("a2V5"), "{error}");
    assert_eq!(error.retry, Retry::Never);
    // It may wait for an answer of who has gone.
    broker.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diagnosis_shows_the_token_attaches_and_asks_for_no_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let planned = service_bus(&listener);
    let broker = tokio::spawn(async move {
        // The first connection only looks whether somebody listens.
        drop(listener.accept().await.unwrap());
        let mut peer = accept(&listener, 202).await;
        let LinkEndpoint::Sender(mut queue) = LinkAcceptor::new().accept(&mut peer.session).await.unwrap() else {
            panic!("the source receives");
        };
        let message = Message::builder().data(b"{}".to_vec()).build();
        let sent = tokio::time::timeout(std::time::Duration::from_secs(1), queue.send(message)).await;
        assert!(sent.is_err() || sent.unwrap().is_err(), "there is no credit");
        peer
    });
    let mut found = Diagnosis::default();
    planned.open.diagnose(context(), &mut found).await;
    drop(broker.await.unwrap());
    let steps: Vec<&str> = found.checks().iter().map(|check| check.step.as_str()).collect();
    let expected = [
        "connection string read",
        "name resolved",
        "TCP connected",
        "TLS handshake",
        "credentials accepted",
        "session begun",
        "token accepted",
        "address attached",
    ];
    assert_eq!(steps, expected);
    assert!(!found.failed(), "{:?}", found.checks());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diagnosis_says_that_the_token_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let planned = service_bus(&listener);
    let broker = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        accept(&listener, 401).await
    });
    let mut found = Diagnosis::default();
    planned.open.diagnose(context(), &mut found).await;
    // It may wait for an answer of who has gone.
    broker.abort();
    let failed: Vec<_> = found.checks().iter().filter(|check| check.outcome == Outcome::Failed).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].step == "token accepted" && failed[0].detail.contains("check the key"), "{failed:?}");
    assert!(!format!("{:?}", found.checks()).contains("a2V5"));
}

#[test]
fn what_contradicts_itself_is_refused_with_its_reason() {
    let refusals = |kind: &dyn SourceKind, json: &str| -> Vec<String> {
        let refused = plan(kind, &options(json)).err().unwrap_or_default();
        refused.into_iter().map(|found| found.message).collect()
    };
    assert_eq!(
        refusals(&AmqpKind, r#"{"url": "amqp://me:key@host", "address": "", "cafile": "ca.pem", "credit": 0}"#),
        [
            "credentials do not belong into an address",
            "`address` names no queue",
            "`credit` must be between 1 and 1000",
            "certificates need `amqps://`",
        ]
    );
    assert_eq!(
        refusals(&AmqpKind, r#"{"url": "http://host", "address": "q"}"#),
        ["`url` must be `amqp://HOST:PORT` or `amqps://HOST:PORT`"]
    );
    let rulebook = r#"{"conn_str": "Endpoint=sb://x;SharedAccessKeyName=a;SharedAccessKey=b", "queue_name": "q", "logging_enable": false}"#;
    assert!(refusals(&ServiceBusKind, rulebook).is_empty());
}
