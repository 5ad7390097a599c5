//! What a listener does with clients that are slow, broken, too many or not who they should be.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::testing::{PATIENCE, Served, answer, connect, exchange, free_port, request};
use crate::sources::testing::{context, options, plan};
use crate::sources::webhook::WebhookKind;

async fn webhook(more: Value) -> Served {
    Served::start(&WebhookKind, &more).await
}

#[tokio::test]
async fn a_slow_loris_is_cut_off_and_blocks_nobody() {
    let served = webhook(json!({"read_timeout": "300ms", "max_connections": 4})).await;
    let mut slow = Vec::new();
    for head in ["POST / HTTP/1.1\r\nHost:", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", "", "P"] {
        let mut stream = connect(served.address).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let answered = timeout(PATIENCE, served.post("/", &[], "{}")).await.unwrap();
    assert_eq!(answered.status, 202, "its place becomes free when the slow ones are cut off");
    let mut statuses = Vec::new();
    for stream in slow {
        statuses.push(answer(stream).await.status);
    }
    assert_eq!(statuses[1], 408, "a body that does not come is answered");
    assert!(statuses.iter().all(|status| [0, 408].contains(status)), "{statuses:?}");
    assert_eq!(served.events().len(), 1);
}

#[tokio::test]
async fn bytes_that_trickle_in_do_not_prolong_the_time() {
    let served = webhook(json!({"read_timeout": "300ms"})).await;
    let mut stream = connect(served.address).await;
    let begun = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n").await.unwrap();
    while begun.elapsed() < PATIENCE && stream.write_all(b"1").await.is_ok() {
        sleep(Duration::from_millis(30)).await;
        if begun.elapsed() > Duration::from_millis(600) {
            break;
        }
    }
    assert_eq!(answer(stream).await.status, 408);
}

#[tokio::test]
async fn a_listener_that_closes_answers_those_whose_events_are_durable_and_refuses_the_others() {
    let port = free_port();
    let given = options(&json!({"host": "127.0.0.1", "port": port}).to_string());
    let context = context();
    let mut source = plan(&WebhookKind, &given).unwrap().open.open(context.clone()).await.unwrap();
    let address = ([127, 0, 0, 1], port).into();
    let post = |body: &'static [u8]| async move { exchange(connect(address).await, &request("/", &[], body)).await };
    let taken = tokio::spawn(post(b"1"));
    let arrival = timeout(PATIENCE, source.next()).await.unwrap().unwrap().unwrap();
    let late = tokio::spawn(post(b"2"));
    // Somebody who says nothing is not waited for.
    let silent = connect(address).await;
    sleep(Duration::from_millis(100)).await;
    context.cancel.cancel();
    arrival.replies.into_iter().for_each(|reply| reply.send(()).unwrap());
    timeout(PATIENCE, source.close()).await.unwrap().unwrap();
    assert_eq!(taken.await.unwrap().status, 202);
    let late = late.await.unwrap();
    assert_eq!(late.refusal(), (503, "The pipeline is stopping: come again later".to_owned()));
    assert!(late.headers.contains("retry-after: 1"), "{}", late.headers);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    drop(silent);
}

#[tokio::test]
async fn a_body_of_100_mb_is_refused_without_being_held() {
    let served = webhook(json!({"max_body": "1MiB"})).await;
    let (mut reading, mut writing) = connect(served.address).await.into_split();
    let sending = tokio::spawn(async move {
        writing.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n").await.unwrap();
        let piece = vec![b' '; 1024 * 1024];
        for _ in 0..100 {
            if writing.write_all(&piece).await.is_err() {
                break;
            }
        }
        writing
    });
    let mut head = [0; 12];
    timeout(PATIENCE, reading.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    drop(sending.await.unwrap());
    let endless =
        [&b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &b"100000\r\n"[..]].concat();
    let mut stream = connect(served.address).await;
    stream.write_all(&endless).await.unwrap();
    for _ in 0..2 {
        stream.write_all(&vec![b' '; 0x10_0000]).await.unwrap();
        stream.write_all(b"\r\n100000\r\n").await.unwrap();
    }
    stream.shutdown().await.unwrap();
    assert_eq!(answer(stream).await.status, 413, "also where the length is not said before");
    assert_eq!(served.post("/", &[], "{}").await.status, 202);
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let served = webhook(json!({})).await;
    let many: Vec<String> = (0..200).map(|number| format!("x-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(served.post("/", &many, "{}").await.status, 431);
    let long = format!("x: {}", "y".repeat(200_000));
    assert_eq!(served.post("/", &[&long], "{}").await.status, 431);
    assert_eq!(served.post("/", &["x-1: 1"], "{}").await.status, 202);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_blocks_nobody() {
    let served = webhook(json!({})).await;
    assert_eq!(served.raw(b"\x16\x03\x01\x02\x00garbage\r\n\r\n").await.status, 400);
    assert_eq!(served.raw(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").await.status, 400);
    let cut = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{}";
    let mut stream = connect(served.address).await;
    stream.write_all(cut).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!([0, 400].contains(&answer(stream).await.status), "a client that has gone");
    assert_eq!(served.post("/", &[], "{}").await.status, 202);
    assert_eq!(served.events().len(), 1);
}

#[tokio::test]
async fn one_connection_brings_many_requests() {
    let served = webhook(json!({})).await;
    let one = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let all = [&one.repeat(9)[..], &request("/a", &[], b"{}")].concat();
    let said = exchange(connect(served.address).await, &all).await;
    assert_eq!((said.status, said.body.matches("HTTP/1.1 202").count()), (202, 9));
    assert_eq!(served.events().len(), 10);
}

#[tokio::test]
async fn more_than_can_wait_is_told_to_come_again() {
    let more = json!({"host": "127.0.0.1", "port": free_port(), "answer_timeout": "500ms", "max_connections": 2000});
    let address = format!("127.0.0.1:{}", more["port"]).parse().unwrap();
    let planned = plan(&WebhookKind, &options(&more.to_string())).unwrap();
    // Nobody takes what comes: as when the journal is full.
    let source = planned.open.open(context()).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..super::intake::QUEUE + 20 {
        callers.spawn(async move { exchange(connect(address).await, &request("/", &[], b"{}")).await });
    }
    let answers = callers.join_all().await;
    assert!(answers.iter().all(|said| said.status == 503 && said.headers.contains("retry-after: 1")));
    let refused = answers.iter().filter(|said| said.body.contains("Too many events wait")).count();
    assert_eq!(refused, 20, "the others waited in vain");
    drop(source);
}

#[tokio::test]
async fn a_source_that_stops_answers_those_who_wait_and_frees_its_port() {
    let more = json!({"host": "127.0.0.1", "port": free_port()});
    let address = format!("127.0.0.1:{}", more["port"]).parse().unwrap();
    let planned = plan(&WebhookKind, &options(&more.to_string())).unwrap();
    let source = planned.open.open(context()).await.unwrap();
    let caller = tokio::spawn(async move { exchange(connect(address).await, &request("/", &[], b"{}")).await });
    sleep(Duration::from_millis(100)).await;
    drop(source);
    let said = caller.await.unwrap();
    assert_eq!(said.refusal(), (503, "The pipeline is stopping: come again later".to_owned()));
    drop(planned.open.open(context()).await.unwrap());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = json!({"host": "127.0.0.1", "port": taken.local_addr().unwrap().port()});
    let planned = plan(&WebhookKind, &options(&more.to_string())).unwrap();
    let error = planned.open.open(context()).await.err().unwrap();
    assert!(error.message.contains("address already in use"), "{error}");
    assert_eq!(error.retry, tidegate_pipeline::error::Retry::Never);
}

/// Certificates of an authority, a server and a client, as files.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &authority).unwrap();
            std::fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn connector(&self, client: bool) -> TlsConnector {
        let read = |name: &str| CertificateDer::from_pem_file(Path::new(&self.path(name))).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(read("ca.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match client {
            true => {
                let key = PrivateKeyDer::from_pem_file(Path::new(&self.path("client.key"))).unwrap();
                builder.with_client_auth_cert(vec![read("client.pem")], key).unwrap()
            }
            false => builder.with_no_client_auth(),
        };
        TlsConnector::from(Arc::new(config))
    }

    /// The status of a request over TLS; 0 where there was none.
    async fn post(&self, served: &Served, client: bool) -> u16 {
        let name = ServerName::try_from("localhost").unwrap();
        match self.connector(client).connect(name, connect(served.address).await).await {
            Ok(stream) => exchange(stream, &request("/", &[], b"{}")).await.status,
            Err(_) => 0,
        }
    }
}

#[tokio::test]
async fn over_tls_a_handshake_that_is_never_finished_blocks_nobody() {
    let files = Certificates::new();
    let with =
        json!({"certfile": files.path("server.pem"), "keyfile": files.path("server.key"), "read_timeout": "500ms"});
    let served = webhook(with).await;
    let mut half_open = Vec::new();
    for start in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = connect(served.address).await;
        stream.write_all(start).await.unwrap();
        half_open.push(stream);
    }
    assert_eq!(files.post(&served, false).await, 202);
    for stream in half_open {
        assert_eq!(answer(stream).await.status, 0, "it is cut off");
    }
    let mut plain = connect(served.address).await;
    plain.write_all(&request("/", &[], b"{}")).await.unwrap();
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut bytes)).await.unwrap();
    assert!(!bytes.starts_with(b"HTTP"), "no word in the clear");
    assert_eq!(served.events().len(), 1);
}

#[tokio::test]
async fn with_an_authority_only_its_clients_are_heard() {
    let files = Certificates::new();
    let (server, key) = (files.path("server.pem"), files.path("server.key"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(files.path("ca.pem"), folder.path().join("one.pem")).unwrap();
    for authority in [("cafile", files.path("ca.pem")), ("capath", folder.path().display().to_string())] {
        let mut with = json!({"certfile": server, "keyfile": key});
        with[authority.0] = authority.1.into();
        let served = webhook(with).await;
        assert_eq!(files.post(&served, false).await, 0);
        assert_eq!(files.post(&served, true).await, 202);
        assert_eq!(served.events().len(), 1);
    }
}

#[tokio::test]
async fn files_that_hold_something_else_are_named() {
    let files = Certificates::new();
    let message = async |with: Value| {
        let mut all = with;
        all["port"] = free_port().into();
        let planned = plan(&WebhookKind, &options(&all.to_string())).unwrap();
        planned.open.open(context()).await.err().unwrap().to_string()
    };
    let none = message(json!({"certfile": "/none.pem"})).await;
    assert!(none.contains("/none.pem"), "{none}");
    let key = message(json!({"certfile": files.path("server.key")})).await;
    assert!(key.contains("it holds no certificate"), "{key}");
    let no_key = message(json!({"certfile": files.path("server.pem")})).await;
    assert!(no_key.contains("it holds no private key"), "{no_key}");
    let lonely = plan(&WebhookKind, &options(r#"{"port": 1, "cafile": "x"}"#)).err().unwrap();
    assert_eq!(lonely[0].message, "`cafile` needs `certfile`: without it there is no TLS");
}
