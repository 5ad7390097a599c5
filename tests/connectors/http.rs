//! A raw HTTP client, which sees what a program that is killed has answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::program::PATIENCE;

/// Sends a POST and does not wait for its answer.
pub(crate) fn send(port: u16, path: &str, headers: &str, body: &str) -> std::io::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    Ok(stream)
}

/// The status of an answer and its body; `None` where the connection ended before.
pub(crate) fn receive(mut stream: TcpStream) -> Option<(u16, String)> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Sends a POST; its answer, if there was one.
pub(crate) fn post(port: u16, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    receive(send(port, path, headers, body).ok()?)
}

/// Asks for a page.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    receive(stream)
}
