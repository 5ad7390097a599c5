//! `amqp` with RabbitMQ, whose queues are made and filled over its management port.

use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fe2o3_amqp::types::messaging::{ApplicationProperties, Message};
use fe2o3_amqp::{Connection, Sender, Session};
use serde_json::{Value, json};

use crate::diagnosis::{diagnosed, diagnosed_in};
use crate::home::{DEATHS, Home, numbers, shown};
use crate::program::eventually;
use crate::service::{Service, free_ports};

/// One broker at a time: it is a heavy one.
static TURN: Mutex<()> = Mutex::new(());

fn broker() -> Option<(Service, MutexGuard<'static, ()>)> {
    // A test that failed has left nothing behind.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some((Service::start("rabbitmq", 4)?, turn))
}

/// A request to the management port; its answer.
fn ask(broker: &Service, method: &str, path: &str, body: &Value) -> Value {
    let url = format!("http://127.0.0.1:{}/api/{path}", broker.ports()[1]);
    let output = Command::new("curl")
        .args(["-sS", "--fail-with-body", "-u", "guest:guest", "-X", method, "-H", "content-type: application/json"])
        .args(["-d", &body.to_string(), &url])
        .stdin(Stdio::null())
        .output()
        .expect("curl");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn queue(broker: &Service) {
    ask(broker, "PUT", "queues/%2F/alerts", &json!({"durable": true}));
}

fn publish(broker: &Service, payload: &str, encoding: &str, properties: &Value) {
    let mut properties = properties.clone();
    properties["delivery_mode"] = json!(2);
    let message =
        json!({"routing_key": "alerts", "payload": payload, "payload_encoding": encoding, "properties": properties});
    // A broker that has just started answers before it has its queues again; what has no queue is dropped.
    eventually("the message gets into its queue", || {
        ask(broker, "POST", "exchanges/%2F/amq.default/publish", &message)["routed"] == true
    });
}

fn publish_numbers(broker: &Service, numbers: std::ops::Range<i64>) {
    for n in numbers {
        publish(broker, &json!({ "n": n }).to_string(), "string", &json!({}));
    }
}

/// Sends a message over AMQP 1.0, with a property of its sender's own.
fn send(broker: &Service, body: &str, property: (&str, &str)) {
    let url = format!("amqp://guest:guest@127.0.0.1:{}", broker.ports()[0]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = Connection::open("sender", url.as_str()).await.expect("a connection");
        let mut session = Session::begin(&mut connection).await.expect("a session");
        let mut sender = Sender::attach(&mut session, "sender", "/amq/queue/alerts").await.expect("a link");
        let properties = ApplicationProperties::builder().insert(property.0, property.1).build();
        let message = Message::builder().application_properties(properties).value(body.to_owned()).build();
        let outcome = sender.send(message).await.expect("it is sent");
        assert!(outcome.is_accepted(), "{outcome:?}");
        // RabbitMQ 3.10 ends a link in its own order; the message is there.
        let _ = sender.close().await;
        let _ = connection.close().await;
    });
}

/// How many messages are in the queue, unsettled ones too.
fn left(broker: &Service) -> Option<i64> {
    ask(broker, "GET", "queues/%2F/alerts", &json!({}))["messages"].as_i64()
}

/// How many messages may be unsettled.
const CREDIT: usize = 10;

fn home(broker: &Service) -> Home {
    Home::new(&format!(
        "{{amqp: {{url: 'amqp://127.0.0.1:{}', address: /amq/queue/alerts, username: guest, password: guest, credit: {CREDIT}}}}}",
        broker.ports()[0]
    ))
}

// matrix: amqp: happy, malformed
#[test]
fn messages_come_with_their_properties_and_are_settled_and_what_is_no_text_goes_to_errors() {
    let Some((broker, _turn)) = broker() else { return };
    queue(&broker);
    let uuid = "0192d3a0-0000-7000-8000-000000000000";
    publish(&broker, "{\"n\":1}", "string", &json!({"message_id": uuid, "headers": {"site": "north"}}));
    publish(&broker, "door open", "string", &json!({"message_id": "seven"}));
    publish(&broker, "//4=", "base64", &json!({}));
    send(&broker, "{\"n\":4}", ("site", "north"));
    let home = home(&broker);
    let mut program = home.run();
    program.until("everything", || home.rows().len() == 3 && home.errors().len() == 1);
    program.until("everything is settled", || left(&broker) == Some(0));
    program.stop();
    let rows = home.rows();
    assert_eq!((&rows[0]["body"]["n"], &rows[0]["meta"]["uuid"]), (&json!(1), &json!(uuid)));
    assert_eq!(
        (&rows[0]["meta"]["address"], &rows[0]["meta"]["subject"]),
        (&json!("/amq/queue/alerts"), &json!("alerts"))
    );
    assert_eq!((&rows[1]["text"], &rows[1]["meta"]["message_id"]), (&json!("door open"), &json!("seven")));
    assert_eq!(home.errors()[0]["position"], "/amq/queue/alerts#3");
    // RabbitMQ's plugin passes on the properties of senders over AMQP 1.0, and drops the headers of others.
    assert_eq!((&rows[2]["body"]["n"], &rows[2]["meta"]["headers"]["site"]), (&json!(4), &json!("north")));
    assert!(rows[0]["meta"]["headers"].is_null(), "{}", rows[0]);
}

// matrix: amqp: kill-before-ack, kill-after-ack
#[test]
fn killed_before_and_after_a_step_is_durable_nothing_is_lost() {
    let Some((broker, _turn)) = broker() else { return };
    queue(&broker);
    let home = home(&broker);
    let mut sent = 0;
    for point in DEATHS {
        publish_numbers(&broker, sent..sent + 60);
        sent += 60;
        home.dies_at(point);
    }
    let mut program = home.run();
    program.until("every message", || numbers(&home.rows()).0.len() as i64 == sent);
    program.until("everything is settled", || left(&broker) == Some(0));
    program.stop();
    let (distinct, all) = numbers(&home.rows());
    assert_eq!(distinct, (0..sent).collect::<Vec<_>>());
    // What was sent and not settled at a death came again.
    assert!(all <= distinct.len() + CREDIT * DEATHS.len(), "{all} rows of {} messages", distinct.len());
}

#[test]
fn after_plain_stops_in_the_midst_of_messages_none_comes_again() {
    let Some((broker, _turn)) = broker() else { return };
    queue(&broker);
    let home = home(&broker);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish_numbers(&broker, 0..200));
        while !publishing.is_finished() {
            let before = home.rows().len();
            let mut program = home.run();
            program.until("more messages", || home.rows().len() > before || publishing.is_finished());
            program.stop();
        }
    });
    let mut program = home.run();
    program.until("every message", || numbers(&home.rows()).0.len() == 200);
    program.stop();
    assert_eq!(numbers(&home.rows()).1, 200, "each came once");
    // The broker counts now and then only. Nobody settles anything any more.
    let settled = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        left(&broker) == Some(0)
    });
    assert!(settled, "{:?} are not settled", left(&broker));
}

// matrix: amqp: disconnect
#[test]
fn a_broker_that_goes_away_is_waited_for_and_loses_nothing() {
    let Some((mut broker, _turn)) = broker() else { return };
    queue(&broker);
    let home = home(&broker);
    publish_numbers(&broker, 0..10);
    let mut program = home.run();
    program.until("the first", || numbers(&home.rows()).0.len() == 10);
    broker.stop();
    program.until_said("A source failed and will be opened again");
    program.until_said("cannot be reached");
    broker.start_again();
    publish_numbers(&broker, 10..20);
    program.until("the others", || numbers(&home.rows()).0.len() == 20);
    program.stop();
}

#[test]
fn messages_come_over_tls_and_an_unknown_authority_is_refused() {
    let Some((broker, _turn)) = broker() else { return };
    queue(&broker);
    publish_numbers(&broker, 0..1);
    let with = |cafile: &str| {
        Home::new(&format!(
            "{{amqp: {{url: 'amqps://localhost:{}', address: /amq/queue/alerts, username: guest, password: {{env: PASSWORD}}, cafile: {}}}}}",
            broker.ports()[2],
            shown(&broker.file(cafile))
        ))
    };
    let home = with("ca.pem");
    let mut program = home.run_with(&[("PASSWORD", "guest")]);
    program.until("the message", || numbers(&home.rows()).0 == [0]);
    program.until("it is settled", || left(&broker) == Some(0));
    program.stop();
    // A certificate that has signed nothing.
    with("client.pem").run_with(&[("PASSWORD", "guest")]).until_said("UnknownIssuer");
}

#[test]
fn credentials_queues_and_brokers_that_do_not_work_are_named_without_the_password() {
    let Some((broker, _turn)) = broker() else { return };
    let port = broker.ports()[0];
    let with = |port: u16, more: &str| {
        Home::new(&format!("{{amqp: {{url: 'amqp://127.0.0.1:{port}', address: /amq/queue/none, {more}}}}}"))
    };
    let refused = with(port, "username: guest, password: wrong-one").fails();
    refused.said(&["refuses the credentials"]).never_said(&["wrong-one"]);
    with(port, "username: guest, password: guest").run().until_said("/amq/queue/none");
    let nobody = free_ports(1)[0];
    with(nobody, "username: guest, password: guest").run().until_said("cannot be reached");
}

#[test]
fn a_broker_is_diagnosed_step_by_step_and_no_message_is_taken() {
    let Some((broker, _turn)) = broker() else { return };
    queue(&broker);
    publish_numbers(&broker, 0..3);
    let url = format!("url=amqp://127.0.0.1:{}", broker.ports()[0]);
    let with = |address: &str, password: &str| {
        let address = format!("address={address}");
        let arguments = [url.as_str(), &address, "username=guest", "password={env: PASSWORD}"];
        diagnosed_in("amqp", &arguments, &[("PASSWORD", password)])
    };
    let told = with("/amq/queue/alerts", "guest").all_well();
    assert_eq!(told.detail("credentials accepted"), "SASL PLAIN as `guest`");
    let all = json!({"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"});
    let queued = ask(&broker, "POST", "queues/%2F/alerts/get", &all);
    let queued = queued.as_array().expect("messages");
    assert!(queued.len() == 3 && queued.iter().all(|message| message["redelivered"] == false), "{queued:?}");
    with("/amq/queue/alerts", "wrong-one").fails_at("credentials accepted", &["refuses"]).hides("wrong-one");
    with("/amq/queue/none", "guest").fails_at("address attached", &["/amq/queue/none"]);
    let nobody = format!("url=amqp://127.0.0.1:{}", free_ports(1)[0]);
    diagnosed("amqp", &[&nobody, "address=q"]).fails_at("TCP connected", &["refused"]);
    let no_tls = format!("url=amqps://127.0.0.1:{}", broker.ports()[0]);
    diagnosed("amqp", &[&no_tls, "address=q"]).fails_at("TLS handshake", &[]);
    // The broker is no Service Bus: it takes no tokens.
    let string = format!(
        "conn_str=Endpoint=sb://127.0.0.1:{};SharedAccessKeyName=gate;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true",
        free_ports(1)[0]
    );
    let told = diagnosed("azure_service_bus", &[&string, "queue_name=q"]);
    let told = told.fails_at("TCP connected", &["refused"]).hides("c2VjcmV0");
    assert!(told.detail("connection string read").ends_with("key `gate`"));
}
