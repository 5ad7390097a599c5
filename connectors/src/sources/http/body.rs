//! Bodies of requests, read within bounds.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::refusal::Refusal;
use super::settings::Limits;

/// The bodies of all requests together take at most this, or a single one of the longest kind.
const ALL_BODIES: usize = 64 * 1024 * 1024;
/// What is reserved for a body of unknown length before more of it has come.
const UNKNOWN: usize = 16 * 1024;
/// How long the rest of a body that is too long is read and forgotten, so that its sender hears why.
const FORGETTING: Duration = Duration::from_secs(2);

/// Reads bodies.
pub(super) struct Bodies {
    longest: usize,
    time: Duration,
    /// The bytes that may be held by bodies, until their events are decoded.
    room: Arc<Semaphore>,
}

/// A body, and the room that it takes.
pub(super) struct Taken {
    pub(super) bytes: Bytes,
    pub(super) room: OwnedSemaphorePermit,
}

impl Bodies {
    pub(super) fn new(limits: &Limits) -> Self {
        let longest = limits.body.bytes();
        Self { longest, time: limits.read, room: Arc::new(Semaphore::new(longest.max(ALL_BODIES))) }
    }

    /// Reads a body to its end.
    pub(super) async fn read(&self, mut body: Incoming) -> Result<Taken, Refusal> {
        let declared = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if declared.is_some_and(|length| length > self.longest) {
            return Err(self.too_long(&mut body).await);
        }
        let room = self.reserve(declared.unwrap_or(UNKNOWN).clamp(1, self.longest))?;
        match timeout(self.time, self.collect(&mut body, room)).await {
            Ok(taken) => taken,
            Err(_) => {
                let reason = format!("The body did not come within {} s", self.time.as_secs_f64());
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, reason).closing())
            }
        }
    }

    async fn collect(&self, body: &mut Incoming, mut room: OwnedSemaphorePermit) -> Result<Taken, Refusal> {
        let (mut first, mut all) = (Bytes::new(), BytesMut::new());
        while let Some(frame) = next_frame(body).await {
            let broken = |_| Refusal::new(StatusCode::BAD_REQUEST, "The body is cut off or malformed").closing();
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            let length = first.len() + all.len() + data.len();
            if length > self.longest {
                return Err(self.too_long(body).await);
            }
            if let Some(missing) = length.checked_sub(room.num_permits()).filter(|missing| *missing > 0) {
                let ahead = (length * 2).min(self.longest) - room.num_permits();
                room.merge(self.reserve(ahead.max(missing))?);
            }
            // Most bodies come in one piece, which needs no copy.
            if first.is_empty() && all.is_empty() {
                first = data;
            } else {
                all.extend_from_slice(&std::mem::take(&mut first));
                all.extend_from_slice(&data);
            }
        }
        Ok(Taken { bytes: if all.is_empty() { first } else { all.freeze() }, room })
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let busy = |_| Refusal::later("Too many bodies at a time: come again later").closing();
        Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(busy)
    }

    async fn too_long(&self, body: &mut Incoming) -> Refusal {
        // A sender that is still writing does not read the answer, and a reset would throw it away.
        let _ = timeout(FORGETTING, async { while let Some(Ok(_)) = next_frame(body).await {} }).await;
        let reason = format!("The body is longer than {} bytes (`max_body`)", self.longest);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason).closing()
    }
}

async fn next_frame(body: &mut Incoming) -> Option<hyper::Result<hyper::body::Frame<Bytes>>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}
