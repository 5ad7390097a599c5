//! Queries that say of each row of one table what that row alone decides.
//!
//! Of such a query only the rows that have changed need to be evaluated: with the rows as they were before, that tells all
//! that has changed in its answer. It holds for a query
//! * that reads one table, and only filters and computes,
//! * that does not ask for the time,
//! * whose findings have identities that no two rows share: it selects, as they are, `account_id`, `region`, and either
//!   the rest of the table's key or, as the resource, an `arn` that the table promises to be distinct.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use tidegate_pipeline::rows::adapt;
use tidegate_pipeline::table::TableDefinition;

use super::{OutputColumns, relaxed};

/// A query that looks at one row of one table at a time, ready to be run on any rows of it.
#[derive(Clone)]
pub(crate) struct RowLocal {
    /// The table.
    pub(crate) table: Arc<str>,
    /// The columns that the rows must have.
    columns: SchemaRef,
    stages: Arc<[Stage]>,
}

/// Why a query has to be evaluated over whole tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeTables {
    /// Its answer changes with time alone.
    Time,
    /// It looks at several rows at once.
    SeveralRows,
    /// Two rows could have findings of one identity.
    Identity,
    /// It is a policy in Rego.
    Policy,
}

impl fmt::Display for WholeTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "what it says changes with time alone (`now()`)",
            Self::Policy => "it is a policy in Rego, which may look at all rows at once",
            Self::SeveralRows => "it joins, groups or compares rows",
            Self::Identity => {
                "it does not select, as they are, `account_id`, `region` and the table's `arn` or the rest of its key"
            }
        })
    }
}

/// What is done with rows.
enum Stage {
    /// Only these columns are kept.
    Take(Vec<usize>),
    /// Only rows for which it is true are kept.
    Keep(Arc<dyn PhysicalExpr>),
    /// These columns are made.
    Make(SchemaRef, Vec<Arc<dyn PhysicalExpr>>),
}

impl fmt::Debug for RowLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowLocal").field("table", &self.table).finish_non_exhaustive()
    }
}

impl RowLocal {
    /// The query of `plan`, if it is one that looks at one row at a time.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn of(
        plan: &LogicalPlan,
        columns: &OutputColumns,
        tables: &[TableDefinition],
        state: &SessionState,
    ) -> Result<Self, WholeTables> {
        let table = only_table(plan).ok_or(WholeTables::SeveralRows)?;
        let definition = tables.iter().find(|definition| *definition.name == *table.table_name.table());
        let definition = definition.ok_or(WholeTables::SeveralRows)?;
        if !tells_rows_apart(plan, columns, definition) {
            return Err(WholeTables::Identity);
        }
        let mut stages = Vec::new();
        let staged = state.optimize(plan).ok().and_then(|plan| stages_of(&plan, state, &mut stages));
        staged.ok_or(WholeTables::SeveralRows)?;
        Ok(Self { table: Arc::clone(&definition.name), columns: relaxed(&definition.schema), stages: stages.into() })
    }

    /// What the query says of these rows of its table.
    ///
    /// # Errors
    /// As running the query over them.
    pub(crate) fn answer(&self, rows: &RecordBatch) -> datafusion::common::Result<RecordBatch> {
        let mut rows =
            adapt(rows, &self.columns).map_err(|error| datafusion::error::DataFusionError::Internal(error.message))?;
        for stage in self.stages.iter() {
            rows = stage.run(&rows)?;
        }
        Ok(rows)
    }
}

impl Stage {
    fn run(&self, rows: &RecordBatch) -> datafusion::common::Result<RecordBatch> {
        match self {
            Self::Take(columns) => Ok(rows.project(columns)?),
            Self::Keep(condition) => {
                let kept = condition.evaluate(rows)?.into_array(rows.num_rows())?;
                Ok(filter_record_batch(rows, kept.as_boolean())?)
            }
            Self::Make(schema, expressions) => {
                let value = |expression: &Arc<dyn PhysicalExpr>| expression.evaluate(rows)?.into_array(rows.num_rows());
                let columns = expressions.iter().map(value).collect::<datafusion::common::Result<Vec<_>>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
                Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
            }
        }
    }
}

/// The table of a plan that reads one and only filters and computes.
fn only_table(plan: &LogicalPlan) -> Option<&TableScan> {
    let inner = match plan {
        LogicalPlan::Projection(projection) => &projection.input,
        LogicalPlan::Filter(filter) => &filter.input,
        LogicalPlan::SubqueryAlias(alias) => &alias.input,
        LogicalPlan::TableScan(scan) => return Some(scan),
        _ => return None,
    };
    (!has_subquery(plan)).then(|| only_table(inner)).flatten()
}

/// Whether an expression of a node itself asks another query.
fn has_subquery(node: &LogicalPlan) -> bool {
    let mut found = false;
    let looked = node.apply_expressions(|expression| {
        expression.apply(|inner| {
            found |= matches!(
                inner,
                Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
            );
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found || looked.is_err()
}

/// Whether the identity of a finding tells which row it is about.
fn tells_rows_apart(plan: &LogicalPlan, columns: &OutputColumns, definition: &TableDefinition) -> bool {
    let is = |place: Option<usize>, name: &str| {
        place.and_then(|place| taken_from(plan, place)).is_some_and(|from| from == name)
    };
    if !is(columns.account_id, "account_id") || !is(columns.region, "region") {
        return false;
    }
    let of_identity = || std::iter::once(columns.resource).chain(columns.dimensions.iter().copied());
    let has_key = || definition.key.iter().all(|key| of_identity().any(|place| is(Some(place), key)));
    (definition.distinct_arn && is(Some(columns.resource), "arn")) || has_key()
}

/// The column of the table that a column of the answer is, as it stands there.
fn taken_from(plan: &LogicalPlan, place: usize) -> Option<&str> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let column = bare(projection.expr.get(place)?)?;
            let place = projection.input.schema().maybe_index_of_column(column)?;
            taken_from(&projection.input, place)
        }
        LogicalPlan::Filter(filter) => taken_from(&filter.input, place),
        LogicalPlan::SubqueryAlias(alias) => taken_from(&alias.input, place),
        LogicalPlan::TableScan(scan) => Some(scan.projected_schema.fields().get(place)?.name()),
        _ => None,
    }
}

fn bare(expression: &Expr) -> Option<&datafusion::common::Column> {
    match expression {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => bare(&alias.expr),
        _ => None,
    }
}

/// The stages of a plan, the first one first; `None` where there is something else in it.
fn stages_of(plan: &LogicalPlan, state: &SessionState, stages: &mut Vec<Stage>) -> Option<()> {
    let physical = |expression: &Expr, input: &LogicalPlan| {
        create_physical_expr(expression, input.schema(), state.execution_props(), &PhysicalPlanningContext::default())
            .ok()
    };
    match plan {
        LogicalPlan::TableScan(scan) if scan.filters.is_empty() && scan.fetch.is_none() => {
            stages.extend(scan.projection.clone().map(Stage::Take));
        }
        LogicalPlan::SubqueryAlias(alias) => stages_of(&alias.input, state, stages)?,
        LogicalPlan::Filter(filter) => {
            stages_of(&filter.input, state, stages)?;
            stages.push(Stage::Keep(physical(&filter.predicate, &filter.input)?));
        }
        LogicalPlan::Projection(projection) => {
            stages_of(&projection.input, state, stages)?;
            let made = projection.expr.iter().map(|expression| physical(expression, &projection.input));
            let fields: Vec<_> =
                projection.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
            stages.push(Stage::Make(Arc::new(Schema::new(fields)), made.collect::<Option<_>>()?));
        }
        _ => return None,
    }
    Some(())
}
