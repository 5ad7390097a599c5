//! A pipeline with one source, `in`, whose rows and errors go to files: run as users run it, killed and started again.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Done, Folder, Running};

/// The folder of a pipeline.
pub(crate) struct Home(Folder);

impl Home {
    /// A folder with a pipeline whose source is this: `{KIND: {OPTIONS}}`.
    pub(crate) fn new(source: &str) -> Self {
        let home = Self(Folder::new());
        home.edit(source);
        home
    }

    /// Gives the pipeline another source.
    pub(crate) fn edit(&self, source: &str) {
        let text = format!(
            "version: 1\nname: one\ncheckpoint: {{every: 100ms}}\nrestart: {{initial: 50ms, max: 500ms}}\n\
             sources: {{in: {source}}}\n\
             sinks:\n  out: {{from: in, file: {{path: out.jsonl}}}}\n  errors: {{from: in.errors, file: {{path: errors.jsonl}}}}\n"
        );
        self.0.write("pipeline.yaml", text);
    }

    /// Starts the program.
    pub(crate) fn run(&self) -> Running {
        self.run_with(&[])
    }

    /// The same, with environment variables.
    pub(crate) fn run_with(&self, environment: &[(&str, &str)]) -> Running {
        Running::of(self.0.command(&["run", "pipeline.yaml"]).envs(environment.iter().copied()))
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn run_listening(&self, port: u16) -> Running {
        let mut running = self.run();
        running.until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        running
    }

    /// Runs the program until it dies at a crash point.
    #[track_caller]
    pub(crate) fn dies_at(&self, point: &str) {
        self.0.dies_at(point, &["run", "pipeline.yaml"]);
    }

    /// Runs the program until it fails by itself.
    #[track_caller]
    pub(crate) fn fails(&self) -> Done {
        let done = self.run().wait();
        assert!(matches!(done.code, Some(2 | 3)), "it ends with {:?}: {}", done.code, done.stderr);
        done
    }

    /// The rows that were written so far.
    pub(crate) fn rows(&self) -> Vec<Value> {
        self.0.rows("out.jsonl")
    }

    /// What was rejected so far.
    pub(crate) fn errors(&self) -> Vec<Value> {
        self.0.rows("errors.jsonl")
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.file(name)
    }
}

/// Points at which the process dies, and at which pass: before a step is durable, and when it is but nobody outside
/// has been told.
pub(crate) const DEATHS: &[&str] = &["journal.sync:3", "journal.marked:3", "journal.sync:5", "journal.marked:5"];

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
