//! The operators of Tidegate, each in the file or folder that has its name in YAML.
//!
//! None of them reads a clock, a file or the network, and what they emit does not depend on where steps are
//! cut. A row that cannot be handled goes to the node's `errors` port, with the reason and the row itself.

pub mod check;
pub mod dedupe;
pub mod enrich;
pub mod filter;
pub mod route;
pub mod select;

mod gather;
mod keys;
mod options;
mod rejection;

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

    #[test]
    fn every_kind_has_a_schema_and_a_summary() {
        for kind in operators() {
            assert!(kind.schema().as_object().is_some(), "{}", kind.name());
            assert!(!kind.summary().is_empty());
        }
    }
}
