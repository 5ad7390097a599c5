//! The options of `alertmanager`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{ByteSize, Duration, Secret};

use crate::places::Places;
use crate::sources::http::{Limits, ListenSettings};

/// The options of `alertmanager`. Those of Ansible EDA first, with its defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerOptions {
    /// The name or address to listen on; all addresses of a name.
    #[serde(default = "localhost")]
    pub host: String,
    /// The port to listen on.
    #[serde(default = "port")]
    pub port: u16,
    /// Where in the notification its alerts are; empty: the whole of it is one alert.
    #[serde(default = "alerts")]
    pub data_alerts_path: String,
    /// Where in an alert its host is; empty: nowhere.
    #[serde(default = "instance")]
    pub data_host_path: String,
    /// What separates the names of these paths.
    #[serde(default = "dot")]
    pub data_path_separator: String,
    /// Give the alerts alone, not the notification before them.
    #[serde(default)]
    pub skip_original_data: bool,
    /// What callers bring as `Authorization: Bearer TOKEN`.
    pub token: Option<Secret>,
    /// The server's certificates, PEM; with it, TLS is spoken.
    pub certfile: Option<PathBuf>,
    /// Its private key, PEM, where that is not in `certfile`.
    pub keyfile: Option<PathBuf>,
    /// The password of the key. Accepted for keys without one; encrypted keys cannot be read.
    pub password: Option<Secret>,
    /// Who signs the certificates of callers, PEM; with it, callers must have one.
    pub cafile: Option<PathBuf>,
    /// The same, a folder of such files.
    pub capath: Option<PathBuf>,
    /// The longest body.
    #[serde(default = "body")]
    pub max_body: ByteSize,
    /// How long a caller may take for the TLS handshake, for the headers and for the body, each.
    #[serde(default = "half_a_minute")]
    pub read_timeout: Duration,
    /// How long a caller waits for its events to be durable before it is told to come again.
    #[serde(default = "half_a_minute")]
    pub answer_timeout: Duration,
    /// The most connections at a time; more wait.
    #[serde(default = "connections")]
    pub max_connections: usize,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn port() -> u16 {
    5000
}

fn alerts() -> String {
    "alerts".to_owned()
}

fn instance() -> String {
    "labels.instance".to_owned()
}

fn dot() -> String {
    ".".to_owned()
}

fn body() -> ByteSize {
    ByteSize::mebibytes(16)
}

fn half_a_minute() -> Duration {
    Duration::seconds(30)
}

fn connections() -> usize {
    1024
}

impl AlertmanagerOptions {
    /// Finds what the types cannot say. Relative paths are relative to `folder`.
    pub(super) fn check(&self, places: &Places<'_>, folder: &Path) -> Result<ListenSettings, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let limits = Limits {
            body: self.max_body,
            read: self.read_timeout.0,
            answer: self.answer_timeout.0,
            connections: self.max_connections,
        };
        limits.check(places, &mut found);
        let files = [&self.certfile, &self.keyfile, &self.cafile, &self.capath];
        match ListenSettings::tls(places, files, self.password.as_ref(), folder) {
            Ok(tls) if found.is_empty() => Ok(ListenSettings { host: self.host.clone(), port: self.port, tls, limits }),
            Ok(_) => Err(found),
            Err(wrong) => {
                found.push(wrong);
                Err(found)
            }
        }
    }
}
