//! Controls in Rego → policies ready to be evaluated, with the queries that give them their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use tidegate_pipeline::spec::SqlText;
use tidegate_pipeline::spec::diagnostic::{Located, closest};

use super::query::{self, QueryProblem};
use super::session::Tables;
use super::{OutputColumns, PlannedQuery, WholeTables};
use crate::check::pack::{Control, PackProblem, Parameter, ParameterValue, RegoInput, RegoOptions};
use crate::check::rego::{Given, Policy};

/// A policy as planned, and what it reads.
pub(super) struct PlannedPolicy {
    pub(super) query: PlannedQuery,
    pub(super) reads: BTreeSet<Arc<str>>,
    pub(super) reads_time: bool,
}

/// The rows that a policy is given.
#[derive(Debug, Clone)]
pub(crate) struct PolicyInput {
    /// The query that they are the answer of.
    pub(crate) plan: LogicalPlan,
    /// The names that they have in `input.tables`.
    pub(crate) tables: Vec<String>,
    /// The names that they have in `input`.
    pub(crate) names: Vec<String>,
}

/// What is wrong with a policy, and the table that it lacks where that is all.
pub(super) type Refusal = (Vec<PackProblem>, Option<String>);

/// Plans the policy of a control.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn plan(
    control: &Control,
    options: &RegoOptions,
    parameters: &BTreeMap<String, Parameter>,
    given: &BTreeMap<String, ParameterValue>,
    tables: &Tables<'_>,
) -> Result<PlannedPolicy, Refusal> {
    let only = |problem: PackProblem| (vec![problem], None);
    if control.reads.is_empty() && options.input.is_empty() {
        let message = format!("control `{}` does not say which tables its policy reads", control.id);
        let problem = PackProblem::new(&control.file, control.place, message);
        return Err(only(problem.with_help("list them: `reads: [TABLE]`; of a policy they cannot be derived")));
    }
    let values = values(parameters, given).map_err(|name| {
        let message = format!("the parameter `{name}` has no value");
        only(PackProblem::new(&control.file, control.place, message).with_help("give it one in `params:`"))
    })?;
    let mut feeding = Feeding::new(control, parameters, given, tables);
    let mut fields: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    for name in &control.reads {
        feeding.table(name, |input| &mut input.tables, &name.value);
    }
    for (name, input) in &options.input {
        match input {
            RegoInput::Table(table) => feeding.table(table, |input| &mut input.names, name),
            RegoInput::Query(sql) => feeding.query(sql, name),
            RegoInput::Value(value) => drop(fields.insert(name.to_string(), (&value.value).into())),
            RegoInput::Parameter(parameter) => match values.get(&parameter.value) {
                Some(value) => drop(fields.insert(name.to_string(), value.clone())),
                None => feeding.unknown_parameter(parameter),
            },
        }
    }
    if !feeding.problems.is_empty() {
        return Err((feeding.problems, feeding.missing));
    }
    fields.insert("params".to_owned(), serde_json::Value::Object(values.into_iter().collect()));
    let names = |list: fn(&PolicyInput) -> &[String]| feeding.inputs.iter().flat_map(list).cloned().collect();
    let given = Given {
        tables: names(|input| &input.tables),
        names: names(|input| &input.names),
        fields: serde_json::Value::Object(fields.into_iter().collect()),
    };
    let policy = Policy::new(control, options, &given).map_err(|problems| (problems, None))?;
    let columns: OutputColumns = policy.columns();
    let reads_time = feeding.reads_time || policy.reads_time();
    // The plan of a policy without the policy: nothing. What it reads are the plans of its inputs.
    let plan = LogicalPlanBuilder::empty(false)
        .build()
        .map_err(|error| only(PackProblem::new(&control.file, control.place, error.strip_backtrace())))?;
    let policy = Some(Arc::new(policy.with_inputs(feeding.inputs)));
    let row_local = Err(WholeTables::Policy);
    let query = PlannedQuery { plan, columns, evidence: Vec::new(), row_local, policy };
    Ok(PlannedPolicy { query, reads: feeding.reads, reads_time })
}

/// The values that a policy sees as `input.params`.
///
/// # Errors
/// The name of a parameter that has none.
fn values(
    parameters: &BTreeMap<String, Parameter>,
    given: &BTreeMap<String, ParameterValue>,
) -> Result<BTreeMap<String, serde_json::Value>, String> {
    let mut values = BTreeMap::new();
    for (name, parameter) in parameters {
        let value = given.get(name).or(parameter.default.as_ref()).ok_or_else(|| name.clone())?;
        values.insert(name.clone(), as_json(value));
    }
    Ok(values)
}

fn as_json(value: &ParameterValue) -> serde_json::Value {
    match value {
        ParameterValue::Int(number) => (*number).into(),
        ParameterValue::Float(number) => (*number).into(),
        ParameterValue::Text(text) => text.as_str().into(),
        ParameterValue::Bool(value) => (*value).into(),
        ParameterValue::Texts(texts) => texts.clone().into(),
        ParameterValue::Ints(numbers) => numbers.clone().into(),
    }
}

/// Collects the queries that feed a policy.
struct Feeding<'a> {
    control: &'a Control,
    parameters: &'a BTreeMap<String, Parameter>,
    given: &'a BTreeMap<String, ParameterValue>,
    tables: &'a Tables<'a>,
    inputs: Vec<PolicyInput>,
    /// The place of each table among the inputs: rows that have two names are read once.
    known: BTreeMap<String, usize>,
    reads: BTreeSet<Arc<str>>,
    reads_time: bool,
    problems: Vec<PackProblem>,
    missing: Option<String>,
}

impl<'a> Feeding<'a> {
    fn new(
        control: &'a Control,
        parameters: &'a BTreeMap<String, Parameter>,
        given: &'a BTreeMap<String, ParameterValue>,
        tables: &'a Tables<'a>,
    ) -> Self {
        Self {
            control,
            parameters,
            given,
            tables,
            inputs: Vec::new(),
            known: BTreeMap::new(),
            reads: BTreeSet::new(),
            reads_time: false,
            problems: Vec::new(),
            missing: None,
        }
    }

    /// The rows of a table or view, under one more name.
    fn table(&mut self, table: &Located<String>, list: impl Fn(&mut PolicyInput) -> &mut Vec<String>, name: &str) {
        if let Some(position) = self.known.get(&table.value) {
            list(&mut self.inputs[*position]).push(name.to_owned());
            return;
        }
        let sql = format!("select * from \"{}\"", table.value.replace('"', "\"\""));
        let problem = |problem: QueryProblem| {
            let found = PackProblem::new(&self.control.file, table.place, problem.message);
            PackProblem { help: problem.help, ..found }
        };
        if let Some(mut input) = self.planned(&sql, problem) {
            list(&mut input).push(name.to_owned());
            self.known.insert(table.value.clone(), self.inputs.len());
            self.inputs.push(input);
        }
    }

    /// The rows of a query.
    fn query(&mut self, sql: &SqlText, name: &str) {
        let problem = |problem: QueryProblem| {
            let place = sql.place_at(problem.line.into(), problem.column.into(), 1);
            let found = PackProblem::new(&self.control.file, place, problem.message);
            PackProblem { help: problem.help, ..found }
        };
        if let Some(mut input) = self.planned(sql.as_str(), problem) {
            input.names.push(name.to_owned());
            self.inputs.push(input);
        }
    }

    fn planned(&mut self, sql: &str, placed: impl Fn(QueryProblem) -> PackProblem) -> Option<PolicyInput> {
        match query::plan(sql, self.parameters, self.given, self.tables) {
            Ok(query) => {
                self.reads.extend(query.reads);
                self.reads_time |= query.reads_time;
                Some(PolicyInput { plan: query.plan, tables: Vec::new(), names: Vec::new() })
            }
            Err(found) => {
                let missing = found.iter().find_map(|problem| problem.missing_table.clone());
                self.missing = self.missing.take().or(missing);
                self.problems.extend(found.into_iter().map(placed));
                None
            }
        }
    }

    fn unknown_parameter(&mut self, name: &Located<String>) {
        let names: Vec<String> = self.parameters.keys().cloned().collect();
        let help = match closest(name, &names) {
            Some(near) => format!("did you mean `${near}`?"),
            None => format!("declare it: `params: {{{}: {{type: …, default: …}}}}`", name.value),
        };
        let message = format!("there is no parameter `${}`", name.value);
        self.problems.push(PackProblem::new(&self.control.file, name.place, message).with_help(help));
    }
}
