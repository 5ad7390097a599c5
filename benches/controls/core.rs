//! The core controls over a large account, against the same SQL in bare DataFusion, alternating in one process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use datafusion::common::config::Dialect;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tidegate_operators::check::evaluate::{Evaluator, Interest, TableContents};
use tidegate_operators::check::pack::{Control, Pack, ParameterValue};
use tidegate_operators::check::plan::{Overrides, PlannedPack, Selection};
use tidegate_pipeline::spec::ByteSize;
use tidegate_pipeline::sql::{self, dialect};
use tidegate_pipeline::step::StepTime;

use super::estate::{CORE, NOW, definitions, pack, rows_of};
use super::{Outcome, median, peak_memory, runtime};

const ROUNDS: usize = 5;

type Contents = BTreeMap<Arc<str>, TableContents>;

/// Measures both and prints the ratio of medians.
pub(crate) fn report(rows: usize) -> Outcome<()> {
    let (pack, definitions, runtime) = (pack()?, definitions(), runtime()?);
    let selection = Selection { controls: CORE.map(str::to_owned).to_vec(), ..Selection::default() };
    let memory = ByteSize::mebibytes(1024);
    let (planned, problems) = PlannedPack::plan(&pack, &definitions, &selection, &Overrides::default(), memory)?;
    if planned.controls.len() != CORE.len() || !problems.queries.is_empty() {
        return Err(format!("{} controls planned: {problems:?}", planned.controls.len()).into());
    }
    let evaluator = Evaluator::new(planned);
    let mut contents = Contents::new();
    for definition in definitions {
        let batches = vec![rows_of(&definition, rows)?];
        contents.insert(Arc::clone(&definition.name), TableContents::complete(Arc::new(definition), batches));
    }
    let session = session(&contents)?;
    let controls: Vec<Arc<Control>> = evaluator.controls().iter().map(|control| Arc::clone(&control.control)).collect();
    let which: Vec<usize> = (0..CORE.len()).collect();
    let (mut ours, mut floor, mut found) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        floor.push(runtime.block_on(bare(&session, &pack, &controls))?);
        let started = Instant::now();
        let interest = |_: &_| Interest::NotOk(Arc::default());
        let evaluated = runtime.block_on(evaluator.evaluate(&contents, &which, interest, StepTime(NOW)))?;
        ours.push(started.elapsed().as_secs_f64());
        if let Some(failed) =
            evaluated.iter().flat_map(|said| &said.findings).find(|said| said.resource.starts_with("control:"))
        {
            return Err(format!("{}: {}", failed.resource, failed.reason).into());
        }
        found = evaluated.iter().map(|evaluation| evaluation.findings.len()).sum();
    }
    let (ours, floor, peak) = (median(ours), median(floor), peak_memory()?);
    println!(
        "42 controls over 3 x {rows} rows: {ours:.2} s against {floor:.2} s in bare DataFusion: {:.2} x, \
         peak {peak:.0} MiB with both, {found} findings",
        ours / floor
    );
    Ok(())
}

/// Bare DataFusion over the same rows, with the functions that the controls call.
fn session(contents: &Contents) -> Outcome<SessionContext> {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    let session = SessionContext::new_with_config(config);
    sql::register(&mut *session.state_ref().write())?;
    for (name, table) in contents {
        let rows = MemTable::try_new(Arc::clone(&table.definition.schema), vec![table.batches.clone()])?;
        session.register_table(name.to_string(), Arc::new(rows))?;
    }
    Ok(session)
}

/// Seconds for all queries, planned before, as many at once as there are threads.
async fn bare(session: &SessionContext, pack: &Pack, controls: &[Arc<Control>]) -> Outcome<f64> {
    let mut frames = Vec::new();
    for control in controls {
        let state = session.state();
        let mut statement = state.sql_to_statement(&with_values(pack, control), &Dialect::PostgreSQL)?;
        if let Statement::Statement(statement) = &mut statement {
            dialect::refine(statement).map_err(|refusals| format!("{}: {refusals:?}", control.id))?;
        }
        let plan = state.statement_to_plan(statement).await?;
        frames.push(session.execute_logical_plan(plan).await?);
    }
    let started = Instant::now();
    let runs = frames.into_iter().map(|frame| tokio::spawn(frame.collect()));
    let mut running = futures::stream::iter(runs).buffer_unordered(2);
    while let Some(done) = running.next().await {
        done??;
    }
    Ok(started.elapsed().as_secs_f64())
}

/// The query of a control with the values of its parameters written into it, as nobody should but a bench.
fn with_values(pack: &Pack, control: &Control) -> String {
    let mut parameters: Vec<_> = control.parameters.iter().chain(&pack.variables).collect();
    // The longest name first: one may begin like another.
    parameters.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let mut sql = control.sql.as_str().to_owned();
    for (name, parameter) in parameters {
        let value = parameter.default.as_ref().map_or_else(|| "NULL".to_owned(), literal);
        sql = sql.replace(&format!("${name}"), &value);
    }
    sql
}

fn literal(value: &ParameterValue) -> String {
    let quoted = |text: &String| format!("'{}'", text.replace('\'', "''"));
    match value {
        ParameterValue::Text(text) => quoted(text),
        ParameterValue::Texts(texts) => {
            format!("cast(make_array({}) as text[])", texts.iter().map(quoted).collect::<Vec<_>>().join(", "))
        }
        ParameterValue::Ints(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            format!("cast(make_array({}) as bigint[])", numbers.join(", "))
        }
        other => other.to_string(),
    }
}
