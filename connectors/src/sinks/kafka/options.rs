//! The options of the sink `kafka`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Secret};

use crate::places::Places;
use crate::sources::kafka::connection::Connection;

/// The compressions of this build.
const COMPRESSIONS: [&str; 5] = ["none", "gzip", "lz4", "snappy", "zstd"];

/// What is done when the cluster has forgotten the mark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MissingMark {
    /// Stop: rows could be written twice.
    #[default]
    Stop,
    /// Go on from the mark of the checkpoint.
    Continue,
}

/// The options of the sink `kafka`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaSinkOptions {
    /// The host of a broker; several are separated by commas, each with its own port or with `port`.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The topic. It must be there.
    pub topic: String,
    /// The key of a message, as SQL over the row; without, messages have none.
    pub key: Option<String>,
    /// Headers, each with its value as SQL over the row. A NULL leaves the header out.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The name under which transactions are made. By default a new one for each new pipeline.
    pub transactional_id: Option<String>,
    /// How long a transaction may be open: longer than `checkpoint.every`, and no longer than the brokers allow
    /// (`transaction.max.timeout.ms`).
    pub transaction_timeout: Option<Duration>,
    /// What is done when the cluster has forgotten what was written last (`offsets.retention.minutes`): `stop` or
    /// `continue`.
    #[serde(default)]
    pub on_missing_mark: MissingMark,
    /// `none`, `gzip`, `lz4`, `snappy` or `zstd`.
    #[serde(default = "none")]
    pub compression: String,
    /// A file of certificates (PEM) that the brokers' certificates are checked against; the system's without.
    pub cafile: Option<String>,
    /// The client's certificate (PEM).
    pub certfile: Option<String>,
    /// The client's private key (PEM).
    pub keyfile: Option<String>,
    /// The password of the private key.
    pub password: Option<Secret>,
    /// Check that the certificate names the host.
    #[serde(default = "yes")]
    pub check_hostname: bool,
    /// Whether certificates are checked: `CERT_REQUIRED`, `CERT_OPTIONAL` (the same), `CERT_NONE`.
    #[serde(default = "cert_required")]
    pub verify_mode: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`. With a certificate file `PLAINTEXT` means `SSL`.
    #[serde(default = "plaintext")]
    pub security_protocol: String,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    #[serde(default = "plain")]
    pub sasl_mechanism: String,
    /// The user for SASL.
    pub sasl_plain_username: Option<String>,
    /// The password for SASL.
    pub sasl_plain_password: Option<Secret>,
}

fn none() -> String {
    "none".to_owned()
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

impl KafkaSinkOptions {
    /// Finds what the types cannot say.
    pub(super) fn check(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
        if self.topic.is_empty() {
            found.push(places.at("topic", "`topic` is empty"));
        }
        if !COMPRESSIONS.contains(&self.compression.as_str()) {
            let wrong = format!("the compression `{}` is not known", self.compression);
            found.push(places.at("compression", wrong).with_expected(&self.compression, COMPRESSIONS));
        }
        if self.transaction_timeout.is_some_and(|timeout| timeout.0 < std::time::Duration::from_secs(1)) {
            found.push(places.at("transaction_timeout", "`transaction_timeout` is at least 1s"));
        }
        self.connection(Path::new("")).check(places, found);
    }

    /// How the cluster is reached; files are relative to `folder`.
    pub(super) fn connection(&self, folder: &Path) -> Connection {
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
