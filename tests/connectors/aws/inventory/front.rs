//! A server before moto, which cuts listings into small pages, and does to requests and answers what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The most that a page may have, and of RDS, which takes nothing less.
const PAGE: usize = 5;
const RECORDS: usize = 20;

/// What says how much a page may have, in the words of the services.
const SIZES: [&str; 5] = ["MaxItems=", "MaxRecords=", "MaxResults=", "PageSize=", "maxitems="];
/// What says that a page is not the first.
const TOKENS: [&str; 5] = ["Marker=", "NextToken=", "marker=", "name=", "nexttoken="];

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The action, or the method and path of an API that has none.
    pub(super) action: String,
    pub(super) region: String,
    /// Whether it is about a page that is not the first.
    pub(super) goes_on: bool,
    /// The token of the page.
    pub(super) token: String,
    /// When it was signed: `20260102T030405Z`.
    pub(super) signed: String,
}

/// What is answered in moto's place: status, type and text.
pub(super) type Answer = (u16, &'static str, &'static str);

/// What becomes of a request.
pub(super) enum Weather {
    /// moto answers.
    Fair,
    /// Something else is answered: status, type and text.
    Instead(u16, &'static str, String),
    /// moto answers, and this is made of what it says.
    Changed(fn(String) -> String),
    /// The connection ends in the middle of what moto says.
    Half,
    /// moto answers after a while.
    Late(Duration),
}

type Rule = Box<dyn Fn(&Asked) -> Weather + Send + Sync>;

struct Inside {
    moto: SocketAddr,
    rule: Mutex<Rule>,
    asked: Mutex<Vec<Asked>>,
    /// How much later it is here than everywhere else.
    ahead: Mutex<SignedDuration>,
}

/// The server, which runs until the test program ends.
pub(super) struct Front {
    pub(super) endpoint: String,
    inside: Arc<Inside>,
}

impl Front {
    /// A server before the moto of that address. It passes everything on.
    pub(super) fn start(moto: &str) -> Self {
        let moto = moto.parse().expect("an address");
        let (rule, asked, ahead): (Rule, _, _) = (Box::new(|_| Weather::Fair), Mutex::default(), Mutex::default());
        let inside = Arc::new(Inside { moto, rule: Mutex::new(rule), asked, ahead });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("it can be");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(respond).with_state(Arc::clone(&inside));
        std::thread::spawn(move || {
            crate::aws::wait(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await
            })
        });
        Self { endpoint, inside }
    }

    /// From now on `rule` is asked first.
    pub(super) fn answer(&self, rule: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        self.weather(move |asked| match rule(asked) {
            Some((status, kind, text)) => Weather::Instead(status, kind, text.to_owned()),
            None => Weather::Fair,
        });
    }

    /// From now on the weather is as `rule` says.
    pub(super) fn weather(&self, rule: impl Fn(&Asked) -> Weather + Send + Sync + 'static) {
        *self.inside.rule.lock() = Box::new(rule);
    }

    /// From now on its clock is so much ahead.
    pub(super) fn set_clock(&self, ahead: SignedDuration) {
        *self.inside.ahead.lock() = ahead;
    }

    /// How often an action was asked for so far, in a region.
    pub(super) fn count(&self, action: &str, region: &str) -> usize {
        self.inside.asked.lock().iter().filter(|asked| asked.action == action && asked.region == region).count()
    }
}

/// Asks moto for something as that account, and gives what it says.
pub(super) fn ask(moto: &str, account: &str, region: &str, form: &str) -> String {
    let credential = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{region}/ec2/aws4_request, Signature=x");
    let head = format!("authorization: {credential}\r\nx-moto-account-id: {account}\r\n");
    let form = format!("{form}&Version=2016-11-15");
    let kind = "content-type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    let head = format!("{kind}{head}");
    let exchanged = exchange(moto.parse().expect("an address"), "POST /", &head, &form);
    let (status, _, text) = crate::aws::wait(exchanged);
    assert_eq!(status, 200, "{form}: {text}");
    text
}

async fn respond(
    State(inside): State<Arc<Inside>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let value = |name: &str| {
        body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope = text("authorization").split_once("Credential=").map_or("", |(_, scope)| scope);
    let region = scope.split('/').nth(2).unwrap_or_default().to_owned();
    let action = Some(value("Action")).filter(|action| !action.is_empty());
    let action = action.unwrap_or_else(|| format!("{method} {}", uri.path()));
    let mut pairs = body.split('&').chain(uri.query().unwrap_or_default().split('&'));
    let goes_on = pairs.any(|pair| TOKENS.iter().any(|token| pair.starts_with(token) && pair.len() > token.len()));
    let (token, signed) = (value("NextToken"), text("x-amz-date").to_owned());
    let asked = Asked { action, region, goes_on, token, signed };
    let weather = (inside.rule.lock())(&asked);
    inside.asked.lock().push(asked);
    if let Weather::Instead(status, kind, text) = weather {
        return inside.answered(status, kind, text);
    }
    if let Weather::Late(after) = weather {
        tokio::time::sleep(after).await;
    }
    let small = |pair: &str| match SIZES.iter().find(|size| pair.starts_with(**size)) {
        Some(&"MaxRecords=") => format!("MaxRecords={RECORDS}"),
        Some(size) => format!("{size}{PAGE}"),
        None => pair.to_owned(),
    };
    let small = |pairs: &str| pairs.split('&').map(small).collect::<Vec<_>>().join("&");
    let body = small(&body);
    let uri = uri.query().map_or_else(|| uri.to_string(), |query| format!("{}?{}", uri.path(), small(query)));
    let kept = ["authorization", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-target"];
    let kept = kept.iter().filter(|name| headers.contains_key(**name));
    let head: String = kept.map(|name| format!("{name}: {}\r\n", text(name))).collect();
    let (status, kind, text) = exchange(inside.moto, &format!("{method} {uri}"), &head, &body).await;
    match weather {
        Weather::Changed(change) => inside.answered(status, &kind, change(text)),
        Weather::Half => {
            let half = text[..text.len() / 2].to_owned();
            let end = async {
                // Until the first half is on its way.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("enough"))
            };
            let mut response = inside.answered(status, &kind, text);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from_stream(stream::once(async { Ok(half) }).chain(stream::once(end)));
            response
        }
        _ => inside.answered(status, &kind, text),
    }
}

impl Inside {
    fn answered(&self, status: u16, kind: &str, text: String) -> Response {
        let status = StatusCode::from_u16(status).expect("a status");
        let now = Timestamp::now() + *self.ahead.lock();
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).expect("a date");
        let mut response = (status, [(header::CONTENT_TYPE, kind.to_owned())], text).into_response();
        response.headers_mut().insert(header::DATE, date.parse().expect("a header"));
        // Whoever asks again does so soon: tests do not wait as long as everybody else.
        response.headers_mut().insert("x-amz-retry-after", "10".parse().expect("a header"));
        response
    }
}

/// Sends a body, and gives status, type and text of the answer. In HTTP/1.0: the connection ends with the answer.
async fn exchange(moto: SocketAddr, what: &str, head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(moto).await.expect("moto listens");
    let length = body.len();
    let request = format!("{what} HTTP/1.0\r\nhost: {moto}\r\ncontent-length: {length}\r\n{head}\r\n{body}");
    stream.write_all(request.as_bytes()).await.expect("moto reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("moto answers");
    let answer = String::from_utf8(answer).expect("text");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let kind = head.lines().filter_map(|line| line.split_once(": "));
    let mut kind = kind.filter(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, kind)| kind.to_owned());
    (status, kind.next().unwrap_or_default(), text.to_owned())
}
