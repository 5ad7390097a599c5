//! `check` over three generated tables of 100,000 rows with 40 generated controls, against the same SQL in bare
//! DataFusion, alternating in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tidegate_operators::check::evaluate::{Evaluator, Interest, TableContents};
use tidegate_operators::check::pack::{Pack, PackFiles};
use tidegate_operators::check::plan::{Overrides, PlannedPack, Selection};
use tidegate_pipeline::spec::ByteSize;
use tidegate_pipeline::step::StepTime;
use tidegate_pipeline::table::TableDefinition;

use super::Outcome;

const ROWS: usize = 100_000;
const TABLES: [&str; 3] = ["bench_instance", "bench_volume", "bench_rule"];
const ROUNDS: usize = 7;

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![
        text("account_id"),
        text("region"),
        text("arn"),
        text("id"),
        text("parent_id"),
        text("state"),
        Field::new("size", DataType::Int64, false),
        Field::new("encrypted", DataType::Boolean, false),
    ]))
}

fn table(name: &str) -> Outcome<RecordBatch> {
    let states = ["running", "stopped", "available", "in-use", "lost"];
    let texts =
        |make: &dyn Fn(usize) -> String| Arc::new((0..ROWS).map(|row| Some(make(row))).collect::<StringArray>());
    Ok(RecordBatch::try_new(
        schema(),
        vec![
            texts(&|row| format!("{:012}", row % 10)),
            texts(&|row| format!("region-{}", row % 4)),
            texts(&|row| format!("arn:{name}:{row}")),
            texts(&|row| format!("id-{row}")),
            texts(&|row| format!("id-{}", (row * 7919) % ROWS)),
            texts(&|row| states[if row % 100 == 99 { 4 } else { row % 4 }].to_owned()),
            Arc::new((0..ROWS).map(|row| (row as i64 * 37) % 1_000).collect::<Int64Array>()),
            Arc::new((0..ROWS).map(|row| Some(row % 50 != 0)).collect::<BooleanArray>()),
        ],
    )?)
}

/// 40 queries: most look at single rows, some join two tables, some group.
fn queries() -> Vec<String> {
    let row_local = |table: &str, limit: usize| {
        format!(
            "select arn as resource, case when state = 'lost' then 'skip' when size < {limit} and encrypted then 'ok' \
             else 'alarm' end as status, id || ' has ' || size || ' GiB.' as reason, account_id, region from {table}"
        )
    };
    let joined = |a: &str, b: &str, limit: usize| {
        format!(
            "select a.arn as resource, case when b.size > {limit} then 'alarm' else 'ok' end as status, \
             a.id || ' belongs to ' || b.id || '.' as reason, a.account_id, a.region \
             from {a} a join {b} b on a.parent_id = b.id"
        )
    };
    let grouped = |table: &str, limit: usize| {
        format!(
            "select parent_id as resource, case when count(*) > {limit} then 'alarm' else 'ok' end as status, \
             parent_id || ' has ' || count(*) || '.' as reason, min(account_id) as account_id, min(region) as region \
             from {table} group by parent_id"
        )
    };
    (0..40)
        .map(|index| {
            let (a, b) = (TABLES[index % 3], TABLES[(index + 1) % 3]);
            match index % 8 {
                6 => joined(a, b, 950 + index),
                7 => grouped(a, 1),
                _ => row_local(a, 950 + index),
            }
        })
        .collect()
}

fn definitions() -> Vec<TableDefinition> {
    let definition = |name: &str| TableDefinition::new(name, "generated rows", schema(), ["id"]);
    TABLES.iter().map(|name| definition(name)).collect()
}

fn pack(queries: &[String]) -> Outcome<Pack> {
    let mut files = PackFiles::default();
    files.insert("bench/pack.yaml", b"name: bench\nversion: '1'\n".to_vec());
    let controls = queries.iter().enumerate().map(|(index, query)| {
        format!(
            "  - {{id: control_{index}, title: Generated, severity: low, sql: {}}}\n",
            serde_json::Value::from(query.as_str())
        )
    });
    files.insert("bench/all/controls.yaml", format!("controls:\n{}", controls.collect::<String>()).into_bytes());
    let (pack, problems) = Pack::load(&files, "bench");
    if problems.is_empty() { Ok(pack) } else { Err(format!("{problems:?}").into()) }
}

/// Seconds for all queries in bare DataFusion, one partition each, as many at once as there are cores.
async fn bare(queries: &[String], tables: &[RecordBatch]) -> Outcome<f64> {
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    for (name, batch) in TABLES.iter().zip(tables) {
        session.register_table(*name, Arc::new(MemTable::try_new(schema(), vec![vec![batch.clone()]])?))?;
    }
    let mut frames = Vec::new();
    for query in queries {
        frames.push(session.sql(query).await?);
    }
    let started = Instant::now();
    let runs = frames.into_iter().map(|frame| tokio::spawn(frame.collect()));
    let mut running = futures::stream::iter(runs).buffer_unordered(2);
    while let Some(done) = running.next().await {
        done??;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// Measures both and prints the ratio of medians.
pub(crate) fn report() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let queries = queries();
    let tables: Vec<RecordBatch> = TABLES.iter().map(|name| table(name)).collect::<Outcome<_>>()?;
    let planned = PlannedPack::plan(
        &pack(&queries)?,
        &definitions(),
        &Selection::default(),
        &Overrides::default(),
        ByteSize::mebibytes(2048),
    );
    let evaluator = Evaluator::new(planned?.0);
    let contents: BTreeMap<Arc<str>, TableContents> = definitions()
        .into_iter()
        .zip(&tables)
        .map(|(definition, batch)| {
            let name = Arc::clone(&definition.name);
            (name, TableContents::complete(Arc::new(definition), vec![batch.clone()]))
        })
        .collect();
    let which: Vec<usize> = (0..queries.len()).collect();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let mut findings = 0;
    for _ in 0..ROUNDS {
        floor.push(runtime.block_on(bare(&queries, &tables))?);
        let started = Instant::now();
        let interest = |_: &_| Interest::NotOk(Arc::default());
        let evaluated = runtime.block_on(evaluator.evaluate(&contents, &which, interest, StepTime(0)))?;
        ours.push(started.elapsed().as_secs_f64());
        findings = evaluated.iter().map(|evaluation| evaluation.findings.len()).sum();
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "check, 3 x 100,000 rows, 40 controls: {ours:.2} s against {floor:.2} s in bare DataFusion: {:.2} x ({findings} findings kept)",
        ours / floor
    );
    Ok(())
}
