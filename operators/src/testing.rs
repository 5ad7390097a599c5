//! An operator on the bench: plans it from options as YAML would give them, feeds it steps, keeps what it
//! emits as JSON lines.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::{LineDelimitedWriter, ReaderBuilder, reader::infer_json_schema};
use tidegate_pipeline::operator::{
    InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedOperator, SnapshotMode, StateReader, StateWriter,
};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located, Place};
use tidegate_pipeline::spec::{Options, Tree};
use tidegate_pipeline::step::{SchemaVersion, StepHeader, StepNumber, StepTime, Unit};
use tidegate_pipeline::table::{TableDefinition, TableSet};

/// Rows from JSON objects, with the schema that arrow infers.
pub(crate) fn rows(objects: &[&str]) -> RecordBatch {
    let text = objects.join("\n");
    let (schema, _) = infer_json_schema(text.as_bytes(), None).unwrap();
    rows_of(objects, &Arc::new(schema))
}

/// Rows from JSON objects in a given schema.
pub(crate) fn rows_of(objects: &[&str], schema: &SchemaRef) -> RecordBatch {
    let text = objects.join("\n");
    let mut reader = ReaderBuilder::new(Arc::clone(schema)).with_batch_size(1 << 20).build(text.as_bytes()).unwrap();
    reader.next().map_or_else(|| RecordBatch::new_empty(Arc::clone(schema)), |rows| rows.unwrap())
}

/// JSON lines, as [`Bench::emitted`] gives them.
pub(crate) fn lines(objects: &[&str]) -> Vec<String> {
    objects.iter().map(|object| (*object).to_owned()).collect()
}

fn place(line: u32, column: u32, length: usize) -> Place {
    Place { line, column, offset: (line * 100 + column) as usize, length }
}

fn at(line: u32, text: &str) -> Located<Tree> {
    Located::new(Tree::Text(text.into()), place(line, 11, text.len()))
}

/// Options that are one text, at 3:11 of a file.
pub(crate) fn text(text: &str) -> Options {
    let place = Place { line: 3, column: 11, offset: 12, length: text.len() };
    let source = format!("\n\n{}{text}", " ".repeat(10));
    Options::in_source(Located::new(Tree::Text(text.into()), place), source.into())
}

/// Options that are a list of texts.
pub(crate) fn list(items: &[&str]) -> Options {
    Options::new(Located::new(Tree::List(items.iter().map(|item| at(3, item)).collect()), place(3, 11, 1)))
}

/// Options that are a map of texts: a line for each entry from line 4, keys at column 5, values at 11.
pub(crate) fn map(fields: &[(&str, &str)]) -> Options {
    entries(fields.iter().map(|(key, value)| (*key, Tree::Text((*value).into()))))
}

/// Options that are a map: a line for each entry from line 4, keys at column 5, values at 11.
pub(crate) fn entries<'a>(fields: impl IntoIterator<Item = (&'a str, Tree)>) -> Options {
    let entries = fields.into_iter().zip(4..).map(|((key, value), line)| {
        (Located::new(key.into(), place(line, 5, key.len())), Located::new(value, place(line, 11, 1)))
    });
    Options::new(Located::new(Tree::Map(entries.collect()), place(3, 11, 1)))
}

/// A list of texts as a value.
pub(crate) fn items(texts: &[&str]) -> Tree {
    Tree::List(texts.iter().map(|item| at(4, item)).collect())
}

/// What else planning may look at.
#[derive(Default)]
pub(crate) struct Surroundings {
    pub(crate) open: bool,
    pub(crate) match_all: bool,
    pub(crate) directory: PathBuf,
    pub(crate) tables: Vec<TableDefinition>,
}

/// Plans an operator over one input.
pub(crate) fn plan_in(
    kind: &dyn OperatorKind,
    options: &Options,
    schema: SchemaRef,
    around: &Surroundings,
) -> Result<(PlannedOperator, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut warnings = Vec::new();
    let tables_of = |node: &str| (node == "inventory").then(|| around.tables.clone());
    let mut context = PlanContext {
        node: "node",
        inputs: &[],
        schema,
        open: around.open,
        match_all: around.match_all,
        working_directory: around.directory.clone(),
        memory: 1 << 30,
        recorded: Vec::new(),
        tables_of: &tables_of,
        warnings: &mut warnings,
    };
    let planned = kind.plan(options, &mut context)?;
    Ok((planned, warnings))
}

/// Plans an operator over one input.
pub(crate) fn plan(
    kind: &dyn OperatorKind,
    options: Options,
    schema: SchemaRef,
    open: bool,
) -> Result<PlannedOperator, Vec<Diagnostic>> {
    plan_in(kind, &options, schema, &Surroundings { open, ..Surroundings::default() }).map(|(planned, _)| planned)
}

/// What planning finds wrong.
pub(crate) fn diagnostics(kind: &dyn OperatorKind, options: Options, schema: SchemaRef) -> Vec<Diagnostic> {
    match plan(kind, options, schema, false) {
        Ok(_) => panic!("must be refused"),
        Err(found) => found,
    }
}

/// A running operator and what it has emitted.
pub(crate) struct Bench {
    pub(crate) planned: PlannedOperator,
    pub(crate) operator: Box<dyn Operator>,
    number: u64,
    time: i64,
    emitted: Vec<Vec<String>>,
    /// How many rows have left on each port.
    pub(crate) row_counts: Vec<usize>,
    pub(crate) rejected: Vec<String>,
}

impl Bench {
    pub(crate) fn new(kind: &dyn OperatorKind, options: Options, schema: SchemaRef) -> Self {
        Self::within(kind, &options, schema, &Surroundings::default())
    }

    pub(crate) fn matching_all(kind: &dyn OperatorKind, options: Options, schema: SchemaRef) -> Self {
        Self::within(kind, &options, schema, &Surroundings { match_all: true, ..Surroundings::default() })
    }

    pub(crate) fn within(kind: &dyn OperatorKind, options: &Options, schema: SchemaRef, around: &Surroundings) -> Self {
        let (planned, _) = plan_in(kind, options, schema, around).unwrap();
        let operator = (planned.build)().unwrap();
        let emitted = vec![Vec::new(); planned.ports.len()];
        let row_counts = vec![0; planned.ports.len()];
        Self { planned, operator, number: 0, time: 0, emitted, row_counts, rejected: Vec::new() }
    }

    /// The head of the next step, at `time` in ms.
    pub(crate) fn header(&mut self, time: i64) -> StepHeader {
        self.number += 1;
        self.time = time;
        StepHeader {
            number: StepNumber(self.number),
            time: StepTime(time),
            source: "test".into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        }
    }

    /// One step at `time` with `rows`, as the runtime drives it: rows, end of the step, deadline.
    pub(crate) async fn step(&mut self, time: i64, rows: &RecordBatch) -> Output {
        let header = self.header(time);
        let mut out = Output::default();
        self.operator.process(&header, InputIndex(0), rows, &mut out).await.unwrap();
        self.close(&header, &mut out).await;
        out
    }

    /// A step of another source: nothing for this node but its time.
    pub(crate) async fn tick(&mut self, time: i64) {
        let header = self.header(time);
        self.close(&header, &mut Output::default()).await;
    }

    pub(crate) async fn lookup(&mut self, contents: &[u8]) -> Output {
        let header = self.header(self.time);
        let mut out = Output::default();
        self.operator.lookup(&header, "table", contents, &mut out).await.unwrap();
        self.keep(&out);
        out
    }

    /// The tables of a provider, as a step hands them over.
    pub(crate) async fn tables(&mut self, tables: &TableSet) {
        let header = self.header(self.time);
        let mut out = Output::default();
        self.operator.tables(&header, InputIndex(1), tables, &mut out).await.unwrap();
        self.close(&header, &mut out).await;
    }

    pub(crate) async fn end(&mut self) {
        let header = self.header(self.time);
        let mut out = Output::default();
        self.operator.end_of_input(&header, &mut out).await.unwrap();
        self.keep(&out);
    }

    async fn close(&mut self, header: &StepHeader, out: &mut Output) {
        self.operator.end_of_step(header, out).await.unwrap();
        if self.operator.deadline().is_some_and(|deadline| deadline <= header.time) {
            self.operator.on_deadline(header, out).await.unwrap();
        }
        self.keep(out);
    }

    /// What the operator would write at a checkpoint now.
    pub(crate) fn snapshot(&mut self, mode: SnapshotMode) -> Vec<(String, RecordBatch)> {
        let mut writer = StateWriter::new(mode);
        self.operator.snapshot(&mut writer).unwrap();
        writer.batches
    }

    /// Starts the operator anew from snapshots; what it has emitted stays.
    pub(crate) fn restart(&mut self, batches: Vec<(String, RecordBatch)>) {
        self.operator = (self.planned.build)().unwrap();
        self.operator.restore(StateReader { batches }).unwrap();
    }

    fn keep(&mut self, out: &Output) {
        for (port, rows) in &out.rows {
            self.emitted[port.0].extend(json_lines(rows));
            self.row_counts[port.0] += rows.num_rows();
        }
        self.rejected.extend(out.rejected.iter().map(|(_, rejected)| rejected.reason.clone()));
    }

    /// What has left on a port, as JSON lines.
    pub(crate) fn emitted(&self, port: usize) -> Vec<String> {
        self.emitted[port].clone()
    }

    /// What has left on all ports, and why rows were rejected.
    pub(crate) fn everything(&self) -> (Vec<Vec<String>>, Vec<String>) {
        (self.emitted.clone(), self.rejected.clone())
    }
}

/// Rows as JSON lines.
pub(crate) fn json_lines(rows: &RecordBatch) -> Vec<String> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(rows).unwrap();
    writer.finish().unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}
