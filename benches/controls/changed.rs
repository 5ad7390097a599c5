//! One changed row: what all controls that look at rows alone cost, however many rows there are beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use tidegate_operators::check::evaluate::{Evaluator, TableContents};
use tidegate_operators::check::plan::{Overrides, PlannedPack, Selection};
use tidegate_pipeline::spec::ByteSize;
use tidegate_pipeline::step::{Scope, ScopeOutcome};
use tidegate_pipeline::table::{TableDefinition, Tables, change_schema};

use super::estate::{definitions, pack, rows_of};
use super::{Outcome, median, runtime};

const TABLE: &str = "aws_ec2_instance";
const ROUNDS: usize = 41;
/// Rows of one page of a refresh.
const PAGE: usize = 10_000;

/// Prints what it costs to see which row has changed, and to evaluate the controls on it.
pub(crate) fn report(rows: usize) -> Outcome<()> {
    let definitions = definitions();
    let definition = definitions.iter().find(|known| *known.name == *TABLE).ok_or("no such table")?.clone();
    let memory = ByteSize::mebibytes(1024);
    let planned = PlannedPack::plan(&pack()?, &definitions, &Selection::default(), &Overrides::default(), memory)?.0;
    let evaluator = Evaluator::new(planned);
    let looks = |control: &tidegate_operators::check::plan::PlannedControl| {
        control.row_local().is_some_and(|table| **table == *TABLE)
    };
    let which: Vec<usize> = (0..evaluator.controls().len()).filter(|at| looks(&evaluator.controls()[*at])).collect();
    let runtime = runtime()?;
    let _guard = runtime.enter();
    let all = rows_of(&definition, rows)?;
    let mut tables = filled(&definition, &all)?;
    let (mut taken, mut findings) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let before = version(&tables)?;
        let row = all.slice((round * 7_919) % rows, 1);
        let scope = scope(&row)?;
        tables.targeted(&scope, [&changes(&definition, &stopped(&row, round)?, "update")?])?;
        let now = version(&tables)?;
        let started = Instant::now();
        let changed = now.changed_rows(&before)?.ok_or("too much has changed")?;
        let changed = BTreeMap::from([(Arc::<str>::from(TABLE), changed)]);
        let contents = BTreeMap::from([(Arc::<str>::from(TABLE), without_rows(&definition))]);
        for index in &which {
            let said = evaluator.evaluate_rows(*index, &contents, &changed).ok_or("it was not evaluated by row")?;
            findings += said.findings.len();
        }
        taken.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    println!(
        "one of {rows} rows changed: {:.2} ms for {} controls that look at rows alone ({findings} findings in {ROUNDS} rounds)",
        median(taken),
        which.len()
    );
    Ok(())
}

/// The table as a refresh of all its scopes leaves it.
fn filled(definition: &TableDefinition, all: &RecordBatch) -> Outcome<Tables> {
    let mut tables = Tables::new(vec![definition.clone()])?;
    let scopes: Vec<Scope> = (0..all.num_rows().min(4)).map(|row| scope(&all.slice(row, 1))).collect::<Outcome<_>>()?;
    for (at, scope) in scopes.iter().enumerate() {
        tables.begin(scope)?;
        let own: Vec<u64> = (at as u64..all.num_rows() as u64).step_by(scopes.len()).collect();
        for page in own.chunks(PAGE) {
            let page = arrow::compute::take_record_batch(all, &arrow::array::UInt64Array::from(page.to_vec()))?;
            tables.page(scope, &changes(definition, &page, "insert")?)?;
        }
        tables.end(scope, ScopeOutcome::Complete)?;
    }
    Ok(tables)
}

fn version(tables: &Tables) -> Outcome<Arc<tidegate_pipeline::table::TableVersion>> {
    Ok(Arc::clone(tables.current().tables.get(TABLE).ok_or("no such table")?))
}

fn without_rows(definition: &TableDefinition) -> TableContents {
    TableContents::complete(Arc::new(definition.clone()), Vec::new())
}

fn scope(row: &RecordBatch) -> Outcome<Scope> {
    use arrow::array::AsArray;
    let text = |name: &str| -> Outcome<Arc<str>> {
        let column = row.column_by_name(name).ok_or("no such column")?;
        Ok(column.as_string_opt::<i32>().ok_or("no text")?.value(0).into())
    };
    Ok(Scope { account_id: text("account_id")?, region: text("region")?, table: TABLE.into() })
}

/// Rows as changes of a table.
fn changes(definition: &TableDefinition, rows: &RecordBatch, operation: &str) -> Outcome<RecordBatch> {
    let schema = change_schema(definition);
    let texts = |text: &str| Arc::new(StringArray::from(vec![text; rows.num_rows()])) as ArrayRef;
    let columns =
        schema.fields().iter().map(|field| match (field.name().as_str(), rows.column_by_name(field.name())) {
            ("_op", _) => Ok(texts(operation)),
            ("_table", _) => Ok(texts(TABLE)),
            (_, Some(column)) => Ok(Arc::clone(column)),
            (other, None) => Err(format!("no column {other}").into()),
        });
    Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect::<Outcome<Vec<_>>>()?)?)
}

/// The row in another state, another one each round.
fn stopped(row: &RecordBatch, round: usize) -> Outcome<RecordBatch> {
    let place = row.schema().index_of("monitoring_state")?;
    let state = if round.is_multiple_of(2) { "pending" } else { "disabling" };
    let mut columns = row.columns().to_vec();
    columns[place] = Arc::new(StringArray::from(vec![state]));
    Ok(RecordBatch::try_new(row.schema(), columns)?)
}
