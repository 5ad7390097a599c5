//! The evaluation of one control.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::Transformed;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use futures::StreamExt;
use tidegate_pipeline::step::StepTime;

use super::rows::Collector;

use super::scopes::{CONTROL_PREFIX, Frozen, Judgement, SCOPE_PREFIX, sentence};
use super::work::TooMuchWork;
use super::{ControlEvaluation, Interest};
use crate::check::finding::{Finding, Identity, IdentityParts, Status};
use crate::check::plan::{PlannedControl, PlannedPack, PlannedQuery};

/// A control that is to be evaluated. Cheap to clone.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) pack: Arc<PlannedPack>,
    /// Which control of the pack.
    pub(super) index: usize,
    pub(super) judgement: Judgement,
    pub(super) sources: Arc<BTreeMap<Arc<str>, Arc<dyn TableSource>>>,
    pub(super) state: Arc<SessionState>,
    pub(super) interest: Interest,
    pub(super) time: StepTime,
}

/// Why a control has no answer yet.
pub(super) enum Unanswered {
    /// There was not enough memory left.
    OutOfMemory,
    /// The runtime is shutting down under it: that says nothing of the control, and nothing may be told of it.
    CutOff,
}

/// Why a query gave no rows.
pub(super) enum Failure {
    OutOfMemory,
    CutOff,
    /// In one sentence.
    Other(String),
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::OutOfMemory,
            DataFusionError::ExecutionJoin(join) if join.is_cancelled() => Self::CutOff,
            DataFusionError::External(inner) if inner.is::<TooMuchWork>() => Self::Other(inner.to_string()),
            _ => Self::Other(error.strip_backtrace().lines().next().unwrap_or_default().to_owned()),
        }
    }
}

/// What a panic said. Not the error's own text: that names the task by a number which is another one each time, and a
/// control that fails in the same way again must say the same.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why")
}

impl Run {
    /// Evaluates in a task of its own, so that several run in parallel and one that panics ends alone.
    pub(super) async fn on_its_own(self) -> Result<ControlEvaluation, Unanswered> {
        let task = self.clone();
        match SpawnedTask::spawn(async move { task.evaluate().await }).join().await {
            Ok(evaluation) => evaluation,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => Ok(self.failed(&format!("evaluating it broke off: {}", said(panic.as_ref())))),
                Err(_) => Err(Unanswered::CutOff),
            },
        }
    }

    /// Evaluates while no other control of the pack does: then the whole limit is not enough, if it is not.
    pub(super) async fn alone(self) -> Result<ControlEvaluation, Unanswered> {
        let memory = self.pack.session.memory();
        let reason = format!(
            "its query needs more memory than the {memory} that `limits: {{memory: {memory}}}` allows; raise the limit, \
             or let the query read less"
        );
        match self.clone().on_its_own().await {
            Err(Unanswered::OutOfMemory) => Ok(self.failed(&reason)),
            answered => answered,
        }
    }

    fn control(&self) -> &PlannedControl {
        &self.pack.controls[self.index]
    }

    async fn evaluate(self) -> Result<ControlEvaluation, Unanswered> {
        let control = self.control();
        let query = match &control.query {
            Ok(query) => query,
            Err(problems) => {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Ok(self.failed(&texts.join("; ")));
            }
        };
        if !self.judgement.evaluate {
            return Ok(self.evaluation(Vec::new()));
        }
        let mut collector = Collector::new(control, query, &self.judgement.frozen, &self.interest);
        match self.collect(query, &mut collector).await {
            Ok(()) => {}
            Err(Failure::OutOfMemory) => return Err(Unanswered::OutOfMemory),
            Err(Failure::CutOff) => return Err(Unanswered::CutOff),
            Err(Failure::Other(reason)) => return Ok(self.failed(&reason)),
        }
        let warning = collector.duplicate.take().map(|resource| {
            format!(
                "control `{}` said {} times more than once the same about a resource, such as `{resource}`: the worst \
                 status counts; select a column that tells them apart",
                control.control.id, collector.duplicates
            )
        });
        let without_resources = collector.rows == 0;
        let mut evaluation = self.evaluation(collector.findings);
        evaluation.without_resources = without_resources;
        evaluation.warnings.extend(warning);
        Ok(evaluation)
    }

    /// What the control said, together with what is to be said about scopes.
    fn evaluation(&self, mut findings: Vec<Finding>) -> ControlEvaluation {
        findings.extend(self.about_scopes());
        findings.sort_by(Finding::order);
        ControlEvaluation {
            control: Arc::clone(&self.control().control.id),
            findings,
            frozen: self.judgement.frozen.clone(),
            without_resources: false,
            warnings: Vec::new(),
        }
    }

    /// The answer of a control that could not be evaluated: one error; what it said before stays.
    fn failed(&self, reason: &str) -> ControlEvaluation {
        let resource = resource_of_failure(self.control());
        let finding = engine_finding(self.control(), &resource, None, Status::Error, &sentence(reason));
        ControlEvaluation { frozen: Frozen::everything(), ..self.evaluation(vec![finding]) }
    }

    /// What is to be said about scopes that failed or were skipped.
    fn about_scopes(&self) -> impl Iterator<Item = Finding> + '_ {
        self.judgement.findings.iter().map(|(scope, status, reason)| {
            let place = Some((&*scope.account_id, &*scope.region));
            engine_finding(self.control(), &format!("{SCOPE_PREFIX}{scope}"), place, *status, reason)
        })
    }

    /// Runs the query; its rows go to the collector as they come.
    async fn collect(&self, query: &PlannedQuery, collector: &mut Collector<'_>) -> Result<(), Failure> {
        if let Some(policy) = &query.policy {
            return self.collect_answer(policy, collector).await;
        }
        let mut batches = self.stream(&query.plan).await?;
        while let Some(batch) = batches.next().await {
            collector.take(&batch?).map_err(|error| Failure::Other(error.message))?;
        }
        Ok(())
    }

    pub(super) async fn stream(&self, plan: &LogicalPlan) -> Result<SendableRecordBatchStream, Failure> {
        let plan = with_sources(plan.clone(), &self.sources)?;
        // A physical plan holds its data, so each evaluation makes its own.
        let physical = self.pack.work_limit.of(self.state.create_physical_plan(&plan).await?)?;
        Ok(execute_stream(physical, self.state.task_ctx())?)
    }
}

/// `plan` with its scans reading `sources`.
pub(in crate::check) fn with_sources(
    plan: LogicalPlan,
    sources: &BTreeMap<Arc<str>, Arc<dyn TableSource>>,
) -> datafusion::common::Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => match sources.get(scan.table_name.table()) {
            Some(source) => {
                scan.source = Arc::clone(source);
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        },
        other => Ok(Transformed::no(other)),
    })?;
    Ok(plan.data)
}

/// The resource of what is said where a control could not be evaluated.
fn resource_of_failure(control: &PlannedControl) -> String {
    format!("{CONTROL_PREFIX}{}", control.control.id)
}

/// The identity of what is said where a control could not be evaluated.
pub(in crate::check) fn identity_of_failure(control: &PlannedControl) -> Identity {
    engine_finding(control, &resource_of_failure(control), None, Status::Error, "").identity
}

/// A finding that no row of the control stands behind.
fn engine_finding(
    control: &PlannedControl,
    resource: &str,
    place: Option<(&str, &str)>,
    status: Status,
    reason: &str,
) -> Finding {
    const NO_DIMENSIONS: &str = "{}";
    let (account_id, region) = place.unzip();
    let parts = IdentityParts {
        pack: &control.pack,
        control: &control.control.id,
        resource,
        account_id,
        region,
        dimensions: NO_DIMENSIONS,
    };
    Finding::new(parts, &control.control.title, status, reason, control.control.severity)
}
