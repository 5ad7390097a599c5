//! What a query sees: the tables of one moment under their names, and functions that reach others.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::config::Dialect;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use tidegate_pipeline::sql::{self, dialect};
use tidegate_pipeline::table::past::{Found, Past};
use tidegate_pipeline::table::{TableVersion, View};

use super::functions::{At, HistoryOf};
use crate::exit::Failure;

pub(super) const CATALOG: &str = "datafusion";
pub(super) const SCHEMA: &str = "public";

/// A session over the tables of `found`.
pub(super) async fn session(past: Arc<Past>, found: &Found) -> Result<SessionContext, Failure> {
    let mut config =
        SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema(CATALOG, SCHEMA);
    config.options_mut().sql_parser.dialect = Dialect::PostgreSQL;
    let session = SessionContext::new_with_config(config);
    sql::register(&mut *session.state_ref().write()).map_err(failure)?;
    session.register_udtf("at", Arc::new(At::new(Arc::clone(&past))));
    session.register_udtf("history", Arc::new(HistoryOf(past)));
    let functions = session.state().table_functions().keys().cloned().collect();
    let inventory = Inventory { tables: MemorySchemaProvider::new(), functions };
    for version in found.tables.iter().flat_map(|set| set.tables.values()) {
        let name = version.definition().name.to_string();
        inventory.tables.register_table(name, rows_of(version).map_err(failure)?).map_err(failure)?;
    }
    for (name, rows) in &found.states {
        if !inventory.tables.table_exist(name) {
            inventory.tables.register_table((*name).to_owned(), state_rows(rows).map_err(failure)?).map_err(failure)?;
        }
    }
    let views = found.tables.iter().flat_map(|set| set.tables.values()).flat_map(|version| &version.definition().views);
    let views: Vec<View> = views.copied().collect();
    let missing = || Failure::failed("the session has no catalogue");
    session.catalog(CATALOG).ok_or_else(missing)?.register_schema(SCHEMA, Arc::new(inventory)).map_err(failure)?;
    for view in views {
        offer(&session, view).await.map_err(failure)?;
    }
    Ok(session)
}

/// What a statement gives.
pub(super) async fn rows(session: &SessionContext, sql: &str) -> Result<DataFrame, Failure> {
    let state = session.state();
    let mut statement = state.sql_to_statement(sql, &Dialect::PostgreSQL).map_err(failure)?;
    refine(&mut statement)?;
    let plan = state.statement_to_plan(statement).await.map_err(failure)?;
    session.execute_logical_plan(plan).await.map_err(failure)
}

fn refine(statement: &mut Statement) -> Result<(), Failure> {
    match statement {
        Statement::Statement(statement) => dialect::refine(statement).map_err(|refusals| {
            let told = refusals.into_iter().map(|refusal| {
                let place = match refusal.span.start.line {
                    0 => String::new(),
                    line => format!("\n --> line {line}, column {}", refusal.span.start.column),
                };
                format!("{}{place}\nhelp: {}", refusal.message, refusal.help)
            });
            Failure::usage(told.collect::<Vec<_>>().join("\n"))
        }),
        Statement::Explain(explained) => refine(&mut explained.statement),
        _ => Ok(()),
    }
}

/// Offers a view, unless a table has its name or one that it reads is not there.
async fn offer(session: &SessionContext, view: View) -> Result<(), DataFusionError> {
    if session.table_exist(view.name)? {
        return Ok(());
    }
    if let Ok(plan) = session.state().create_logical_plan(view.sql).await {
        let view_table = ViewTable::new(plan, Some(view.sql.to_owned()));
        session.register_table(view.name, Arc::new(view_table))?;
    }
    Ok(())
}

/// A version of a table, to be queried.
pub(super) fn rows_of(version: &TableVersion) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let schema = Arc::clone(&version.definition().schema);
    Ok(Arc::new(MemTable::try_new(schema, vec![version.batches().cloned().collect()])?))
}

/// The state of operators, to be queried.
pub(super) fn state_rows(rows: &RecordBatch) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?))
}

/// The tables by name; says which there are when another one is asked for.
#[derive(Debug)]
struct Inventory {
    tables: MemorySchemaProvider,
    /// The names of functions that stand where a table stands: the planner asks for tables of these names too.
    functions: BTreeSet<String>,
}

#[async_trait]
impl SchemaProvider for Inventory {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.tables.table_names();
        names.sort();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match self.tables.table(name).await? {
            Some(table) => Ok(Some(table)),
            None if self.functions.contains(name) => Ok(None),
            None => Err(Told::error(Failure::unknown("table", name, &self.table_names()))),
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        self.tables.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        self.tables.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.table_exist(name)
    }
}

/// A failure on its way through the planner.
#[derive(Debug)]
pub(super) struct Told {
    code: u8,
    message: String,
}

impl Told {
    pub(super) fn error(failure: Failure) -> DataFusionError {
        DataFusionError::External(Box::new(Self { code: failure.code, message: failure.message }))
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Told {}

/// What is wrong with a query, as the command says it.
pub(super) fn failure(error: DataFusionError) -> Failure {
    if let DataFusionError::External(inner) = error.find_root()
        && let Some(told) = inner.downcast_ref::<Told>()
    {
        return Failure { code: told.code, message: told.message.clone() };
    }
    let text = error.strip_backtrace();
    match dialect::hint(&text) {
        Some(help) => Failure::usage(format!("{text}\nhelp: {help}")),
        None => Failure::usage(text),
    }
}
