//! `nats` with nats-server; what is published is written to the socket by hand.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::diagnosis::{diagnosed, diagnosed_in};
use crate::home::{DEATHS, Home, numbers, shown};
use crate::program::Running;
use crate::service::{Service, free_ports};

fn server() -> Option<Service> {
    Service::start("nats", 2)
}

/// A client that speaks as much of the protocol as these tests need.
struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Client {
    fn new(port: u16) -> Self {
        let writer = TcpStream::connect(("127.0.0.1", port)).expect("the server takes connections");
        let reader = BufReader::new(writer.try_clone().expect("a handle"));
        let mut client = Self { reader, writer };
        client.write("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB answers 1\r\n");
        client
    }

    fn write(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).expect("the server reads");
    }

    fn publish(&mut self, subject: &str, payload: &[u8]) {
        self.write(&format!("PUB {subject} {}\r\n", payload.len()));
        self.writer.write_all(payload).expect("the server reads");
        self.write("\r\n");
    }

    fn publish_with(&mut self, subject: &str, headers: &str, payload: &str) {
        let headers = format!("NATS/1.0\r\n{headers}\r\n\r\n");
        let total = headers.len() + payload.len();
        self.write(&format!("HPUB {subject} {} {total}\r\n{headers}{payload}\r\n", headers.len()));
    }

    /// Until the server has taken all that was published.
    fn flush(&mut self) {
        self.write("PING\r\n");
        self.line_with("PONG");
    }

    /// A request to JetStream, and its answer.
    fn ask(&mut self, subject: &str, request: &Value) -> Value {
        let request = request.to_string();
        self.write(&format!("PUB {subject} answers {}\r\n{request}\r\n", request.len()));
        self.line_with("MSG answers");
        let mut answer = String::new();
        self.reader.read_line(&mut answer).expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn line_with(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert!(self.reader.read_line(&mut line).expect("an answer") > 0, "no {words}");
        }
    }

    fn publish_numbers(&mut self, numbers: std::ops::Range<i64>) {
        for n in numbers {
            self.publish("plant.a", json!({ "n": n }).to_string().as_bytes());
        }
        self.flush();
    }
}

fn stream(port: u16) -> Home {
    Home::new(&format!(
        "{{nats: {{servers: 'nats://127.0.0.1:{port}', stream: PLANT, consumer: gate, subjects: plant.>, \
         create: true, ack_wait: 2s, max_in_flight: 20}}}}"
    ))
}

/// A pipeline whose stream and consumer are there.
fn stream_made(port: u16) -> Home {
    let home = stream(port);
    let mut program = home.run();
    let mut client = Client::new(port);
    program.until("the consumer", || client.ask("$JS.API.CONSUMER.INFO.PLANT.gate", &json!({})).get("error").is_none());
    program.stop();
    home
}

// matrix: nats: happy, malformed
#[test]
fn messages_of_a_stream_come_with_subject_headers_and_place_and_those_that_are_no_json_as_text() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let home = stream_made(port);
    let mut client = Client::new(port);
    let uuid = "0192d3a0-0000-7000-8000-000000000000";
    client.publish_with("plant.a", &format!("Nats-Msg-Id: {uuid}\r\nsite: north"), "{\"n\":1}");
    client.publish("plant.b", b"door open");
    client.publish("plant.c", b"\xff");
    client.publish("plant.d", b"");
    client.flush();
    let mut program = home.run();
    program.until("three rows", || home.rows().len() == 3 && home.errors().len() == 1);
    program.stop();
    let rows = home.rows();
    assert_eq!((&rows[0]["body"]["n"], &rows[0]["meta"]["uuid"]), (&json!(1), &json!(uuid)));
    assert_eq!(
        (&rows[0]["meta"]["subject"], &rows[0]["meta"]["headers"]["site"]),
        (&json!("plant.a"), &json!("north"))
    );
    assert_eq!((&rows[1]["text"], &rows[2]["text"]), (&json!("door open"), &json!("")));
    assert_eq!((&rows[1]["meta"]["sequence"], &rows[1]["meta"]["delivered"]), (&json!(2), &json!(1)));
    assert_eq!(home.errors()[0]["position"], "PLANT:3");
}

// matrix: nats: kill-before-ack, kill-after-ack
#[test]
fn killed_before_and_after_a_step_is_durable_every_message_of_a_stream_comes_once() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let home = stream_made(port);
    let mut client = Client::new(port);
    let mut sent = 0;
    for point in DEATHS {
        client.publish_numbers(sent..sent + 100);
        sent += 100;
        home.dies_at(point);
    }
    let mut program = home.run();
    client.publish_numbers(sent..sent + 100);
    sent += 100;
    program.until("every message", || numbers(&home.rows()).0.len() as i64 == sent);
    // What was not acknowledged at a death comes again, and is known.
    program.until("everything is acknowledged", || {
        let info = Client::new(port).ask("$JS.API.CONSUMER.INFO.PLANT.gate", &json!({}));
        info["num_ack_pending"] == 0 && info["num_pending"] == 0
    });
    program.stop();
    let (distinct, all) = numbers(&home.rows());
    assert_eq!((distinct, all as i64), ((0..sent).collect::<Vec<_>>(), sent));
}

#[test]
fn after_a_plain_stop_everything_that_was_taken_is_acknowledged() {
    let Some(server) = server() else { return };
    let port = server.ports()[0];
    let home = stream_made(port);
    let mut client = Client::new(port);
    for life in 1..=5 {
        client.publish_numbers((life - 1) * 50..life * 50);
        let mut program = home.run();
        program.until("every message", || numbers(&home.rows()).0.len() as i64 == life * 50);
        program.stop();
        let info = client.ask("$JS.API.CONSUMER.INFO.PLANT.gate", &json!({}));
        assert_eq!((&info["num_ack_pending"], &info["num_redelivered"]), (&json!(0), &json!(0)), "{info}");
    }
}

// matrix: nats: disconnect
#[test]
fn a_server_that_goes_away_is_waited_for_and_its_stream_loses_nothing() {
    let Some(mut server) = server() else { return };
    let port = server.ports()[0];
    let home = stream_made(port);
    let mut program = home.run();
    Client::new(port).publish_numbers(0..20);
    program.until("the first", || numbers(&home.rows()).0.len() == 20);
    server.stop();
    program.until_said("A source failed and will be opened again");
    program.until_said("cannot be reached");
    server.start_again();
    Client::new(port).publish_numbers(20..40);
    program.until("the others", || numbers(&home.rows()).0.len() == 40);
    program.stop();
    assert_eq!(numbers(&home.rows()).1, 40);
}

#[test]
fn subjects_without_a_stream_give_what_comes_while_the_source_is_there() {
    let Some(mut server) = server() else { return };
    let port = server.ports()[0];
    let home = Home::new(&format!("{{nats: {{servers: 'nats://127.0.0.1:{port}', subjects: [plant.*, other]}}}}"));
    let mut program = home.run();
    let receives = |program: &mut Running, n: i64| {
        program.until("a message", || {
            let mut client = Client::new(port);
            client.publish("plant.a", json!({ "n": n }).to_string().as_bytes());
            client.flush();
            numbers(&home.rows()).0.contains(&n)
        });
    };
    receives(&mut program, 1);
    server.stop();
    program.until_said("A source failed and will be opened again");
    server.start_again();
    receives(&mut program, 2);
    program.stop();
    assert_eq!(home.rows()[0]["meta"]["subject"], "plant.a");
}

#[test]
fn streams_consumers_credentials_and_servers_that_do_not_work_are_named_without_the_password() {
    let Some(server) = server() else { return };
    let (port, tls) = (server.ports()[0], server.ports()[1]);
    let missing = format!("{{nats: {{servers: 'nats://127.0.0.1:{port}', stream: NONE, consumer: gate}}}}");
    Home::new(&missing).fails().said(&["the stream `NONE` is not there"]);
    stream_made(port);
    let missing = format!("{{nats: {{servers: 'nats://127.0.0.1:{port}', stream: PLANT, consumer: none}}}}");
    Home::new(&missing).fails().said(&["the consumer `none` of the stream `PLANT` is not there"]);
    let file = |name: &str| shown(&server.file(name));
    let with = |password: &str, cafile: &str| {
        format!(
            "{{nats: {{servers: 'tls://localhost:{tls}', subjects: a, username: gate, password: {password}, \
             cafile: {cafile}, certfile: {}, keyfile: {}}}}}",
            file("client.pem"),
            file("client.key")
        )
    };
    let refused = Home::new(&with("wrong-one", &file("ca.pem"))).fails();
    refused.said(&["refuses the credentials"]).never_said(&["wrong-one"]);
    let home = Home::new(&with("sluice", &file("client.pem")));
    home.run().until_said("cannot be reached: ");
    let home = Home::new(&with("{env: PASSWORD}", &file("ca.pem")));
    let mut program = home.run_with(&[("PASSWORD", "sluice")]);
    program.until("it runs", || home.file("errors.jsonl").exists());
    std::thread::sleep(std::time::Duration::from_millis(500));
    program.stop().never_said(&["will be opened again", "sluice"]);
    let nobody = free_ports(1)[0];
    let home = Home::new(&format!("{{nats: {{servers: 'nats://127.0.0.1:{nobody}', subjects: a}}}}"));
    home.run().until_said(&format!("nats://127.0.0.1:{nobody} cannot be reached"));
}

#[test]
fn servers_streams_and_consumers_are_diagnosed_step_by_step() {
    let Some(server) = server() else { return };
    let (port, tls) = (server.ports()[0], server.ports()[1]);
    let servers = format!("servers='nats://127.0.0.1:{port}'");
    stream_made(port);
    let told = diagnosed("nats", &[&servers, "stream=PLANT", "consumer=gate"]).all_well();
    assert!(told.detail("server greets").contains("with JetStream"));
    assert!(told.detail("consumer there").contains("not acknowledged"));
    diagnosed("nats", &[&servers, "subjects=[plant.*, open.>]"]).all_well();
    let missing = diagnosed("nats", &[&servers, "stream=NONE", "consumer=gate"]);
    missing.fails_at("stream there", &["the stream `NONE` is not there", "create: true"]);
    let missing = diagnosed("nats", &[&servers, "stream=PLANT", "consumer=none"]);
    missing.fails_at("consumer there", &["the consumer `none` of the stream `PLANT` is not there"]);
    let create = ["stream=NONE", "consumer=gate", "subjects=none.>", "create=true"];
    diagnosed("nats", &[[servers.as_str()].as_slice(), create.as_slice()].concat()).all_well();
    let answer = Client::new(port).ask("$JS.API.STREAM.INFO.NONE", &json!({}));
    assert_eq!(answer["error"]["code"], 404, "it creates nothing");
    let nobody = free_ports(1)[0];
    let one_of_two = format!("servers=['nats://127.0.0.1:{nobody}', 'nats://127.0.0.1:{port}']");
    let told = diagnosed("nats", &[&one_of_two, "subjects=a"]);
    let told = told.fails_at(&format!("nats://127.0.0.1:{nobody}: TCP connected"), &["refused"]);
    assert!(told.detail("connection accepted").contains("without credentials"), "the other one serves");
    let file = |option: &str, name: &str| format!("{option}={}", shown(&server.file(name)));
    let with = |password: &str, cafile: &str| {
        let servers = format!("servers='tls://localhost:{tls}'");
        let (certificate, key) = (file("certfile", "client.pem"), file("keyfile", "client.key"));
        let user = [&servers, "subjects=a", "username=gate", "password={env: PASSWORD}"];
        let files = [file("cafile", cafile), certificate, key];
        let all: Vec<&str> = user.into_iter().chain(files.iter().map(String::as_str)).collect();
        diagnosed_in("nats", &all, &[("PASSWORD", password)]).hides(password)
    };
    assert!(with("sluice", "ca.pem").all_well().detail("connection accepted").starts_with("as `gate`"));
    with("wrong-one", "ca.pem").fails_at("connection accepted", &["refuses the credentials"]);
    with("sluice", "client.pem").fails_at("TLS handshake", &["certificate"]);
}
