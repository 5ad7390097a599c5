//! The whole program dies at each of its crash points; what it has written in the end is what an undisturbed
//! run writes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tidegate_pipeline::testing::crash::{POINTS, VARIABLE};

const PIPELINE: &str = "
version: 1
name: small
checkpoint: {every: 2ms, keep: 2}
sources: {events: {file: {path: events.jsonl}}}
operators:
  loud: {from: events, filter: \"n % 3 <> 0\"}
  fresh: {from: loud, dedupe: {key: [k, n / 50], within: 30s, time: t}}
sinks:
  out: {from: fresh, file: {path: out.jsonl}}
  wrong: {from: events.errors, file: {path: wrong.jsonl}}
";

/// Enough for several chunks of input, so that several checkpoints are made.
const EVENTS: usize = 12_000;

fn write(folder: &Path) {
    use std::fmt::Write as _;
    let filler = "x".repeat(400);
    let mut events = String::new();
    for n in 0..EVENTS {
        // The schema widens on the way: integers, then fractions, then a new column.
        let size = if n < EVENTS / 2 { n.to_string() } else { format!("{n}.5") };
        let more = if n > EVENTS * 3 / 4 { ",\"late\":true" } else { "" };
        let _ = writeln!(
            events,
            "{{\"k\":\"k{}\",\"n\":{n},\"t\":{},\"size\":{size},\"text\":\"{filler}\"{more}}}",
            n % 7,
            n * 100
        );
        if n % 3_000 == 1_000 {
            events.push_str("{broken\n");
        }
    }
    std::fs::write(folder.join("events.jsonl"), events).unwrap();
    std::fs::write(folder.join("small.yaml"), PIPELINE).unwrap();
}

fn tidegate(folder: &Path, crash_at: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(folder).env_remove("TIDEGATE_DIR").env_remove(VARIABLE).stdin(Stdio::null());
    command.envs(crash_at.map(|point| (VARIABLE, point))).args(["run", "small.yaml"]).output().unwrap()
}

fn outputs(folder: &Path) -> [Vec<u8>; 2] {
    ["out.jsonl", "wrong.jsonl"].map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
}

#[test]
fn killed_at_each_crash_point_the_program_ends_with_the_same_output() {
    let undisturbed = tempfile::tempdir().unwrap();
    write(undisturbed.path());
    assert!(tidegate(undisturbed.path(), None).status.success());
    let expected = outputs(undisturbed.path());
    assert!(expected.iter().all(|bytes| !bytes.is_empty()));
    let mut never = Vec::new();
    for point in POINTS {
        let mut reached = false;
        for pass in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path());
            let crashed = !tidegate(folder.path(), Some(&format!("{point}:{pass}"))).status.success();
            reached |= crashed;
            if crashed {
                let ended = tidegate(folder.path(), None);
                let said = String::from_utf8_lossy(&ended.stderr).into_owned();
                assert!(ended.status.success(), "{point}:{pass}: {said}");
            }
            assert!(outputs(folder.path()) == expected, "the output differs after a crash at {point}:{pass}");
        }
        if !reached {
            never.push(*point);
        }
    }
    // A small journal is one file: it is neither rotated nor cut off at its beginning.
    assert!(
        never.iter().all(|point| ["journal.rotate", "journal.discard"].contains(point)),
        "never reached: {never:?}"
    );
}
