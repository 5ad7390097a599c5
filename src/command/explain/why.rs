//! Why a control says of a resource what it says, over the tables of a checkpoint.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMillisecondType;
use serde::Serialize;
use tidegate_operators::check::FINDINGS;
use tidegate_operators::check::evaluate::TableContents;
use tidegate_operators::check::explain::{Reasons, explain};
use tidegate_pipeline::sql::glob_matches;
use tidegate_pipeline::step::{ScopeOutcome, StepTime};
use tidegate_pipeline::table::past::{Found as Tables, Moment};

use super::sought::Found;
use crate::command::query;
use crate::exit::Failure;

/// What a control says of a resource, and why.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    /// As of which step.
    pub(super) step: String,
    /// The time of that step.
    pub(super) time: String,
    #[serde(flatten)]
    pub(super) reasons: Reasons,
    /// What the pipeline holds of it: findings that are not ok.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) held: Vec<HeldFinding>,
    /// What else should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

/// A finding as the pipeline holds it.
#[derive(Debug, Serialize)]
pub(super) struct HeldFinding {
    pub(super) resource: String,
    pub(super) status: String,
    pub(super) first_seen: String,
    pub(super) last_changed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waiver_reason: Option<String>,
}

impl Why {
    /// Why the control says what it says of the resources that `pattern` matches.
    ///
    /// # Errors
    /// When the pipeline has no checkpoint, collects no tables, or the query fails.
    pub(super) async fn of(found: &Found, pattern: &str, moment: Option<Moment>, dir: &Path) -> Result<Self, Failure> {
        let Some((graph, node)) = &found.evaluated_in else {
            return Err(Failure::usage("`--resource` needs the pipeline that has collected it"));
        };
        if super::sought::tables_of(graph).is_empty() {
            let message =
                format!("{} collects no tables: only events pass through `{node}`, and none are kept", graph.file);
            return Err(Failure::usage(message));
        }
        let tables = query::tables_at(graph, dir, moment)?;
        let control = found.control();
        let contents = contents(&tables);
        let mut notes: Vec<String> = tables.shown.note.iter().cloned().collect();
        for table in &control.reads {
            match contents.get(table) {
                None => notes.push(format!("{table} was never collected")),
                Some(contents) => notes.extend(incomplete(contents)),
            }
        }
        let reasons = explain(&found.planned, control, &contents, pattern, tables.shown.time).await?;
        let mut held = Vec::new();
        for (_, rows) in tables.states.iter().filter(|(name, _)| *name == FINDINGS) {
            held.extend(held_findings(rows, &control.control.id, pattern));
        }
        let (step, time) = (tables.shown.step.to_string(), tables.shown.time.to_string());
        Ok(Self { step, time, reasons, held, notes })
    }

    /// Whether nothing is said of the resource.
    pub(super) fn is_empty(&self) -> bool {
        self.reasons.found == 0 && self.held.is_empty()
    }
}

/// The tables of all sources, those of one name together.
fn contents(tables: &Tables) -> BTreeMap<Arc<str>, TableContents> {
    let mut contents: BTreeMap<Arc<str>, TableContents> = BTreeMap::new();
    for version in tables.tables.iter().flat_map(|set| set.tables.values()) {
        let more = TableContents::from(version.as_ref());
        let name = Arc::clone(&more.definition.name);
        match contents.get_mut(&name) {
            Some(known) => known.join(more),
            None => drop(contents.insert(name, more)),
        }
    }
    contents
}

/// Where collecting a table has not come to its end.
fn incomplete(contents: &TableContents) -> Vec<String> {
    let failed = contents.scopes.iter().filter(|(_, outcome)| **outcome != ScopeOutcome::Complete);
    failed.map(|(scope, _)| format!("{scope} was not collected completely: what was said about it stays")).collect()
}

fn held_findings(rows: &RecordBatch, control: &str, pattern: &str) -> Vec<HeldFinding> {
    let text = |name: &str, row: usize| {
        let column = rows.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let time = |name: &str, row: usize| {
        let column = rows.column_by_name(name)?.as_primitive_opt::<TimestampMillisecondType>()?;
        column.is_valid(row).then(|| StepTime(column.value(row)).to_string())
    };
    let about = |row: &usize| {
        text("control", *row).is_some_and(|id| id == control)
            && text("resource", *row).is_some_and(|resource| glob_matches(pattern, &resource))
    };
    let held = |row: usize| HeldFinding {
        resource: text("resource", row).unwrap_or_default(),
        status: text("status", row).unwrap_or_default(),
        first_seen: time("first_seen", row).unwrap_or_default(),
        last_changed: time("last_changed", row).unwrap_or_default(),
        waiver: text("waiver", row),
        waiver_reason: text("waiver_reason", row),
    };
    (0..rows.num_rows()).filter(about).map(held).collect()
}
