//! What a listener is told: options that are the same for all kinds that listen, and what they come to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{ByteSize, Duration as Period, Secret};

use crate::places::Places;

/// The longest body that may be allowed.
const LONGEST_BODY: u64 = 1 << 30;
/// The most connections that may be allowed.
const MOST_CONNECTIONS: usize = 65_536;

/// How to listen.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenOptions {
    /// What callers bring as `Authorization: Bearer TOKEN`.
    pub(crate) token: Option<Secret>,
    /// The server's certificates, PEM; with it, TLS is spoken.
    pub(crate) certfile: Option<PathBuf>,
    /// Its private key, PEM, where that is not in `certfile`.
    pub(crate) keyfile: Option<PathBuf>,
    /// The password of the key. Accepted for keys without one; encrypted keys cannot be read.
    #[expect(dead_code, reason = "accepted, as in rulebooks; a key that needs it is told when it is read")]
    pub(crate) password: Option<Secret>,
    /// Who signs the certificates of callers, PEM; with it, callers must have one.
    pub(crate) cafile: Option<PathBuf>,
    /// The same, a folder of such files.
    pub(crate) capath: Option<PathBuf>,
    /// The longest body.
    #[serde(default = "body")]
    pub(crate) max_body: ByteSize,
    /// How long a caller may take for the TLS handshake, for the headers and for the body, each.
    #[serde(default = "half_a_minute")]
    pub(crate) read_timeout: Period,
    /// How long a caller waits for its event to be durable before it is told to come again.
    #[serde(default = "half_a_minute")]
    pub(crate) answer_timeout: Period,
    /// The most connections at a time; more wait.
    #[serde(default = "connections")]
    pub(crate) max_connections: usize,
}

fn body() -> ByteSize {
    ByteSize::mebibytes(16)
}

fn half_a_minute() -> Period {
    Period::seconds(30)
}

fn connections() -> usize {
    1024
}

/// Where and how to listen.
#[derive(Debug, Clone)]
pub(crate) struct ListenSettings {
    /// The name or address of this machine; all addresses of a name.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) limits: Limits,
}

/// The files of TLS.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// The certificates of this server, its own first.
    pub(crate) certificates: PathBuf,
    /// Its key; without, the key is in `certificates`.
    pub(crate) key: Option<PathBuf>,
    /// Who signs the certificates of clients: a file, and a folder of files. With either, clients must have one.
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) authorities_folder: Option<PathBuf>,
}

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The longest body, in bytes.
    pub(crate) body: ByteSize,
    /// How long a client may take for the handshake, for the headers and for the body, each.
    pub(crate) read: Duration,
    /// How long a caller waits until its event is durable.
    pub(crate) answer: Duration,
    /// The most connections at a time.
    pub(crate) connections: usize,
}

impl ListenOptions {
    /// What a listener is told, on `host` and `port`. Relative paths are relative to `folder`. `None`, and what is
    /// wrong in `found`, where it makes no sense.
    pub(crate) fn settings(
        &self,
        (host, port): (&str, u16),
        places: &Places<'_>,
        folder: &Path,
        found: &mut Vec<Diagnostic>,
    ) -> Option<ListenSettings> {
        let limits = Limits {
            body: self.max_body,
            read: self.read_timeout.0,
            answer: self.answer_timeout.0,
            connections: self.max_connections,
        };
        let before = found.len();
        limits.check(places, found);
        let tls = self.tls(places, folder).unwrap_or_else(|wrong| {
            found.push(wrong);
            None
        });
        (found.len() == before).then(|| ListenSettings { host: host.to_owned(), port, tls, limits })
    }

    /// The files of TLS; `None` where there is no `certfile`.
    fn tls(&self, places: &Places<'_>, folder: &Path) -> Result<Option<TlsFiles>, Diagnostic> {
        let full = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
        let Some(certificates) = full(&self.certfile) else {
            let lonely = [("keyfile", &self.keyfile), ("cafile", &self.cafile), ("capath", &self.capath)];
            return match lonely.iter().find(|(_, path)| path.is_some()) {
                Some((key, _)) => Err(places.at(key, format!("`{key}` needs `certfile`: without it there is no TLS"))),
                None => Ok(None),
            };
        };
        Ok(Some(TlsFiles {
            certificates,
            key: full(&self.keyfile),
            authorities: full(&self.cafile),
            authorities_folder: full(&self.capath),
        }))
    }
}

impl Limits {
    /// Finds bounds that bound nothing, or everything.
    pub(crate) fn check(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
        if !(1..=LONGEST_BODY).contains(&self.body.0) {
            found.push(places.at("max_body", "`max_body` must be between 1 byte and 1GiB"));
        }
        if self.read.is_zero() {
            found.push(places.at("read_timeout", "`read_timeout` must be more than 0s"));
        }
        if self.answer.is_zero() {
            found.push(places.at("answer_timeout", "`answer_timeout` must be more than 0s"));
        }
        if !(1..=MOST_CONNECTIONS).contains(&self.connections) {
            let message = format!("`max_connections` must be between 1 and {MOST_CONNECTIONS}");
            found.push(places.at("max_connections", message));
        }
    }
}
