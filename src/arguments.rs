//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tidegate_pipeline::checkpoint::Retention;

/// Collect what your infrastructure is and what happens to it, check it with SQL, act on it once.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done, 1 alarms found, 2 something failed, 3 usage or an invalid pipeline.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) log: LogArguments,
    /// Control packs instead of the built-in ones: a folder with a folder per pack
    #[arg(long, global = true, value_name = "DIR", env = "TIDEGATE_QUERIES")]
    pub(crate) queries: Option<PathBuf>,
}

/// Where logs go and what they tell.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// What is logged on stderr: error, warn, info, debug, trace, or filters such as `warn,tidegate=debug`
    #[arg(long, global = true, default_value = "warn", env = "TIDEGATE_LOG", value_name = "FILTER")]
    pub(crate) log: String,
    /// Log JSON lines
    #[arg(long, global = true)]
    pub(crate) log_json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline; go on from its newest checkpoint
    Run(RunArguments),
    /// Collect and check once: what alarms there are, with exit code 1 if any
    Check(CheckArguments),
    /// Ask the tables of a pipeline's newest checkpoint, in SQL
    Query(QueryArguments),
    /// Say everything that is wrong with a pipeline, without running it
    Validate(ValidateArguments),
    /// Draw a pipeline
    Graph(GraphArguments),
    /// Test control packs and pipelines: given rows, expected rows
    Test(TestArguments),
    /// Look at checkpoints, verify them, move them
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// List the kinds of sources, operators and sinks, or show one with its options
    #[command(subcommand)]
    Component(ComponentCommand),
    /// Try a source
    #[command(subcommand)]
    Source(SourceCommand),
    /// Write a commented first pipeline
    Init(InitArguments),
    /// Print the JSON Schema of pipeline files, for editors
    Schema,
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people
    Text,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}

/// A pipeline and where it keeps its state.
#[derive(Debug, Args)]
pub(crate) struct PipelineArguments {
    /// The pipeline's YAML file
    #[arg(value_name = "PIPELINE")]
    pub(crate) pipeline: PathBuf,
    /// Where pipelines keep their state, a folder each
    #[arg(long, default_value = ".tidegate", value_name = "DIR", env = "TIDEGATE_DIR")]
    pub(crate) dir: PathBuf,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// Read what there is now, then end; nothing is recorded as ended
    #[arg(long)]
    pub(crate) once: bool,
    /// Drop the state of earlier runs and begin anew (outputs are left alone)
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Begin with an exported checkpoint, or with the newest copy elsewhere (`file:///…`)
    #[arg(long, value_name = "FILE|URL", conflicts_with = "fresh")]
    pub(crate) restore_from: Option<String>,
    /// Go on although the clock is over 30 days past the last step
    #[arg(long)]
    pub(crate) accept_clock: bool,
    /// Serve metrics and health at this address while running
    #[arg(long, value_name = "ADDR")]
    pub(crate) serve: Option<SocketAddr>,
    /// Do not show progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// A pipeline's YAML file, or the name of a control pack (`host`)
    #[arg(value_name = "PIPELINE|PACK")]
    pub(crate) target: String,
    /// Only these controls (globs)
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub(crate) controls: Vec<String>,
    /// Where pipelines keep their state, a folder each
    #[arg(long, default_value = ".tidegate", value_name = "DIR", env = "TIDEGATE_DIR")]
    pub(crate) dir: PathBuf,
    /// Show findings that are ok, too
    #[arg(long)]
    pub(crate) all: bool,
    /// How findings are printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The query; without it, a shell
    pub(crate) sql: Option<String>,
    /// How rows are printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// Pipelines' YAML files
    #[arg(required = true, value_name = "PIPELINE")]
    pub(crate) pipelines: Vec<PathBuf>,
    /// How findings are printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Drawing {
    /// A Mermaid flowchart
    Mermaid,
    /// A Graphviz digraph
    Dot,
    /// Nodes, ports, columns and edges as JSON
    Json,
}

/// `graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// The pipeline's YAML file
    #[arg(value_name = "PIPELINE")]
    pub(crate) pipeline: PathBuf,
    /// How it is drawn
    #[arg(long, default_value = "mermaid")]
    pub(crate) format: Drawing,
}

/// `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Folders or files: control packs, `*.test.yaml`
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// How results are printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// `checkpoint`.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// List the checkpoints of a pipeline, newest first
    List {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// How they are printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show one checkpoint: positions, marks, state
    Show {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// Its number; the newest without it
        #[arg(long, value_name = "NUMBER")]
        checkpoint: Option<u64>,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Read every byte of a pipeline's directory; say what is damaged and what that means (exit code 2)
    Verify {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// Build a store that is lost or damaged anew, from segments and journal
        #[arg(long)]
        rebuild: bool,
        /// How it is printed; with jsonl, a line per damage
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Remove checkpoints of a pipeline that does not run
    Prune {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// What is kept instead of what the pipeline's file says: `3`, or `last=3,hourly=24,daily=7`
        #[arg(long, value_name = "KEEP", value_parser = keep)]
        keep: Option<Retention>,
    },
    /// Write one checkpoint to one file
    Export {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// The file to write
        file: PathBuf,
        /// Its number; the newest without it
        #[arg(long, value_name = "NUMBER")]
        checkpoint: Option<u64>,
    },
    /// Make a pipeline's directory from an exported file, or from copies (`file:///…`)
    Import {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// The file, or the place of copies
        #[arg(value_name = "FILE|URL")]
        from: String,
        /// Let the sinks know nothing of what they wrote before: for a place where those outputs are not
        #[arg(long)]
        without_outputs: bool,
    },
}

/// `3`, or `last=3,hourly=24,daily=7`.
fn keep(text: &str) -> Result<Retention, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|error| format!("`{text}`: {error}"));
    let mut keep = Retention::last(1);
    for part in text.split(',') {
        match part.split_once('=') {
            None => keep.last = number(part)?,
            Some(("last", count)) => keep.last = number(count)?,
            Some(("hourly", count)) => keep.hourly = number(count)?,
            Some(("daily", count)) => keep.daily = number(count)?,
            Some((name, _)) => return Err(format!("`{name}` is none of last, hourly, daily")),
        }
    }
    match keep.last {
        0 => Err("at least 1 checkpoint must be kept, or nothing could go on".to_owned()),
        _ => Ok(keep),
    }
}

/// `component`.
#[derive(Debug, Subcommand)]
pub(crate) enum ComponentCommand {
    /// List the kinds
    List {
        /// How they are printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show a kind and its options
    Show {
        /// The kind's name
        kind: String,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
}

/// `source`.
#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Print what a source gives, as JSON lines
    Run {
        /// The kind of source
        kind: String,
        /// An option: `--arg path=events.jsonl`; values are read as YAML
        #[arg(long = "arg", value_name = "KEY=VALUE")]
        arguments: Vec<String>,
        /// End after this many rows
        #[arg(long, value_name = "ROWS")]
        limit: Option<usize>,
    },
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// The file to write
    #[arg(default_value = "pipeline.yaml")]
    pub(crate) file: PathBuf,
    /// Overwrite it
    #[arg(long)]
    pub(crate) force: bool,
}
