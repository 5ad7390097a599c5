//! `mqtt` with mosquitto, whose own client publishes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::diagnosis::{diagnosed, diagnosed_in};
use crate::home::{DEATHS, Home, numbers, shown};
use crate::service::{Service, free_ports};

fn broker() -> Option<Service> {
    Service::start("mosquitto", 2)
}

/// What `timeout` exits with.
const TIMED_OUT: i32 = 124;

/// Publishes each line as a message of its own.
fn publish(port: u16, topic: &str, lines: &[&str], more: &[&str]) {
    let port = port.to_string();
    let mut command = Command::new("timeout");
    command.args(["20", "mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-l"]);
    command.args(more);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("timeout and mosquitto_pub");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    child.stdin.take().expect("stdin is piped").write_all(text.as_bytes()).expect("it reads");
    // mosquitto_pub 2.0.11 does not always see that its input has ended; it has published everything then.
    let status = child.wait().expect("it ends");
    assert!(status.success() || status.code() == Some(TIMED_OUT), "{status}");
}

fn publish_numbers(port: u16, numbers: std::ops::Range<i64>, qos: &str) {
    let lines: Vec<String> = numbers.map(|n| json!({ "n": n }).to_string()).collect();
    publish(port, "plant/a", &lines.iter().map(String::as_str).collect::<Vec<_>>(), &["-q", qos]);
}

/// A pipeline whose session is there: what is retained on `ready` is in its output.
fn home(port: u16, qos: u8) -> Home {
    publish(port, "ready", &["{\"ready\":true}"], &["-r"]);
    let home = Home::new(&format!(
        "{{mqtt: {{host: 127.0.0.1, port: {port}, topics: [plant/#, ready], qos: {qos}, client_id: tests, keep_alive: 5s, max_in_flight: 10}}}}"
    ));
    let mut program = home.run();
    program.until("the session", || !home.rows().is_empty());
    program.stop();
    home
}

// matrix: mqtt: happy
#[test]
fn messages_come_with_their_topic_and_properties_in_order_and_those_that_are_no_json_as_text() {
    let Some(broker) = broker() else { return };
    let home = home(broker.ports()[0], 1);
    let properties = ["-D", "publish", "user-property", "message_uuid", "0192d3a0-0000-7000-8000-000000000000"];
    publish(broker.ports()[0], "plant/a", &["{\"n\":1}"], &properties);
    publish(broker.ports()[0], "plant/b", &["door open", "[1]", "{\"n\":2}"], &["-q", "2"]);
    publish(broker.ports()[0], "elsewhere", &["{\"n\":3}"], &[]);
    let mut program = home.run();
    program.until("four rows", || of_the_plant(&home).len() == 4);
    program.stop();
    let rows = of_the_plant(&home);
    assert_eq!((&rows[0]["body"]["n"], &rows[0]["meta"]["topic"]), (&json!(1), &json!("plant/a")));
    assert_eq!(rows[0]["meta"]["uuid"], "0192d3a0-0000-7000-8000-000000000000");
    assert_eq!(rows[0]["meta"]["source"], json!({"name": "in", "type": "mqtt"}));
    assert_eq!((&rows[1]["text"], &rows[2]["text"]), (&json!("door open"), &json!("[1]")));
    assert_eq!((&home.rows()[0]["meta"]["retain"], &rows[3]["meta"]["retain"]), (&json!(true), &json!(false)));
    assert!(home.errors().is_empty(), "{:?}", home.errors());
}

// matrix: mqtt: malformed
#[test]
fn what_is_no_text_goes_to_errors_with_its_place_and_the_others_follow() {
    let Some(broker) = broker() else { return };
    let home = home(broker.ports()[0], 1);
    let bytes = home.file("bytes");
    std::fs::write(&bytes, b"\xff\xfe").expect("written");
    let file = Command::new("mosquitto_pub")
        .args(["-p", &broker.ports()[0].to_string(), "-q", "1", "-t", "plant/a", "-f", &shown(&bytes)])
        .status();
    assert!(file.expect("mosquitto_pub").success());
    publish_numbers(broker.ports()[0], 0..1, "1");
    let mut program = home.run();
    program.until("the other message", || numbers(&home.rows()).0 == [0] && !home.errors().is_empty());
    program.stop();
    let error = &home.errors()[0];
    assert!(error["position"].as_str().is_some_and(|position| position.starts_with("plant/a#")), "{error}");
    assert!(error["reason"].as_str().is_some_and(|reason| reason.contains("UTF-8")), "{error}");
}

/// The rows without `ready`, which may have come again.
fn of_the_plant(home: &Home) -> Vec<Value> {
    let mut rows = home.rows();
    rows.retain(|row| row["meta"]["topic"].as_str().is_some_and(|topic| topic.starts_with("plant/")));
    rows
}

fn killed(qos: u8) {
    let Some(broker) = broker() else { return };
    let port = broker.ports()[0];
    let home = home(port, qos);
    let mut sent = 0;
    for point in DEATHS {
        publish_numbers(port, sent..sent + 100, &qos.to_string());
        sent += 100;
        home.dies_at(point);
    }
    let mut program = home.run();
    publish_numbers(port, sent..sent + 100, &qos.to_string());
    sent += 100;
    program.until("every message", || numbers(&home.rows()).0.len() as i64 == sent);
    program.stop();
    let (distinct, all) = numbers(&home.rows());
    assert_eq!(distinct, (0..sent).collect::<Vec<_>>());
    // What was in flight at a death came again.
    assert!(all <= distinct.len() * 3, "{all} rows of {} messages", distinct.len());
}

// matrix: mqtt: kill-before-ack, kill-after-ack
#[test]
fn killed_before_and_after_a_step_is_durable_nothing_of_qos_1_is_lost() {
    killed(1);
}

// matrix: mqtt: kill-before-ack, kill-after-ack
#[test]
fn killed_before_and_after_a_step_is_durable_nothing_of_qos_2_is_lost() {
    killed(2);
}

fn stopped(qos: u8) {
    let Some(broker) = broker() else { return };
    let port = broker.ports()[0];
    let home = home(port, qos);
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish_numbers(port, 0..2_000, &qos.to_string()));
        let mut lives = 0;
        while lives < 3 || !publishing.is_finished() {
            let before = of_the_plant(&home).len();
            let mut program = home.run();
            let more = || of_the_plant(&home).len() > before || of_the_plant(&home).len() >= 2_000;
            program.until("more messages", more);
            program.stop();
            lives += 1;
        }
    });
    let mut program = home.run();
    program.until("every message", || numbers(&home.rows()).0.len() == 2_000);
    program.stop();
    assert_eq!(numbers(&home.rows()).1, 2_000, "each came once");
}

#[test]
fn after_plain_stops_in_the_midst_of_messages_none_of_qos_1_comes_again() {
    stopped(1);
}

#[test]
fn after_plain_stops_in_the_midst_of_messages_none_of_qos_2_comes_again() {
    stopped(2);
}

#[test]
fn what_was_acknowledged_does_not_come_again_and_killed_anywhere_nothing_is_lost() {
    let Some(broker) = broker() else { return };
    let port = broker.ports()[0];
    let home = home(port, 1);
    for life in 0..4 {
        let program = home.run();
        publish_numbers(port, life * 50..life * 50 + 50, "1");
        program.kill();
    }
    let mut program = home.run();
    program.until("every message", || numbers(&home.rows()).0.len() == 200);
    program.stop();
    // What was taken and not acknowledged comes again, from mosquitto 2.0.11 not always with the first connection.
    let mut before = 0;
    for _ in 0..5 {
        let program = home.run();
        let begun = home.rows().len();
        while before != home.rows().len() {
            before = home.rows().len();
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        program.stop();
        if begun == home.rows().len() {
            break;
        }
    }
    let mut program = home.run();
    publish_numbers(port, 200..201, "1");
    program.until("one more", || numbers(&home.rows()).0.len() == 201);
    program.stop();
    let again: Vec<_> = home.rows().split_off(before);
    assert_eq!(again.len(), 1, "{again:?}");
}

// matrix: mqtt: disconnect
#[test]
fn a_broker_that_goes_away_is_waited_for_and_its_messages_come_again() {
    let Some(mut broker) = broker() else { return };
    let port = broker.ports()[0];
    let home = home(port, 2);
    let mut program = home.run();
    publish_numbers(port, 0..20, "2");
    program.until("the first", || numbers(&home.rows()).0.len() == 20);
    broker.stop();
    program.until_said("A source failed and will be opened again");
    program.until_said("Connection refused");
    broker.start_again();
    // Mosquitto keeps nothing for a session that it has read from its disk until the client has been back.
    program.until("the others", || {
        publish_numbers(port, 20..40, "2");
        numbers(&home.rows()).0.len() == 40
    });
    program.stop();
}

#[test]
fn credentials_subscriptions_and_brokers_that_do_not_work_are_named_without_the_password() {
    let Some(broker) = broker() else { return };
    let port = broker.ports()[0];
    let with = |more: &str| format!("{{mqtt: {{host: 127.0.0.1, client_id: x, {more}}}}}");
    let home = Home::new(&with(&format!("port: {port}, topics: open/#, username: gate, password: wrong-one")));
    let refused = format!("the broker 127.0.0.1:{port} refuses the credentials");
    home.fails().said(&[&refused]).never_said(&["wrong-one"]);
    home.edit(&with(&format!("port: {port}, topics: open/#, username: gate, password: {{env: PASSWORD}}")));
    let mut program = home.run_with(&[("PASSWORD", "sluice")]);
    publish(port, "open/a", &["{\"n\":1}"], &["-u", "gate", "-P", "sluice", "-r"]);
    program.until("a message", || numbers(&home.rows()).0 == [1]);
    program.stop().never_said(&["sluice"]);
    let nobody = free_ports(1)[0];
    let home = Home::new(&with(&format!("port: {nobody}, topics: a")));
    home.run().until_said(&format!("the broker 127.0.0.1:{nobody} cannot be reached"));
    let home = Home::new("{mqtt: {host: no-such-host.invalid, client_id: x, topics: a}}");
    home.run().until_said("the broker no-such-host.invalid:1883 cannot be reached");
}

#[test]
fn tls_with_a_client_certificate_works_and_an_unknown_authority_is_refused() {
    let Some(broker) = broker() else { return };
    let port = broker.ports()[1];
    let file = |name: &str| shown(&broker.file(name));
    let with = |cafile: &str| {
        format!(
            "{{mqtt: {{host: localhost, port: {port}, client_id: x, topics: a, cafile: {cafile}, certfile: {}, keyfile: {}}}}}",
            file("client.pem"),
            file("client.key")
        )
    };
    publish(broker.ports()[0], "a", &["{\"n\":1}"], &["-r"]);
    let home = Home::new(&with(&file("ca.pem")));
    let mut program = home.run();
    program.until("a message", || numbers(&home.rows()).0 == [1]);
    program.stop();
    // A certificate that has signed nothing.
    let home = Home::new(&with(&file("client.pem")));
    home.run().until_said(&format!("no TLS connection to the broker localhost:{port}"));
}

#[test]
fn a_broker_is_diagnosed_step_by_step_and_the_source_that_runs_is_left_alone() {
    let Some(broker) = broker() else { return };
    let (port, tls) = (format!("port={}", broker.ports()[0]), format!("port={}", broker.ports()[1]));
    let home = home(broker.ports()[0], 1);
    let mut program = home.run();
    let well = ["host=127.0.0.1", &port, "client_id=tests", "topics=[plant/#, {topic: open/a, qos: 2}]"];
    let told = diagnosed("mqtt", &well).all_well();
    assert!(told.detail("CONNECT accepted").contains("reason code 0"));
    assert_eq!(told.detail("topic open/a: subscription granted"), "QoS 2");
    assert_eq!(told.detail("TLS handshake"), "the options ask for no TLS");
    publish(broker.ports()[0], "plant/a", &["{\"n\":1}"], &[]);
    program.until("a message", || numbers(&home.rows()).0 == [1]);
    assert!(!program.said().contains("opened again"), "{}", program.said());
    program.stop();
    let user = ["host=127.0.0.1", &port, "client_id=x", "topics=open/#", "username=gate", "password={env: PASSWORD}"];
    diagnosed_in("mqtt", &user, &[("PASSWORD", "sluice")]).all_well().hides("sluice");
    let wrong = diagnosed_in("mqtt", &user, &[("PASSWORD", "wrong-one")]);
    wrong.fails_at("CONNECT accepted", &["refuses the credentials", "check `username`"]).hides("wrong-one");
    let shared = diagnosed("mqtt", &["host=127.0.0.1", &port, "client_id=x", "topics=$share/group/plant/#"]).all_well();
    assert!(shared.detail("topic $share/group/plant/#: subscription granted").starts_with("not tried"));
    let nobody = format!("port={}", free_ports(1)[0]);
    diagnosed("mqtt", &["host=127.0.0.1", &nobody, "client_id=x", "topics=a"]).fails_at("TCP connected", &["refused"]);
    let file = |option: &str, name: &str| format!("{option}={}", shown(&broker.file(name)));
    let (certificate, key) = (file("certfile", "client.pem"), file("keyfile", "client.key"));
    let trusting = |cafile: &str| {
        diagnosed("mqtt", &["host=localhost", &tls, "client_id=x", "topics=a", cafile, &certificate, &key])
    };
    assert!(trusting(&file("cafile", "ca.pem")).all_well().detail("TLS handshake").contains("`server` valid until"));
    trusting(&file("cafile", "client.pem")).fails_at("TLS handshake", &["certificate", "CA that is trusted here"]);
}
