//! A program that runs.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::done::Done;
use super::waiting::{Happening, PATIENCE, pause};

/// The longest life of a program that is waited for: longer than a run of the crash tests in a debug build.
const LIFE: Duration = Duration::from_secs(300);

/// A program that runs; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    /// Starts a program. What it writes to pipes is kept.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let (stdout, stderr) = (Captured::of(child.stdout.take()), Captured::of(child.stderr.take()));
        Self { child, stdout, stderr }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its stdin, and closes it.
    pub(crate) fn give(&mut self, input: &str) {
        let mut stdin = self.child.stdin.take().expect("stdin is piped");
        stdin.write_all(input.as_bytes()).expect("the program reads its input");
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the program can be waited for")
    }

    /// What it has said so far on stderr.
    pub(crate) fn said(&self) -> String {
        self.stderr.text()
    }

    /// Waits until it is so, or until there is something. It must not end before.
    #[track_caller]
    pub(crate) fn until<H: Happening>(&mut self, what: &str, happening: impl FnMut() -> H) -> H::Found {
        self.until_within(PATIENCE, what, happening)
    }

    /// The same, no longer than `longest`.
    #[track_caller]
    pub(crate) fn until_within<H: Happening>(
        &mut self,
        longest: Duration,
        what: &str,
        mut happening: impl FnMut() -> H,
    ) -> H::Found {
        let begun = Instant::now();
        loop {
            // Asked first, so that what it did last is seen.
            let ended = self.ended();
            if let Some(found) = happening().found() {
                return found;
            }
            assert!(ended.is_none(), "{what}: the program has ended ({ended:?}):\n{}", self.said());
            assert!(begun.elapsed() < longest, "{what}: not within {longest:?}; the program said:\n{}", self.said());
            pause(begun);
        }
    }

    /// Waits until it has said this on stderr.
    #[track_caller]
    pub(crate) fn until_said(&mut self, words: &str) {
        let stderr = self.stderr.clone();
        self.until(&format!("`{words}` is said"), || stderr.text().contains(words));
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().expect("kill runs");
        assert!(told.success(), "{told}");
    }

    /// SIGTERM, once it listens to that; it must end well.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Done {
        let id = self.id();
        self.until("it listens to signals", || catches_termination(id));
        self.terminate();
        self.wait().code(0)
    }

    /// SIGKILL. Whether it had not ended before is in what it did: [`Done::died`].
    #[track_caller]
    pub(crate) fn kill(mut self) -> Done {
        self.child.kill().expect("it can be killed");
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Done {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(begun.elapsed() < LIFE, "it does not end within {LIFE:?}; it said:\n{}", self.said());
            pause(begun);
        };
        Done { code: status.code(), stdout: self.stdout.whole(), stderr: self.stderr.whole() }
    }
}

/// Whether a process has a handler for SIGTERM: one that has just begun is ended by the signal itself.
fn catches_termination(id: u32) -> bool {
    const TERMINATION: u64 = 1 << 14;
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & TERMINATION != 0)
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes from a pipe, kept as it comes.
#[derive(Clone, Default)]
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Captured {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let captured = Self::default();
        let Some(mut pipe) = pipe else { return captured };
        let bytes = Arc::clone(&captured.bytes);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 16 << 10];
            while let Ok(read @ 1..) = pipe.read(&mut piece) {
                bytes.lock().expect("no thread panicked").extend_from_slice(&piece[..read]);
            }
        });
        *captured.reader.lock().expect("no thread panicked") = Some(reader);
        captured
    }

    /// What has come so far.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no thread panicked")).into_owned()
    }

    /// All that comes until the pipe is closed.
    fn whole(&self) -> String {
        let reader = self.reader.lock().expect("no thread panicked").take();
        if let Some(reader) = reader {
            reader.join().expect("no thread panicked");
        }
        self.text()
    }
}
