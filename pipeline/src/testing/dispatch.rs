//! A dispatching sink for tests: each row is an effect, delivered to a place in memory or posted to a server.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Result;
use crate::operator::PlanContext;
use crate::sink::{Attempt, DispatchingSink, EffectPayload, OpenSink, PlannedSink, Sink, SinkContext, SinkKind};
use crate::spec::Options;
use crate::spec::diagnostic::Diagnostic;
use crate::step::StepHeader;

/// The kind's name. Only catalogues that hold the kind offer it.
pub const DISPATCH: &str = "dispatch";

/// Where effects are delivered to.
#[derive(Clone)]
pub enum Destination {
    /// Kept in memory: id and body of every attempt, and how each attempt goes.
    Memory(Arc<Mutex<Vec<(String, String)>>>, Arc<dyn Fn(&str) -> Attempt + Send + Sync>),
    /// Posted to `http://ADDRESS/`, the id as `Idempotency-Key`. Only a 2xx is delivered; 408, 429 and 5xx are tried
    /// again, after what `Retry-After` says, other answers are refusals.
    Http(String),
}

/// The kind, tied to its destination.
pub struct DispatchKind(pub Destination);

impl SinkKind for DispatchKind {
    fn name(&self) -> &'static str {
        DISPATCH
    }

    fn summary(&self) -> &'static str {
        "Delivers each row as an effect, in a test."
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(DispatchOptions)
    }

    fn dispatches(&self) -> bool {
        true
    }

    fn plan(&self, options: &Options, _context: &mut PlanContext<'_>) -> Result<PlannedSink, Vec<Diagnostic>> {
        let DispatchOptions { key } = options.read()?;
        Ok(PlannedSink { open: Box::new(Open(self.0.clone(), key)) })
    }
}

/// The options of the kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DispatchOptions {
    /// The column whose values are the keys of effects: those of one key go in order.
    #[serde(default)]
    key: Option<String>,
}

struct Open(Destination, Option<String>);

#[async_trait]
impl OpenSink for Open {
    async fn open(&self, _context: SinkContext) -> Result<Sink> {
        Ok(Sink::Dispatching(Arc::new(Dispatching(self.0.clone(), self.1.clone()))))
    }
}

struct Dispatching(Destination, Option<String>);

#[async_trait]
impl DispatchingSink for Dispatching {
    fn effects(&self, _step: &StepHeader, rows: &RecordBatch) -> Result<Vec<EffectPayload>> {
        let mut lines = Vec::new();
        let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
        writer.write(rows)?;
        writer.finish()?;
        let key = |line: &[u8]| {
            let row: serde_json::Value = serde_json::from_slice(line).ok()?;
            row.get(self.1.as_ref()?).map(ToString::to_string)
        };
        let payload = |line: &[u8]| EffectPayload { key: key(line), body: line.to_vec() };
        Ok(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(payload).collect())
    }

    async fn deliver(&self, id: &str, payload: &EffectPayload) -> Attempt {
        let body = String::from_utf8_lossy(&payload.body).into_owned();
        match &self.0 {
            Destination::Memory(attempts, answer) => {
                attempts.lock().push((id.to_owned(), body.clone()));
                answer(&body)
            }
            Destination::Http(address) => match post(address, id, &body).await {
                Ok(answer) => attempt(&answer),
                Err(error) => Attempt::Again { reason: error.to_string(), after: None },
            },
        }
    }
}

/// What an answer means.
fn attempt(answer: &str) -> Attempt {
    let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let after = answer.lines().find_map(|line| line.strip_prefix("Retry-After: "));
    let after = after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    match status {
        200..300 => Attempt::Done,
        0 => Attempt::Again { reason: "the server did not answer".to_owned(), after: None },
        408 | 429 | 500.. => Attempt::Again { reason: format!("the server answered {status}"), after },
        _ => Attempt::Refused { reason: format!("the server answered {status}") },
    }
}

/// Posts a body and gives back the answer.
async fn post(address: &str, id: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nIdempotency-Key: {id}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
