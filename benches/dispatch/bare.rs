//! The bare client: as many requests at once, nothing durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::receiver::Receiver;
use super::{CONNECTIONS, Outcome};

/// Requests per second.
pub(crate) async fn measure(receiver: &Receiver, requests: usize) -> Outcome<f64> {
    let client = reqwest::Client::builder().pool_max_idle_per_host(CONNECTIONS).build()?;
    let (url, next) = (format!("http://{}/", receiver.address), Arc::new(AtomicUsize::new(0)));
    receiver.take();
    let posting = (0..CONNECTIONS).map(|_| {
        let (client, url, next) = (client.clone(), url.clone(), Arc::clone(&next));
        tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= requests {
                    return Ok::<_, reqwest::Error>(());
                }
                let request = client.post(&url).header("content-type", "application/json");
                let request = request.header("idempotency-key", format!("bare/0/1/page/0/{index}/0"));
                request.body(format!("{{\"i\":{index}}}")).send().await?.error_for_status()?;
            }
        })
    });
    for posted in posting.collect::<Vec<_>>() {
        posted.await??;
    }
    let (count, took) = receiver.take();
    Ok(count as f64 / took.as_secs_f64())
}
