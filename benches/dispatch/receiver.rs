//! A server that accepts everything, in a thread of its own, and knows when the first and the last request came.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use parking_lot::Mutex;

use super::Outcome;

#[derive(Default)]
struct Seen {
    count: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// See the module.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    /// Serves until the process ends.
    pub(crate) fn start() -> Outcome<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = Arc::clone(&seen);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            let took = move || {
                let mut seen = shared.lock();
                let now = Instant::now();
                seen.count += 1;
                seen.first.get_or_insert(now);
                seen.last = Some(now);
                async { StatusCode::NO_CONTENT }
            };
            let served = async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, Router::new().fallback(took)).await
            };
            if let Err(error) = runtime.block_on(served) {
                eprintln!("the receiver has ended: {error}");
            }
        });
        Ok(Self { address, seen })
    }

    /// How many came since the last look, and how long that took from the first to the last.
    pub(crate) fn take(&self) -> (usize, Duration) {
        let Seen { count, first, last } = std::mem::take(&mut *self.seen.lock());
        let took = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
        (count, took)
    }
}
