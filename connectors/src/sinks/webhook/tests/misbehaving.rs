//! Receivers that break off, dawdle, or are not who they should be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tidegate_pipeline::sink::Attempt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{deliver, made, open, plan, rows};
use crate::sinks::webhook::WebhookKind;
use crate::sources::http::testing::Served;
use crate::sources::webhook::WebhookKind as WebhookSource;

/// How a receiver goes on when it has read a request.
#[derive(Clone, Copy)]
enum Manner {
    /// Breaks the connection off at once.
    Reset,
    /// Says the beginning of an answer, and ends.
    Half,
    /// Says this, and then nothing, for longer than anybody waits.
    Then(&'static str),
    /// Says what is no HTTP.
    Noise,
}

async fn receiver(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream, manner));
        }
    });
    address
}

async fn treat(mut stream: TcpStream, manner: Manner) {
    let _ = stream.read(&mut vec![0; 65_536]).await;
    match manner {
        Manner::Reset => {
            stream.set_zero_linger().unwrap();
        }
        Manner::Half => {
            let _ = stream.write_all(b"HTTP/1.1 20").await;
        }
        Manner::Noise => {
            let _ = stream.write_all(b"220 smtp.example ESMTP\r\n").await;
        }
        Manner::Then(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
    }
}

async fn outcome(manner: Manner) -> (Attempt, Duration) {
    let (address, begun) = (receiver(manner).await, Instant::now());
    let attempt = deliver(&format!(r#"{{"url":"http://{address}/","timeout":"2s"}}"#)).await;
    (attempt, begun.elapsed())
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    for manner in [Manner::Reset, Manner::Half, Manner::Noise] {
        let (attempt, _) = outcome(manner).await;
        assert!(matches!(&attempt, Attempt::Again { reason, .. } if !reason.is_empty()), "{attempt:?}");
    }
}

#[tokio::test]
async fn an_answer_counts_as_soon_as_its_status_is_there_however_slow_the_rest_is() {
    let delivered = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthat was";
    let (attempt, took) = outcome(Manner::Then(delivered)).await;
    assert_eq!(attempt, Attempt::Done);
    assert!(took < Duration::from_millis(1900), "{took:?}");
    let (attempt, _) = outcome(Manner::Then("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nlater")).await;
    assert!(matches!(&attempt, Attempt::Again { reason, .. } if reason.contains("503")), "{attempt:?}");
    let (attempt, _) = outcome(Manner::Then("HTTP/1.1 200 OK\r\nContent-Le")).await;
    assert!(matches!(attempt, Attempt::Again { .. }), "half of a head says nothing");
}

/// Certificates of an authority, of a server and of a client.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        std::fs::write(folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    folder
}

#[tokio::test]
async fn our_own_source_takes_what_is_signed_packed_and_sent_with_a_certificate_and_only_that() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let served = Served::start(
        &WebhookSource,
        &json!({
            "certfile": path("server.pem"), "keyfile": path("server.key"), "cafile": path("ca.pem"),
            "webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        }),
    )
    .await;
    let deliver = async |more: serde_json::Value| {
        let mut given = json!({
            "url": format!("https://localhost:{}/hook", served.address.port()), "timeout": "3s",
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "cafile": path("ca.pem"),
            "certfile": path("client.pem"), "keyfile": path("client.key"),
        });
        for (name, value) in more.as_object().unwrap() {
            given[name] = value.clone();
        }
        given.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let planned = plan(&WebhookKind, &given.to_string()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let (payloads, _) = made(&planned, &rows(&[(1, Some("high"))]));
        open(&planned).await.deliver("p/0/1/page/0/7/0", &payloads[0]).await
    };
    assert_eq!(deliver(json!({})).await, Attempt::Done);
    let events = served.events();
    assert_eq!((events.len(), &events[0]["payload"]["severity"]), (1, &json!("high")));
    let refused = deliver(json!({"secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAA"})).await;
    assert!(matches!(&refused, Attempt::Refused { reason } if reason.contains("401")), "{refused:?}");
    for stranger in
        [json!({"certfile": null, "keyfile": null}), json!({"cafile": null, "certfile": null, "keyfile": null})]
    {
        let attempt = deliver(stranger).await;
        assert!(matches!(&attempt, Attempt::Again { .. }), "{attempt:?}");
    }
    assert_eq!(served.events().len(), 1);
}

#[tokio::test]
async fn a_certificate_of_nobody_is_an_error_that_says_so() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let with = json!({"certfile": path("server.pem"), "keyfile": path("server.key")});
    let served = Served::start(&WebhookSource, &with).await;
    let url = format!("https://localhost:{}/", served.address.port());
    let attempt = deliver(&json!({"url": url}).to_string()).await;
    let Attempt::Again { reason, .. } = attempt else { panic!("{attempt:?}") };
    assert!(reason.contains("certificate"), "{reason}");
    assert_eq!(deliver(&json!({"url": url, "verify_ssl": false}).to_string()).await, Attempt::Done);
}
