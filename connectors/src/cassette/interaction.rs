//! A request and its answer, as a cassette holds them.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// Headers in their order, each with all its values. Names are found whatever their case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(super) Vec<(String, Vec<String>)>);

impl Headers {
    /// Adds a value, its name written as VCR writes names (`Content-Type`).
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        match self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(value.into()),
            None => self.0.push((title_case(name), vec![value.into()])),
        }
    }

    /// The first value.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, values)| values.first()).map(String::as_str)
    }

    /// Every value with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())))
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// Puts another value in the place of a header's values, where there is such a header.
    pub(super) fn replace(&mut self, name: &str, value: String) {
        if let Some((_, values)) = self.0.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            *values = vec![value];
        }
    }
}

fn title_case(name: &str) -> String {
    let mut start = true;
    let letter = |letter: char| {
        let written = if start { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        start = letter == '-';
        written
    };
    name.chars().map(letter).collect()
}

/// A body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Its encoding as Ruby names it: `UTF-8`, `US-ASCII`, `ASCII-8BIT` for bytes.
    pub encoding: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Body {
    /// A body of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let encoding = match std::str::from_utf8(&bytes) {
            Ok("") => "US-ASCII",
            Ok(_) => "UTF-8",
            Err(_) => "ASCII-8BIT",
        };
        Self { encoding: encoding.to_owned(), bytes }
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, as `post`.
    pub method: String,
    /// The whole URI.
    pub uri: String,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Body,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub code: u16,
    /// What stood behind the code.
    pub message: String,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Body,
    /// The version of HTTP, where it is known.
    pub http_version: Option<String>,
}

impl Response {
    /// As a client hands it on: decompressed, and with the length that its body has now. `longest` is the most bytes
    /// that it may have.
    pub(super) fn unpacked(mut self, request_method: &str, longest: usize) -> Result<Self, String> {
        self.headers.remove("transfer-encoding");
        let packed = self.headers.get("content-encoding").is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        if packed && self.body.bytes.starts_with(&[0x1f, 0x8b]) {
            let unpacked = gunzip(&self.body.bytes, longest).ok_or("its body cannot be decompressed")?;
            self.body = Body::new(unpacked);
            self.headers.remove("content-encoding");
        }
        // The answer to HEAD tells a length and has none.
        if !request_method.eq_ignore_ascii_case("head") {
            self.headers.replace("content-length", self.body.bytes.len().to_string());
        }
        Ok(self)
    }
}

/// What is in compressed bytes, unless it is damaged or too long.
pub(super) fn gunzip(bytes: &[u8], longest: usize) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(longest as u64 + 1).read_to_end(&mut unpacked).ok()?;
    (read <= longest).then_some(unpacked)
}

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interaction {
    pub(super) request: Request,
    pub(super) response: Response,
    /// When, as HTTP writes dates.
    pub(super) recorded_at: Option<String>,
}

impl Interaction {
    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let headers =
            |headers: &Headers| headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>();
        let (request, response) = (&self.request, &self.response);
        let bodies = request.body.bytes.len() + response.body.bytes.len();
        512 + bodies + request.uri.len() + headers(&request.headers) + headers(&response.headers)
    }
}

/// What stands behind a status code.
pub fn reason(code: u16) -> &'static str {
    let status = reqwest::StatusCode::from_u16(code).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or_default()
}
