use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_pipeline::source::Arrival;
use tidegate_pipeline::step::{Range, SchemaVersion};

use super::*;
use crate::sources::testing::{context, drain, options, text};

/// A folder with one file.
struct Fixture {
    folder: TempDir,
    name: &'static str,
}

impl Fixture {
    fn new(name: &'static str, contents: impl AsRef<[u8]>) -> Self {
        let fixture = Self { folder: TempDir::new().unwrap(), name };
        fixture.write(contents);
        fixture
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join(self.name)
    }

    fn write(&self, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(), contents).unwrap();
    }

    fn append(&self, contents: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).open(self.path()).unwrap();
        file.write_all(contents.as_bytes()).unwrap();
    }

    /// Plans with more options, written as JSON members.
    fn try_plan(&self, more: &str) -> Result<PlannedSource, Vec<Diagnostic>> {
        let more = if more.is_empty() { String::new() } else { format!(",{more}") };
        let options = options(&format!("{{\"path\":\"{}\"{more}}}", self.name));
        let working_directory = self.folder.path().to_owned();
        FileKind.plan(&options, &SourcePlanContext { node: "in", working_directory, recorded: None })
    }

    fn plan(&self, more: &str) -> PlannedSource {
        self.try_plan(more).unwrap()
    }

    /// What is wrong with it.
    fn refused(&self, more: &str) -> String {
        self.try_plan(more).err().unwrap()[0].message.clone()
    }

    async fn read(&self, more: &str) -> Vec<Arrival> {
        drain(self.plan(more).open.open(context()).await.unwrap().as_mut()).await
    }

    /// The source with a small chunk size, as a test of cuts needs it.
    fn open_cut(&self, more: &str, size: usize, context: &SourceContext) -> FileSource {
        let options = options(&format!("{{\"path\":\"{}\"{more}}}", self.name));
        let settings: FileOptions = options.read().unwrap();
        let planned = plan(&settings, &Places(&options), self.folder.path()).unwrap();
        let cut = Cut { size, ..planned.cut };
        let feed = Feed {
            input: planned.input,
            format: planned.format,
            cut,
            length: None,
            follow: false,
            growing: false,
            cancel: context.cancel.clone(),
        };
        FileSource::new(feed, planned.schema, false, context).unwrap()
    }
}

/// Reasons and positions of what was rejected.
fn rejected(arrivals: &[Arrival]) -> Vec<(String, String)> {
    let all = arrivals.iter().flat_map(|arrival| &arrival.rejected);
    all.map(|rejected| (rejected.position.clone(), rejected.reason.clone())).collect()
}

fn only_rejection(arrivals: &[Arrival]) -> String {
    let all = rejected(arrivals);
    assert_eq!(all.len(), 1, "{all:?}");
    format!("{}: {}", all[0].0, all[0].1)
}

// matrix: file: happy
#[tokio::test]
async fn the_rows_of_a_file_are_its_lines() {
    let lines = "{\"a\":1,\"b\":\"x\",\"c\":{\"d\":[1.5]}}\n{\"a\":2,\"b\":\"ü\\n\",\"c\":{\"d\":[]}}\n";
    let file = Fixture::new("in.jsonl", lines);
    assert_eq!(text(&file.read("").await), lines);
}

#[tokio::test]
async fn a_last_line_without_an_end_counts() {
    let file = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":2}");
    assert_eq!(text(&file.read("").await), "{\"a\":1}\n{\"a\":2}\n");
}

#[tokio::test]
async fn blank_lines_windows_line_ends_and_a_byte_order_mark_are_passed_over() {
    let file = Fixture::new("in.jsonl", "\u{feff}{\"a\":1}\r\n\r\n  \n{\"a\":2}\r\n");
    let arrivals = file.read("").await;
    assert_eq!(text(&arrivals), "{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(rejected(&arrivals), []);
}

#[tokio::test]
async fn a_value_of_another_type_is_rejected_with_its_column() {
    let mut lines = "{\"size_gib\":1}\n".repeat(1000);
    lines.push_str("{\"size_gib\":\"big\"}\n{\"size_gib\":2}\n");
    let arrivals = Fixture::new("in.jsonl", lines).read("").await;
    let reason = "in.jsonl:1001: column `size_gib` is Int64; this row has the text \"big\"";
    assert_eq!(only_rejection(&arrivals), reason);
    assert_eq!(arrivals.iter().map(Arrival::row_count).sum::<usize>(), 1001);
}

// matrix: file: malformed
#[tokio::test]
async fn broken_and_truncated_lines_are_rejected_with_their_position() {
    let arrivals = Fixture::new("in.jsonl", "{\"a\":1}\nnonsense\n[1]\n{\"a\":2}x\n{\"a\":3}\n{\"a\":").read("").await;
    let places: Vec<String> = rejected(&arrivals).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["in.jsonl:2", "in.jsonl:3", "in.jsonl:4", "in.jsonl:6"]);
    assert!(rejected(&arrivals)[3].1.starts_with("the JSON ends too early"), "{:?}", rejected(&arrivals)[3]);
    assert_eq!(text(&arrivals), "{\"a\":1}\n{\"a\":3}\n");
}

#[tokio::test]
async fn a_line_that_is_too_long_is_rejected_and_the_next_is_read() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(300_000));
    let file = Fixture::new("in.jsonl", format!("{{\"a\":\"1\"}}\n{long}\n{{\"a\":\"2\"}}\n"));
    for size in [1024, 1024 * 1024] {
        let mut source = file.open_cut(",\"max_line\":100000", size, &context());
        let arrivals = drain(&mut source).await;
        assert_eq!(only_rejection(&arrivals), "in.jsonl:2: the line is 300008 bytes long; `max_line` is 100000");
        assert_eq!(text(&arrivals), "{\"a\":\"1\"}\n{\"a\":\"2\"}\n");
        assert!(arrivals.iter().flat_map(|arrival| &arrival.rejected).all(|r| r.raw.len() == 64 * 1024));
    }
}

#[tokio::test]
async fn a_line_that_is_not_utf8_is_rejected_and_the_others_are_read() {
    let arrivals = Fixture::new("in.jsonl", b"{\"a\":\"1\"}\n{\"a\":\"\xff\"}\n{\"a\":\"2\"}\n").read("").await;
    let reason = "in.jsonl:2: the line is not valid UTF-8: byte 7 begins no character";
    assert_eq!(only_rejection(&arrivals), reason);
    assert_eq!(text(&arrivals), "{\"a\":\"1\"}\n{\"a\":\"2\"}\n");
}

#[tokio::test]
async fn a_name_that_stands_twice_is_rejected() {
    let arrivals = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":1,\"a\":2}\n").read("").await;
    assert_eq!(only_rejection(&arrivals), "in.jsonl:2: the name `a` stands twice in one object");
}

#[tokio::test]
async fn ten_thousand_columns_are_read_and_one_more_is_rejected() {
    let row = |columns: usize| {
        let members: Vec<String> = (0..columns).map(|at| format!("\"c{at}\":{at}")).collect();
        format!("{{{}}}\n", members.join(","))
    };
    let file = Fixture::new("in.jsonl", format!("{}{}", row(10_000), row(10_001)));
    let arrivals = file.read("").await;
    assert_eq!(arrivals[0].rows[0].1.num_columns(), 10_000);
    let reason = "in.jsonl:2: the row would widen the schema to 10001 columns; `max_columns` is 10000";
    assert_eq!(only_rejection(&arrivals), reason);
}

#[tokio::test]
async fn a_new_column_widens_the_schema_from_its_row_on() {
    let mut lines = "{\"a\":1,\"n\":null,\"s\":{\"x\":1}}\n".repeat(1001);
    lines.push_str("{\"a\":2,\"new\":true}\n{\"a\":2.5,\"n\":\"now\",\"s\":{\"x\":1,\"y\":2}}\n{\"a\":3}\n");
    let arrivals = Fixture::new("in.jsonl", lines).read("").await;
    let versions: Vec<(u32, usize, bool)> = arrivals
        .iter()
        .map(|arrival| (arrival.schema_version.0, arrival.row_count(), arrival.new_schema.is_some()))
        .collect();
    assert_eq!(versions, [(1, 1001, true), (2, 1, true), (3, 2, true)]);
    let tail = text(&arrivals[1..]);
    let expected = "{\"a\":2,\"new\":true}\n{\"a\":2.5,\"n\":\"now\",\"s\":{\"x\":1,\"y\":2}}\n{\"a\":3.0}\n";
    assert_eq!(tail, expected);
}

#[tokio::test]
async fn chunks_that_all_widen_at_their_first_row_bring_all_their_columns() {
    let lines = "{\"a\":1}\n{\"b\":1}\n{\"c\":1}\n{\"d\":{\"x\":1}}\n{\"d\":{\"y\":1}}\n";
    let file = Fixture::new("in.jsonl", lines);
    let context = widening_from(&Arc::new(Schema::empty()));
    let arrivals = drain(&mut file.open_cut("", 8, &context)).await;
    assert_eq!(text(&arrivals), lines);
}

#[tokio::test]
async fn mixed_scalars_of_the_sample_become_text() {
    let file = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":2.50}\n{\"a\":true}\n");
    let expected = "{\"a\":\"1\"}\n{\"a\":\"x\"}\n{\"a\":\"2.50\"}\n{\"a\":\"true\"}\n";
    assert_eq!(text(&file.read("").await), expected);
}

#[tokio::test]
async fn declared_columns_keep_their_type_and_may_be_absent_from_the_sample() {
    let file = Fixture::new(
        "in.jsonl",
        "{\"id\":7,\"at\":\"2026-01-02T03:04:05Z\"}\n{\"id\":\"x\",\"at\":1000}\n{\"at\":\"never\"}\n",
    );
    let arrivals = file.read("\"columns\":{\"id\":\"text\",\"at\":\"timestamp\",\"tags\":\"list<text>\"}").await;
    let expected = "{\"id\":\"7\",\"at\":\"2026-01-02T03:04:05Z\"}\n{\"id\":\"x\",\"at\":\"1970-01-01T00:00:01Z\"}\n";
    assert_eq!(text(&arrivals), expected);
    let names: Vec<String> = arrivals[0].rows[0].1.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "at", "tags"]);
    assert!(only_rejection(&arrivals).contains("column `at` is Timestamp"), "{}", only_rejection(&arrivals));
}

#[tokio::test]
async fn compressed_files_are_read_by_their_extension() {
    let lines = "{\"a\":1}\n{\"a\":2}\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).unwrap();
    assert_eq!(text(&Fixture::new("in.jsonl.gz", gzip.finish().unwrap()).read("").await), lines);
    let zstd = zstd::encode_all(lines.as_bytes(), 1).unwrap();
    assert_eq!(text(&Fixture::new("in.jsonl.zst", zstd).read("").await), lines);
}

#[tokio::test]
async fn an_empty_file_has_no_rows_and_ends() {
    assert_eq!(Fixture::new("in.jsonl", "").read("").await.len(), 0);
}

#[test]
fn a_missing_file_a_folder_and_an_unknown_extension_are_refused_when_planning() {
    let file = Fixture::new("in.data", "");
    assert_eq!(file.refused(""), "the extension of `in.data` does not tell its format");
    std::fs::remove_file(file.path()).unwrap();
    assert_eq!(file.refused("\"format\":\"jsonl\""), "there is no file `in.data`");
    std::fs::create_dir(file.path()).unwrap();
    assert_eq!(file.refused("\"format\":\"jsonl\""), "`in.data` is a directory");
    assert_eq!(file.refused("\"files\":[]"), "exactly one of `path` and `files` must be given");
}

#[tokio::test]
async fn yaml_facts_become_events_and_other_values_are_refused() {
    let file = Fixture::new("facts.yml", "- {host: a, n: 1}\n- {host: b, n: x}\n");
    assert_eq!(text(&file.read("").await), "{\"host\":\"a\",\"n\":\"1\"}\n{\"host\":\"b\",\"n\":\"x\"}\n");
    file.write("just text");
    let expected = "`facts.yml` holds a single value; an events file holds a map, or a list of maps";
    assert_eq!(file.refused(""), expected);
    file.write("");
    assert_eq!(file.read("").await.len(), 0);
}

#[tokio::test]
async fn csv_is_read_with_inferred_types_and_ragged_rows_are_rejected() {
    let csv = "id,size,name,on\n007,1,\"a, \"\"b\"\"\nc\",true\n008,2.5,,false\n1,2\n009,big,x,true\n";
    let file = Fixture::new("in.csv", csv);
    // The sample would make `size` a text; the type is set here to see a wrong one.
    let arrivals = file.read("\"columns\":{\"size\":\"float\"}").await;
    let expected = "{\"id\":\"007\",\"size\":1.0,\"name\":\"a, \\\"b\\\"\\nc\",\"on\":true}\n{\"id\":\"008\",\"size\":2.5,\"on\":false}\n";
    assert_eq!(text(&arrivals), expected);
    let reasons = [
        ("in.csv:5".to_owned(), "the row has 2 fields; the file has 4 columns".to_owned()),
        ("in.csv:6".to_owned(), "column `size` is Float64; this row has the text \"big\"".to_owned()),
    ];
    assert_eq!(rejected(&arrivals), reasons);
}

#[tokio::test]
async fn a_quote_that_is_never_closed_costs_one_line() {
    let csv = format!("a,b\n1,\"x\n{}", "2,y\n".repeat(100));
    let file = Fixture::new("in.csv", csv);
    for size in [64, 1024 * 1024] {
        let mut source = file.open_cut(",\"max_line\":50,\"columns\":{\"a\":\"int\",\"b\":\"text\"}", size, &context());
        let arrivals = drain(&mut source).await;
        assert!(only_rejection(&arrivals).starts_with("in.csv:2: the record is longer"), "{:?}", rejected(&arrivals));
        assert_eq!(text(&arrivals).lines().count(), 100);
    }
}

#[tokio::test]
async fn parquet_is_read_and_read_again_from_the_middle() {
    use arrow::array::{Int64Array, RecordBatch};
    let numbers: Vec<i64> = (0..20_000).collect();
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(numbers)) as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = Fixture::new("in.parquet", bytes);
    let arrivals = file.read("").await;
    assert_eq!(arrivals.iter().map(Arrival::row_count).sum::<usize>(), 20_000);
    check_resume(&file, "", &arrivals, 1024).await;
}

// matrix: file: disconnect
#[tokio::test]
async fn a_range_that_reads_differently_stops_with_the_remedy() {
    let file = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    let arrivals = file.read("").await;
    file.write("{\"a\":1}\n{\"a\":3}\n");
    let mut source = file.plan("").open.open(context()).await.unwrap();
    let error = source.reread(arrivals[0].range.as_ref().unwrap(), SchemaVersion(1)).await.unwrap_err();
    assert!(error.message.contains("has changed since it was read"), "{error}");
    assert!(error.remedy.unwrap().contains("--accept-divergence"));
}

#[tokio::test]
async fn the_fingerprint_of_a_resumed_run_is_that_of_the_whole_file() {
    let file = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    let mut whole = file.open_cut("", 8, &context());
    let arrivals = drain(&mut whole).await;
    let resumed = SourceContext {
        position: Some(arrivals[0].position.clone()),
        schemas: vec![(SchemaVersion(1), arrivals[0].new_schema.clone().unwrap())],
        ..context()
    };
    let mut rest = file.open_cut("", 8, &resumed);
    drain(&mut rest).await;
    assert_eq!(rest.fingerprint(), whole.fingerprint());
    let planned = file.plan("");
    assert!(planned.open.unchanged(&whole.fingerprint().unwrap()).unwrap());
    file.write("{\"a\":1}\n{\"a\":2}\n{\"a\":4}\n");
    assert!(!planned.open.unchanged(&whole.fingerprint().unwrap()).unwrap());
}

#[tokio::test]
async fn a_followed_file_gives_what_is_appended_and_survives_rotation() {
    let file = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":");
    let planned = file.plan("\"follow\":true");
    assert!(!planned.bounded);
    let mut source = planned.open.open(context()).await.unwrap();
    assert_eq!(text(&[source.next().await.unwrap().unwrap()]), "{\"a\":1}\n");
    file.append("2}\n");
    let second = source.next().await.unwrap().unwrap();
    assert_eq!(text(&[second]), "{\"a\":2}\n");
    std::fs::rename(file.path(), file.folder.path().join("in.jsonl.1")).unwrap();
    file.write("{\"a\":3}\n");
    let third = source.next().await.unwrap().unwrap();
    assert_eq!(text(std::slice::from_ref(&third)), "{\"a\":3}\n");
    assert!(third.range.is_none());
    file.append("{\"a\":4}\n");
    let resumed = SourceContext {
        position: Some(third.position.clone()),
        schemas: vec![(SchemaVersion(1), planned.ports[0].schema.clone())],
        ..context()
    };
    let mut again = planned.open.open(resumed).await.unwrap();
    assert_eq!(text(&[again.next().await.unwrap().unwrap()]), "{\"a\":4}\n");
}

#[tokio::test]
async fn once_reads_a_followed_file_to_its_end_and_ends() {
    let file = Fixture::new("in.jsonl", "{\"a\":1}\n{\"a\":");
    let planned = file.plan("\"follow\":true");
    let mut source = planned.open.open(SourceContext { once: true, ..context() }).await.unwrap();
    assert_eq!(text(&drain(source.as_mut()).await), "{\"a\":1}\n");
}

/// What was read, joined: rows as text, rejections.
fn joined(arrivals: &[Arrival]) -> (String, Vec<(String, String)>) {
    (text(arrivals), rejected(arrivals))
}

/// After each arrival: a source that is opened there gives the rest, and reads the range again the same.
async fn check_resume(file: &Fixture, more: &str, arrivals: &[Arrival], size: usize) {
    let mut schemas = Vec::new();
    for (at, arrival) in arrivals.iter().enumerate() {
        if let Some(schema) = &arrival.new_schema {
            schemas.push((arrival.schema_version, schema.clone()));
        }
        let context = SourceContext { position: Some(arrival.position.clone()), schemas: schemas.clone(), ..context() };
        let mut source = file.open_cut(more, size, &context);
        let range: &Range = arrival.range.as_ref().unwrap();
        let again = source.reread(range, arrival.schema_version).await.unwrap();
        assert_eq!(joined(&[again]), joined(std::slice::from_ref(arrival)));
        assert_eq!(joined(&drain(&mut source).await), joined(&arrivals[at + 1..]));
    }
}

/// One line: mostly good, sometimes with a new column, another type, or broken.
fn line() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => any::<i16>().prop_map(|n| n.to_string()),
        2 => any::<f32>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| serde_json::json!(n).to_string()),
        3 => "[a-zé\"\\\\\n]{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
        2 => Just("null".to_owned()),
        1 => Just("true".to_owned()),
        1 => Just("[1,2.5]".to_owned()),
        1 => Just("{\"x\":1}".to_owned()),
        1 => Just("{\"x\":1,\"y\":\"z\"}".to_owned()),
    ];
    let object = proptest::collection::vec(("[a-f]", value), 0..5).prop_map(|members| {
        let members: Vec<String> = members.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", members.join(", "))
    });
    prop_oneof![
        12 => object.clone(),
        1 => object.prop_map(|text| text[..text.len() - 1].to_owned()),
        1 => Just(String::new()),
        1 => Just("{\"a\":1}{\"a\":2}".to_owned()),
        1 => "[ -~]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_rows_never_depend_on_where_chunks_are_cut(lines in proptest::collection::vec(line(), 0..40), size in 1_usize..200) {
        let file = Fixture::new("in.jsonl", lines.join("\n"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // Types are declared by nothing and sampled from nothing: everything has to be widened on the way.
        let (whole, cut) = runtime.block_on(async {
            let bare = Arc::new(Schema::empty());
            let mut whole = file.open_cut("", 1 << 20, &widening_from(&bare));
            let mut cut = file.open_cut("", size, &widening_from(&bare));
            (drain(&mut whole).await, drain(&mut cut).await)
        });
        prop_assert_eq!(joined(&whole), joined(&cut));
        let schemas = |arrivals: &[Arrival]| -> Vec<_> {
            arrivals.iter().filter_map(|arrival| arrival.new_schema.clone()).collect()
        };
        prop_assert_eq!(schemas(&whole), schemas(&cut));
    }

    #[test]
    fn resuming_anywhere_gives_what_is_left(lines in proptest::collection::vec(line(), 0..30), size in 1_usize..200) {
        let file = Fixture::new("in.jsonl", lines.join("\n"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let arrivals = drain(&mut file.open_cut("", size, &context())).await;
            check_resume(&file, "", &arrivals, 64).await;
        });
    }

    #[test]
    fn csv_rows_never_depend_on_where_chunks_are_cut(
        cells in proptest::collection::vec("[a-z\"\n, 0-9]{0,6}", 0..40),
        size in 1_usize..100,
    ) {
        let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
        let rows: Vec<String> = quoted.chunks(3).map(|row| row.join(",")).collect();
        let file = Fixture::new("in.csv", format!("a,b,c\n{}", rows.join("\r\n")));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let whole = drain(&mut file.open_cut("", 1 << 20, &context())).await;
            let cut = drain(&mut file.open_cut("", size, &context())).await;
            assert_eq!(joined(&whole), joined(&cut));
            check_resume(&file, "", &cut, 50).await;
        });
    }
}

/// A context in which a bare schema was announced as the first version.
fn widening_from(schema: &SchemaRef) -> SourceContext {
    SourceContext { schemas: vec![(SchemaVersion(1), Arc::clone(schema))], ..context() }
}
