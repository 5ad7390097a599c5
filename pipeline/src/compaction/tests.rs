//! What was merged restores what its parts restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::testing::compaction::merge_batches;

type Rows = Vec<(i64, Option<i64>)>;
type Segments = Vec<Vec<(String, RecordBatch)>>;

/// Rows of `kept`: key, and a time or NULL for one that is gone.
fn kept(rows: &[(i64, Option<i64>)]) -> (String, RecordBatch) {
    let keys: ArrayRef = Arc::new(rows.iter().map(|(key, _)| Some(*key)).collect::<Int64Array>());
    let times: ArrayRef = Arc::new(rows.iter().map(|(_, time)| *time).collect::<Int64Array>());
    ("kept".to_owned(), RecordBatch::try_from_iter([("key", keys), ("time", times)]).unwrap())
}

fn clock(newest: i64) -> (String, RecordBatch) {
    let newest: ArrayRef = Arc::new(Int64Array::from(vec![newest]));
    ("clock".to_owned(), RecordBatch::try_from_iter([("newest", newest)]).unwrap())
}

fn layout(expires: bool) -> StateLayout {
    let after = Expires { time: "time".into(), clock: "clock".into(), after: 100 };
    let gone = Gone::Null("time".into());
    let rule = Keyed { key: vec!["key".into()], gone, expires: expires.then_some(after) };
    StateLayout::default().keyed("kept", rule).newest("clock")
}

/// What restoring does: later rows replace earlier ones.
fn restored(segments: &Segments) -> (BTreeMap<i64, i64>, Option<i64>) {
    let (mut times, mut newest) = (BTreeMap::new(), None);
    for (name, batch) in segments.iter().flatten() {
        let first = batch.column(0).as_primitive::<Int64Type>();
        if name == "clock" {
            newest = Some(first.value(0));
            continue;
        }
        let second = batch.column(1).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            match second.is_valid(row) {
                true => drop(times.insert(first.value(row), second.value(row))),
                false => drop(times.remove(&first.value(row))),
            }
        }
    }
    (times, newest)
}

fn arbitrary_segments() -> impl Strategy<Value = Vec<(Vec<Rows>, Option<i64>)>> {
    let rows = prop::collection::vec((0..20_i64, prop::option::weighted(0.7, 0..300_i64)), 0..12);
    prop::collection::vec((prop::collection::vec(rows, 0..3), prop::option::of(0..300_i64)), 1..6)
}

fn segments(of: &[(Vec<Rows>, Option<i64>)]) -> Segments {
    let segment = |(batches, newest): &(Vec<Rows>, Option<i64>)| {
        batches.iter().map(|rows| kept(rows)).chain(newest.map(clock)).collect()
    };
    of.iter().map(segment).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_merged_chain_restores_the_same_whatever_the_memory(of in arbitrary_segments(), keys in 1..30_usize) {
        let chain = segments(&of);
        let expected = restored(&chain);
        let whole = merge_batches(&layout(false), &chain, true, keys).unwrap();
        prop_assert!(whole.iter().all(|(name, batch)| name == "clock" || batch.column(1).null_count() == 0));
        prop_assert_eq!(restored(&vec![whole]), expected);
    }

    #[test]
    fn merged_changes_restore_the_same_after_any_base(of in arbitrary_segments(), base in arbitrary_segments(), keys in 1..30_usize) {
        let (base, changes) = (segments(&base), segments(&of));
        let merged = merge_batches(&layout(true), &changes, false, keys).unwrap();
        let expected = restored(&[base.clone(), changes].concat());
        prop_assert_eq!(restored(&[base, vec![merged]].concat()), expected);
    }

    #[test]
    fn what_has_expired_is_left_out_and_never_uncovers_what_lies_below(of in arbitrary_segments()) {
        let mut of = of;
        // A base that says nothing of what is gone has the rows of a key in the order of their times.
        let mut base: Rows = of[0].0.concat();
        base.sort_by_key(|(_, time)| *time);
        of[0].0 = vec![base];
        let chain = segments(&of);
        let (mut times, newest) = restored(&chain);
        times.retain(|_, time| newest.is_none_or(|newest| newest - *time < 100));
        let merged = merge_batches(&layout(true), &chain, true, 7).unwrap();
        prop_assert_eq!(restored(&vec![merged]), (times, newest));
    }
}

#[test]
fn a_section_that_was_there_stays_there_when_nothing_of_it_is_left() {
    let chain = vec![vec![kept(&[(1, Some(1))])], vec![kept(&[(1, None)])]];
    let merged = merge_batches(&layout(false), &chain, true, 10).unwrap();
    assert_eq!(merged.iter().map(|(name, batch)| (name.as_str(), batch.num_rows())).collect::<Vec<_>>(), [("kept", 0)]);
}

#[test]
fn gone_keys_may_stand_in_a_section_of_their_own() {
    let rule = Keyed { key: vec!["key".into()], gone: Gone::In("left".into()), expires: None };
    let layout = StateLayout::default().keyed("kept", rule);
    let left = |keys: &[i64]| {
        let keys: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
        ("left".to_owned(), RecordBatch::try_from_iter([("key", keys)]).unwrap())
    };
    let chain = vec![
        vec![kept(&[(1, Some(1)), (2, Some(2)), (3, Some(3))])],
        vec![left(&[1, 2])],
        vec![left(&[3]), kept(&[(2, Some(20))])],
    ];
    let whole = merge_batches(&layout, &chain, true, 10).unwrap();
    assert_eq!(restored(&vec![whole.clone()]).0, BTreeMap::from([(2, 20)]));
    assert!(whole.iter().all(|(name, _)| name == "kept"));
    let changes = merge_batches(&layout, &chain[1..], false, 10).unwrap();
    let told: Vec<i64> = changes
        .iter()
        .filter(|(name, _)| name == "left")
        .flat_map(|(_, batch)| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(told, [3, 1]);
}

#[test]
fn pages_stay_until_their_scope_is_named_again() {
    let text = |values: &[&str]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let scopes = |regions: &[&str], table: &str| {
        let open: ArrayRef = Arc::new(BooleanArray::from(vec![true; regions.len()]));
        let columns = [("region", text(regions)), ("table", text(&vec![table; regions.len()])), ("open", open)];
        ("scopes".to_owned(), RecordBatch::try_from_iter(columns).unwrap())
    };
    let page =
        |region: &str| ("page".to_owned(), RecordBatch::try_from_iter([("region", text(&[region, region]))]).unwrap());
    let key = vec!["region".to_owned(), "table".to_owned()];
    let only = ("table".to_owned(), "t".to_owned());
    let layout = StateLayout::default()
        .keyed("scopes", Keyed { key, gone: Gone::Never, expires: None })
        .pages("page", Pages { ended_by: "scopes".into(), scope: vec!["region".into()], only });
    let chain = vec![
        vec![scopes(&["a", "b", "c"], "t"), page("a"), page("b"), page("c")],
        vec![scopes(&["a"], "t"), page("a")],
        vec![scopes(&["b"], "other"), scopes(&["c"], "t"), page("b")],
    ];
    let merged = merge_batches(&layout, &chain, true, 10).unwrap();
    let pages: Vec<&str> = merged
        .iter()
        .filter(|(name, _)| name == "page")
        .map(|(_, batch)| batch.column(0).as_string::<i32>().value(0))
        .collect();
    assert_eq!(pages, ["b", "a", "b"]);
    assert_eq!(merged.last().map(|(name, _)| name.as_str()), Some("page"), "scopes come before their pages");
}

#[test]
fn an_unknown_section_and_a_key_that_changed_its_type_are_refused() {
    let chain = vec![vec![("kept.v9".to_owned(), kept(&[]).1)]];
    assert!(merge_batches(&layout(false), &chain, true, 10).unwrap_err().message.contains("kept.v9"));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let time: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    let other = RecordBatch::try_from_iter([("key", text), ("time", time)]).unwrap();
    let chain = vec![vec![kept(&[(1, Some(1))])], vec![("kept".to_owned(), other)]];
    assert!(merge_batches(&layout(false), &chain, true, 10).unwrap_err().message.contains("changed its type"));
}
