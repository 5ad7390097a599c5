//! A listening source at work, and raw clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tidegate_pipeline::source::{SourceContext, SourceKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::sources::testing::{context, options, plan, text};

/// Longer than anything in a test takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a sequencer would keep of a source.
#[derive(Default)]
struct Kept {
    events: Vec<Value>,
    rejected: Vec<String>,
    context: Option<SourceContext>,
}

/// A source whose arrivals are durable at once.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    task: Option<JoinHandle<()>>,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Served {
    /// Opens a source on loopback with these options (without host and port).
    pub(crate) async fn start(kind: &dyn SourceKind, more: &Value) -> Self {
        Self::start_at(kind, more, context()).await
    }

    /// The same, where another one stopped.
    pub(crate) async fn start_at(kind: &dyn SourceKind, more: &Value, context: SourceContext) -> Self {
        let port = free_port();
        let mut all = more.clone();
        all["host"] = "127.0.0.1".into();
        all["port"] = port.into();
        let planned = plan(kind, &options(&all.to_string())).unwrap();
        let mut source = planned.open.open(context.clone()).await.unwrap();
        let kept = Arc::new(Mutex::new(Kept { context: Some(context), ..Kept::default() }));
        let keeping = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            while let Ok(Some(arrival)) = source.next().await {
                let mut kept = keeping.lock();
                kept.events.extend(
                    text(std::slice::from_ref(&arrival)).lines().map(|line| serde_json::from_str(line).unwrap()),
                );
                kept.rejected.extend(arrival.rejected.iter().map(|rejected| rejected.reason.clone()));
                let context = kept.context.as_mut().unwrap();
                context.position = Some(arrival.position);
                context.schemas.extend(arrival.new_schema.map(|schema| (arrival.schema_version, schema)));
                for reply in arrival.replies {
                    let _ = reply.send(());
                }
            }
        });
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), kept, task: Some(task) }
    }

    /// The events that are durable.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.kept.lock().events.clone()
    }

    /// Why input was rejected.
    pub(crate) fn rejected(&self) -> Vec<String> {
        self.kept.lock().rejected.clone()
    }

    /// Stops it; what the next one is opened with.
    pub(crate) async fn stop(mut self) -> SourceContext {
        let task = self.task.take().unwrap();
        task.abort();
        let _ = task.await;
        let context = self.kept.lock().context.take().unwrap();
        SourceContext { cancel: tokio_util::sync::CancellationToken::new(), ..context }
    }

    /// Posts a body with these further lines of headers.
    pub(crate) async fn post(&self, path: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
        exchange(connect(self.address).await, &request(path, headers, body.as_ref())).await
    }

    /// Sends these bytes and reads what comes back.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        exchange(connect(self.address).await, bytes).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// What a client was answered; status 0 where the connection ended without a word.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// In lower case.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and the text of the error.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap().to_owned())
    }
}

/// A connection.
pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// The bytes of a POST after which the connection ends.
pub(crate) fn request(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    [head.as_bytes(), b"\r\n", body].concat()
}

/// Sends bytes and reads until the connection ends.
pub(crate) async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Answer {
    // A server that has heard enough may not read the rest.
    let _ = stream.write_all(bytes).await;
    answer(stream).await
}

/// Reads until the connection ends.
pub(crate) async fn answer(mut stream: impl AsyncRead + Unpin) -> Answer {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let (line, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.splitn(3, ' ').skip(1);
    Answer {
        status: words.next().and_then(|word| word.parse().ok()).unwrap_or(0),
        reason: words.next().unwrap_or_default().to_owned(),
        headers: headers.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
