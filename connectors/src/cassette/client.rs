//! A tape between reqwest and the network.

use std::sync::Arc;

use axum::http;
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, ResponseBuilderExt};
use tidegate_pipeline::error::{Error, Result};

use super::interaction::{Body, Headers, Request, Response, reason};
use super::options::Cassette;
use super::redaction::PLACEHOLDER;
use super::tape::Tape;
use super::whole_body::{WholeBody, streamed};

/// A client of HTTP, with a cassette or without.
#[derive(Debug, Clone)]
pub(crate) struct RecordedClient {
    client: Client,
    tape: Option<Arc<Tape>>,
}

/// Why there is no answer.
pub(crate) enum SendError {
    /// The network, or the server.
    Http(reqwest::Error),
    /// The cassette: another attempt will not do.
    Cassette(Error),
}

impl RecordedClient {
    /// # Errors
    /// When the cassette cannot be used.
    pub(crate) fn new(client: Client, cassette: Option<&Cassette>) -> Result<Self> {
        Ok(Self { client, tape: cassette.map(Cassette::tape).transpose()? })
    }

    /// A request to be sent by [`Self::send`].
    pub(crate) fn get(&self, url: url::Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// The answer to a request, recorded or real.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, SendError> {
        let request = request.build().map_err(SendError::Http)?;
        let Some(tape) = &self.tape else { return self.client.execute(request).await.map_err(SendError::Http) };
        let url = request.url().clone();
        let asked = asked(&request).map_err(SendError::Cassette)?;
        if let Some(recorded) = tape.play(&asked).map_err(SendError::Cassette)? {
            return handed(&recorded, values(&recorded.headers), url).map_err(SendError::Cassette);
        }
        let real = self.client.execute(request).await.map_err(SendError::Http)?;
        let given = real.headers().clone();
        let answered = read(real).await?;
        Arc::clone(tape).keep(asked, answered.clone()).await.map_err(SendError::Cassette)?;
        handed(&answered, given, url).map_err(SendError::Cassette)
    }
}

/// What is asked, without headers that are marked as secrets.
fn asked(request: &reqwest::Request) -> Result<Request> {
    let body = match request.body().map(reqwest::Body::as_bytes) {
        None => Bytes::new(),
        Some(Some(bytes)) => Bytes::copy_from_slice(bytes),
        Some(None) => return Err(streamed()),
    };
    Ok(Request {
        method: request.method().as_str().to_ascii_lowercase(),
        uri: request.url().to_string(),
        headers: headers(request.headers()),
        body: Body::new(body),
    })
}

fn headers(map: &HeaderMap) -> Headers {
    let mut headers = Headers::default();
    for (name, value) in map {
        let text = if value.is_sensitive() { PLACEHOLDER.into() } else { String::from_utf8_lossy(value.as_bytes()) };
        headers.add(name.as_str(), text);
    }
    headers
}

async fn read(mut response: reqwest::Response) -> Result<Response, SendError> {
    let (status, version) = (response.status(), response.version());
    let headers = headers(response.headers());
    let mut body = WholeBody::default();
    while let Some(piece) = response.chunk().await.map_err(SendError::Http)? {
        body.add(&piece).map_err(SendError::Cassette)?;
    }
    let version = format!("{version:?}");
    Ok(Response {
        code: status.as_u16(),
        message: reason(status.as_u16()).to_owned(),
        headers,
        body: body.end(),
        http_version: version.strip_prefix("HTTP/").map(str::to_owned),
    })
}

/// The answer as reqwest gives it.
fn handed(response: &Response, headers: HeaderMap, url: url::Url) -> Result<reqwest::Response> {
    let built = http::Response::builder().status(response.code).url(url);
    let whole = built.body(reqwest::Body::from(response.body.bytes.clone()));
    let mut whole = whole.map_err(|error| Error::user(format!("a recorded answer cannot be given: {error}")))?;
    *whole.headers_mut() = headers;
    Ok(whole.into())
}

/// Recorded headers; what HTTP cannot carry cannot have been sent.
fn values(headers: &Headers) -> HeaderMap {
    let pair = |(name, value): (&str, &str)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    let mut values = HeaderMap::new();
    for (name, value) in headers.iter().filter_map(pair) {
        values.append(name, value);
    }
    values
}
