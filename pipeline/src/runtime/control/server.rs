//! Answering requests while a pipeline runs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Address, Answer, ControlAnswer, ControlRequest, LONGEST, NAME, Outcome, Request, VERSION, WITHIN};
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::runtime::effects::Ledger;
use crate::runtime::status::PipelineStatus;

/// How many requests are answered at a time; others wait.
const AT_ONCE: usize = 8;

/// What requests act on.
#[derive(Clone)]
pub(crate) struct Controlled {
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    pub(crate) status: Arc<PipelineStatus>,
}

impl Controlled {
    async fn answer(&self, request: ControlRequest) -> Result<ControlAnswer> {
        match request {
            ControlRequest::ChangeEffects { change, ids } => {
                let changed = self.ledger.change(&self.journal, change, &ids).await?;
                tracing::info!(?change, changed = changed.changed.len(), "Effects were changed by command.");
                Ok(ControlAnswer::EffectsChanged(changed))
            }
            ControlRequest::Circuits => Ok(ControlAnswer::Circuits(self.ledger.circuits())),
            ControlRequest::Refresh { node, request } => {
                self.status.refresh(node.as_deref(), &request).map(ControlAnswer::RefreshBegun)
            }
        }
    }
}

/// Answers requests until it is cancelled or dropped; then the socket is gone. A pipeline runs on without the
/// socket where it cannot be made.
pub(crate) async fn serve(directory: PathBuf, controlled: Controlled, cancel: CancellationToken) {
    let (listener, _socket) = match bind(&directory) {
        Ok(bound) => bound,
        Err(error) => {
            let path = directory.join(NAME);
            tracing::warn!(path = %path.display(), %error, "Commands cannot reach this pipeline while it runs.");
            return;
        }
    };
    let (slots, mut connections) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, _)) if !may_ask(&stream) => drop(stream),
            Ok((stream, slot)) => {
                let controlled = controlled.clone();
                connections.spawn(async move {
                    converse(stream, &controlled).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "A command could not connect.");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    Ok((listener.accept().await?.0, slot))
}

/// Whether it is the same user who asks, or root. The socket's mode says so too, but for a moment it has none.
fn may_ask(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

/// One request and its answer. Who goes away meanwhile is not told.
async fn converse(stream: UnixStream, controlled: &Controlled) {
    let (read, mut write) = stream.into_split();
    let answered = tokio::time::timeout(WITHIN, async {
        let mut line = Vec::new();
        BufReader::new(read.take(LONGEST)).read_until(b'\n', &mut line).await.map_err(Error::external)?;
        controlled.answer(request(&line)?).await
    });
    let outcome = match answered.await {
        Ok(Ok(answer)) => Outcome::Answer(answer),
        Ok(Err(error)) => Outcome::Error(error.into()),
        Err(_) => Outcome::Error(Error::external(format!("the request took longer than {WITHIN:?}")).into()),
    };
    let Ok(mut line) = serde_json::to_vec(&Answer { version: VERSION, outcome }) else { return };
    line.push(b'\n');
    let _ = tokio::time::timeout(WITHIN, write.write_all(&line)).await;
}

fn request(line: &[u8]) -> Result<ControlRequest> {
    let other_program = "use the program that runs the pipeline, or stop the pipeline first";
    if line.last() != Some(&b'\n') {
        return Err(Error::user(format!("a request is one line of at most {LONGEST} bytes")));
    }
    let request: Request<serde_json::Value> =
        serde_json::from_slice(line).map_err(|error| Error::user(format!("this is no request: {error}")))?;
    if request.version != VERSION {
        let message = format!("the request has version {}, the pipeline that runs knows {VERSION}", request.version);
        return Err(Error::user(message).with_remedy(other_program));
    }
    serde_json::from_value(request.request).map_err(|error| {
        let message = format!("the pipeline that runs does not know this request: {error}");
        Error::user(message).with_remedy(other_program)
    })
}

/// The socket's name, until this is dropped.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "The control socket could not be removed.");
        }
    }
}

/// Makes the socket under another name, closes it to other users, then gives it its own name: so one that a
/// killed owner has left is replaced.
fn bind(directory: &Path) -> io::Result<(UnixListener, Socket)> {
    let new = directory.join(format!("{NAME}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let address = Address::of(directory, &format!("{NAME}.new"))?;
    let listener = UnixListener::bind(&address.path)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    let path = directory.join(NAME);
    fs::rename(&new, &path)?;
    Ok((listener, Socket(path)))
}
