use proptest::prelude::*;
use tidegate_pipeline::operator::{SnapshotMode, StateReader};
use tidegate_pipeline::spec::Tree;
use tidegate_pipeline::testing::compaction::merge_batches;
use tidegate_pipeline::testing::golden::golden_state;

use super::*;
use crate::testing::{Bench, diagnostics, entries, items, lines, map, rows, rows_of};

fn event(key: &str, ts: i64, row: usize) -> String {
    format!(r#"{{"key":"{key}","ts":{ts},"row":{row}}}"#)
}

fn events(list: &[(&str, i64)]) -> RecordBatch {
    let text: Vec<String> = list.iter().enumerate().map(|(row, (key, ts))| event(key, *ts, row)).collect();
    rows(&text.iter().map(String::as_str).collect::<Vec<_>>())
}

fn schema() -> arrow::datatypes::SchemaRef {
    events(&[("a", 1)]).schema()
}

fn by_time(extra: &[(&'static str, Tree)]) -> Options {
    let base =
        [("key", Tree::Text("key".into())), ("within", Tree::Text("10ms".into())), ("time", Tree::Text("ts".into()))];
    entries(base.into_iter().chain(extra.iter().cloned()))
}

fn numbers(bench: &Bench) -> Vec<usize> {
    bench
        .emitted(0)
        .iter()
        .map(|line| line.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap())
        .collect()
}

async fn surviving(options: Options, list: &[(&str, i64)]) -> Vec<usize> {
    let mut bench = Bench::new(&Dedupe, options, schema());
    bench.step(1_000_000, &events(list)).await;
    bench.end().await;
    numbers(&bench)
}

#[tokio::test]
async fn within_counts_from_the_first_kept_row_and_excludes_its_end() {
    let list = [("a", 0), ("a", 5), ("b", 6), ("a", 9), ("a", 10), ("a", 15), ("a", 19), ("a", 20)];
    assert_eq!(surviving(by_time(&[]), &list).await, [0, 2, 4, 7]);
}

#[tokio::test]
async fn rows_out_of_order_are_duplicates_in_both_directions() {
    assert_eq!(surviving(by_time(&[]), &[("a", 20), ("a", 11), ("a", 29)]).await, [0]);
}

#[tokio::test]
async fn late_rows_pass_or_are_rejected() {
    let list = [("a", 20), ("b", 100), ("a", 90), ("a", 91), ("a", 92)];
    assert_eq!(surviving(by_time(&[]), &list).await, [0, 1, 2, 3]);
    let mut bench = Bench::new(&Dedupe, by_time(&[("late", Tree::Text("errors".into()))]), schema());
    let out = bench.step(1_000_000, &events(&list)).await;
    assert_eq!(numbers(&bench), [0, 1, 3]);
    assert_eq!((out.rejected[0].0, out.rejected[0].1.raw.as_str()), (2, event("a", 90, 2).as_str()));
}

#[tokio::test]
async fn a_row_from_the_far_future_does_not_make_the_others_late() {
    let far = 1_000_000 + ALLOWED_SKEW + 1;
    let list = [("a", 0), ("b", far), ("b", far), ("a", 5), ("a", 9)];
    assert_eq!(surviving(by_time(&[]), &list).await, [0, 1]);
}

#[tokio::test]
async fn without_a_time_the_time_is_that_of_the_step() {
    let mut bench = Bench::new(&Dedupe, map(&[("key", "key"), ("within", "10ms")]), schema());
    for time in [0, 9, 10, 19, 20] {
        bench.step(time, &events(&[("a", time), ("a", time)])).await;
    }
    let times: Vec<String> = [0, 10, 20].iter().map(|time| event("a", *time, 0)).collect();
    assert_eq!(bench.emitted(0), times);
}

#[tokio::test]
async fn a_key_may_be_several_expressions_and_null_is_a_value() {
    let options = entries([("key", items(&["k", "ts / 100"])), ("within", Tree::Text("1h".into()))]);
    let rows =
        rows(&[r#"{"k":"a","ts":1}"#, r#"{"k":"a","ts":99}"#, r#"{"k":"a","ts":100}"#, r#"{"ts":1}"#, r#"{"ts":2}"#]);
    let mut bench = Bench::new(&Dedupe, options, rows.schema());
    bench.step(0, &rows).await;
    assert_eq!(bench.emitted(0), lines(&[r#"{"k":"a","ts":1}"#, r#"{"k":"a","ts":100}"#, r#"{"ts":1}"#]));
}

#[tokio::test]
async fn rows_without_key_or_time_go_to_errors() {
    let rows = rows(&[r#"{"n":1,"ts":1}"#, r#"{"n":0,"ts":2}"#, r#"{"n":2}"#, r#"{"n":2,"ts":3}"#]);
    let options = map(&[("key", "10 / n"), ("within", "1s"), ("time", "ts")]);
    let mut bench = Bench::new(&Dedupe, options, rows.schema());
    let out = bench.step(0, &rows).await;
    assert_eq!(out.rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(out.rejected[1].1.reason, "`ts` is NULL: the row has no time");
    assert_eq!(bench.emitted(0), lines(&[r#"{"n":1,"ts":1}"#, r#"{"n":2,"ts":3}"#]));
}

#[tokio::test]
async fn at_max_keys_the_oldest_key_is_forgotten_also_across_a_restart() {
    let list = [("a", 1), ("b", 2), ("c", 3), ("b", 4), ("a", 5), ("c", 6)];
    let two = [("max_keys", Tree::Integer(2))];
    assert_eq!(surviving(by_time(&two), &list).await, [0, 1, 2, 4]);
    let mut bench = Bench::new(&Dedupe, by_time(&two), schema());
    let all = events(&list);
    let mut state = Vec::new();
    for row in 0..all.num_rows() {
        bench.step(1_000_000, &all.slice(row, 1)).await;
        state.extend(bench.snapshot(SnapshotMode::Changes));
        bench.restart(state.clone());
    }
    assert_eq!(numbers(&bench), [0, 1, 2, 4]);
}

#[tokio::test]
async fn a_time_that_turns_into_another_type_rejects_rows_and_stops_nothing() {
    let mut bench = Bench::new(&Dedupe, by_time(&[]), schema());
    let out = bench.step(1_000_000, &rows(&[r#"{"key":"a","ts":"x"}"#, r#"{"key":"b","ts":"1970-01-01"}"#])).await;
    assert_eq!(out.rejected.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [0]);
    let out = bench.step(1_000_000, &rows(&[r#"{"key":"c","ts":{"a":1}}"#])).await;
    assert_eq!(out.rejected.len(), 1);
    assert!(bench.step(1_000_000, &rows(&[r#"{"key":"d","ts":1.5}"#])).await.rejected.is_empty());
}

#[tokio::test]
async fn a_snapshot_holds_only_what_has_changed() {
    let mut bench = Bench::new(&Dedupe, by_time(&[]), schema());
    let kept = |batches: Vec<(String, RecordBatch)>| -> usize {
        batches.iter().filter(|(name, _)| name == "kept.v1").map(|(_, batch)| batch.num_rows()).sum()
    };
    bench.step(1_000_000, &events(&[("a", 1), ("b", 2)])).await;
    assert_eq!(kept(bench.snapshot(SnapshotMode::Changes)), 2);
    bench.step(1_000_000, &events(&[("c", 3), ("a", 4)])).await;
    assert_eq!(kept(bench.snapshot(SnapshotMode::Changes)), 1);
    assert_eq!(kept(bench.snapshot(SnapshotMode::Changes)), 0);
    assert_eq!(kept(bench.snapshot(SnapshotMode::Full)), 3);
}

#[test]
fn mistakes_in_the_options_have_their_place() {
    let rows = rows(&[r#"{"key":"a","text":"x"}"#]);
    let options = entries([
        ("key", items(&["key", "kez"])),
        ("within", Tree::Text("0s".into())),
        ("time", Tree::Text("text".into())),
        ("max_keys", Tree::Integer(0)),
    ]);
    let found = diagnostics(&Dedupe, options, rows.schema());
    let told: Vec<(u32, &str)> = found.iter().map(|found| (found.place.line, found.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (4, "there is no column `kez` here"),
            (6, "`time` is a timestamp or whole milliseconds, but this is Utf8"),
            (5, "`within` is zero: no row would ever be a duplicate"),
            (7, "`max_keys` is zero: no key could be remembered"),
        ]
    );
    assert_eq!(found[1].help.as_deref(), Some("convert it: `to_timestamp(text)`"));
    let unknown = map(&[("key", "key"), ("within", "1h"), ("keeep", "last")]);
    assert!(diagnostics(&Dedupe, unknown, rows.schema())[0].message.contains("keeep"));
}

/// What the module's documentation says, as plainly as it can be said.
fn expected(list: &[(u8, i64)], within: i64) -> Vec<usize> {
    let mut kept: std::collections::HashMap<u8, i64> = std::collections::HashMap::new();
    let (mut newest, mut leaving) = (i64::MIN, Vec::new());
    for (row, (key, time)) in list.iter().enumerate() {
        newest = newest.max(*time);
        if newest - time >= within {
            leaving.push(row);
        } else if kept.get(key).is_none_or(|kept| newest - kept >= within || (kept - time).abs() >= within) {
            kept.insert(*key, *time);
            leaving.push(row);
        }
    }
    leaving
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn last_by_time() -> Options {
    by_time(&[("keep", Tree::Text("last".into()))])
}

#[tokio::test]
async fn the_last_row_leaves_when_its_stretch_of_time_is_over() {
    let mut bench = Bench::new(&Dedupe, last_by_time(), schema());
    bench.step(1_000_000, &events(&[("a", 0), ("b", 1), ("a", 9)])).await;
    assert_eq!(numbers(&bench), [0usize; 0]);
    bench.step(1_000_000, &events(&[("c", 10)])).await;
    assert_eq!(numbers(&bench), [2]);
    bench.step(1_000_000, &events(&[("c", 30)])).await;
    assert_eq!(bench.emitted(0)[1..], [event("b", 1, 1), event("c", 10, 0)]);
    bench.end().await;
    assert_eq!(bench.emitted(0)[3..], [event("c", 30, 0)]);
}

#[tokio::test]
async fn an_older_row_does_not_replace_the_held_one() {
    assert_eq!(surviving(last_by_time(), &[("a", 5), ("a", 8), ("a", 7), ("a", 8)]).await, [3]);
}

#[tokio::test]
async fn a_held_row_leaves_at_its_deadline_in_step_time_also_after_a_restart() {
    let options = map(&[("key", "key"), ("within", "10ms"), ("keep", "last")]);
    let mut bench = Bench::new(&Dedupe, options, schema());
    bench.step(100, &events(&[("a", 0), ("b", 0)])).await;
    bench.step(105, &events(&[("a", 1)])).await;
    assert_eq!(bench.operator.deadline(), Some(StepTime(110)));
    let state = bench.snapshot(SnapshotMode::Changes);
    bench.restart(state);
    assert_eq!(bench.operator.deadline(), Some(StepTime(110)));
    bench.tick(109).await;
    assert_eq!(bench.emitted(0).len(), 0);
    bench.tick(110).await;
    assert_eq!(bench.emitted(0), [event("a", 1, 0), event("b", 0, 1)]);
    assert_eq!(bench.operator.deadline(), None);
    bench.step(110, &events(&[("a", 2)])).await;
    bench.end().await;
    assert_eq!(bench.emitted(0)[2..], [event("a", 2, 0)]);
}

#[tokio::test]
async fn at_max_keys_the_oldest_held_row_leaves_early() {
    let options = by_time(&[("keep", Tree::Text("last".into())), ("max_keys", Tree::Integer(1))]);
    assert_eq!(surviving(options, &[("a", 0), ("b", 1), ("b", 2), ("a", 3)]).await, [0, 2, 3]);
}

#[tokio::test]
async fn held_rows_do_not_keep_their_batches() {
    let mut bench = Bench::new(&Dedupe, last_by_time(), schema());
    let many: Vec<(&str, i64)> = (0..5_000).map(|row| ("a", row)).collect();
    bench.step(1_000_000, &events(&many)).await;
    let state = bench.snapshot(SnapshotMode::Full);
    let held: usize = state.iter().filter(|(name, _)| name == "held.v1").map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!(held, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_leaves_follows_from_the_order_of_rows_alone(
        list in prop::collection::vec((0u8..6, 0i64..200), 1..80),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3), 0..6),
        last in any::<bool>(),
    ) {
        let text: Vec<String> =
            list.iter().enumerate().map(|(row, (key, ts))| event(&key.to_string(), *ts, row)).collect();
        let all = rows_of(&text.iter().map(String::as_str).collect::<Vec<_>>(), &schema());
        let keep = [("keep", Tree::Text(if last { "last" } else { "first" }.into()))];
        let (whole, cut) = block(async {
            let mut whole = Bench::new(&Dedupe, by_time(&keep), schema());
            whole.step(1_000_000, &all).await;
            whole.end().await;
            let mut cut = Bench::new(&Dedupe, by_time(&keep), schema());
            let mut places: Vec<(usize, u8)> = cuts.iter().map(|(at, what)| (at.index(all.num_rows()), *what)).collect();
            places.sort_unstable();
            let (mut from, mut state) = (0, Vec::new());
            for (to, what) in places.into_iter().chain([(all.num_rows(), 0)]) {
                cut.step(1_000_000, &all.slice(from, to - from)).await;
                from = to;
                match what {
                    1 => state.extend(cut.snapshot(SnapshotMode::Changes)),
                    2 => state = cut.snapshot(SnapshotMode::Full),
                    _ => continue,
                }
                cut.restart(state.clone());
            }
            cut.end().await;
            (whole, cut)
        });
        prop_assert_eq!(whole.everything(), cut.everything());
        if !last {
            prop_assert_eq!(numbers(&whole), expected(&list, 10));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn state_that_was_merged_goes_on_as_the_one_that_was_written(
        list in prop::collection::vec((0u8..6, 0i64..200), 1..80),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3), 0..8),
        last in any::<bool>(),
        far in any::<bool>(),
    ) {
        // A row from the far future moves no clock: its key may be kept at an earlier time later.
        let far = if far { 1_000_000 + ALLOWED_SKEW + 7 } else { 0 };
        let time = |key: u8, ts: i64| if key == 5 && ts % 2 == 0 { ts + far } else { ts };
        let text: Vec<String> =
            list.iter().enumerate().map(|(row, (key, ts))| event(&key.to_string(), time(*key, *ts), row)).collect();
        let all = rows_of(&text.iter().map(String::as_str).collect::<Vec<_>>(), &schema());
        let options = || by_time(&[
            ("keep", Tree::Text(if last { "last" } else { "first" }.into())),
            ("max_keys", Tree::Integer(4)),
        ]);
        let (whole, cut) = block(async {
            let mut whole = Bench::new(&Dedupe, options(), schema());
            whole.step(1_000_000, &all).await;
            whole.end().await;
            let mut cut = Bench::new(&Dedupe, options(), schema());
            let layout = cut.planned.state.clone().unwrap();
            let mut places: Vec<(usize, u8)> = cuts.iter().map(|(at, what)| (at.index(all.num_rows()), *what)).collect();
            places.sort_unstable();
            let (mut from, mut chain) = (0, Vec::new());
            for (to, what) in places.into_iter().chain([(all.num_rows(), 0)]) {
                cut.step(1_000_000, &all.slice(from, to - from)).await;
                from = to;
                chain.push(cut.snapshot(SnapshotMode::Changes));
                match what {
                    1 => chain = vec![merge_batches(&layout, &chain, true, 2).unwrap()],
                    2 => {
                        let changes = merge_batches(&layout, &chain[1..], false, 3).unwrap();
                        chain.truncate(1);
                        chain.push(changes);
                    }
                    _ => {}
                }
                cut.restart(chain.concat());
            }
            cut.end().await;
            (whole, cut)
        });
        prop_assert_eq!(whole.everything(), cut.everything());
    }
}

#[tokio::test]
async fn a_key_that_is_forgotten_is_told_to_the_next_snapshot() {
    let mut bench = Bench::new(&Dedupe, by_time(&[("max_keys", Tree::Integer(2))]), schema());
    bench.step(1_000_000, &events(&[("a", 1), ("b", 2)])).await;
    let mut state = bench.snapshot(SnapshotMode::Changes);
    bench.step(1_000_000, &events(&[("c", 3)])).await;
    state.extend(bench.snapshot(SnapshotMode::Changes));
    let forgotten = state.iter().filter(|(name, _)| name == "kept.v1").map(|(_, batch)| batch.column(1).null_count());
    assert_eq!(forgotten.sum::<usize>(), 1, "a key that was forgotten is told");
}

/// Reads a golden file into a new operator. The file is made of what `options` write over two checkpoints.
async fn from_golden(name: &str, options: Options) -> Bench {
    let mut bench = Bench::new(&Dedupe, options, schema());
    bench.step(1_000_000, &events(&[("a", 1), ("b", 2), ("c", 3)])).await;
    let mut now = bench.snapshot(SnapshotMode::Changes);
    bench.step(1_000_000, &events(&[("d", 4), ("d", 5), ("e", 12)])).await;
    now.extend(bench.snapshot(SnapshotMode::Changes));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    let state = golden_state(&path, &now).unwrap();
    let mut bench = Bench::new(&Dedupe, bench_options(name), schema());
    bench.restart(state);
    bench
}

fn bench_options(name: &str) -> Options {
    let keep = if name.contains("last") { "last" } else { "first" };
    by_time(&[("keep", Tree::Text(keep.into())), ("max_keys", Tree::Integer(4))])
}

#[tokio::test]
async fn state_of_each_earlier_version_is_read() {
    let name = "dedupe-first.v1.segment";
    let mut first = from_golden(name, bench_options(name)).await;
    // `a` and `b` have expired; `c`, `d` and `e` are known.
    first.step(1_000_000, &events(&[("e", 12), ("d", 6), ("c", 4), ("a", 5), ("b", 12)])).await;
    assert_eq!(numbers(&first), [3, 4]);
    let name = "dedupe-last.v1.segment";
    let mut last = from_golden(name, bench_options(name)).await;
    last.step(1_000_000, &events(&[("e", 14)])).await;
    last.end().await;
    assert_eq!(last.emitted(0), [event("c", 3, 2), event("d", 5, 1), event("e", 14, 0)]);
}

#[test]
fn state_of_a_later_version_asks_for_a_newer_program() {
    for name in ["dedupe-first", "dedupe-last"] {
        let mut bench = Bench::new(&Dedupe, bench_options(name), schema());
        let batches = vec![("kept.v2".to_owned(), events(&[("a", 1)]))];
        let error = bench.operator.restore(StateReader { batches }).unwrap_err();
        assert!(error.to_string().contains("kept.v2") && error.to_string().contains("newer program"), "{error}");
    }
}
