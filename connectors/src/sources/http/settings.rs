//! What a listener is told.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{ByteSize, Secret};

use crate::places::Places;

/// The longest body that may be allowed.
const LONGEST_BODY: u64 = 1 << 30;
/// The most connections that may be allowed.
const MOST_CONNECTIONS: usize = 65_536;

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
    /// What the key is encrypted with.
    pub(crate) password: Option<Secret>,
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

impl ListenSettings {
    /// Files of TLS as options name them; `None` where there is no `certfile`.
    ///
    /// # Errors
    /// When other files are given without it.
    pub(crate) fn tls(
        places: &Places<'_>,
        [certfile, keyfile, cafile, capath]: [&Option<PathBuf>; 4],
        password: Option<&Secret>,
        folder: &std::path::Path,
    ) -> Result<Option<TlsFiles>, Diagnostic> {
        let full = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
        let Some(certificates) = full(certfile) else {
            let lonely = [("keyfile", keyfile), ("cafile", cafile), ("capath", capath)];
            return match lonely.iter().find(|(_, path)| path.is_some()) {
                Some((key, _)) => Err(places.at(key, format!("`{key}` needs `certfile`: without it there is no TLS"))),
                None => Ok(None),
            };
        };
        Ok(Some(TlsFiles {
            certificates,
            key: full(keyfile),
            password: password.cloned(),
            authorities: full(cafile),
            authorities_folder: full(capath),
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
