//! Pipelines that read or write topics.

use std::process::Command;

use super::broker::Broker;
use crate::program::{Done, Folder, Running};

/// The folder of a pipeline.
pub(super) struct Home(Folder);

impl Home {
    /// A folder for the pipeline that stands in `text`, without its name.
    pub(super) fn new(text: &str) -> Self {
        let home = Self(Folder::new());
        home.edit(text);
        home
    }

    /// A pipeline that reads one topic with these options, into `out.jsonl`.
    pub(super) fn reads(options: &str) -> Self {
        Self::new(&reading(options))
    }

    /// Writes the pipeline anew.
    pub(super) fn edit(&self, text: &str) {
        let frame = "version: 1\nname: k\ncheckpoint: {every: 200ms, keep: 3}\nrestart: {initial: 100ms, max: 1s}\n";
        self.0.write("k.yaml", format!("{frame}{text}"));
    }

    /// The program, not yet started.
    pub(super) fn command(&self) -> Command {
        self.0.command(&["run", "k.yaml"])
    }

    /// Starts the program.
    pub(super) fn run(&self) -> Running {
        Running::of(&mut self.command())
    }

    /// Runs the program to its end.
    pub(super) fn done(&self) -> Done {
        self.run().wait()
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Folder {
        &self.0
    }

    /// `body.n` of all rows of `out.jsonl`.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.0.rows("out.jsonl").iter().map(|row| row["body"]["n"].as_i64().expect("a number")).collect()
    }
}

/// The text of a pipeline that reads one topic with these options, into `out.jsonl`.
pub(super) fn reading(options: &str) -> String {
    format!(
        "sources: {{in: {{kafka: {{host: 127.0.0.1, offset: earliest, {options}}}}}}}\n\
         sinks: {{out: {{from: in, file: {{path: out.jsonl}}}}}}\n"
    )
}

/// The options that read a topic of a broker, with more.
pub(super) fn topic(broker: &Broker, topic: &str, more: &str) -> String {
    format!("port: {}, metadata_max_age_ms: 500, topic: {topic}{more}", broker.port())
}
