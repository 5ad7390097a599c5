//! What stands in for AWS: a process that answers on loopback until its stdin is closed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Outcome, REGION, canned, runtime};

/// The account of the credentials.
pub(crate) const ACCOUNT: &str = "123456789012";
/// How long a request for messages waits.
const WAIT: Duration = Duration::from_millis(900);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(2);

/// A server that is stopped when this is dropped.
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`
    pub(crate) address: String,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Starts one that has so many instances in each account.
    pub(crate) fn start(instances: u64) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["contender", "serve", &instances.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().ok_or("no stdout")?);
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        Ok(Self { address: address.trim().to_owned(), child, stdin })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

struct Canned {
    instances: u64,
    changed: Mutex<Vec<u64>>,
    /// Messages that nobody has taken.
    messages: Mutex<Vec<String>>,
}

/// Answers until stdin is closed.
pub(crate) fn serve(instances: &str) -> Outcome<()> {
    let canned =
        Arc::new(Canned { instances: instances.parse()?, changed: Mutex::default(), messages: Mutex::default() });
    let runtime = runtime()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(respond).with_state(canned);
        let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            ended = axum::serve(listener, router) => Ok(ended?),
            _ = closed => Ok(()),
        }
    })
}

async fn respond(State(canned): State<Arc<Canned>>, uri: Uri, headers: HeaderMap, body: Bytes) -> String {
    if let Some(number) = uri.path().strip_prefix("/change/").and_then(|number| number.parse().ok()) {
        canned.change(number);
        return String::new();
    }
    if let Some(operation) = headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return canned.queue(operation, &body).await.to_string();
    }
    let body = String::from_utf8_lossy(&body);
    let value = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match value("Action") {
        Some("GetCallerIdentity") => format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/bench</Arn><UserId>U</UserId>\
             <Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        ),
        Some("AssumeRole") => "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIAEXAMPLE</AccessKeyId>\
             <SecretAccessKey>none</SecretAccessKey><SessionToken>none</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>"
            .to_owned(),
        Some("DescribeRegions") => format!(
            "<DescribeRegionsResponse><regionInfo><item><regionName>{REGION}</regionName></item></regionInfo></DescribeRegionsResponse>"
        ),
        _ => canned.instances(&body, value("NextToken")),
    }
}

impl Canned {
    fn instances(&self, body: &str, token: Option<&str>) -> String {
        let changed = self.changed.lock().clone();
        let named = body.split('&').filter(|pair| pair.starts_with("Filter.1.Value."));
        let named: Vec<u64> = named.filter_map(|pair| canned::number(pair.split_once('=')?.1)).collect();
        if !named.is_empty() {
            return canned::answer(named.into_iter(), &changed, None);
        }
        let from = token.and_then(|token| token.parse().ok()).unwrap_or(0);
        let until = (from + canned::PAGE).min(self.instances);
        canned::answer(from..until, &changed, (until < self.instances).then_some(until))
    }

    /// An instance becomes another type, and a message says so.
    fn change(&self, number: u64) {
        self.changed.lock().push(number);
        let message = json!({
            "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2", "account": ACCOUNT,
            "region": REGION, "detail": {"instance-id": canned::id(number), "state": "running"},
        });
        self.messages.lock().push(message.to_string());
    }

    async fn queue(&self, operation: &str, body: &[u8]) -> Value {
        if operation.ends_with("DeleteMessageBatch") {
            let asked: Value = serde_json::from_slice(body).unwrap_or_default();
            let done: Vec<Value> =
                asked["Entries"].as_array().into_iter().flatten().map(|entry| json!({"Id": entry["Id"]})).collect();
            return json!({"Successful": done, "Failed": []});
        }
        let begun = Instant::now();
        while self.messages.lock().is_empty() && begun.elapsed() < WAIT {
            tokio::time::sleep(LOOK).await;
        }
        let messages = std::mem::take(&mut *self.messages.lock());
        let message = |text: String| json!({"MessageId": text, "ReceiptHandle": text, "Body": text});
        json!({"Messages": messages.into_iter().map(message).collect::<Vec<_>>()})
    }
}
