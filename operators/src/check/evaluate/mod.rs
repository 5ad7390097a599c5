//! Evaluates planned controls over the contents of tables.

mod changed_rows;
mod evidence;
mod policy;
mod rows;
mod run;
mod scopes;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::TableSource;
use futures::{StreamExt, stream};
use hashbrown::HashSet;
use tidegate_pipeline::error::Error;
use tidegate_pipeline::rows::adapt;
use tidegate_pipeline::step::{Scope, ScopeOutcome, StepTime};
use tidegate_pipeline::table::{TableDefinition, TableVersion};

pub use changed_rows::RowEvaluation;
use run::{Run, Unanswered};
pub(super) use run::{identity_of_failure, with_sources};
pub use scopes::Frozen;
pub(super) use scopes::sentence;
pub use work::WorkLimit;

use super::finding::Finding;
use super::plan::{PlannedControl, PlannedPack, relaxed};

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

impl TableContents {
    /// How collecting a table has ended, without its rows.
    pub(super) fn without_rows(version: &TableVersion) -> Self {
        let (definition, scopes) = (Arc::clone(version.definition()), version.scopes().clone());
        Self { definition, batches: Vec::new(), scopes }
    }

    /// Adds the contents of the same table as another source has collected it.
    pub fn join(&mut self, more: Self) {
        self.batches.extend(more.batches);
        for (scope, outcome) in more.scopes {
            // Where two sources collect one scope, it is complete if both say so.
            let known = self.scopes.entry(scope).or_insert_with(|| outcome.clone());
            if *known == ScopeOutcome::Complete {
                *known = outcome;
            }
        }
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

/// Which findings matter to the caller. All others are left out.
#[derive(Debug, Clone)]
pub enum Interest {
    /// All of them.
    All,
    /// Those that are not ok, and ok ones about these resources.
    NotOk(Arc<HashSet<Arc<str>>>),
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
    /// that fails, or needs more memory than there is, answers one `error` and freezes what it said before.
    ///
    /// # Errors
    /// When the rows of a table do not fit its definition, or the runtime shuts down meanwhile.
    pub async fn evaluate(
        &self,
        tables: &BTreeMap<Arc<str>, TableContents>,
        which: &[usize],
        interest: impl Fn(&PlannedControl) -> Interest,
        time: StepTime,
    ) -> tidegate_pipeline::error::Result<Vec<ControlEvaluation>> {
        if which.is_empty() {
            // A session is not made for nothing: after a change of a few rows often no control looks at all of them.
            return Ok(Vec::new());
        }
        let sources = Arc::new(sources(tables)?);
        let state = Arc::new(self.pack.session.at(time)?);
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut runs = Vec::with_capacity(which.len());
        for (index, control) in which.iter().filter_map(|index| Some((*index, self.pack.controls.get(*index)?))) {
            runs.push(Run {
                pack: Arc::clone(&self.pack),
                index,
                judgement: scopes::judge(control, tables),
                sources: Arc::clone(&sources),
                state: Arc::clone(&state),
                interest: interest(control),
                time,
            });
        }
        let beside_others = stream::iter(runs.iter().cloned().map(Run::on_its_own)).buffered(at_once);
        let attempts: Vec<Result<ControlEvaluation, Unanswered>> = beside_others.collect().await;
        let mut evaluations = Vec::with_capacity(runs.len());
        for (run, attempt) in runs.into_iter().zip(attempts) {
            // Others may have held the memory. What a control says must not depend on what ran beside it.
            let answer = match attempt {
                Err(Unanswered::OutOfMemory) => run.alone().await,
                answered => answered,
            };
            evaluations
                .push(answer.map_err(|_| Error::internal("the runtime shut down while a control was evaluated"))?);
        }
        Ok(evaluations)
    }
}

/// The tables as queries read them.
pub(super) fn sources(
    tables: &BTreeMap<Arc<str>, TableContents>,
) -> tidegate_pipeline::error::Result<BTreeMap<Arc<str>, Arc<dyn TableSource>>> {
    let source = |(name, contents): (&Arc<str>, &TableContents)| {
        let schema = relaxed(&contents.definition.schema);
        let batches = contents
            .batches
            .iter()
            .map(|batch| adapt(batch, &schema))
            .collect::<tidegate_pipeline::error::Result<Vec<_>>>()?;
        let table: Arc<dyn TableSource> = provider_as_source(Arc::new(MemTable::try_new(schema, vec![batches])?));
        Ok((Arc::clone(name), table))
    };
    tables.iter().map(source).collect()
}
