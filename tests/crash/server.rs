//! A local server that takes effects and counts: what was posted under which id, and what it has accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a server answers a body that it is sent for the `attempt`th time (counted from 1).
pub(crate) type Behaviour = fn(body: &str, attempt: usize) -> Reply;

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// With this line of status, and headers.
    Status(&'static str),
    /// The connection ends without an answer.
    Silence,
}

/// Accepts everything at once.
pub(crate) const ACCEPT: Reply = Reply::Status("200 OK\r\n");

/// Is now and then too busy, or goes away without a word.
pub(crate) fn moody(body: &str, attempt: usize) -> Reply {
    match (body.len() + body.bytes().map(usize::from).sum::<usize>() + attempt) % 23 {
        0 | 7 => Reply::Status("503 Service Unavailable\r\nRetry-After: 0\r\n"),
        13 => Reply::Silence,
        _ => ACCEPT,
    }
}

/// As [`moody`], and refuses some for ever.
pub(crate) fn strict(body: &str, attempt: usize) -> Reply {
    match body.bytes().map(usize::from).sum::<usize>() % 31 {
        0 => Reply::Status("422 Unprocessable Content\r\n"),
        _ => moody(body, attempt),
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// The bodies posted under each id.
    bodies: BTreeMap<String, BTreeSet<String>>,
    /// The ids under which each body was posted, and how often.
    ids: BTreeMap<String, BTreeSet<String>>,
    attempts: BTreeMap<String, usize>,
    /// How often each body was not answered with success.
    failures: BTreeMap<String, usize>,
    /// The bodies that were answered with success.
    accepted: BTreeSet<String>,
    /// The bodies that were refused for ever.
    refused: BTreeSet<String>,
}

/// See the module. It serves until the process ends.
pub(crate) struct Server {
    pub(crate) address: String,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that was killed in the midst of a request has not sent anything.
                let _ = serve(stream, &shared, behaviour);
            }
        });
        Self { address, seen }
    }

    /// The bodies that were accepted, each once.
    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        self.seen.lock().expect("the server lives").accepted.clone()
    }

    /// The bodies that were refused for ever.
    pub(crate) fn refused(&self) -> BTreeSet<String> {
        self.seen.lock().expect("the server lives").refused.clone()
    }

    /// Each effect was on the wire once, and once more for each failure and at most each kill.
    pub(crate) fn assert_few_attempts(&self, kills: usize, when: &str) {
        let seen = self.seen.lock().expect("the server lives");
        for (body, attempts) in &seen.attempts {
            let failures = seen.failures.get(body).copied().unwrap_or(0);
            assert!(*attempts <= 1 + failures + kills, "{when}: {attempts} attempts, {failures} failures: {body}");
        }
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().expect("the server lives").attempts.values().sum()
    }

    /// The ids under which a body was posted.
    pub(crate) fn ids_of(&self, part: &str) -> BTreeSet<String> {
        let seen = self.seen.lock().expect("the server lives");
        seen.ids.iter().filter(|(body, _)| body.contains(part)).flat_map(|(_, ids)| ids.clone()).collect()
    }

    /// Every id has one body, and every body one id.
    pub(crate) fn assert_one_id_each(&self, when: &str) {
        let seen = self.seen.lock().expect("the server lives");
        let two = |map: &BTreeMap<String, BTreeSet<String>>| {
            map.iter().find(|(_, of)| of.len() > 1).map(|(one, of)| format!("{one}: {of:?}"))
        };
        assert_eq!(two(&seen.ids), None, "{when}: an effect left under two ids");
        assert_eq!(two(&seen.bodies), None, "{when}: two effects left under one id");
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>, behaviour: Behaviour) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut length, mut id, mut line) = (0, String::new(), String::new());
    loop {
        line.clear();
        match reader.read_line(&mut line)? {
            0 => return Ok(()),
            1 | 2 => break,
            _ => {}
        }
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                "idempotency-key" => value.clone_into(&mut id),
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).map_err(io::Error::other)?;
    let reply = {
        let mut seen = seen.lock().map_err(|error| io::Error::other(error.to_string()))?;
        seen.bodies.entry(id.clone()).or_default().insert(body.clone());
        seen.ids.entry(body.clone()).or_default().insert(id);
        let attempt = seen.attempts.entry(body.clone()).or_default();
        *attempt += 1;
        let reply = behaviour(&body, *attempt);
        match reply {
            Reply::Status(status) if status.starts_with('2') => drop(seen.accepted.insert(body)),
            _ => {
                *seen.failures.entry(body.clone()).or_default() += 1;
                if matches!(reply, Reply::Status(status) if status.starts_with("422")) {
                    seen.refused.insert(body);
                }
            }
        }
        reply
    };
    match reply {
        Reply::Status(status) => {
            stream.write_all(format!("HTTP/1.1 {status}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
        }
        Reply::Silence => Ok(()),
    }
}
