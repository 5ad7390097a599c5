//! SQL over rows as providers give them: tags in a map, raw answers as JSON text, lists of structs.

use std::sync::Arc;

use arrow::array::{
    Array, BooleanArray, ListArray, MapBuilder, RecordBatch, StringArray, StringBuilder, StructArray,
    TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::config::Dialect;
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

use super::{FAMILIES, dialect, register};

/// Three resources; the third has nothing.
fn resources() -> RecordBatch {
    let mut tags = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    tags.keys().append_value("Owner");
    tags.values().append_value("ann");
    tags.append(true).unwrap();
    tags.append(true).unwrap();
    tags.append(false).unwrap();
    let raw = StringArray::from(vec![
        Some(r#"{"State": "in-use", "a": [{"b": "deep"}], "Statement": [{"Action": "s3:*"}, {"Action": "ec2:*"}]}"#),
        Some(r#"{"State": 7, "Statement": []}"#),
        None,
    ]);
    let ports = Fields::from(vec![Field::new("From", DataType::Int64, true)]);
    let from = Arc::new(arrow::array::Int64Array::from(vec![22, 80, 443]));
    let structs = StructArray::new(ports.clone(), vec![from], None);
    let item = Arc::new(Field::new_list_field(DataType::Struct(ports), true));
    let rules = ListArray::new(item, OffsetBuffer::from_lengths([2, 1, 0]), Arc::new(structs), None);
    let tags = tags.finish();
    let columns: Vec<(&str, Arc<dyn Array>)> = vec![
        ("id", Arc::new(StringArray::from(vec!["i-1", "i-2", "i-3"]))),
        ("tags", Arc::new(tags)),
        ("raw", Arc::new(raw)),
        ("rules", Arc::new(rules)),
        ("encrypted", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("at", Arc::new(TimestampMillisecondArray::from(vec![1_773_065_107_089, 0, 0]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn session() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    let session = SessionContext::new_with_config(config);
    register(&mut *session.state_ref().write()).unwrap();
    session.register_batch("t", resources()).unwrap();
    let other = [("id", Arc::new(StringArray::from(vec!["i-1", "i-2"])) as Arc<dyn Array>)];
    session.register_batch("u", RecordBatch::try_from_iter(other).unwrap()).unwrap();
    session
}

/// The rows of a query, cells separated by `|`, rows by newlines.
async fn answer(sql: &str) -> Result<String, DataFusionError> {
    let session = session();
    let state = session.state();
    let mut statement = state.sql_to_statement(sql, &Dialect::PostgreSQL)?;
    if let Statement::Statement(statement) = &mut statement {
        dialect::refine(statement).map_err(|refusals| DataFusionError::Plan(refusals[0].message.clone()))?;
    }
    let plan = state.statement_to_plan(statement).await?;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in session.execute_logical_plan(plan).await?.collect().await? {
        let columns: Vec<_> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(cells.join("|"));
        }
    }
    Ok(rows.join("\n"))
}

async fn check(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        match answer(sql).await {
            Ok(rows) => assert_eq!(rows, *expected, "{sql}"),
            Err(error) => panic!("{sql}: {}", error.strip_backtrace()),
        }
    }
}

#[tokio::test]
async fn every_function_gives_what_its_example_says() {
    for definition in FAMILIES.iter().flat_map(|family| family.functions) {
        let (call, expected) = definition.example;
        check(&[(&format!("select {call}"), expected)]).await;
    }
}

#[tokio::test]
async fn every_function_of_nothing_is_nothing() {
    for definition in FAMILIES.iter().flat_map(|family| family.functions) {
        let nothing = vec!["NULL"; definition.arguments.len()].join(", ");
        check(&[(&format!("select {}({nothing})", definition.name), "NULL")]).await;
    }
}

#[tokio::test]
async fn json_operators_reach_into_text_maps_structs_and_lists() {
    check(&[
        ("select raw->>'State' from t order by id", "in-use\n7\nNULL"),
        ("select raw->'a'->0->>'b' from t where id = 'i-1'", "deep"),
        ("select raw#>>'{a,0,b}' from t where id = 'i-1'", "deep"),
        ("select raw->'State' from t order by id", "\"in-use\"\n7\nNULL"),
        ("select tags['Owner'] from t order by id", "ann\nNULL\nNULL"),
        ("select tags->>'Owner' from t order by id", "ann\nNULL\nNULL"),
        ("select id from t where tags->>'Owner' is null order by id", "i-2\ni-3"),
        ("select tags ? 'Owner' from t order by id", "true\nfalse\nNULL"),
        (
            "select raw ?& array['State', 'a'], raw ?| array['a', 'b'] from t order by id",
            "true|true\nfalse|false\nNULL|NULL",
        ),
        ("select rules->0->>'From' from t order by id", "22\n443\nNULL"),
        ("select rules->0->>'Nothing' from t where id = 'i-1'", "NULL"),
        ("select id from t where raw @> '{\"State\": \"in-use\"}'", "i-1"),
        ("select id from t where raw::jsonb @> '{\"State\": \"in-use\"}'::jsonb", "i-1"),
        ("select id from t where (raw->>'State') = 'in-use' and raw->>'State' like 'in%'", "i-1"),
        ("select jsonb_array_length(raw->'Statement') from t order by id", "2\n0\nNULL"),
        ("select json_array_length(rules) from t order by id", "2\n1\n0"),
        ("select jsonb_typeof(raw->'State') from t order by id", "string\nnumber\nNULL"),
        ("select tags::jsonb from t where id = 'i-1'", "{\"Owner\":\"ann\"}"),
        ("select (raw->>'State')::int + 1 from t where id = 'i-2'", "8"),
        ("select count(*) from t group by raw->>'State' order by raw->>'State'", "1\n1\n1"),
    ])
    .await;
}

#[tokio::test]
async fn elements_are_listed_in_from_and_among_what_is_selected() {
    check(&[
        ("select id, s->>'Action' from t, jsonb_array_elements(raw->'Statement') as s order by 1, 2", "i-1|ec2:*\ni-1|s3:*"),
        ("select a.id, s.value->>'Action' from t as a, jsonb_array_elements(a.raw->'Statement') s order by 2", "i-1|ec2:*\ni-1|s3:*"),
        ("select id, s->>'Action' from t cross join jsonb_array_elements(raw->'Statement') as s order by 2", "i-1|ec2:*\ni-1|s3:*"),
        ("select id, s->>'Action' from t cross join lateral jsonb_array_elements(raw->'Statement') as s(s) order by 2", "i-1|ec2:*\ni-1|s3:*"),
        ("select id, e->>'Action' from t, jsonb_array_elements(raw->'Statement') as s(e) where s.e->>'Action' <> 'x' order by 2", "i-1|ec2:*\ni-1|s3:*"),
        ("select id, s->>'Action' from t left join jsonb_array_elements(raw->'Statement') as s on true order by 1, 2", "i-1|ec2:*\ni-1|s3:*\ni-2|NULL\ni-3|NULL"),
        ("select id, s->>'Action' from t join jsonb_array_elements(raw->'Statement') as s on s->>'Action' like 'ec2%'", "i-1|ec2:*"),
        ("select k from t, jsonb_object_keys(raw) as k where id = 'i-1' order by k", "State\nStatement\na"),
        ("select value from jsonb_array_elements_text('[\"x\", 1]') order by 1", "1\nx"),
        ("select id, x from t, jsonb_array_elements_text('[1, 2]') as x where id = 'i-1' order by x", "i-1|1\ni-1|2"),
        ("select t.id, x->>'b' from t join u on u.id = t.id, jsonb_array_elements(t.raw->'a') as x", "i-1|deep"),
        ("select t.id, u.id from t, jsonb_array_elements(t.raw->'a') as x left join u on u.id = t.id", "i-1|i-1"),
        ("select m from t, jsonb_array_elements('[[1, 2], [3]]') as l, jsonb_array_elements(l) as m where t.id = 'i-1' order by 1", "1\n2\n3"),
        ("select e from t as a, jsonb_array_elements(a.raw->'a') as o, jsonb_object_keys(o) as e", "b"),
        ("select id, r['From'] from t, unnest(t.rules) as r order by 1, 2", "i-1|22\ni-1|80\ni-2|443"),
        ("select id, jsonb_array_elements(raw->'Statement')->>'Action' as action from t order by action", "i-1|ec2:*\ni-1|s3:*"),
        ("with w as (select id, s from t, jsonb_array_elements(raw->'Statement') as s) select count(*) from w", "2"),
        ("select id from t where id in (select a.id from t as a, jsonb_array_elements(a.raw->'Statement') as s where s->>'Action' = 's3:*')", "i-1"),
    ])
    .await;
}

#[tokio::test]
async fn what_postgresql_takes_for_granted() {
    check(&[
        ("select id from t where encrypted = 'true'", "i-1"),
        ("select id from t where encrypted <> 'true'", "i-2"),
        ("select id from t where id like any (array['%1', '%2']) order by id", "i-1\ni-2"),
        ("select id from t where id ilike any (array['I-1'])", "i-1"),
        ("select id from t where not (id like any (array['%1', '%2'])) order by id", "i-3"),
        ("select id from t where id like any (string_to_array('%1,%3', ',')) order by id", "i-1\ni-3"),
        ("select array[1, 2] && array[2, 3]", "true"),
        ("select to_char(at, 'YYYY-MM-DD HH24:MI:SS') from t where id = 'i-1'", "2026-03-09 14:05:07"),
        ("select to_char(at, '%Y-%m-%d') from t where id = 'i-1'", "2026-03-09"),
        ("select to_char(date '2026-03-09', 'DD/MM')", "09/03"),
        ("select date(at) from t where id = 'i-1'", "2026-03-09"),
        ("select date('nonsense')", "NULL"),
        ("select date_diff_days(at, '2026-03-01') from t where id = 'i-1'", "8"),
        ("select cidr_contains('10.0.0.0/8', arrow_cast('10.1.1.1', 'Dictionary(Int32, Utf8)'))", "true"),
        ("select arn_account(arrow_cast('arn:aws:s3:::b', 'LargeUtf8')), arn_service('arn:aws:s3:::b'), arn_service('x')", "NULL|s3|NULL"),
        ("select extract(day from timestamp '2026-03-09' - timestamp '2026-01-01')", "67"),
        ("select timestamp '2026-03-09' - timestamp '2026-01-01' > interval '90 days'", "false"),
        ("select timestamp '2026-03-09' - timestamp '2026-01-01' > interval '60 days'", "true"),
        ("select timestamp '2026-03-09' - timestamp '2026-01-01' < interval '3 months'", "true"),
        ("select interval '1 month' > interval '29 days', interval '1 day' = interval '24 hours'", "true|true"),
        ("select id from t where timestamp '2026-03-10' - at > cast('90' || ' days' as interval) order by id", "i-2\ni-3"),
    ])
    .await;
}

#[tokio::test]
async fn a_wrong_argument_is_told_with_the_call_that_would_be_right() {
    for (sql, expected) in [
        ("select masklen(1)", "it is `masklen(network text)`, and here `network` is Int64, not text"),
        ("select host()", "it is `host(network text)`"),
        ("select to_char(timestamp '2026-01-01', 'RM')", "`to_char` does not know `RM` here"),
    ] {
        let error = answer(sql).await.unwrap_err().strip_backtrace();
        assert!(error.contains(expected), "{sql}: {error}");
    }
}
