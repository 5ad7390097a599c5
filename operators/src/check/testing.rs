//! Runs the tests that a pack brings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::json::ReaderBuilder;
use serde_json::Value;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::spec::diagnostic::Located;
use tidegate_pipeline::spec::{ByteSize, Tree};
use tidegate_pipeline::step::StepTime;
use tidegate_pipeline::table::TableDefinition;

use super::evaluate::{Evaluator, TableContents};
use super::finding::Finding;
use super::moment::moment;
use super::pack::{ExpectedFinding, GivenTest, Pack};
use super::plan::{Overrides, PlannedPack, Selection, relaxed};
use super::report::evaluate_all;

/// What `now()` is in a test that does not say: 2026-01-01T00:00:00Z.
pub const NOW: StepTime = StepTime(1_767_225_600_000);

/// The most memory that the queries of a test take.
const MEMORY: ByteSize = ByteSize::mebibytes(1024);

/// How a test of a pack ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOutcome {
    /// The control.
    pub control: Arc<str>,
    /// The name of the test.
    pub name: String,
    /// Where it stands: `FILE:LINE`.
    pub place: String,
    /// Whether the findings were as expected.
    pub passed: bool,
    /// What was not; empty where it passed.
    pub message: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs every test of `pack` against tables of these definitions, in the order of files and cases.
/// A table that a test does not give is empty; a column that a row does not give is NULL.
pub async fn run_pack_tests(pack: &Pack, definitions: &[TableDefinition]) -> Vec<TestOutcome> {
    let mut outcomes = Vec::with_capacity(pack.tests.len());
    for test in &pack.tests {
        let started = Instant::now();
        let verdict = run(pack, definitions, test).await;
        outcomes.push(TestOutcome {
            control: Arc::clone(&test.control),
            name: test.name.clone(),
            place: format!("{}:{}", test.file, test.place.line),
            passed: verdict.is_ok(),
            message: verdict.err().unwrap_or_default(),
            took: started.elapsed(),
        });
    }
    outcomes
}

async fn run(pack: &Pack, definitions: &[TableDefinition], test: &GivenTest) -> Result<(), String> {
    let selection = Selection { controls: vec![test.control.to_string()], ..Selection::default() };
    let params = test.params.iter().map(|(name, value)| (name.clone(), value.value.clone()));
    let overrides = match test.params.is_empty() {
        true => Overrides::new(),
        false => Overrides::from([(test.control.to_string(), params.collect())]),
    };
    let (planned, problems) =
        PlannedPack::plan(pack, definitions, &selection, &overrides, MEMORY).map_err(|error| error.to_string())?;
    if let Some(problem) = problems.options.first() {
        return Err(problem.message.clone());
    }
    if let Some(problem) = problems.queries.first() {
        return Err(problem.to_string());
    }
    let tables = given_tables(definitions, test)?;
    let now = match &test.now {
        None => NOW,
        Some(text) => moment(&text.value)
            .ok_or_else(|| format!("`now: {}` is not a time like 2026-01-01T00:00:00Z", text.value))?,
    };
    let report = evaluate_all(&Evaluator::new(planned), &tables, now).await.map_err(|error| error.to_string())?;
    compare(&test.expect, &report.findings, test.partial)
}

/// The tables of a test: those that it gives, the others empty.
fn given_tables(
    definitions: &[TableDefinition],
    test: &GivenTest,
) -> Result<BTreeMap<Arc<str>, TableContents>, String> {
    for (name, _) in &test.tables {
        if !definitions.iter().any(|definition| *definition.name == **name) {
            return Err(format!("the test gives rows of a table `{name}` that is not there"));
        }
    }
    let mut tables = BTreeMap::new();
    for definition in definitions {
        let rows = test.tables.iter().filter(|(name, _)| **name == *definition.name).flat_map(|(_, rows)| rows);
        let rows: Vec<&Located<Tree>> = rows.collect();
        let contents = TableContents::complete(Arc::new(definition.clone()), batches(definition, &rows)?);
        tables.insert(Arc::clone(&definition.name), contents);
    }
    Ok(tables)
}

/// Rows of a test as batches of the table's columns. Columns that a row leaves out are NULL.
fn batches(definition: &TableDefinition, rows: &[&Located<Tree>]) -> Result<Vec<RecordBatch>, String> {
    let schema = relaxed(&definition.schema);
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let Tree::Map(entries) = &row.value else {
            return Err(format!("line {}: a row of `{}` must be a map", row.place.line, definition.name));
        };
        for (key, _) in entries {
            if schema.field_with_name(key).is_err() {
                let line = key.place.line;
                return Err(format!("line {line}: the table `{}` has no column `{}`", definition.name, key.value));
            }
        }
        values.push(Value::from(&row.value));
    }
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let unreadable = |error| format!("the rows of `{}` cannot be read: {error}", definition.name);
    let mut decoder = ReaderBuilder::new(schema).with_coerce_primitive(true).build_decoder().map_err(unreadable)?;
    decoder.serialize(&values).map_err(unreadable)?;
    Ok(decoder.flush().map_err(unreadable)?.into_iter().collect())
}

/// Pairs each expected finding with one that is there.
fn compare(expected: &[ExpectedFinding], found: &[Finding], partial: bool) -> Result<(), String> {
    let mut left: Vec<&Finding> = found.iter().collect();
    let mut missing = Vec::new();
    for wanted in expected {
        let fits = |finding: &&Finding| {
            *finding.resource == *wanted.resource
                && finding.status == wanted.status
                && wanted.reason.as_ref().is_none_or(|piece| finding.reason.contains(piece.as_str()))
        };
        match left.iter().position(fits) {
            Some(position) => {
                left.swap_remove(position);
            }
            None => {
                let reason = wanted.reason.as_ref().map(|piece| format!(" with `{piece}`")).unwrap_or_default();
                missing.push(format!("expected `{}` to be {}{reason}", wanted.resource, wanted.status));
            }
        }
    }
    if missing.is_empty() && (partial || left.is_empty()) {
        return Ok(());
    }
    let mut there: Vec<String> = found
        .iter()
        .map(|finding| format!("`{}` is {} ({})", finding.resource, finding.status, finding.reason))
        .collect();
    there.sort();
    if missing.is_empty() {
        missing.push(format!("expected {} findings, found {}", expected.len(), found.len()));
    }
    if there.is_empty() {
        there.push("none".to_owned());
    }
    Err(format!("{}; found: {}", missing.join("; "), there.join(", ")))
}
