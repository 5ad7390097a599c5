//! Signatures of bodies: HMAC as Ansible EDA checks it, and Standard Webhooks.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;

/// The header that names a message in Standard Webhooks.
pub(crate) const ID: HeaderName = HeaderName::from_static("webhook-id");
/// When it was sent, in seconds since 1970.
pub(crate) const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Its signatures.
pub(crate) const SIGNATURES: HeaderName = HeaderName::from_static("webhook-signature");

/// A hash function for HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The names that are understood.
    pub(crate) const NAMES: [&str; 5] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

    /// The one that has this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha1" => Self::Sha1,
            "sha224" => Self::Sha224,
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            _ => return None,
        })
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The signature of `parts`, one after the other.
    pub(crate) fn sign(self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => signed::<Hmac<Sha1>>(key, parts),
            Self::Sha224 => signed::<Hmac<Sha224>>(key, parts),
            Self::Sha256 => signed::<Hmac<Sha256>>(key, parts),
            Self::Sha384 => signed::<Hmac<Sha384>>(key, parts),
            Self::Sha512 => signed::<Hmac<Sha512>>(key, parts),
        }
    }

    /// Whether `signature` is that of `parts`, one after the other. Takes as long for every signature.
    fn verifies(self, key: &[u8], parts: &[&[u8]], signature: &[u8]) -> bool {
        let expected = self.sign(key, parts);
        !expected.is_empty() && bool::from(expected.ct_eq(signature))
    }
}

fn signed<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // Keys of every length are good.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hex,
    Base64,
}

impl Encoding {
    /// The names that are understood.
    pub(crate) const NAMES: [&str; 2] = ["hex", "base64"];

    /// The one that has this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "hex" => Some(Self::Hex),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// A signature as it is written.
    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => BASE64.encode(bytes),
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Base64 => BASE64.decode(text).ok(),
            Self::Hex => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (pairs, rest) = text.as_bytes().as_chunks::<2>();
                let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
                bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
            }
        }
    }
}

/// A signature of the body alone.
pub(super) struct BodySignature {
    pub(super) key: SecretString,
    pub(super) algorithm: Algorithm,
    pub(super) header: HeaderName,
    pub(super) encoding: Encoding,
}

impl BodySignature {
    /// The signature that the headers bring.
    pub(super) fn given<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
        let missing = || Refusal::new(StatusCode::BAD_REQUEST, "Signature header not found");
        let value = headers.get(&self.header).ok_or_else(missing)?;
        value.to_str().map(str::trim).map_err(|_| failed())
    }

    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let given = self.given(headers)?;
        let bare = given.strip_prefix(self.algorithm.name()).and_then(|rest| rest.strip_prefix('=')).unwrap_or(given);
        let signature = self.encoding.decode(bare).ok_or_else(failed)?;
        match self.algorithm.verifies(self.key.expose_secret().as_bytes(), &[body], &signature) {
            true => Ok(()),
            false => Err(failed()),
        }
    }
}

fn failed() -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "HMAC verification failed")
}

/// The key in a secret of Standard Webhooks: `whsec_BASE64`, or the base64 alone; any other text is the key itself.
pub(crate) fn standard_key(secret: &SecretString) -> Vec<u8> {
    let text = secret.expose_secret();
    BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text)).unwrap_or_else(|_| text.as_bytes().to_vec())
}

/// Standard Webhooks: id, time and body are signed together, so that a recorded request cannot be sent again later.
pub(super) struct StandardWebhooks {
    key: Vec<u8>,
    tolerance: Duration,
}

impl StandardWebhooks {
    /// With a secret as [`standard_key`] reads it.
    pub(super) fn new(secret: &SecretString, tolerance: Duration) -> Self {
        Self { key: standard_key(secret), tolerance }
    }

    /// Checks the headers that must be there, before the body is read. `now` is in seconds since 1970.
    pub(super) fn admit(&self, headers: &HeaderMap, now: i64) -> Result<(), Refusal> {
        let missing = |name: &HeaderName| Refusal::new(StatusCode::BAD_REQUEST, format!("Header {name} not found"));
        for name in [&ID, &SIGNATURES] {
            headers.get(name).ok_or_else(|| missing(name))?;
        }
        let time = headers.get(&TIMESTAMP).ok_or_else(|| missing(&TIMESTAMP))?;
        let time: i64 = time.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
            Refusal::new(StatusCode::BAD_REQUEST, format!("{TIMESTAMP} is no number of seconds since 1970"))
        })?;
        if now.abs_diff(time) > self.tolerance.as_secs() {
            let reason = format!("{TIMESTAMP} is more than {} s away", self.tolerance.as_secs());
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, reason));
        }
        Ok(())
    }

    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let bytes = |name: &HeaderName| headers.get(name).map_or(&[][..], |value| value.as_bytes());
        let parts: [&[u8]; 5] = [bytes(&ID), b".", bytes(&TIMESTAMP), b".", body];
        let given = std::str::from_utf8(bytes(&SIGNATURES)).unwrap_or_default();
        // A secret that is being changed gives several signatures.
        let mut versions = given.split(' ').filter_map(|one| one.strip_prefix("v1,"));
        let good = |text: &str| BASE64.decode(text).is_ok_and(|it| Algorithm::Sha256.verifies(&self.key, &parts, &it));
        if versions.any(good) { Ok(()) } else { Err(failed()) }
    }
}
