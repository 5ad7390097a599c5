//! The options of `http_poll`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration as Time;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use tidegate_pipeline::spec::diagnostic::Diagnostic;
use tidegate_pipeline::spec::{ByteSize, Duration, Secret};
use url::Url;

use super::paging::{Paging, as_text, with_parameter};
use crate::cassette::{Cassette, CassetteOptions};
use crate::places::Places;
use crate::sources::http_client;

/// The most ids that may be remembered: all of them are part of every step.
const MOST_IDS: usize = 16_384;

/// The options of `http_poll`. Paths into JSON are names with dots between them: `data.items`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpPollOptions {
    /// What to ask.
    pub url: String,
    /// How long to wait between the end of a poll and the next.
    #[serde(default = "a_minute")]
    pub interval: Duration,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers to send whose values are secrets.
    #[serde(default)]
    pub secret_headers: BTreeMap<String, Secret>,
    /// What is sent as `Authorization: Bearer TOKEN`.
    pub token: Option<Secret>,
    /// Who asks, where the endpoint wants a name and a password.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Where the items are; empty: the whole answer. A list is an event per item, anything else is one.
    #[serde(default)]
    pub items: String,
    /// Where the id of an item is: an item whose id is remembered is no new event.
    #[serde(default)]
    pub id: String,
    /// How many ids are remembered, the newest. At most 16384.
    #[serde(default = "ids")]
    pub remember_ids: usize,
    /// How to ask only for what is newer.
    pub since: Option<SinceOptions>,
    /// How to get the next page; by default there is one page.
    pub paging: Option<PagingOptions>,
    /// The most pages of a poll.
    #[serde(default = "pages")]
    pub max_pages: usize,
    /// Whether certificates are verified.
    #[serde(default = "yes")]
    pub verify_ssl: bool,
    /// How long an answer may take.
    #[serde(default = "half_a_minute")]
    pub timeout: Duration,
    /// The longest answer, decompressed.
    #[serde(default = "body")]
    pub max_body: ByteSize,
    /// A cassette: the answers recorded once and replayed ever after.
    pub cassette: Option<CassetteOptions>,
}

/// A cursor that is kept from poll to poll: the greatest value that items have had.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SinceOptions {
    /// The parameter of the query that says it.
    pub parameter: String,
    /// Where it is in an item: a number, or text that sorts as time does.
    pub path: String,
    /// What the first poll says; by default it leaves the parameter out.
    pub start: Option<String>,
}

/// How to get the next page: exactly one of `next_link`, `link_header`, `page` and `cursor`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PagingOptions {
    /// Where in the answer the URL of the next page is.
    pub next_link: Option<String>,
    /// Whether the header `Link` has it, with `rel="next"`.
    pub link_header: bool,
    /// The parameter of the query that numbers pages; the last is the first without items.
    pub page: Option<String>,
    /// The number of the first page (default 1).
    pub first_page: Option<i64>,
    /// The parameter of the query that takes the cursor of the next page.
    pub cursor: Option<String>,
    /// Where in the answer that cursor is.
    pub cursor_path: Option<String>,
}

fn a_minute() -> Duration {
    Duration::seconds(60)
}

fn ids() -> usize {
    4096
}

fn pages() -> usize {
    1000
}

fn yes() -> bool {
    true
}

fn half_a_minute() -> Duration {
    Duration::seconds(30)
}

fn body() -> ByteSize {
    ByteSize::mebibytes(16)
}

/// A path into JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<String>);

impl JsonPath {
    pub(super) fn new(text: &str) -> Self {
        Self(text.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is written in options.
    pub(super) fn shown(&self) -> String {
        self.0.join(".")
    }

    /// The value there; numbers count the items of lists. NULL is nothing.
    pub(super) fn of<'v>(&self, value: &'v serde_json::Value) -> Option<&'v serde_json::Value> {
        let found = self.0.iter().try_fold(value, |value, name| match value {
            serde_json::Value::Array(items) => items.get(name.parse::<usize>().ok()?),
            other => other.get(name),
        });
        found.filter(|value| !value.is_null())
    }
}

/// What is asked, and how.
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) interval: Time,
    pub(super) headers: HeaderMap,
    pub(super) secret_headers: Vec<(HeaderName, Secret)>,
    pub(super) token: Option<Secret>,
    pub(super) login: Option<(String, Option<Secret>)>,
    pub(super) items: JsonPath,
    pub(super) id: JsonPath,
    pub(super) remembered: usize,
    pub(super) since: Option<Since>,
    pub(super) paging: Option<Paging>,
    pub(super) most_pages: usize,
    pub(super) verifies: bool,
    pub(super) timeout: Time,
    pub(super) longest: usize,
    pub(super) cassette: Option<Cassette>,
}

/// See [`SinceOptions`].
pub(super) struct Since {
    pub(super) parameter: String,
    pub(super) path: JsonPath,
    pub(super) start: Option<String>,
}

impl Endpoint {
    /// The first page of a poll, `since` being the greatest value so far.
    pub(super) fn first(&self, since: Option<&serde_json::Value>) -> Url {
        let mut url = self.url.clone();
        if let Some(wanted) = &self.since
            && let Some(value) = since.map(as_text).or_else(|| wanted.start.clone())
        {
            url = with_parameter(&url, &wanted.parameter, &value);
        }
        match &self.paging {
            Some(paging) => paging.first(url),
            None => url,
        }
    }

    /// The items of a page; `None` where it has nothing in their place.
    pub(super) fn items_of<'v>(&self, page: &'v serde_json::Value) -> Option<Vec<&'v serde_json::Value>> {
        match if self.items.is_empty() { Some(page) } else { self.items.of(page) } {
            Some(serde_json::Value::Array(items)) => Some(items.iter().collect()),
            Some(one) => Some(vec![one]),
            None => None,
        }
    }
}

impl HttpPollOptions {
    /// Finds what the types cannot say. Relative paths are relative to `folder`.
    pub(super) fn check(&self, places: &Places<'_>, folder: &Path) -> Result<Endpoint, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let url = http_client::parse(&self.url).map_err(|why| found.push(places.at("url", why))).ok();
        self.check_bounds(places, &mut found);
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => found.push(places.at("headers", format!("`{name}` is no header"))),
            }
        }
        let mut secret_headers = Vec::new();
        for (name, value) in &self.secret_headers {
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => secret_headers.push((name, value.clone())),
                Err(_) => found.push(places.at("secret_headers", format!("`{name}` is no name of a header"))),
            }
        }
        let paging = match self.paging.as_ref().map(Paging::new).transpose() {
            Ok(paging) => paging,
            Err(why) => {
                found.push(places.at("paging", why));
                None
            }
        };
        let since = self.since.as_ref().map(|since| Since {
            parameter: since.parameter.clone(),
            path: JsonPath::new(&since.path),
            start: since.start.clone(),
        });
        match url {
            Some(url) if found.is_empty() => Ok(Endpoint {
                url,
                interval: self.interval.0,
                headers,
                secret_headers,
                token: self.token.clone(),
                login: self.username.clone().map(|name| (name, self.password.clone())),
                items: JsonPath::new(&self.items),
                id: JsonPath::new(&self.id),
                remembered: if self.id.is_empty() { 0 } else { self.remember_ids },
                since,
                paging,
                most_pages: self.max_pages,
                verifies: self.verify_ssl,
                timeout: self.timeout.0,
                longest: self.max_body.bytes(),
                cassette: self.cassette.as_ref().map(|cassette| cassette.insert(folder, places.0)),
            }),
            _ => Err(found),
        }
    }

    fn check_bounds(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) {
        if self.timeout.0.is_zero() {
            found.push(places.at("timeout", "`timeout` must be more than 0s"));
        }
        if self.max_pages == 0 {
            found.push(places.at("max_pages", "`max_pages` must be at least 1"));
        }
        if !(1..=MOST_IDS).contains(&self.remember_ids) {
            found.push(places.at("remember_ids", format!("`remember_ids` must be between 1 and {MOST_IDS}")));
        }
        if self.token.is_some() && self.username.is_some() {
            found.push(places.at("username", "only one of `token` and `username` may be given"));
        }
        if self.password.is_some() && self.username.is_none() {
            found.push(places.at("password", "`password` needs `username`"));
        }
    }
}
