//! Why a control says of a resource what it says: the conditions that decided, and the values behind them.
//!
//! ```text
//! plan of the query ──► widen: the same, with a column for each condition ──► its rows about the resource ──► steps
//! ```

mod conditions;
mod text;
mod trace;
mod widen;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use serde::Serialize;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::step::StepTime;

use super::evaluate::{TableContents, sources, with_sources};
use super::plan::{EvidenceColumn, PlannedControl, PlannedPack, PlannedQuery};
use trace::Trace;
use widen::{Filters, Widened};

/// The most rows about resources that are told in full.
const MOST_ROWS: usize = 20;

/// What a control says of a resource, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reasons {
    /// What it says, a row each; at most 20.
    pub rows: Vec<ExplainedRow>,
    /// How many rows there are about it.
    pub found: usize,
    /// Whether the conditions of the query leave these rows out, so that it says nothing of them.
    pub left_out: bool,
}

/// A row of a control's query, and what decided it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedRow {
    /// The resource.
    pub resource: String,
    /// The status.
    pub status: String,
    /// The reason.
    pub reason: String,
    /// The other columns that the query selects, by name.
    pub columns: BTreeMap<String, String>,
    /// What was asked about it, in order, up to what decided.
    pub steps: Vec<ExplainedStep>,
}

/// A condition of a query, as it came out for a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedStep {
    /// What sort of condition it is.
    pub kind: StepKind,
    /// The condition, as SQL.
    pub condition: String,
    /// How it came out; `None` where it is NULL, or is no condition.
    pub outcome: Option<bool>,
    /// What the status is if it is true, as SQL.
    pub then: Option<String>,
    /// Whether it decided.
    pub decided: bool,
    /// How deep it is inside other conditions.
    pub depth: usize,
    /// The conditions that it is made of, where there are several, and how they came out.
    pub parts: Vec<ExplainedValue>,
    /// The values that it looks at.
    pub values: Vec<ExplainedValue>,
}

/// A part of a condition and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedValue {
    /// What it is, as SQL.
    pub of: String,
    /// Its value as text; `None`: NULL.
    pub value: Option<String>,
}

/// The sorts of conditions of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// A row is looked at only if it is true.
    Where,
    /// It decides the status if it is true and none before it was.
    When,
    /// What the status is if no condition was true.
    Else,
    /// The status is not decided by conditions but computed.
    Status,
}

/// Says what a control says of the resources that `pattern` matches (`*` and `?`), and why, over `tables` as of `time`.
///
/// # Errors
/// When the control has no query that can be run, or running it fails.
pub async fn explain(
    pack: &PlannedPack,
    control: &PlannedControl,
    tables: &BTreeMap<Arc<str>, TableContents>,
    pattern: &str,
    time: StepTime,
) -> Result<Reasons> {
    let query = control.query.as_ref().map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::user(texts.join("; "))
    })?;
    if query.policy.is_some() {
        let message =
            format!("`{}` is a policy in Rego: which of its conditions decided cannot be told", control.control.id);
        return Err(Error::user(message).with_remedy("try it with rows: `tidegate test`, or `opa eval --explain`"));
    }
    let (sources, state) = (sources(tables)?, pack.session.at(time)?);
    let run = Run { query, sources: &sources, state: &state, pattern };
    let kept = run.rows(Filters::Kept).await?;
    if kept.found > 0 {
        return Ok(kept);
    }
    // Nothing is said of it. Perhaps a condition leaves it out; what the query computes may fail on rows that it was not
    // written for, and then there is nothing to tell.
    let all = run.rows(Filters::Shown).await.unwrap_or(Reasons { rows: Vec::new(), found: 0, left_out: true });
    Ok(Reasons { left_out: all.found > 0, ..all })
}

/// `plan`, whose column number `status` is the status, with the columns after its own that the conditions for it look at. As
/// it is where there are none.
pub(super) fn with_evidence(plan: &LogicalPlan, status: Option<usize>) -> (LogicalPlan, Vec<EvidenceColumn>) {
    match Widened::with_values(plan, status) {
        Ok(widened) => (widened.plan, widened.values),
        // What a control says does not depend on it.
        Err(_) => (plan.clone(), Vec::new()),
    }
}

struct Run<'a> {
    query: &'a PlannedQuery,
    sources: &'a BTreeMap<Arc<str>, Arc<dyn TableSource>>,
    state: &'a SessionState,
    pattern: &'a str,
}

impl Run<'_> {
    async fn rows(&self, filters: Filters) -> Result<Reasons> {
        let widened = Widened::of(&self.query.plan, self.query.columns.status, filters)?;
        let trace = Trace::new(&widened, &self.query.columns, self.pattern);
        let mut reasons = Reasons { rows: Vec::new(), found: 0, left_out: false };
        self.run(widened.plan.clone(), |batch| trace.read(batch, &mut reasons)).await?;
        Ok(reasons)
    }

    async fn run(
        &self,
        plan: LogicalPlan,
        mut take: impl FnMut(&arrow::array::RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let failed = |error: DataFusionError| Error::user(error.strip_backtrace());
        let plan = with_sources(plan, self.sources).map_err(failed)?;
        let physical = self.state.create_physical_plan(&plan).await.map_err(failed)?;
        let mut batches = execute_stream(physical, self.state.task_ctx()).map_err(failed)?;
        while let Some(batch) = batches.next().await {
            take(&batch.map_err(failed)?)?;
        }
        Ok(())
    }
}
