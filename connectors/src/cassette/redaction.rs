//! What is blacked out before anything is written: by the names of headers, parameters and members, and the texts that
//! the pipeline names.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use regex::bytes::{Captures, Regex};
use secrecy::{ExposeSecret, SecretString};
use tidegate_pipeline::error::{Error, Result};

use super::interaction::{Body, Headers, Request, Response};

/// What stands where something was blacked out. No brackets: XML must stay XML.
pub(super) const PLACEHOLDER: &str = "REDACTED";
/// Headers whose values are secrets.
const HEADERS: [&str; 13] = [
    "authorization",
    "cookie",
    "x-amz-security-token",
    "x-auth-token",
    "x-access-token",
    "x-api-token",
    "x-vault-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-gitlab-token",
    "private-token",
    "job-token",
    "x-aws-ec2-metadata-token",
];
/// Parts of names of headers whose values are secrets.
const HEADER_PARTS: [&str; 8] =
    ["secret", "password", "api-key", "apikey", "signature", "cookie", "authorization", "credential"];
/// Parameters of queries and forms whose values are secrets.
const PARAMETERS: &str = "AWSAccessKeyId|Signature|SecurityToken|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|\
                          access_?token|refresh_?token|id_?token|auth_?token|private_?token|token|client_?secret|\
                          client_?assertion|assertion|SAMLAssertion|WebIdentityToken|api_?key|password|passwd|secret|\
                          sig|secret_?access_?key|session_?token";
/// Members of JSON and elements of XML whose values are secrets.
const MEMBERS: &str = "secret_?access_?key|session_?token|access_?token|refresh_?token|id_?token|client_?secret|\
                       api_?key|password|passwd|private_?key|key_?material";
/// Those whose values are secrets only beside a `SecretAccessKey`: elsewhere they name a key, or a page.
const BESIDE_KEY: &str = "access_?key_?id|token";
/// Headers that tell the checksum of a body.
const CHECKSUMS: [&str; 3] = ["content-md5", "x-amz-crc32", "x-amz-checksum-"];
/// What a member must have to be looked for in later answers.
const TELLING: usize = 16;

/// Blacks out.
pub(super) struct Redaction {
    texts: Vec<(Vec<u8>, Vec<u8>)>,
    login: Regex,
    parameters: Regex,
    members: [Regex; 3],
    members_beside_key: [Regex; 3],
    key: Regex,
}

impl Redaction {
    /// With texts that are blacked out wherever they stand.
    ///
    /// # Errors
    /// None that can happen: the patterns are fixed.
    pub(super) fn new(texts: &[SecretString]) -> Result<Self> {
        let regex = |pattern: String| Regex::new(&pattern).map_err(Error::internal);
        let members = |names: &str| -> Result<[Regex; 3]> {
            Ok([
                regex(format!(r#"(?i)("(?:{names})"\s*:\s*")((?:[^"\\]|\\.)*)"#))?,
                // JSON in a JSON text.
                regex(format!(r#"(?i)(\\"(?:{names})\\"\s*:\s*\\")((?:[^"\\]|\\\\.)*)"#))?,
                regex(format!(r"(?i)(<(?:[\w.-]+:)?(?:{names})(?:\s[^>]*[^/>])?>)([^<]*)"))?,
            ])
        };
        Ok(Self {
            texts: disguised(texts),
            login: regex(r#"(://)([^/\s"'<>@?#]*)@"#.to_owned())?,
            parameters: regex(format!(r#"(?i)((?:^|[?&;])(?:{PARAMETERS})=)([^&#;\s"'<>]*)"#))?,
            members: members(MEMBERS)?,
            members_beside_key: members(BESIDE_KEY)?,
            key: regex(r"(?i)secret_?access_?key".to_owned())?,
        })
    }

    /// A request without secrets.
    pub(super) fn request(&self, request: &Request) -> Request {
        let mut headers = self.headers(&request.headers);
        let body = self.body(&request.body, &mut headers, &mut Vec::new());
        Request { method: request.method.clone(), uri: self.text(&request.uri), headers, body }
    }

    /// A response without secrets, and those that were found in its body.
    pub(super) fn response(&self, response: &Response) -> (Response, Vec<SecretString>) {
        let (mut headers, mut learned) = (self.headers(&response.headers), Vec::new());
        let body = self.body(&response.body, &mut headers, &mut learned);
        (Response { headers, body, ..response.clone() }, learned)
    }

    fn headers(&self, headers: &Headers) -> Headers {
        let value =
            |name: &str, value: &String| if is_secret(name) { PLACEHOLDER.to_owned() } else { self.text(value) };
        let header = |(name, values): &(String, Vec<String>)| {
            (name.clone(), values.iter().map(|one| value(name, one)).collect())
        };
        Headers(headers.0.iter().map(header).collect())
    }

    /// A URI or the like.
    fn text(&self, text: &str) -> String {
        let done = self.login.replace_all(text.as_bytes(), login);
        let done = self.parameters.replace_all(&done, blacked_out);
        let done = self.named(Cow::Borrowed(&done)).into_owned();
        String::from_utf8(done).unwrap_or_else(|_| PLACEHOLDER.to_owned())
    }

    fn body(&self, body: &Body, headers: &mut Headers, learned: &mut Vec<SecretString>) -> Body {
        let mut done: Cow<'_, [u8]> = Cow::Borrowed(&body.bytes);
        let beside = if self.key.is_match(&done) { self.members_beside_key.as_slice() } else { &[] };
        for members in self.members.iter().chain(beside) {
            learned.extend(members.captures_iter(&done).filter_map(|found| telling(&found)));
            done = replaced(members, done, blacked_out);
        }
        done = replaced(&self.login, done, login);
        done = replaced(&self.parameters, done, blacked_out);
        done = self.named(done);
        if *done == *body.bytes {
            return body.clone();
        }
        // What is told of the body has to be true of what is written.
        headers.replace("content-length", done.len().to_string());
        headers.0.retain(|(name, _)| !CHECKSUMS.iter().any(|checksum| name.to_ascii_lowercase().starts_with(checksum)));
        Body { encoding: body.encoding.clone(), bytes: Bytes::from(done.into_owned()) }
    }

    /// Without the texts that the pipeline names.
    fn named<'b>(&self, bytes: Cow<'b, [u8]>) -> Cow<'b, [u8]> {
        let mut done = bytes;
        for (text, placeholder) in &self.texts {
            let finder = memmem::Finder::new(text);
            if finder.find(&done).is_none() {
                continue;
            }
            let (mut next, mut stood) = (Vec::with_capacity(done.len()), 0);
            for at in finder.find_iter(&done) {
                next.extend_from_slice(done.get(stood..at).unwrap_or_default());
                next.extend_from_slice(placeholder);
                stood = at + text.len();
            }
            next.extend_from_slice(done.get(stood..).unwrap_or_default());
            done = Cow::Owned(next);
        }
        done
    }
}

fn is_secret(header: &str) -> bool {
    let name = header.to_ascii_lowercase();
    HEADERS.contains(&name.as_str()) || HEADER_PARTS.iter().any(|part| name.contains(part))
}

fn blacked_out(found: &Captures<'_>) -> Vec<u8> {
    let kept = found.get(1).map(|name| name.as_bytes()).unwrap_or_default();
    let value = found.get(2).map(|value| value.as_bytes()).unwrap_or_default();
    // That there is nothing is no secret.
    let shown = if value.trim_ascii().is_empty() { value } else { PLACEHOLDER.as_bytes() };
    [kept, shown].concat()
}

fn login(_: &Captures<'_>) -> Vec<u8> {
    format!("://{PLACEHOLDER}@").into_bytes()
}

fn replaced<'b>(regex: &Regex, bytes: Cow<'b, [u8]>, by: fn(&Captures<'_>) -> Vec<u8>) -> Cow<'b, [u8]> {
    if !regex.is_match(&bytes) {
        return bytes;
    }
    Cow::Owned(regex.replace_all(&bytes, by).into_owned())
}

/// What was blacked out, where it is long enough to be a secret that nothing else is.
fn telling(found: &Captures<'_>) -> Option<SecretString> {
    let text = std::str::from_utf8(found.get(2)?.as_bytes()).ok()?;
    (text.len() >= TELLING && text != PLACEHOLDER).then(|| SecretString::from(text))
}

/// Each text in the shapes that it takes in URIs, JSON and XML, the longest first, with its placeholder.
fn disguised(texts: &[SecretString]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let text = text.expose_secret();
        let placeholder = placeholder(text, index + 1).into_bytes();
        let json = serde_json::Value::from(text).to_string();
        let xml = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        let shapes = [
            text.to_owned(),
            json.get(1..json.len() - 1).unwrap_or_default().to_owned(),
            xml,
            percent(text),
            form(text),
        ];
        for shape in shapes.into_iter().filter(|shape| !shape.is_empty()) {
            if !found.iter().any(|(known, _)| known == shape.as_bytes()) {
                found.push((shape.into_bytes(), placeholder.clone()));
            }
        }
    }
    found.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    found
}

fn form(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn percent(text: &str) -> String {
    form(text).replace('+', "%20")
}

/// Digits become as many digits: an account id stays one, and a number of JSON too.
fn placeholder(text: &str, number: usize) -> String {
    let counted = number.to_string();
    match text.len().checked_sub(counted.len() + 1) {
        Some(zeros) if text.bytes().all(|byte| byte.is_ascii_digit()) => format!("1{}{counted}", "0".repeat(zeros)),
        _ => format!("{PLACEHOLDER}_{number}"),
    }
}
