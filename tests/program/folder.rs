//! A folder with what a program reads and writes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tidegate_pipeline::testing::crash::VARIABLE;

use super::done::Done;
use super::running::Running;

/// A folder in which the program runs.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// A folder with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("the folder can be written");
    }

    /// The text of a file; nothing where it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// The rows of an output of JSON lines. A last line that is not whole is not there yet.
    pub(crate) fn rows(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).expect("a row is JSON")).collect()
    }

    /// The program, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command(self.path(), arguments)
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(&mut self.command(arguments))
    }

    /// Runs the program until it dies at this crash point, which it must reach.
    #[track_caller]
    pub(crate) fn dies_at(&self, point: &str, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).env(VARIABLE, point)).died()
    }

    /// Runs the program with some input.
    #[track_caller]
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Done {
        let mut running = Running::of(self.command(arguments).stdin(Stdio::piped()));
        running.give(input);
        running.wait()
    }

    /// Starts the program and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(&mut self.command(arguments))
    }
}

/// The program in any directory, not yet started. Nothing of the environment of the tests changes what it does.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(directory).args(arguments).env("NO_COLOR", "1");
    for name in ["TIDEGATE_DIR", "TIDEGATE_QUERIES", "TIDEGATE_LOG", "COLUMNS", VARIABLE] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
