//! The operators of Tidegate, each in the file or folder that has its name in YAML.
//!
//! None of them reads a clock, a file or the network, and what they emit does not depend on where steps are
//! cut. A row that cannot be handled goes to the node's `errors` port, with the reason and the row itself.

pub mod check;
pub mod dashes_to_underscores;
pub mod dedupe;
pub mod enrich;
pub mod event_splitter;
pub mod filter;
pub mod insert_hosts_to_meta;
pub mod insert_meta_info;
pub mod json_filter;
pub mod noop;
pub mod normalize_keys;
pub mod route;
pub mod select;
pub mod throttle;

mod by_schema;
mod gather;
mod keys;
mod member_path;
mod name_pattern;
mod options;
mod rejection;
mod reshape;

#[cfg(test)]
mod testing;

use tidegate_pipeline::operator::OperatorKind;

/// The operators of this crate, for a program's catalogue.
pub fn operators() -> Vec<Box<dyn OperatorKind>> {
    vec![
        Box::new(filter::Filter),
        Box::new(select::Select),
        Box::new(route::Route),
        Box::new(enrich::Enrich),
        Box::new(dedupe::Dedupe),
        Box::new(throttle::Throttle),
        Box::new(dashes_to_underscores::DashesToUnderscores),
        Box::new(event_splitter::EventSplitter),
        Box::new(insert_hosts_to_meta::InsertHostsToMeta),
        Box::new(insert_meta_info::InsertMetaInfo),
        Box::new(json_filter::JsonFilter),
        Box::new(noop::Noop),
        Box::new(normalize_keys::NormalizeKeys),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_pipeline::spec::Options;

    use super::testing::{Bench, Surroundings, map, rows_of, text};
    use super::*;

    fn leaving(
        kind: &dyn OperatorKind,
        options: &Options,
        match_all: bool,
        numbers: &[Option<i64>],
        cuts: &[usize],
    ) -> (Vec<Vec<String>>, Vec<String>) {
        let lines: Vec<String> = numbers.iter().map(|n| serde_json::json!({ "n": n }).to_string()).collect();
        let schema = testing::rows(&[r#"{"n":1}"#]).schema();
        let all = rows_of(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &schema);
        let around = Surroundings { match_all, ..Surroundings::default() };
        let mut bench = Bench::within(kind, options, schema, &around);
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let mut from = 0;
            for to in cuts.iter().copied().chain([all.num_rows()]) {
                bench.step(7, &all.slice(from, to - from)).await;
                from = to;
            }
        });
        bench.everything()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_leaves_filter_select_and_route_does_not_depend_on_where_steps_are_cut(
            numbers in prop::collection::vec(prop::option::of(-3i64..4), 1..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(numbers.len())).collect();
            cuts.sort_unstable();
            let ports = map(&[("some", "n > 0 AND 10 / (n - 1) > 2"), ("few", "6 / n > 1"), ("odd", "n % 2 = 1")]);
            let cases: [(&dyn OperatorKind, Options, bool); 4] = [
                (&filter::Filter, text("n <> 2 AND 10 / n > 3 OR n IS NULL"), false),
                (&select::Select, text("n, 10 / n AS q, CASE WHEN n > 1 THEN 6 / (n - 2) END AS r"), false),
                (&route::Route, ports.clone(), false),
                (&route::Route, ports, true),
            ];
            for (kind, options, match_all) in &cases {
                let whole = leaving(*kind, options, *match_all, &numbers, &[]);
                prop_assert_eq!(whole, leaving(*kind, options, *match_all, &numbers, &cuts), "{}", kind.name());
            }
        }
    }

    /// Conditions over `n` and `s`, true, false, NULL and failing ones among them.
    const CONDITIONS: [&str; 8] = [
        "n > 1",
        "n IS NULL",
        "NOT (n > 0)",
        "s = 'a'",
        "s <> 'a' OR n = 0",
        "NULL",
        "s LIKE 'b%' AND n < 2",
        "6 / n > 2",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_ports_of_route_partition_its_rows_by_the_first_condition_that_is_true(
            rows in prop::collection::vec((prop::option::of(-2i64..4), prop::option::of("[ab]{1,2}")), 1..30),
            chosen in prop::collection::vec(0..CONDITIONS.len(), 1..5),
        ) {
            let lines: Vec<String> = rows
                .iter()
                .enumerate()
                .map(|(id, (n, s))| serde_json::json!({"id": id, "n": n, "s": s}).to_string())
                .collect();
            let schema = testing::rows(&[r#"{"id":1,"n":1,"s":"a"}"#]).schema();
            let rows = rows_of(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &schema);
            let run = |kind: &dyn OperatorKind, options: &Options| {
                let mut bench = Bench::new(kind, options.clone(), rows.schema());
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let out = runtime.block_on(bench.step(0, &rows));
                let (ports, _) = bench.everything();
                (ports, out.rejected.iter().map(|(row, _)| *row as usize).collect::<Vec<_>>())
            };
            let names: Vec<String> = (0..chosen.len()).map(|port| format!("p{port}")).collect();
            let ports: Vec<(&str, &str)> =
                names.iter().zip(&chosen).map(|(name, condition)| (name.as_str(), CONDITIONS[*condition])).collect();
            let (found, rejected) = run(&route::Route, &map(&ports));
            // What each condition says alone.
            let alone: Vec<_> = chosen.iter().map(|c| run(&filter::Filter, &text(CONDITIONS[*c]))).collect();
            let all: Vec<String> = (0..rows.num_rows()).flat_map(|row| testing::json_lines(&rows.slice(row, 1))).collect();
            let mut expected = vec![Vec::new(); chosen.len() + 1];
            let mut bad = Vec::new();
            for (row, line) in all.iter().enumerate() {
                let decides = |(true_for, fails): &(Vec<Vec<String>>, Vec<usize>)| true_for[0].contains(line) || fails.contains(&row);
                let port = alone.iter().position(decides).unwrap_or(chosen.len());
                match alone.get(port) {
                    Some((_, fails)) if fails.contains(&row) => bad.push(row),
                    _ => expected[port].push(line.clone()),
                }
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(rejected, bad);
        }
    }

    #[tokio::test]
    async fn rows_without_columns_go_through_every_operator() {
        use arrow::array::{RecordBatch, RecordBatchOptions};
        use arrow::datatypes::Schema;
        let count = RecordBatchOptions::new().with_row_count(Some(3));
        let rows = RecordBatch::try_new_with_options(std::sync::Arc::new(Schema::empty()), Vec::new(), &count).unwrap();
        let last = map(&[("key", "1"), ("within", "1h"), ("keep", "last")]);
        let cases: [(&dyn OperatorKind, Options, usize); 5] = [
            (&filter::Filter, text("1 = 1"), 3),
            (&select::Select, text("1 AS one"), 3),
            (&route::Route, map(&[("all", "1 = 1")]), 3),
            (&dedupe::Dedupe, map(&[("key", "1"), ("within", "1h")]), 1),
            (&dedupe::Dedupe, last, 1),
        ];
        for (kind, options, left) in cases {
            let mut bench = Bench::new(kind, options, rows.schema());
            bench.step(0, &rows).await;
            bench.step(0, &rows.slice(0, 0)).await;
            let state = bench.snapshot(tidegate_pipeline::operator::SnapshotMode::Full);
            bench.restart(state);
            bench.end().await;
            assert_eq!(bench.row_counts[0], left, "{}", kind.name());
        }
        let mut out = tidegate_pipeline::operator::Output::default();
        rejection::reject_all(&rows, "why", &mut out).unwrap();
        assert_eq!(out.rejected.len(), 3);
    }

    #[test]
    fn every_kind_has_a_schema_and_a_summary() {
        for kind in operators() {
            assert!(kind.schema().as_object().is_some(), "{}", kind.name());
            assert!(!kind.summary().is_empty());
        }
    }
}
