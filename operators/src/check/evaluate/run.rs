//! The evaluation of one control.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::Transformed;
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::physical_plan::collect;

use super::rows::Collector;
use super::scopes::{CONTROL_PREFIX, Frozen, Judgement, SCOPE_PREFIX, sentence};
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
}

/// There was not enough memory left.
pub(super) struct OutOfMemory;

/// Why a query gave no rows.
enum Failure {
    OutOfMemory,
    /// In one sentence.
    Other(String),
}

impl Run {
    /// Evaluates in a task of its own, so that several run in parallel and one that panics ends alone.
    pub(super) async fn on_its_own(self) -> Result<ControlEvaluation, OutOfMemory> {
        let task = self.clone();
        match SpawnedTask::spawn(async move { task.evaluate().await }).join().await {
            Ok(evaluation) => evaluation,
            Err(error) => Ok(self.failed(&format!("evaluating it broke off: {error}"))),
        }
    }

    /// Evaluates while no other control of the pack does: then the whole limit is not enough, if it is not.
    pub(super) async fn alone(self) -> ControlEvaluation {
        let memory = self.pack.session.memory();
        let reason = format!(
            "its query needs more memory than the {memory} that `limits: {{memory: {memory}}}` allows; raise the limit, \
             or let the query read less"
        );
        self.clone().on_its_own().await.unwrap_or_else(|OutOfMemory| self.failed(&reason))
    }

    fn control(&self) -> &PlannedControl {
        &self.pack.controls[self.index]
    }

    async fn evaluate(self) -> Result<ControlEvaluation, OutOfMemory> {
        let control = self.control();
        let query = match &control.query {
            Ok(query) => query,
            Err(problems) => {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return Ok(self.failed(&texts.join("; ")));
            }
        };
        if !self.judgement.evaluate {
            return Ok(self.evaluation(Vec::new(), [0; 5]));
        }
        let batches = match self.rows(query).await {
            Ok(batches) => batches,
            Err(Failure::OutOfMemory) => return Err(OutOfMemory),
            Err(Failure::Other(reason)) => return Ok(self.failed(&reason)),
        };
        let mut collector = Collector::new(control, &query.columns, &self.judgement.frozen, &self.interest);
        for batch in &batches {
            if let Err(error) = collector.take(batch) {
                return Ok(self.failed(&error.message));
            }
        }
        let counts = collector.counts();
        let warning = collector.duplicate.take().map(|resource| {
            format!(
                "control `{}` said {} times more than once the same about a resource, such as `{resource}`: the worst \
                 status counts; select a column that tells them apart",
                control.control.id, collector.duplicates
            )
        });
        let mut evaluation = self.evaluation(collector.findings, counts);
        evaluation.without_resources = batches.iter().all(|batch| batch.num_rows() == 0);
        evaluation.warnings.extend(warning);
        Ok(evaluation)
    }

    /// What the control said, together with what is to be said about scopes.
    fn evaluation(&self, mut findings: Vec<Finding>, mut counts: [usize; 5]) -> ControlEvaluation {
        for finding in self.about_scopes() {
            counts[finding.status as usize] += 1;
            findings.push(finding);
        }
        findings.sort_by(Finding::order);
        ControlEvaluation {
            control: Arc::clone(&self.control().control.id),
            findings,
            frozen: self.judgement.frozen.clone(),
            counts,
            without_resources: false,
            warnings: Vec::new(),
        }
    }

    /// The answer of a control that could not be evaluated: one error; what it said before stays.
    fn failed(&self, reason: &str) -> ControlEvaluation {
        let resource = format!("{CONTROL_PREFIX}{}", self.control().control.id);
        let mut counts = [0; 5];
        counts[Status::Error as usize] = 1;
        let finding = engine_finding(self.control(), &resource, None, Status::Error, &sentence(reason));
        ControlEvaluation { frozen: Frozen::everything(), ..self.evaluation(vec![finding], counts) }
    }

    /// What is to be said about scopes that failed or were skipped.
    fn about_scopes(&self) -> impl Iterator<Item = Finding> + '_ {
        self.judgement.findings.iter().map(|(scope, status, reason)| {
            let place = Some((&*scope.account_id, &*scope.region));
            engine_finding(self.control(), &format!("{SCOPE_PREFIX}{scope}"), place, *status, reason)
        })
    }

    /// Runs the query.
    async fn rows(&self, query: &PlannedQuery) -> Result<Vec<RecordBatch>, Failure> {
        let run = async {
            let plan = with_sources(query.plan.clone(), &self.sources)?;
            // A physical plan holds its data, so each evaluation makes its own.
            let physical = self.state.create_physical_plan(&plan).await?;
            collect(physical, self.state.task_ctx()).await
        };
        run.await.map_err(|error| match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Failure::OutOfMemory,
            _ => Failure::Other(error.strip_backtrace().lines().next().unwrap_or_default().to_owned()),
        })
    }
}

/// `plan` with its scans reading `sources`.
fn with_sources(
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
    Finding {
        identity: Identity::from(parts),
        pack: Arc::clone(&control.pack),
        control: Arc::clone(&control.control.id),
        title: Arc::clone(&control.control.title),
        resource: resource.into(),
        status,
        reason: reason.into(),
        severity: control.control.severity,
        account_id: account_id.map(Into::into),
        region: region.map(Into::into),
        dimensions: NO_DIMENSIONS.into(),
    }
}
