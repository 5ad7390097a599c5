//! What there is to say about a control without looking at any row.

use serde::Serialize;
use tidegate_operators::check::pack::{BenchmarkNode, Parameter};
use tidegate_operators::check::plan::PlannedControl;

use super::sought::Found;

/// A control, for people and programs.
#[derive(Debug, Serialize)]
pub(super) struct About {
    pub(super) pack: String,
    pub(super) control: String,
    pub(super) title: String,
    pub(super) severity: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
    /// The node that evaluates it, where a pipeline was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    /// The tables that it reads.
    pub(super) reads: Vec<String>,
    pub(super) evaluated: Evaluated,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parameters: Vec<ParameterValue>,
    /// Where benchmarks have it: `fsbp ec2.8`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) benchmarks: Vec<String>,
    /// Where its query stands: `FILE:LINE`.
    pub(super) query_file: String,
    pub(super) query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<String>,
    /// What is wrong with its query.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<String>,
}

/// When a control is evaluated, and over what.
#[derive(Debug, Serialize)]
pub(super) struct Evaluated {
    /// `changed_rows` or `whole_tables`.
    pub(super) over: &'static str,
    /// The same in one sentence.
    pub(super) sentence: String,
}

/// A parameter and the value that it has.
#[derive(Debug, Serialize)]
pub(super) struct ParameterValue {
    pub(super) name: String,
    pub(super) r#type: &'static str,
    pub(super) value: Option<String>,
    /// Whether it is the value that the pack gives.
    pub(super) default: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
}

impl About {
    /// What there is to say about a control; with the plan of its query where that is asked for.
    pub(super) fn of(found: &Found, with_plan: bool) -> Self {
        let (planned, control) = (found.control(), &found.control().control);
        let own = control.parameters.iter();
        // A variable of the pack concerns a control whose query names it.
        let begins = if control.rego.is_some() { "params." } else { "$" };
        let named = |name: &str| control.sql.as_str().contains(&format!("{begins}{name}"));
        let shared = found.pack.variables.iter().filter(|(name, _)| named(name));
        let parameters = own.chain(shared).map(|(name, parameter)| value_of(planned, name, parameter)).collect();
        let mut benchmarks = Vec::new();
        for benchmark in &found.pack.benchmarks {
            places_in(&benchmark.node, &benchmark.node.id, &control.id, &mut benchmarks);
        }
        let place = control.sql.place_at(1, 1, 1);
        Self {
            pack: planned.pack.to_string(),
            control: control.id.to_string(),
            title: control.title.to_string(),
            severity: control.severity.to_string(),
            description: control.description.clone(),
            node: found.evaluated_in.as_ref().map(|(_, node)| node.to_string()),
            reads: planned.reads.iter().map(ToString::to_string).collect(),
            evaluated: Evaluated::of(planned),
            parameters,
            benchmarks,
            query_file: format!("{}:{}", control.sql_file, place.line),
            query: control.sql.as_str().trim_end().to_owned(),
            plan: with_plan.then(|| planned.describe_plan()).flatten(),
            problems: planned.problems().iter().map(ToString::to_string).collect(),
        }
    }
}

impl Evaluated {
    fn of(planned: &PlannedControl) -> Self {
        let tables: Vec<String> = planned.reads.iter().map(ToString::to_string).collect();
        let tables = listed(&tables);
        let (over, sentence) = match (planned.row_local(), planned.whole_tables()) {
            (Some(table), _) => ("changed_rows", format!("over the rows of {table} that have changed, and no others")),
            (None, Some(why)) => {
                let refreshed = if planned.reads_time { " has changed or was refreshed" } else { " has changed" };
                ("whole_tables", format!("over whole tables, whenever {tables}{refreshed}: {why}"))
            }
            (None, None) => ("never", "not at all: its query is not valid".to_owned()),
        };
        Self { over, sentence }
    }
}

fn value_of(planned: &PlannedControl, name: &str, parameter: &Parameter) -> ParameterValue {
    let given = planned.given.get(name);
    ParameterValue {
        name: name.to_owned(),
        r#type: parameter.kind.name(),
        value: given.or(parameter.default.as_ref()).map(ToString::to_string),
        default: given.is_none(),
        description: parameter.description.clone(),
    }
}

/// Adds the parts of a benchmark that name the control themselves.
fn places_in(part: &BenchmarkNode, benchmark: &str, control: &str, to: &mut Vec<String>) {
    if part.controls.iter().any(|id| **id == *control) {
        to.push(if part.id == benchmark { benchmark.to_owned() } else { format!("{benchmark} {}", part.id) });
    }
    part.children.iter().for_each(|child| places_in(child, benchmark, control, to));
}

/// `a`, `a or b`, `a, b or c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "a step".to_owned(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
