//! What must never stand in a cassette, whatever was blacked out before.

use std::collections::BTreeSet;

use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Secrets;

use super::disguise;
use super::interaction::{Headers, Interaction};

/// A secret with fewer letters cannot be told from other text.
const SHORTEST: usize = 4;
/// How many disguises a secret may wear, one over the other.
const LAYERS: usize = 2;
/// The most secrets that answers have taught.
const MOST: usize = 4_096;

/// The secrets that are looked for.
pub(super) struct Guard {
    secrets: Secrets,
    /// What is known besides: where it came from, and its value.
    more: Vec<(String, SecretString)>,
}

/// A secret and the texts that give it away.
struct Watched {
    name: String,
    plain: Vec<u8>,
    hexadecimal: Vec<u8>,
    base64: [Vec<u8>; 3],
}

impl Watched {
    fn new(name: String, value: &str) -> Self {
        let plain = value.as_bytes().to_vec();
        Self { name, hexadecimal: disguise::hex(&plain), base64: disguise::base64_of(&plain), plain }
    }
}

impl Guard {
    pub(super) fn new(secrets: Secrets) -> Self {
        Self { secrets, more: Vec::new() }
    }

    /// Looks for one more secret. `name` says what it is.
    pub(super) fn add(&mut self, name: &str, value: SecretString) {
        let known = self.more.iter().any(|(_, known)| known.expose_secret() == value.expose_secret());
        if !known && self.more.len() < MOST && !value.expose_secret().is_empty() {
            self.more.push((name.to_owned(), value));
        }
    }

    /// Refuses an interaction in which a secret stands.
    ///
    /// # Errors
    /// Which secret and where, or that one is too short to be looked for.
    pub(super) fn check(&self, interaction: &Interaction) -> Result<()> {
        let watched = self.watched()?;
        for (at, bytes) in pieces(interaction) {
            if let Some(found) = find(&watched, &bytes) {
                let request = &interaction.request;
                let asked = format!(
                    "{} {}",
                    request.method.to_ascii_uppercase(),
                    request.uri.split('?').next().unwrap_or_default()
                );
                // The path itself may be where the secret stands.
                let asked = if find(&watched, asked.as_bytes()).is_some() { "a request".to_owned() } else { asked };
                return Err(Error::user(format!(
                    "a secret of this pipeline, {found}, would stand in the cassette: in {at} of {asked}; nothing of it was written"
                ))
                .with_remedy("name the secret in `redact` of the cassette, so that a placeholder takes its place"));
            }
        }
        Ok(())
    }

    fn watched(&self) -> Result<Vec<Watched>> {
        let mut watched = Vec::new();
        let mut known = BTreeSet::new();
        // What cannot be read no node has read either.
        let resolved =
            self.secrets.all().into_iter().filter_map(|secret| Some((secret.origin(), secret.resolve().ok()?)));
        for (name, value) in resolved.chain(self.more.iter().cloned()) {
            let value = value.expose_secret();
            if value.is_empty() || !known.insert(value.to_owned()) {
                continue;
            }
            if value.chars().count() < SHORTEST {
                return Err(Error::user(format!(
                    "{name} has fewer than {SHORTEST} letters: it cannot be kept out of a cassette, and nothing is recorded"
                ))
                .with_remedy("record with a longer one"));
            }
            watched.push(Watched::new(name, value));
        }
        Ok(watched)
    }
}

/// Everything of an interaction that is written, and what it is called.
fn pieces(interaction: &Interaction) -> Vec<(String, Vec<u8>)> {
    fn headers(of: &str, headers: &Headers) -> Vec<(String, Vec<u8>)> {
        let piece = |(name, value): (&str, &str)| {
            (format!("the header `{name}` of the {of}"), format!("{name}: {value}").into_bytes())
        };
        headers.iter().map(piece).collect()
    }
    let (request, response) = (&interaction.request, &interaction.response);
    let mut pieces = vec![
        ("the URI".to_owned(), request.uri.clone().into_bytes()),
        ("the body of the request".to_owned(), request.body.bytes.to_vec()),
        ("the status".to_owned(), response.message.clone().into_bytes()),
        ("the body of the answer".to_owned(), response.body.bytes.to_vec()),
    ];
    pieces.extend(headers("request", &request.headers));
    pieces.extend(headers("answer", &response.headers));
    pieces
}

/// The name of a secret that stands in the bytes, in whatever disguise.
fn find(watched: &[Watched], bytes: &[u8]) -> Option<String> {
    let has = |text: &[u8], part: &[u8]| !part.is_empty() && memmem::find(text, part).is_some();
    let look = |form: &[u8]| {
        let (base64, small) = (disguise::as_base64(form), form.to_ascii_lowercase());
        let found = watched.iter().find(|secret| {
            has(form, &secret.plain)
                || has(&small, &secret.hexadecimal)
                || secret.base64.iter().any(|part| has(&base64, part))
        });
        found.map(|secret| secret.name.clone())
    };
    disguise::search(bytes, LAYERS, &look)
}
