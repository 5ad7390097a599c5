//! Steps of diagnoses that sources over a network share: resolve, connect, TLS.

pub(crate) mod certificate;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tidegate_pipeline::diagnosis::Diagnosis;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::source::Source;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::tls::TlsSettings;

/// How long one address may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a source: a step of this name.
pub async fn open(
    found: &mut Diagnosis,
    step: &str,
    opening: impl Future<Output = Result<Box<dyn Source>>>,
) -> Option<Box<dyn Source>> {
    found.check(step, async { Ok((opening.await?, String::new())) }).await
}

/// Waits for what an open source gives first: a step of this name. Only for sources that give something at once, and
/// take nothing away from others by that.
pub async fn first_arrival(found: &mut Diagnosis, step: &str, source: Option<Box<dyn Source>>) {
    let first = async {
        let mut source = source.ok_or_else(|| Error::internal("it is not open"))?;
        let Some(arrival) = source.next().await? else { return Ok(((), "it ended without any".to_owned())) };
        match (arrival.row_count(), arrival.rejected.first()) {
            (0, Some(rejected)) => Err(Error::external(format!("{}: {}", rejected.position, rejected.reason))),
            (rows, _) => Ok(((), counted(rows as u64, "row"))),
        }
    };
    found.check(step, first).await;
}

/// Looks up the addresses of a host: the step `name resolved`.
pub async fn resolve(found: &mut Diagnosis, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let resolved = async {
        let addresses = tokio::net::lookup_host((host, port)).await.map_err(|error| {
            Error::external(format!("`{host}` has no address: {error}")).with_remedy("correct the host, or look at DNS")
        })?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
        match addresses.is_empty() {
            true => Err(Error::external(format!("`{host}` has no address")).with_remedy("correct the host")),
            false => Ok((addresses, shown.join(", "))),
        }
    };
    found.check("name resolved", resolved).await
}

/// Connects to the first of some addresses that answers: the step `TCP connected`.
pub async fn connect(found: &mut Diagnosis, addresses: &[SocketAddr]) -> Option<TcpStream> {
    let connected = async {
        let mut reasons = Vec::new();
        for address in addresses {
            match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok((stream, address.to_string())),
                Ok(Err(error)) => reasons.push(format!("{address}: {error}")),
                Err(_) => reasons.push(format!("{address}: no answer within {PATIENCE:?}")),
            }
        }
        let remedy = "look whether the server listens there, and at firewalls between";
        Err(Error::external(reasons.join("; ")).with_remedy(remedy))
    };
    found.check("TCP connected", connected).await
}

/// Agrees on TLS: the step `TLS handshake`, which tells the version, the cipher and the server's certificate. `config`
/// may have failed: a file that cannot be read is why there is no TLS. There is no `stream` where a step before failed.
pub async fn handshake(
    found: &mut Diagnosis,
    stream: Option<TcpStream>,
    host: &str,
    config: Result<Arc<ClientConfig>>,
) -> Option<TlsStream<TcpStream>> {
    let agreed = async {
        let name = ServerName::try_from(bare(host).to_owned())
            .map_err(|error| Error::user(format!("`{host}` cannot be the name of a server: {error}")))?;
        let stream = stream.ok_or_else(|| Error::internal("it is not connected"))?;
        let stream = TlsConnector::from(config?).connect(name, stream).await.map_err(|error| {
            Error::external(error).with_remedy("look at the server's certificate, and at the CA that is trusted here")
        })?;
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().and_then(|version| version.as_str().map(str::to_owned));
        let cipher = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
        let certificate =
            session.peer_certificates().and_then(|chain| chain.first()).map(|first| certificate::shown(first));
        let told: Vec<String> = [version, cipher, certificate].into_iter().flatten().collect();
        Ok((stream, told.join(", ")))
    };
    found.check("TLS handshake", agreed).await
}

/// The steps with which every server is reached: its name, a connection, and TLS where it is spoken from the first byte
/// on. Whether it was.
pub async fn reach(found: &mut Diagnosis, host: &str, port: u16, tls: Option<Result<Arc<ClientConfig>>>) -> bool {
    let stream = dial(found, host, port).await;
    match tls {
        Some(config) => handshake(found, stream, host, config).await.is_some(),
        None => {
            no_tls(found);
            stream.is_some()
        }
    }
}

/// The steps before TLS: the name, and a connection.
pub async fn dial(found: &mut Diagnosis, host: &str, port: u16) -> Option<TcpStream> {
    let addresses = resolve(found, bare(host), port).await.unwrap_or_default();
    connect(found, &addresses).await
}

/// There is no TLS, because the options ask for none.
pub(crate) fn no_tls(found: &mut Diagnosis) {
    found.skip("TLS handshake", "the options ask for no TLS");
}

/// The steps to the server of a URL, trusting whom this system trusts.
pub async fn reach_url(found: &mut Diagnosis, url: &str) {
    let understood = |error| Error::user(format!("`{url}` is no URL: {error}")).with_remedy("correct `endpoint_url`");
    match Url::parse(url).map_err(understood) {
        Ok(url) => reach_url_trusting(found, &url, || TlsSettings::default().client()).await,
        Err(error) => drop(found.check("endpoint understood", async { Err::<((), String), _>(error) }).await),
    }
}

/// The same, with TLS as `tls` says.
pub(crate) async fn reach_url_trusting(
    found: &mut Diagnosis,
    url: &Url,
    tls: impl FnOnce() -> Result<Arc<ClientConfig>>,
) {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    reach(found, host, port, (url.scheme() == "https").then(tls)).await;
}

/// Reads what a source needs before it can connect: secrets, files. A step of this name.
pub(crate) async fn read<T>(
    found: &mut Diagnosis,
    step: &str,
    reading: impl FnOnce() -> Result<(T, String)>,
) -> Option<T> {
    found.check(step, async { reading() }).await
}

/// An address of IPv6 without the brackets that it has in URLs.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// `1 message`, `2 messages`.
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{RootCertStore, ServerConfig};
    use tidegate_pipeline::diagnosis::Outcome;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn details(found: &Diagnosis) -> Vec<(String, Outcome, String)> {
        found.checks().iter().map(|check| (check.step.clone(), check.outcome, check.detail.clone())).collect()
    }

    /// A server for `localhost`, and what trusts it.
    async fn server() -> (u16, RootCertStore) {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(own.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        (port, trusted)
    }

    fn trusting(trusted: RootCertStore) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(trusted).with_no_client_auth())
    }

    async fn diagnosed(port: u16, config: Arc<ClientConfig>) -> Diagnosis {
        let mut found = Diagnosis::default();
        let addresses = resolve(&mut found, "localhost", port).await.unwrap_or_default();
        let stream = connect(&mut found, &addresses).await;
        handshake(&mut found, stream, "localhost", Ok(config)).await;
        found
    }

    #[tokio::test]
    async fn each_step_to_a_server_is_told_with_its_certificate() {
        let (port, trusted) = server().await;
        let found = diagnosed(port, trusting(trusted)).await;
        let details = details(&found);
        assert!(!found.failed(), "{details:?}");
        assert!(details[0].2.contains("127.0.0.1") && details[1].2 == format!("127.0.0.1:{port}"), "{details:?}");
        assert!(details[2].2.starts_with("TLSv1_3") && details[2].2.contains("valid until 4096-01-01"), "{details:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_trusted_fails_at_its_handshake() {
        let (port, _) = server().await;
        let mut other = RootCertStore::empty();
        other.add(rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.der().clone()).unwrap();
        let found = diagnosed(port, trusting(other)).await;
        let details = details(&found);
        assert!(details[1].1 == Outcome::Ok && details[2].1 == Outcome::Failed, "{details:?}");
        assert!(details[2].2.contains("certificate"), "{details:?}");
    }

    #[tokio::test]
    async fn nobody_listening_and_no_such_host_are_told_apart() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut found = Diagnosis::default();
        let addresses = resolve(&mut found, "127.0.0.1", port).await.unwrap();
        assert!(connect(&mut found, &addresses).await.is_none());
        assert!(details(&found)[1].2.contains("refused"), "{:?}", details(&found));
        let mut found = Diagnosis::default();
        assert!(resolve(&mut found, "no such host", port).await.is_none() && found.failed());
    }
}
