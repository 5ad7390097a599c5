//! Rows → the bodies of requests, as the outbox keeps them.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use minijinja::Value;
use minijinja::value::Serde;
use parking_lot::Mutex;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::sink::{EffectMaker, EffectPayload};
use tidegate_pipeline::step::StepHeader;

use super::stored;
use super::template::{PARAMETERS, ROW, ROWS, TIME, Template};
use crate::sinks::file::encode_json_lines;

/// What the body of a request is made of.
#[derive(Clone)]
pub(super) enum Content {
    /// The row as a JSON object; of a batch, an array.
    Row,
    /// The row inside a CloudEvent of this type.
    CloudEvent(String),
    /// What a template makes of the row, or of the rows of a batch.
    Template {
        template: Template,
        /// Whether the result must be JSON.
        is_json: bool,
    },
}

/// How many rows of a step may share a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// Makes effects of rows.
#[derive(Clone)]
pub(super) struct Encoder {
    pub(super) content: Content,
    /// Templates whose results are `parameters` of the others.
    pub(super) parameters: BTreeMap<String, Template>,
    pub(super) batch: Option<Batch>,
    pub(super) key: Option<Expression>,
    /// Where to send to, where the row decides.
    pub(super) url: Option<Template>,
    /// The longest body, in bytes.
    pub(super) longest: usize,
}

/// See [`EffectMaker`].
pub(super) struct Maker(Mutex<Encoder>);

impl Maker {
    pub(super) fn new(encoder: Encoder) -> Self {
        Self(Mutex::new(encoder))
    }
}

impl EffectMaker for Maker {
    fn make(
        &self,
        step: &StepHeader,
        rows: &RecordBatch,
        rejected: &mut Vec<(u64, Rejected)>,
    ) -> Result<Vec<EffectPayload>> {
        self.0.lock().make(step, rows, rejected)
    }
}

/// A row that goes out: its key, and what of it goes into the body.
struct Piece<'a> {
    row: u64,
    key: Option<&'a str>,
    line: &'a [u8],
}

/// Rows of one key that share a request.
#[derive(Default)]
struct Group<'a> {
    pieces: Vec<Piece<'a>>,
    bytes: usize,
}

impl Encoder {
    fn make(
        &mut self,
        step: &StepHeader,
        rows: &RecordBatch,
        rejected: &mut Vec<(u64, Rejected)>,
    ) -> Result<Vec<EffectPayload>> {
        let (keys, bad) = self.keys(step, rows)?;
        let text = self.lines(rows)?;
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        if lines.len() != rows.num_rows() {
            return Err(Error::internal(format!("{} rows became {} lines of JSON", rows.num_rows(), lines.len())));
        }
        let mut pieces = Vec::with_capacity(lines.len());
        for (row, line) in lines.into_iter().enumerate() {
            match bad.get(&row) {
                Some(reason) => {
                    rejected
                        .push((row as u64, Rejected::new("", format!("its key cannot be computed: {reason}"), line)));
                }
                None => {
                    let key = keys.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row));
                    pieces.push(Piece { row: row as u64, key, line });
                }
            }
        }
        let mut made = Vec::with_capacity(pieces.len());
        for group in self.groups(pieces) {
            match self.request(step, &group) {
                Ok(body) => {
                    let key = group.pieces[0].key.map(str::to_owned);
                    made.push(EffectPayload { key, body });
                }
                Err(reason) => {
                    let rejects = group.pieces.iter();
                    rejected.extend(rejects.map(|piece| (piece.row, Rejected::new("", reason.clone(), piece.line))));
                }
            }
        }
        Ok(made)
    }

    /// The keys of the rows, and why some have none.
    fn keys(&mut self, step: &StepHeader, rows: &RecordBatch) -> Result<(Option<StringArray>, HashMap<usize, String>)> {
        let Some(key) = &mut self.key else { return Ok((None, HashMap::new())) };
        let evaluated = key.evaluate_rows(rows, step.time)?;
        let keys = cast(&evaluated.values, &DataType::Utf8)?.as_string::<i32>().clone();
        Ok((Some(keys), evaluated.bad.into_iter().map(|bad| (bad.row, bad.reason)).collect()))
    }

    /// The rows as JSON lines. Templates see NULLs, bodies leave them out.
    fn lines(&self, rows: &RecordBatch) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        match &self.content {
            Content::Row | Content::CloudEvent(_) if self.url.is_none() => encode_json_lines(rows, &mut text)?,
            _ => {
                let format = "%Y-%m-%dT%H:%M:%S%.fZ".to_owned();
                let builder = WriterBuilder::new().with_explicit_nulls(true).with_timestamp_format(format);
                let mut writer = builder.build::<_, LineDelimited>(&mut text);
                writer.write(rows).map_err(|error| {
                    Error::user(format!("the rows cannot be written as JSON: {error}"))
                        .with_remedy("cast the column with `select`")
                })?;
            }
        }
        Ok(text)
    }

    /// The rows of each request, in order. Those of one key stay in order and never share one with another key.
    fn groups<'a>(&self, pieces: Vec<Piece<'a>>) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        let Some(batch) = self.batch else {
            return pieces.into_iter().map(|piece| Group { bytes: piece.line.len(), pieces: vec![piece] }).collect();
        };
        let mut open: HashMap<Option<&str>, usize> = HashMap::new();
        for piece in pieces {
            let fits =
                |group: &Group<'_>| group.pieces.len() < batch.rows && group.bytes + piece.line.len() < batch.bytes;
            let index = match open.get(&piece.key) {
                Some(index) if fits(&groups[*index]) => *index,
                _ => {
                    groups.push(Group::default());
                    open.insert(piece.key, groups.len() - 1);
                    groups.len() - 1
                }
            };
            groups[index].bytes += piece.line.len() + 1;
            groups[index].pieces.push(piece);
        }
        groups
    }

    /// What the outbox keeps of one request, or why it cannot be made.
    fn request(&self, step: &StepHeader, group: &Group<'_>) -> Result<Vec<u8>, String> {
        let body = self.body(step, group)?;
        if body.len() > self.longest {
            return Err(format!("its body would have {} bytes, the most is {} (`max_body`)", body.len(), self.longest));
        }
        match (&self.url, group.pieces.first()) {
            (Some(url), Some(piece)) => {
                let url = url.render(self.with_parameters(columns(step, piece.line)?)?)?;
                crate::sources::http_client::parse(url.trim()).map_err(|why| format!("its `url`: {why}"))?;
                stored::with_url(url.trim(), body)
            }
            _ => Ok(body),
        }
    }

    fn body(&self, step: &StepHeader, group: &Group<'_>) -> Result<Vec<u8>, String> {
        let lines = || group.pieces.iter().map(|piece| piece.line);
        match &self.content {
            Content::Row if self.batch.is_some() => Ok(stored::array(lines())),
            Content::Row => Ok(lines().flatten().copied().collect()),
            // Ids come with the effect's own: an event a line until then.
            Content::CloudEvent(kind) => {
                let events = lines().map(|line| stored::cloud_event(kind, step.time, line));
                Ok(events.collect::<Result<Vec<_>, _>>()?.join(&b'\n'))
            }
            Content::Template { template, is_json } => {
                let text = template.render(self.with_parameters(self.context(step, group)?)?)?;
                if *is_json { compact(&text) } else { Ok(text.into_bytes()) }
            }
        }
    }

    /// With the parameters of a preset.
    fn with_parameters(&self, mut context: BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, String> {
        if self.parameters.is_empty() {
            return Ok(context);
        }
        let mut made = BTreeMap::new();
        for (name, parameter) in &self.parameters {
            made.insert(name.clone(), Value::from(parameter.render(context.clone())?));
        }
        context.insert(PARAMETERS.to_owned(), Value::from(made));
        Ok(context)
    }

    /// What a template may name.
    fn context(&self, step: &StepHeader, group: &Group<'_>) -> Result<BTreeMap<String, Value>, String> {
        match (&self.batch, group.pieces.first()) {
            (None, Some(piece)) => columns(step, piece.line),
            _ => {
                let rows = group.pieces.iter().map(|piece| parsed(piece.line).map(|row| Value::from(Serde(row))));
                let rows = rows.collect::<Result<Vec<_>, _>>()?;
                let time = Value::from(step.time.to_string());
                Ok(BTreeMap::from([(ROWS.to_owned(), Value::from(rows)), (TIME.to_owned(), time)]))
            }
        }
    }
}

/// The columns of one row, all of them as `row`, and the time. A column has precedence, but for `row`.
fn columns(step: &StepHeader, line: &[u8]) -> Result<BTreeMap<String, Value>, String> {
    let row = parsed(line)?;
    let mut context = BTreeMap::from([(TIME.to_owned(), Value::from(step.time.to_string()))]);
    for (name, value) in row.as_object().into_iter().flatten() {
        context.insert(name.clone(), Value::from(Serde(value)));
    }
    context.insert(ROW.to_owned(), Value::from(Serde(&row)));
    Ok(context)
}

fn parsed(line: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::from_slice(line).map_err(|error| format!("the row is no JSON: {error}"))
}

/// JSON without the white space of the template that made it.
fn compact(text: &str) -> Result<Vec<u8>, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        format!("the template does not give JSON: {error}; `{{{{ value | tojson }}}}` quotes a value")
    })?;
    serde_json::to_vec(&value).map_err(|error| error.to_string())
}
