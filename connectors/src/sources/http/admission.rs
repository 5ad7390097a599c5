//! Who may send.

use std::time::Duration;

use hyper::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::spec::Secret;

use super::refusal::Refusal;
use super::signature::{Algorithm, BodySignature, Encoding, SIGNATURES, StandardWebhooks};

/// What a request must bring. Empty: every request is admitted.
#[derive(Default)]
pub(crate) struct Admission {
    token: Option<SecretString>,
    signature: Option<BodySignature>,
    standard: Option<StandardWebhooks>,
}

impl Admission {
    /// Asks for `Authorization: Bearer TOKEN`.
    ///
    /// # Errors
    /// When the secret cannot be had.
    pub(crate) fn with_token(mut self, token: Option<&Secret>) -> Result<Self> {
        self.token = token.map(Secret::resolve).transpose()?;
        Ok(self)
    }

    /// Asks for an HMAC of the body in a header.
    ///
    /// # Errors
    /// When the secret cannot be had.
    pub(crate) fn with_signature(
        mut self,
        key: &Secret,
        algorithm: Algorithm,
        header: HeaderName,
        encoding: Encoding,
    ) -> Result<Self> {
        self.signature = Some(BodySignature { key: key.resolve()?, algorithm, header, encoding });
        Ok(self)
    }

    /// Asks for the headers of Standard Webhooks; a request that is older than `tolerance` is refused.
    ///
    /// # Errors
    /// When the secret cannot be had.
    pub(crate) fn with_standard_webhooks(mut self, key: &Secret, tolerance: Duration) -> Result<Self> {
        self.standard = Some(StandardWebhooks::new(&key.resolve()?, tolerance));
        Ok(self)
    }

    /// What callers must bring, in words.
    pub(super) fn told(&self) -> String {
        let ways = [
            (self.token.is_some(), "a token"),
            (self.signature.is_some(), "a signature of the body"),
            (self.standard.is_some(), "a signature of Standard Webhooks"),
        ];
        let wanted: Vec<&str> = ways.into_iter().filter(|(wanted, _)| *wanted).map(|(_, what)| what).collect();
        match wanted.is_empty() {
            true => "none: callers need not prove who they are".to_owned(),
            false => format!("callers must bring {}", wanted.join(" and ")),
        }
    }

    /// What can be said before the body is read.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(token) = &self.token {
            check_token(token, headers.get(AUTHORIZATION))?;
        }
        if let Some(signature) = &self.signature {
            signature.given(headers)?;
        }
        match &self.standard {
            Some(standard) => standard.admit(headers, Timestamp::now().as_second()),
            None => Ok(()),
        }
    }

    /// Whether the body is what was signed.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        if let Some(signature) = &self.signature {
            signature.verify(headers, body)?;
        }
        match &self.standard {
            Some(standard) => standard.verify(headers, body),
            None => Ok(()),
        }
    }

    /// Whether a header proves who sent the request, and so is kept out of events.
    pub(super) fn hides(&self, name: &HeaderName) -> bool {
        [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, SIGNATURES].contains(name)
            || self.signature.as_ref().is_some_and(|signature| signature.header == *name)
    }
}

fn check_token(token: &SecretString, given: Option<&HeaderValue>) -> Result<(), Refusal> {
    let refused = |reason: &'static str| {
        Refusal::new(StatusCode::UNAUTHORIZED, reason).with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    };
    let given = given.ok_or_else(|| refused("Missing authorization token"))?;
    let text = given.to_str().map_err(|_| refused("Invalid authorization token"))?;
    let (scheme, found) = text.trim().split_once(' ').ok_or_else(|| refused("Invalid authorization token"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("Only Bearer type is accepted"));
    }
    match bool::from(token.expose_secret().as_bytes().ct_eq(found.trim().as_bytes())) {
        true => Ok(()),
        false => Err(refused("Invalid authorization token")),
    }
}
