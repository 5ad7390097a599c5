//! Reports as files: to share, to show again in another format, to compare with.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Counts, Finding, Report};
use crate::exit::Failure;

/// What says that a file is a snapshot, with the version of its form.
const MARK: &str = "tidegate_snapshot";
/// The version that this program writes, and the newest that it reads.
const VERSION: u64 = 1;

/// What is written: the report, and sums for readers that do not want to count.
#[derive(Serialize)]
struct Written<'a> {
    tidegate_snapshot: u64,
    summary: Summary,
    #[serde(flatten)]
    report: &'a Report,
}

/// Sums over a report.
#[derive(Serialize, Deserialize)]
struct Summary {
    #[serde(flatten)]
    counts: Counts,
    alarms_by_severity: Value,
}

impl Report {
    /// The report as a snapshot: one JSON document.
    ///
    /// # Errors
    /// Never, unless memory ends.
    pub(in crate::command::check) fn snapshot(&self) -> Result<String, Failure> {
        let by_severity =
            self.alarms_by_severity().into_iter().map(|(severity, count)| (severity.word().to_owned(), count.into()));
        let summary = Summary { counts: self.counts(), alarms_by_severity: Value::Object(by_severity.collect()) };
        let written = Written { tidegate_snapshot: VERSION, summary, report: self };
        let text = serde_json::to_string_pretty(&written).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(format!("{text}\n"))
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When the file cannot be read, is no snapshot, or is one of a newer form.
    pub(in crate::command::check) fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let bytes = std::fs::read(path).map_err(|error| Failure::usage(format!("{name} cannot be read: {error}")))?;
        let remedy = "help: `tidegate check TARGET --save FILE` writes one";
        let document: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::usage(format!("{name} is no snapshot of findings: {error}\n{remedy}")))?;
        match document.get(MARK).and_then(Value::as_u64) {
            Some(1..=VERSION) => {}
            Some(newer) => {
                let message = format!("{name} is a snapshot of form {newer}; this program reads up to {VERSION}");
                return Err(Failure::usage(format!("{message}\nhelp: use the program that wrote it, or a newer one")));
            }
            None => {
                let message = format!("{name} is no snapshot of findings: it has no `{MARK}`");
                return Err(Failure::usage(format!("{message}\n{remedy}")));
            }
        }
        let mut report: Self = serde_json::from_value(document)
            .map_err(|error| Failure::usage(format!("{name} is a damaged snapshot: {error}\n{remedy}")))?;
        report.sort();
        Ok(report)
    }

    /// The findings as rows for programs: with `all` also those that are ok, and after a comparison what it resolved.
    pub(in crate::command::check) fn rows(&self, all: bool) -> Vec<&Finding> {
        use tidegate_operators::check::finding::Status;
        let shown = self.findings.iter().filter(|finding| all || finding.status != Status::Ok);
        let resolved = self.comparison.iter().flat_map(|comparison| &comparison.resolved);
        shown.chain(resolved).collect()
    }
}

/// Whether a file is meant as a snapshot: JSON that says so, or at least is no pipeline.
pub(in crate::command::check) fn is_snapshot(path: &Path) -> bool {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let text = || std::fs::read_to_string(path).unwrap_or_default();
    is_json && (text().contains(MARK) || !text().contains("\"sources\""))
}
