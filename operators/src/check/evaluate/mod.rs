//! Evaluates planned controls over the contents of tables.

mod rows;
mod scopes;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, TableSource};
use datafusion::physical_plan::collect;
use futures::{StreamExt, stream};
use hashbrown::HashSet;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::rows::adapt;
use tidegate_pipeline::step::{Scope, ScopeOutcome, StepTime};
use tidegate_pipeline::table::{TableDefinition, TableVersion};

pub use scopes::Frozen;
use scopes::{CONTROL_PREFIX, Judgement, SCOPE_PREFIX, sentence};

use super::finding::{Finding, Identity, IdentityParts, Status};
use super::plan::{PlannedControl, PlannedPack, PlannedQuery, relaxed};

/// What is in a table, and how far collecting it has come.
#[derive(Debug, Clone)]
pub struct TableContents {
    /// What the table is.
    pub definition: Arc<TableDefinition>,
    /// Its rows, in key order.
    pub batches: Vec<RecordBatch>,
    /// How collecting each of its scopes last ended; empty where none has ended yet.
    pub scopes: BTreeMap<Scope, ScopeOutcome>,
}

impl TableContents {
    /// A table that is complete as it stands, whatever accounts and regions its rows name.
    pub fn complete(definition: Arc<TableDefinition>, batches: Vec<RecordBatch>) -> Self {
        let table = Arc::clone(&definition.name);
        let scope = Scope { account_id: "all".into(), region: "global".into(), table };
        Self { definition, batches, scopes: BTreeMap::from([(scope, ScopeOutcome::Complete)]) }
    }
}

impl From<&TableVersion> for TableContents {
    fn from(version: &TableVersion) -> Self {
        Self {
            definition: Arc::clone(version.definition()),
            batches: version.batches().cloned().collect(),
            scopes: version.scopes().clone(),
        }
    }
}

/// Which findings matter to the caller. All others are only counted.
#[derive(Debug, Clone)]
pub enum Interest {
    /// All of them.
    All,
    /// Those that are not ok, and ok ones with these identities.
    NotOk(Arc<HashSet<Identity>>),
}

impl Interest {
    fn includes(&self, identity: Identity) -> bool {
        match self {
            Self::All => true,
            Self::NotOk(also) => also.contains(&identity),
        }
    }
}

/// What one control said.
#[derive(Debug, Clone)]
pub struct ControlEvaluation {
    /// The control.
    pub control: Arc<str>,
    /// Its findings, in the order of [`Finding::order`]; ok ones as far as they are of interest.
    pub findings: Vec<Finding>,
    /// Whose earlier findings stay as they are.
    pub frozen: Frozen,
    /// How many findings of each status there are, in the order of [`Status::ALL`], those that are not of
    /// interest included.
    pub counts: [usize; 5],
    /// Whether its query ran and gave no row: it has no resources.
    pub without_resources: bool,
    /// What the author of the control should know.
    pub warnings: Vec<String>,
}

/// Evaluates the controls of a pack.
#[derive(Debug, Clone)]
pub struct Evaluator {
    pack: Arc<PlannedPack>,
}

impl Evaluator {
    /// An evaluator of these controls.
    pub fn new(pack: PlannedPack) -> Self {
        Self { pack: Arc::new(pack) }
    }

    /// The controls.
    pub fn controls(&self) -> &[PlannedControl] {
        &self.pack.controls
    }

    /// The controls to evaluate, as indices, after the tables `changed` have changed and the tables
    /// `refreshed` were collected again: those that read a changed table, those whose answer changes with
    /// time and that read a refreshed one, and those that read none at all.
    pub fn affected(&self, changed: &BTreeSet<Arc<str>>, refreshed: &BTreeSet<Arc<str>>) -> Vec<usize> {
        let concerns = |control: &PlannedControl| {
            let reads = |tables: &BTreeSet<Arc<str>>| control.reads.iter().any(|table| tables.contains(table));
            control.reads.is_empty()
                || control.query.is_err()
                || reads(changed)
                || (control.reads_time && reads(refreshed))
        };
        let controls = self.pack.controls.iter().enumerate();
        controls.filter(|(_, control)| concerns(control)).map(|(index, _)| index).collect()
    }

    /// Evaluates controls, given by index, over `tables` as of `time`. `interest` says which ok findings
    /// of each of them matter. Controls run in parallel; the answer is in the order of `which`. A control
    /// that fails answers one `error` and freezes what it said before.
    ///
    /// # Errors
    /// When the rows of a table do not fit its definition.
    pub async fn evaluate(
        &self,
        tables: &BTreeMap<Arc<str>, TableContents>,
        which: &[usize],
        interest: impl Fn(&PlannedControl) -> Interest,
        time: StepTime,
    ) -> Result<Vec<ControlEvaluation>> {
        let sources = Arc::new(sources(tables)?);
        let state = Arc::new(self.pack.session.at(time)?);
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut runs = Vec::with_capacity(which.len());
        for control in which.iter().filter_map(|index| self.pack.controls.get(*index)) {
            runs.push(Run {
                control: control.clone(),
                judgement: scopes::judge(control, tables),
                sources: Arc::clone(&sources),
                state: Arc::clone(&state),
                interest: interest(control),
            });
        }
        Ok(stream::iter(runs.into_iter().map(Run::on_its_own)).buffered(at_once).collect().await)
    }
}

/// The tables as queries read them.
fn sources(tables: &BTreeMap<Arc<str>, TableContents>) -> Result<BTreeMap<Arc<str>, Arc<dyn TableSource>>> {
    let source = |(name, contents): (&Arc<str>, &TableContents)| {
        let schema = relaxed(&contents.definition.schema);
        let batches = contents.batches.iter().map(|batch| adapt(batch, &schema)).collect::<Result<Vec<_>>>()?;
        let table: Arc<dyn TableSource> = provider_as_source(Arc::new(MemTable::try_new(schema, vec![batches])?));
        Ok((Arc::clone(name), table))
    };
    tables.iter().map(source).collect()
}

/// The evaluation of one control.
struct Run {
    control: PlannedControl,
    judgement: Judgement,
    sources: Arc<BTreeMap<Arc<str>, Arc<dyn TableSource>>>,
    state: Arc<SessionState>,
    interest: Interest,
}

impl Run {
    /// Evaluates in a task of its own, so that several run in parallel and one that panics ends alone.
    async fn on_its_own(self) -> ControlEvaluation {
        let control = self.control.clone();
        match SpawnedTask::spawn(self.evaluate()).join().await {
            Ok(evaluation) => evaluation,
            Err(error) => failed(&control, Vec::new(), &format!("evaluating it broke off: {error}")),
        }
    }

    async fn evaluate(self) -> ControlEvaluation {
        let control = &self.control;
        let about_scopes = self.judgement.findings.iter().map(|(scope, status, reason)| {
            let place = Some((&*scope.account_id, &*scope.region));
            engine_finding(control, &format!("{SCOPE_PREFIX}{scope}"), place, *status, reason)
        });
        let mut findings: Vec<Finding> = about_scopes.collect();
        let query = match &control.query {
            Ok(query) => query,
            Err(problems) => {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                return failed(control, findings, &texts.join("; "));
            }
        };
        let mut counts = [0; 5];
        let mut warnings = Vec::new();
        let mut without_resources = false;
        if self.judgement.evaluate {
            let batches = match self.rows(query).await {
                Ok(batches) => batches,
                Err(reason) => return failed(control, findings, &reason),
            };
            let mut collector = rows::Collector::new(control, &query.columns, &self.judgement.frozen, &self.interest);
            for batch in &batches {
                if let Err(error) = collector.take(batch) {
                    return failed(control, findings, &error.message);
                }
            }
            without_resources = batches.iter().all(|batch| batch.num_rows() == 0);
            counts = collector.counts();
            if let Some(resource) = &collector.duplicate {
                warnings.push(format!(
                    "control `{}` said {} times more than once the same about a resource, such as `{resource}`: the \
                     worst status counts; select a column that tells them apart",
                    control.control.id, collector.duplicates
                ));
            }
            findings.append(&mut collector.findings);
        }
        for (_, status, _) in &self.judgement.findings {
            counts[*status as usize] += 1;
        }
        findings.sort_by(Finding::order);
        let frozen = self.judgement.frozen.clone();
        let control = Arc::clone(&control.control.id);
        ControlEvaluation { control, findings, frozen, counts, without_resources, warnings }
    }

    /// Runs the query.
    async fn rows(&self, query: &PlannedQuery) -> Result<Vec<RecordBatch>, String> {
        let run = async {
            let plan = with_sources(query.plan.clone(), &self.sources)?;
            // A physical plan holds its data, so each evaluation makes its own.
            let physical = self.state.create_physical_plan(&plan).await?;
            collect(physical, self.state.task_ctx()).await
        };
        run.await.map_err(|error| error.strip_backtrace().lines().next().unwrap_or_default().to_owned())
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

/// The answer of a control that could not be evaluated: one error; what it said before stays.
fn failed(control: &PlannedControl, mut findings: Vec<Finding>, reason: &str) -> ControlEvaluation {
    let resource = format!("{CONTROL_PREFIX}{}", control.control.id);
    let mut counts = [0; 5];
    findings.push(engine_finding(control, &resource, None, Status::Error, &sentence(reason)));
    for finding in &findings {
        counts[finding.status as usize] += 1;
    }
    findings.sort_by(Finding::order);
    ControlEvaluation {
        control: Arc::clone(&control.control.id),
        findings,
        frozen: Frozen::everything(),
        counts,
        without_resources: false,
        warnings: Vec::new(),
    }
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
