//! The contract of operators.
//!
//! An operator is a deterministic function of (state, step). What it owes:
//! 1. It reads no wall clock, random source, file or network. Time is the step's; the contents of files
//!    come by [`Operator::lookup`].
//! 2. What it emits does not depend on where steps are cut, unless its documentation says so.
//! 3. Expiry compares times; it never depends on when an eviction ran.
//! 4. [`Operator::snapshot`] writes what has changed since the last one, [`Operator::restore`] rebuilds
//!    exactly the state that the snapshots described.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::compaction::StateLayout;
use crate::error::{Error, Result};
use crate::rows::{Port, PortIndex, Rejected};
use crate::spec::diagnostic::{Diagnostic, Located};
use crate::spec::{Options, PortReference};
use crate::step::{StepHeader, StepTime};
use crate::table::{TableDefinition, TableSet};

/// The index of an input among the `from:` list of a node, side inputs after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputIndex(pub usize);

/// Collects what an operator emits during one step.
#[derive(Debug, Default)]
pub struct Output {
    /// Rows by port, in the order in which they were emitted.
    pub rows: Vec<(PortIndex, RecordBatch)>,
    /// Rows that could not be handled, with their index in the step.
    pub rejected: Vec<(u64, Rejected)>,
}

impl Output {
    /// Emits rows on a port. Empty batches are dropped.
    pub fn emit(&mut self, port: PortIndex, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows.push((port, batch));
        }
    }

    /// Hands a row to the `errors` port.
    pub fn reject(&mut self, row: u64, rejected: Rejected) {
        self.rejected.push((row, rejected));
    }
}

/// Whether a snapshot writes everything or what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMode {
    /// What has changed since the last snapshot. The runtime keeps it until its manifest commits.
    Changes,
    /// Everything: what was written before is dropped.
    Full,
}

pub use crate::compaction::BATCH_ROWS;

/// Takes the state of one node at one checkpoint.
#[derive(Debug)]
pub struct StateWriter {
    /// What is asked for.
    pub mode: SnapshotMode,
    /// What was written: named batches, in order.
    pub batches: Vec<(String, RecordBatch)>,
}

impl StateWriter {
    /// An empty writer.
    pub fn new(mode: SnapshotMode) -> Self {
        Self { mode, batches: Vec::new() }
    }

    /// The node has lost track of what has changed: what it writes from here on is everything, in place of all that
    /// was written before. Called before the first batch.
    pub fn everything(&mut self) {
        self.mode = SnapshotMode::Full;
    }

    /// Writes a batch of a named part of the state, of at most [`BATCH_ROWS`] rows where the state is large. The name carries the version of its format
    /// (`kept.v1`), so that old versions stay readable.
    pub fn put(&mut self, name: impl Into<String>, batch: RecordBatch) {
        self.batches.push((name.into(), batch));
    }
}

/// Gives the state of one node back: the batches of the last full snapshot and of all changes after it,
/// oldest first.
#[derive(Debug, Default)]
pub struct StateReader {
    /// The batches, in the order in which they were written.
    pub batches: Vec<(String, RecordBatch)>,
}

/// A section that this program cannot read: its name carries a version that is unknown here.
pub fn unreadable_section(name: &str) -> Error {
    Error::user(format!(
        "the state holds a section `{name}`, which this program ({}) does not know",
        env!("CARGO_PKG_VERSION")
    ))
    .with_remedy("a newer program is needed: run the one that wrote it, or begin anew with --fresh")
}

/// An operator that runs.
#[async_trait]
pub trait Operator: Send {
    /// Handles the rows of one input in one step. Called at most once per input and step, in `from:` order.
    ///
    /// # Errors
    /// Only for what makes going on impossible; bad rows go to [`Output::reject`].
    async fn process(
        &mut self,
        step: &StepHeader,
        input: InputIndex,
        rows: &RecordBatch,
        out: &mut Output,
    ) -> Result<()>;

    /// A provider that this node reads has ended a scope: its tables as they are now.
    async fn tables(
        &mut self,
        _step: &StepHeader,
        _input: InputIndex,
        _tables: &TableSet,
        _out: &mut Output,
    ) -> Result<()> {
        Ok(())
    }

    /// The contents of a file that this node reads, at first and after each change.
    async fn lookup(&mut self, _step: &StepHeader, _name: &str, _contents: &[u8], _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// All inputs of a step that had something for this node have been handled.
    async fn end_of_step(&mut self, _step: &StepHeader, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// The step time at or past which [`Operator::on_deadline`] wants to be called. The sequencer makes sure
    /// that a step comes. Must follow from the state, so that it survives a restart.
    fn deadline(&self) -> Option<StepTime> {
        None
    }

    /// The first step at or past the deadline, after its rows.
    async fn on_deadline(&mut self, _step: &StepHeader, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// Every source of the pipeline has ended: emit what is still held.
    async fn end_of_input(&mut self, _step: &StepHeader, _out: &mut Output) -> Result<()> {
        Ok(())
    }

    /// Writes the state.
    ///
    /// # Errors
    /// When the state cannot be encoded.
    fn snapshot(&mut self, _writer: &mut StateWriter) -> Result<()> {
        Ok(())
    }

    /// Rebuilds the state. Called before any row.
    ///
    /// # Errors
    /// When what was written cannot be understood.
    fn restore(&mut self, _reader: StateReader) -> Result<()> {
        Ok(())
    }
}

/// An input of a node as planning sees it.
#[derive(Debug, Clone)]
pub struct PlannedInput {
    /// What `from:` says.
    pub from: Located<PortReference>,
    /// The columns, all ports of the reference united by name.
    pub schema: SchemaRef,
    /// Whether rows may bring columns that the schema does not name.
    pub open: bool,
    /// The tables behind it, where it is a provider's.
    pub tables: Vec<TableDefinition>,
}

/// What planning an operator or sink may look at.
pub struct PlanContext<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// Its inputs.
    pub inputs: &'a [PlannedInput],
    /// All inputs united by column name: what [`Operator::process`] gets.
    pub schema: SchemaRef,
    /// Whether any input is open.
    pub open: bool,
    /// Whether `match: all` stands beside `route:`.
    pub match_all: bool,
    /// What relative paths are relative to.
    pub working_directory: PathBuf,
    /// The most memory that the queries of this node may use, in bytes: its share of `limits.memory`.
    pub memory: u64,
    /// The contents ([`PlannedOperator::contents`]) that it was planned with when its pipeline was recorded; empty
    /// where they are to be read anew.
    pub recorded: Vec<(String, Arc<[u8]>)>,
    /// Looks up the tables of another node, for side inputs.
    pub tables_of: &'a dyn Fn(&str) -> Option<Vec<TableDefinition>>,
    /// Warnings found on the way.
    pub warnings: &'a mut Vec<Diagnostic>,
}

/// A file whose contents an operator reads; the engine reads it and journals it.
#[derive(Debug, Clone)]
pub struct LookupFile {
    /// The name under which [`Operator::lookup`] gets it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// The state of an operator as a table that people can ask, such as the findings of a check.
#[derive(Debug, Clone)]
pub struct StateTable {
    /// The name of the table. Nodes whose tables have one name share it, told apart by its first column, `node`.
    pub name: &'static str,
    /// The columns of [`StateTable::rows`].
    pub schema: SchemaRef,
    /// The rows that a state means.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub rows: fn(&StateReader) -> Result<RecordBatch>,
}

/// An operator as planned.
pub struct PlannedOperator {
    /// Its data ports.
    pub ports: Vec<Port>,
    /// Files that it reads.
    pub lookups: Vec<LookupFile>,
    /// Tables of other nodes that it reads besides `from:`.
    pub side_inputs: Vec<Located<PortReference>>,
    /// Contents (packs, templates) that belong to the definition: a change is a change of the pipeline.
    pub contents: Vec<(String, Arc<[u8]>)>,
    /// Whether it evaluates the tables of its inputs by rules of its own: when those change, it is given the tables
    /// as they are.
    pub evaluates_tables: bool,
    /// How what it writes at checkpoints is merged; without it, it writes everything from time to time.
    pub state: Option<StateLayout>,
    /// How what it writes at checkpoints is read as a table.
    pub shown: Option<StateTable>,
    /// Makes it.
    pub build: Box<dyn Fn() -> Result<Box<dyn Operator>> + Send + Sync>,
}

impl PlannedOperator {
    /// An operator with one data port and nothing besides.
    pub fn new(ports: Vec<Port>, build: impl Fn() -> Result<Box<dyn Operator>> + Send + Sync + 'static) -> Self {
        Self {
            ports,
            lookups: Vec::new(),
            side_inputs: Vec::new(),
            contents: Vec::new(),
            evaluates_tables: false,
            state: None,
            shown: None,
            build: Box::new(build),
        }
    }
}

/// A kind of operator: `operators: {name: {from: …, KIND: options}}`.
pub trait OperatorKind: Send + Sync {
    /// The kind's name in YAML.
    fn name(&self) -> &'static str;
    /// One sentence for `component list`.
    fn summary(&self) -> &'static str;
    /// The JSON Schema of its options.
    fn schema(&self) -> schemars::Schema;
    /// Plans it against the schemas of its inputs. Reads local lookup files to learn their columns, never
    /// the network.
    ///
    /// # Errors
    /// Everything that is wrong with the options, each with its place.
    fn plan(&self, options: &Options, context: &mut PlanContext<'_>) -> Result<PlannedOperator, Vec<Diagnostic>>;
    /// Whether it runs queries over tables, which take their memory from `limits.memory`.
    fn runs_queries(&self) -> bool {
        false
    }
    /// Whether it looks at the tables of its inputs, where these have any, and not at the rows of their changes: then
    /// columns of one name need not have types in common.
    fn reads_tables(&self) -> bool {
        false
    }
    /// What of the options decides what its state means: with equal answers a changed operator goes on with its
    /// state. `None`: all of them do.
    fn state_of(&self, _options: &Options) -> Option<String> {
        None
    }
}
