//! The rows that `check` emits, and the rows that its state is kept in.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampMillisecondArray,
    UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMillisecondType, UInt64Type};
use tidegate_pipeline::compaction::{Gone, Keyed, StateLayout};
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::operator::{BATCH_ROWS, SnapshotMode, StateReader, StateWriter, unreadable_section};
use tidegate_pipeline::step::{StepNumber, StepTime};

use super::drift::{Drift, DriftState, DriftedFinding, Held, Waived};
use super::finding::{Finding, Identity, NOTHING};

/// The part of the state that holds findings which are not ok.
const FINDINGS: &str = "findings.v3";
/// The same as it was before there was evidence.
const FINDINGS_V2: &str = "findings.v2";
/// The same as it was before there were waivers.
const FINDINGS_V1: &str = "findings.v1";

/// The columns of the rows that `check` emits. `account_id` and `region` are NULL where the query does not
/// select them, `first_seen`, `last_changed`, `step` (that of `last_changed`) and `previous_status` for findings that always
/// were ok, `waiver` and `waiver_reason` where nothing is waived, `waived_until` also where that has no end. `evidence` is
/// a JSON object: what the conditions looked at that decided the status.
pub fn finding_schema() -> SchemaRef {
    let text = |name: &str, nullable: bool| Field::new(name, DataType::Utf8, nullable);
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), true);
    Arc::new(Schema::new(vec![
        text("control", false),
        text("title", false),
        text("resource", false),
        text("status", false),
        text("reason", false),
        text("severity", false),
        text("drift", false),
        text("account_id", true),
        text("region", true),
        text("dimensions", false),
        text("pack", false),
        time("first_seen"),
        time("last_changed"),
        text("previous_status", true),
        text("waiver", true),
        text("waiver_reason", true),
        time("waived_until"),
        text("evidence", false),
        Field::new("step", DataType::UInt64, true),
    ]))
}

fn texts<'a, T: 'a>(rows: &'a [T], text: impl Fn(&'a T) -> &'a str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(text)))
}

fn optional_texts<'a, T: 'a>(rows: &'a [T], text: impl Fn(&'a T) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(text).collect::<StringArray>())
}

fn times<T>(rows: &[T], time: impl Fn(&T) -> Option<StepTime>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| time(row).map(|time| time.0)).collect::<TimestampMillisecondArray>())
}

fn steps<T>(rows: &[T], step: impl Fn(&T) -> Option<StepNumber>) -> ArrayRef {
    Arc::new(rows.iter().map(|row| step(row).map(|step| step.0)).collect::<UInt64Array>())
}

/// Findings as rows of [`finding_schema`].
///
/// # Errors
/// Never, unless the rows are too many for one batch.
pub fn finding_rows(rows: &[DriftedFinding]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        texts(rows, |row| &row.finding.control),
        texts(rows, |row| &row.finding.title),
        texts(rows, |row| &row.finding.resource),
        texts(rows, |row| row.finding.status.word()),
        texts(rows, |row| &row.finding.reason),
        texts(rows, |row| row.finding.severity.word()),
        texts(rows, |row| row.drift.word()),
        optional_texts(rows, |row| row.finding.account_id.as_deref()),
        optional_texts(rows, |row| row.finding.region.as_deref()),
        texts(rows, |row| &row.finding.dimensions),
        texts(rows, |row| &row.finding.pack),
        times(rows, |row| row.first_seen),
        times(rows, |row| row.last_changed),
        optional_texts(rows, |row| row.previous_status.map(super::finding::Status::word)),
        optional_texts(rows, |row| Some(&row.waiver.as_ref()?.id)),
        optional_texts(rows, |row| Some(&row.waiver.as_ref()?.reason)),
        times(rows, |row| row.waiver.as_ref()?.until),
        texts(rows, |row| &row.finding.evidence),
        steps(rows, |row| row.step),
    ];
    Ok(RecordBatch::try_new(finding_schema(), columns)?)
}

/// The findings that a state holds, as rows of [`finding_schema`], in the order of [`Finding::order`].
///
/// # Errors
/// When the state is of a form that this program does not know.
pub(super) fn held_findings(reader: &StateReader) -> Result<RecordBatch> {
    let state = DriftState::restore(reader)?;
    let row = |held: &Held| DriftedFinding {
        finding: held.finding.clone(),
        drift: Drift::Unchanged,
        first_seen: Some(held.first_seen),
        last_changed: Some(held.last_changed),
        step: held.step,
        previous_status: Some(held.finding.status),
        waiver: held.waiver.clone(),
    };
    let mut rows: Vec<DriftedFinding> = state.held.values().flat_map(|held| held.values()).map(row).collect();
    rows.sort_by(|a, b| a.finding.order(&b.finding));
    finding_rows(&rows)
}

/// A change of the state: a finding that is not ok, or the identity of one that is not held any more.
struct Entry<'a> {
    control: &'a str,
    identity: Identity,
    held: Option<&'a Held>,
}

impl DriftState {
    /// Writes what has changed, or everything. With `always`, also where there is nothing to write, so that a later
    /// start knows that there was a state.
    ///
    /// # Errors
    /// When it is too much for one batch.
    pub fn snapshot(&mut self, writer: &mut StateWriter, always: bool) -> Result<()> {
        if std::mem::take(&mut self.rewrite) {
            writer.everything();
        }
        let mut entries: Vec<Entry<'_>> = match writer.mode {
            SnapshotMode::Full => {
                let all = self.held.iter().flat_map(|(control, held)| {
                    held.iter().map(|(identity, held)| Entry { control, identity: *identity, held: Some(held) })
                });
                all.collect()
            }
            SnapshotMode::Changes => {
                let touched = self.touched.iter().map(|(control, identity)| Entry {
                    control,
                    identity: *identity,
                    held: self.held.get(control).and_then(|held| held.get(identity)),
                });
                touched.collect()
            }
        };
        entries.sort_by(|a, b| (a.control, a.identity).cmp(&(b.control, b.identity)));
        if always || !entries.is_empty() || writer.mode == SnapshotMode::Full {
            let rows = state_rows(&entries)?;
            for from in (0..rows.num_rows().max(1)).step_by(BATCH_ROWS) {
                writer.put(FINDINGS, rows.slice(from, BATCH_ROWS.min(rows.num_rows() - from)));
            }
        }
        self.touched.clear();
        Ok(())
    }

    /// How what snapshots write is merged.
    pub fn layout() -> StateLayout {
        let key = vec!["control".to_owned(), "identity".to_owned()];
        let findings = Keyed { key, gone: Gone::False("held".to_owned()), expires: None };
        [FINDINGS_V1, FINDINGS_V2]
            .into_iter()
            .fold(StateLayout::default(), |layout, earlier| layout.keyed(earlier, findings.clone()))
            .keyed(FINDINGS, findings)
    }

    /// The state that the snapshots describe.
    ///
    /// # Errors
    /// When they are of a form that this program does not know.
    pub fn restore(reader: &StateReader) -> Result<Self> {
        let mut state = Self::default();
        for (name, batch) in &reader.batches {
            match name.as_str() {
                FINDINGS => read_state(batch, &state_schema(), &mut state)?,
                FINDINGS_V2 => {
                    state.rewrite = true;
                    read_state(batch, &state_schema_v2(), &mut state)?;
                }
                FINDINGS_V1 => {
                    state.rewrite = true;
                    read_state(batch, &state_schema_v1(), &mut state)?;
                }
                _ => return Err(unreadable_section(name)),
            }
        }
        Ok(state)
    }
}

fn state_schema() -> SchemaRef {
    let added =
        [Field::new("evidence", DataType::Utf8, true), Field::new("step", DataType::UInt64, true)].map(Arc::new);
    let fields = state_schema_v2().fields().iter().cloned().chain(added).collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

fn state_schema_v2() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let until = Field::new("waived_until", DataType::Timestamp(TimeUnit::Millisecond, None), true);
    let of_waiver = [text("waiver"), text("waiver_reason"), until].map(Arc::new);
    let fields = state_schema_v1().fields().iter().cloned().chain(of_waiver).collect::<Vec<_>>();
    Arc::new(Schema::new(fields))
}

fn state_schema_v1() -> SchemaRef {
    let text = |name: &str, nullable: bool| Field::new(name, DataType::Utf8, nullable);
    let time = |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, None), true);
    Arc::new(Schema::new(vec![
        text("control", false),
        Field::new("identity", DataType::FixedSizeBinary(16), false),
        Field::new("held", DataType::Boolean, false),
        text("pack", true),
        text("title", true),
        text("resource", true),
        text("status", true),
        text("reason", true),
        text("severity", true),
        text("account_id", true),
        text("region", true),
        text("dimensions", true),
        time("first_seen"),
        time("last_changed"),
    ]))
}

fn state_rows(entries: &[Entry<'_>]) -> Result<RecordBatch> {
    let of = |text: for<'f> fn(&'f Finding) -> Option<&'f str>| -> ArrayRef {
        let values = entries.iter().map(|entry| entry.held.and_then(|held| text(&held.finding)));
        Arc::new(values.collect::<StringArray>())
    };
    let identities: Vec<[u8; 16]> = entries.iter().map(|entry| entry.identity.0.to_be_bytes()).collect();
    let identities: ArrayRef = if identities.is_empty() {
        arrow::array::new_empty_array(&DataType::FixedSizeBinary(16))
    } else {
        Arc::new(FixedSizeBinaryArray::try_from_iter(identities.iter())?)
    };
    let columns: Vec<ArrayRef> = vec![
        texts(entries, |entry| entry.control),
        identities,
        Arc::new(entries.iter().map(|entry| Some(entry.held.is_some())).collect::<BooleanArray>()),
        of(|finding| Some(&finding.pack)),
        of(|finding| Some(&finding.title)),
        of(|finding| Some(&finding.resource)),
        of(|finding| Some(finding.status.word())),
        of(|finding| Some(&finding.reason)),
        of(|finding| Some(finding.severity.word())),
        of(|finding| finding.account_id.as_deref()),
        of(|finding| finding.region.as_deref()),
        of(|finding| Some(&finding.dimensions)),
        times(entries, |entry| entry.held.map(|held| held.first_seen)),
        times(entries, |entry| entry.held.map(|held| held.last_changed)),
        optional_texts(entries, |entry| Some(&entry.held?.waiver.as_ref()?.id)),
        optional_texts(entries, |entry| Some(&entry.held?.waiver.as_ref()?.reason)),
        times(entries, |entry| entry.held?.waiver.as_ref()?.until),
        of(|finding| Some(&finding.evidence)),
        steps(entries, |entry| entry.held?.step),
    ];
    Ok(RecordBatch::try_new(state_schema(), columns)?)
}

fn read_state(batch: &RecordBatch, schema: &SchemaRef, state: &mut DriftState) -> Result<()> {
    let damaged = || Error::internal("the state of `check` cannot be understood");
    if batch.schema().fields() != schema.fields() {
        return Err(damaged());
    }
    let column = |position: usize| batch.column(position);
    let controls = column(0).as_string::<i32>();
    let identities = column(1).as_fixed_size_binary();
    let held = column(2).as_boolean();
    let text = |position: usize, row: usize| -> Option<Arc<str>> {
        let texts = column(position).as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).into())
    };
    let time =
        |position: usize, row: usize| StepTime(column(position).as_primitive::<TimestampMillisecondType>().value(row));
    for row in 0..batch.num_rows() {
        let control: Arc<str> = controls.value(row).into();
        let bytes: [u8; 16] = identities.value(row).try_into().map_err(|_| damaged())?;
        let identity = Identity(u128::from_be_bytes(bytes));
        if !held.value(row) {
            if let Some(of_control) = state.held.get_mut(&control) {
                of_control.remove(&identity);
                if of_control.is_empty() {
                    state.held.remove(&control);
                }
            }
            continue;
        }
        let required = |position: usize| text(position, row).ok_or_else(damaged);
        let finding = Finding {
            identity,
            pack: required(3)?,
            control: Arc::clone(&control),
            title: required(4)?,
            resource: required(5)?,
            status: required(6)?.parse().map_err(|()| damaged())?,
            reason: required(7)?,
            severity: required(8)?.parse().map_err(|()| damaged())?,
            account_id: text(9, row),
            region: text(10, row),
            dimensions: required(11)?,
            evidence: named_text(batch, "evidence", row).unwrap_or_else(|| NOTHING.into()),
        };
        let (first_seen, last_changed) = (time(12, row), time(13, row));
        let held =
            Held { finding, first_seen, last_changed, step: read_step(batch, row), waiver: read_waiver(batch, row) };
        state.held.entry(control).or_default().insert(identity, held);
    }
    Ok(())
}

/// A text that earlier forms of the state do not have.
fn named_text(batch: &RecordBatch, name: &str, row: usize) -> Option<Arc<str>> {
    let texts = batch.column_by_name(name)?.as_string::<i32>();
    texts.is_valid(row).then(|| texts.value(row).into())
}

fn read_step(batch: &RecordBatch, row: usize) -> Option<StepNumber> {
    let steps = batch.column_by_name("step")?.as_primitive::<UInt64Type>();
    steps.is_valid(row).then(|| StepNumber(steps.value(row)))
}

/// The waiver of a finding; before there were any, there is none.
fn read_waiver(batch: &RecordBatch, row: usize) -> Option<Waived> {
    let text = |name: &str| named_text(batch, name, row);
    let until = batch.column_by_name("waived_until")?.as_primitive::<TimestampMillisecondType>();
    let until = until.is_valid(row).then(|| StepTime(until.value(row)));
    Some(Waived { id: text("waiver")?, reason: text("waiver_reason")?, until })
}
