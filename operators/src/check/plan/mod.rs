//! Controls → logical plans: everything that can be wrong with a query is found before any data is there.

mod columns;
mod determinism;
mod parameters;
mod policy;
mod query;
mod row_local;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::spec::diagnostic::closest;
use tidegate_pipeline::spec::{ByteSize, Tree};
use tidegate_pipeline::table::TableDefinition;

pub(crate) use columns::OutputColumns;
pub(crate) use policy::PolicyInput;
use query::{Query, QueryProblem};
pub(crate) use row_local::RowLocal;
pub use row_local::WholeTables;
pub(crate) use session::{Session, relaxed};

use super::evaluate::WorkLimit;
use super::explain;
use super::pack::{Control, Pack, PackProblem, ParameterValue, glob};
use super::rego::Policy;
use session::Tables;

/// The key of [`Overrides`] for parameters of every control that has them.
pub const EVERY_CONTROL: &str = "*";

/// Values of parameters by control: id, alias or [`EVERY_CONTROL`] → name → value.
pub type Overrides = BTreeMap<String, BTreeMap<String, Tree>>;

/// Which controls of a pack to plan.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Ids or patterns; all where empty.
    pub controls: Vec<String>,
    /// Ids or patterns to leave out.
    pub except: Vec<String>,
    /// A benchmark whose controls to take.
    pub benchmark: Option<String>,
}

impl Selection {
    /// The controls of a pack that this means, by id. Whatever fits nothing is passed over.
    pub fn of(&self, pack: &Pack) -> Vec<Arc<Control>> {
        select(pack, self, &mut PlanProblems::default())
    }
}

/// What is wrong with what was asked of a pack, not with the pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionProblem {
    /// The option: `controls`, `except`, `benchmark` or `params`.
    pub option: &'static str,
    /// What is wrong, in one sentence without a final period.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Everything that planning found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanProblems {
    /// What is wrong with what was asked for.
    pub options: Vec<OptionProblem>,
    /// What is wrong with queries.
    pub queries: Vec<PackProblem>,
}

impl PlanProblems {
    fn option(&mut self, option: &'static str, message: String, help: Option<String>) {
        self.options.push(OptionProblem { option, message, help });
    }
}

/// A control whose query is planned, or is known to be wrong.
#[derive(Debug, Clone)]
pub struct PlannedControl {
    /// The name of its pack.
    pub pack: Arc<str>,
    /// The control.
    pub control: Arc<Control>,
    /// The tables that it reads; what it declares where its query could not be planned.
    pub reads: BTreeSet<Arc<str>>,
    /// Whether its answer changes with time alone (`now()`).
    pub reads_time: bool,
    /// The values that it was given for parameters; others have their defaults.
    pub given: BTreeMap<String, ParameterValue>,
    /// Its query, or why there is none.
    pub(crate) query: Result<PlannedQuery, Vec<PackProblem>>,
}

/// A query ready to be run over data.
#[derive(Debug, Clone)]
pub(crate) struct PlannedQuery {
    pub(crate) plan: LogicalPlan,
    pub(crate) columns: OutputColumns,
    /// The columns after those of the query: what its findings rest on.
    pub(crate) evidence: Vec<EvidenceColumn>,
    /// The same for single rows, where what is said of a row depends on nothing else.
    pub(crate) row_local: Result<RowLocal, WholeTables>,
    /// The policy that is evaluated in the place of the plan, where the control is in Rego.
    pub(crate) policy: Option<Arc<Policy>>,
}

impl PlannedControl {
    /// What is wrong with its query.
    pub fn problems(&self) -> &[PackProblem] {
        self.query.as_ref().err().map_or(&[], Vec::as_slice)
    }

    /// The table of which only changed rows need to be looked at, where what the control says of a row depends on nothing
    /// else.
    pub fn row_local(&self) -> Option<&Arc<str>> {
        self.query.as_ref().ok()?.row_local.as_ref().ok().map(|local| &local.table)
    }

    /// Why whole tables have to be looked at whenever one of them has changed; `None` where that is not so, or the query
    /// could not be planned.
    pub fn whole_tables(&self) -> Option<WholeTables> {
        self.query.as_ref().ok()?.row_local.as_ref().err().copied()
    }

    /// Its logical plan as text, for `explain`; `None` where it could not be planned.
    pub fn describe_plan(&self) -> Option<String> {
        self.query.as_ref().ok().map(|query| match &query.policy {
            Some(policy) => policy.describe(),
            None => query.plan.display_indent().to_string(),
        })
    }
}

/// A column that findings rest on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EvidenceColumn {
    /// Where it is in the rows of the query.
    pub(crate) place: usize,
    /// What it is called in the table that it comes from.
    pub(crate) name: Arc<str>,
}

/// Controls ready to be evaluated.
#[derive(Debug, Clone)]
pub struct PlannedPack {
    /// The controls, by id.
    pub controls: Vec<PlannedControl>,
    /// Controls that were left out because a table that they read is not offered: id and table.
    pub without_tables: Vec<(Arc<str>, String)>,
    /// How much work each of their queries may be.
    pub work_limit: WorkLimit,
    pub(crate) session: Session,
}

impl PlannedPack {
    /// Plans the selected controls of `pack` against `tables`. A control that reads a table which is not
    /// there is left out if a pattern selected it, and a problem if it was named. A control with another
    /// problem stays, and will answer `error`.
    ///
    /// All queries together take at most `memory` while they run; one that cannot do with it answers `error`.
    ///
    /// The problems are those of the selection, of parameters, and of every query.
    ///
    /// # Errors
    /// When DataFusion cannot be set up.
    pub fn plan(
        pack: &Pack,
        tables: &[TableDefinition],
        selection: &Selection,
        overrides: &Overrides,
        memory: ByteSize,
    ) -> Result<(Self, PlanProblems)> {
        let session = Session::new(memory)?;
        let offered = Tables::new(&session, tables);
        let mut problems = PlanProblems::default();
        let selected = select(pack, selection, &mut problems);
        check_overrides(pack, overrides, &mut problems);
        let (controls, without_tables, work_limit) = (Vec::new(), Vec::new(), WorkLimit::default());
        let mut planned = Self { controls, without_tables, work_limit, session: session.clone() };
        for control in selected {
            let (planned_control, missing) = plan_control(pack, &control, overrides, tables, &offered);
            let named = selection.controls.iter().any(|name| **name == *control.id);
            match missing {
                Some(table) if !named => planned.without_tables.push((Arc::clone(&control.id), table)),
                _ => {
                    problems.queries.extend_from_slice(planned_control.problems());
                    planned.controls.push(planned_control);
                }
            }
        }
        Ok((planned, problems))
    }
}

/// The controls that the selection means, by id.
fn select(pack: &Pack, selection: &Selection, problems: &mut PlanProblems) -> Vec<Arc<Control>> {
    let names: Vec<String> = pack.controls.iter().map(|control| control.id.to_string()).collect();
    let fits = |pattern: &str, control: &Control| {
        glob::matches(pattern, &control.id) || control.aliases.iter().any(|alias| alias == pattern)
    };
    for (option, patterns) in [("controls", &selection.controls), ("except", &selection.except)] {
        for pattern in patterns.iter().filter(|pattern| !pack.controls.iter().any(|control| fits(pattern, control))) {
            let near = closest(pattern, &names).map(|name| format!("did you mean `{name}`?"));
            problems.option(option, format!("no control of pack `{}` matches `{pattern}`", pack.name), near);
        }
    }
    let of_benchmark = selection.benchmark.as_ref().map(|id| match pack.benchmark(id) {
        Some(benchmark) => benchmark.node.all_controls(),
        None => {
            let known: Vec<String> = pack.benchmarks.iter().map(|known| known.node.id.clone()).collect();
            let help = match closest(id, &known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("benchmarks that are there: {}", known.join(", ")),
            };
            problems.option("benchmark", format!("pack `{}` has no benchmark `{id}`", pack.name), Some(help));
            Vec::new()
        }
    });
    pack.controls
        .iter()
        .filter(|control| of_benchmark.as_ref().is_none_or(|ids| ids.contains(&control.id)))
        .filter(|control| {
            selection.controls.is_empty() || selection.controls.iter().any(|pattern| fits(pattern, control))
        })
        .filter(|control| !selection.except.iter().any(|pattern| fits(pattern, control)))
        .cloned()
        .collect()
}

/// Complains about values for controls and parameters that do not exist.
fn check_overrides(pack: &Pack, overrides: &Overrides, problems: &mut PlanProblems) {
    let near = |found: &str, names: &[String]| closest(found, names).map(|name| format!("did you mean `{name}`?"));
    for (id, values) in overrides {
        let control = pack.control(id);
        if control.is_none() && id != EVERY_CONTROL {
            let names: Vec<String> = pack.controls.iter().map(|control| control.id.to_string()).collect();
            let message = format!("pack `{}` has no control `{id}`", pack.name);
            problems.option("params", message, near(id, &names));
            continue;
        }
        let of_controls = pack.controls.iter().filter(|known| control.is_none_or(|control| control.id == known.id));
        let parameters = of_controls.flat_map(|control| control.parameters.keys());
        let names: Vec<String> = parameters.chain(pack.variables.keys()).cloned().collect();
        for name in values.keys().filter(|name| !names.contains(name)) {
            let message = format!("control `{id}` has no parameter `{name}`");
            problems.option("params", message, near(name, &names));
        }
    }
}

/// Plans one control; the second value is the table that it lacks, where that is its only problem.
fn plan_control(
    pack: &Pack,
    control: &Arc<Control>,
    overrides: &Overrides,
    definitions: &[TableDefinition],
    tables: &Tables<'_>,
) -> (PlannedControl, Option<String>) {
    let planned = |query: Result<PlannedQuery, Vec<PackProblem>>, reads, reads_time| PlannedControl {
        pack: Arc::clone(&pack.name),
        control: Arc::clone(control),
        reads,
        reads_time,
        given: BTreeMap::new(),
        query,
    };
    let declared = || control.reads.iter().map(|name| Arc::from(name.value.as_str())).collect::<BTreeSet<Arc<str>>>();
    let fail = |problems: Vec<PackProblem>| planned(Err(problems), declared(), false);
    if control.sql.as_str().trim().is_empty() {
        let message = format!("control `{}` has no query", control.id);
        return (fail(vec![PackProblem::new(&control.file, control.place, message)]), None);
    }
    let mut parameters = pack.variables.clone();
    parameters.extend(control.parameters.clone());
    let given = match given_values(control, &parameters, overrides) {
        Ok(given) => given,
        Err(message) => return (fail(vec![PackProblem::new(&control.file, control.place, message)]), None),
    };
    if let Some(options) = &control.rego {
        return match policy::plan(control, options, &parameters, &given, tables) {
            Ok(policy) => {
                let control = planned(Ok(policy.query), policy.reads, policy.reads_time);
                (PlannedControl { given, ..control }, None)
            }
            Err((problems, missing)) => (fail(problems), missing),
        };
    }
    let outcome = query::plan(control.sql.as_str(), &parameters, &given, tables).and_then(|query: Query| {
        let columns = OutputColumns::of(&query.plan, control.mode)?;
        Ok((query, columns))
    });
    match outcome {
        Ok((query, columns)) => {
            let problems = undeclared_reads(control, &query.reads);
            if !problems.is_empty() {
                return (fail(problems), None);
            }
            let (plan, evidence) = match control.evidence {
                true => explain::with_evidence(&query.plan, columns.status),
                false => (query.plan, Vec::new()),
            };
            let row_local = match query.reads_time {
                true => Err(WholeTables::Time),
                false => RowLocal::of(&plan, &columns, definitions, tables.session().state()),
            };
            let plan = PlannedQuery { plan, columns, evidence, row_local, policy: None };
            (PlannedControl { given, ..planned(Ok(plan), query.reads, query.reads_time) }, None)
        }
        Err(found) => {
            let missing = found.iter().find_map(|problem| problem.missing_table.clone());
            (fail(found.into_iter().map(|problem| placed(control, problem)).collect()), missing)
        }
    }
}

/// The values that the options give to the parameters of a control, typed.
fn given_values(
    control: &Control,
    parameters: &BTreeMap<String, super::pack::Parameter>,
    overrides: &Overrides,
) -> Result<BTreeMap<String, ParameterValue>, String> {
    let mut given = BTreeMap::new();
    // What is said about one control wins over what is said about all.
    let ids = std::iter::once(EVERY_CONTROL)
        .chain(control.aliases.iter().map(String::as_str))
        .chain(std::iter::once(&*control.id));
    for (name, value) in ids.filter_map(|id| overrides.get(id)).flatten() {
        if let Some(parameter) = parameters.get(name) {
            let value = parameter
                .kind
                .read(value)
                .map_err(|message| format!("the value given for `{name}` of control `{}`: {message}", control.id))?;
            given.insert(name.clone(), value);
        }
    }
    Ok(given)
}

/// Tables that a query reads although its control's `reads:` does not say so.
fn undeclared_reads(control: &Control, reads: &BTreeSet<Arc<str>>) -> Vec<PackProblem> {
    if control.reads.is_empty() {
        return Vec::new();
    }
    let undeclared = reads.iter().filter(|table| !control.reads.iter().any(|name| *name.value == ***table));
    let problem = |table: &Arc<str>| {
        let message = format!("the query of `{}` reads `{table}`, which its `reads` does not list", control.id);
        let place = control.reads.first().map_or(control.place, |name| name.place);
        PackProblem::new(&control.file, place, message).with_help("list it, or leave `reads` out: it is derived")
    };
    undeclared.map(problem).collect()
}

/// A problem of a query as one of the file that the query stands in.
fn placed(control: &Control, problem: QueryProblem) -> PackProblem {
    let place = control.sql.place_at(problem.line.into(), problem.column.into(), 1);
    let found = PackProblem::new(&control.sql_file, place, problem.message);
    PackProblem { help: problem.help, ..found }
}
