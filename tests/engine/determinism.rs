//! The output does not depend on edge capacities, threads or, where promised, on where steps are cut.

use proptest::prelude::*;
use tidegate_pipeline::runtime::EdgeCapacity;

use crate::given::{Given, batches, rows};
use crate::stage::Stage;

const DIAMOND: &str = "
checkpoint: {every: 5ms}
sources: {in: {given: {}}}
operators:
  split: {from: in, match: all, route: {even: 'n % 2 = 0', third: 'n % 3 = 0'}}
  left: {from: split.even, select: 'k, n, 10 / (n - 4) AS q'}
  right: {from: split.third, filter: 'n <> 9'}
  both: {from: [left, right], select: 'k, n, q'}
  fresh: {from: [both, in], dedupe: {key: [k, n / 4], within: 9s, time: 'n * 1000'}}
sinks:
  joined: {from: both, collect: {}}
  unique: {from: fresh, collect: {}}
  wrong: {from: [left.errors, right.errors, split.unmatched], collect: {}}
";

const SINKS: [&str; 3] = ["joined", "unique", "wrong"];

fn outputs(given: Given, rows: Option<usize>, threads: usize) -> Vec<Vec<String>> {
    let mut stage = Stage::new(DIAMOND).give("in", given);
    stage.options.edges = rows.map(|rows| EdgeCapacity { rows, bytes: 1 << 30 });
    stage.threads = threads;
    stage.run().unwrap();
    SINKS.iter().map(|sink| stage.collected(sink)).collect()
}

#[test]
fn a_diamond_gives_the_same_at_any_edge_capacity_and_number_of_threads_and_never_deadlocks() {
    let given = Given::new(batches(300, 13));
    let expected = outputs(given.clone(), None, 1);
    assert!(expected.iter().all(|rows| !rows.is_empty()), "{expected:?}");
    for capacity in [Some(1), Some(7), None] {
        for threads in [1, 2, 4] {
            assert_eq!(outputs(given.clone(), capacity, threads), expected, "{capacity:?} rows, {threads} threads");
        }
    }
}

const STRAIGHT: &str = "
sources: {in: {given: {}}}
operators:
  some: {from: in, filter: 'n % 7 <> 3'}
  more: {from: some, select: 'k, n, 60 / (n % 5) AS q, t'}
  owned: {from: more, enrich: {table: FOLDER/owners.csv, on: k}}
  fresh: {from: owned, dedupe: {key: [k, q], within: 20s, time: t}}
  split: {from: fresh, route: {low: 'n < 20'}}
sinks:
  low: {from: split.low, collect: {}}
  high: {from: split.unmatched, collect: {}}
";

fn straight(numbers: &[i64], cuts: &[usize], capacity: usize) -> Vec<Vec<String>> {
    let mut bounds = vec![0];
    bounds.extend(cuts);
    bounds.push(numbers.len());
    bounds.sort_unstable();
    let parts = bounds.windows(2).map(|pair| rows(numbers[pair[0]..pair[1]].iter().copied())).collect();
    let mut stage = Stage::new(STRAIGHT).give("in", Given::new(parts));
    std::fs::write(stage.folder().join("owners.csv"), "k,owner\nk1,ann\nk2,bob\nk4,cid\n").unwrap();
    stage.options.edges = Some(EdgeCapacity { rows: capacity, bytes: 1 << 30 });
    stage.run().unwrap();
    ["low", "high"].iter().map(|sink| stage.collected(sink)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_a_straight_pipeline_gives_does_not_depend_on_where_its_input_is_cut(
        numbers in prop::collection::vec(0i64..40, 1..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        capacity in 1usize..20,
    ) {
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(numbers.len())).collect();
        prop_assert_eq!(straight(&numbers, &cuts, capacity), straight(&numbers, &[], 1_000));
    }
}
