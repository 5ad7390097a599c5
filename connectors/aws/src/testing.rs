//! What stands in for AWS in the tests of this crate: a server on loopback that gives the answers a test has written,
//! and what a collector makes of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use parking_lot::Mutex;
use serde_json::Value;
use tidegate_pipeline::provider::{Extent, PageRoom, Pages, ScopeGroup};
use tidegate_pipeline::spec::{Options, Together};
use tokio_util::task::AbortOnDropHandle;

use crate::connection::ConnectionOptions;
use crate::estate::{AwsOptions, Estate};
use crate::provider::{Call, Collector, Filters, Unread};

/// A request as AWS would see it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The path, for services that name what they are asked for in it.
    pub(crate) path: String,
    /// What the request says in its query and, for a form, in its body; `Action` among them.
    pub(crate) values: BTreeMap<String, String>,
    /// `x-amz-target`, for services that speak JSON.
    pub(crate) operation: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// The value of that name, or nothing.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }
}

/// How many objects of a bucket are listed.
pub(crate) const OBJECTS: usize = 3;

/// What is answered: a status and a body.
pub(crate) type Answer = (u16, String);

/// A server that answers what `answer` says, as long as it lives. It also answers who the caller is: account
/// 123456789012 of the partition `aws`.
pub(crate) struct StandIn {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: AbortOnDropHandle<()>,
}

const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::123456789012:user/test</Arn><UserId>U</UserId><Account>123456789012</Account>\
    </GetCallerIdentityResult></GetCallerIdentityResponse>";

impl StandIn {
    pub(crate) async fn new(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let asked = read(&parts.uri, &parts.headers, body);
                let (status, text) = match asked.value("Action") {
                    "GetCallerIdentity" => (200, IDENTITY.to_owned()),
                    _ => answer(&asked),
                };
                seen.lock().push(asked);
                (StatusCode::from_u16(status).unwrap(), text).into_response()
            }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, _server: AbortOnDropHandle::new(server) }
    }

    /// What has been asked so far, but for the caller's identity.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().iter().filter(|asked| asked.value("Action") != "GetCallerIdentity").cloned().collect()
    }

    /// What a collector gives for `extent` in the region eu-west-1 (or `global`), by table: each row as JSON.
    pub(crate) async fn collect(
        &self,
        collector: &dyn Collector,
        region: &str,
        extent: Extent,
    ) -> (BTreeMap<String, Vec<Value>>, Result<(), Unread>) {
        self.collect_with(collector, region, extent, &[]).await
    }

    /// As [`StandIn::collect`], with columns that cost more than a listing.
    pub(crate) async fn collect_with(
        &self,
        collector: &dyn Collector,
        region: &str,
        extent: Extent,
        hydrate: &[&str],
    ) -> (BTreeMap<String, Vec<Value>>, Result<(), Unread>) {
        let session = self.estate().own().await.unwrap().session(&region.into());
        let wanted: Vec<Arc<str>> = collector.tables().iter().map(|table| table.name().into()).collect();
        let group = ScopeGroup::new("123456789012", region, wanted.clone());
        let (pages, mut given) = Pages::channel(group, PageRoom::new(8));
        let filters = Filters::new();
        let hydrate: Vec<String> = hydrate.iter().map(|name| (*name).to_owned()).collect();
        let (wanted, hydrate) = (&wanted, &hydrate);
        let call =
            Call { session: &session, extent: &extent, filters: &filters, wanted, hydrate, objects: OBJECTS, pages };
        let collecting = async {
            // The call is dropped here, and with it the end that pages are sent by.
            let call = call;
            collector.collect(&call).await
        };
        let taking = async {
            let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            while let Some(page) = given.recv().await {
                rows.entry(page.table.to_string()).or_default().extend(json_rows(&page.rows));
            }
            rows
        };
        let (outcome, rows) = tokio::join!(collecting, taking);
        (rows, outcome)
    }

    /// The estate that it is.
    pub(crate) fn estate(&self) -> Estate {
        estate_at(self.address)
    }
}

/// An estate whose services are all at an address.
pub(crate) fn estate_at(address: SocketAddr) -> Estate {
    let options = format!(
        "access_key: AKIAIOSFODNN7EXAMPLE\nsecret_key: of no account\nendpoint_url: http://{address}\nregions: [eu-west-1]"
    );
    let options = Options::parse(&options).unwrap();
    let Together(aws, reach): Together<AwsOptions, ConnectionOptions> = options.read().unwrap();
    let connection = reach.connection(Some("eu-west-1".to_owned()), &options, Path::new(""));
    Estate::new(aws, connection)
}

fn read(uri: &Uri, headers: &HeaderMap, body: Bytes) -> Asked {
    let form = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let pairs = [uri.query().unwrap_or_default().as_bytes(), if form { &body } else { b"" }];
    for text in pairs {
        values.extend(url::form_urlencoded::parse(text).into_owned());
    }
    let operation = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).map(str::to_owned);
    Asked { path: uri.path().to_owned(), values, operation, body: body.to_vec() }
}

/// The rows of a batch as JSON, without the time of collecting.
pub(crate) fn json_rows(batch: &RecordBatch) -> Vec<Value> {
    let mut text = Vec::new();
    LineDelimitedWriter::new(&mut text).write(batch).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let rows = lines.map(|line| {
        let mut row: Value = serde_json::from_slice(line).unwrap();
        row.as_object_mut().unwrap().remove("_collected_at");
        row
    });
    rows.collect()
}
