//! The program with a pipeline, in a folder of its own, to be killed and started again; and a raw HTTP client for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything in a test takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A pipeline and its folder.
pub(crate) struct Home {
    folder: TempDir,
}

/// The program at work; killed when it is dropped.
pub(crate) struct Running(Child);

impl Home {
    /// With the text of its pipeline.
    pub(crate) fn new(pipeline: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("pipeline.yaml"), pipeline).expect("the folder can be written");
        Self { folder }
    }

    /// Starts the program.
    pub(crate) fn start(&self) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.current_dir(self.folder.path()).args(["run", "pipeline.yaml"]).env_remove("TIDEGATE_DIR");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        Running(command.spawn().expect("the program starts"))
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start_listening(&self, port: u16) -> Running {
        let running = self.start();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "it does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    /// What the program said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The rows of an output: whole lines of JSON.
    pub(crate) fn rows(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }

    /// Waits until the rows of an output are as wanted.
    pub(crate) fn await_rows(&self, name: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = self.rows(name);
            if wanted(&rows) {
                return rows;
            }
            assert!(Instant::now() < deadline, "{name} has only {rows:?}; the program said {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Running {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }

    /// SIGTERM, and waits for a good end.
    pub(crate) fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill runs");
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Running {
    /// Waits for its end by itself; its exit code.
    pub(crate) fn code(mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

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
