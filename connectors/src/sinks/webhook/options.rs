//! The options of the sink `webhook`.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{ByteSize, Options, Secret};

use super::body::{Batch, Content, Encoder};
use super::destination::{Address, BodySigning, Destination, SecretText};
use super::sending::SendingOptions;
use super::template::{Known, Template};
use crate::places::Places;
use crate::sources::http::{Algorithm, Encoding};
use crate::sources::http_client;

/// The most rows of a batch.
const MOST_ROWS: usize = 10_000;
/// The body that NetPulse posts when a job ends.
const BASIC: &str = include_str!("presets/netpulse_basic.json.j2");
/// Headers that say how a request is sent: they follow from the rest.
const OWN_HEADERS: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "host", "content-encoding", "idempotency-key"];

/// What the body of a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BodyKind {
    /// The row as a JSON object; of a batch, an array of them. NULLs are left out.
    #[default]
    Row,
    /// A CloudEvent in structured mode with the row as its data; of a batch, an array of them.
    CloudEvents,
    /// What NetPulse posts when a job ends, from the columns of the same names.
    Basic,
}

/// The options of the sink `webhook`, beside how requests are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookOptions {
    /// Where to send to. With `{{ … }}` it is a template over the row.
    pub url: Option<Located<String>>,
    /// Where to send to, where the URL is a secret.
    pub secret_url: Option<Secret>,
    /// `POST`, `PUT`, `PATCH`, `DELETE` or `GET`.
    #[serde(default = "post")]
    pub method: String,
    /// Headers to send.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Headers to send whose values are secrets.
    #[serde(default)]
    pub secret_headers: BTreeMap<String, Secret>,
    /// Cookies to send.
    #[serde(default)]
    pub cookies: BTreeMap<String, Secret>,
    /// What is sent as `Authorization: Bearer TOKEN`.
    pub token: Option<Secret>,
    /// Who sends, where the receiver wants a name and a password.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The key of Standard Webhooks (`whsec_…`): id, time of the attempt and body are signed in `webhook-signature`.
    pub secret: Option<Secret>,
    /// The key of a signature (HMAC of the body as it is sent).
    pub hmac_secret: Option<Secret>,
    /// Its hash function: `sha1`, `sha224`, `sha256`, `sha384` or `sha512`.
    #[serde(default = "sha256")]
    pub hmac_algo: String,
    /// The header that it is in.
    #[serde(default = "hub_signature")]
    pub hmac_header: String,
    /// How it is written: `hex` or `base64`.
    #[serde(default = "hex")]
    pub hmac_format: String,
    /// What stands before it; by default `ALGO=`.
    pub hmac_prefix: Option<String>,
    /// What the body is: `row`, `cloudevents` or `basic`.
    #[serde(default)]
    pub body: BodyKind,
    /// The body as a template (Jinja2) over the row, in place of `body`.
    pub template: Option<Located<String>>,
    /// The type of what a template makes. JSON must be valid, and is sent without white space.
    #[serde(default = "json")]
    pub content_type: String,
    /// The type of CloudEvents.
    #[serde(default = "row_event")]
    pub event_type: String,
    /// Several rows of one step share a request.
    pub batch: Option<BatchOptions>,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    #[serde(default)]
    pub gzip: bool,
}

/// How many rows of one step share a request. Those of one `key` do not share with others.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchOptions {
    /// The most rows. At most 10000.
    pub rows: usize,
    /// About the most bytes. One row that is larger goes alone.
    pub bytes: ByteSize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { rows: 100, bytes: ByteSize(256 * 1024) }
    }
}

fn post() -> String {
    "POST".to_owned()
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

fn json() -> String {
    "application/json".to_owned()
}

fn row_event() -> String {
    "tidegate.row".to_owned()
}

/// Whether a type of content is JSON.
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

impl WebhookOptions {
    /// Finds what the types cannot say, and plans expressions and templates.
    pub(super) fn plan(
        &self,
        sending: &SendingOptions,
        options: &Options,
        context: &mut PlanContext<'_>,
    ) -> Result<(Encoder, Destination), Vec<Diagnostic>> {
        let places = Places(options);
        let mut found = Vec::new();
        let sending_checked = sending.check(&places, &context.working_directory, &mut found);
        let key = sending.key(options, context).unwrap_or_else(|wrong| {
            found.push(wrong);
            None
        });
        let (address, url) = self.address(context, &places, &mut found);
        let content = self.content(context, &places, &mut found);
        let batch = self.batch(&places, &mut found);
        let method = self.method(&places, &mut found);
        let (headers, secret_headers) = self.headers(&places, &mut found);
        let signing = self.signing(&places, &mut found);
        match (address, content, method) {
            (Some(address), Some(content), Some(method)) if found.is_empty() => {
                let content_type = match self.body {
                    _ if self.template.is_some() => self.content_type.clone(),
                    BodyKind::CloudEvents if batch.is_some() => "application/cloudevents-batch+json".to_owned(),
                    BodyKind::CloudEvents => "application/cloudevents+json".to_owned(),
                    BodyKind::Row | BodyKind::Basic => json(),
                };
                let is_cloud_event = matches!(content, Content::CloudEvent(_));
                let encoder = Encoder {
                    content,
                    parameters: BTreeMap::new(),
                    batch,
                    key,
                    url,
                    longest: sending_checked.longest_body,
                };
                let destination = Destination {
                    address,
                    method,
                    headers,
                    secret_headers,
                    cookies: self.cookies.clone().into_iter().collect(),
                    login: self.username.clone().map(|name| (name, self.password.clone())),
                    standard: self.secret.clone(),
                    signing,
                    secret_fields: Vec::new(),
                    cloud_events: is_cloud_event.then_some(encoder.batch.is_some()),
                    content_type,
                    gzip: self.gzip,
                    must_be_true: None,
                    sending: sending_checked,
                };
                Ok((encoder, destination))
            }
            _ => Err(found),
        }
    }

    /// Where to send to: a fixed place, or a template.
    fn address(
        &self,
        context: &mut PlanContext<'_>,
        places: &Places<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> (Option<Address>, Option<Template>) {
        match (&self.url, &self.secret_url) {
            (Some(url), None) if url.value.contains("{{") || url.value.contains("{%") => {
                if self.batch.is_some() {
                    found.push(
                        places.at("url", "with `batch` several rows share a request: `url` cannot depend on the row"),
                    );
                    return (None, None);
                }
                let known = Known { schema: &context.schema, open: context.open, batch: false };
                match Template::plan(url, &known, context.warnings) {
                    Ok(template) => (Some(Address::OfRow), Some(template)),
                    Err(wrong) => {
                        found.push(wrong);
                        (None, None)
                    }
                }
            }
            (Some(url), None) => match http_client::parse(&url.value) {
                Ok(url) => (Some(Address::Fixed(url)), None),
                Err(why) => {
                    found.push(places.at("url", why));
                    (None, None)
                }
            },
            (None, Some(secret)) => (Some(Address::Secret(secret.clone())), None),
            (Some(_), Some(_)) => {
                found.push(places.at("secret_url", "only one of `url` and `secret_url` may be given"));
                (None, None)
            }
            (None, None) => {
                found.push(places.at("", "one of `url` and `secret_url` says where to send to"));
                (None, None)
            }
        }
    }

    fn content(
        &self,
        context: &mut PlanContext<'_>,
        places: &Places<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Content> {
        if self.template.is_some() && self.body != BodyKind::Row {
            found.push(places.at("body", "only one of `body` and `template` may be given"));
            return None;
        }
        let known = Known { schema: &context.schema, open: context.open, batch: self.batch.is_some() };
        let planned = match (&self.template, self.body) {
            (Some(text), _) => Template::plan(text, &known, context.warnings),
            (None, BodyKind::Row) => return Some(Content::Row),
            (None, BodyKind::CloudEvents) => return Some(Content::CloudEvent(self.event_type.clone())),
            (None, BodyKind::Basic) if self.batch.is_some() => {
                found.push(places.at("batch", "`body: basic` is one job: it cannot be batched"));
                return None;
            }
            (None, BodyKind::Basic) => {
                Template::plan(&Located::new(BASIC.to_owned(), places.of("body")), &known, context.warnings)
            }
        };
        match planned {
            Ok(template) => {
                let is_json = is_json(&self.content_type) || self.template.is_none();
                Some(Content::Template { template, is_json })
            }
            Err(wrong) => {
                found.push(wrong);
                None
            }
        }
    }

    fn batch(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) -> Option<Batch> {
        let batch = self.batch.as_ref()?;
        if !(1..=MOST_ROWS).contains(&batch.rows) || batch.bytes.0 == 0 {
            found.push(places.at("batch", format!("`rows` is between 1 and {MOST_ROWS}, `bytes` more than 0")));
        }
        Some(Batch { rows: batch.rows, bytes: batch.bytes.bytes() })
    }

    fn method(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) -> Option<Method> {
        let known = ["POST", "PUT", "PATCH", "DELETE", "GET"];
        let method = self.method.to_ascii_uppercase();
        if !known.contains(&method.as_str()) {
            let wrong = format!("the method `{}` is not known", self.method);
            found.push(places.at("method", wrong).with_expected(&method, known));
        }
        Method::from_bytes(method.as_bytes()).ok()
    }

    fn headers(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) -> (HeaderMap, Vec<(HeaderName, SecretText)>) {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            match (header_name(name), HeaderValue::from_str(value)) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                (Err(why), _) => found.push(places.at("headers", why)),
                _ => found.push(places.at("headers", format!("`{name}` has a value that no header can hold"))),
            }
        }
        let mut secret_headers = Vec::new();
        for (name, value) in &self.secret_headers {
            match header_name(name) {
                Ok(name) => secret_headers.push((name, SecretText::plain(value.clone()))),
                Err(why) => found.push(places.at("secret_headers", why)),
            }
        }
        if self.token.is_some() && self.username.is_some() {
            found.push(places.at("username", "only one of `token` and `username` may be given"));
        }
        if self.password.is_some() && self.username.is_none() {
            found.push(places.at("password", "`password` needs `username`"));
        }
        if let Some(token) = &self.token {
            let text = SecretText { before: "Bearer ".to_owned(), secret: token.clone() };
            secret_headers.push((reqwest::header::AUTHORIZATION, text));
        }
        let bad_cookie = |name: &&String| name.is_empty() || name.contains(['=', ';', ',', ' ', '"']);
        if let Some(name) = self.cookies.keys().find(bad_cookie) {
            found.push(places.at("cookies", format!("`{name}` is no name of a cookie")));
        }
        (headers, secret_headers)
    }

    fn signing(&self, places: &Places<'_>, found: &mut Vec<Diagnostic>) -> Option<BodySigning> {
        let algorithm = Algorithm::named(&self.hmac_algo);
        if algorithm.is_none() {
            let wrong = format!("the hash function `{}` is not known", self.hmac_algo);
            found.push(places.at("hmac_algo", wrong).with_expected(&self.hmac_algo, Algorithm::NAMES));
        }
        let encoding = Encoding::named(&self.hmac_format);
        if encoding.is_none() {
            let wrong = format!("the format `{}` is not known", self.hmac_format);
            found.push(places.at("hmac_format", wrong).with_expected(&self.hmac_format, Encoding::NAMES));
        }
        let header = header_name(&self.hmac_header);
        if let Err(why) = &header {
            found.push(places.at("hmac_header", why));
        }
        let (algorithm, encoding) = (algorithm?, encoding?);
        let prefix = self.hmac_prefix.clone().unwrap_or_else(|| format!("{}=", algorithm.name()));
        Some(BodySigning { secret: self.hmac_secret.clone()?, algorithm, encoding, header: header.ok()?, prefix })
    }
}

/// The name of a header that a user may set.
pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    let lower = name.to_ascii_lowercase();
    if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
        return Err(format!("the header `{name}` is set by the sink"));
    }
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))
}
