//! How a Kafka cluster is reached: addresses, TLS and SASL, in the words of librdkafka.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Secret;
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use crate::places::Places;
use crate::tls::{TlsSettings, Verification};

/// The ways to talk to a broker.
pub(crate) const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
/// What `verify_mode` may say.
pub(crate) const VERIFY_MODES: [&str; 3] = ["CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE"];
/// The SASL mechanisms that this build has.
pub(crate) const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
/// Those that Kafka knows besides, and why they are not here.
const FOREIGN_MECHANISMS: [(&str, &str); 2] =
    [("GSSAPI", "this build has no Kerberos"), ("OAUTHBEARER", "this build cannot fetch OAuth tokens")];

/// How a Kafka cluster is reached, as source and sink are told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionOptions {
    /// The host of a broker; several are separated by commas, each with its own port or with `port`.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// A file of certificates (PEM) that the brokers' certificates are checked against; the system's without.
    pub(crate) cafile: Option<String>,
    /// The client's certificate (PEM).
    pub(crate) certfile: Option<String>,
    /// The client's private key (PEM).
    pub(crate) keyfile: Option<String>,
    /// The password of the private key.
    pub(crate) password: Option<Secret>,
    /// Check that the certificate names the host.
    #[serde(default = "yes")]
    pub(crate) check_hostname: bool,
    /// Whether certificates are checked: `CERT_REQUIRED`, `CERT_OPTIONAL` (the same), `CERT_NONE`.
    #[serde(default = "cert_required")]
    pub(crate) verify_mode: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`. With a certificate file `PLAINTEXT` means `SSL`.
    #[serde(default = "plaintext")]
    pub(crate) security_protocol: String,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`. `GSSAPI` and `OAUTHBEARER` are not in this build.
    #[serde(default = "plain")]
    pub(crate) sasl_mechanism: String,
    /// The user for SASL.
    pub(crate) sasl_plain_username: Option<String>,
    /// The password for SASL.
    pub(crate) sasl_plain_password: Option<Secret>,
}

fn yes() -> bool {
    true
}

fn cert_required() -> String {
    "CERT_REQUIRED".to_owned()
}

fn plaintext() -> String {
    "PLAINTEXT".to_owned()
}

fn plain() -> String {
    "PLAIN".to_owned()
}

impl ConnectionOptions {
    /// How the cluster is reached; files are relative to `folder`.
    pub(crate) fn connection(&self, folder: &Path) -> Connection {
        let file = |name: &Option<String>| -> Option<PathBuf> { name.as_ref().map(|name| folder.join(name)) };
        Connection {
            host: self.host.clone(),
            port: self.port,
            protocol: self.security_protocol.clone(),
            ca_file: file(&self.cafile),
            certificate: file(&self.certfile),
            key: file(&self.keyfile),
            key_password: self.password.clone(),
            check_hostname: self.check_hostname,
            verify_mode: self.verify_mode.clone(),
            mechanism: self.sasl_mechanism.clone(),
            user: self.sasl_plain_username.clone(),
            password: self.sasl_plain_password.clone(),
        }
    }
}

/// How a cluster is reached. Files are absolute; secrets are resolved when a client is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) protocol: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) key_password: Option<Secret>,
    pub(crate) check_hostname: bool,
    pub(crate) verify_mode: String,
    pub(crate) mechanism: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

impl Connection {
    /// Finds what the types cannot say.
    pub(crate) fn check(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
        if self.host.trim().is_empty() {
            found.push(places.at("host", "`host` is empty"));
        }
        if !PROTOCOLS.contains(&self.protocol.as_str()) {
            let wrong = format!("Invalid security_protocol option: {}", self.protocol);
            found.push(places.at("security_protocol", wrong).with_expected(&self.protocol, PROTOCOLS));
        }
        if !VERIFY_MODES.contains(&self.verify_mode.as_str()) {
            let wrong = format!("Invalid verify_mode option: {}", self.verify_mode);
            found.push(places.at("verify_mode", wrong).with_expected(&self.verify_mode, VERIFY_MODES));
        }
        if let Some((name, why)) = FOREIGN_MECHANISMS.iter().find(|(name, _)| *name == self.mechanism) {
            let wrong = format!("the SASL mechanism {name} cannot be used: {why}");
            let help = format!("use one of {}, or TLS with a client certificate", MECHANISMS.join(", "));
            found.push(places.at("sasl_mechanism", wrong).with_help(help));
        } else if !MECHANISMS.contains(&self.mechanism.as_str()) {
            let wrong = format!("Invalid sasl_mechanism option: {}", self.mechanism);
            found.push(places.at("sasl_mechanism", wrong).with_expected(&self.mechanism, MECHANISMS));
        }
        if self.protocol.starts_with("SASL_") && (self.user.is_none() || self.password.is_none()) {
            let wrong = format!("{} needs `sasl_plain_username` and `sasl_plain_password`", self.protocol);
            found.push(places.at("security_protocol", wrong));
        }
        if self.certificate.is_some() != self.key.is_some() {
            found.push(places.at("certfile", "`certfile` and `keyfile` are given together"));
        }
    }

    /// `host:port`, once for each of the hosts that `host` names.
    pub(crate) fn brokers(&self) -> String {
        let with_port = |host: &str| match host.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() && !host.ends_with(']') => host.to_owned(),
            _ => format!("{host}:{}", self.port),
        };
        let hosts = self.host.split(',').map(str::trim).filter(|host| !host.is_empty());
        hosts.map(with_port).collect::<Vec<_>>().join(",")
    }

    /// A certificate alone means TLS, as with Ansible EDA.
    fn protocol(&self) -> &str {
        match self.protocol.as_str() {
            "PLAINTEXT" if self.ca_file.is_some() || self.certificate.is_some() => "SSL",
            protocol => protocol,
        }
    }

    /// Where clients begin: the name and the port of each of the hosts.
    pub(crate) fn begins(&self) -> Vec<(String, u16)> {
        let brokers = self.brokers();
        let pair = |broker: &str| {
            broker.rsplit_once(':').map(|(host, port)| (host.to_owned(), port.parse().unwrap_or(self.port)))
        };
        brokers.split(',').filter_map(pair).collect()
    }

    /// Who we say to be.
    pub(crate) fn who(&self) -> String {
        match (self.protocol().starts_with("SASL_"), &self.user) {
            (true, Some(user)) => format!("as `{user}` by {}", self.mechanism),
            _ if self.certificate.is_some() => "with a certificate".to_owned(),
            _ => "without a user".to_owned(),
        }
    }

    /// TLS as our own client speaks it, where brokers speak it. Whether a certificate names its host is left to
    /// librdkafka, which takes names in more places.
    pub(crate) fn handshake(&self) -> Option<Result<Arc<rustls::ClientConfig>>> {
        let verification = if self.verify_mode == "CERT_NONE" { Verification::Nothing } else { Verification::AnyName };
        // A key with a password can be read by librdkafka alone; a broker that wants it says so after the handshake.
        let readable = self.key_password.is_none();
        let settings = TlsSettings {
            cafile: self.ca_file.clone(),
            certfile: self.certificate.clone().filter(|_| readable),
            keyfile: self.key.clone().filter(|_| readable),
            with_system: false,
        };
        self.protocol().ends_with("SSL").then(|| settings.client_verifying(verification))
    }

    /// The settings of a client; `node` is what the brokers' logs call it.
    ///
    /// # Errors
    /// When a secret cannot be resolved or a file is no valid path for librdkafka.
    pub(crate) fn config(&self, node: &str) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        let protocol = self.protocol();
        config.set("bootstrap.servers", self.brokers()).set("client.id", format!("tidegate-{node}"));
        config.set("security.protocol", protocol.to_lowercase());
        config.set("reconnect.backoff.max.ms", "5000").set("socket.keepalive.enable", "true");
        config.set_log_level(RDKafkaLogLevel::Warning);
        if protocol.ends_with("SSL") {
            self.tls(&mut config)?;
        }
        if protocol.starts_with("SASL_") {
            config.set("sasl.mechanism", &self.mechanism);
            if let (Some(user), Some(password)) = (&self.user, &self.password) {
                config.set("sasl.username", user).set("sasl.password", password.resolve()?.expose_secret());
            }
        }
        Ok(config)
    }

    fn tls(&self, config: &mut ClientConfig) -> Result<()> {
        // Without a file of its own the client looks where systems keep their certificates.
        config.set("ssl.ca.location", self.ca_file.as_ref().map_or("probe".into(), |file| file.to_string_lossy()));
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            config.set("ssl.certificate.location", certificate.to_string_lossy());
            config.set("ssl.key.location", key.to_string_lossy());
        }
        if let Some(password) = &self.key_password {
            config.set("ssl.key.password", password.resolve()?.expose_secret());
        }
        config.set("ssl.endpoint.identification.algorithm", if self.check_hostname { "https" } else { "none" });
        // A server always shows its certificate: `CERT_OPTIONAL` is as good as `CERT_REQUIRED`.
        let verified = self.verify_mode != "CERT_NONE";
        config.set("enable.ssl.certificate.verification", verified.to_string());
        Ok(())
    }
}

/// What a client said last about its connections: the reason behind "no broker answers".
#[derive(Debug, Default)]
pub(crate) struct Said {
    last: Mutex<Option<String>>,
    refused: AtomicBool,
}

impl Said {
    /// Keeps a line of the client.
    fn keep(&self, line: &str) {
        *self.last.lock() = Some(line.to_owned());
    }

    /// The last line.
    pub(crate) fn last(&self) -> Option<String> {
        self.last.lock().clone()
    }

    /// Whether a broker has refused us: the password, or a certificate.
    pub(crate) fn refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst)
    }
}

impl ClientContext for Said {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(?level, facility, line, "librdkafka");
        if facility == "FAIL" {
            self.keep(line);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => return,
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                self.refused.store(true, Ordering::SeqCst)
            }
            _ => {}
        }
        self.keep(reason);
    }
}

/// What went wrong, with what the client said about it.
pub(crate) fn failed(doing: &str, error: &KafkaError, said: &Said) -> Error {
    let code = error.rdkafka_error_code();
    let said = said.last().map(|said| format!(" ({said})")).unwrap_or_default();
    let what = code.map_or_else(|| error.to_string(), |code| code.to_string());
    let failed = Error::external(format!("cannot {doing}: {what}{said}"));
    match code {
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            failed.with_remedy("check `sasl_mechanism`, the user and the password")
        }
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed,
        ) => failed.with_remedy("give this user the permission"),
        Some(
            RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::Resolve,
        ) => failed.with_remedy("check `host`, `port`, `security_protocol` and the certificates; it is tried again"),
        _ => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(host: &str) -> Connection {
        Connection { host: host.to_owned(), port: 9092, protocol: "PLAINTEXT".to_owned(), ..Connection::default() }
    }

    #[test]
    fn several_hosts_share_the_port_unless_they_bring_their_own() {
        assert_eq!(connection("a").brokers(), "a:9092");
        assert_eq!(connection("a, b:1234,[::1]").brokers(), "a:9092,b:1234,[::1]:9092");
    }

    #[test]
    fn a_certificate_alone_means_tls() {
        let given = Connection { ca_file: Some("/ca.pem".into()), ..connection("a") };
        let config = given.config("in").unwrap();
        assert_eq!((config.get("security.protocol"), config.get("ssl.ca.location")), (Some("ssl"), Some("/ca.pem")));
    }
}
