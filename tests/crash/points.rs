//! Dying at each point around effects and file sinks, then going on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_pipeline::runtime::{EffectReach, EffectState, list_effects};
use tidegate_pipeline::testing::crash::{EFFECT_POINTS, SINK_POINTS, VARIABLE};

use crate::child::{NAME, PIPELINE, STATE, Task, child};
use crate::program::Done;
use crate::server::{ACCEPT, Reply, Server};
use crate::subjects::loud_events;

const POINTS_PIPELINE: &str = "
version: 1
name: child
checkpoint: {every: 4ms, keep: 2}
sources: {events: {file: {path: events.jsonl}}}
operators:
  loud: {from: events, filter: \"severity <> 'info'\"}
  short: {from: loud, select: 'n, severity'}
sinks:
  page: {from: short, dispatch: {}}
  text: {from: loud, file: {path: text.jsonl}}
  parts: {from: short, file: {path: parts.parquet}}
";

/// The effect that is refused at first, and so dead.
const REFUSED: &str = "\"n\":42,";

fn refuses_one(body: &str, attempt: usize) -> Reply {
    let refused = body.contains(REFUSED) && attempt == 1;
    if refused { Reply::Status("410 Gone\r\n") } else { ACCEPT }
}

/// What a run leaves: the text, the rows of all parts, what the server has accepted.
type Left = (Vec<u8>, Vec<String>, BTreeSet<String>);

fn write(folder: &Path) {
    std::fs::write(folder.join(PIPELINE), POINTS_PIPELINE).expect("written");
    std::fs::write(folder.join("events.jsonl"), loud_events(600)).expect("written");
}

fn left(folder: &Path, server: &Server) -> Left {
    let text = std::fs::read(folder.join("text.jsonl")).expect("the text is there");
    (text, rows_of_parts(&folder.join("parts.parquet")), server.accepted())
}

/// Where parts are cut depends on when checkpoints are made; what they hold does not.
fn rows_of_parts(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the parts are there").map(|entry| entry.expect("an entry").path());
    let mut parts: Vec<_> = entries.collect();
    parts.sort_unstable();
    let mut lines = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut lines);
    for part in parts {
        let file = std::fs::File::open(&part).expect("a part can be opened");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        for batch in reader.unwrap_or_else(|error| panic!("{}: {error}", part.display())) {
            writer.write(&batch.expect("a batch")).expect("rows have a JSON form");
        }
    }
    writer.finish().expect("rows have a JSON form");
    drop(writer);
    String::from_utf8(lines).expect("JSON is text").lines().map(str::to_owned).collect()
}

/// Runs a child; whether it died at the point that it was given. Without one it must end well.
fn lives(folder: &Path, task: &Task<'_>, crash_at: Option<&str>) -> bool {
    let ended = Done::of(child(folder, task).envs(crash_at.map(|point| (VARIABLE, point))));
    let died = ended.code.is_none();
    assert!(died || ended.code == Some(0), "{crash_at:?}: {}", ended.stderr);
    assert!(!died || crash_at.is_some(), "{}", ended.stderr);
    died
}

/// The effect that is dead in the end, if there is one.
fn dead_effect(folder: &Path) -> Option<String> {
    let listed = list_effects(&folder.join(STATE), NAME, EffectReach::Checkpoint).expect("effects can be read");
    listed.iter().find(|listed| listed.state == EffectState::Dead).map(|listed| listed.effect.id.to_string())
}

/// Lets it die at a point, in a run or while a dead effect is retried, and brings everything to its end.
fn dies_and_ends(point: &str, expected: &Left) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    // What happens to a dead effect is no matter of files.
    let around_effects = !point.starts_with("sink.");
    let server = Server::start(if around_effects { refuses_one } else { |_, _| ACCEPT });
    let run = Task::Run { server: &server.address };
    if point.starts_with("sink.part.remove") {
        // Only what an earlier life has left is removed.
        assert!(lives(folder.path(), &run, Some("sink.part.sync:1")));
    }
    let mut reached = lives(folder.path(), &run, Some(point));
    lives(folder.path(), &run, None);
    if let Some(dead) = dead_effect(folder.path()) {
        reached |= lives(folder.path(), &Task::Retry(&dead), Some(point));
        lives(folder.path(), &Task::Retry(&dead), None);
        reached |= lives(folder.path(), &run, Some(point));
        lives(folder.path(), &run, None);
        assert_eq!(server.ids_of(REFUSED), BTreeSet::from([dead]), "after {point}");
    }
    let (text, parts, accepted) = left(folder.path(), &server);
    assert!(text == expected.0, "after {point} the text differs: {} bytes, not {}", text.len(), expected.0.len());
    assert!(parts == expected.1, "after {point} the parts have {} rows, not {}", parts.len(), expected.1.len());
    let lost: Vec<_> = expected.2.symmetric_difference(&accepted).collect();
    assert!(lost.is_empty(), "after {point} the effects differ: {lost:?}");
    server.assert_one_id_each(point);
    reached
}

#[test]
fn died_at_each_point_around_effects_and_file_sinks_it_ends_with_the_same_output_and_effects() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path());
    let server = Server::start(|_, _| ACCEPT);
    lives(folder.path(), &Task::Run { server: &server.address }, None);
    let expected = left(folder.path(), &server);
    assert!(!expected.0.is_empty() && !expected.1.is_empty() && expected.2.len() == expected.1.len());

    let points: Vec<&str> = EFFECT_POINTS.iter().chain(SINK_POINTS).copied().collect();
    let (next, reached) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if [1, 3].map(|pass| dies_and_ends(&format!("{point}:{pass}"), &expected)).contains(&true) {
                        reached.lock().expect("no thread panicked").insert(*point);
                    }
                }
            });
        }
    });
    let reached = reached.into_inner().expect("no thread panicked");
    let never: Vec<_> = points.iter().filter(|point| !reached.contains(*point)).collect();
    assert!(never.is_empty(), "never reached: {never:?}");
}
