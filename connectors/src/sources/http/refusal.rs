//! Answers that are no success.

use std::borrow::Cow;

use axum::body::Body;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

/// Why a request is not taken: a status, and a text that is both the reason phrase and, as JSON, the body.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: Cow<'static, str>,
    header: Option<(HeaderName, HeaderValue)>,
    closes: bool,
}

impl Refusal {
    /// A refusal after which the connection may be used again.
    pub(crate) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason: reason.into(), header: None, closes: false }
    }

    /// 503: the same request may be taken after a second.
    pub(crate) fn later(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason).with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Adds a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The connection ends with it: what follows on it cannot be told apart from the rest of this request.
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let body = serde_json::json!({"error": self.reason}).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        if self.closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Ok(phrase) = ReasonPhrase::try_from(self.reason.as_bytes()) {
            response.extensions_mut().insert(phrase);
        }
        response
    }
}
