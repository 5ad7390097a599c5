//! The program, run as users run it, so that it can be killed and started again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of a pipeline.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Home {
    /// A folder with this pipeline, which writes to `out.jsonl` and `errors.jsonl`.
    pub(crate) fn new(sources: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Self { folder };
        home.write(sources);
        home
    }

    /// Another text of the pipeline.
    pub(crate) fn write(&self, sources: &str) {
        let text = format!(
            "version: 1\nname: bus\ncheckpoint: {{every: 100ms}}\nrestart: {{initial: 50ms, max: 500ms}}\n\
             sources:\n{sources}\n\
             sinks:\n  out: {{from: in, file: {{path: out.jsonl}}}}\n  errors: {{from: in.errors, file: {{path: errors.jsonl}}}}\n"
        );
        std::fs::write(self.folder.path().join("pipeline.yaml"), text).expect("the pipeline can be written");
    }

    /// Starts the program.
    pub(crate) fn run(&self) -> Program {
        self.run_with(&[])
    }

    /// The same, with environment variables.
    pub(crate) fn run_with(&self, environment: &[(&str, &str)]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.current_dir(self.folder.path()).env_remove("TIDEGATE_DIR").env("NO_COLOR", "1");
        command.envs(environment.iter().copied()).args(["run", "pipeline.yaml"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (lines, kept) = (BufReader::new(child.stderr.take().expect("stderr is piped")), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut kept = kept.lock().expect("no thread panicked");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Program { child, said }
    }

    /// Runs the program until it fails by itself; what it said.
    pub(crate) fn fails(&self) -> String {
        let mut program = self.run();
        let begun = Instant::now();
        loop {
            if let Some(status) = program.child.try_wait().expect("the program can be waited for") {
                // The last words may still be on their way.
                std::thread::sleep(Duration::from_millis(100));
                assert!(!status.success(), "it ends well: {}", program.said());
                return program.said();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not fail: {}", program.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The rows that were written so far.
    pub(crate) fn rows(&self) -> Vec<Value> {
        self.lines("out.jsonl")
    }

    /// What was rejected so far.
    pub(crate) fn errors(&self) -> Vec<Value> {
        self.lines("errors.jsonl")
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        // A last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Program {
    /// Waits for a condition.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            let ended = self.child.try_wait().expect("the program can be waited for");
            assert!(ended.is_none(), "{what}: the program has ended ({ended:?}):\n{}", self.said());
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has said this.
    pub(crate) fn until_said(&mut self, words: &str) {
        let said = Arc::clone(&self.said);
        self.until(words, || said.lock().expect("no thread panicked").contains(words));
    }

    /// Everything that it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("no thread panicked").clone()
    }

    /// Waits until it has died at the point that it was given.
    pub(crate) fn dies(mut self) {
        let begun = Instant::now();
        while self.child.try_wait().expect("the program can be waited for").is_none() {
            assert!(begun.elapsed() < PATIENCE, "it lives:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; it must end well.
    pub(crate) fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(told.success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                assert!(status.success(), "{status}:\n{}", self.said());
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not stop:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Points at which the process dies, and at which pass: before a step is durable, and when it is but nobody outside
/// has been told.
pub(crate) const DEATHS: &[&str] = &["journal.sync:3", "journal.marked:3", "journal.sync:5", "journal.marked:5"];

/// The environment in which a program dies at a point.
pub(crate) fn dying_at(point: &str) -> [(&str, &str); 1] {
    [(tidegate_pipeline::testing::crash::VARIABLE, point)]
}

/// The numbers `n` of the bodies of rows, sorted, without repetitions; and how many rows there are.
pub(crate) fn numbers(rows: &[Value]) -> (Vec<i64>, usize) {
    let mut numbers: Vec<i64> = rows.iter().filter_map(|row| row["body"]["n"].as_i64()).collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    (numbers, all)
}

/// The path as text.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
