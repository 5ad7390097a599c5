//! What a request asks, without what says who asks and when: requests with equal questions are the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;
use url::Url;
use url::form_urlencoded;

use super::interaction::Request;

/// Parameters that sign a request or date its signature, in small letters.
const SIGNING: [&str; 8] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "securitytoken",
];
/// Parameters that do so where one of them is `Signature`.
const SIGNING_WITH_SIGNATURE: [&str; 6] =
    ["signature", "signatureversion", "signaturemethod", "awsaccesskeyid", "timestamp", "expires"];

/// Names and values, sorted by name; those of one name in their order.
pub(super) type Pairs = Vec<(String, String)>;

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// In capitals.
    pub(super) method: String,
    /// Scheme, host, port and path.
    pub(super) place: String,
    pub(super) query: Pairs,
    /// The operation, where a header names it.
    pub(super) target: Option<String>,
    pub(super) body: Asked,
}

/// What a body asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asked {
    Form(Pairs),
    /// With sorted members and without blanks.
    Json(String),
    Bytes(Bytes),
}

impl Question {
    /// The question of a request in which secrets are blacked out already. `ignored` are the names of parameters and
    /// members that do not matter.
    pub(super) fn of(request: &Request, ignored: &[String]) -> Self {
        let (place, query) = match Url::parse(&request.uri) {
            Ok(mut url) => {
                let query = pairs(url.query().unwrap_or_default(), ignored);
                url.set_query(None);
                url.set_fragment(None);
                // Who asks does not matter; a URL that has a name or a password takes others.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                (url.to_string(), query)
            }
            Err(_) => (request.uri.clone(), Pairs::new()),
        };
        Self {
            method: request.method.to_ascii_uppercase(),
            place,
            query,
            target: request.headers.get("x-amz-target").map(str::to_owned),
            body: asked(request, ignored),
        }
    }

    /// The request in a line, for people.
    pub(super) fn shown(&self) -> String {
        let mut shown = format!("{} {}", self.method, self.place);
        if !self.query.is_empty() {
            let query = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
            shown = format!("{shown}?{}", query.join("&"));
        }
        let operation = match (&self.target, &self.body) {
            (Some(target), _) => Some(target),
            (None, Asked::Form(pairs)) => pairs.iter().find(|(name, _)| name == "Action").map(|(_, value)| value),
            _ => None,
        };
        match operation {
            Some(operation) => format!("{shown} ({operation})"),
            None => shown,
        }
    }
}

fn asked(request: &Request, ignored: &[String]) -> Asked {
    let bytes = &request.body.bytes;
    let kind = request.headers.get("content-type").unwrap_or_default().to_ascii_lowercase();
    let text = std::str::from_utf8(bytes).ok();
    if let Some(text) = text
        && kind.contains("x-www-form-urlencoded")
    {
        return Asked::Form(pairs(text.trim(), ignored));
    }
    let begun = bytes.trim_ascii_start();
    if (kind.contains("json") || begun.starts_with(b"{") || begun.starts_with(b"["))
        && let Ok(value) = serde_json::from_slice::<Value>(bytes)
    {
        return Asked::Json(sorted(value, ignored).to_string());
    }
    Asked::Bytes(bytes.clone())
}

fn pairs(text: &str, ignored: &[String]) -> Pairs {
    let all: Pairs = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    let signed = all.iter().any(|(name, _)| name.eq_ignore_ascii_case("signature"));
    let signing = |name: &str| {
        let name = name.to_ascii_lowercase();
        SIGNING.contains(&name.as_str()) || (signed && SIGNING_WITH_SIGNATURE.contains(&name.as_str()))
    };
    let matters = |(name, _): &(String, String)| !signing(name) && !ignored.contains(name);
    let mut pairs: Pairs = all.into_iter().filter(matters).collect();
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs
}

/// The value with the members of its maps in one order, and without those that do not matter.
fn sorted(value: Value, ignored: &[String]) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| sorted(item, ignored)).collect(),
        Value::Object(members) => {
            let members: BTreeMap<String, Value> =
                members.into_iter().filter(|(name, _)| !ignored.contains(name)).collect();
            Value::Object(members.into_iter().map(|(name, value)| (name, sorted(value, ignored))).collect())
        }
        other => other,
    }
}
