//! The program, run in a folder of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing in these tests takes longer.
const LONGEST: Duration = Duration::from_secs(90);

/// Waits until it is so.
pub(super) fn eventually(what: &str, so: impl FnMut() -> bool) {
    within(LONGEST, what, so);
}

/// Waits until it is so, no longer than `longest`.
pub(super) fn within(longest: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let (begun, mut pause) = (Instant::now(), Duration::from_millis(50));
    while !so() {
        assert!(begun.elapsed() < longest, "not within {longest:?}: {what}");
        std::thread::sleep(pause);
        // What takes long is looked at less often: looking may mean to read all of a topic.
        pause = (pause * 5 / 4).min(Duration::from_secs(5));
    }
}

/// A folder with a pipeline.
pub(super) struct Home(TempDir);

impl Home {
    /// A folder for the pipeline that stands in `text`, without its name.
    pub(super) fn new(text: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.edit(text);
        home
    }

    /// Writes the pipeline anew.
    pub(super) fn edit(&self, text: &str) {
        let text = format!("version: 1\nname: k\ncheckpoint: {{every: 200ms, keep: 3}}\n{text}");
        std::fs::write(self.0.path().join("k.yaml"), text).unwrap();
    }

    /// `tidegate run`.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["run", "k.yaml"]).current_dir(self.0.path()).env_remove("TIDEGATE_DIR").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the program; what it says goes to the file `said`.
    pub(super) fn run(&self) -> Program {
        let said = std::fs::File::options().create(true).append(true).open(self.0.path().join("said")).unwrap();
        Program(self.command().stdout(Stdio::null()).stderr(said).spawn().unwrap())
    }

    /// A file of the folder.
    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// What programs said that ran here.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.0.path().join("said")).unwrap_or_default()
    }

    /// The whole lines of an output.
    pub(super) fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.0.path().join(name)).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `body.n` of all rows of an output.
    pub(super) fn numbers(&self, name: &str) -> Vec<i64> {
        self.lines(name).iter().map(|row| row["body"]["n"].as_i64().unwrap()).collect()
    }
}

/// A program that runs until this is dropped.
pub(super) struct Program(Child);

impl Program {
    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGTERM; it must end well.
    pub(super) fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(told.success());
        let mut ended = None;
        eventually("it stops", || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        });
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
