use arrow::array::RecordBatch;
use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_pipeline::operator::SnapshotMode;
use tidegate_pipeline::table::TableDefinition;

use super::*;
use crate::testing::{Bench, Surroundings, entries, items, lines, plan_in, rows};

const OWNERS: &str = "id,owner,floor\na,ann,1\nb,bob,2\na,amy,3\n,nobody,4\n";

fn directory(name: &str, contents: &[u8]) -> (TempDir, Surroundings) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(name), contents).unwrap();
    let around = Surroundings { directory: directory.path().to_owned(), ..Surroundings::default() };
    (directory, around)
}

fn options(table: &str, extra: &[(&'static str, Tree)]) -> Options {
    let base = [("table", Tree::Text(table.into())), ("on", Tree::Text("id".into()))];
    entries(base.into_iter().chain(extra.iter().cloned()))
}

fn text(value: &str) -> Tree {
    Tree::Text(value.into())
}

fn events() -> RecordBatch {
    rows(&[r#"{"id":"b","n":1}"#, r#"{"id":"a","n":2}"#, r#"{"id":"z","n":3}"#, r#"{"id":null,"n":4}"#])
}

async fn enriched(extra: &[(&'static str, Tree)]) -> Vec<String> {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let mut bench = Bench::within(&Enrich, &options("owners.csv", extra), events().schema(), &around);
    bench.lookup(OWNERS.as_bytes()).await;
    bench.step(0, &events()).await;
    bench.emitted(0)
}

fn mistakes(options: &Options, schema: SchemaRef, around: &Surroundings) -> Vec<Diagnostic> {
    match plan_in(&Enrich, options, schema, around) {
        Ok(_) => panic!("must be refused"),
        Err(found) => found,
    }
}

#[tokio::test]
async fn the_first_row_with_the_key_is_found_and_what_is_not_found_is_null() {
    assert_eq!(
        enriched(&[]).await,
        lines(&[
            r#"{"id":"b","n":1,"owner":"bob","floor":2}"#,
            r#"{"id":"a","n":2,"owner":"ann","floor":1}"#,
            r#"{"id":"z","n":3}"#,
            r#"{"n":4}"#,
        ])
    );
}

#[tokio::test]
async fn several_matches_are_defined() {
    let only = |extra: Tree| [("columns", items(&["owner"])), ("matches", extra), ("missing", text("drop"))];
    assert_eq!(enriched(&only(text("last"))).await[1], r#"{"id":"a","n":2,"owner":"amy"}"#);
    let all = enriched(&only(text("all"))).await;
    assert_eq!(
        all,
        lines(&[
            r#"{"id":"b","n":1,"owner":"bob"}"#,
            r#"{"id":"a","n":2,"owner":"ann"}"#,
            r#"{"id":"a","n":2,"owner":"amy"}"#,
        ])
    );
    assert_eq!(enriched(&only(text("error"))).await, lines(&[r#"{"id":"b","n":1,"owner":"bob"}"#]));
}

#[tokio::test]
async fn a_row_with_several_matches_can_be_an_error() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let error = options("owners.csv", &[("matches", text("error"))]);
    let mut bench = Bench::within(&Enrich, &error, events().schema(), &around);
    bench.lookup(OWNERS.as_bytes()).await;
    let out = bench.step(0, &events()).await;
    assert_eq!(out.rejected.len(), 1);
    assert_eq!(
        (out.rejected[0].0, out.rejected[0].1.reason.as_str()),
        (1, "2 rows of the table have the key of this row")
    );
}

#[tokio::test]
async fn the_table_is_read_as_the_type_of_the_rows() {
    let csv = b"id,owner\n007,bond\n42,deep\nx,none\n";
    let (_directory, around) = directory("t.csv", csv);
    for (row, expected) in [
        (r#"{"id":"007"}"#, r#"{"id":"007","owner":"bond"}"#),
        (r#"{"id":42}"#, r#"{"id":42,"owner":"deep"}"#),
        (r#"{"id":42.0}"#, r#"{"id":42.0,"owner":"deep"}"#),
    ] {
        let rows = rows(&[row]);
        let mut bench = Bench::within(&Enrich, &options("t.csv", &[]), rows.schema(), &around);
        bench.lookup(csv).await;
        bench.step(0, &rows).await;
        assert_eq!(bench.emitted(0), lines(&[expected]));
    }
}

#[tokio::test]
async fn row_and_table_may_name_the_key_differently() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let rows = rows(&[r#"{"payload":{"res":"B","floor":2}}"#]);
    let on = entries([
        ("table", text("owners.csv")),
        ("on", entries([("lower(payload.res)", text("id")), ("payload.floor", text("floor"))]).tree.value),
    ]);
    let mut bench = Bench::within(&Enrich, &on, rows.schema(), &around);
    bench.lookup(OWNERS.as_bytes()).await;
    bench.step(0, &rows).await;
    assert_eq!(bench.emitted(0), lines(&[r#"{"payload":{"res":"B","floor":2},"owner":"bob"}"#]));
}

#[tokio::test]
async fn every_format_gives_the_same_table() {
    let json = br#"[{"id":"b","owner":"bob","floor":2}]"#;
    let jsonl = b"\n{\"id\":\"b\",\"owner\":\"bob\",\"floor\":2}\n";
    let batch = rows(&[r#"{"id":"b","owner":"bob","floor":2}"#]);
    let mut parquet = Vec::new();
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(&mut parquet, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let contents: [(&str, &[u8]); 4] =
        [("t.json", json), ("t.jsonl", jsonl), ("t.parquet", &parquet), ("t.csv", b"id,owner,floor\nb,bob,2\n")];
    for (name, contents) in contents {
        let (_directory, around) = directory(name, contents);
        let chosen = options(name, &[("columns", items(&["floor", "owner"]))]);
        let mut bench = Bench::within(&Enrich, &chosen, events().schema(), &around);
        bench.lookup(contents).await;
        bench.step(0, &events().slice(0, 1)).await;
        assert_eq!(bench.emitted(0), lines(&[r#"{"id":"b","n":1,"floor":2,"owner":"bob"}"#]), "{name}");
    }
}

#[test]
fn numbers_that_are_names_stay_text() {
    let parsed =
        file::parse(b"zip,size,mixed,ok,none\n01234,1,1.5,true,\n99999,2,2,false,\n", Format::Csv, &["none"]).unwrap();
    let types: Vec<&DataType> = parsed.schema_ref().fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(types, [&DataType::Utf8, &DataType::Int64, &DataType::Float64, &DataType::Boolean, &DataType::Utf8]);
}

#[tokio::test]
async fn a_changed_file_is_used_from_its_step_on_and_a_broken_one_is_not() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let mut bench =
        Bench::within(&Enrich, &options("owners.csv", &[("columns", items(&["owner"]))]), events().schema(), &around);
    let one = events().slice(0, 1);
    bench.lookup(OWNERS.as_bytes()).await;
    bench.step(1, &one).await;
    bench.lookup(b"id,owner,floor\nb,ben,9\n").await;
    bench.step(2, &one).await;
    for broken in [&b"id,name\nb,x\n"[..], b"id,owner,floor\nb\n", b""] {
        let out = bench.lookup(broken).await;
        assert_eq!(out.rejected.len(), 1, "{broken:?}");
        assert!(out.rejected[0].1.reason.starts_with("the new contents of `owners.csv` are not used: "));
    }
    bench.step(3, &one).await;
    assert_eq!(
        bench.emitted(0),
        lines(&[
            r#"{"id":"b","n":1,"owner":"bob"}"#,
            r#"{"id":"b","n":1,"owner":"ben"}"#,
            r#"{"id":"b","n":1,"owner":"ben"}"#,
        ])
    );
}

#[test]
fn mistakes_are_found_when_planning() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let schema = events().schema();
    let first = |options: &Options| mistakes(options, Arc::clone(&schema), &around).remove(0);

    let gone = first(&options("owner.csv", &[]));
    assert!(gone.message.starts_with("cannot read the table `owner.csv`: "), "{gone:?}");
    assert_eq!((gone.place.line, gone.place.column), (4, 11));

    let column = first(&options("owners.csv", &[("columns", items(&["ownr"]))]));
    assert_eq!(column.message, "the table has no column `ownr`");
    assert_eq!(column.help.as_deref(), Some("did you mean `owner`?"));

    let both = first(&entries([("table", text("owners.csv")), ("on", items(&["idd"]))]));
    assert_eq!(both.message, "there is no column `idd` here");
    let nested = rows(&[r#"{"id":{"a":1}}"#]).schema();
    let unequal = mistakes(&options("owners.csv", &[]), nested, &around).remove(0);
    assert!(unequal.message.starts_with("`id` of the table is Utf8, `id` of the rows is Struct"), "{unequal:?}");

    assert_eq!(first(&entries([("on", text("id"))])).message, "`enrich` needs either `table` or `node`");
    assert!(first(&options("owners", &[])).message.contains("does not tell the format"));
    assert!(
        first(&options("owners.csv", &[("format", text("json"))]))
            .message
            .starts_with("`owners.csv` is no JSON table: ")
    );
}

#[test]
fn a_clash_of_names_is_an_error_that_names_prefix() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let schema = rows(&[r#"{"id":"a","owner":"me"}"#]).schema();
    let found = mistakes(&options("owners.csv", &[]), Arc::clone(&schema), &around);
    assert_eq!(found[0].message, "the rows have a column `owner` already");
    assert!(found[0].help.as_deref().unwrap().contains("prefix"));
    let (planned, _) = plan_in(&Enrich, &options("owners.csv", &[("prefix", text("o_"))]), schema, &around).unwrap();
    let names: Vec<&str> = planned.ports[0].schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "owner", "o_owner", "o_floor"]);
    assert_eq!(planned.lookups[0].name, "table");
}

#[test]
fn a_table_of_another_node_is_a_side_input() {
    let schema = rows(&[r#"{"uid":1,"name":"root"}"#]).schema();
    let definition = TableDefinition::new("host_user", "users", schema, ["uid"]);
    let around = Surroundings { tables: vec![definition], ..Surroundings::default() };
    let input = rows(&[r#"{"uid":1}"#]).schema();
    let of = |node: &str| entries([("node", text(node)), ("on", text("uid"))]);
    let (planned, _) = plan_in(&Enrich, &of("inventory.host_user"), Arc::clone(&input), &around).unwrap();
    assert_eq!(planned.side_inputs[0].to_string(), "inventory.host_user");
    assert!(planned.lookups.is_empty());
    let wrong = mistakes(&of("inventory.host_usr"), Arc::clone(&input), &around);
    assert_eq!(wrong[0].help.as_deref(), Some("did you mean `host_user`?"));
    assert_eq!(mistakes(&of("nowhere.x"), input, &around)[0].message, "`nowhere` is no node with tables");
}

#[tokio::test]
async fn a_column_that_comes_later_gives_way_to_the_table() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let around = Surroundings { open: true, ..around };
    let mut bench =
        Bench::within(&Enrich, &options("owners.csv", &[("columns", items(&["owner"]))]), events().schema(), &around);
    bench.lookup(OWNERS.as_bytes()).await;
    bench.step(0, &rows(&[r#"{"id":"b","n":1,"new":true,"owner":"me"}"#])).await;
    assert_eq!(bench.emitted(0), lines(&[r#"{"id":"b","n":1,"new":true,"owner":"bob"}"#]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_leaves_does_not_depend_on_where_steps_are_cut(
        keys in prop::collection::vec(prop::option::of("[a-d]"), 1..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let text: Vec<String> =
            keys.iter().map(|key| serde_json::json!({"id": key, "n": 1}).to_string()).collect();
        let all = crate::testing::rows_of(&text.iter().map(String::as_str).collect::<Vec<_>>(), &events().schema());
        let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
        let every = options("owners.csv", &[("matches", Tree::Text("all".into()))]);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(all.num_rows())).collect();
        places.sort_unstable();
        let run = |places: &[usize]| {
            let mut bench = Bench::within(&Enrich, &every, events().schema(), &around);
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
                bench.lookup(OWNERS.as_bytes()).await;
                let mut from = 0;
                for to in places.iter().copied().chain([all.num_rows()]) {
                    bench.step(0, &all.slice(from, to - from)).await;
                    from = to;
                }
            });
            bench.everything()
        };
        prop_assert_eq!(run(&[]), run(&places));
    }
}

/// The users of a machine, as a provider's tables.
struct Users(tidegate_pipeline::table::Tables);

impl Users {
    const COLUMNS: [&str; 5] = ["account_id", "region", "arn", "uid", "name"];

    fn definition() -> TableDefinition {
        let text = |name: &&str| arrow::datatypes::Field::new(*name, arrow::datatypes::DataType::Utf8, true);
        let schema = arrow::datatypes::Schema::new(Self::COLUMNS.iter().map(text).collect::<Vec<_>>());
        TableDefinition::new("host_user", "users", Arc::new(schema), ["uid"])
    }

    /// Refreshes the users: operation, number and name of each that changes.
    fn refresh(&mut self, changes: &[(&str, &str, &str)]) -> tidegate_pipeline::table::TableSet {
        use tidegate_pipeline::step::{Scope, ScopeOutcome, Unit};
        let line = |(operation, uid, name): &(&str, &str, &str)| {
            let arn = format!("host:m:host_user/{name}");
            serde_json::json!({"_op": operation, "_table": "host_user", "account_id": "m", "region": "local",
                "arn": arn, "uid": uid, "name": name})
            .to_string()
        };
        let lines: Vec<String> = changes.iter().map(line).collect();
        let schema = tidegate_pipeline::table::change_schema(&Self::definition());
        let rows = crate::testing::rows_of(&lines.iter().map(String::as_str).collect::<Vec<_>>(), &schema);
        let scope = Scope { account_id: "m".into(), region: "local".into(), table: "host_user".into() };
        self.0.apply(&Unit::Begin(scope.clone()), []).unwrap();
        self.0.apply(&Unit::Page(scope.clone()), [&rows]).unwrap();
        self.0.apply(&Unit::End(scope, ScopeOutcome::Complete), []).unwrap().unwrap()
    }
}

#[tokio::test]
async fn rows_meet_the_table_of_another_node_as_it_is_at_their_step() {
    let around = Surroundings { tables: vec![Users::definition()], ..Surroundings::default() };
    let options = entries([("node", text("inventory.host_user")), ("on", text("uid")), ("columns", items(&["name"]))]);
    let row = rows(&[r#"{"uid":"7"}"#]);
    let mut users = Users(tidegate_pipeline::table::Tables::new(vec![Users::definition()]).unwrap());
    let mut bench = Bench::within(&Enrich, &options, row.schema(), &around);
    bench.step(0, &row).await;
    for changes in [("insert", "7", "ann"), ("update", "7", "bob"), ("delete", "7", "bob")] {
        let tables = users.refresh(&[changes]);
        bench.tables(&tables).await;
        bench.step(0, &row).await;
    }
    let met = [r#"{"uid":"7"}"#, r#"{"uid":"7","name":"ann"}"#, r#"{"uid":"7","name":"bob"}"#, r#"{"uid":"7"}"#];
    assert_eq!(bench.emitted(0), lines(&met));
}

#[tokio::test]
async fn after_a_restart_the_table_of_another_node_comes_back() {
    let around = Surroundings { tables: vec![Users::definition()], ..Surroundings::default() };
    let options = entries([("node", text("inventory.host_user")), ("on", text("uid")), ("columns", items(&["name"]))]);
    let row = rows(&[r#"{"uid":"7"}"#]);
    let mut users = Users(tidegate_pipeline::table::Tables::new(vec![Users::definition()]).unwrap());
    let mut bench = Bench::within(&Enrich, &options, row.schema(), &around);
    let tables = users.refresh(&[("insert", "7", "ann")]);
    bench.tables(&tables).await;
    let state = bench.snapshot(SnapshotMode::Changes);
    bench.restart(state);
    bench.tables(&tables).await;
    bench.step(0, &row).await;
    assert_eq!(bench.emitted(0), lines(&[r#"{"uid":"7","name":"ann"}"#]));
}

#[tokio::test]
async fn rows_whose_key_has_become_something_else_go_to_errors() {
    let (_directory, around) = directory("owners.csv", OWNERS.as_bytes());
    let mut bench = Bench::within(&Enrich, &options("owners.csv", &[]), events().schema(), &around);
    bench.lookup(OWNERS.as_bytes()).await;
    bench.step(0, &rows(&[r#"{"id":{"x":1},"n":1}"#, r#"{"id":{"x":2},"n":1}"#])).await;
    assert_eq!(bench.emitted(0), [""; 0]);
    assert_eq!(bench.rejected.len(), 2);
    assert!(bench.rejected[0].contains("cannot be compared with `id` of the table"), "{}", bench.rejected[0]);
}
