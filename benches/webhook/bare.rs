//! The least that keeps the promise: a handler that hands the body to one thread, which writes what waits, synchronises
//! the file once, and lets all of them answer.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::{mpsc, oneshot};

use super::{Outcome, clients};

/// How many bodies may wait.
const QUEUE: usize = 1024;

type Waiting = (Bytes, oneshot::Sender<()>);

/// Answered per second.
pub(crate) async fn measure(file: &Path, each: Duration) -> Outcome<f64> {
    let (sender, waiting) = mpsc::channel::<Waiting>(QUEUE);
    let file = File::create(file)?;
    let writer = std::thread::spawn(move || commit(file, waiting));
    let handler = move |body: Bytes| {
        let sender = sender.clone();
        async move {
            let (reply, durable) = oneshot::channel();
            match (sender.send((body, reply)).await, durable.await) {
                (Ok(()), Ok(())) => StatusCode::ACCEPTED,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(axum::serve(listener, Router::new().route("/events", post(handler))).into_future());
    let rate = clients::call(address, false, each).await;
    server.abort();
    let _ = server.await;
    // The connections' tasks end with their clients, and with them the last sender.
    tokio::task::spawn_blocking(move || writer.join()).await?.map_err(|_| "the writer has failed")??;
    rate
}

fn commit(mut file: File, mut waiting: mpsc::Receiver<Waiting>) -> std::io::Result<()> {
    let mut replies = Vec::new();
    let mut bytes = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        while let Some((body, reply)) = next {
            bytes.extend_from_slice(&body);
            bytes.push(b'\n');
            replies.push(reply);
            next = waiting.try_recv().ok();
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        bytes.clear();
        for reply in replies.drain(..) {
            let _ = reply.send(());
        }
    }
    Ok(())
}
