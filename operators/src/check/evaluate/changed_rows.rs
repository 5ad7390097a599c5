//! The evaluation of a control over the rows that have changed, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use hashbrown::HashSet;
use tidegate_pipeline::table::ChangedRows;

use super::rows::Collector;
use super::scopes::{self, Frozen};
use super::{Evaluator, Interest, TableContents};
use crate::check::finding::{Finding, Identity};
use crate::check::plan::{PlannedControl, RowLocal};

/// What one control says of changed rows.
#[derive(Debug, Clone)]
pub struct RowEvaluation {
    /// The control.
    pub control: Arc<str>,
    /// Its findings about the rows as they are, ok ones too.
    pub findings: Vec<Finding>,
    /// What it said about the rows as they were, and says no more.
    pub gone: HashSet<Identity>,
    /// Whose earlier findings stay as they are.
    pub frozen: Frozen,
}

impl Evaluator {
    /// Evaluates a control, given by index, over the rows of its table that have changed. `tables` say how collecting has
    /// ended; their rows are not looked at. `None` where it takes an evaluation of everything to tell: the control does
    /// not look at rows alone, or fails.
    pub fn evaluate_rows(
        &self,
        index: usize,
        tables: &BTreeMap<Arc<str>, TableContents>,
        changed: &BTreeMap<Arc<str>, ChangedRows>,
    ) -> Option<RowEvaluation> {
        let control = self.controls().get(index)?;
        let query = control.query.as_ref().ok()?;
        let local = query.row_local.as_ref().ok()?;
        let rows = changed.get(&local.table)?;
        let frozen = scopes::judge(control, tables).frozen;
        let findings = said(control, local, &rows.now, &frozen)?;
        let still: HashSet<Identity> = findings.iter().map(|finding| finding.identity).collect();
        let before = said(control, local, &rows.before, &frozen)?;
        let gone = before.into_iter().map(|finding| finding.identity).filter(|identity| !still.contains(identity));
        let gone = gone.collect();
        Some(RowEvaluation { control: Arc::clone(&control.control.id), findings, gone, frozen })
    }
}

fn said(control: &PlannedControl, local: &RowLocal, rows: &RecordBatch, frozen: &Frozen) -> Option<Vec<Finding>> {
    let query = control.query.as_ref().ok()?;
    let mut collector = Collector::new(control, query, frozen, &Interest::All);
    collector.take(&local.answer(rows).ok()?).ok()?;
    Some(collector.findings)
}
