//! Functions that stand where a table stands: `at('TABLE', 'MOMENT')` and `history('TABLE')`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMillisecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use jiff::Timestamp;
use parking_lot::Mutex;
use tidegate_pipeline::table::past::{Change, Found, Moment, Past};
use tidegate_pipeline::table::{OPERATION, TABLE, TableDefinition, change_schema};

use super::note;
use super::session::{Told, rows_of, state_rows};
use crate::exit::Failure;

/// `at('TABLE', 'MOMENT')`: the rows of a table as they were.
#[derive(Debug)]
pub(super) struct At {
    past: Arc<Past>,
    /// The tables of each moment that was asked for: a query may name several tables of it.
    found: Mutex<BTreeMap<String, Arc<Found>>>,
}

impl At {
    pub(super) fn new(past: Arc<Past>) -> Self {
        Self { past, found: Mutex::default() }
    }

    fn found(&self, text: &str) -> Result<Arc<Found>, Failure> {
        if let Some(found) = self.found.lock().get(text) {
            return Ok(Arc::clone(found));
        }
        let none = || Failure::usage("there is no checkpoint yet");
        let found = self.past.at(Moment::parse(text, Timestamp::now())?)?.ok_or_else(none)?;
        note(found.shown.note.as_deref());
        let found = Arc::new(found);
        self.found.lock().insert(text.to_owned(), Arc::clone(&found));
        Ok(found)
    }

    fn rows(&self, arguments: &[Expr]) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let usage = || Failure::usage("`at` takes the name of a table and a moment: at('host_user', '2h ago')");
        let texts: Vec<String> = arguments.iter().filter_map(literal).collect();
        let [table, moment] = texts.as_slice() else { return Err(Told::error(usage())) };
        let found = self.found(moment).map_err(Told::error)?;
        if let Some(version) = found.tables.iter().find_map(|set| set.get(table)) {
            return rows_of(version);
        }
        match found.states.iter().find(|(name, _)| name == table) {
            Some((_, rows)) => state_rows(rows),
            None => Err(Told::error(unknown_table(&self.past, table))),
        }
    }
}

impl TableFunctionImpl for At {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        self.rows(arguments.exprs())
    }
}

/// `history('TABLE')`: every journaled change of a table.
#[derive(Debug)]
pub(super) struct HistoryOf(pub(super) Arc<Past>);

impl HistoryOf {
    fn rows(&self, arguments: &[Expr]) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let usage = || Told::error(Failure::usage("`history` takes the name of a table: history('host_user')"));
        let texts: Vec<String> = arguments.iter().filter_map(literal).collect();
        let [table] = texts.as_slice() else { return Err(usage()) };
        let definition = definition(&self.0, table).map_err(Told::error)?;
        let history = self.0.history(table).map_err(|error| Told::error(error.into()))?;
        let history = history.ok_or_else(|| Told::error(Failure::usage("there is no checkpoint yet")))?;
        note(history.missing().as_deref());
        let schema = schema(definition);
        let rows = history.changes.iter().map(|change| row_batch(&schema, change));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(MemTable::try_new(schema, vec![rows])?))
    }
}

impl TableFunctionImpl for HistoryOf {
    fn call_with_args(&self, arguments: TableFunctionArgs) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        self.rows(arguments.exprs())
    }
}

/// The text or the whole number that an argument is.
fn literal(argument: &Expr) -> Option<String> {
    match argument {
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => {
            text.clone()
        }
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => Some(number.to_string()),
        Expr::Literal(ScalarValue::UInt64(Some(number)), _) => Some(number.to_string()),
        _ => None,
    }
}

/// The definition of a table, or which tables there are.
pub(super) fn definition<'a>(past: &'a Past, table: &str) -> Result<&'a TableDefinition, Failure> {
    past.definitions().find(|definition| *definition.name == *table).ok_or_else(|| unknown_table(past, table))
}

fn unknown_table(past: &Past, table: &str) -> Failure {
    let mut known: Vec<String> = past.definitions().map(|definition| definition.name.to_string()).collect();
    known.sort();
    Failure::unknown("table", table, &known)
}

/// `_step` UInt64, `_time` Timestamp (ms), `_op` Utf8 (`insert|update|delete`), then the columns of the table.
fn schema(definition: &TableDefinition) -> SchemaRef {
    let leading = [
        Arc::new(Field::new("_step", DataType::UInt64, false)),
        Arc::new(Field::new("_time", DataType::Timestamp(TimeUnit::Millisecond, None), false)),
    ];
    let changes = change_schema(definition);
    let fields = changes.fields().iter().filter(|field| field.name() != TABLE).cloned();
    debug_assert_eq!(changes.field(0).name(), OPERATION);
    Arc::new(Schema::new(leading.into_iter().chain(fields).collect::<Vec<_>>()))
}

fn row_batch(schema: &SchemaRef, change: &Change) -> Result<RecordBatch, DataFusionError> {
    let rows = change.rows.num_rows();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_value(change.step.0, rows)),
        Arc::new(TimestampMillisecondArray::from_value(change.time.0, rows)),
    ];
    let fields = change.rows.schema();
    let own = change.rows.columns().iter().zip(fields.fields()).filter(|(_, field)| field.name() != TABLE);
    columns.extend(own.map(|(column, _)| Arc::clone(column)));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
