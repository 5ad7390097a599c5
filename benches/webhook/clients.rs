//! Clients that post events over connections that they keep, each waiting for its answer before it posts the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Outcome;

pub(crate) const CONNECTIONS: usize = 64;

/// How many posts were answered with success per second.
pub(crate) async fn call(address: SocketAddr, with_ids: bool, each: Duration) -> Outcome<f64> {
    // The first request pays for what is only done once.
    let mut first = TcpStream::connect(address).await?;
    post(&mut first, 0, 0, with_ids, &mut Vec::new()).await?;
    drop(first);
    let (answered, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for client in 1..=CONNECTIONS {
        let answered = Arc::clone(&answered);
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (mut buffer, mut number) = (Vec::new(), 0);
            while started.elapsed() < each {
                post(&mut stream, client, number, with_ids, &mut buffer).await?;
                number += 1;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

async fn post(stream: &mut TcpStream, client: usize, number: u64, with_ids: bool, buffer: &mut Vec<u8>) -> Outcome<()> {
    let body = format!(
        "{{\"n\":{number},\"client\":{client},\"resource_id\":\"i-0123456789abcdef\",\"severity\":\"critical\",\
         \"message\":\"resource changed state during the refresh of its region\"}}"
    );
    let id = if with_ids { format!("idempotency-key: {client}-{number}\r\n") } else { String::new() };
    let request = format!(
        "POST /events HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{id}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the connection ended before its answer".into());
        }
        if is_whole(buffer)? {
            return Ok(());
        }
    }
}

/// Whether an answer has come to its end; an error for one without success.
fn is_whole(answer: &[u8]) -> Outcome<bool> {
    let text = std::str::from_utf8(answer)?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(false) };
    if !head.starts_with("HTTP/1.1 20") {
        return Err(head.to_owned().into());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    Ok(body.len() >= length.parse()?)
}
