use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_pipeline::row_hash::RunningHash;
use tidegate_pipeline::sink::{Mark, TransactionalSink};
use tidegate_pipeline::step::StepNumber;

use super::*;
use crate::sinks::testing::step;

fn place(folder: &TempDir, name: &str, existing: Existing) -> OutputPlace {
    OutputPlace { path: folder.path().join(name), name: name.into(), existing }
}

async fn open(
    folder: &TempDir,
    name: &str,
    existing: Existing,
    mark: Option<&str>,
) -> Result<Box<dyn TransactionalSink>> {
    let format = format_of(Path::new(name)).unwrap();
    let planned = PlannedFile { place: place(folder, name, existing), format };
    let mark = mark.map(|detail| Mark { step: StepNumber(1), detail: detail.to_owned(), rows: RunningHash::default() });
    match planned.open(SinkContext { node: "out".into(), mark }).await? {
        Sink::Transactional(sink) => Ok(sink),
        Sink::Dispatching(_) => Err(Error::internal("a file is transactional")),
    }
}

/// The error of opening; fails the test when it opens.
async fn refused(folder: &TempDir, name: &str, mark: Option<&str>) -> Error {
    open(folder, name, Existing::Refuse, mark).await.err().unwrap()
}

async fn commit(sink: &mut dyn TransactionalSink) -> String {
    sink.commit().await.unwrap().await.unwrap()
}

fn rows(values: &[i64]) -> RecordBatch {
    let names: StringArray = values.iter().map(|value| (value % 2 == 0).then(|| format!("n{value}"))).collect();
    let numbers = Int64Array::from(values.to_vec());
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as _), ("name", Arc::new(names) as _)]).unwrap()
}

fn read(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

#[tokio::test]
async fn json_lines_leave_nulls_out_and_write_times_in_utc() {
    let folder = TempDir::new().unwrap();
    let mut sink = open(&folder, "out.jsonl", Existing::Refuse, None).await.unwrap();
    sink.write(&step(1), &rows(&[1, 2])).await.unwrap();
    let times = TimestampMillisecondArray::from(vec![1_000]);
    let zoned = times.clone().with_timezone("UTC");
    let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as _), ("z", Arc::new(zoned) as _)]).unwrap();
    sink.write(&step(2), &batch).await.unwrap();
    commit(sink.as_mut()).await;
    let expected =
        "{\"n\":1}\n{\"n\":2,\"name\":\"n2\"}\n{\"t\":\"1970-01-01T00:00:01Z\",\"z\":\"1970-01-01T00:00:01Z\"}\n";
    assert_eq!(read(&folder, "out.jsonl"), expected);
}

#[tokio::test]
async fn a_new_pipeline_refuses_what_exists_unless_told() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("out.jsonl"), "{\"old\":1}").unwrap();
    assert!(refused(&folder, "out.jsonl", None).await.message.contains("exists already"));
    let mut sink = open(&folder, "out.jsonl", Existing::Append, None).await.unwrap();
    sink.write(&step(1), &rows(&[1])).await.unwrap();
    commit(sink.as_mut()).await;
    assert_eq!(read(&folder, "out.jsonl"), "{\"old\":1}\n{\"n\":1}\n");
    let mut sink = open(&folder, "out.jsonl", Existing::Replace, None).await.unwrap();
    sink.write(&step(1), &rows(&[3])).await.unwrap();
    commit(sink.as_mut()).await;
    assert_eq!(read(&folder, "out.jsonl"), "{\"n\":3}\n");
}

#[tokio::test]
async fn a_shorter_or_changed_file_stops() {
    let folder = TempDir::new().unwrap();
    let mut sink = open(&folder, "out.jsonl", Existing::Refuse, None).await.unwrap();
    sink.write(&step(1), &rows(&[1, 2])).await.unwrap();
    let mark = commit(sink.as_mut()).await;
    let path = folder.path().join("out.jsonl");
    std::fs::write(&path, "{\"n\":1}\n").unwrap();
    assert!(refused(&folder, "out.jsonl", Some(&mark)).await.message.contains("shorter"));
    std::fs::write(&path, "{\"n\":9}\n{\"n\":2,\"name\":\"n2\"}\n").unwrap();
    let error = refused(&folder, "out.jsonl", Some(&mark)).await;
    assert!(error.message.contains("was changed") && error.remedy.is_some(), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&folder, "out.jsonl", Some(&mark)).await.message.contains("is gone"));
    assert!(!path.exists());
}

#[tokio::test]
async fn csv_has_one_header_and_refuses_new_columns() {
    let folder = TempDir::new().unwrap();
    let mut sink = open(&folder, "out.csv", Existing::Refuse, None).await.unwrap();
    sink.write(&step(1), &rows(&[1, 2])).await.unwrap();
    let mark = commit(sink.as_mut()).await;
    let mut sink = open(&folder, "out.csv", Existing::Refuse, Some(&mark)).await.unwrap();
    sink.write(&step(2), &rows(&[4])).await.unwrap();
    commit(sink.as_mut()).await;
    assert_eq!(read(&folder, "out.csv"), "n,name\n1,\n2,n2\n4,n4\n");
    let wider = RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
    let error = sink.write(&step(3), &wider).await.unwrap_err();
    assert!(error.message.contains("new column `x`"), "{error}");
}

#[tokio::test]
async fn parquet_writes_a_part_per_commit_and_removes_parts_above_the_mark() {
    let folder = TempDir::new().unwrap();
    let mut sink = open(&folder, "out.parquet", Existing::Refuse, None).await.unwrap();
    sink.write(&step(1), &rows(&[1])).await.unwrap();
    sink.write(&step(2), &rows(&[2])).await.unwrap();
    let mark = commit(sink.as_mut()).await;
    assert_eq!(commit(sink.as_mut()).await, mark);
    sink.write(&step(3), &rows(&[3])).await.unwrap();
    commit(sink.as_mut()).await;
    sink.write(&step(4), &rows(&[4])).await.unwrap();
    let names = || {
        let mut names: Vec<String> = std::fs::read_dir(folder.path().join("out.parquet"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(), ["part-000001.parquet", "part-000002.parquet", "part-000003.parquet.tmp"]);
    drop(sink);
    let mut sink = open(&folder, "out.parquet", Existing::Refuse, Some(&mark)).await.unwrap();
    assert_eq!(names(), ["part-000001.parquet"]);
    sink.write(&step(3), &rows(&[3])).await.unwrap();
    assert_eq!(commit(sink.as_mut()).await, "{\"part\":2}");
    assert!(refused(&folder, "out.parquet", None).await.message.contains("exists already"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_crash_at_any_point_leaves_a_byte_identical_file(
        steps in proptest::collection::vec(proptest::collection::vec(any::<i64>(), 0..5), 1..8),
        committed in 0_usize..8,
        written in 0_usize..8,
        garbage in "[ -~]{0,30}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            for name in ["whole.jsonl", "whole.csv"] {
                let mut sink = open(&folder, name, Existing::Refuse, None).await.unwrap();
                for values in &steps {
                    sink.write(&step(1), &rows(values)).await.unwrap();
                }
                commit(sink.as_mut()).await;
                let crashed = name.replace("whole", "crashed");
                let committed = committed.min(steps.len());
                let mut sink = open(&folder, &crashed, Existing::Refuse, None).await.unwrap();
                for values in &steps[..committed] {
                    sink.write(&step(1), &rows(values)).await.unwrap();
                }
                let mark = commit(sink.as_mut()).await;
                // Steps behind the mark that reached the file, and garbage behind them.
                for values in &steps[committed..written.clamp(committed, steps.len())] {
                    sink.write(&step(1), &rows(values)).await.unwrap();
                }
                drop(sink.commit().await.unwrap());
                drop(sink);
                let path = folder.path().join(&crashed);
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.extend_from_slice(garbage.as_bytes());
                std::fs::write(&path, bytes).unwrap();
                let mut sink = open(&folder, &crashed, Existing::Refuse, Some(&mark)).await.unwrap();
                for values in &steps[committed..] {
                    sink.write(&step(1), &rows(values)).await.unwrap();
                }
                commit(sink.as_mut()).await;
                assert_eq!(read(&folder, &crashed), read(&folder, name));
            }
        });
    }
}
