use arrow::array::RecordBatch;
use proptest::prelude::*;
use tidegate_pipeline::operator::StateReader;
use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::testing::compaction::merge_batches;
use tidegate_pipeline::testing::golden::golden_state;

use super::*;
use crate::testing::{Bench, diagnostics, entries, items, lines, map, rows};
use tidegate_pipeline::operator::SnapshotMode;

fn event(key: &str, n: usize) -> String {
    format!(r#"{{"key":"{key}","n":{n}}}"#)
}

fn events(list: &[(&str, usize)]) -> RecordBatch {
    let text: Vec<String> = list.iter().map(|(key, n)| event(key, *n)).collect();
    rows(&text.iter().map(String::as_str).collect::<Vec<_>>())
}

fn bench(options: Options) -> Bench {
    Bench::new(&Throttle, options, events(&[("a", 1)]).schema())
}

fn text(text: &str) -> Tree {
    Tree::Text(text.into())
}

fn accumulate(threshold: i64) -> Options {
    entries([
        ("accumulate_within", text("10ms")),
        ("threshold", Tree::Integer(threshold)),
        ("group_by", text("key")),
        ("count", text("rows")),
    ])
}

fn once_after() -> Options {
    map(&[("once_after", "10 milliseconds"), ("group_by_attributes", "event.key"), ("count", "rows")])
}

#[tokio::test]
async fn once_within_lets_the_first_row_of_a_group_pass_and_then_none_until_its_time_is_over() {
    let mut bench = bench(map(&[("once_within", "10ms"), ("group_by", "key")]));
    bench.step(0, &events(&[("a", 1), ("a", 2), ("b", 3)])).await;
    bench.step(9, &events(&[("a", 4)])).await;
    bench.step(10, &events(&[("a", 5), ("a", 6)])).await;
    assert_eq!(bench.emitted(0), [event("a", 1), event("b", 3), event("a", 5)]);
}

#[tokio::test]
async fn once_after_gives_the_first_row_and_the_number_of_rows_when_the_time_is_over() {
    let mut bench = bench(once_after());
    bench.step(0, &events(&[("a", 1)])).await;
    bench.step(5, &events(&[("b", 2), ("a", 3)])).await;
    assert_eq!(bench.operator.deadline(), Some(tidegate_pipeline::step::StepTime(10)));
    bench.tick(9).await;
    assert_eq!(bench.emitted(0).len(), 0);
    bench.tick(10).await;
    assert_eq!(bench.emitted(0), lines(&[r#"{"key":"a","n":1,"rows":2}"#]));
    // A row that comes when the time is over begins a new stretch; what was held leaves first.
    bench.step(15, &events(&[("b", 4)])).await;
    bench.end().await;
    assert_eq!(bench.emitted(0)[1..], [r#"{"key":"b","n":2,"rows":1}"#, r#"{"key":"b","n":4,"rows":1}"#]);
    assert_eq!(bench.operator.deadline(), None);
}

#[tokio::test]
async fn accumulate_within_gives_the_row_that_makes_the_number_and_counts_anew() {
    let mut bench = bench(accumulate(3));
    bench.step(0, &events(&[("a", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 5)])).await;
    // The second stretch of `a` began with row 5; `b` is over before its third row comes.
    bench.step(9, &events(&[("a", 6), ("b", 7)])).await;
    bench.step(10, &events(&[("b", 8), ("a", 9), ("b", 10)])).await;
    assert_eq!(bench.emitted(0), lines(&[r#"{"key":"a","n":4,"rows":3}"#]));
    bench.step(19, &events(&[("b", 11)])).await;
    assert_eq!(bench.emitted(0)[1..], [r#"{"key":"b","n":11,"rows":3}"#]);
    bench.end().await;
    assert_eq!(bench.emitted(0).len(), 2, "what has not come to its number never leaves");
}

#[tokio::test]
async fn without_groups_all_rows_are_one() {
    let mut bench = bench(map(&[("once_within", "1h")]));
    bench.step(0, &events(&[("a", 1), ("b", 2)])).await;
    assert_eq!(bench.emitted(0), [event("a", 1)]);
}

#[tokio::test]
async fn beyond_max_groups_the_oldest_row_leaves_early() {
    let options = [("once_after", text("1h")), ("group_by", items(&["key"])), ("max_groups", Tree::Integer(2))];
    let mut bench = bench(entries(options));
    bench.step(0, &events(&[("a", 1), ("b", 2), ("c", 3), ("c", 4)])).await;
    assert_eq!(bench.emitted(0), [event("a", 1)]);
    bench.end().await;
    assert_eq!(bench.emitted(0), [event("a", 1), event("b", 2), event("c", 3)]);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let schema = events(&[("a", 1)]).schema();
    let first = |options: Options| diagnostics(&Throttle, options, Arc::clone(&schema))[0].message.clone();
    let exactly = "exactly one of `once_within`, `once_after` and `accumulate_within` must be given";
    assert_eq!(first(map(&[("group_by", "key")])), exactly);
    assert_eq!(first(map(&[("once_within", "1s"), ("once_after", "1s")])), exactly);
    assert_eq!(first(map(&[("accumulate_within", "1s")])), "`accumulate_within` wants a `threshold` of at least 1");
    assert_eq!(first(map(&[("once_within", "0s")])), "the stretch of time is zero");
    assert_eq!(first(map(&[("once_within", "1s"), ("group_by", "kye")])), "there is no column `kye` here");
    assert_eq!(
        first(map(&[("once_within", "1s"), ("count", "n")])),
        "`count` does not go with `once_within`: the row leaves before the others come"
    );
    assert!(first(map(&[("once_within", "1 fortnight")])).contains("no stretch of time"));
}

#[test]
fn attributes_of_a_rulebook_are_members_of_the_event() {
    assert_eq!(sql_of("event.a-b.c\"d"), r#""a-b"."c""d""#);
    assert_eq!(sql_of("meta.source.name"), r#""meta"."source"."name""#);
}

/// A step: its time, and its rows by key.
type Step = (i64, Vec<u8>);

async fn feed(bench: &mut Bench, steps: &[Step], first: usize) {
    for (number, (time, keys)) in steps.iter().enumerate() {
        let name = |key: &u8| if *key == 0 { "a" } else { "b" };
        let list: Vec<(&str, usize)> = keys.iter().map(|key| (name(key), (first + number) * 10)).collect();
        match list.is_empty() {
            true => bench.tick(*time).await,
            false => drop(bench.step(*time, &events(&list)).await),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_restart_from_checkpoints_changes_nothing(
        gaps in prop::collection::vec((0i64..7, prop::collection::vec(0u8..2, 0..4)), 1..25),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        which in 0usize..3,
        merged in any::<bool>(),
    ) {
        let mut time = 0;
        let steps: Vec<Step> = gaps.into_iter().map(|(gap, keys)| { time += gap; (time, keys) }).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(steps.len())).collect();
        cuts.sort_unstable();
        let options = || match which {
            0 => map(&[("once_within", "10ms"), ("group_by", "key")]),
            1 => once_after(),
            _ => accumulate(3),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (whole, cut) = runtime.block_on(async {
            let mut whole = bench(options());
            feed(&mut whole, &steps, 0).await;
            whole.end().await;
            let mut cut = bench(options());
            let (mut from, mut state) = (0, Vec::new());
            for to in cuts.iter().copied().chain([steps.len()]) {
                feed(&mut cut, &steps[from..to], from).await;
                state.push(cut.snapshot(SnapshotMode::Changes));
                if merged {
                    state = vec![merge_batches(cut.planned.state.as_ref().unwrap(), &state, true, 2).unwrap()];
                }
                cut.restart(state.concat());
                from = to;
            }
            cut.end().await;
            (whole, cut)
        });
        prop_assert_eq!(whole.everything(), cut.everything());
    }
}

/// Reads a golden file into a new operator. The file is made of what `options` write over two checkpoints.
async fn from_golden(name: &str, options: impl Fn() -> Options) -> Bench {
    let mut writing = bench(options());
    writing.step(100, &events(&[("a", 1), ("b", 2)])).await;
    let mut now = writing.snapshot(SnapshotMode::Changes);
    writing.step(105, &events(&[("a", 3), ("c", 4), ("a", 5)])).await;
    now.extend(writing.snapshot(SnapshotMode::Changes));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let state = golden_state(&path, &now).unwrap();
    let mut bench = bench(options());
    bench.restart(state);
    bench
}

#[tokio::test]
async fn state_of_each_earlier_version_is_read() {
    let mut after = from_golden("throttle-once-after.v1.segment", once_after).await;
    after.tick(110).await;
    after.end().await;
    let left = [r#"{"key":"a","n":1,"rows":3}"#, r#"{"key":"b","n":2,"rows":1}"#, r#"{"key":"c","n":4,"rows":1}"#];
    assert_eq!(after.emitted(0), left);
    let mut accumulated = from_golden("throttle-accumulate.v1.segment", || accumulate(4)).await;
    accumulated.step(109, &events(&[("a", 6), ("b", 7), ("c", 8)])).await;
    assert_eq!(accumulated.emitted(0), [r#"{"key":"a","n":6,"rows":4}"#]);
}

#[test]
fn state_of_a_later_version_asks_for_a_newer_program() {
    for options in [once_after(), accumulate(2)] {
        let batches = vec![("throttled.v2".to_owned(), events(&[("a", 1)]))];
        let error = bench(options).operator.restore(StateReader { batches }).unwrap_err();
        assert!(error.to_string().contains("throttled.v2") && error.to_string().contains("newer program"), "{error}");
    }
}
