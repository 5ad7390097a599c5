//! Findings as a report: worst first for people, rows for programs.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};

use super::layout;
use crate::exit::Failure;

/// What the exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worst {
    /// Some control or table could not be evaluated.
    Error,
    /// Some finding is an alarm.
    Alarm,
    /// Neither.
    Clean,
}

/// All findings of one evaluation.
pub(super) struct Findings {
    rows: Option<RecordBatch>,
    list: Vec<Finding>,
}

/// A finding as the report shows it.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) control: String,
    pub(super) title: String,
    pub(super) resource: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) severity: String,
}

impl Findings {
    /// Reads the rows that left the `check` nodes.
    pub(super) fn read(batches: &[RecordBatch]) -> Result<Self, Failure> {
        let Some(first) = batches.first() else { return Ok(Self { rows: None, list: Vec::new() }) };
        let failed = |error: arrow::error::ArrowError| Failure::failed(error.to_string());
        let rows = concat_batches(first.schema_ref(), batches).map_err(failed)?;
        let text = |name: &str| -> Result<&StringArray, Failure> {
            let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| Failure::failed(format!("findings have no text column `{name}`")))
        };
        let columns = ["control", "title", "resource", "status", "reason", "severity"].map(text);
        let [control, title, resource, status, reason, severity] = columns;
        let (control, title, resource, status, reason, severity) =
            (control?, title?, resource?, status?, reason?, severity?);
        let value = |column: &StringArray, row: usize| {
            if column.is_null(row) { String::new() } else { column.value(row).to_owned() }
        };
        let finding = |row| Finding {
            control: value(control, row),
            title: value(title, row),
            resource: value(resource, row),
            status: value(status, row),
            reason: value(reason, row),
            severity: value(severity, row),
        };
        let newest = newest(&rows)?;
        let list = newest.values().iter().map(|row| finding(*row as usize)).collect();
        Ok(Self { rows: Some(take_record_batch(&rows, &newest).map_err(failed)?), list })
    }

    /// The rows for programs; those that are ok only where asked.
    pub(super) fn rows(&self, all: bool) -> Result<Vec<RecordBatch>, Failure> {
        let Some(rows) = &self.rows else { return Ok(Vec::new()) };
        let keep: BooleanArray = self.list.iter().map(|finding| Some(all || finding.status != "ok")).collect();
        let kept = filter_record_batch(rows, &keep).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(vec![kept])
    }

    /// What the exit code tells.
    pub(super) fn worst(&self) -> Worst {
        let any = |status: &str| self.list.iter().any(|finding| finding.status == status);
        match (any("error"), any("alarm")) {
            (true, _) => Worst::Error,
            (false, true) => Worst::Alarm,
            (false, false) => Worst::Clean,
        }
    }

    /// The report for people: by control, worst first.
    pub(super) fn text(&self, all: bool) -> String {
        let seen = |finding: &&Finding| all || matches!(finding.status.as_str(), "alarm" | "error");
        let shown: Vec<&Finding> = self.list.iter().filter(seen).collect();
        let mut text = layout::page(&shown);
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.list.iter().for_each(|finding| *counts.entry(finding.status.as_str()).or_default() += 1);
        let controls: BTreeSet<&str> = self.list.iter().map(|finding| finding.control.as_str()).collect();
        let parts = ["alarm", "error", "ok", "skip", "info"]
            .into_iter()
            .filter_map(|status| counts.get(status).map(|count| format!("{count} {status}")));
        let skipped: BTreeSet<&str> = self
            .list
            .iter()
            .filter(|finding| finding.status == "skip")
            .map(|finding| finding.reason.as_str())
            .collect();
        let plural = if controls.len() == 1 { "control" } else { "controls" };
        let mut text = format!("{} {plural}: {}\n", controls.len(), parts.collect::<Vec<_>>().join(", "));
        for reason in skipped.iter().take(10) {
            text.push_str(&format!("  skipped: {reason}\n"));
        }
        if self.worst() == Worst::Alarm {
            let worst = self
                .list
                .iter()
                .filter(|finding| finding.status == "alarm")
                .min_by_key(|finding| severity_rank(&finding.severity));
            if let Some(finding) = worst {
                text.push_str(&format!("worst: {} ({})\n", finding.title, finding.severity));
            }
        }
        text
    }
}

/// The rows that tell the state now: of each finding the last, without those that a later evaluation resolved.
/// (A control that reads several tables is evaluated as each of them becomes complete.)
fn newest(rows: &RecordBatch) -> Result<UInt64Array, Failure> {
    let text = |name: &str| {
        let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.ok_or_else(|| Failure::failed(format!("findings have no text column `{name}`")))
    };
    let (control, resource, dimensions, drift) =
        (text("control")?, text("resource")?, text("dimensions")?, text("drift")?);
    let mut last = BTreeMap::new();
    for row in 0..rows.num_rows() {
        last.insert((control.value(row), resource.value(row), dimensions.value(row)), row);
    }
    Ok(last
        .into_values()
        .filter(|row| drift.value(*row) != "resolved")
        .map(|row| row as u64)
        .collect::<Vec<_>>()
        .into())
}

/// Worst first.
pub(super) fn severity_rank(severity: &str) -> usize {
    ["critical", "high", "medium", "low", "none"].iter().position(|known| *known == severity).unwrap_or(5)
}
