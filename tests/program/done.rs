//! A program that has ended.

use std::process::Command;

use serde_json::Value;

use super::running::Running;

/// What a program did.
pub(crate) struct Done {
    /// The code that it ended with; none where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Runs a program to its end.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        Running::of(command).wait()
    }

    /// It must have ended with this code.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// It must have died by a signal.
    #[track_caller]
    pub(crate) fn died(self) -> Self {
        assert_eq!(self.code, None, "it has ended by itself; stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// It must have said each of these on stderr.
    #[track_caller]
    pub(crate) fn said(self, pieces: &[&str]) -> Self {
        for piece in pieces {
            assert!(self.stderr.contains(piece), "`{piece}` is missing in stderr: {}", self.stderr);
        }
        self
    }

    /// It must have said none of these on stderr.
    #[track_caller]
    pub(crate) fn never_said(self, pieces: &[&str]) -> Self {
        for piece in pieces {
            assert!(!self.stderr.contains(piece), "`{piece}` is in stderr: {}", self.stderr);
        }
        self
    }

    /// It must have printed each of these.
    #[track_caller]
    pub(crate) fn printed(self, pieces: &[&str]) -> Self {
        for piece in pieces {
            assert!(self.stdout.contains(piece), "`{piece}` is missing in stdout: {}", self.stdout);
        }
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// What it printed, as JSON lines.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }
}
