//! Controls that are evaluated over the rows that have changed only.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use proptest::prelude::*;
use tidegate_pipeline::operator::{InputIndex, Operator, Output};
use tidegate_pipeline::step::{ScopeOutcome, StepHeader};
use tidegate_pipeline::table::TableSet;

use super::over_tables::{Inventory, operator};
use super::{pack_of, plan};

const FILTERED: &str = "select arn as resource, case when encrypted then 'ok' else 'alarm' end as status, \
                        volume_id || ' is ' || state as reason, account_id, region from volume where state <> 'gone'";
const BY_KEY: &str = "select 'volume/' || volume_id as resource, case when encrypted then 'ok' else 'alarm' end as status, \
                      state as reason, account_id, region, volume_id from volume";

/// Whether a query is evaluated over changed rows only.
fn is_row_local(sql: &str) -> bool {
    let planned = plan(&pack_of(&[("a", sql)])).0;
    assert_eq!(planned.controls[0].problems(), [], "{sql}");
    planned.controls[0].row_local().is_some()
}

#[test]
fn a_query_that_filters_and_computes_looks_at_rows_alone() {
    let nested = "with open as (select * from volume where not encrypted) select o.arn as resource, 'alarm' as status, \
                  o.state as reason, o.account_id, o.region from open o";
    for sql in [FILTERED, BY_KEY, nested] {
        assert!(is_row_local(sql), "{sql}");
    }
}

#[test]
fn a_query_whose_answer_depends_on_more_than_a_row_does_not() {
    let select = |resource: &str, more: &str| {
        format!("select {resource} as resource, 'ok' as status, 'r' as reason, account_id, region from volume {more}")
    };
    let others = [
        ("an aggregate", select("min(arn)", "group by account_id, region")),
        ("another table", select("arn", "where volume_id in (select volume_id from snapshot)")),
        (
            "a join",
            "select v.arn as resource, 'ok' as status, 'r' as reason, v.account_id, v.region from volume v \
                    join snapshot s on v.volume_id = s.volume_id"
                .to_owned(),
        ),
        ("the time", select("arn", "where created < now()")),
        ("an order", select("arn", "order by arn limit 3")),
        ("an identity that rows share", select("state", "")),
        ("an identity that is computed", select("lower(arn)", "")),
        (
            "an identity without the region",
            "select arn as resource, 'ok' as status, 'r' as reason from volume".to_owned(),
        ),
        ("rows twice", format!("{FILTERED} union all {FILTERED}")),
    ];
    for (what, sql) in others {
        assert!(!is_row_local(&sql), "{what}: {sql}");
    }
}

/// What may befall a volume: region, number, state, whether it is encrypted; without a state it is deleted.
type Event = (u8, u8, Option<bool>, bool);

/// What a refresh finds, and how it ends.
fn refreshes() -> impl Strategy<Value = Vec<(u8, Vec<Event>, bool)>> {
    let event = (0..2_u8, 0..5_u8, proptest::option::weighted(0.8, any::<bool>()), any::<bool>());
    proptest::collection::vec((0..2_u8, proptest::collection::vec(event, 0..4), proptest::bool::weighted(0.9)), 1..12)
}

/// Applies what a refresh of a region finds.
fn refresh(
    inventory: &mut Inventory,
    known: &mut BTreeMap<(u8, u8), (String, bool)>,
    (region, events, completes): &(u8, Vec<Event>, bool),
) -> (StepHeader, TableSet) {
    let mut changes: Vec<(&str, String, String, bool)> = Vec::new();
    for (_, number, state, encrypted) in events {
        let id = format!("v{number}");
        match (state, known.remove(&(*region, *number))) {
            (None, None) => {}
            (None, Some((state, encrypted))) => changes.push(("delete", id, state, encrypted)),
            (Some(used), before) => {
                let state = if *used { "in-use" } else { "gone" }.to_owned();
                known.insert((*region, *number), (state.clone(), *encrypted));
                changes.push((if before.is_some() { "update" } else { "insert" }, id, state, *encrypted));
            }
        }
    }
    let region = format!("r{region}");
    let rows: Vec<_> = changes
        .iter()
        .map(|(operation, id, state, encrypted)| {
            (*operation, (region.as_str(), id.as_str(), state.as_str(), *encrypted))
        })
        .collect();
    let outcome = if *completes { ScopeOutcome::Complete } else { ScopeOutcome::Failed("no answer".to_owned()) };
    inventory.volumes(&region, &rows, outcome)
}

async fn emitted(check: &mut dyn Operator, (header, tables): &(StepHeader, TableSet)) -> Vec<RecordBatch> {
    let mut out = Output::default();
    check.tables(header, InputIndex(0), tables, &mut out).await.unwrap();
    check.end_of_step(header, &mut out).await.unwrap();
    out.rows.into_iter().map(|(_, batch)| batch).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn looking_at_changed_rows_tells_what_looking_at_all_of_them_tells(steps in refreshes()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for sql in [FILTERED, BY_KEY] {
            // What is joined changes nothing, but takes an evaluation of everything.
            let joined = sql.replace("from volume", "from volume cross join (select 1 as one) as other");
            let mut whole = operator(&format!("sql: {joined}"));
            let mut by_row = operator(&format!("sql: {sql}"));
            let (mut inventory, mut known) = (Inventory::new(), BTreeMap::new());
            for step in &steps {
                let step = refresh(&mut inventory, &mut known, step);
                let (expected, found) = runtime.block_on(async { (emitted(&mut *whole, &step).await, emitted(&mut *by_row, &step).await) });
                prop_assert_eq!(found, expected);
            }
        }
    }
}
