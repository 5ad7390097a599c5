//! The task that asks the queue for messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::Message;
use tidegate_pipeline::error::Result;
use tokio::sync::mpsc;

use super::custody::Receipt;
use super::keeper::Shared;
use super::queue::Queue;

/// The most messages in custody; no more are received before some are deleted.
const MOST_HELD: usize = 5_000;
/// The pause where the queue gives no more before others are deleted, or never waits for messages.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages of one request, and whether an earlier life has given them to the journal.
pub(crate) type Received = Result<Vec<(Message, bool)>>;

/// Receives until it is dropped or the queue cannot be read.
pub(super) async fn receive(queue: Queue, shared: Arc<Shared>, messages: mpsc::Sender<Received>) {
    loop {
        while shared.custody.lock().len() >= MOST_HELD {
            shared.room.notified().await;
        }
        let received = match queue.receive().await {
            Ok(Some(received)) if !received.is_empty() => received,
            Ok(Some(_)) if !queue.never_waits() => continue,
            Ok(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => {
                let _ = messages.send(Err(error)).await;
                return;
            }
        };
        let taken = take(&shared, received);
        if !taken.is_empty() && messages.send(Ok(taken)).await.is_err() {
            return;
        }
    }
}

/// Takes messages into custody; those that are not there yet.
fn take(shared: &Shared, received: Vec<Message>) -> Vec<(Message, bool)> {
    let mut custody = shared.custody.lock();
    let mut taken = Vec::with_capacity(received.len());
    for message in received {
        let (Some(id), Some(receipt)) = (message.message_id(), message.receipt_handle()) else { continue };
        match custody.take(id, receipt, Instant::now()) {
            Receipt::New => taken.push((message, false)),
            Receipt::Repeated => taken.push((message, true)),
            Receipt::Held => {}
        }
    }
    if custody.has_leaving() {
        shared.work.notify_one();
    }
    taken
}
