//! State: what a checkpoint writes of it, and the merging of what was written, beside the steps.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use tidegate_pipeline::checkpoint::{list_checkpoints, read_head};
use tidegate_pipeline::testing::crash::MERGE_POINTS;

use crate::given::{Given, rows};
use crate::program::Folder;
use crate::stage::{Stage, checkpoints, rows_in, steps};

const KEYS: &str = "
checkpoint: {every: off, keep: 1}
sources: {in: {given: {}}}
operators: {fresh: {from: in, dedupe: {key: n, within: 900h}}}
sinks: {out: {from: fresh, collect: {}}}
";

/// How many bytes the newest checkpoint has written.
fn newest_bytes(directory: &Path) -> u64 {
    list_checkpoints(directory).unwrap()[0].bytes
}

/// The segments of the state of the node `fresh`.
fn chain(directory: &Path) -> Vec<String> {
    let manifest = read_head(directory).unwrap();
    let state = manifest.and_then(|manifest| manifest.nodes.get("fresh").cloned()).unwrap_or_default();
    state.segments.iter().map(ToString::to_string).collect()
}

#[test]
fn a_checkpoint_writes_as_many_bytes_as_keys_have_changed() {
    let state = 20_000;
    let changes = [1, 10, 100, 1_000, 5_000];
    let mut batches = vec![rows(0..state)];
    let mut next = state;
    for count in changes {
        batches.push(rows(next..next + count));
        next += count;
    }
    let given = Given::new(batches).endless();
    let mut stage = Stage::new(KEYS);
    let mut written = Vec::new();
    for position in 1..=given.batches.len() {
        stage = stage.give("in", given.clone().stalling_at(position));
        stage.stop_when(|status| steps(status) > position as u64).unwrap();
        written.push(newest_bytes(&stage.directory()));
    }
    assert!(written[0] >= 24 * state as u64, "{written:?}");
    let fixed = written[1];
    assert!(fixed < 2_000, "{written:?}");
    for (bytes, count) in written[1..].iter().zip(changes) {
        assert!((fixed..fixed + 27 * count as u64).contains(bytes), "{count} keys: {written:?}");
    }
}

/// Batches of so many keys each, all different.
fn batches_of(sizes: &[i64]) -> Vec<RecordBatch> {
    let starts = sizes.iter().scan(0, |next, size| {
        *next += size;
        Some(*next - size)
    });
    starts.zip(sizes).map(|(start, size)| rows(start..start + size)).collect()
}

/// Makes checkpoints as fast as it can, until the chain is as `until` wants it to be. Then everything is given
/// again: nothing of it may leave.
fn merged(sizes: &[i64], until: impl Fn(&[String]) -> bool) {
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(4));
        Ok(())
    };
    let given = Given::new(batches_of(sizes)).with_hook(pause);
    let text = KEYS.replace("every: off", "every: 1ms");
    // The last batch comes again and again, so that there is something to make checkpoints of.
    let stage = Stage::new(&text).give("in", given.repeating());
    let directory = stage.directory();
    stage.stop_when(|_| until(&chain(&directory))).unwrap();
    let known = stage.collected("out").len();
    assert!(known > 0);
    // Where the source stands depends on the machine, so everything comes as one batch, again and again.
    let total: i64 = sizes.iter().sum();
    let stage = stage.give("in", Given::new(vec![rows(-7..total)]).repeating());
    stage.stop_when(|status| rows_in(status, "fresh") >= 7 + total as u64).unwrap();
    assert_eq!(stage.collected("out").len() + known, total as usize + 7);
}

#[test]
fn changes_half_as_large_as_their_base_are_merged_into_it_in_the_background() {
    let sizes = [[12_000].as_slice(), &[500; 250]].concat();
    let first = RefCell::new(None);
    merged(&sizes, |chain| {
        let mut first = first.borrow_mut();
        let base = first.get_or_insert_with(|| chain.first().cloned());
        if base.is_none() {
            *base = chain.first().cloned();
        }
        base.is_some() && chain.first() != base.as_ref()
    });
}

#[test]
fn many_small_changes_are_merged_among_themselves_and_the_base_stays() {
    let sizes = [[30_000].as_slice(), &[3; 400]].concat();
    let (base, longest) = (RefCell::new(None), RefCell::new(0));
    merged(&sizes, |chain| {
        let mut base = base.borrow_mut();
        if let (None, Some(first)) = (base.as_ref(), chain.first()) {
            *base = Some(first.clone());
        }
        assert_eq!(chain.first(), base.as_ref());
        let mut longest = longest.borrow_mut();
        *longest = chain.len().max(*longest);
        *longest >= 16 && chain.len() + 10 < *longest
    });
}

const PROGRAM: &str = "
version: 1
name: keys
checkpoint: {every: 1ms, keep: 1}
sources: {in: {file: {path: in.jsonl}}, ticks: {tick: {delay: 0.005}}}
operators: {fresh: {from: in, dedupe: {key: n, within: 900h}}}
sinks: {out: {from: fresh, file: {path: out.jsonl}}, none: {from: ticks, drop: {}}}
";

#[test]
fn killed_while_changes_are_merged_the_program_goes_on_with_the_same_output() {
    const ROWS: usize = 40_000;
    let input: String = (0..ROWS).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat(120))).collect();
    let half = input.match_indices('\n').nth(ROWS / 2).unwrap().0 + 1;
    let input = &input;
    std::thread::scope(|scope| {
        for point in MERGE_POINTS {
            scope.spawn(move || {
                // One checkpoint holds a half; whatever the other half is cut into, it is worth merging.
                let folder = Folder::with(&[("keys.yaml", PROGRAM), ("in.jsonl", &input[..half])]);
                folder.run(&["run", "keys.yaml", "-q", "--once"]).code(0);
                folder.write("in.jsonl", input);
                folder.dies_at(point, &["run", "keys.yaml", "-q"]);
                folder.run(&["run", "keys.yaml", "-q", "--once"]).code(0);
                let output = folder.read("out.jsonl");
                assert_eq!((output == *input, output.lines().count()), (true, ROWS), "{point}");
            });
        }
    });
}

const INVENTORY: &str = "
checkpoint: {every: off}
sources: {things: {inventory: {}}}
operators:
  found:
    from: things
    check: {sql: \"SELECT arn AS resource, CASE WHEN value > 10 THEN 'alarm' ELSE 'ok' END AS status, 'v' AS reason FROM thing\"}
sinks: {changes: {from: things, collect: {}}}
";

#[test]
fn tables_and_findings_write_what_has_changed_of_them() {
    let mut stage = Stage::new(INVENTORY);
    let mut things: Vec<(i64, i64)> = (0..3_000).map(|id| (id, 50)).collect();
    let mut written = Vec::new();
    for changed in [3_000, 1, 10, 100] {
        let (from, life) = (1_000, written.len() as i64);
        // Fine in even lives, alarms in odd ones, and never as it was before.
        things[from..(from + changed).min(3_000)].iter_mut().for_each(|(_, value)| *value = life + 50 * (life % 2));
        stage.provider = Some((crate::providers::provider(&[&things]), Some(Duration::from_millis(5))));
        let rows = if written.is_empty() { 3_000 } else { changed as u64 };
        stage.stop_when(|status| rows_in(status, "changes") >= rows).unwrap();
        written.push(newest_bytes(&stage.directory()));
    }
    assert!(written[0] > 100_000, "{written:?}");
    let fixed = written[1];
    assert!(fixed < 12_000, "{written:?}");
    assert!(written[2] < fixed + 10 * 400 && written[3] < fixed + 100 * 400, "{written:?}");
}

#[test]
fn without_changes_a_checkpoint_writes_no_state() {
    let text = KEYS.replace("every: off", "every: 2ms");
    let pause = |_| {
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    };
    let stage = Stage::new(&text.replace("key: n", "key: k, time: t"))
        .give("in", Given::new(vec![rows([1])]).repeating().with_hook(pause));
    let directory = stage.directory();
    let known = RefCell::new(None);
    stage
        .stop_when(|status| {
            if checkpoints(status) < 2 {
                return false;
            }
            let mut known = known.borrow_mut();
            let (when, first) = known.get_or_insert_with(|| (checkpoints(status), chain(&directory)));
            assert_eq!(chain(&directory), *first);
            checkpoints(status) >= *when + 5
        })
        .unwrap();
    assert_eq!(stage.collected("out").len(), 1, "one row was kept, the others were its duplicates");
}
