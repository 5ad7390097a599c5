//! Where requests go, and what is said with each: planned, and opened with its secrets.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::Secret;
use url::Url;

use super::redaction::Redaction;
use super::sending::Sending;
use super::stored;
use crate::sources::http::signature::{ID, SIGNATURES, TIMESTAMP, standard_key};
use crate::sources::http::{Algorithm, Encoding};
use crate::sources::http_client::{build, builder, parse, secret_value};
use crate::tls::Verification;

/// The header by which receivers know that a request is one that they have had.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most redirects that are followed.
const REDIRECTS: usize = 5;

/// Where a request goes.
#[derive(Clone)]
pub(super) enum Address {
    /// Always there.
    Fixed(Url),
    /// Always there, and nobody may see where.
    Secret(Secret),
    /// Where the row says.
    OfRow,
}

/// A secret with what stands before it.
#[derive(Clone)]
pub(super) struct SecretText {
    pub(super) before: String,
    pub(super) secret: Secret,
}

impl SecretText {
    pub(super) fn plain(secret: Secret) -> Self {
        Self { before: String::new(), secret }
    }
}

/// A signature of the body alone.
#[derive(Clone)]
pub(super) struct BodySigning {
    pub(super) secret: Secret,
    pub(super) algorithm: Algorithm,
    pub(super) encoding: Encoding,
    pub(super) header: HeaderName,
    pub(super) prefix: String,
}

/// Where requests go and what is said with each, as planned.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) address: Address,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) secret_headers: Vec<(HeaderName, SecretText)>,
    pub(super) cookies: Vec<(String, Secret)>,
    pub(super) login: Option<(String, Option<Secret>)>,
    /// The key of Standard Webhooks.
    pub(super) standard: Option<Secret>,
    pub(super) signing: Option<BodySigning>,
    /// Fields that are put into the JSON object of the body when it leaves.
    pub(super) secret_fields: Vec<(String, Secret)>,
    /// Whether the body is CloudEvents; and then, whether an array of them.
    pub(super) cloud_events: Option<bool>,
    pub(super) content_type: String,
    pub(super) gzip: bool,
    /// The field of a JSON answer that must be true, for services that say 200 to everything.
    pub(super) must_be_true: Option<String>,
    pub(super) sending: Sending,
}

/// A destination with its secrets.
pub(super) struct Open {
    client: Client,
    method: Method,
    url: Option<Url>,
    headers: HeaderMap,
    login: Option<(String, Option<SecretString>)>,
    standard: Option<Vec<u8>>,
    signing: Option<(BodySigning, SecretString)>,
    secret_fields: Vec<(String, SecretString)>,
    cloud_events: Option<bool>,
    gzip: bool,
    /// Blacks out the secrets where answers repeat them.
    pub(super) redaction: Redaction,
    pub(super) must_be_true: Option<String>,
    pub(super) sending: Sending,
}

impl Destination {
    /// Reads the secrets and makes the client.
    ///
    /// # Errors
    /// When a secret or a certificate cannot be had, or cannot be sent.
    pub(super) fn open(&self) -> Result<Open> {
        let mut redaction = Redaction::default();
        let mut resolve = |secret: &Secret| -> Result<SecretString> {
            let value = secret.resolve()?;
            redaction.add(&value);
            Ok(value)
        };
        let mut headers = self.headers.clone();
        let content_type = HeaderValue::from_str(&self.content_type)
            .map_err(|_| Error::user(format!("`{}` is no type of content", self.content_type)))?;
        headers.entry(CONTENT_TYPE).or_insert(content_type);
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        for (name, text) in &self.secret_headers {
            let value = format!("{}{}", text.before, resolve(&text.secret)?.expose_secret());
            headers.insert(name, secret_value(&value, name.as_str())?);
        }
        if !self.cookies.is_empty() {
            let mut cookies = Vec::with_capacity(self.cookies.len());
            for (name, secret) in &self.cookies {
                cookies.push(format!("{name}={}", resolve(secret)?.expose_secret()));
            }
            headers.insert(COOKIE, secret_value(&cookies.join("; "), "cookies")?);
        }
        let url = match &self.address {
            Address::Fixed(url) => Some(url.clone()),
            Address::Secret(secret) => {
                let text = resolve(secret)?;
                Some(parse(text.expose_secret()).map_err(|why| Error::user(format!("`secret_url`: {why}")))?)
            }
            Address::OfRow => None,
        };
        let login = match &self.login {
            Some((name, password)) => Some((name.clone(), password.as_ref().map(&mut resolve).transpose()?)),
            None => None,
        };
        let standard = self.standard.as_ref().map(&mut resolve).transpose()?.map(|secret| standard_key(&secret));
        let signing = match &self.signing {
            Some(signing) => Some((signing.clone(), resolve(&signing.secret)?)),
            None => None,
        };
        let mut secret_fields = Vec::new();
        for (name, secret) in &self.secret_fields {
            secret_fields.push((name.clone(), resolve(secret)?));
        }
        Ok(Open {
            client: self.client()?,
            method: self.method.clone(),
            url,
            headers,
            login,
            standard,
            signing,
            secret_fields,
            cloud_events: self.cloud_events,
            gzip: self.gzip,
            redaction,
            must_be_true: self.must_be_true.clone(),
            sending: self.sending.clone(),
        })
    }

    fn client(&self) -> Result<Client> {
        let sending = &self.sending;
        let follows = sending.redirects;
        // What is signed, and headers with secrets, would be sent along; and only these keep method and body.
        let policy = Policy::custom(move |attempt| {
            let same = attempt.previous().first().map(Url::origin) == Some(attempt.url().origin());
            let kept = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&attempt.status());
            match follows && same && kept && attempt.previous().len() <= REDIRECTS {
                true => attempt.follow(),
                false => attempt.stop(),
            }
        });
        let mut builder = builder(sending.timeout, sending.verifies)
            .redirect(policy)
            .referer(false)
            .pool_max_idle_per_host(sending.terms.concurrency.unwrap_or(usize::MAX));
        if sending.tls.cafile.is_some() || sending.tls.certfile.is_some() {
            let config = sending.tls.client_verifying(Verification::of(sending.verifies))?;
            builder = builder.tls_backend_preconfigured((*config).clone());
        }
        build(builder)
    }
}

impl Open {
    /// The request of one attempt, `now` in seconds since 1970.
    ///
    /// # Errors
    /// When what the outbox keeps cannot be sent; no other attempt will do.
    pub(super) fn request(&self, effect: &str, kept: &[u8], now: i64) -> Result<reqwest::Request, String> {
        let (url, body) = match &self.url {
            Some(url) => (url.clone(), kept.to_vec()),
            None => {
                let (url, body) = stored::url_and_body(kept)?;
                (parse(&url)?, body)
            }
        };
        let body = self.whole(effect, body);
        let mut headers = self.headers.clone();
        let body = if self.gzip { compressed(&body, &mut headers)? } else { body };
        let id = HeaderValue::from_str(effect).map_err(|error| error.to_string())?;
        headers.insert(IDEMPOTENCY_KEY, id.clone());
        headers.insert(ID, id);
        self.sign(effect, &body, now, &mut headers)?;
        let mut request = self.client.request(self.method.clone(), url).headers(headers);
        if let Some((name, password)) = &self.login {
            request = request.basic_auth(name, password.as_ref().map(ExposeSecret::expose_secret));
        }
        request.body(body).build().map_err(|error| error.without_url().to_string())
    }

    /// The body as the receiver gets it.
    fn whole(&self, effect: &str, body: Vec<u8>) -> Vec<u8> {
        let body = match self.cloud_events {
            Some(batch) => stored::cloud_events(&body, effect, batch),
            None => body,
        };
        if self.secret_fields.is_empty() {
            return body;
        }
        let fields = self.secret_fields.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret()));
        stored::with_fields(&body, &fields.collect::<Vec<_>>())
    }

    fn sign(&self, effect: &str, body: &[u8], now: i64, headers: &mut HeaderMap) -> Result<(), String> {
        let value = |text: String| HeaderValue::from_str(&text).map_err(|error| error.to_string());
        if let Some((signing, key)) = &self.signing {
            let signature = signing.algorithm.sign(key.expose_secret().as_bytes(), &[body]);
            let text = format!("{}{}", signing.prefix, signing.encoding.encode(&signature));
            headers.insert(signing.header.clone(), value(text)?);
        }
        if let Some(key) = &self.standard {
            let time = now.to_string();
            let parts: [&[u8]; 5] = [effect.as_bytes(), b".", time.as_bytes(), b".", body];
            let signature = Encoding::Base64.encode(&Algorithm::Sha256.sign(key, &parts));
            headers.insert(TIMESTAMP, value(time)?);
            headers.insert(SIGNATURES, value(format!("v1,{signature}"))?);
        }
        Ok(())
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        self.client.execute(request).await
    }

    /// Whether an answer of 401 or 403 can come from what we say of ourselves.
    pub(super) fn says_who_it_is(&self) -> bool {
        self.login.is_some() || self.headers.contains_key(AUTHORIZATION)
    }
}

fn compressed(body: &[u8], headers: &mut HeaderMap) -> Result<Vec<u8>, String> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).map_err(|error| error.to_string())?;
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    encoder.finish().map_err(|error| error.to_string())
}
