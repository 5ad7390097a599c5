//! Rows of a control's query → findings.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use tidegate_pipeline::error::{Error, Result};

use super::Interest;
use super::evidence;
use super::scopes::{Frozen, sentence};
use crate::check::finding::{Finding, Identity, IdentityParts, NOTHING, Severity, Status};
use crate::check::plan::{EvidenceColumn, OutputColumns, PlannedControl, PlannedQuery};

/// The longest piece of a row that a reason quotes, in characters.
const MAX_ROW_TEXT: usize = 1_000;

/// Collects the findings of one control.
pub(super) struct Collector<'a> {
    control: &'a PlannedControl,
    columns: &'a OutputColumns,
    frozen: &'a Frozen,
    interest: &'a Interest,
    no_dimensions: Arc<str>,
    /// The columns that what is not ok rests on.
    evidence: &'a [EvidenceColumn],
    /// The worst status of each identity, and where its finding is.
    seen: HashMap<Identity, (Status, usize)>,
    /// How many rows there were, those that did not matter too.
    pub(super) rows: usize,
    /// The findings that matter.
    pub(super) findings: Vec<Finding>,
    /// Rows that said again what another row had said.
    pub(super) duplicates: usize,
    /// The resource of the first of them.
    pub(super) duplicate: Option<String>,
}

/// The columns of one batch, as text.
struct TextColumns {
    resource: StringArray,
    status: Option<StringArray>,
    reason: StringArray,
    account_id: Option<StringArray>,
    region: Option<StringArray>,
    severity: Option<StringArray>,
    dimensions: Option<Vec<String>>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        control: &'a PlannedControl,
        query: &'a PlannedQuery,
        frozen: &'a Frozen,
        interest: &'a Interest,
    ) -> Self {
        Self {
            control,
            columns: &query.columns,
            evidence: &query.evidence,
            frozen,
            interest,
            no_dimensions: NOTHING.into(),
            seen: HashMap::new(),
            rows: 0,
            findings: Vec::new(),
            duplicates: 0,
            duplicate: None,
        }
    }

    /// Takes the rows of a batch.
    ///
    /// # Errors
    /// When a column cannot be written as text.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        match self.interest {
            Interest::All => self.take_all(batch),
            Interest::NotOk(resources) => {
                let matters = self.matters(batch, resources)?;
                if matters.true_count() == 0 { Ok(()) } else { self.take_all(&filter_record_batch(batch, &matters)?) }
            }
        }
    }

    /// Which rows need a look of their own: all but those that are plainly ok about a resource that nobody asks
    /// about. Most rows of most controls are, so that they must cost little.
    fn matters(&self, batch: &RecordBatch, resources: &HashSet<Arc<str>>) -> Result<BooleanArray> {
        let resource = text_column(batch, self.columns.resource)?;
        let reason = text_column(batch, self.columns.reason)?;
        let (Some(status), None) = (self.columns.status, self.columns.severity) else {
            return Ok(BooleanArray::from(vec![true; batch.num_rows()]));
        };
        let status = text_column(batch, status)?;
        let plainly_ok = |row: usize| {
            status.is_valid(row)
                && status.value(row) == Status::Ok.word()
                && text(Some(&reason), row).is_some_and(|reason| !reason.trim_start().is_empty())
                && text(Some(&resource), row).is_some_and(|name| resources.is_empty() || !resources.contains(name))
        };
        Ok(BooleanArray::from(BooleanBuffer::collect_bool(batch.num_rows(), |row| !plainly_ok(row))))
    }

    fn take_all(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = self.text_columns(batch)?;
        let no_dimensions = Arc::clone(&self.no_dimensions);
        let evidence = evidence::of_rows(batch, self.evidence, |row| {
            text(columns.status.as_ref(), row).is_none_or(|status| status != Status::Ok.word())
        })?;
        // A loop over rows: each finding is a value of its own with an identity of its own.
        for row in 0..batch.num_rows() {
            let account_id = text(columns.account_id.as_ref(), row);
            let region = text(columns.region.as_ref(), row);
            let resource = text(Some(&columns.resource), row);
            if self.frozen.covers(resource.unwrap_or_default(), account_id, region) {
                continue;
            }
            let (status, reason, severity) = match self.read_row(&columns, row) {
                Ok(read) => read,
                Err(what) => {
                    let reason = sentence(&format!("{what}: {}", row_text(batch, row)?));
                    (Status::Error, reason.into(), self.control.control.severity)
                }
            };
            let nameless = match resource {
                Some(_) => String::new(),
                None => format!("row:{:032x}", xxhash_rust::xxh3::xxh3_128(row_text(batch, row)?.as_bytes())),
            };
            let resource = resource.unwrap_or(&nameless);
            let dimensions = columns.dimensions.as_ref().map_or(&*no_dimensions, |lines| lines[row].as_str());
            let control = self.control;
            let parts = IdentityParts {
                pack: &control.pack,
                control: &control.control.id,
                resource,
                account_id,
                region,
                dimensions,
            };
            self.keep(parts, status, reason, severity, evidence.get(&row));
        }
        Ok(())
    }

    /// Status, reason and severity of a row, or what is wrong with it.
    fn read_row<'c>(
        &self,
        columns: &'c TextColumns,
        row: usize,
    ) -> std::result::Result<(Status, std::borrow::Cow<'c, str>, Severity), String> {
        if text(Some(&columns.resource), row).is_none() {
            return Err("The row has no resource".to_owned());
        }
        let status = match &columns.status {
            None => Status::Alarm,
            Some(words) => {
                let word = text(Some(words), row).ok_or("The row has no status")?;
                word.parse().map_err(|()| format!("`{word}` is not a status (ok, alarm, skip, info or error)"))?
            }
        };
        let reason = text(Some(&columns.reason), row).filter(|reason| !reason.trim().is_empty());
        let reason = reason.ok_or("The row has no reason")?;
        let severity = match text(columns.severity.as_ref(), row) {
            None => self.control.control.severity,
            Some(word) => word
                .parse()
                .map_err(|()| format!("`{word}` is not a severity (none, low, medium, high or critical)"))?,
        };
        Ok((status, reason.into(), severity))
    }

    fn keep(
        &mut self,
        parts: IdentityParts<'_>,
        status: Status,
        reason: std::borrow::Cow<'_, str>,
        severity: Severity,
        evidence: Option<&Arc<str>>,
    ) {
        let identity = Identity::from(parts);
        let place = match self.seen.entry(identity) {
            Entry::Vacant(entry) => {
                entry.insert((status, self.findings.len()));
                None
            }
            Entry::Occupied(mut entry) => {
                self.duplicates += 1;
                if self.duplicate.is_none() {
                    self.duplicate = Some(parts.resource.to_owned());
                }
                let (worst, place) = *entry.get();
                // Between equals the smaller reason and the higher severity, so that the order of rows does not matter.
                let known = &self.findings[place];
                let counts_more = (&*known.reason, severity) > (&*reason, known.severity);
                if status < worst || (status == worst && !counts_more) {
                    return;
                }
                entry.insert((status, place));
                Some(place)
            }
        };
        let finding = Finding {
            identity,
            pack: Arc::clone(&self.control.pack),
            control: Arc::clone(&self.control.control.id),
            title: Arc::clone(&self.control.control.title),
            resource: parts.resource.into(),
            status,
            reason: (&*reason).into(),
            severity,
            account_id: parts.account_id.map(Into::into),
            region: parts.region.map(Into::into),
            dimensions: match parts.dimensions == &*self.no_dimensions {
                true => Arc::clone(&self.no_dimensions),
                false => parts.dimensions.into(),
            },
            evidence: evidence.map_or_else(|| Arc::clone(&self.no_dimensions), Arc::clone),
        };
        match place {
            Some(place) => self.findings[place] = finding,
            None => self.findings.push(finding),
        }
    }

    fn text_columns(&self, batch: &RecordBatch) -> Result<TextColumns> {
        let column = |position: usize| text_column(batch, position);
        let columns = self.columns;
        let dimensions = match (columns.dimensions_text, columns.dimensions.is_empty()) {
            (Some(position), _) => Some(column(position)?.iter().map(|text| text.unwrap_or("{}").to_owned()).collect()),
            (None, true) => None,
            (None, false) => Some(json_lines(&batch.project(&columns.dimensions)?)?),
        };
        Ok(TextColumns {
            resource: column(columns.resource)?,
            status: columns.status.map(column).transpose()?,
            reason: column(columns.reason)?,
            account_id: columns.account_id.map(column).transpose()?,
            region: columns.region.map(column).transpose()?,
            severity: columns.severity.map(column).transpose()?,
            dimensions,
        })
    }
}

fn text_column(batch: &RecordBatch, position: usize) -> Result<StringArray> {
    let array = cast(batch.column(position), &DataType::Utf8)?;
    let texts = array.as_any().downcast_ref::<StringArray>().cloned();
    texts.ok_or_else(|| Error::internal("a cast to text gave something else"))
}

fn text(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column.filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

/// A row as JSON, cut to [`MAX_ROW_TEXT`] characters.
fn row_text(batch: &RecordBatch, row: usize) -> Result<String> {
    let text = json_lines(&batch.slice(row, 1))?.pop().unwrap_or_default();
    Ok(text.chars().take(MAX_ROW_TEXT).collect())
}

/// Each row as a JSON object, NULLs included, so that a column never disappears from it.
pub(super) fn json_lines(batch: &RecordBatch) -> Result<Vec<String>> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let text = String::from_utf8(writer.into_inner()).map_err(Error::internal)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.len() == batch.num_rows() {
        true => Ok(lines),
        false => Err(Error::internal("rows as JSON are not as many as the rows")),
    }
}
