//! `check` as it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::operator::{InputIndex, Operator, Output, StateReader, StateWriter};
use tidegate_pipeline::rows::PortIndex;
use tidegate_pipeline::step::{StepHeader, StepTime, Unit};
use tidegate_pipeline::table::{TableDefinition, TableSet};

use super::drift::{DriftState, DriftedFinding, Emit};
use super::evaluate::{ControlEvaluation, Evaluator, Frozen, TableContents, identity_of_failure, sentence};
use super::finding::{Finding, IdentityParts, Severity, Status};
use super::options::When;
use super::pack::PackProblem;
use super::pending::Pending;
use super::rows::finding_rows;
use super::waiver::Waivers;

/// What the controls read.
#[derive(Debug, Clone)]
pub(super) enum Reading {
    /// The tables of providers, as they are after a step.
    Tables,
    /// The rows of a step, as the table of this definition.
    Events(Arc<TableDefinition>),
}

/// The name under which the file of waivers arrives, and the control of what is wrong with it.
pub const WAIVERS: &str = "waivers";

/// `check` as it runs.
pub(super) struct CheckOperator {
    evaluator: Evaluator,
    reading: Reading,
    emit: Emit,
    when: When,
    /// The file of waivers, as the pipeline names it.
    waivers_file: Arc<str>,
    drift: DriftState,
    /// The newest tables of each input.
    tables: BTreeMap<usize, TableSet>,
    /// What has changed since the last evaluation.
    pending: Pending,
    /// Controls that have been evaluated over all rows since this was started: what changed rows say can be added to
    /// what they said then.
    settled: BTreeSet<Arc<str>>,
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
    pub(super) fn new(
        evaluator: Evaluator,
        reading: Reading,
        (emit, when): (Emit, When),
        waivers_file: Arc<str>,
    ) -> Self {
        Self {
            evaluator,
            reading,
            emit,
            when,
            waivers_file,
            drift: DriftState::default(),
            tables: BTreeMap::new(),
            pending: Pending::default(),
            settled: BTreeSet::new(),
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
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let affected = self.evaluator.affected(&pending.changed(), &pending.refreshed);
        let (by_row, whole): (Vec<usize>, Vec<usize>) = affected.into_iter().partition(|index| self.goes_on(*index));
        let (mut rows, failed) = self.evaluate_changed(step, &by_row, &pending)?;
        let whole: Vec<usize> = whole.into_iter().chain(failed).collect();
        let contents = self.contents(&whole);
        rows.extend(self.evaluate(step, &contents, &whole, false).await?);
        self.settle(&whole);
        self.emit(rows, out)
    }

    /// Whether it is enough to look at the rows that have changed, if only few have.
    fn goes_on(&self, index: usize) -> bool {
        let Some(control) = self.evaluator.controls().get(index) else { return false };
        let Some(table) = control.row_local().filter(|_| self.emit == Emit::Changes) else { return false };
        // Of a table that several inputs bring, several rows may have one identity.
        let brought_by = self.tables.values().filter(|set| set.tables.contains_key(table)).count();
        brought_by == 1
            && self.settled.contains(&control.control.id)
            && !self.drift.holds(&control.control.id, identity_of_failure(control))
    }

    /// Evaluates controls over the rows that have changed; the second value are those that must be evaluated over all.
    fn evaluate_changed(
        &mut self,
        step: &StepHeader,
        which: &[usize],
        pending: &Pending,
    ) -> Result<(Vec<DriftedFinding>, Vec<usize>)> {
        let (mut rows, mut failed) = (Vec::new(), Vec::new());
        if which.is_empty() {
            return Ok((rows, failed));
        }
        let changed = pending.rows()?;
        let sets = self.tables.values().flat_map(|set| set.tables.iter());
        let tables = sets.map(|(name, version)| (Arc::clone(name), TableContents::without_rows(version))).collect();
        for index in which {
            match self.evaluator.evaluate_rows(*index, &tables, &changed) {
                Some(evaluation) => rows.extend(self.drift.apply_rows(evaluation, step.into())),
                None => failed.push(*index),
            }
        }
        Ok((rows, failed))
    }

    /// Whether some scope of an input has begun to be refreshed and has not ended.
    fn is_refreshing(&self) -> bool {
        self.tables.values().any(|set| !set.open.is_empty())
    }

    fn settle(&mut self, which: &[usize]) {
        let controls = which.iter().filter_map(|index| self.evaluator.controls().get(*index));
        self.settled.extend(controls.map(|control| Arc::clone(&control.control.id)));
    }

    async fn evaluate_rows(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        let Reading::Events(definition) = &self.reading else { return Ok(()) };
        if self.rows.is_empty() {
            return Ok(());
        }
        let table = TableContents::complete(Arc::clone(definition), std::mem::take(&mut self.rows));
        let contents = BTreeMap::from([(Arc::clone(&definition.name), table)]);
        let which: Vec<usize> = (0..self.evaluator.controls().len()).collect();
        let rows = self.evaluate(step, &contents, &which, true).await?;
        self.emit(rows, out)
    }

    /// Emits what controls have said, in the order of the controls.
    fn emit(&self, mut rows: Vec<DriftedFinding>, out: &mut Output) -> Result<()> {
        rows.sort_by(|a, b| a.finding.order(&b.finding));
        out.emit(PortIndex(0), finding_rows(&rows)?);
        Ok(())
    }

    /// Evaluates over all rows. `absent_stays` says that a resource which is not mentioned has not gone.
    async fn evaluate(
        &mut self,
        step: &StepHeader,
        contents: &BTreeMap<Arc<str>, TableContents>,
        which: &[usize],
        absent_stays: bool,
    ) -> Result<Vec<DriftedFinding>> {
        let interest = |control: &super::plan::PlannedControl| self.drift.interest(&control.control.id, self.emit);
        let evaluations = self.evaluator.evaluate(contents, which, interest, step.time).await?;
        let controls = self.evaluator.controls();
        let is_known = |id: &str| id == WAIVERS || controls.iter().any(|control| &*control.control.id == id);
        let mut rows: Vec<DriftedFinding> = self.drift.retire(is_known, step.into());
        for mut evaluation in evaluations {
            if !evaluation.warnings.is_empty() && self.warned.insert(Arc::clone(&evaluation.control)) {
                for warning in &evaluation.warnings {
                    tracing::warn!(step = step.number.0, "{warning}; this is said once");
                }
            }
            if absent_stays {
                evaluation.frozen = Frozen::everything();
            }
            rows.extend(self.drift.apply(evaluation, step.into(), self.emit));
        }
        Ok(rows)
    }
}

/// What is wrong at one place of the file of waivers, as a finding.
fn about_waivers(pack: &Arc<str>, file: &str, problems: &[PackProblem]) -> Finding {
    let line = problems.first().map_or(0, |problem| problem.place.line);
    let resource = format!("waivers:{file}:{line}");
    let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
    let dimensions = "{}";
    let parts =
        IdentityParts { pack, control: WAIVERS, resource: &resource, account_id: None, region: None, dimensions };
    let title = "Waivers should be readable".into();
    Finding::new(parts, &title, Status::Error, &sentence(&said.join("; ")), Severity::High)
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
            let known = before.tables.get(name);
            if !known.is_some_and(|known| Arc::ptr_eq(known, version)) {
                self.pending.note(name, known, version);
            }
        }
        if let Unit::End(scope, _) = &step.unit {
            self.pending.refreshed.insert(Arc::clone(&scope.table));
        }
        Ok(())
    }

    async fn end_of_step(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        match self.reading {
            Reading::Tables if self.when == When::Settled && self.is_refreshing() => Ok(()),
            Reading::Tables => self.evaluate_tables(step, out).await,
            Reading::Events(_) => self.evaluate_rows(step, out).await,
        }
    }

    async fn lookup(&mut self, step: &StepHeader, _name: &str, contents: &[u8], out: &mut Output) -> Result<()> {
        let (waivers, problems) = Waivers::read(&self.waivers_file, contents);
        let mut rows = self.drift.waive(waivers, step.time);
        let pack = self.evaluator.controls().first().map(|control| Arc::clone(&control.pack)).unwrap_or_default();
        let of_one_place = problems.chunk_by(|a, b| a.place.line == b.place.line);
        let findings = of_one_place.map(|problems| about_waivers(&pack, &self.waivers_file, problems)).collect();
        let evaluation = ControlEvaluation {
            control: WAIVERS.into(),
            findings,
            frozen: Frozen::default(),
            without_resources: false,
            warnings: Vec::new(),
        };
        rows.extend(self.drift.apply(evaluation, step.into(), Emit::Changes));
        self.emit(rows, out)
    }

    fn deadline(&self) -> Option<StepTime> {
        self.drift.next_expiry()
    }

    async fn on_deadline(&mut self, step: &StepHeader, out: &mut Output) -> Result<()> {
        let rows = self.drift.judge_waivers(step.time);
        let expired = rows.iter().filter(|row| row.waiver.is_none()).count();
        if expired > 0 {
            tracing::warn!(step = step.number.0, "Waivers have expired: {expired} findings are alarms again.");
        }
        self.emit(rows, out)
    }

    fn snapshot(&mut self, writer: &mut StateWriter) -> Result<()> {
        let always = !self.saved;
        self.saved = true;
        self.drift.snapshot(writer, always)
    }

    fn restore(&mut self, reader: StateReader) -> Result<()> {
        let waivers = std::mem::take(&mut self.drift.waivers);
        self.drift = DriftState { waivers, ..DriftState::restore(&reader)? };
        (self.restored, self.saved) = (true, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use tidegate_pipeline::step::{ScopeOutcome, StepNumber};

    use super::*;
    use crate::check::tests::{ENCRYPTED, TIME, complete, pack_of, plan, tables};

    fn operator() -> CheckOperator {
        let evaluator = Evaluator::new(plan(&pack_of(&[("a", ENCRYPTED)])).0);
        CheckOperator::new(evaluator, Reading::Tables, (Emit::Changes, When::Change), "waivers.yaml".into())
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
        let rows = operator.evaluate(&step, contents, &[0], false).await.unwrap();
        operator.emit(rows, &mut out).unwrap();
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
