//! What becomes of a request.

use std::borrow::Cow;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::admission::Admission;
use super::body::Bodies;
use super::intake::Intake;
use super::json::{self, Flaw};
use super::refusal::Refusal;
use super::seen::{SeenId, SeenIds};

/// A request that may come in, as a translation sees it.
#[derive(Debug)]
pub(crate) struct Received<'a> {
    /// The path without its first slash, decoded.
    pub(crate) endpoint: Cow<'a, str>,
    /// The headers that events may show, by lower-case name.
    pub(crate) headers: Map<String, Value>,
    /// The body: one JSON value.
    pub(crate) body: &'a str,
    /// The id that the caller is told.
    pub(crate) uuid: Uuid,
}

/// Makes events of requests.
pub(crate) trait Translation: Send + Sync + 'static {
    /// The events of a request, as lines; none is fine.
    ///
    /// # Errors
    /// Why the request is refused.
    fn events(&self, received: Received<'_>) -> Result<Vec<Vec<u8>>, Refusal>;

    /// What `GET /` answers; without, there is no such page.
    fn page(&self) -> Option<&'static str> {
        None
    }
}

/// Takes requests in.
pub(super) struct Reception {
    pub(super) admission: Admission,
    pub(super) bodies: Bodies,
    pub(super) intake: Intake,
    pub(super) translation: Box<dyn Translation>,
    /// The headers in which senders name their messages, the first that is there counts.
    pub(super) id_headers: Vec<HeaderName>,
    /// The headers that events show; `None`: all that do not prove who sent them.
    pub(super) shown_headers: Option<Vec<HeaderName>>,
    /// What success is called.
    pub(super) status: StatusCode,
}

impl Reception {
    /// Answers a request; an event is durable before it is answered with success.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        self.receive(request).await.unwrap_or_else(Refusal::into_response)
    }

    async fn receive(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            return self.page(&parts.method, parts.uri.path());
        }
        self.admission.admit(&parts.headers)?;
        check_encoding(&parts.headers)?;
        let taken = self.bodies.read(body).await?;
        self.admission.verify(&parts.headers, &taken.bytes)?;
        let body = json::text(&taken.bytes).map_err(|flaw| refusal_of(&flaw, &parts.headers))?;
        let endpoint = decoded(parts.uri.path().trim_start_matches('/'));
        let (id, uuid) = self.id_of(&parts.headers, &endpoint);
        let headers = self.shown(&parts.headers);
        let lines = self.translation.events(Received { endpoint, headers, body, uuid })?;
        if !lines.is_empty() {
            self.intake.submit(id, lines, taken.room).await?;
        }
        let mut response = Response::new(Body::from(serde_json::json!({"id": uuid}).to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    fn page(&self, method: &Method, path: &str) -> Result<Response<Body>, Refusal> {
        match self.translation.page() {
            Some(page) if path == "/" && (method == Method::GET || method == Method::HEAD) => {
                let mut response = Response::new(Body::from(page));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                Ok(response)
            }
            _ => {
                let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Only POST is accepted");
                Err(refusal.with(ALLOW, HeaderValue::from_static("POST")))
            }
        }
    }

    /// What the sender calls the message, and the id of its event: the same for every repetition.
    fn id_of(&self, headers: &HeaderMap, endpoint: &str) -> (Option<SeenId>, Uuid) {
        let given = self.id_headers.iter().find_map(|name| headers.get(name)).map(HeaderValue::as_bytes);
        let Some(given) = given.filter(|given| !given.is_empty()) else { return (None, Uuid::new_v4()) };
        let uuid = Uuid::try_parse_ascii(given)
            .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, &[endpoint.as_bytes(), b"\n", given].concat()));
        (Some(SeenIds::id(endpoint, given)), uuid)
    }

    fn shown(&self, headers: &HeaderMap) -> Map<String, Value> {
        let chosen = |name: &HeaderName| match &self.shown_headers {
            Some(shown) => shown.contains(name),
            None => true,
        };
        let names = headers.keys().filter(|name| chosen(name) && !self.admission.hides(name));
        let value = |name: &HeaderName| {
            let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            Value::from(values.collect::<Vec<_>>().join(", "))
        };
        names.map(|name| (name.as_str().to_owned(), value(name))).collect()
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let reason = "Content-Encoding is not supported: send the body as it is";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason).closing())
        }
        _ => Ok(()),
    }
}

/// The body decides whether it is JSON; what it is called only decides how the refusal is called.
fn refusal_of(flaw: &Flaw, headers: &HeaderMap) -> Refusal {
    let kind = headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap_or("?"));
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match flaw {
        Flaw::TooDeep => {
            let reason = format!("Invalid JSON payload: nested deeper than {}", json::DEEPEST);
            Refusal::new(StatusCode::BAD_REQUEST, reason)
        }
        Flaw::NotJson if essence.is_empty() || essence.ends_with("json") => {
            Refusal::new(StatusCode::BAD_REQUEST, "Invalid JSON payload")
        }
        Flaw::NotJson => {
            let reason = "Invalid JSON payload: the content type is not JSON either";
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason)
        }
    }
}

/// A path with its `%XX` decoded; as it came where that is not UTF-8.
fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high << 4 | low));
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(path), Cow::Owned)
}
