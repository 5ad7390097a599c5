//! Syntax → physical expression.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue, TableReference, not_impl_err};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, Volatility, WindowUDF, cast, col,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast;

use crate::spec::SqlText;
use crate::spec::diagnostic::Diagnostic;
use crate::sql::{self, dialect};
use crate::step::StepTime;

/// The column that stands for the step's time until a batch is evaluated. It follows the batch's own.
const STEP_TIME: &str = "__step_time";

/// What a function name means.
pub(super) enum FunctionKind {
    /// A function of one row.
    Row,
    /// A function whose result no replay can repeat.
    Volatile,
    /// A function of many rows.
    Aggregate,
    /// A function of a row and those around it.
    Window,
    /// No function.
    Unknown,
}

/// The functions that expressions may use, and how they are planned.
pub(super) struct Planner {
    functions: HashMap<String, Arc<ScalarUDF>>,
    aggregates: HashSet<String>,
    windows: HashSet<String>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    config: Arc<ConfigOptions>,
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner").field("functions", &self.functions.len()).finish_non_exhaustive()
    }
}

impl Planner {
    /// All default functions of DataFusion and those of [`sql`], in UTC.
    pub(super) fn new() -> Self {
        let mut functions = HashMap::new();
        for function in SessionStateDefaults::default_scalar_functions().into_iter().chain(sql::functions()) {
            for alias in function.aliases() {
                functions.insert(alias.clone(), Arc::clone(&function));
            }
            functions.insert(function.name().to_owned(), function);
        }
        let names = |name: &str, aliases: &[String]| {
            std::iter::once(name.to_owned()).chain(aliases.iter().cloned()).collect::<Vec<_>>()
        };
        let aggregates = SessionStateDefaults::default_aggregate_functions();
        let windows = SessionStateDefaults::default_window_functions();
        let mut planners = SessionStateDefaults::default_expr_planners();
        planners.push(sql::planner());
        let mut config = ConfigOptions::default();
        config.execution.time_zone = Some("+00:00".to_owned());
        config.sql_parser.map_string_types_to_utf8view = false;
        Self {
            functions,
            aggregates: aggregates.iter().flat_map(|function| names(function.name(), function.aliases())).collect(),
            windows: windows.iter().flat_map(|function| names(function.name(), function.aliases())).collect(),
            planners,
            config: Arc::new(config),
        }
    }

    /// What the function `name` (lower case) is.
    pub(super) fn kind(&self, name: &str) -> FunctionKind {
        match self.functions.get(name) {
            Some(function) if function.signature().volatility == Volatility::Volatile => FunctionKind::Volatile,
            Some(_) => FunctionKind::Row,
            None if self.aggregates.contains(name) => FunctionKind::Aggregate,
            None if self.windows.contains(name) => FunctionKind::Window,
            None => FunctionKind::Unknown,
        }
    }

    /// Names of functions that look like `name`.
    pub(super) fn alike(&self, name: &str) -> Vec<String> {
        let mut names: Vec<(usize, &String)> =
            self.functions.keys().map(|known| (strsim::damerau_levenshtein(name, known), known)).collect();
        names.retain(|(distance, known)| *distance <= 1 + known.len().max(name.len()) / 4);
        names.sort();
        names.into_iter().take(3).map(|(_, known)| known.clone()).collect()
    }

    /// Plans resolved syntax against `schema`.
    ///
    /// # Errors
    /// Types that do not fit, at the place of the whole text.
    pub(super) fn compile(&self, sql: &SqlText, syntax: ast::Expr, schema: &SchemaRef) -> Result<Compiled, Diagnostic> {
        self.plan(syntax, schema).map_err(|error| {
            let message = message(&error);
            let help = dialect::hint(&message);
            let diagnostic = Diagnostic::error(sql.place(), message);
            match help {
                Some(help) => diagnostic.with_help(help),
                None => diagnostic,
            }
        })
    }

    fn plan(&self, syntax: ast::Expr, schema: &SchemaRef) -> Result<Compiled, DataFusionError> {
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(STEP_TIME, step_time_type(), false)));
        let names = Arc::new(DFSchema::try_from(Schema::new(fields))?);
        let mut options = ParserOptions::new();
        options.map_string_types_to_utf8view = false;
        let logical =
            SqlToRel::new_with_options(self, options).sql_to_expr(syntax, &names, &mut PlannerContext::new())?;
        let logical = logical.transform_up(|expression| Ok(step_time(expression)))?.data;
        let simplifier = ExprSimplifier::new(
            SimplifyContext::builder()
                .with_schema(Arc::clone(&names))
                .with_config_options(Arc::clone(&self.config))
                .build(),
        );
        let logical = simplifier.coerce(logical, &names)?;
        let mut logical = simplifier.simplify(logical)?;
        let mut data_type = logical.get_type(names.as_ref())?;
        if data_type == DataType::Utf8View && !matches!(logical, Expr::Column(_)) {
            data_type = DataType::Utf8;
            logical = cast(logical, DataType::Utf8);
        }
        let context = PhysicalPlanningContext::default();
        let physical = create_physical_expr(&logical, &names, &ExecutionProps::new(), &context)?;
        let physical = physical.transform_up(|expression| Ok(strict(expression)))?.data;
        let time_index = schema.fields().len();
        let timed = physical.exists(|expression| Ok(is_column(expression, time_index)))?;
        Ok(Compiled { template: physical, bound: None, time_index, timed, data_type })
    }
}

/// An expression planned for one schema.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    /// With the step's time as a column.
    template: Arc<dyn PhysicalExpr>,
    /// With the step's time as a literal, for the last step.
    bound: Option<(StepTime, Arc<dyn PhysicalExpr>)>,
    time_index: usize,
    timed: bool,
    /// The type of the result.
    pub(super) data_type: DataType,
}

impl Compiled {
    /// Evaluates every row, or fails as a whole.
    pub(super) fn evaluate(&mut self, batch: &RecordBatch, time: StepTime) -> Result<ArrayRef, DataFusionError> {
        let expression = if self.timed { self.bind(time)? } else { &self.template };
        expression.evaluate(batch)?.into_array(batch.num_rows())
    }

    fn bind(&mut self, time: StepTime) -> Result<&Arc<dyn PhysicalExpr>, DataFusionError> {
        let bound = match self.bound.take() {
            Some(bound) if bound.0 == time => bound,
            _ => {
                let nanoseconds = time.0.checked_mul(1_000_000);
                let value = ScalarValue::TimestampNanosecond(nanoseconds, Some("+00:00".into()));
                let literal: Arc<dyn PhysicalExpr> = Arc::new(Literal::new(value));
                let index = self.time_index;
                let replace = |expression: Arc<dyn PhysicalExpr>| match is_column(&expression, index) {
                    true => Ok(Transformed::new(Arc::clone(&literal), true, TreeNodeRecursion::Jump)),
                    false => Ok(Transformed::no(expression)),
                };
                (time, Arc::clone(&self.template).transform_down(replace)?.data)
            }
        };
        Ok(&self.bound.insert(bound).1)
    }
}

fn step_time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("+00:00".into()))
}

fn is_column(expression: &Arc<dyn PhysicalExpr>, index: usize) -> bool {
    expression.downcast_ref::<Column>().is_some_and(|column| column.index() == index)
}

/// Replaces the functions that read the clock by the step's time.
fn step_time(expression: Expr) -> Transformed<Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, .. }) = &expression else {
        return Transformed::no(expression);
    };
    match func.name() {
        "now" => Transformed::yes(col(STEP_TIME)),
        "current_date" => Transformed::yes(cast(col(STEP_TIME), DataType::Date32)),
        "current_time" => Transformed::yes(cast(col(STEP_TIME), DataType::Time64(TimeUnit::Nanosecond))),
        _ => Transformed::no(expression),
    }
}

/// Makes arithmetic fail on overflow instead of wrapping around.
fn strict(expression: Arc<dyn PhysicalExpr>) -> Transformed<Arc<dyn PhysicalExpr>> {
    match expression.downcast_ref::<BinaryExpr>() {
        Some(binary) => {
            let strict = BinaryExpr::new(Arc::clone(binary.left()), *binary.op(), Arc::clone(binary.right()));
            Transformed::yes(Arc::new(strict.with_fail_on_overflow(true)))
        }
        None => Transformed::no(expression),
    }
}

/// The part of DataFusion's message that is meant for the reader.
fn message(error: &DataFusionError) -> String {
    let text = error.find_root().strip_backtrace();
    let text = text.split("\nThis issue was likely caused by").next().unwrap_or_default();
    let mut text = text.trim();
    for prefix in
        ["Error during planning: ", "Schema error: ", "Arrow error: ", "Internal error: ", "Execution error: "]
    {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    text.trim_end_matches('.').to_owned()
}

impl ContextProvider for Planner {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>, DataFusionError> {
        not_impl_err!("an expression cannot read the table `{name}`")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.config
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
