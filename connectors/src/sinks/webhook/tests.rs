//! What is sent, what answers mean, and what is wrong with options and rows.

mod presets;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use axum::body::Body;
use axum::http::{Request, Response};
use parking_lot::Mutex;
use tidegate_pipeline::operator::PlanContext;
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::sink::{Attempt, DispatchingSink, EffectPayload, PlannedSink, Sink, SinkContext, SinkKind};
use tidegate_pipeline::spec::diagnostic::Diagnostic;

use super::*;
use crate::sinks::testing::step;
use crate::sources::testing::options;

const ID: &str = "p/0/1/page/0/7/0";

fn rows(values: &[(i64, Option<&str>)]) -> RecordBatch {
    let numbers: Int64Array = values.iter().map(|(n, _)| Some(*n)).collect();
    let severities: StringArray = values.iter().map(|(_, severity)| *severity).collect();
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("severity", Arc::new(severities) as _)]).unwrap()
}

fn plan_over(
    kind: &dyn SinkKind,
    given: &str,
    schema: &SchemaRef,
    open: bool,
) -> Result<(PlannedSink, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut warnings = Vec::new();
    let mut context = PlanContext {
        node: "page",
        inputs: &[],
        schema: Arc::clone(schema),
        open,
        match_all: false,
        working_directory: "/".into(),
        memory: 1 << 20,
        recorded: Vec::new(),
        tables_of: &|_| None,
        warnings: &mut warnings,
    };
    let planned = kind.plan(&options(given), &mut context)?;
    Ok((planned, warnings))
}

pub(super) fn plan(kind: &dyn SinkKind, given: &str) -> Result<PlannedSink, Vec<Diagnostic>> {
    plan_over(kind, given, &rows(&[]).schema(), false).map(|(planned, _)| planned)
}

/// The payloads of rows, and what was rejected.
pub(super) fn made(planned: &PlannedSink, rows: &RecordBatch) -> (Vec<EffectPayload>, Vec<(u64, Rejected)>) {
    let mut rejected = Vec::new();
    let made = planned.open.maker().unwrap().make(&step(7), rows, &mut rejected).unwrap();
    (made, rejected)
}

fn bodies(given: &str, rows: &RecordBatch) -> Vec<String> {
    let planned = plan(&WebhookKind, given).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let (made, rejected) = made(&planned, rows);
    assert!(rejected.is_empty(), "{rejected:?}");
    made.into_iter().map(|payload| String::from_utf8(payload.body).unwrap()).collect()
}

pub(super) async fn open(planned: &PlannedSink) -> Arc<dyn DispatchingSink> {
    match planned.open.open(SinkContext { node: "page".into(), mark: None }).await.unwrap() {
        Sink::Dispatching(sink) => sink,
        Sink::Transactional(_) => panic!("a dispatching sink"),
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A server that keeps what it is asked.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(super) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let shared = Arc::clone(&seen);
        let router = axum::Router::new().fallback(move |request: Request<Body>| {
            let (answer, shared) = (answer.clone(), Arc::clone(&shared));
            async move {
                let (head, body) = request.into_parts();
                let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
                let seen = Seen {
                    line: format!("{} {}", head.method, head.uri),
                    headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
                    body: axum::body::to_bytes(body, 1 << 24).await.unwrap().to_vec(),
                };
                shared.lock().push(seen.clone());
                answer(&seen)
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body.to_owned())).unwrap()
}

/// Delivers the only effect of one row.
async fn deliver(given: &str) -> Attempt {
    let planned = plan(&WebhookKind, given).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let (made, _) = made(&planned, &rows(&[(1, Some("high"))]));
    open(&planned).await.deliver(ID, &made[0]).await
}

#[tokio::test]
async fn a_row_is_posted_under_its_id_with_all_that_was_asked_for() {
    let receiver = Receiver::start(|_| answer(204, &[], "")).await;
    let given = format!(
        r#"{{"url":"http://{}/hook?a=1","method":"put","headers":{{"x-team":"ops"}},"secret_headers":{{"x-key":"hunter2"}},
            "cookies":{{"session":"abc123"}},"username":"me","password":"hunter3"}}"#,
        receiver.address
    );
    assert_eq!(deliver(&given).await, Attempt::Done);
    let seen = receiver.seen().remove(0);
    assert_eq!(seen.line, "PUT /hook?a=1");
    assert_eq!(seen.body, br#"{"n":1,"severity":"high"}"#);
    let expected = [
        ("idempotency-key", ID),
        ("webhook-id", ID),
        ("content-type", "application/json"),
        ("x-team", "ops"),
        ("x-key", "hunter2"),
        ("cookie", "session=abc123"),
        ("authorization", "Basic bWU6aHVudGVyMw=="),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
}

fn request(given: &str, now: i64) -> reqwest::Request {
    let planned = plan(&WebhookKind, given).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let (payloads, _) = made(&planned, &rows(&[(1, Some("high"))]));
    let context = &mut Vec::new();
    let schema = rows(&[]).schema();
    let mut plan = PlanContext {
        node: "page",
        inputs: &[],
        schema,
        open: false,
        match_all: false,
        working_directory: "/".into(),
        memory: 1 << 20,
        recorded: Vec::new(),
        tables_of: &|_| None,
        warnings: context,
    };
    let read = options(given);
    let Together(own, sending): Together<WebhookOptions, SendingOptions> = read.read().unwrap();
    let (_, destination) = own.plan(&sending, &read, &mut plan).unwrap();
    destination.open().unwrap().request(ID, &payloads[0].body, now).unwrap()
}

#[test]
fn signatures_are_those_that_receivers_compute() {
    let given = r#"{"url":"http://h/","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","hmac_secret":"hunter2"}"#;
    let request = request(given, 1_614_265_330);
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("webhook-timestamp"), "1614265330");
    assert_eq!(header("webhook-signature"), "v1,BXkGSnDlCMYdVIRPYEVZo1RS7Y0suy718rQ0kqfZS9o=");
    assert_eq!(
        header("x-hub-signature-256"),
        "sha256=8c1397c80e0004e731be02a96f73fc9737adecc275c42d491ddffd841f7ec23e"
    );
}

#[tokio::test]
async fn what_is_compressed_is_signed_as_it_is_sent_and_unpacks_to_the_body() {
    let request = request(r#"{"url":"http://h/","gzip":true,"hmac_secret":"hunter2","hmac_prefix":""}"#, 0);
    let sent = request.body().unwrap().as_bytes().unwrap();
    let mut body = String::new();
    flate2::read::GzDecoder::new(sent).read_to_string(&mut body).unwrap();
    assert_eq!(body, r#"{"n":1,"severity":"high"}"#);
    assert_eq!(request.headers()["content-encoding"], "gzip");
    let expected = crate::sources::http::Algorithm::Sha256.sign(b"hunter2", &[sent]);
    let given = crate::sources::http::Encoding::Hex.encode(&expected);
    assert_eq!(request.headers()["x-hub-signature-256"], given.as_str());
}

#[tokio::test]
async fn only_2xx_is_delivered_and_what_may_pass_is_tried_again() {
    let outcome = async |status: u16, headers: &'static [(&'static str, &'static str)]| {
        let receiver = Receiver::start(move |_| answer(status, headers, "no\n\u{7}luck  today")).await;
        deliver(&format!(r#"{{"url":"http://{}/"}}"#, receiver.address)).await
    };
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(outcome(status, &[]).await, Attempt::Done, "{status}");
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let Attempt::Again { after: None, .. } = outcome(status, &[]).await else { panic!("{status}") };
    }
    for status in [301, 302, 400, 401, 403, 404, 409, 410, 413, 422] {
        let Attempt::Refused { reason } = outcome(status, &[]).await else { panic!("{status}") };
        assert!(reason.contains(&status.to_string()) && reason.contains("no luck today"), "{reason}");
    }
    let Attempt::Again { after, .. } = outcome(429, &[("retry-after", "7")]).await else { panic!("429") };
    assert_eq!(after, Some(Duration::from_secs(7)));
    let Attempt::Again { after, .. } = outcome(503, &[("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT")]).await else {
        panic!("503")
    };
    assert!(after.unwrap() > Duration::from_secs(3600), "the engine bounds it");
}

#[tokio::test]
async fn redirects_are_followed_only_on_demand_with_the_same_request_and_to_the_same_server() {
    let elsewhere = Receiver::start(|_| answer(200, &[], "")).await;
    let away = format!("http://{}/", elsewhere.address);
    let receiver = Receiver::start(move |seen| match seen.line.as_str() {
        "POST /307" => answer(307, &[("location", "/there")], ""),
        "POST /302" => answer(302, &[("location", "/there")], ""),
        "POST /away" => answer(307, &[("location", &away)], ""),
        "POST /loop" => answer(308, &[("location", "/loop")], ""),
        _ => answer(200, &[], ""),
    })
    .await;
    let ask = async |path: &str, more: &str| {
        deliver(&format!(r#"{{"url":"http://{}{path}"{more}}}"#, receiver.address)).await
    };
    let refused = |attempt: Attempt| matches!(attempt, Attempt::Refused { .. });
    assert!(refused(ask("/307", "").await));
    assert_eq!(ask("/307", r#","redirects":true"#).await, Attempt::Done);
    let last = receiver.seen().pop().unwrap();
    assert_eq!((last.line.as_str(), last.body.as_slice()), ("POST /there", &br#"{"n":1,"severity":"high"}"#[..]));
    for path in ["/302", "/away", "/loop"] {
        assert!(refused(ask(path, r#","redirects":true"#).await), "{path}");
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = deliver(&format!(r#"{{"url":"http://{address}/","timeout":"200ms"}}"#)).await;
    assert_eq!(silent, Attempt::Again { reason: "no answer in time".to_owned(), after: None });
    drop(listener);
    let Attempt::Again { reason, .. } = deliver(&format!(r#"{{"url":"http://{address}/"}}"#)).await else { panic!() };
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn what_an_answer_repeats_of_a_secret_is_blacked_out_and_the_reason_is_short() {
    let receiver = Receiver::start(|_| answer(422, &[], &format!("key hunter2 is bad {}", "x".repeat(100_000)))).await;
    let given = format!(r#"{{"url":"http://{}/","token":"hunter2"}}"#, receiver.address);
    let Attempt::Refused { reason } = deliver(&given).await else { panic!() };
    assert!(reason.contains("key *** is bad") && !reason.contains("hunter2") && reason.len() < 700, "{reason}");
}

#[test]
fn bodies_are_rows_batches_events_or_what_a_template_makes() {
    let three = rows(&[(1, Some("high")), (2, None), (3, Some("high"))]);
    let of = |given: &str| bodies(&format!(r#"{{"url":"http://h/"{given}}}"#), &three);
    assert_eq!(of(""), [r#"{"n":1,"severity":"high"}"#, r#"{"n":2}"#, r#"{"n":3,"severity":"high"}"#]);
    assert_eq!(
        of(r#","batch":{"rows":2}"#),
        [r#"[{"n":1,"severity":"high"},{"n":2}]"#, r#"[{"n":3,"severity":"high"}]"#]
    );
    assert_eq!(of(r#","batch":{"bytes":"40"}"#).len(), 2, "a batch is bounded by bytes, too");
    assert_eq!(
        of(r#","batch":{},"key":"severity""#),
        [r#"[{"n":1,"severity":"high"},{"n":3,"severity":"high"}]"#, r#"[{"n":2}]"#],
        "rows of one key do not share a request with others"
    );
    let template = r#","template":"{ \"text\": {{ (severity or 'none') | tojson }},\n \"n\": {{ row.n }} }""#;
    assert_eq!(of(template)[..2], [r#"{"text":"high","n":1}"#, r#"{"text":"none","n":2}"#]);
    let list = r#","batch":{},"template":"[{% for row in rows %}{{ row.n }}{{ ',' if not loop.last }}{% endfor %}]""#;
    assert_eq!(of(list), ["[1,2,3]"]);
    let text = r#","content_type":"text/plain","template":"{{ n }} at {{ time }}""#;
    assert_eq!(of(text)[0], "1 at 1970-01-01T00:00:00Z");
    let basic: serde_json::Value = serde_json::from_str(&of(r#","body":"basic""#)[0]).unwrap();
    assert_eq!((&basic["event_type"], &basic["final"]), (&"job.completed".into(), &true.into()));
}

#[tokio::test]
async fn a_cloud_event_has_the_id_of_its_effect_and_a_row_may_say_where_it_goes() {
    let receiver = Receiver::start(|_| answer(200, &[], "")).await;
    let given = format!(
        r#"{{"url":"http://{}/{{{{ severity | urlencode }}}}/{{{{ n }}}}","body":"cloudevents","event_type":"a.b"}}"#,
        receiver.address
    );
    assert_eq!(deliver(&given).await, Attempt::Done);
    let seen = receiver.seen().remove(0);
    assert_eq!(
        (seen.line.as_str(), seen.header("content-type")),
        ("POST /high/1", Some("application/cloudevents+json"))
    );
    let event: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((&event["id"], &event["type"], &event["data"]["n"]), (&ID.into(), &"a.b".into(), &1.into()));
    assert_eq!(event["source"], "/tidegate/p/page");
}

#[test]
fn a_row_that_cannot_be_sent_is_rejected_and_others_are_not() {
    let planned =
        plan(&WebhookKind, r#"{"url":"http://h/","template":"{{ n }}{{ severity }}","max_body":"3"}"#).unwrap();
    let (payloads, rejected) = made(&planned, &rows(&[(1, Some("2")), (2, Some("x")), (33, Some("44"))]));
    assert_eq!(payloads.iter().map(|payload| payload.body.as_slice()).collect::<Vec<_>>(), [b"12"]);
    let found: Vec<(u64, &str)> = rejected.iter().map(|(row, why)| (*row, why.reason.as_str())).collect();
    assert!(found[0].0 == 1 && found[0].1.contains("does not give JSON"), "{found:?}");
    assert!(found[1].0 == 2 && found[1].1.contains("4 bytes"), "{found:?}");
    let planned = plan(&WebhookKind, r#"{"url":"http://h/","key":"1 / (n - 1)"}"#).unwrap();
    let (payloads, rejected) = made(&planned, &rows(&[(1, None), (2, None)]));
    assert_eq!((payloads.len(), rejected[0].0, payloads[0].key.as_deref()), (1, 0, Some("1")));
}

#[test]
fn what_is_wrong_with_options_is_found_before_anything_runs() {
    let wrong = |given: &str| {
        let found = plan(&WebhookKind, given).err().unwrap_or_else(|| panic!("{given} is wrong"));
        found.into_iter().map(|found| found.message).collect::<Vec<_>>().join("\n")
    };
    let cases = [
        (r#"{}"#, "says where to send to"),
        (r#"{"url":"ftp://h/"}"#, "http://"),
        (r#"{"url":"http://h/","secret_url":"http://h/"}"#, "only one of"),
        (r#"{"url":"http://h/{{ nn }}"}"#, "`nn`"),
        (r#"{"url":"http://h/{{ n }}","batch":{}}"#, "cannot depend on the row"),
        (r#"{"url":"http://h/","template":"{{ nn }}"}"#, "`nn`"),
        (r#"{"url":"http://h/","template":"{% if %}"}"#, "does not compile"),
        (r#"{"url":"http://h/","template":"{}","body":"basic"}"#, "only one of"),
        (r#"{"url":"http://h/","method":"BREW"}"#, "BREW"),
        (r#"{"url":"http://h/","headers":{"Host":"x"}}"#, "set by the sink"),
        (r#"{"url":"http://h/","headers":{"a b":"x"}}"#, "no name of a header"),
        (r#"{"url":"http://h/","headers":{"a":"x\n"}}"#, "no header can hold"),
        (r#"{"url":"http://h/","token":"a","username":"b"}"#, "only one of"),
        (r#"{"url":"http://h/","cookies":{"a=b":"c"}}"#, "no name of a cookie"),
        (r#"{"url":"http://h/","hmac_algo":"md5"}"#, "md5"),
        (r#"{"url":"http://h/","rate":"many"}"#, "no rate"),
        (r#"{"url":"http://h/","concurrency":257}"#, "256"),
        (r#"{"url":"http://h/","retry":{"attempts":0}}"#, "at least 1"),
        (r#"{"url":"http://h/","retry":{"initial":"10m"}}"#, "not longer than"),
        (r#"{"url":"http://h/","timeout":"0s"}"#, "more than 0s"),
        (r#"{"url":"http://h/","certfile":"a.pem"}"#, "together"),
        (r#"{"url":"http://h/","key":"nn"}"#, "nn"),
        (r#"{"url":"http://h/","max_body":"1GiB"}"#, "8MiB"),
        (r#"{"url":"http://h/","batch":{"rows":0}}"#, "between 1 and"),
        (r#"{"url":"http://h/","colour":"red"}"#, "colour"),
    ];
    for (given, expected) in cases {
        let found = wrong(given);
        assert!(found.contains(expected), "{given}: {found}");
    }
}

#[test]
fn a_name_that_an_open_input_may_bring_is_a_warning() {
    let given = r#"{"url":"http://h/","template":"{{ later | tojson }}"}"#;
    let (planned, warnings) = plan_over(&WebhookKind, given, &rows(&[]).schema(), true).unwrap();
    assert_eq!(warnings.len(), 1);
    let (payloads, _) = made(&planned, &rows(&[(1, None)]));
    assert_eq!(payloads[0].body, b"null");
}
