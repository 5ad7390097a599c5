//! SQL text → logical plan, with the place of what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{ObjectName, Spanned, Statement, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Span;
use futures::FutureExt;
use tidegate_pipeline::spec::diagnostic::closest;
use tidegate_pipeline::sql::dialect::{self, Refusal};
use tidegate_pipeline::step::StepTime;

use super::session::Tables;
use super::{determinism, parameters};
use crate::check::pack::{Parameter, ParameterValue};

/// What is wrong with a query. Lines and columns count from 1 inside the query; 0 is the query as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueryProblem {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The table that it lacks, where that is the problem.
    pub(super) missing_table: Option<String>,
}

impl QueryProblem {
    fn at(span: Span, message: impl Into<String>) -> Self {
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            line: number(span.start.line),
            column: number(span.start.column),
            message: message.into(),
            help: None,
            missing_table: None,
        }
    }

    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self::at(Span::empty(), message)
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A query as planned: its parameters bound, `now()` still open.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) plan: LogicalPlan,
    /// The tables that it reads.
    pub(super) reads: BTreeSet<Arc<str>>,
    /// Whether its answer changes with time alone.
    pub(super) reads_time: bool,
}

/// Plans a query.
///
/// # Errors
/// Everything that is wrong with it, as far as that can be seen at once.
pub(super) fn plan(
    sql: &str,
    parameters: &BTreeMap<String, Parameter>,
    given: &BTreeMap<String, ParameterValue>,
    tables: &Tables<'_>,
) -> Result<Query, Vec<QueryProblem>> {
    let mut statement = parse(sql).map_err(|problem| vec![problem])?;
    let relations = Relations::of(&statement);
    dialect::refine(&mut statement).map_err(|refusals| {
        let problem = |refusal: Refusal| QueryProblem::at(refusal.span, refusal.message).with_help(refusal.help);
        refusals.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    let state = tables.session().state();
    let loose: Vec<QueryProblem> = determinism::find(&statement, state)
        .into_iter()
        .map(|found| QueryProblem::at(found.span, found.message).with_help(found.help))
        .collect();
    if !loose.is_empty() {
        return Err(loose);
    }
    parameters::give_types(&mut statement, parameters).map_err(|(name, span)| {
        let names: Vec<String> = parameters.keys().cloned().collect();
        let help = match closest(&name, &names) {
            Some(near) => format!("did you mean `${near}`?"),
            None => format!("declare it: `params: {{{name}: {{type: …, default: …}}}}`"),
        };
        vec![QueryProblem::at(span, format!("there is no parameter `${name}`")).with_help(help)]
    })?;
    let values = parameters::values(parameters, given).map_err(|name| {
        vec![QueryProblem::whole(format!("the parameter `{name}` has no value")).with_help("give it one in `params:`")]
    })?;
    let options = ParserOptions { collect_spans: true, map_string_types_to_utf8view: false, ..ParserOptions::new() };
    let planned = SqlToRel::new_with_options(tables, options)
        .sql_statement_to_plan(statement)
        .and_then(|plan| plan.with_param_values(ParamValues::from(values)))
        .and_then(|plan| try_out(tables, &plan).map(|()| plan));
    let plan = planned.map_err(|error| vec![explain(&error, tables, &relations)])?;
    let (reads, reads_time) = what_it_reads(&plan).map_err(|error| vec![explain(&error, tables, &relations)])?;
    Ok(Query { plan, reads, reads_time })
}

/// Plans the query of a view over these tables.
///
/// # Errors
/// When a table that it reads is not there.
pub(super) fn plan_view(sql: &str, tables: &Tables<'_>) -> Result<LogicalPlan, DataFusionError> {
    let mut statement = parse(sql).map_err(|problem| DataFusionError::Plan(problem.message))?;
    dialect::refine(&mut statement).map_err(|refusals| {
        let messages: Vec<String> = refusals.into_iter().map(|refusal| refusal.message).collect();
        DataFusionError::Plan(messages.join("; "))
    })?;
    let options = ParserOptions { map_string_types_to_utf8view: false, ..ParserOptions::new() };
    SqlToRel::new_with_options(tables, options).sql_statement_to_plan(statement)
}

fn parse(sql: &str) -> Result<Statement, QueryProblem> {
    let statements = Parser::new(&PostgreSqlDialect {})
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| from_parser(&error.to_string()))?;
    let [statement @ Statement::Query(_)] = statements.as_slice() else {
        return Err(QueryProblem::whole("a control needs exactly one query")
            .with_help("write one `select … as resource, … as status, … as reason from …`"));
    };
    Ok(statement.clone())
}

/// The parser says where it stands at the end of its message: `… at Line: 2, Column: 7`.
fn from_parser(message: &str) -> QueryProblem {
    let text = message.trim_start_matches("sql parser error: ");
    let Some((what, place)) = text.rsplit_once(" at Line: ") else { return QueryProblem::whole(text) };
    let mut numbers = place.split(", Column: ").map(|number| number.trim().parse::<u32>().unwrap_or_default());
    let (line, column) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    QueryProblem { line, column, ..QueryProblem::whole(what) }
}

/// Takes the plan through everything that running it would, so that type errors show now.
fn try_out(tables: &Tables<'_>, plan: &LogicalPlan) -> Result<(), DataFusionError> {
    // Any time will do: nothing is run.
    const SOME_TIME: StepTime = StepTime(946_684_800_000);
    let state = tables.session().at(SOME_TIME).map_err(|error| DataFusionError::Plan(error.message))?;
    // Planning over tables without data waits for nothing; if it ever did, running the query would tell.
    state.create_physical_plan(plan).now_or_never().map_or(Ok(()), |planned| planned.map(|_| ()))
}

/// A DataFusion error as a problem, with the place that it knows.
fn explain(error: &DataFusionError, tables: &Tables<'_>, relations: &Relations) -> QueryProblem {
    if let Some(name) = tables.take_missing().pop_first() {
        let span = relations.span_of(&name);
        let names = tables.names();
        let help = match closest(&name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("tables that are there: {}", names.join(", ")),
        };
        let problem = QueryProblem::at(span, format!("there is no table `{name}`")).with_help(help);
        return QueryProblem { missing_table: Some(name), ..problem };
    }
    let text = error.strip_backtrace();
    let text = without_prefixes(&text);
    // The rest of a long message lists candidates and plans; its first line says what is wrong.
    let text = text.lines().next().unwrap_or(text).trim_end_matches('.');
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let problem = match span {
        None => QueryProblem::whole(text),
        Some(span) => {
            let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
            let (line, column) = (number(span.start.line), number(span.start.column));
            QueryProblem { line, column, ..QueryProblem::whole(text) }
        }
    };
    match dialect::hint(text) {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

/// The message without the names of the stages that it went through.
fn without_prefixes(text: &str) -> &str {
    const PREFIXES: &[&str] =
        &["Schema error: ", "Error during planning: ", "type_coercion\ncaused by\n", "SQL error: "];
    let mut text = text;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)) {
        text = rest;
    }
    text
}

/// The tables in a plan, and whether it asks for the time.
fn what_it_reads(plan: &LogicalPlan) -> Result<(BTreeSet<Arc<str>>, bool), DataFusionError> {
    const CLOCKS: &[&str] = &["now", "current_date", "current_time"];
    let mut reads = BTreeSet::new();
    let mut reads_time = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && !is_recursion(scan)
        {
            reads.insert(Arc::<str>::from(scan.table_name.table()));
        }
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                if let Expr::ScalarFunction(call) = inner {
                    reads_time |= CLOCKS.contains(&call.func.name());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok((reads, reads_time))
}

/// Whether a scan is a recursive query reading what it has given so far.
fn is_recursion(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| provider.is::<CteWorkTable>())
}

/// The names of tables in a statement, with their places.
struct Relations(Vec<(String, Span)>);

impl Relations {
    fn of(statement: &Statement) -> Self {
        let mut relations = Self(Vec::new());
        let _ = statement.visit(&mut relations);
        relations
    }

    fn span_of(&self, name: &str) -> Span {
        let same = |(known, _): &&(String, Span)| known.eq_ignore_ascii_case(name);
        self.0.iter().find(same).map_or_else(Span::empty, |(_, span)| *span)
    }
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.0.push((relation.to_string(), relation.span()));
        ControlFlow::Continue(())
    }
}
