//! Real servers, each started by a script in `tests/services/` and stopped with the test that wanted it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// What a script exits with where its server cannot be had.
const CANNOT: i32 = 77;

/// A server that runs until this is dropped.
pub(crate) struct Service {
    name: String,
    environment: Vec<(String, String)>,
    child: Child,
    folder: TempDir,
    ports: Vec<u16>,
}

impl Service {
    /// Starts `tests/services/NAME.sh` with so many free ports on loopback. `None`, and a line that says so, where
    /// the server cannot be had on this machine; a failure there too with `TIDEGATE_REQUIRE_SERVICES=1`.
    pub(crate) fn start(name: &str, ports: usize) -> Option<Self> {
        Self::start_with(name, &free_ports(ports), &[])
    }

    /// The same, with ports of the caller's choice, and with environment variables.
    pub(crate) fn start_with(name: &str, ports: &[u16], environment: &[(&str, &str)]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = started(name, folder.path(), ports, &environment)?;
        Some(Self { name: name.to_owned(), environment, child, folder, ports: ports.to_vec() })
    }

    /// Stops it; its files stay.
    pub(crate) fn stop(&mut self) {
        // The script stops its server when its stdin is closed.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    /// Starts it again after [`Service::stop`], with its files and on the same ports.
    pub(crate) fn start_again(&mut self) {
        self.child = started(&self.name, self.folder.path(), &self.ports, &self.environment).expect("it ran before");
    }

    /// The address of its first port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Its ports.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// A file of the server's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The script at work, once it has said `ready`.
fn started(name: &str, folder: &Path, ports: &[u16], environment: &[(String, String)]) -> Option<Child> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services").join(format!("{name}.sh"));
    let mut command = Command::new("bash");
    command.arg(&script).arg(folder).args(ports.iter().map(u16::to_string));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("bash");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    if lines.by_ref().any(|line| line.expect("a line") == "ready") {
        return Some(child);
    }
    let mut said = String::new();
    child.stderr.take().expect("stderr is piped").read_to_string(&mut said).expect("text");
    let status = child.wait().expect("the script ends");
    let required = std::env::var("TIDEGATE_REQUIRE_SERVICES").is_ok_and(|value| value == "1");
    assert!(status.code() == Some(CANNOT) && !required, "the server `{name}` did not start ({status}):\n{said}");
    eprintln!("SKIPPED: the server `{name}` cannot be had: {}", said.lines().last().unwrap_or_default());
    None
}

/// Ports that nobody listens on.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}
