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
    /// Collect once, and show what handlers would change, and why; nothing is changed, written or sent
    Plan(PlanArguments),
    /// Ask the tables of a pipeline in SQL, as they are in its newest checkpoint or as they were
    Query(QueryArguments),
    /// Say what a control asks, when it is evaluated, and why it says of a resource what it says
    Explain(ExplainArguments),
    /// Execute recorded steps again: prove that they give the same, or see what another pipeline makes of them
    Replay(ReplayArguments),
    /// Say everything that is wrong with a pipeline, without running it
    Validate(ValidateArguments),
    /// Draw a pipeline
    Graph(GraphArguments),
    /// Test control packs and pipelines: given rows, expected rows
    Test(TestArguments),
    /// Look at checkpoints, verify them, move them
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Look at what sinks send outside; retry, discard or approve it
    #[command(subcommand)]
    Effects(EffectsCommand),
    /// Look at the journal, or keep a node from a step that ends every start
    #[command(subcommand)]
    Journal(JournalCommand),
    /// List the kinds of sources, operators and sinks, or show one with its options
    #[command(subcommand)]
    Component(ComponentCommand),
    /// Have inventory read again
    #[command(subcommand)]
    Provider(ProviderCommand),
    /// Try a source
    #[command(subcommand)]
    Source(SourceCommand),
    /// Look at files of waivers: alarms that somebody answers for
    #[command(subcommand)]
    Waivers(WaiversCommand),
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

/// How the rows of a query are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Tables for people
    Text,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
    /// A header and a line a row, separated by commas
    Csv,
    /// A table of Markdown
    Markdown,
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
    /// Show what handlers would change, as `tidegate plan` does, and change, write and send nothing
    #[arg(long, conflicts_with_all = ["fresh", "restore_from", "serve"])]
    pub(crate) dry_run: bool,
    /// Drop the state of earlier runs and begin anew (outputs are left alone)
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Begin with an exported checkpoint, or with the newest copy elsewhere (`file:///…`, `s3://…`)
    #[arg(long, value_name = "FILE|URL", conflicts_with = "fresh")]
    pub(crate) restore_from: Option<String>,
    /// Go on although the clock is over 30 days past the last step
    #[arg(long)]
    pub(crate) accept_clock: bool,
    /// Go on after a change of the pipeline although this node loses its state
    #[arg(long, value_name = "NODE")]
    pub(crate) accept_state_loss: Vec<String>,
    /// Leave out recorded input that cannot be read again or reads differently, and let steps that were recorded
    /// under an earlier definition be executed under this one; nothing is written or sent twice
    #[arg(long)]
    pub(crate) accept_divergence: bool,
    /// Serve metrics and health at this address while running
    #[arg(long, value_name = "ADDR")]
    pub(crate) serve: Option<SocketAddr>,
    /// Do not show progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing to do, 1 there are changes, 2 something could not be found out, 3 usage or \
    an invalid pipeline."
)]
pub(crate) struct PlanArguments {
    /// The pipeline's YAML file
    #[arg(value_name = "PIPELINE")]
    pub(crate) pipeline: PathBuf,
    /// How the plan is printed; with jsonl, a line per resource
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// The formats of a report of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// One JSON document: a list of findings
    Json,
    /// A finding a line
    Jsonl,
    /// A table for spreadsheets
    Csv,
    /// A comment on a pull request
    Markdown,
    /// One page for a browser, with charts
    Html,
    /// A suite per control, for build servers
    Junit,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// OCSF 1.5.0: a list of Compliance Findings
    Ocsf,
    /// AWS Security Hub: a line for each call of BatchImportFindings
    Asff,
    /// Everything, to compare with or to show again in another format
    Snapshot,
}

/// The severity from which on alarms fail a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Any alarm
    None,
    /// low and worse
    Low,
    /// medium and worse
    Medium,
    /// high and worse
    High,
    /// critical
    Critical,
}

/// `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no alarm, 1 alarms (at or above --fail-on), 2 something could not be evaluated or \
    collected, 3 usage or an invalid pipeline."
)]
pub(crate) struct CheckArguments {
    /// A pipeline's YAML file, the name of a control pack (`host`), or a snapshot (FILE.json) to report anew
    #[arg(value_name = "PIPELINE|PACK|SNAPSHOT")]
    pub(crate) target: String,
    /// Only these controls (globs)
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub(crate) controls: Vec<String>,
    /// Not these controls (globs)
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    pub(crate) except: Vec<String>,
    /// Only the controls of this benchmark; reports follow its tree
    #[arg(long, value_name = "ID")]
    pub(crate) benchmark: Option<String>,
    /// The value of a parameter of a control, or with `*` of every control that has it
    #[arg(long = "param", value_name = "CONTROL.NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// A file of waivers, in place of what the pipeline names
    #[arg(long, value_name = "FILE")]
    pub(crate) waivers: Option<PathBuf>,
    /// Evaluate as of this time (2026-11-20T08:00:00Z) instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<String>,
    /// Where pipelines keep their state, a folder each
    #[arg(long, default_value = ".tidegate", value_name = "DIR", env = "TIDEGATE_DIR")]
    pub(crate) dir: PathBuf,
    /// Fail only for alarms of this severity or worse [default: any alarm]
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<FailOn>,
    /// An earlier snapshot: show what is new, changed and resolved since [default: what the pipeline's newest checkpoint
    /// holds]
    #[arg(long, value_name = "SNAPSHOT")]
    pub(crate) baseline: Option<PathBuf>,
    /// Fail only for alarms that the baseline (or the newest checkpoint) does not have
    #[arg(long)]
    pub(crate) fail_on_new: bool,
    /// Show findings that are ok, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Show how to mend what is wrong
    #[arg(long)]
    pub(crate) remediation: bool,
    /// How findings are printed
    #[arg(long, default_value = "text")]
    pub(crate) format: ReportFormat,
    /// Also write a report to a file; may be given several times
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report_file)]
    pub(crate) output: Vec<(ReportFormat, PathBuf)>,
    /// Also write a snapshot: the same as `--output snapshot=FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

/// `waivers`.
#[derive(Debug, Subcommand)]
pub(crate) enum WaiversCommand {
    /// Say what is wrong with files of waivers (code 3), and what is questionable (code 1): expired, endless, too wide,
    /// covered by another, of no control of any pack
    Lint {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
}

/// `sarif=findings.sarif`.
fn report_file(text: &str) -> Result<(ReportFormat, PathBuf), String> {
    let names = || {
        let names: Vec<String> = ReportFormat::value_variants()
            .iter()
            .filter_map(|format| format.to_possible_value().map(|value| value.get_name().to_owned()))
            .collect();
        names.join(", ")
    };
    match text.split_once('=') {
        Some((format, file)) if !file.is_empty() => match ReportFormat::from_str(format, false) {
            Ok(format) => Ok((format, PathBuf::from(file))),
            Err(_) => Err(format!("`{format}` is none of {}", names())),
        },
        _ => Err(format!("write FORMAT=FILE, such as sarif=findings.sarif (formats: {})", names())),
    }
}

/// `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The query; without it, a shell
    pub(crate) sql: Option<String>,
    /// The tables as they were: a checkpoint (12), a step (step:340), a time (2026-11-20T08:00:00Z), a day, `2h ago`
    #[arg(long, value_name = "MOMENT")]
    pub(crate) at: Option<String>,
    /// When rows of a table changed, by which step, from what to what: those that ever had these values
    #[arg(long, num_args = 1.., value_name = "TABLE [KEY=VALUE]", conflicts_with_all = ["sql", "at"])]
    pub(crate) history: Vec<String>,
    /// How rows are printed
    #[arg(long, default_value = "text")]
    pub(crate) format: RowFormat,
}

/// `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  tidegate explain ebs_volume_encrypted\n  tidegate explain sg_ingress_ssh_world \
    inventory.yaml --resource '*sg-0ab*'")]
pub(crate) struct ExplainArguments {
    /// The control: its id or an alias, with its pack (`aws.ebs_volume_encrypted`) where several packs have it
    #[arg(value_name = "CONTROL")]
    pub(crate) control: String,
    /// The pipeline that evaluates it: its parameters, its tables. Without it, the control as its pack has it
    #[arg(value_name = "PIPELINE")]
    pub(crate) pipeline: Option<PathBuf>,
    /// Why it says of this resource what it says: an ARN, or a pattern with `*`
    #[arg(long, value_name = "ARN", requires = "pipeline")]
    pub(crate) resource: Option<String>,
    /// With the tables as they were: a checkpoint (12), a step (step:340), a time (2026-11-20T08:00:00Z), a day, `2h ago`
    #[arg(long, value_name = "MOMENT", requires = "resource")]
    pub(crate) at: Option<String>,
    /// Also show the plan of the query
    #[arg(long)]
    pub(crate) plan: bool,
    /// Where pipelines keep their state, a folder each
    #[arg(long, default_value = ".tidegate", value_name = "DIR", env = "TIDEGATE_DIR")]
    pub(crate) dir: PathBuf,
    /// How it is printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The checkpoint to begin after, or `start`; as early as the journal reaches without it
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) from: Option<String>,
    /// The checkpoint to end at; the newest without it
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) to: Option<u64>,
    /// Send the recorded input through this pipeline instead
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) with: Option<PathBuf>,
    /// Show how what that gives differs from what the recorded pipeline gives (exit code 1 if it does)
    #[arg(long, requires = "with")]
    pub(crate) diff: bool,
    /// Keep what the sinks are given: a file of JSON lines for each, in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// How the report is printed
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
    /// Make a pipeline's directory from an exported file, or from copies (`file:///…`, `s3://…`)
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

/// `effects`.
#[derive(Debug, Subcommand)]
pub(crate) enum EffectsCommand {
    /// List effects: those that are still to be delivered, the newest dead ones, and what has come to its end lately
    List {
        #[command(flatten)]
        pipeline: PipelineArguments,
        #[command(flatten)]
        filter: EffectFilter,
        /// How they are printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show one effect with what it sends
    Show {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// Its id
        #[arg(value_name = "EFFECT")]
        effect: String,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Try dead effects again, under their ids
    Retry(SomeEffects),
    /// Decide that effects shall not leave
    Discard(SomeEffects),
    /// Let effects leave that await approval
    Approve(SomeEffects),
}

/// Effects that are to be changed.
#[derive(Debug, Args)]
pub(crate) struct SomeEffects {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// Their ids
    #[arg(value_name = "EFFECT", conflicts_with_all = ["all", "state", "sink", "step"])]
    pub(crate) effects: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: EffectFilter,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
    /// How the outcome is printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Which effects.
#[derive(Debug, Args)]
pub(crate) struct EffectFilter {
    /// Only effects in these states; `done`, `discarded` and `suppressed` read the whole journal
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub(crate) state: Vec<EffectStateName>,
    /// Only effects of this sink
    #[arg(long, value_name = "NODE")]
    pub(crate) sink: Option<String>,
    /// Only effects that come from this step
    #[arg(long, value_name = "NUMBER")]
    pub(crate) step: Option<u64>,
}

/// The state of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum EffectStateName {
    /// Waits for somebody's approval
    AwaitingApproval,
    /// Is tried until it is done or dead
    Intended,
    /// Delivered
    Done,
    /// Given up
    Dead,
    /// Dropped by a command
    Discarded,
    /// Dropped by a rule
    Suppressed,
}

/// `journal`.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List the steps that a pipeline's journal holds, oldest first
    List {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// Begin with this step
        #[arg(long, value_name = "STEP", default_value_t = 0)]
        from: u64,
        /// At most so many steps
        #[arg(long, value_name = "STEPS", default_value_t = 1000)]
        limit: usize,
        /// How they are printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Show one step: its head, and the rows that are kept with it
    Show {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// Its number
        step: u64,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Keep a node from executing a step: the rows that it would take go to its port `errors` instead
    Quarantine {
        #[command(flatten)]
        pipeline: PipelineArguments,
        /// The step
        step: u64,
        /// The node
        node: String,
    },
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

/// `provider`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProviderCommand {
    /// Have a running pipeline read inventory again: everything, a table, or some objects of it
    Refresh(RefreshArguments),
    /// Ask what a refresh would ask, and say whether the credentials are good and may do it
    Verify {
        /// The kind of provider
        kind: String,
        /// An option: `--arg aws.profile=audit`; values are read as YAML
        #[arg(long = "arg", value_name = "KEY=VALUE")]
        arguments: Vec<String>,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
    },
    /// Print the least that a provider must be allowed to do, as a policy
    Policy {
        /// The kind of provider
        kind: String,
        /// Only for this table
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<String>,
        /// Also for what is read only where the option `hydrate` names it, such as a column `TABLE.COLUMN`
        #[arg(long, value_name = "NAME")]
        hydrate: Vec<String>,
    },
    /// Print the options of a provider for a console that asks for them
    Params {
        /// The kind of provider
        kind: String,
        /// In which shape
        #[arg(long, default_value = "form")]
        shape: ParamsShape,
    },
}

/// The shapes of `provider params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParamsShape {
    /// Fields of data-driven-forms
    Form,
    /// JSON Schema
    Schema,
}

/// `provider refresh`.
#[derive(Debug, Args)]
pub(crate) struct RefreshArguments {
    #[command(flatten)]
    pub(crate) pipeline: PipelineArguments,
    /// The provider's node; all that have the table without it
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Only this table, and those that come from the same calls
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// Only the objects of the table with these ids
    #[arg(long, value_name = "ID", requires = "table")]
    pub(crate) id: Vec<String>,
    /// Only this account
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Only this region
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// How the answer is printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// `source`.
#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Print what a source gives, as JSON lines
    Run {
        /// The kind of source
        kind: String,
        /// An option: `--arg path=events.jsonl`, `--arg since.path=id`; values are read as YAML
        #[arg(long = "arg", value_name = "KEY=VALUE")]
        arguments: Vec<String>,
        /// End after this many rows
        #[arg(long, value_name = "ROWS")]
        limit: Option<usize>,
    },
    /// Look at what a source reads from step by step: what is there, and what is not
    Test {
        /// The kind of source
        kind: String,
        /// An option: `--arg path=events.jsonl`, `--arg since.path=id`; values are read as YAML
        #[arg(long = "arg", value_name = "KEY=VALUE")]
        arguments: Vec<String>,
        /// How long each step may take, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        timeout: u64,
        /// How it is printed
        #[arg(long, default_value = "text")]
        format: Format,
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
