//! One evaluation of a whole pack, summed up.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_pipeline::error::Result;
use tidegate_pipeline::step::StepTime;

use super::evaluate::{Evaluator, Interest, TableContents};
use super::finding::{Finding, Severity, Status};

/// What a pack says about the contents of tables.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Every finding, ok ones included, in the order of [`Finding::order`].
    pub findings: Vec<Finding>,
    /// How many findings there are of each status.
    pub by_status: BTreeMap<Status, usize>,
    /// How many alarms there are of each severity.
    pub alarms_by_severity: BTreeMap<Severity, usize>,
    /// Controls whose query gave no row: there is nothing that they apply to.
    pub without_resources: Vec<Arc<str>>,
    /// Controls that could not be evaluated because a table that they read was never collected.
    pub not_evaluated: Vec<Arc<str>>,
    /// What authors of controls should know.
    pub warnings: Vec<String>,
}

impl Report {
    /// Whether a control or the collection of what it reads failed.
    pub fn has_errors(&self) -> bool {
        self.by_status.get(&Status::Error).is_some_and(|count| *count > 0)
    }

    /// How many alarms there are at or above a severity.
    pub fn alarms_from(&self, severity: Severity) -> usize {
        self.alarms_by_severity.range(severity..).map(|(_, count)| count).sum()
    }
}

/// Evaluates every control of `evaluator` over `tables`, as of `time`.
///
/// # Errors
/// When the rows of a table do not fit its definition.
pub async fn evaluate_all(
    evaluator: &Evaluator,
    tables: &BTreeMap<Arc<str>, TableContents>,
    time: StepTime,
) -> Result<Report> {
    let which: Vec<usize> = (0..evaluator.controls().len()).collect();
    let evaluations = evaluator.evaluate(tables, &which, |_| Interest::All, time).await?;
    let mut report = Report::default();
    for evaluation in evaluations {
        if evaluation.without_resources {
            report.without_resources.push(Arc::clone(&evaluation.control));
        } else if evaluation.frozen.everything && evaluation.findings.is_empty() {
            report.not_evaluated.push(Arc::clone(&evaluation.control));
        }
        report.warnings.extend(evaluation.warnings);
        for finding in evaluation.findings {
            *report.by_status.entry(finding.status).or_default() += 1;
            if finding.status == Status::Alarm {
                *report.alarms_by_severity.entry(finding.severity).or_default() += 1;
            }
            report.findings.push(finding);
        }
    }
    report.findings.sort_by(Finding::order);
    Ok(report)
}
