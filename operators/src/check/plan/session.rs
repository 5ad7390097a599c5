//! What queries are planned and run with: functions, tables by name, the clock and the memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::temporal_conversions::timestamp_ms_to_datetime;
use datafusion::catalog::view::ViewTable;
use datafusion::common::config::{ConfigOptions, Dialect};
use datafusion::common::{Result as DataFusionResult, TableReference, plan_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::spec::ByteSize;
use tidegate_pipeline::sql;
use tidegate_pipeline::step::StepTime;
use tidegate_pipeline::table::{TableDefinition, View};

/// Plans and runs queries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Session {
    state: Arc<SessionState>,
    memory: ByteSize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// A session whose queries together take at most `memory`: one partition, UTC, no spilling to disk (an
    /// operator touches no file), PostgreSQL's dialect.
    ///
    /// # Errors
    /// When DataFusion cannot be set up.
    pub(crate) fn new(memory: ByteSize) -> Result<Self> {
        let mut config = SessionConfig::new().with_target_partitions(1).with_information_schema(false);
        let options = config.options_mut();
        options.execution.time_zone = Some("UTC".to_owned());
        options.sql_parser.dialect = Dialect::PostgreSQL;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory.bytes())))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        let mut state =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        sql::register(&mut state)?;
        Ok(Self { state: Arc::new(state), memory })
    }

    /// The state to optimise and run queries with, as of `time`: `now()` and its like are that time.
    ///
    /// # Errors
    /// When the time is beyond what a date can be.
    pub(crate) fn at(&self, time: StepTime) -> Result<SessionState> {
        let now = timestamp_ms_to_datetime(time.0)
            .ok_or_else(|| Error::internal(format!("the step time {} is no date", time.0)))?;
        let mut state = SessionState::clone(&self.state);
        let options = Arc::clone(state.config_options());
        let properties = state.execution_props_mut();
        properties.query_execution_start_time = Some(now.and_utc());
        properties.config_options = Some(options);
        Ok(state)
    }

    /// The most memory that queries take together.
    pub(crate) fn memory(&self) -> ByteSize {
        self.memory
    }

    /// The state, for looking up functions.
    pub(crate) fn state(&self) -> &SessionState {
        &self.state
    }
}

/// The schema that queries see a table with: every column may be NULL, whatever its definition says, so
/// that no plan rests on a promise that a partial row (a failed hydration, a test) cannot keep.
pub(crate) fn relaxed(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// The tables that queries may name. Knows no data: planning needs none.
pub(crate) struct Tables<'s> {
    session: &'s Session,
    sources: BTreeMap<String, Arc<dyn TableSource>>,
    /// Views whose names no table has. Each is planned when the first query names it.
    views: BTreeMap<&'static str, View>,
    planned_views: Mutex<BTreeMap<&'static str, Arc<dyn TableSource>>>,
    /// Tables that a query named and that are not there.
    missing: Mutex<BTreeSet<String>>,
}

impl<'s> Tables<'s> {
    /// The tables of these definitions.
    pub(crate) fn new(session: &'s Session, definitions: &[TableDefinition]) -> Self {
        let source = |definition: &TableDefinition| {
            let table: Arc<dyn TableSource> =
                provider_as_source(Arc::new(EmptyTable::new(relaxed(&definition.schema))));
            (definition.name.to_string(), table)
        };
        let sources: BTreeMap<String, Arc<dyn TableSource>> = definitions.iter().map(source).collect();
        let views = definitions.iter().flat_map(|definition| &definition.views);
        let views = views.filter(|view| !sources.contains_key(view.name)).map(|view| (view.name, *view)).collect();
        Self { session, sources, views, planned_views: Mutex::default(), missing: Mutex::default() }
    }

    /// A view of that name; `None` where there is none, or a table that it reads is not there.
    fn view(&self, name: &str) -> Option<Arc<dyn TableSource>> {
        let view = self.views.get(name)?;
        if let Some(planned) = self.planned_views.lock().get(name) {
            return Some(Arc::clone(planned));
        }
        let plan = super::query::plan_view(view.sql, self);
        self.take_missing();
        let source = provider_as_source(Arc::new(ViewTable::new(plan.ok()?, Some(view.sql.to_owned()))));
        self.planned_views.lock().insert(view.name, Arc::clone(&source));
        Some(source)
    }

    /// The names of the tables.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sources.keys().cloned().chain(self.views.keys().map(|name| (*name).to_owned())).collect()
    }

    /// Tables that were asked for in vain since the last call.
    pub(crate) fn take_missing(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.missing.lock())
    }

    /// The session.
    pub(crate) fn session(&self) -> &Session {
        self.session
    }
}

impl ContextProvider for Tables<'_> {
    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        let known = || self.sources.get(name.table()).cloned().or_else(|| self.view(name.table()));
        if let Some(source) = name.schema().map_or_else(known, |_| None) {
            return Ok(source);
        }
        self.missing.lock().insert(name.to_string());
        plan_err!("there is no table `{name}`")
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> DataFusionResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.session.state.expr_planners()
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.session.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.session.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.session.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.session.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.session.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.session.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.session.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.session.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.session.state.window_functions().keys().cloned().collect()
    }
}
