//! Connections: accepted, shaken hands with, served, each for itself and each within bounds.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tidegate_pipeline::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::reception::Reception;
use super::settings::{Limits, ListenSettings};

/// The most headers of a request, and the bytes of its head.
const MOST_HEADERS: usize = 100;
const LONGEST_HEAD: usize = 64 * 1024;
/// How long a request that is being answered may take when the source stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long callers may take to read their answers when everything is answered.
const ANSWERING: Duration = Duration::from_secs(1);
/// A connection is used for so long, then ended between two requests: also one whose client reads no answers.
const OLDEST: Duration = Duration::from_secs(600);
/// How long a port that is still in use is waited for: an earlier life of the source may be leaving it.
const LEAVING: Duration = Duration::from_secs(1);

/// An open listener. It stops when this is dropped; what is being answered then still is.
pub(super) struct Listener {
    stop: DropGuard,
    slots: Arc<Semaphore>,
    connections: usize,
}

struct Shared {
    reception: Reception,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Listener {
    /// Listens on every address of the host.
    ///
    /// # Errors
    /// When that is not possible; the message of a port that is taken contains `address already in use`.
    pub(super) async fn open(
        settings: &ListenSettings,
        tls: Option<TlsAcceptor>,
        reception: Reception,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let listeners = bind(&settings.host, settings.port).await?;
        let addresses: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        tracing::info!(?addresses, tls = tls.is_some(), "Listening for HTTP.");
        let stop = cancel.child_token();
        let connections = settings.limits.connections;
        let slots = Arc::new(Semaphore::new(connections));
        let shared = Shared { reception, tls, limits: settings.limits, slots: Arc::clone(&slots), stop: stop.clone() };
        let shared = Arc::new(shared);
        for listener in listeners {
            tokio::spawn(accept(listener, Arc::clone(&shared)));
        }
        Ok(Self { stop: stop.drop_guard(), slots, connections })
    }

    /// Stops, and lets those who have their answer read it. Who has not even sent a whole request is not waited for.
    pub(super) async fn close(self) {
        self.stop.disarm().cancel();
        // Each connection holds a slot until it has ended.
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        if timeout(ANSWERING, self.slots.acquire_many(all)).await.is_err() {
            tracing::debug!("Some connections had not ended when the listener did.");
        }
    }
}

/// Listens on every address of a host.
///
/// # Errors
/// When that is not possible.
pub(super) async fn bind(host: &str, port: u16) -> Result<Vec<TcpListener>> {
    let unknown = |error| {
        Error::user(format!("the host `{host}` cannot be listened on: {error}"))
            .with_remedy("`host` is a name or an address of this machine, 0.0.0.0 for all of them")
    };
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(unknown)?.collect();
    let (mut listeners, mut failure) = (Vec::new(), None);
    for address in addresses {
        match bind_to(address).await {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 still has names with IPv6 addresses.
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => failure = Some((address, error)),
            Err(error) => return Err(not_bound(address, &error)),
        }
    }
    match (listeners.is_empty(), failure) {
        (true, Some((address, error))) => Err(not_bound(address, &error)),
        (true, None) => Err(Error::user(format!("the host `{host}` has no address"))),
        (false, _) => Ok(listeners),
    }
}

async fn bind_to(address: SocketAddr) -> std::io::Result<TcpListener> {
    let patience = Instant::now() + LEAVING;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < patience => {
                sleep(Duration::from_millis(50)).await;
            }
            bound => return bound,
        }
    }
}

fn not_bound(address: SocketAddr, error: &std::io::Error) -> Error {
    let (what, remedy) = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ("address already in use".to_owned(), "choose another `port`, or stop the program that listens there")
        }
        std::io::ErrorKind::PermissionDenied => {
            (error.to_string(), "ports below 1024 need a permission: choose another `port`")
        }
        _ => (error.to_string(), "`host` is a name or an address of this machine, 0.0.0.0 for all of them"),
    };
    Error::external(format!("{address} cannot be listened on: {what}")).never_retry().with_remedy(remedy)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let stop = shared.stop.clone();
    stop.run_until_cancelled_owned(async move {
        // Connections beyond the bound wait in the system's queue; each that is served ends within its time.
        while let Ok(slot) = Arc::clone(&shared.slots).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&shared), slot))),
                Err(error) => {
                    tracing::warn!(%error, "A connection could not be accepted.");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    })
    .await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>, _slot: OwnedSemaphorePermit) {
    // Without it the end of an answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = shared.tls.clone() else { return speak(stream, shared).await };
    let handshake = timeout(shared.limits.read, acceptor.accept(stream));
    match shared.stop.run_until_cancelled(handshake).await {
        Some(Ok(Ok(stream))) => speak(stream, Arc::clone(&shared)).await,
        Some(Ok(Err(error))) => tracing::debug!(%error, "A TLS handshake failed."),
        Some(Err(_)) => tracing::debug!("A TLS handshake was not finished in time."),
        None => {}
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: Arc<Shared>) {
    let for_requests = Arc::clone(&shared);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&for_requests);
        async move { Ok::<_, Infallible>(shared.reception.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.read)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shared.stop.cancelled() => finish(connection.as_mut()).await,
        () = sleep(OLDEST) => finish(connection.as_mut()).await,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended early.");
    }
}

/// Ends a connection behind the request that is being answered.
async fn finish<I, S>(mut connection: std::pin::Pin<&mut http1::Connection<I, S>>) -> hyper::Result<()>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = axum::body::Body, Error = Infallible>,
{
    connection.as_mut().graceful_shutdown();
    timeout(GRACE, connection).await.unwrap_or(Ok(()))
}
