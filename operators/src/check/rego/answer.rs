//! What a policy answered → rows, as a query would give them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use regorus::Value;

use crate::check::pack::{FindingColumn, Mode};
use crate::check::plan::OutputColumns;

/// How an answer is read.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) mode: Mode,
    /// The fields that are columns, by column, each as a path; all fields by their own names where it is empty.
    pub(super) output: BTreeMap<FindingColumn, Vec<String>>,
    /// What is wrong where an alarm does not say why: the title of the control.
    pub(super) title: Arc<str>,
    /// What an alarm is about that is text only: `policy:PACKAGE`.
    pub(super) resource: String,
}

/// The rows of an answer, column by column, and the dimensions of each.
#[derive(Default)]
struct Rows {
    columns: BTreeMap<FindingColumn, Vec<Option<String>>>,
    dimensions: Vec<String>,
}

impl Reader {
    /// The columns of the rows.
    pub(super) fn columns(mode: Mode) -> OutputColumns {
        let at =
            |column: FindingColumn| FindingColumn::ALL.iter().position(|known| *known == column).unwrap_or_default();
        OutputColumns {
            resource: at(FindingColumn::Resource),
            status: (mode == Mode::Status).then(|| at(FindingColumn::Status)),
            reason: at(FindingColumn::Reason),
            account_id: Some(at(FindingColumn::AccountId)),
            region: Some(at(FindingColumn::Region)),
            severity: Some(at(FindingColumn::Severity)),
            dimensions: Vec::new(),
            dimensions_text: Some(FindingColumn::ALL.len()),
        }
    }

    /// The rows that the values of rules are, each with the path of its rule.
    ///
    /// # Errors
    /// What is wrong with the shape of a value, in one sentence without a final period.
    pub(super) fn rows(&self, values: &[(String, Value)]) -> Result<RecordBatch, String> {
        let mut rows = Rows::default();
        for (rule, value) in values {
            match value {
                Value::Array(items) => items.iter().try_for_each(|item| self.take(rule, item, &mut rows))?,
                Value::Set(items) => items.iter().try_for_each(|item| self.take(rule, item, &mut rows))?,
                Value::Undefined => {
                    return Err(format!("`{rule}` is undefined: it must be a set or an array, if an empty one"));
                }
                Value::Object(fields) => return Err(of_object(rule, fields.keys())),
                other => return Err(format!("`{rule}` is {}, not a set or an array of findings", kind(other))),
            }
        }
        rows.batch()
    }

    fn take(&self, rule: &str, item: &Value, rows: &mut Rows) -> Result<(), String> {
        let mut found: BTreeMap<FindingColumn, Option<String>> = BTreeMap::new();
        let mut dimensions: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        match item {
            Value::Object(fields) if self.output.is_empty() => {
                for (name, value) in fields.iter() {
                    let name = text(name).unwrap_or_default();
                    match self.column(&name, |known| item[known] != Value::Undefined) {
                        Some(column) => drop(found.insert(column, text(value))),
                        None => drop(dimensions.insert(name, json(value)?)),
                    }
                }
            }
            Value::Object(_) => {
                for (column, path) in &self.output {
                    found.insert(*column, text(at(item, path)));
                }
            }
            Value::String(message) if self.mode == Mode::Violations => {
                found.insert(FindingColumn::Resource, Some(self.resource.clone()));
                found.insert(FindingColumn::Reason, Some(message.to_string()));
                dimensions.insert("message".to_owned(), message.to_string().into());
            }
            other => {
                let wanted = match self.mode {
                    Mode::Status => "objects with `resource`, `status` and `reason`",
                    Mode::Violations => "objects or texts",
                };
                return Err(format!("`{rule}` holds {}: expected {wanted}", kind(other)));
            }
        }
        if self.mode == Mode::Violations {
            let reason = found.entry(FindingColumn::Reason).or_default();
            if reason.as_deref().is_none_or(|reason| reason.trim().is_empty()) {
                *reason = Some(self.title.to_string());
            }
        }
        rows.push(found, &dimensions)
    }

    /// The column that a field is; `None` for a dimension. Alarms of other tools say why in `msg` or `message`.
    fn column(&self, name: &str, has: impl Fn(&str) -> bool) -> Option<FindingColumn> {
        let is_message = || {
            let says_why = name == "msg" || (name == "message" && !has("msg"));
            self.mode == Mode::Violations && says_why && !has("reason")
        };
        FindingColumn::named(name).or_else(|| is_message().then_some(FindingColumn::Reason))
    }
}

impl Rows {
    fn push(
        &mut self,
        mut found: BTreeMap<FindingColumn, Option<String>>,
        dimensions: &BTreeMap<String, serde_json::Value>,
    ) -> Result<(), String> {
        for column in FindingColumn::ALL {
            self.columns.entry(column).or_default().push(found.remove(&column).flatten());
        }
        self.dimensions.push(serde_json::to_string(dimensions).map_err(|error| error.to_string())?);
        Ok(())
    }

    fn batch(mut self) -> Result<RecordBatch, String> {
        let fields = FindingColumn::ALL.map(|column| Field::new(column.name(), DataType::Utf8, true));
        let dimensions = Field::new("dimensions", DataType::Utf8, false);
        let schema = Schema::new(fields.into_iter().chain([dimensions]).collect::<Vec<_>>());
        let columns = FindingColumn::ALL
            .map(|column| Arc::new(StringArray::from(self.columns.remove(&column).unwrap_or_default())) as ArrayRef);
        let dimensions: ArrayRef = Arc::new(StringArray::from(self.dimensions));
        RecordBatch::try_new(Arc::new(schema), columns.into_iter().chain([dimensions]).collect())
            .map_err(|error| error.to_string())
    }
}

/// What is below a value; undefined where there is nothing.
pub(super) fn at<'v>(value: &'v Value, path: &[String]) -> &'v Value {
    path.iter().fold(value, |value, name| &value[name.as_str()])
}

/// A value as the text of a column; `None` where there is nothing.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Undefined | Value::Null => None,
        Value::String(text) => Some(text.to_string()),
        other => Some(other.to_string()),
    }
}

fn json(value: &Value) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|error| format!("a field of a finding is no JSON: {error}"))
}

fn of_object<'v>(rule: &str, keys: impl Iterator<Item = &'v Value>) -> String {
    let first = keys.filter_map(text).next();
    match first {
        Some(key) => format!(
            "`{rule}` is an object, not a set or an array of findings: name its field with `rule: {rule}.{key}`"
        ),
        None => format!("`{rule}` is an object, not a set or an array of findings"),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Undefined => "undefined",
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
    }
}
