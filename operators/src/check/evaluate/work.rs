//! A limit for queries that would run for ever.
//!
//! It counts rows rather than seconds, so that a query that is stopped on one machine is stopped on every machine, and a
//! replay of it tells the same.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;

/// What a batch costs besides its rows: many small ones are work too.
const BATCH: u64 = 1_024;

/// How much work the query of one control may be in one evaluation: rows, counted wherever they come out of a stage of
/// the query, and pairs of rows where a join compares each with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkLimit(pub u64);

impl Default for WorkLimit {
    /// Some minutes of work.
    fn default() -> Self {
        Self(10_000_000_000)
    }
}

/// A query was more work than its limit allows.
#[derive(Debug)]
pub(super) struct TooMuchWork(WorkLimit);

impl fmt::Display for TooMuchWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its query was stopped after going through {} rows; let it join on equal columns, or raise `work_limit`",
            self.0.0
        )
    }
}

impl std::error::Error for TooMuchWork {}

impl WorkLimit {
    /// `plan`, which fails once it is more work than this.
    pub(super) fn of(self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let budget = Arc::new(Budget { limit: self, spent: AtomicU64::new(0) });
        let metered = plan.transform_up(|stage| {
            // What a join compares with each other is known from what its inputs give.
            let pairs = stage.is::<NestedLoopJoinExec>() || stage.is::<CrossJoinExec>();
            let stage = if pairs { compared(stage)? } else { stage };
            Ok(Transformed::yes(Arc::new(Metered::new(stage, &budget)) as Arc<dyn ExecutionPlan>))
        })?;
        Ok(metered.data)
    }
}

/// A join of two metered inputs, the second of which counts pairs.
fn compared(join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let children = join.children();
    let [left, right] = children[..] else { return Ok(join) };
    let (Some(first), Some(second)) = (left.downcast_ref::<Metered>(), right.downcast_ref::<Metered>()) else {
        return Ok(join);
    };
    let paired: Arc<dyn ExecutionPlan> =
        Arc::new(Metered { each: Some(Arc::clone(&first.rows)), ..second.over(Arc::clone(&second.input)) });
    let children = vec![Arc::clone(left), paired];
    join.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
}

#[derive(Debug)]
struct Budget {
    limit: WorkLimit,
    spent: AtomicU64,
}

impl Budget {
    fn spend(&self, work: u64) -> Result<()> {
        let before = self.spent.fetch_add(work, Ordering::Relaxed);
        if before.saturating_add(work) > self.limit.0 {
            return Err(DataFusionError::External(Box::new(TooMuchWork(self.limit))));
        }
        Ok(())
    }
}

/// A stage of a query whose rows are counted.
#[derive(Debug)]
struct Metered {
    input: Arc<dyn ExecutionPlan>,
    budget: Arc<Budget>,
    /// How many rows it has given.
    rows: Arc<AtomicU64>,
    /// The rows of another stage that each of its rows is compared with.
    each: Option<Arc<AtomicU64>>,
}

impl Metered {
    fn new(input: Arc<dyn ExecutionPlan>, budget: &Arc<Budget>) -> Self {
        Self { input, budget: Arc::clone(budget), rows: Arc::default(), each: None }
    }

    /// The same meter over another stage.
    fn over(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let (budget, rows, each) = (Arc::clone(&self.budget), Arc::clone(&self.rows), self.each.clone());
        Self { input, budget, rows, each }
    }
}

impl DisplayAs for Metered {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metered")
    }
}

impl ExecutionPlan for Metered {
    fn name(&self) -> &'static str {
        "Metered"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.pop()) {
            (Some(input), None) => Ok(Arc::new(self.over(input))),
            _ => Err(DataFusionError::Internal("a meter stands over one stage".to_owned())),
        }
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        // A recursive query executes its stages again and again.
        self.rows.store(0, Ordering::Relaxed);
        let (budget, rows, each) = (Arc::clone(&self.budget), Arc::clone(&self.rows), self.each.clone());
        let count = move |batch: Result<RecordBatch>| {
            let batch = batch?;
            let given = batch.num_rows() as u64;
            rows.fetch_add(given, Ordering::Relaxed);
            let pairs = each.as_ref().map_or(0, |each| each.load(Ordering::Relaxed).saturating_mul(given));
            budget.spend(given.saturating_add(BATCH).saturating_add(pairs))?;
            Ok(batch)
        };
        let stream = self.input.execute(partition, context)?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(stream.schema(), stream.map(count))))
    }
}
