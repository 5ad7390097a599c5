//! The rows that left the `check` nodes → findings and counts.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMillisecondType;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use serde_json::{Map, Value};
use tidegate_operators::check::drift::Drift;
use tidegate_operators::check::finding::{Identity, IdentityParts, Severity, Status};

use super::{Counts, Finding, Moment};
use crate::exit::Failure;

/// The columns that a waiver adds.
const OF_WAIVERS: [&str; 3] = ["waiver", "waiver_reason", "waived_until"];

/// Columns that mean nothing outside the pipeline that the rows are of.
const OF_PIPELINES: [&str; 2] = ["node", "step"];

/// What the rows say.
pub(in crate::command::check) struct Read {
    /// The findings that are kept.
    pub(in crate::command::check) findings: Vec<Finding>,
    /// How many there are, by pack and control.
    pub(in crate::command::check) tallies: BTreeMap<String, BTreeMap<String, Tally>>,
}

/// The findings of a control.
pub(in crate::command::check) struct Tally {
    pub(in crate::command::check) counts: Counts,
    /// The title and the severity of one of them.
    pub(in crate::command::check) title: String,
    pub(in crate::command::check) severity: Severity,
}

impl Read {
    /// Reads the rows. What is ok is counted, and kept only with `keep_ok`: there may be millions.
    ///
    /// # Errors
    /// When a column is missing or holds what it must not.
    pub(in crate::command::check) fn rows(batches: &[RecordBatch], keep_ok: bool) -> Result<Self, Failure> {
        let mut read = Self { findings: Vec::new(), tallies: BTreeMap::new() };
        let Some(first) = batches.first() else { return Ok(read) };
        let rows = concat_batches(first.schema_ref(), batches).map_err(failed)?;
        let columns = Columns::of(&rows)?;
        let newest = columns.newest();
        let mut kept = Vec::new();
        for (row, identity) in newest {
            let status = columns.status(row)?;
            let waived = status == Status::Alarm && columns.waiver.is_some_and(|waiver| waiver.is_valid(row));
            read.count(&columns, row, status, waived)?;
            if keep_ok || status != Status::Ok {
                kept.push((row, identity));
            }
        }
        let mut other = other_columns(&rows, &kept)?.into_iter();
        for (row, identity) in kept {
            read.findings.push(columns.finding(row, identity, other.next().unwrap_or_default())?);
        }
        Ok(read)
    }

    fn count(&mut self, columns: &Columns<'_>, row: usize, status: Status, waived: bool) -> Result<(), Failure> {
        let (pack, control) = (columns.pack.value(row), columns.control.value(row));
        // Looked up by text that is not copied: most rows are of a control that is known.
        if let Some(tally) = self.tallies.get_mut(pack).and_then(|of_pack| of_pack.get_mut(control)) {
            tally.counts.count(status, waived);
            return Ok(());
        }
        let (title, severity) = (columns.title.value(row).to_owned(), columns.severity(row)?);
        let mut tally = Tally { counts: Counts::default(), title, severity };
        tally.counts.count(status, waived);
        self.tallies.entry(pack.to_owned()).or_default().insert(control.to_owned(), tally);
        Ok(())
    }
}

/// What a finding is about.
pub(in crate::command::check) struct About<'a> {
    pub(in crate::command::check) control: &'a str,
    pub(in crate::command::check) resource: &'a str,
    pub(in crate::command::check) account_id: Option<&'a str>,
    pub(in crate::command::check) region: Option<&'a str>,
    pub(in crate::command::check) status: Status,
}

/// Goes through the rows that tell the state now, ok ones too.
///
/// # Errors
/// As [`Read::rows`].
pub(in crate::command::check) fn each_newest(
    batches: &[RecordBatch],
    mut visit: impl FnMut(About<'_>),
) -> Result<(), Failure> {
    let Some(first) = batches.first() else { return Ok(()) };
    let rows = concat_batches(first.schema_ref(), batches).map_err(failed)?;
    let columns = Columns::of(&rows)?;
    for (row, _) in columns.newest() {
        visit(About {
            control: columns.control.value(row),
            resource: columns.resource.value(row),
            account_id: value(columns.account_id, row),
            region: value(columns.region, row),
            status: columns.status(row)?,
        });
    }
    Ok(())
}

fn failed(error: ArrowError) -> Failure {
    Failure::failed(error.to_string())
}

/// The columns of findings.
struct Columns<'a> {
    rows: &'a RecordBatch,
    control: &'a StringArray,
    title: &'a StringArray,
    resource: &'a StringArray,
    status: &'a StringArray,
    reason: &'a StringArray,
    severity: &'a StringArray,
    drift: &'a StringArray,
    account_id: &'a StringArray,
    region: &'a StringArray,
    dimensions: &'a StringArray,
    pack: &'a StringArray,
    /// Present once there are waivers.
    waiver: Option<&'a StringArray>,
    waiver_reason: Option<&'a StringArray>,
    /// Present in rows of `check`.
    evidence: Option<&'a StringArray>,
}

impl<'a> Columns<'a> {
    fn of(rows: &'a RecordBatch) -> Result<Self, Failure> {
        let optional = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        let text = |name: &str| {
            optional(name).ok_or_else(|| Failure::failed(format!("findings have no text column `{name}`")))
        };
        Ok(Self {
            rows,
            control: text("control")?,
            title: text("title")?,
            resource: text("resource")?,
            status: text("status")?,
            reason: text("reason")?,
            severity: text("severity")?,
            drift: text("drift")?,
            account_id: text("account_id")?,
            region: text("region")?,
            dimensions: text("dimensions")?,
            pack: text("pack")?,
            waiver: optional("waiver"),
            waiver_reason: optional("waiver_reason"),
            evidence: optional("evidence"),
        })
    }

    /// The rows that tell the state now: of each finding the last, without those that a later evaluation resolved.
    /// (A control that reads several tables is evaluated as each of them becomes complete.)
    fn newest(&self) -> Vec<(usize, Identity)> {
        let mut last: HashMap<Identity, usize> = HashMap::with_capacity(self.rows.num_rows());
        for row in 0..self.rows.num_rows() {
            last.insert(self.identity(row), row);
        }
        let is_there = |(_, row): &(Identity, usize)| self.drift.value(*row) != Drift::Resolved.word();
        let mut newest: Vec<(usize, Identity)> =
            last.into_iter().filter(is_there).map(|(identity, row)| (row, identity)).collect();
        newest.sort_unstable();
        newest
    }

    fn identity(&self, row: usize) -> Identity {
        Identity::from(IdentityParts {
            pack: self.pack.value(row),
            control: self.control.value(row),
            resource: self.resource.value(row),
            account_id: value(self.account_id, row),
            region: value(self.region, row),
            dimensions: self.dimensions.value(row),
        })
    }

    fn status(&self, row: usize) -> Result<Status, Failure> {
        let word = self.status.value(row);
        word.parse().map_err(|()| Failure::failed(format!("`{word}` is no status of a finding")))
    }

    fn severity(&self, row: usize) -> Result<Severity, Failure> {
        let word = self.severity.value(row);
        word.parse().map_err(|()| Failure::failed(format!("`{word}` is no severity of a finding")))
    }

    fn finding(&self, row: usize, identity: Identity, other: Map<String, Value>) -> Result<Finding, Failure> {
        let owned = |column: &StringArray| column.value(row).to_owned();
        let optional = |column: &StringArray| value(column, row).map(str::to_owned);
        let drift = Value::from(self.drift.value(row));
        let previous = self.rows.column_by_name("previous_status").and_then(|column| column.as_string_opt::<i32>());
        Ok(Finding {
            control: owned(self.control),
            title: owned(self.title),
            resource: owned(self.resource),
            status: self.status(row)?,
            reason: owned(self.reason),
            severity: self.severity(row)?,
            drift: serde_json::from_value(drift).map_err(|error| Failure::failed(error.to_string()))?,
            account_id: optional(self.account_id),
            region: optional(self.region),
            dimensions: owned(self.dimensions),
            pack: owned(self.pack),
            first_seen: self.time("first_seen", row),
            last_changed: self.time("last_changed", row),
            previous_status: previous.and_then(|previous| value(previous, row)).and_then(|word| word.parse().ok()),
            waiver: self.waiver.and_then(optional),
            waiver_reason: self.waiver_reason.and_then(optional),
            waived_until: self.time("waived_until", row),
            evidence: self.evidence.and_then(optional).filter(|evidence| evidence != "{}").unwrap_or_default(),
            identity: format!("{:032x}", identity.0),
            other,
        })
    }

    fn time(&self, name: &str, row: usize) -> Option<Moment> {
        let times = self.rows.column_by_name(name)?.as_primitive_opt::<TimestampMillisecondType>()?;
        if times.is_valid(row) { Moment::of_milliseconds(times.value(row)) } else { None }
    }
}

fn value(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// What the rows have in columns that reports do not know, a map for each row; none where there is no such column.
fn other_columns(rows: &RecordBatch, kept: &[(usize, Identity)]) -> Result<Vec<Map<String, Value>>, Failure> {
    let unknown: Vec<usize> = rows
        .schema_ref()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| {
            let name = field.name().as_str();
            !KNOWN.contains(&name) && !OF_WAIVERS.contains(&name) && !OF_PIPELINES.contains(&name)
        })
        .map(|(position, _)| position)
        .collect();
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let positions: UInt64Array = kept.iter().map(|(row, _)| *row as u64).collect::<Vec<_>>().into();
    let projected = rows.project(&unknown).and_then(|rows| take_record_batch(&rows, &positions)).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut bytes);
    writer.write(&projected).and_then(|()| writer.finish()).map_err(failed)?;
    let lines = serde_json::Deserializer::from_slice(&bytes).into_iter();
    lines.collect::<Result<_, _>>().map_err(|error| Failure::failed(error.to_string()))
}

/// The columns that reports know.
const KNOWN: [&str; 15] = [
    "evidence",
    "control",
    "title",
    "resource",
    "status",
    "reason",
    "severity",
    "drift",
    "account_id",
    "region",
    "dimensions",
    "pack",
    "first_seen",
    "last_changed",
    "previous_status",
];

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, TimestampMillisecondArray};

    use super::*;

    /// Resource, status, drift and waiver.
    type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

    /// Rows with a column that reports do not know.
    fn rows(rows: &[Row]) -> RecordBatch {
        let all = |text: &'static str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows.len()])) };
        let none = || -> ArrayRef { Arc::new(StringArray::from(vec![None::<&str>; rows.len()])) };
        let each =
            |text: fn(&Row) -> Option<String>| -> ArrayRef { Arc::new(rows.iter().map(text).collect::<StringArray>()) };
        let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_000; rows.len()]));
        let steps: ArrayRef = Arc::new(Int64Array::from(vec![7; rows.len()]));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("control", all("c")),
            ("title", all("c should be")),
            ("resource", each(|row| Some(row.0.to_owned()))),
            ("status", each(|row| Some(row.1.to_owned()))),
            ("reason", all("Because.")),
            ("severity", all("high")),
            ("drift", each(|row| Some(row.2.to_owned()))),
            ("account_id", none()),
            ("region", none()),
            ("dimensions", all("{}")),
            ("pack", all("p")),
            ("first_seen", Arc::clone(&times)),
            ("last_changed", Arc::clone(&times)),
            ("previous_status", none()),
            ("waiver", each(|row| row.3.map(str::to_owned))),
            ("waiver_reason", each(|row| row.3.map(|waiver| format!("{waiver} says so")))),
            ("waived_until", times),
            ("attempt", steps),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    fn counts(read: &Read) -> Counts {
        read.tallies["p"]["c"].counts
    }

    #[test]
    fn the_last_evaluation_counts_and_what_it_resolved_is_gone() {
        let batches = [
            rows(&[("a", "alarm", "new", None), ("b", "alarm", "new", None)]),
            rows(&[("a", "ok", "unchanged", None), ("b", "ok", "resolved", None)]),
        ];
        let read = Read::rows(&batches, false).unwrap();
        assert_eq!(counts(&read), Counts { ok: 1, ..Counts::default() });
        assert!(read.findings.is_empty(), "what is ok is counted, not kept");
        assert_eq!(Read::rows(&batches, true).unwrap().findings.len(), 1);
    }

    #[test]
    fn a_waived_alarm_is_waived_and_a_waived_ok_stays_ok() {
        let batch = rows(&[("a", "alarm", "new", Some("W-1")), ("b", "ok", "new", Some("W-1"))]);
        let read = Read::rows(&[batch], true).unwrap();
        assert_eq!(counts(&read), Counts { waived: 1, ok: 1, ..Counts::default() });
        let words: Vec<&str> = read.findings.iter().map(Finding::word).collect();
        assert_eq!(words, ["waived", "ok"]);
        assert_eq!(read.findings[0].waiver_text().unwrap(), "waived until 1970-01-01 (W-1): W-1 says so");
    }

    #[test]
    fn columns_that_reports_do_not_know_are_kept() {
        let read = Read::rows(&[rows(&[("a", "alarm", "new", None)])], false).unwrap();
        assert_eq!(serde_json::to_value(&read.findings[0]).unwrap()["attempt"], 7);
    }
}
