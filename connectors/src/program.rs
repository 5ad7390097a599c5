//! Programs whose lines are read: started, read with bounds, and ended with everything that they have started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use tidegate_pipeline::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces wait for the source.
const PIECES: usize = 4;
/// How much of a line on stderr is told, in bytes.
const STDERR_LINE: usize = 4 * 1024;
/// How long a program may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(2);

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct ProgramCommand {
    /// The program.
    pub(crate) program: String,
    /// What it is given.
    pub(crate) arguments: Vec<String>,
    /// Variables of its environment besides those of this process.
    pub(crate) environment: BTreeMap<String, String>,
    /// The folder that it runs in.
    pub(crate) folder: PathBuf,
}

/// A line on stdout, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// The beginning of one that is longer than is allowed.
    TooLong(Vec<u8>),
}

/// What a program says next.
#[derive(Debug)]
pub(crate) enum Said {
    /// Lines.
    Lines(Vec<Line>),
    /// It has ended, and this is the last that it wrote to stderr.
    Ended(ExitStatus, Option<String>),
}

/// A program that runs until this is dropped.
pub(crate) struct Program {
    said: mpsc::Receiver<Result<Said>>,
    group: Arc<Group>,
    _stop: DropGuard,
}

impl Drop for Program {
    fn drop(&mut self) {
        // At once: whoever drops this may end right after it.
        self.group.signal(Signal::TERM);
    }
}

impl Program {
    /// Starts it; what it writes to stderr goes to the log under the name of its node.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(command: &ProgramCommand, node: &Arc<str>, max_line: usize) -> Result<Self> {
        let mut starting = Command::new(&command.program);
        starting.args(&command.arguments).envs(&command.environment).current_dir(&command.folder);
        starting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        starting.process_group(0).kill_on_drop(true);
        let mut child = starting.spawn().map_err(|error| cannot_start(&command.program, &error))?;
        let piped = || Error::internal("a program was started without pipes");
        let (stdout, stderr) = (child.stdout.take().ok_or_else(piped)?, child.stderr.take().ok_or_else(piped)?);
        let (to, said) = mpsc::channel(PIECES);
        let stop = CancellationToken::new();
        let last = Arc::new(Mutex::new(None));
        let errors = tokio::spawn(tell(stderr, Arc::clone(node), Arc::clone(&last), stop.clone()));
        let group = Arc::new(Group::of(&child));
        let running = Running { group: Arc::clone(&group), child };
        let stopping = stop.clone();
        tokio::spawn(async move {
            let status = running.run(stdout, max_line, &to, &stopping).await;
            // What it said last may still be on its way, or another program may hold its stderr.
            let _ = tokio::time::timeout(Duration::from_millis(200), errors).await;
            if let Some(status) = status {
                let last = last.lock().take();
                let _ = to.send(status.map(|status| Said::Ended(status, last))).await;
            }
        });
        Ok(Self { said, group, _stop: stop.drop_guard() })
    }

    /// What it says next. Cancel-safe.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Said> {
        self.said.recv().await.unwrap_or_else(|| Err(Error::internal("nobody reads the program any more")))
    }
}

/// A program that cannot be started.
pub(crate) fn cannot_start(program: &str, error: &std::io::Error) -> Error {
    let failed = Error::external(format!("`{program}` cannot be started: {error}"));
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            failed.with_remedy("install it, or correct the command or its folder").never_retry()
        }
        std::io::ErrorKind::PermissionDenied => failed.with_remedy("make it executable for this user").never_retry(),
        _ => failed,
    }
}

/// The process group that a program leads. Whoever is still in it when this is dropped is killed.
pub(crate) struct Group(Mutex<Option<Pid>>);

impl Group {
    pub(crate) fn of(child: &Child) -> Self {
        Self(Mutex::new(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)))
    }

    /// The program has ended: its number may belong to another one by now.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = *self.0.lock() {
            // A group that has ended by itself is no matter.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

struct Running {
    group: Arc<Group>,
    child: Child,
}

impl Running {
    /// Hands on lines until the program ends; `None` when it was told to stop.
    async fn run(
        mut self,
        stdout: ChildStdout,
        max_line: usize,
        to: &mpsc::Sender<Result<Said>>,
        stop: &CancellationToken,
    ) -> Option<Result<ExitStatus>> {
        let read = async {
            let mut lines = Lines::new(stdout, max_line);
            loop {
                match lines.next().await {
                    Ok(None) => break,
                    Ok(Some(lines)) => to.send(Ok(Said::Lines(lines))).await.ok()?,
                    Err(error) => return Some(Err(Error::external(format!("its output cannot be read: {error}")))),
                }
            }
            Some(self.child.wait().await.map_err(|error| Error::external(format!("it cannot be waited for: {error}"))))
        };
        match stop.run_until_cancelled(read).await {
            Some(Some(ended)) => {
                self.group.forget();
                Some(ended)
            }
            Some(None) | None => {
                self.group.signal(Signal::TERM);
                let _ = tokio::time::timeout(PATIENCE, self.child.wait()).await;
                self.group.signal(Signal::KILL);
                None
            }
        }
    }
}

/// Lines out of a stream, with a bound.
struct Lines<R> {
    from: R,
    rest: Vec<u8>,
    max_line: usize,
    /// The rest of a line that was too long is passed over.
    passing_over: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(from: R, max_line: usize) -> Self {
        Self { from, rest: Vec::new(), max_line, passing_over: false }
    }

    /// The lines that are there next, some or none; `None` at the end. A last line without an end is one.
    async fn next(&mut self) -> std::io::Result<Option<Vec<Line>>> {
        loop {
            self.rest.reserve(PIECE);
            if self.from.read_buf(&mut self.rest).await? == 0 {
                let last = std::mem::take(&mut self.rest);
                let none = last.is_empty() || std::mem::take(&mut self.passing_over);
                return Ok((!none).then(|| vec![Line::Whole(last)]));
            }
            let lines = self.split();
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
    }

    fn split(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.rest) {
            let line = &self.rest[start..end];
            start = end + 1;
            if std::mem::take(&mut self.passing_over) {
                continue;
            }
            lines.push(match line.len() > self.max_line {
                true => Line::TooLong(line[..self.max_line].to_vec()),
                false => Line::Whole(line.strip_suffix(b"\r").unwrap_or(line).to_vec()),
            });
        }
        self.rest.drain(..start);
        if self.passing_over {
            self.rest.clear();
        } else if self.rest.len() > self.max_line {
            self.passing_over = true;
            self.rest.truncate(self.max_line);
            lines.push(Line::TooLong(std::mem::take(&mut self.rest)));
        }
        lines
    }
}

/// Tells what comes on stderr, line by line.
async fn tell(stderr: ChildStderr, node: Arc<str>, last: Arc<Mutex<Option<String>>>, stop: CancellationToken) {
    let mut lines = Lines::new(stderr, STDERR_LINE);
    while let Some(Ok(Some(some))) = stop.run_until_cancelled(lines.next()).await {
        for line in some {
            let (Line::Whole(line) | Line::TooLong(line)) = line;
            let line = String::from_utf8_lossy(&line).into_owned();
            tracing::info!(%node, "{line}");
            *last.lock() = Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn shell(script: &str) -> ProgramCommand {
        ProgramCommand {
            program: "sh".to_owned(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: BTreeMap::new(),
            folder: PathBuf::from("/"),
        }
    }

    async fn all(script: &str, max_line: usize) -> (Vec<Line>, ExitStatus, Option<String>) {
        let mut program = Program::start(&shell(script), &"in".into(), max_line).unwrap();
        let mut lines = Vec::new();
        loop {
            match program.next().await.unwrap() {
                Said::Lines(more) => lines.extend(more),
                Said::Ended(status, last) => return (lines, status, last),
            }
        }
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn its_lines_come_then_how_it_ended_and_what_it_complained_of() {
        let (lines, status, last) = all("printf 'a\\n\\nb\\r\\nc'; echo first >&2; echo why >&2; exit 3", 100).await;
        assert_eq!(lines, [whole("a"), whole(""), whole("b"), whole("c")]);
        assert_eq!((status.code(), last.as_deref()), (Some(3), Some("why")));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_cut_and_the_next_one_comes_whole() {
        let (lines, ..) = all("head -c 300000 /dev/zero | tr '\\0' x; echo; echo b; echo ccccccc", 6).await;
        assert_eq!(lines, [Line::TooLong(b"xxxxxx".to_vec()), whole("b"), Line::TooLong(b"cccccc".to_vec())]);
    }

    #[tokio::test]
    async fn whoever_it_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alive");
        let script =
            format!("(trap '' TERM; while :; do date > {0}; sleep 0.05; done) & echo $!; wait", file.display());
        let mut program = Program::start(&shell(&script), &"in".into(), 100).unwrap();
        let Said::Lines(lines) = program.next().await.unwrap() else { panic!("its number") };
        let Line::Whole(number) = &lines[0] else { panic!("its number") };
        let number = Pid::from_raw(String::from_utf8_lossy(number).parse().unwrap()).unwrap();
        drop(program);
        for _ in 0..200 {
            if rustix::process::test_kill_process(number).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it lives on");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named_and_not_tried_again() {
        let command = ProgramCommand { program: "no-such-program".to_owned(), ..shell("") };
        let error = Program::start(&command, &"in".into(), 100).err().unwrap();
        assert!(error.message.contains("`no-such-program` cannot be started"), "{error}");
        assert_eq!(error.retry, tidegate_pipeline::error::Retry::Never);
    }
}
