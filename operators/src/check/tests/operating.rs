use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use tidegate_pipeline::operator::{
    InputIndex, Operator, OperatorKind, Output, PlanContext, PlannedInput, PlannedOperator, SnapshotMode, StateReader,
    StateWriter,
};
use tidegate_pipeline::spec::diagnostic::{Diagnostic, Located};
use tidegate_pipeline::spec::{NOWHERE, Options, PortReference};
use tidegate_pipeline::step::{StepHeader, StepNumber, StepTime, Unit};
use tidegate_pipeline::table::TableDefinition;

use super::super::pack::PackLibrary;
use super::super::{CheckKind, finding_schema};
use super::{ENCRYPTED, HEAD, TIME, definitions, files, volume_rows};

fn library() -> PackLibrary {
    let control = |id: &str| format!("  - {{id: {id}, title: T, severity: high, query: {id}.sql}}\n");
    let controls = format!("controls:\n{}{}", control("good"), control("bad"));
    let over_input = ENCRYPTED.replace("from volume", "from input");
    let pack = [
        HEAD,
        ("p/ec2/controls.yaml", &controls),
        ("p/ec2/good.sql", ENCRYPTED),
        ("p/ec2/bad.sql", "select x from volume"),
        ("p/tests/good.yaml", ""),
    ];
    let events = [
        ("e/pack.yaml", "name: e"),
        ("e/controls.yaml", &*format!("controls:\n{}", control("good"))),
        ("e/good.sql", &over_input),
    ];
    PackLibrary {
        embedded: vec![("p".to_owned(), files(&pack)), ("e".to_owned(), files(&events))],
        directories: Vec::new(),
    }
}

pub(super) fn plan(
    options: &str,
    tables: Vec<TableDefinition>,
) -> (Result<PlannedOperator, Vec<Diagnostic>>, Vec<Diagnostic>) {
    plan_within(options, tables, 1 << 30)
}

fn plan_within(
    options: &str,
    tables: Vec<TableDefinition>,
    memory: u64,
) -> (Result<PlannedOperator, Vec<Diagnostic>>, Vec<Diagnostic>) {
    let schema = Arc::clone(&definitions()[0].schema);
    let from = Located::new(PortReference { node: "in".into(), port: None }, NOWHERE);
    let inputs = [PlannedInput { from, schema: Arc::clone(&schema), open: false, tables }];
    let mut warnings = Vec::new();
    let mut context = PlanContext {
        node: "hygiene",
        inputs: &inputs,
        schema,
        open: false,
        match_all: false,
        working_directory: PathBuf::from("."),
        memory,
        recorded: Vec::new(),
        tables_of: &|_| None,
        warnings: &mut warnings,
    };
    let planned = CheckKind::new(library()).plan(&Options::parse(options).unwrap(), &mut context);
    (planned, warnings)
}

fn errors(options: &str, tables: Vec<TableDefinition>) -> Vec<Diagnostic> {
    plan(options, tables).0.err().unwrap()
}

fn step(number: u64) -> StepHeader {
    StepHeader {
        number: StepNumber(number),
        time: StepTime(TIME.0 + number as i64),
        source: "in".into(),
        unit: Unit::Rows,
        schema_version: tidegate_pipeline::step::SchemaVersion::default(),
        watermark: None,
    }
}

/// Lets an operator handle one step, and gives what it emits as `resource status drift`.
async fn run(operator: &mut dyn Operator, number: u64, rows: &RecordBatch) -> Vec<String> {
    let mut out = Output::default();
    operator.process(&step(number), InputIndex(0), rows, &mut out).await.unwrap();
    operator.end_of_step(&step(number), &mut out).await.unwrap();
    out.rows.iter().flat_map(|(_, batch)| lines(batch)).collect()
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    assert_eq!(batch.schema(), finding_schema());
    let text = |name: &str, row: usize| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    (0..batch.num_rows())
        .map(|row| format!("{} {} {}", text("resource", row), text("status", row), text("drift", row)))
        .collect()
}

#[tokio::test]
async fn over_events_a_finding_stays_until_a_later_row_is_ok() {
    let (planned, _) = plan("pack: e", Vec::new());
    let mut operator = (planned.unwrap().build)().unwrap();
    let bad = volume_rows(&[("r", "v1", "in-use", false), ("r", "v2", "in-use", true)]);
    assert_eq!(run(&mut *operator, 1, &bad).await, ["arn:v1 alarm new"]);
    let other = volume_rows(&[("r", "v3", "in-use", false)]);
    assert_eq!(run(&mut *operator, 2, &other).await, ["arn:v3 alarm new"]);
    let good = volume_rows(&[("r", "v1", "in-use", true)]);
    assert_eq!(run(&mut *operator, 3, &good).await, ["arn:v1 ok resolved"]);
}

#[tokio::test]
async fn a_query_in_the_options_is_a_control_of_its_own() {
    let options = "sql: \"select arn as resource, 'alarm' as status, volume_id || '.' as reason from input where volume_id = $name\"
title: No v1
severity: critical
params: {name: v1}
emit: all";
    let (planned, _) = plan(options, Vec::new());
    let mut operator = (planned.unwrap().build)().unwrap();
    let rows = volume_rows(&[("r", "v1", "in-use", false), ("r", "v2", "in-use", true)]);
    assert_eq!(run(&mut *operator, 1, &rows).await, ["arn:v1 alarm new"]);
    assert_eq!(run(&mut *operator, 2, &rows).await, ["arn:v1 alarm unchanged"]);
}

#[tokio::test]
async fn a_restored_operator_emits_what_the_first_would_have() {
    let (planned, _) = plan("pack: e", Vec::new());
    let planned = planned.unwrap();
    let mut first = (planned.build)().unwrap();
    run(&mut *first, 1, &volume_rows(&[("r", "v1", "in-use", false)])).await;
    let mut writer = StateWriter::new(SnapshotMode::Changes);
    first.snapshot(&mut writer).unwrap();
    let mut second = (planned.build)().unwrap();
    second.restore(StateReader { batches: writer.batches }).unwrap();
    let rows = volume_rows(&[("r", "v1", "in-use", false), ("r", "v2", "in-use", false)]);
    assert_eq!(run(&mut *second, 2, &rows).await, ["arn:v2 alarm new"]);
}

#[test]
fn a_broken_control_of_a_pack_is_a_warning_with_its_file() {
    let (planned, warnings) = plan("pack: p", definitions());
    let planned = planned.unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].file.as_deref(), Some("p/ec2/bad.sql"));
    assert_eq!(planned.ports[0].schema, finding_schema());
    let contents: Vec<&str> = planned.contents.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(contents, ["p/ec2/bad.sql", "p/ec2/controls.yaml", "p/ec2/good.sql", "p/pack.yaml"]);
}

#[test]
fn options_that_cannot_be_met_are_errors() {
    assert!(errors("{}", Vec::new())[0].message.contains("neither `pack` nor `sql`"));
    assert!(errors("{pack: p, sql: x}", Vec::new())[0].message.contains("both"));
    assert_eq!(errors("pack: pp", Vec::new())[0].help.as_deref(), Some("did you mean `p`?"));
    assert_eq!(errors("{pack: p, controls: [gode]}", definitions())[0].help.as_deref(), Some("did you mean `good`?"));
    assert!(errors("{pack: p, benchmark: cis}", definitions())[0].message.contains("no benchmark `cis`"));
    assert!(errors("{pack: p, severity: low}", definitions())[0].message.contains("belongs to `sql`"));
    assert!(errors("{pack: p, params: {good: 3}}", definitions())[0].message.contains("must be a map"));
    assert!(errors("sql: select nothing from input", Vec::new())[0].message.contains("nothing"));
}

#[test]
fn a_pack_none_of_whose_tables_are_there_is_an_error() {
    let (planned, warnings) = plan("pack: p", Vec::new());
    assert!(planned.err().unwrap()[0].message.contains("no control to evaluate"));
    assert!(warnings.iter().any(|warning| warning.message.contains("there is no table `volume`")), "{warnings:?}");
}

const GROUPED: &str = "sql: select volume_id as resource, 'ok' as status, 'r.' as reason from input group by volume_id";

#[tokio::test]
async fn a_query_over_the_limit_of_memory_is_an_error_that_names_the_limit() {
    let names: Vec<String> = (0..20_000).map(|number| format!("vol-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| ("r", name.as_str(), "in-use", true)).collect();
    let (planned, _) = plan_within(GROUPED, Vec::new(), 64 << 10);
    let mut operator = (planned.unwrap().build)().unwrap();
    let mut out = Output::default();
    operator.process(&step(1), InputIndex(0), &volume_rows(&many), &mut out).await.unwrap();
    operator.end_of_step(&step(1), &mut out).await.unwrap();
    assert_eq!(lines(&out.rows[0].1), ["control:hygiene error new"]);
    let reason = out.rows[0].1.column_by_name("reason").unwrap().as_string::<i32>().value(0);
    assert!(reason.contains("the 64KiB that `limits: {memory: 64KiB}` allows"), "{reason}");
    let few = volume_rows(&many[..10]);
    assert_eq!(run(&mut *operator, 2, &few).await, ["control:hygiene ok resolved"]);
}

#[test]
fn a_mistake_in_a_query_has_its_line_and_column_in_the_pipeline() {
    let places = |options: &str| {
        let found = errors(options, Vec::new());
        (found[0].place.line, found[0].place.column)
    };
    let query = "select arn as resource, 'ok' as status,\n    'r.' as reason\n  from input where\n  nothing_like_it";
    assert_eq!(places(&format!("title: T\nsql: |\n  {query}\n")), (6, 3));
    assert_eq!(places(&format!("title: T\nsql: >\n  {query}\n")), (6, 3));
    assert_eq!(places(&format!("title: T\nsql: \"{query}\"\n")), (5, 3));
    assert_eq!(places("{sql: 'select arn as resource, ''ok'' as status, reasn as reason from input'}"), (1, 50));
    assert_eq!(places("sql: select 1 as resource from input"), (1, 6), "the query as a whole");
    assert_eq!(places("{sql: select 1 as resource from input, params: {a: {b: c}}}"), (1, 52));
}
