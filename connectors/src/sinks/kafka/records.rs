//! Rows → messages.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use tidegate_pipeline::error::{Error, Result};
use tidegate_pipeline::expression::Expression;
use tidegate_pipeline::step::{StepHeader, StepNumber};

use crate::sinks::file::encode_json_lines;

/// The messages of the rows of one step.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) step: StepNumber,
    /// The rows as JSON lines.
    lines: Vec<u8>,
    keys: Option<StringArray>,
    headers: Vec<(String, StringArray)>,
}

/// One message.
pub(super) struct Record<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) body: &'a [u8],
    pub(super) headers: Vec<(&'a str, &'a str)>,
}

/// Makes messages of rows.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pub(super) key: Option<Expression>,
    pub(super) headers: Vec<(String, Expression)>,
}

impl Encoder {
    /// The messages of `rows`.
    ///
    /// # Errors
    /// When a key or header cannot be computed, or a column has no form in JSON.
    pub(super) fn encode(&mut self, step: &StepHeader, rows: &RecordBatch) -> Result<Records> {
        let mut texts = |expression: &mut Expression| -> Result<StringArray> {
            let values: ArrayRef = cast(&expression.evaluate(rows, step.time)?, &DataType::Utf8)?;
            Ok(values.as_string::<i32>().clone())
        };
        let keys = self.key.as_mut().map(&mut texts).transpose()?;
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, expression) in &mut self.headers {
            headers.push((name.clone(), texts(expression)?));
        }
        let mut lines = Vec::new();
        encode_json_lines(rows, &mut lines)?;
        let found = memchr::memchr_iter(b'\n', &lines).count();
        if found != rows.num_rows() {
            return Err(Error::internal(format!("{} rows became {found} lines of JSON", rows.num_rows())));
        }
        Ok(Records { step: step.number, lines, keys, headers })
    }
}

impl Records {
    /// About how many bytes they hold.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.keys.iter().chain(self.headers.iter().map(|(_, values)| values));
        self.lines.len() + texts.map(Array::get_array_memory_size).sum::<usize>()
    }

    /// The messages, in the order of the rows.
    pub(super) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let lines = self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.enumerate().map(|(row, body)| {
            let value = |values: &'_ StringArray| values.is_valid(row);
            let headers = self.headers.iter().filter(|(_, values)| value(values));
            Record {
                key: self.keys.as_ref().filter(|keys| keys.is_valid(row)).map(|keys| keys.value(row)),
                body,
                headers: headers.map(|(name, values)| (name.as_str(), values.value(row))).collect(),
            }
        })
    }
}
