//! Behaviour of providers as sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::error::{Domain, Error};
use crate::source::{Arrival, Source, SourceContext};
use crate::step::{Position, Scope, ScopeOutcome, Unit};
use crate::table::{Operation, Tables};
use crate::testing::provider::{ScriptedProvider, ScriptedScope};

mod credentials;
mod groups;
mod property;
mod targets;

const SOON: Duration = Duration::from_millis(1);

fn definition(name: &str) -> TableDefinition {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let fields =
        vec![text("account_id"), text("region"), text("arn"), number("id"), number("value"), number("_collected_at")];
    let schema = Arc::new(Schema::new(fields));
    TableDefinition::new(name, "Things", schema, ["id"])
}

fn scope(region: &str) -> Scope {
    Scope { account_id: "a".into(), region: region.into(), table: "thing".into() }
}

/// A page of rows (id, value), collected at `time`.
fn page_at(time: i64, region: &str, rows: &[(i64, i64)]) -> RecordBatch {
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows.len()])) };
    let columns: Vec<ArrayRef> = vec![
        text("a"),
        text(region),
        text("arn"),
        Arc::new(rows.iter().map(|(id, _)| *id).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(_, value)| *value).collect::<Int64Array>()),
        Arc::new(Int64Array::from(vec![time; rows.len()])),
    ];
    RecordBatch::try_new(definition("thing").schema, columns).unwrap()
}

fn page(region: &str, rows: &[(i64, i64)]) -> RecordBatch {
    page_at(0, region, rows)
}

fn provider() -> ScriptedProvider {
    ScriptedProvider::new(vec![definition("other"), definition("thing")])
}

fn complete(region: &str, rows: &[(i64, i64)]) -> ScriptedScope {
    ScriptedScope::complete(scope(region), vec![page(region, rows)])
}

fn tables() -> Tables {
    Tables::new(provider().tables()).unwrap()
}

/// What a source is opened with that begins, over these tables.
fn context(tables: &Tables) -> SourceContext {
    SourceContext {
        node: "inventory".into(),
        position: None,
        schemas: Vec::new(),
        once: false,
        tables: tables.shared(),
        cancel: CancellationToken::new(),
    }
}

/// What runs a source as the sequencer does.
struct Run {
    tables: Tables,
    provider: Arc<ScriptedProvider>,
    source: Box<dyn Source>,
}

impl Run {
    async fn open(provider: ScriptedProvider, tables: Tables, position: Option<Position>) -> Self {
        let provider = Arc::new(provider);
        let planned = planned_provider_source(Arc::clone(&provider), Some(SOON));
        let context = SourceContext { position, ..context(&tables) };
        Self { source: planned.open.open(context).await.unwrap(), tables, provider }
    }

    /// Takes arrivals in until `count` refreshes are over, and gives them.
    async fn refreshes(&mut self, count: usize) -> Result<Vec<Arrival>> {
        let mut arrivals = Vec::new();
        while self.provider.begun() <= count {
            // While nothing changes nothing arrives: look up now and then whether the next refresh has begun.
            let Ok(arrival) = tokio::time::timeout(SOON, self.source.next()).await else { continue };
            let arrival = arrival?.expect("a source that refreshes again and again does not end");
            self.tables.apply(&arrival.unit, arrival.rows.iter().map(|(_, batch)| batch)).unwrap();
            arrivals.push(arrival);
        }
        Ok(arrivals)
    }

    fn contents(&self, region: &str) -> BTreeMap<i64, i64> {
        let current = self.tables.current();
        let slices = current.get("thing").unwrap().rows_of_scope(&scope(region)).unwrap();
        let pairs = |batch: &RecordBatch| {
            let column = |index: usize| batch.column(index).as_primitive::<Int64Type>().values().to_vec();
            column(3).into_iter().zip(column(4))
        };
        slices.iter().flat_map(pairs).collect()
    }
}

/// Runs a script to the end of its refreshes and gives what arrived in each line by line.
async fn arrivals_of(script: ScriptedProvider, count: usize) -> (Run, Vec<String>) {
    let mut run = Run::open(script, tables(), None).await;
    let arrivals = run.refreshes(count).await.unwrap();
    (run, arrivals.iter().map(describe).collect())
}

/// `region begin`, `region insert 1,2 update 3`, `region complete`.
fn describe(arrival: &Arrival) -> String {
    match &arrival.unit {
        Unit::Rows => "rows".to_owned(),
        Unit::Begin(scope) => format!("{} begin", scope.region),
        Unit::Page(scope) | Unit::Targeted(scope) => {
            let changes = arrival.rows.iter().map(|(_, batch)| describe_changes(batch)).collect::<Vec<_>>();
            let targeted = if matches!(arrival.unit, Unit::Targeted(_)) { "targeted " } else { "" };
            format!("{} {targeted}{}", scope.region, changes.join(" "))
        }
        Unit::End(scope, ScopeOutcome::Complete) => format!("{} complete", scope.region),
        Unit::End(scope, ScopeOutcome::Skipped(reason)) => format!("{} skipped: {reason}", scope.region),
        Unit::End(scope, ScopeOutcome::Failed(reason)) => format!("{} failed: {reason}", scope.region),
    }
}

fn describe_changes(batch: &RecordBatch) -> String {
    let operations = batch.column(0).as_string::<i32>();
    let ids = batch.column(5).as_primitive::<Int64Type>();
    let of = |operation: Operation| {
        let rows = (0..batch.num_rows()).filter(|&row| operations.value(row) == operation.as_str());
        let ids: Vec<String> = rows.map(|row| ids.value(row).to_string()).collect();
        (!ids.is_empty()).then(|| format!("{operation} {}", ids.join(",")))
    };
    let all = [Operation::Insert, Operation::Update, Operation::Delete].into_iter().filter_map(of);
    all.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_refresh_gives_begin_changes_and_end() {
    let script =
        provider().refresh(vec![complete("r", &[(1, 1), (2, 2)])]).refresh(vec![complete("r", &[(2, 3), (4, 4)])]);
    let (run, arrivals) = arrivals_of(script, 2).await;
    assert_eq!(
        arrivals,
        ["r begin", "r insert 1,2", "r complete", "r begin", "r insert 4 update 2", "r delete 1", "r complete"]
    );
    assert_eq!(run.contents("r"), BTreeMap::from([(2, 3), (4, 4)]));
}

#[tokio::test]
async fn a_second_identical_refresh_writes_nothing() {
    let rows: Vec<_> = (0..10_000).map(|id| (id, id)).collect();
    let backwards: Vec<_> = rows.iter().rev().copied().collect();
    let script = provider().refresh(vec![complete("r", &rows)]).refresh(vec![ScriptedScope::complete(
        scope("r"),
        backwards.chunks(700).map(|rows| page_at(99, "r", rows)).collect(),
    )]);
    let (run, arrivals) = arrivals_of(script, 3).await;
    assert_eq!(arrivals.iter().filter(|line| line.contains("begin") || line.contains("complete")).count(), 2);
    assert_eq!(run.contents("r").len(), 10_000);
}

#[tokio::test]
async fn an_empty_scope_is_recorded_as_complete_once() {
    let (run, arrivals) = arrivals_of(provider().refresh(vec![complete("r", &[])]), 3).await;
    assert_eq!(arrivals, ["r begin", "r complete"]);
    assert!(run.tables.current().get("thing").unwrap().complete_for("a", "r"));
}

#[tokio::test]
async fn a_failed_scope_deletes_nothing() {
    let failed =
        ScriptedScope::ending(scope("r"), vec![page("r", &[(2, 9), (5, 5)])], ScopeOutcome::Failed("throttled".into()));
    let script = provider().refresh(vec![complete("r", &[(1, 1), (2, 2)])]).refresh(vec![failed]);
    let (run, arrivals) = arrivals_of(script, 3).await;
    assert_eq!(arrivals[3..], ["r begin", "r insert 5 update 2", "r failed: throttled"]);
    assert_eq!(run.contents("r"), BTreeMap::from([(1, 1), (2, 9), (5, 5)]));
    assert!(!run.tables.current().get("thing").unwrap().complete_for("a", "r"));
}

#[tokio::test]
async fn a_skipped_scope_deletes_nothing_and_recovers() {
    let skipped = ScriptedScope::ending(scope("r"), vec![], ScopeOutcome::Skipped("needs root".into()));
    let rows = complete("r", &[(1, 1)]);
    let script = provider().refresh(vec![rows.clone()]).refresh(vec![skipped]).refresh(vec![rows]);
    let (run, arrivals) = arrivals_of(script, 3).await;
    assert_eq!(arrivals[3..], ["r begin", "r skipped: needs root", "r begin", "r complete"]);
    assert_eq!(run.contents("r"), BTreeMap::from([(1, 1)]));
}

#[tokio::test]
async fn a_failing_scope_does_not_stop_the_others() {
    let script = provider()
        .refresh(vec![ScriptedScope::panicking(scope("p"), vec![page("p", &[(1, 1)])]), complete("q", &[(1, 1)])]);
    let (_, arrivals) = arrivals_of(script, 3).await;
    let panicked = "p failed: the provider panicked: the script says so";
    assert_eq!(arrivals, ["p begin", "p insert 1", panicked, "q begin", "q insert 1", "q complete"]);
}

#[tokio::test]
async fn rows_of_other_scopes_stay_when_a_scope_is_refreshed() {
    let script = provider()
        .refresh(vec![complete("r", &[(1, 1)]), complete("s", &[(1, 7)])])
        .refresh(vec![complete("r", &[(2, 2)])]);
    let (run, arrivals) = arrivals_of(script, 2).await;
    assert_eq!(arrivals[6..], ["r begin", "r insert 2", "r delete 1", "r complete"]);
    assert_eq!(run.contents("s"), BTreeMap::from([(1, 7)]));
}

#[tokio::test]
async fn a_row_that_comes_back_is_an_insert() {
    let rows = complete("r", &[(1, 1)]);
    let script = provider().refresh(vec![rows.clone()]).refresh(vec![complete("r", &[])]).refresh(vec![rows]);
    let (_, arrivals) = arrivals_of(script, 3).await;
    assert_eq!(arrivals[3..], ["r begin", "r delete 1", "r complete", "r begin", "r insert 1", "r complete"]);
}

#[tokio::test]
async fn of_duplicates_in_a_scope_the_first_stays_and_the_others_are_reported_once() {
    let pages = vec![page("r", &[(1, 10), (2, 20), (1, 11)]), page("r", &[(2, 21), (3, 30)])];
    let script = provider().refresh(vec![ScriptedScope::complete(scope("r"), pages)]);
    let mut run = Run::open(script, tables(), None).await;
    let arrivals = run.refreshes(3).await.unwrap();
    assert_eq!(
        arrivals.iter().map(describe).collect::<Vec<_>>(),
        ["r begin", "r insert 1,2", "r insert 3", "r complete"]
    );
    assert_eq!(run.contents("r"), BTreeMap::from([(1, 10), (2, 20), (3, 30)]));
    let rejected: Vec<_> = arrivals.iter().flat_map(|arrival| &arrival.rejected).collect();
    assert_eq!(rejected.len(), 2);
    assert!(rejected[0].raw.contains("\"value\":11") && rejected[1].raw.contains("\"value\":21"), "{rejected:?}");
    assert_eq!(rejected[0].position, "a/r/thing");
}

#[tokio::test]
async fn a_page_of_another_schema_fails_its_scope_with_a_reason() {
    let wrong = page("r", &[(1, 1)]).project(&[0, 1, 2, 3]).unwrap();
    let pages = vec![page("r", &[(5, 5)]), wrong, page("r", &[(6, 6)])];
    let (run, arrivals) = arrivals_of(provider().refresh(vec![ScriptedScope::complete(scope("r"), pages)]), 1).await;
    assert_eq!(arrivals[..2], ["r begin", "r insert 5"]);
    assert!(arrivals[2].starts_with("r failed: a page has the columns [account_id Utf8"), "{arrivals:?}");
    assert_eq!(run.contents("r"), BTreeMap::from([(5, 5)]));
}

#[tokio::test]
async fn a_page_of_another_scope_fails_its_scope_with_a_reason() {
    let script = provider().refresh(vec![ScriptedScope::complete(scope("r"), vec![page("s", &[(1, 1)])])]);
    let (run, arrivals) = arrivals_of(script, 1).await;
    assert_eq!(arrivals.len(), 2);
    assert!(arrivals[1].contains("account_id or region are not those of a/r/thing"), "{arrivals:?}");
    assert!(run.contents("s").is_empty());
}

#[tokio::test]
async fn what_an_interrupted_refresh_left_is_ended_as_failed_and_compared_with() {
    let mut tables = tables();
    let interrupted = provider().refresh(vec![complete("r", &[(1, 1), (2, 2)])]);
    let mut first = Run::open(interrupted, tables, None).await;
    // Begin and page are taken in, then the process dies before the end.
    for _ in 0..2 {
        let arrival = first.source.next().await.unwrap().unwrap();
        first.tables.apply(&arrival.unit, arrival.rows.iter().map(|(_, batch)| batch)).unwrap();
    }
    tables = first.tables;
    assert_eq!(tables.current().open.len(), 1);

    let script = provider().refresh(vec![complete("r", &[(2, 2)])]);
    let mut second = Run::open(script, tables, Some(Position(r#"{"refresh":1}"#.into()))).await;
    let arrivals = second.refreshes(1).await.unwrap();
    let lines: Vec<_> = arrivals.iter().map(describe).collect();
    assert_eq!(lines, ["r failed: the refresh was interrupted", "r begin", "r delete 1", "r complete"]);
    assert_eq!(second.contents("r"), BTreeMap::from([(2, 2)]));
}

#[tokio::test]
async fn positions_count_refreshes_and_go_on_where_they_were() {
    let script = || provider().refresh(vec![complete("r", &[(1, 1)])]).refresh(vec![complete("r", &[(1, 2)])]);
    let mut run = Run::open(script(), tables(), Some(Position(r#"{"refresh":7}"#.into()))).await;
    let arrivals = run.refreshes(2).await.unwrap();
    let positions: Vec<&str> = arrivals.iter().map(|arrival| arrival.position.0.as_ref()).collect();
    assert_eq!(
        positions[..3],
        [r#"{"refresh":8,"arrival":1}"#, r#"{"refresh":8,"arrival":2}"#, r#"{"refresh":8,"arrival":3}"#]
    );
    assert_eq!(positions[5..], [r#"{"refresh":9,"arrival":6}"#]);
}

#[tokio::test]
async fn a_provider_that_cannot_list_its_scopes_is_an_external_error() {
    let mut run = Run::open(provider().failing_refresh("no route to host"), tables(), None).await;
    let error: Error = run.refreshes(1).await.unwrap_err();
    assert_eq!(error.domain, Domain::External);
    assert!(error.message.contains("no route to host"), "{error}");
}

#[tokio::test]
async fn a_refresh_of_once_ends_the_source() {
    for (refresh, once) in [(None, false), (Some(Duration::from_secs(3_600)), true)] {
        let planned = planned_provider_source(Arc::new(provider().refresh(vec![complete("r", &[(1, 1)])])), refresh);
        assert_eq!(planned.bounded, refresh.is_none());
        let ports: Vec<&str> = planned.ports.iter().map(|port| port.name.as_ref()).collect();
        assert_eq!(ports, ["other", "thing"]);
        let context = SourceContext { once, ..context(&tables()) };
        let mut source = planned.open.open(context).await.unwrap();
        let mut lines = Vec::new();
        while let Some(arrival) = source.next().await.unwrap() {
            assert!(arrival.rows.iter().all(|(port, batch)| port.0 == 1 && batch.schema() == planned.ports[1].schema));
            lines.push(describe(&arrival));
        }
        assert_eq!(lines, ["r begin", "r insert 1", "r complete"]);
        assert!(source.next().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn large_changes_arrive_in_small_pages() {
    let rows: Vec<_> = (0..10_000).map(|id| (id, id)).collect();
    let script = provider().refresh(vec![complete("r", &rows)]).refresh(vec![complete("r", &[])]);
    let mut run = Run::open(script, tables(), None).await;
    let arrivals = run.refreshes(2).await.unwrap();
    assert!(arrivals.iter().all(|arrival| arrival.row_count() <= crate::table::LEAF_ROWS));
    assert_eq!(arrivals.iter().map(Arrival::row_count).sum::<usize>(), 20_000);
    assert!(run.contents("r").is_empty());
}
