//! What a sink has given up, as rows of its port `dead_letter`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListArray, RecordBatch, StringArray, StructArray, TimestampMillisecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::error::Result;
use crate::journal::record::DeadLetter;

/// The name of the port of a sink that dispatches: effects that it has given up.
pub const DEAD_LETTER: &str = "dead_letter";
/// The zone of its times.
const UTC: &str = "UTC";

fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())), false)
}

fn failure() -> Fields {
    let attempt = Field::new("attempt", DataType::UInt32, false);
    Fields::from(vec![attempt, time("at"), Field::new("reason", DataType::Utf8, false)])
}

/// The columns of every port `dead_letter`.
pub fn dead_letter_schema() -> SchemaRef {
    let history = DataType::List(Arc::new(Field::new("item", DataType::Struct(failure()), false)));
    Arc::new(Schema::new(vec![
        Field::new("node", DataType::Utf8, false),
        Field::new("effect", DataType::Utf8, false),
        Field::new("step", DataType::UInt64, false),
        Field::new("row", DataType::UInt64, false),
        Field::new("key", DataType::Utf8, true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("attempts", DataType::UInt32, false),
        Field::new("history", history, false),
        Field::new("body", DataType::Utf8, false),
        time("given_up_at"),
    ]))
}

/// Dead letters of the sink `node` as rows.
pub(crate) fn dead_letter_rows(node: &str, letters: &[DeadLetter]) -> Result<RecordBatch> {
    let text =
        |of: fn(&DeadLetter) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(letters.iter().map(of))) };
    let times = |times: Vec<i64>| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(times).with_timezone(UTC)) };
    let failures = || letters.iter().flat_map(|letter| &letter.history);
    let reasons = StringArray::from_iter_values(failures().map(|failure| failure.reason.as_str()));
    let at = times(failures().map(|failure| failure.time).collect());
    let attempts = UInt32Array::from_iter_values(failures().map(|failure| failure.attempt));
    let failures = StructArray::try_new(failure(), vec![Arc::new(attempts), at, Arc::new(reasons)], None)?;
    let offsets = OffsetBuffer::from_lengths(letters.iter().map(|letter| letter.history.len()));
    let item = Arc::new(Field::new("item", DataType::Struct(failure()), false));
    let history = ListArray::try_new(item, offsets, Arc::new(failures), None)?;
    Ok(RecordBatch::try_new(
        dead_letter_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(node, letters.len()))),
            text(|letter| &letter.effect),
            Arc::new(UInt64Array::from_iter_values(letters.iter().map(|letter| letter.step.0))),
            Arc::new(UInt64Array::from_iter_values(letters.iter().map(|letter| u64::from(letter.row)))),
            Arc::new(letters.iter().map(|letter| letter.key.as_deref()).collect::<StringArray>()),
            text(|letter| &letter.reason),
            Arc::new(UInt32Array::from_iter_values(letters.iter().map(|letter| letter.attempts))),
            Arc::new(history),
            text(|letter| &letter.body),
            times(letters.iter().map(|letter| letter.given_up_at).collect()),
        ],
    )?)
}
