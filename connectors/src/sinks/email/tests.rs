//! Against servers that follow a script.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use tidegate_pipeline::operator::PlanContext;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::sinks::testing::step;
use crate::sources::testing::options;

fn rows() -> RecordBatch {
    let columns = [("control", "sg_ingress_ssh"), ("resource", "größe"), ("reason", ".open\n.to all")];
    let columns = columns.map(|(name, value)| (name, Arc::new(StringArray::from(vec![value])) as _));
    RecordBatch::try_from_iter(columns).unwrap()
}

fn plan(given: &str) -> Result<PlannedSink, Vec<Diagnostic>> {
    let mut warnings = Vec::new();
    let mut context = PlanContext {
        node: "mail",
        inputs: &[],
        schema: rows().schema(),
        open: false,
        match_all: false,
        working_directory: "/".into(),
        memory: 1 << 20,
        recorded: Vec::new(),
        tables_of: &|_| None,
        warnings: &mut warnings,
    };
    EmailKind.plan(&options(given), &mut context)
}

async fn deliver(given: &str) -> Attempt {
    let planned = plan(given).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let mut rejected = Vec::new();
    let made = planned.open.maker().unwrap().make(&step(7), &rows(), &mut rejected).unwrap();
    let Sink::Dispatching(sink) = planned.open.open(SinkContext { node: "mail".into(), mark: None }).await.unwrap()
    else {
        panic!("a dispatching sink")
    };
    sink.deliver("p/0/1/mail/0/7/0", &made[0]).await
}

/// A server that greets and answers each command with the first answer whose beginning fits; gives what it was told.
async fn server(answers: &'static [(&'static str, &'static str)]) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"220-hello\r\n220 there\r\n").await.unwrap();
        let (mut told, mut line, mut data) = (String::new(), String::new(), false);
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            told.push_str(&line);
            let answer = match (data, line.as_str()) {
                (true, ".\r\n") => {
                    answers.iter().find(|(command, _)| *command == ".").map_or("250 taken", |(_, it)| *it)
                }
                (true, _) => "",
                (false, line) => {
                    answers.iter().find(|(command, _)| line.starts_with(command)).map_or("250 fine", |(_, it)| *it)
                }
            };
            data = if data { line != ".\r\n" } else { answer.starts_with("354") };
            if !answer.is_empty() && stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                break;
            }
            line.clear();
        }
        told
    });
    (port, task)
}

fn given(port: u16, more: &str) -> String {
    format!(
        r#"{{"host":"127.0.0.1","port":{port},"security":"none","from":"tidegate@example.com","to":["a@example.com","b@example.com"]{more}}}"#
    )
}

#[tokio::test]
async fn a_row_is_a_message_that_the_server_takes() {
    let (port, told) = server(&[("EHLO", "250-x\r\n250 SIZE 1000"), ("DATA", "354 go on")]).await;
    let more = r#","subject":"{{ control }} on {{ resource }}","text":"{{ reason }}""#;
    assert_eq!(deliver(&given(port, more)).await, Attempt::Done);
    let told = told.await.unwrap();
    for expected in [
        "EHLO tidegate\r\nMAIL FROM:<tidegate@example.com>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n",
        "From: tidegate@example.com\r\nTo: a@example.com,\r\n b@example.com\r\n",
        "Message-ID: <p.0.1.mail.0.7.0@example.com>\r\n",
        &format!("Subject: =?utf-8?B?{}?=\r\n", BASE64.encode("sg_ingress_ssh on größe")),
        &format!("\r\n\r\n{}\r\n.\r\nQUIT\r\n", BASE64.encode(".open\n.to all")),
    ] {
        assert!(told.contains(expected), "{expected:?} in {told}");
    }
}

#[tokio::test]
async fn what_the_server_says_decides_whether_it_is_tried_again() {
    let of = async |answers: &'static [(&'static str, &'static str)]| {
        let (port, _told) = server(answers).await;
        deliver(&given(port, "")).await
    };
    let again = of(&[("RCPT", "451 greylisted")]).await;
    assert!(matches!(&again, Attempt::Again { reason, .. } if reason.contains("451 greylisted")), "{again:?}");
    let refused = of(&[("RCPT TO:<b", "550-no such\r\n550 user")]).await;
    assert!(matches!(&refused, Attempt::Refused { reason } if reason.contains("550 no such user")), "{refused:?}");
    let refused = of(&[("DATA", "354 go on"), (".", "554 spam")]).await;
    assert!(matches!(refused, Attempt::Refused { .. }));
    let noise = of(&[("EHLO", "what?")]).await;
    assert!(matches!(noise, Attempt::Again { .. }));
    let (port, told) = server(&[("STARTTLS", "502 no")]).await;
    let no_tls = deliver(&given(port, "").replace("\"none\"", "\"starttls\"")).await;
    assert!(matches!(&no_tls, Attempt::Refused { reason } if reason.contains("no TLS")), "{no_tls:?}");
    assert!(!told.await.unwrap().contains("MAIL"), "nothing goes in the clear");
}

#[test]
fn addresses_that_would_end_a_command_or_a_header_are_refused() {
    let wrong = |more: &str| {
        let given = format!(r#"{{"host":"h","from":"a@b","to":"c@d"{more}}}"#);
        plan(&given).err().unwrap_or_else(|| panic!("{more} is wrong")).remove(0).message
    };
    let duplicate = |key: &str, value: &str| {
        let mut given = serde_json::json!({"host": "h", "from": "a@b", "to": "c@d"});
        given[key] = value.into();
        plan(&given.to_string()).err().unwrap_or_else(|| panic!("{value} is wrong")).remove(0).message
    };
    for address in ["nobody", "a@b\r\nRCPT TO:<x@y>", "a b@c", "<a@b>", "@b", "a@"] {
        assert!(duplicate("from", address).contains("no address"), "{address}");
        assert!(duplicate("to", address).contains("no address"), "{address}");
    }
    assert!(wrong(r#","username":"u""#).contains("together"));
    assert!(wrong(r#","username":"u","password":"p","security":"none""#).contains("without TLS"));
    assert!(wrong(r#","subject":"{{ nothing }}""#).contains("nothing"));
}
