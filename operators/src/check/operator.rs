//! `check` as it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{InputIndex, Operator, Output, StateReader, StateWriter};
use tidegate_pipeline::rows::PortIndex;
use tidegate_pipeline::step::{StepHeader, Unit};
use tidegate_pipeline::table::{TableDefinition, TableSet, TableVersion};

use super::drift::{DriftState, DriftedFinding, Emit};
use super::evaluate::{Evaluator, Frozen, TableContents};
use super::rows::finding_rows;

/// What the controls read.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// The tables of providers, as they are after a step.
    Tables,
    /// The rows of a step, as the table of this definition.
    Events(Arc<TableDefinition>),
}

/// `check` as it runs.
pub(super) struct CheckOperator {
    evaluator: Evaluator,
    reading: Reading,
    emit: Emit,
    drift: DriftState,
    /// The newest tables of each input.
    tables: BTreeMap<usize, TableSet>,
    /// Tables that have changed since the last evaluation.
    changed: BTreeSet<Arc<str>>,
    /// Tables that were collected again since the last evaluation, changed or not.
    refreshed: BTreeSet<Arc<str>>,
    /// The rows of the step so far.
    rows: Vec<RecordBatch>,
    /// Whether this goes on where a snapshot was written: then the tables of that moment come as no news.
    restored: bool,
    /// Whether a snapshot has been written.
    saved: bool,
    /// Controls whose author has been told what should be known.
    warned: BTreeSet<Arc<str>>,
}

impl CheckOperator {
    pub(super) fn new(evaluator: Evaluator, reading: Reading, emit: Emit) -> Self {
        Self {
            evaluator,
            reading,
            emit,
            drift: DriftState::default(),
            tables: BTreeMap::new(),
            changed: BTreeSet::new(),
            refreshed: BTreeSet::new(),
            rows: Vec::new(),
            restored: false,
            saved: false,
            warned: BTreeSet::new(),
        }
    }

    /// The contents of the tables that the controls `which` read. A table that several inputs bring is
    /// their rows together, in the order of the inputs.
    fn contents(&self, which: &[usize]) -> BTreeMap<Arc<str>, TableContents> {
        let controls = which.iter().filter_map(|index| self.evaluator.controls().get(*index));
        let wanted: BTreeSet<&Arc<str>> = controls.flat_map(|control| &control.reads).collect();
        let mut contents: BTreeMap<Arc<str>, TableContents> = BTreeMap::new();
        for (name, version) in self.tables.values().flat_map(|set| set.tables.iter()) {
            if !wanted.contains(name) {
                continue;
            }
            let more = TableContents::from(version.as_ref());
            match contents.get_mut(name) {
                None => {
                    contents.insert(Arc::clone(name), more);
                }
                Some(known) => known.join(more),
            }
        }
        contents
    }

    async fn evaluate_tables(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        if self.changed.is_empty() && self.refreshed.is_empty() {
            return Ok(());
        }
        let which = self.evaluator.affected(&self.changed, &self.refreshed);
        self.changed.clear();
        self.refreshed.clear();
        let contents = self.contents(&which);
        self.evaluate(step, &contents, &which, false, out).await
    }

    async fn evaluate_rows(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        let Reading::Events(definition) = &self.reading else { return Ok(()) };
        if self.rows.is_empty() {
            return Ok(());
        }
        let table = TableContents::complete(Arc::clone(definition), std::mem::take(&mut self.rows));
        let contents = BTreeMap::from([(Arc::clone(&definition.name), table)]);
        let which: Vec<usize> = (0..self.evaluator.controls().len()).collect();
        self.evaluate(step, &contents, &which, true, out).await
    }

    /// Evaluates and emits. `absent_stays` says that a resource which is not mentioned has not gone.
    async fn evaluate(
        &mut self,
        step: &StepHeader,
        contents: &BTreeMap<Arc<str>, TableContents>,
        which: &[usize],
        absent_stays: bool,
        out: &mut Output,
    ) -> Result<()> {
        let interest = |control: &super::plan::PlannedControl| self.drift.interest(&control.control.id, self.emit);
        let evaluations = self.evaluator.evaluate(contents, which, interest, step.time).await?;
        let controls = self.evaluator.controls();
        let is_known = |id: &str| controls.iter().any(|control| &*control.control.id == id);
        let mut rows: Vec<DriftedFinding> = self.drift.retire(is_known, step.time);
        for mut evaluation in evaluations {
            if !evaluation.warnings.is_empty() && self.warned.insert(Arc::clone(&evaluation.control)) {
                for warning in &evaluation.warnings {
                    tracing::warn!(step = step.number.0, "{warning}; this is said once");
                }
            }
            if absent_stays {
                evaluation.frozen = Frozen::everything();
            }
            rows.extend(self.drift.apply(evaluation, step.time, self.emit));
        }
        out.emit(PortIndex(0), finding_rows(&rows)?);
        Ok(())
    }
}

/// Whether two versions of a table hold the same rows and scopes. Versions share the leaves that did not
/// change, so looking at where they lie is enough.
fn is_same(a: &TableVersion, b: &TableVersion) -> bool {
    a.scopes() == b.scopes()
        && a.batches().count() == b.batches().count()
        && a.batches().zip(b.batches()).all(|(a, b)| std::ptr::eq(a, b))
}

#[async_trait]
impl Operator for CheckOperator {
    async fn process(
        &mut self,
        _step: &StepHeader,
        _input: InputIndex,
        rows: &RecordBatch,
        _out: &mut Output,
    ) -> Result<()> {
        // Where there are tables, rows are their changes, and the tables hold them already.
        if matches!(self.reading, Reading::Events(_)) && rows.num_rows() > 0 {
            self.rows.push(rows.clone());
        }
        Ok(())
    }

    async fn tables(
        &mut self,
        step: &StepHeader,
        input: InputIndex,
        tables: &TableSet,
        _out: &mut Output,
    ) -> Result<()> {
        let before = self.tables.insert(input.0, tables.clone());
        if self.restored && before.is_none() && step.unit == Unit::Rows {
            // They come back after a restart: what they say was said before it.
            return Ok(());
        }
        let before = before.unwrap_or_default();
        for (name, version) in tables.tables.iter() {
            let same =
                before.tables.get(name).is_some_and(|known| Arc::ptr_eq(known, version) || is_same(known, version));
            if !same {
                self.changed.insert(Arc::clone(name));
            }
        }
        if let Unit::End(scope, _) = &step.unit {
            self.refreshed.insert(Arc::clone(&scope.table));
        }
        Ok(())
    }

    async fn end_of_step(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        match self.reading {
            Reading::Tables => self.evaluate_tables(step, out).await,
            Reading::Events(_) => self.evaluate_rows(step, out).await,
        }
    }

    fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let always = !self.saved;
        self.saved = true;
        self.drift.snapshot(writer, always)
    }

    fn restore(&mut self, reader: StateReader) -> Result<()> {
        self.drift = DriftState::restore(&reader)?;
        (self.restored, self.saved) = (true, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use tidegate_pipeline::step::{ScopeOutcome, StepNumber, StepTime};

    use super::*;
    use crate::check::tests::{ENCRYPTED, TIME, complete, pack_of, plan, tables};

    fn operator() -> CheckOperator {
        let evaluator = Evaluator::new(plan(&pack_of(&[("a", ENCRYPTED)])).0);
        CheckOperator::new(evaluator, Reading::Tables, Emit::Changes)
    }

    async fn after(operator: &mut CheckOperator, contents: &BTreeMap<Arc<str>, TableContents>) -> Vec<String> {
        let step = StepHeader {
            number: StepNumber(1),
            time: StepTime(TIME.0),
            source: "inventory".into(),
            unit: Unit::Rows,
            schema_version: tidegate_pipeline::step::SchemaVersion(1),
            watermark: None,
        };
        let mut out = Output::default();
        operator.evaluate(&step, contents, &[0], false, &mut out).await.unwrap();
        let mut lines = Vec::new();
        for (_, batch) in &out.rows {
            let text = |name: &str, row| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
            lines.extend((0..batch.num_rows()).map(|row| format!("{} {}", text("resource", row), text("drift", row))));
        }
        lines
    }

    #[tokio::test]
    async fn only_what_changed_leaves() {
        let mut operator = operator();
        let bad = complete(&[("r", "v1", "in-use", false), ("r", "v2", "in-use", true)]);
        assert_eq!(after(&mut operator, &bad).await, ["arn:v1 new"]);
        assert_eq!(after(&mut operator, &bad).await, [""; 0]);
        assert_eq!(after(&mut operator, &complete(&[])).await, ["arn:v1 resolved"]);
    }

    #[tokio::test]
    async fn what_a_failed_scope_said_stays_until_it_is_collected_again() {
        let mut operator = operator();
        assert_eq!(after(&mut operator, &complete(&[("r", "v1", "in-use", false)])).await, ["arn:v1 new"]);
        let failed = tables(&[], &[("r", ScopeOutcome::Failed("no answer".to_owned()))]);
        assert_eq!(after(&mut operator, &failed).await, ["scope:1/r/volume new"]);
        let mended = complete(&[("r", "v1", "in-use", false)]);
        assert_eq!(after(&mut operator, &mended).await, ["scope:1/r/volume resolved"]);
    }

    #[tokio::test]
    async fn nothing_is_evaluated_when_no_table_changed() {
        let mut operator = operator();
        let mut out = Output::default();
        let step = StepHeader {
            number: StepNumber(1),
            time: TIME,
            source: "inventory".into(),
            unit: Unit::Rows,
            schema_version: tidegate_pipeline::step::SchemaVersion(1),
            watermark: None,
        };
        operator.tables(&step, InputIndex(0), &TableSet::default(), &mut out).await.unwrap();
        operator.end_of_step(&step, &mut out).await.unwrap();
        assert!(out.rows.is_empty());
    }
}
