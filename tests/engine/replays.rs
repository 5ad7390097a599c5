//! Replays: a recording executed again beside the original gives what the original gave, or says where it does not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tidegate_pipeline::checkpoint::{CheckpointNumber, CheckpointStore, SledStore, list_checkpoints};
use tidegate_pipeline::error::Result;
use tidegate_pipeline::runtime::{OpenOutput, Recording, ReplayFrom, RunOutcome};
use tidegate_pipeline::sink::TransactionalSink;
use tidegate_pipeline::step::StepHeader;

use crate::given::{Given, batches};
use crate::providers::provider;
use crate::stage::{Stage, copy};

const WHOLE: &str = "
checkpoint: {every: off, keep: 100}
sources: {in: {file: {path: in.jsonl}}, things: {inventory: {}}}
operators:
  seen: {from: in, probe: {}}
  some: {from: seen, filter: 'n % 3 <> 0'}
  fresh: {from: some, dedupe: {key: 'n % 20', within: 1000h, time: t}}
  found:
    from: things
    check: {sql: \"SELECT arn AS resource, CASE WHEN value > 10 THEN 'alarm' ELSE 'ok' END AS status, 'v' AS reason FROM thing\"}
sinks:
  all: {from: fresh, file: {path: all.jsonl}}
  findings: {from: found, file: {path: findings.jsonl}}
  page: {from: [fresh, found], dispatch: {}}
";

fn lines(numbers: std::ops::Range<i64>) -> String {
    numbers.map(|n| format!("{{\"n\":{n},\"t\":{}}}\n", n * 1000)).collect()
}

/// A run of three lives, each of which reads ten more numbers, finds more things, and ends with a checkpoint.
fn ran() -> Stage {
    let mut stage = Stage::new(WHOLE);
    stage.options.once = true;
    let things: [&[(i64, i64)]; 3] = [&[(1, 50)], &[(1, 50), (2, 5)], &[(1, 5), (3, 70)]];
    for (life, things) in things.into_iter().enumerate() {
        std::fs::write(stage.folder().join("in.jsonl"), lines(0..10 * (life as i64 + 1))).unwrap();
        stage.provider = Some((provider(&[things]), None));
        assert_eq!(stage.run().unwrap(), RunOutcome::Once);
    }
    assert!(list_checkpoints(&stage.directory()).unwrap().len() >= 3);
    assert!(!stage.take_attempts().is_empty());
    stage
}

fn recording(stage: &Stage, from: ReplayFrom, to: Option<u64>) -> Recording {
    Recording::open(&stage.directory(), from, to.map(CheckpointNumber)).unwrap()
}

/// Everything that lies in a folder, by path.
fn everything(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The rows that each sink was given, as JSON lines, by the name of its mark.
#[derive(Clone, Default)]
pub(crate) struct Outputs(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Outputs {
    pub(crate) fn open(&self) -> OpenOutput {
        let outputs = self.clone();
        Arc::new(move |mark| Ok(Box::new(Output { mark: mark.to_owned(), outputs: outputs.clone() })))
    }

    pub(crate) fn numbers(&self, mark: &str) -> Vec<i64> {
        let number = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_i64().unwrap();
        self.0.lock().get(mark).map(|lines| lines.iter().map(number).collect()).unwrap_or_default()
    }

    pub(crate) fn lines(&self, mark: &str) -> Vec<String> {
        self.0.lock().get(mark).cloned().unwrap_or_default()
    }
}

struct Output {
    mark: String,
    outputs: Outputs,
}

#[async_trait]
impl TransactionalSink for Output {
    async fn write(&mut self, _step: &StepHeader, rows: &RecordBatch) -> Result<()> {
        let mut bytes = Vec::new();
        let mut writer = arrow::json::LineDelimitedWriter::new(&mut bytes);
        writer.write(rows)?;
        writer.finish()?;
        let lines = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        self.outputs.0.lock().entry(self.mark.clone()).or_default().extend(lines);
        Ok(())
    }

    async fn commit(&mut self) -> Result<BoxFuture<'static, Result<String>>> {
        Ok(async { Ok("{}".to_owned()) }.boxed())
    }
}

#[test]
fn a_replay_gives_every_sink_the_same_and_touches_nothing() {
    let stage = ran();
    let before = everything(stage.folder());
    let (first, second) = (CheckpointNumber(1), CheckpointNumber(2));
    let ranges = [
        (ReplayFrom::Beginning, None),
        (ReplayFrom::Earliest, None),
        (ReplayFrom::Beginning, Some(1)),
        (ReplayFrom::Checkpoint(first), None),
        (ReplayFrom::Checkpoint(first), Some(2)),
        (ReplayFrom::Checkpoint(second), None),
    ];
    for (from, to) in ranges {
        let recording = recording(&stage, from, to);
        let report = stage.replay(&recording, None).unwrap();
        assert_eq!(report.differences, [], "{from:?} {to:?}");
        assert_eq!(report.compared, ["all", "findings", "page/0", "page/1"], "{from:?} {to:?}");
        assert_eq!((report.from, report.through), recording.range());
        assert!(report.steps > 0 && report.reconfiguration.is_none());
        assert_eq!(stage.replay_as_it_was(&recording, None).unwrap().differences, []);
    }
    assert_eq!(stage.take_attempts(), [], "no effect leaves");
    assert!(everything(stage.folder()) == before, "the original is as it was");
}

#[test]
fn outputs_of_a_replay_are_written_where_it_is_told() {
    let stage = ran();
    let outputs = Outputs::default();
    stage.replay(&recording(&stage, ReplayFrom::Beginning, None), Some(outputs.open())).unwrap();
    for (mark, file) in [("all", "all.jsonl"), ("findings", "findings.jsonl")] {
        // The file writes times with their zone.
        let original = std::fs::read_to_string(stage.folder().join(file)).unwrap().replace("Z\"", "\"");
        assert_eq!(outputs.lines(mark), original.lines().collect::<Vec<_>>(), "{mark}");
    }
    assert_eq!(outputs.numbers("page/0"), outputs.numbers("all"));
    assert_eq!(outputs.lines("page/1"), outputs.lines("findings"));
}

#[test]
fn input_that_is_truncated_gone_or_altered_is_told_before_anything_runs() {
    let stage = ran();
    let file = stage.folder().join("in.jsonl");
    let (whole, graph) = (std::fs::read_to_string(&file).unwrap(), stage.graph());
    let altered = [
        Some(whole[..whole.len() / 2].to_owned()),
        None,
        Some(whole.replacen("\"n\":1,", "\"n\":2,", 1)),
        Some(whole.replacen("\"n\":29,", "\"n\":28,", 1)),
    ];
    for content in altered {
        match &content {
            Some(content) => std::fs::write(&file, content).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let outputs = Outputs::default();
        let recording = recording(&stage, ReplayFrom::Beginning, None);
        let error = stage.replay_through(&graph, &recording, Some(outputs.open())).unwrap_err();
        assert!(error.message.contains("its recorded input (step "), "{content:?}: {error}");
        assert_eq!(error.node.as_deref(), Some("in"));
        assert!(outputs.0.lock().is_empty(), "nothing ran");
    }
    std::fs::write(&file, whole).unwrap();
    assert_eq!(stage.replay(&recording(&stage, ReplayFrom::Beginning, None), None).unwrap().differences, []);
}

#[test]
fn the_first_step_and_the_sinks_at_which_an_altered_operator_differs_are_named() {
    let stage = ran();
    let numbers = list_checkpoints(&stage.directory()).unwrap();
    let first = numbers.last().unwrap();
    stage.probe.dropped.store(13, Ordering::SeqCst);
    let report = stage.replay(&recording(&stage, ReplayFrom::Beginning, None), None).unwrap();
    let sinks: Vec<&str> = report.differences.iter().map(|difference| &*difference.sink).collect();
    assert_eq!(sinks.len(), 2, "{report:?}");
    assert!(sinks.contains(&"all") && sinks.contains(&"page/0"), "{report:?}");
    let differs = report.differences[0].clone();
    assert!(differs.differs_at > first.step && differs.same_through <= first.step, "{report:?}");
    assert_eq!(report.differences[1].differs_at, differs.differs_at);
    // Before that number, and where nobody lets it pass, there is no difference.
    assert_eq!(stage.replay(&recording(&stage, ReplayFrom::Beginning, Some(1)), None).unwrap().differences, []);
    stage.probe.dropped.store(12, Ordering::SeqCst);
    assert_eq!(stage.replay(&recording(&stage, ReplayFrom::Beginning, None), None).unwrap().differences, []);
}

#[test]
fn another_pipeline_goes_on_with_the_state_and_new_nodes_begin_with_the_tables() {
    let mut stage = ran();
    let other = WHOLE.replace("n % 3 <> 0", "n >= 0").replace(
        "sinks:",
        "  things_now: {from: things, filter: 'value > 0'}\nsinks:\n  seen_things: {from: things_now, collect: {}}",
    );
    stage.edit(&other);
    let before = everything(stage.folder());
    let outputs = Outputs::default();
    let recording = recording(&stage, ReplayFrom::Checkpoint(CheckpointNumber(2)), None);
    let report = stage.replay(&recording, Some(outputs.open())).unwrap();
    assert!(report.compared.is_empty() && report.differences.is_empty() && report.reconfiguration.is_some());
    // The third life brought 20 to 29; of their remainders the dedupe knows those that the old filter let pass.
    assert_eq!(outputs.numbers("all"), [20, 23, 26, 29]);
    let things = outputs.lines("seen_things");
    let of = |arn: &str| things.iter().filter(|line| line.contains(arn)).count();
    // Two things are there at first, one of them changes and one goes; one comes.
    assert!(of("arn:1") >= 2 && of("arn:2") >= 1 && of("arn:3") == 1, "{things:?}");
    assert!(things[0].contains("\"value\":50") && things[1].contains("arn:2"), "{things:?}");
    assert_eq!(stage.take_attempts(), []);
    assert!(everything(stage.folder()) == before);
}

#[test]
fn another_pipeline_from_the_beginning_sees_each_thing_come_once() {
    let mut stage = ran();
    stage.edit(
        &WHOLE
            .replace("sinks:", "  big: {from: things, filter: 'value > 0'}\nsinks:\n  bigs: {from: big, collect: {}}"),
    );
    let outputs = Outputs::default();
    let report = stage.replay(&recording(&stage, ReplayFrom::Beginning, Some(1)), Some(outputs.open())).unwrap();
    assert!(report.steps > 0);
    assert_eq!(outputs.lines("bigs").len(), 1, "{:?}", outputs.lines("bigs"));
    assert_eq!(
        outputs.lines("findings").len(),
        std::fs::read_to_string(stage.folder().join("findings.jsonl")).unwrap().lines().take(1).count()
    );
}

#[test]
fn another_pipeline_may_do_without_a_source() {
    let mut stage = ran();
    stage.edit(
        "
sources: {in: {file: {path: in.jsonl}}}
operators: {seen: {from: in, probe: {}}}
sinks: {all: {from: seen, collect: {}}}
",
    );
    let outputs = Outputs::default();
    stage.replay(&recording(&stage, ReplayFrom::Beginning, None), Some(outputs.open())).unwrap();
    assert_eq!(outputs.numbers("all"), (0..30).collect::<Vec<_>>());
}

#[test]
fn there_is_nothing_to_replay_without_a_checkpoint_before_the_journal_or_between_the_same_steps() {
    let stage = ran();
    let numbered = |number| ReplayFrom::Checkpoint(CheckpointNumber(number));
    let open = |from, to: Option<u64>| Recording::open(&stage.directory(), from, to.map(CheckpointNumber)).unwrap_err();
    assert!(open(numbered(99), None).message.contains("no checkpoint 99"));
    assert!(open(numbered(2), Some(1)).message.contains("nothing between"));
    assert!(open(ReplayFrom::Beginning, Some(99)).message.contains("no checkpoint 99"));
    let empty = tempfile::tempdir().unwrap();
    let error = Recording::open(empty.path(), ReplayFrom::Earliest, None).unwrap_err();
    assert!(error.message.contains("no checkpoint yet"), "{error}");
}

/// What has been warned of in this process.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether it was told that this sink was given other rows than before.
fn warned_of(sink: &str) -> bool {
    let text = String::from_utf8_lossy(&warnings().0.lock()).into_owned();
    text.lines().any(|line| line.contains("other rows than before") && line.contains(sink))
}

fn warnings() -> &'static Warnings {
    static WARNINGS: OnceLock<Warnings> = OnceLock::new();
    WARNINGS.get_or_init(|| {
        let warnings = Warnings::default();
        let writer = warnings.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::WARN);
        subscriber.with_writer(move || writer.clone()).try_init().unwrap();
        warnings
    })
}

/// A pipeline that has crashed after its sinks were durable and before the checkpoint that says so.
fn crashed_before_the_manifest(names: [&str; 2]) -> Stage {
    let text = format!(
        "
checkpoint: {{every: off, keep: 100}}
sources: {{in: {{given: {{}}}}}}
operators: {{seen: {{from: in, probe: {{}}}}}}
sinks:
  {}: {{from: seen, file: {{path: all.jsonl}}}}
  {}: {{from: seen, dispatch: {{}}}}
",
        names[0], names[1]
    );
    let tens = |count| Given::new(batches(40, 10)).endless().stalling_at(count);
    let mut stage = Stage::new(&text).give("in", tens(1));
    let (state, kept) = (stage.directory(), stage.folder().join("kept"));
    let attempts = Arc::clone(&stage.attempts);
    stage.stop_when(|_| attempts.lock().len() >= 10).unwrap();
    std::fs::rename(&state, &kept).unwrap();
    copy(&kept, &state);
    stage = stage.give("in", tens(2));
    stage.stop_when(|_| attempts.lock().len() >= 20).unwrap();
    copy(&state.join("journal"), &kept.join("journal"));
    copy(&state.join("segments"), &kept.join("segments"));
    let open =
        |directory: &Path| CheckpointStore::open(directory, Box::new(SledStore::open(directory).unwrap())).unwrap();
    let marks = open(&state).marks().unwrap();
    open(&kept).put_marks(&marks).unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(&kept, &state).unwrap();
    stage.give("in", tens(3))
}

#[test]
fn a_re_execution_that_gives_other_rows_is_told_and_marks_hold() {
    warnings();
    let stage = crashed_before_the_manifest(["altered_file", "altered_page"]);
    stage.probe.dropped.store(13, Ordering::SeqCst);
    let attempts = Arc::clone(&stage.attempts);
    attempts.lock().clear();
    stage.stop_when(|_| attempts.lock().iter().any(|(_, body)| body.contains("\"n\":29"))).unwrap();
    let file = std::fs::read_to_string(stage.folder().join("all.jsonl")).unwrap();
    assert_eq!(file.lines().count(), 30, "the file stays as it was written");
    assert!(warned_of("altered_file"));
    assert_eq!(stage.take_attempts().len(), 10, "nothing leaves twice");
}

#[test]
fn a_re_execution_that_gives_the_same_rows_is_not_told() {
    warnings();
    let stage = crashed_before_the_manifest(["same_file", "same_page"]);
    let attempts = Arc::clone(&stage.attempts);
    let left = |n: i64| attempts.lock().iter().any(|(_, body)| body.contains(&format!("\"n\":{n},")));
    stage.stop_when(|_| left(29)).unwrap();
    let stage = stage.give("in", Given::new(batches(50, 10)).endless().stalling_at(4));
    // Behind the checkpoint the outbox is ahead of the mark.
    stage.crash_when(|_| left(39));
    let stage = stage.give("in", Given::new(batches(50, 10)).endless());
    stage.stop_when(|_| left(49)).unwrap();
    assert!(!warned_of("same_file") && !warned_of("same_page"));
}
