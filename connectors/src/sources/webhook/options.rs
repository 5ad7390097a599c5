//! The options of `webhook`.

use std::path::Path;

use hyper::StatusCode;
use hyper::header::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{Duration, Secret};

use crate::places::Places;
use crate::sources::http::{Algorithm, Encoding, ListenOptions, ListenSettings};

/// The most ids that may be remembered: all of them are part of every step.
const MOST_IDS: usize = 16_384;

/// The options of `webhook`, beside those of every listener. Those of Ansible EDA's webhook have its defaults.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookOptions {
    /// The name or address to listen on; all addresses of a name.
    #[serde(default = "everywhere")]
    pub host: String,
    /// The port to listen on.
    pub port: Option<u16>,
    /// The key of the signature (HMAC of the body) that callers bring.
    pub hmac_secret: Option<Secret>,
    /// Its hash function: `sha1`, `sha224`, `sha256`, `sha384` or `sha512`.
    #[serde(default = "sha256")]
    pub hmac_algo: String,
    /// The header that it is in, with or without `ALGO=` before it.
    #[serde(default = "hub_signature")]
    pub hmac_header: String,
    /// How it is written: `hex` or `base64`.
    #[serde(default = "hex")]
    pub hmac_format: String,
    /// The key of Standard Webhooks (`whsec_…`): callers sign id, time and body, so that a recorded request cannot be
    /// sent again later.
    pub webhook_secret: Option<Secret>,
    /// How old such a request may be, and how far ahead.
    #[serde(default = "five_minutes")]
    pub tolerance: Duration,
    /// The headers in which callers name their messages; the first that is there counts. A name that was taken is
    /// answered with success again, and is no new event.
    #[serde(default = "id_headers")]
    pub id_headers: Vec<String>,
    /// How many of these names are remembered, the newest; 0: none. At most 16384.
    #[serde(default = "ids")]
    pub remember_ids: usize,
    /// The headers that events show in `meta.headers`; by default all but those that prove who the caller is.
    pub headers: Option<Vec<String>>,
    /// The status of success: 200 to 299.
    #[serde(default = "accepted")]
    pub status: u16,
}

fn everywhere() -> String {
    "0.0.0.0".to_owned()
}

fn sha256() -> String {
    "sha256".to_owned()
}

fn hub_signature() -> String {
    "x-hub-signature-256".to_owned()
}

fn hex() -> String {
    "hex".to_owned()
}

fn five_minutes() -> Duration {
    Duration::seconds(300)
}

fn id_headers() -> Vec<String> {
    ["webhook-id", "idempotency-key"].map(str::to_owned).to_vec()
}

fn ids() -> usize {
    1024
}

fn accepted() -> u16 {
    202
}

/// Options that make sense.
pub(super) struct Checked {
    pub(super) settings: ListenSettings,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    pub(super) hmac_header: HeaderName,
    pub(super) id_headers: Vec<HeaderName>,
    pub(super) shown_headers: Option<Vec<HeaderName>>,
    pub(super) status: StatusCode,
}

impl WebhookOptions {
    /// Finds what the types cannot say. Relative paths are relative to `folder`.
    pub(super) fn check(
        &self,
        listen: &ListenOptions,
        places: &Places<'_>,
        folder: &Path,
    ) -> Result<Checked, Vec<Diagnostic>> {
        let mut found = Vec::new();
        if self.port.is_none() {
            found.push(places.at("port", "Missing required argument: port"));
        }
        let algorithm = Algorithm::named(&self.hmac_algo);
        if algorithm.is_none() {
            let message = format!("Unsupported HMAC algorithm: {}", self.hmac_algo);
            found.push(places.at("hmac_algo", message).with_expected(&self.hmac_algo, Algorithm::NAMES));
        }
        let encoding = Encoding::named(&self.hmac_format);
        if encoding.is_none() {
            let message = format!("Unsupported HMAC header format {}", self.hmac_format);
            found.push(places.at("hmac_format", message).with_expected(&self.hmac_format, Encoding::NAMES));
        }
        let hmac_header = names("hmac_header", std::slice::from_ref(&self.hmac_header), places, &mut found).pop();
        let id_headers = names("id_headers", &self.id_headers, places, &mut found);
        let shown_headers = self.headers.as_ref().map(|given| names("headers", given, places, &mut found));
        if self.remember_ids > MOST_IDS {
            found.push(places.at("remember_ids", format!("`remember_ids` must be at most {MOST_IDS}")));
        }
        let status = StatusCode::from_u16(self.status).ok().filter(StatusCode::is_success);
        if status.is_none() {
            found.push(places.at("status", "`status` must be between 200 and 299"));
        }
        let settings = listen.settings((&self.host, self.port.unwrap_or_default()), places, folder, &mut found);
        match (settings, algorithm, encoding, hmac_header, status) {
            (Some(settings), Some(algorithm), Some(encoding), Some(hmac_header), Some(status)) if found.is_empty() => {
                Ok(Checked { settings, algorithm, encoding, hmac_header, id_headers, shown_headers, status })
            }
            _ => Err(found),
        }
    }
}

/// Names of headers.
fn names(key: &str, given: &[String], places: &Places<'_>, found: &mut Vec<Diagnostic>) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for name in given {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => names.push(name),
            Err(_) => found.push(places.at(key, format!("`{name}` is no name of a header"))),
        }
    }
    names
}
