//! Columns under construction: JSON goes straight from the line into Arrow's buffers, and a row that turns
//! out not to fit is taken back.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, BooleanBufferBuilder, Float64Array, Int64Array, ListArray, NullArray, NullBufferBuilder,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};
use arrow::error::ArrowError;

use super::scan::{Cursor, Misfit};
use crate::decode::shape::{timestamp_of_milliseconds, timestamp_of_text, timestamp_type};

/// How many members ahead are tried before a name is looked up: rows mostly keep one order.
const LOOK_AHEAD: usize = 4;

/// One column. Rows that do not mention it are filled up with NULLs later, at its next value or at the end,
/// so that a wide and sparse table costs only what its rows hold.
pub(crate) struct Column {
    length: usize,
    nulls: NullBufferBuilder,
    values: Values,
}

enum Values {
    Null,
    Bool(BooleanBufferBuilder),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text { ends: Vec<i32>, bytes: Vec<u8> },
    Timestamp(Vec<i64>),
    List { field: FieldRef, ends: Vec<i32>, items: Box<Column> },
    Struct(Members),
}

struct Members {
    fields: Fields,
    names: Vec<Name>,
    index: HashMap<Box<str>, usize>,
    columns: Vec<Column>,
    /// The member that is expected next.
    next: usize,
}

/// The name of a member as most files write it, `"name":`.
struct Name {
    bytes: Box<[u8]>,
    /// Its first 16 bytes as a number, and which bits of it count.
    head: u128,
    mask: u128,
}

impl Name {
    fn new(name: &str) -> Self {
        let mut bytes = serde_json::Value::from(name).to_string().into_bytes();
        bytes.push(b':');
        let mut head = [0; 16];
        let mut mask = [0; 16];
        for (at, byte) in bytes.iter().take(16).enumerate() {
            (head[at], mask[at]) = (*byte, u8::MAX);
        }
        Self { bytes: bytes.into(), head: u128::from_le_bytes(head), mask: u128::from_le_bytes(mask) }
    }

    /// Whether `text` begins with it. Nearly always two words decide, without a call.
    #[inline]
    fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk::<16>() {
            Some(start) => {
                (u128::from_le_bytes(*start) ^ self.head) & self.mask == 0
                    && (self.bytes.len() <= 16 || text.starts_with(&self.bytes))
            }
            None => text.starts_with(&self.bytes),
        }
    }
}

impl Column {
    /// An empty column with room for `rows`.
    ///
    /// # Errors
    /// When JSON cannot be decoded to `data_type` here.
    pub(crate) fn new(data_type: &DataType, rows: usize) -> Result<Self, ArrowError> {
        let values = match data_type {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(rows)),
            DataType::Int64 => Values::Int(Vec::with_capacity(rows)),
            DataType::Float64 => Values::Float(Vec::with_capacity(rows)),
            DataType::Utf8 => Values::Text { ends: Vec::with_capacity(rows), bytes: Vec::with_capacity(rows * 12) },
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Values::Timestamp(Vec::with_capacity(rows)),
            DataType::List(field) => {
                let items = Box::new(Self::new(field.data_type(), rows)?);
                Values::List { field: Arc::clone(field), ends: Vec::with_capacity(rows), items }
            }
            DataType::Struct(fields) => Values::Struct(Members::new(fields, rows)?),
            other => return Err(ArrowError::NotYetImplemented(format!("decoding JSON to {other}"))),
        };
        Ok(Self { length: 0, nulls: NullBufferBuilder::new(rows), values })
    }

    /// Takes the value at the cursor as row `row`. After an error [`Column::truncate`] must be called.
    pub(crate) fn take(&mut self, cursor: &mut Cursor<'_>, row: usize) -> Result<(), Misfit> {
        if self.length < row {
            self.fill(row);
        }
        if cursor.peek() == Some(b'n') {
            cursor.literal(b"null")?;
            self.fill(row + 1);
            return Ok(());
        }
        match &mut self.values {
            Values::Null => return Err(Misfit::Unfit),
            Values::Bool(values) => {
                let value = cursor.peek() == Some(b't');
                cursor.literal(if value { b"true" } else { b"false" })?;
                values.append(value);
            }
            Values::Int(values) => values.push(cursor.number()?.integer.ok_or(Misfit::Unfit)?),
            Values::Float(values) => values.push(float(cursor.number()?.token)?),
            Values::Text { ends, bytes } => {
                take_text(cursor, bytes)?;
                ends.push(i32::try_from(bytes.len()).map_err(|_| Misfit::Unfit)?);
            }
            Values::Timestamp(values) => values.push(take_timestamp(cursor)?),
            Values::List { ends, items, .. } => {
                take_list(cursor, items)?;
                ends.push(i32::try_from(items.length).map_err(|_| Misfit::Unfit)?);
            }
            Values::Struct(members) => members.take(cursor, row)?,
        }
        self.nulls.append_non_null();
        self.length += 1;
        Ok(())
    }

    /// Adds NULLs up to `rows` rows.
    fn fill(&mut self, rows: usize) {
        let Some(missing) = rows.checked_sub(self.length).filter(|missing| *missing > 0) else {
            return;
        };
        match &mut self.values {
            Values::Null | Values::Struct(_) => {}
            Values::Bool(values) => values.append_n(missing, false),
            Values::Int(values) | Values::Timestamp(values) => values.resize(rows, 0),
            Values::Float(values) => values.resize(rows, 0.0),
            Values::Text { ends, .. } | Values::List { ends, .. } => {
                ends.resize(rows, ends.last().copied().unwrap_or(0));
            }
        }
        self.nulls.append_n_nulls(missing);
        self.length = rows;
    }

    /// Takes back everything from row `rows` on, halves of rows included.
    pub(crate) fn truncate(&mut self, rows: usize) {
        let rows = rows.min(self.length);
        match &mut self.values {
            Values::Null => {}
            Values::Bool(values) => values.truncate(rows),
            Values::Int(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Float(values) => values.truncate(rows),
            Values::Text { ends, bytes } => {
                ends.truncate(rows);
                bytes.truncate(last(ends));
            }
            Values::List { ends, items, .. } => {
                ends.truncate(rows);
                items.truncate(last(ends));
            }
            Values::Struct(members) => members.columns.iter_mut().for_each(|column| column.truncate(rows)),
        }
        self.nulls.truncate(rows);
        self.length = rows;
    }

    /// The finished array of `rows` rows.
    ///
    /// # Errors
    /// When a text is not UTF-8.
    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        self.fill(rows);
        let nulls = self.nulls.finish();
        Ok(match self.values {
            Values::Null => Arc::new(NullArray::new(rows)),
            Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int64Array::new(values.into(), nulls)),
            Values::Float(values) => Arc::new(Float64Array::new(values.into(), nulls)),
            Values::Text { ends, bytes } => {
                Arc::new(StringArray::try_new(offsets(ends), Buffer::from_vec(bytes), nulls)?)
            }
            Values::Timestamp(values) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_data_type(timestamp_type()))
            }
            Values::List { field, ends, items } => {
                let items = items.finish(last(&ends))?;
                Arc::new(ListArray::try_new(field, offsets(ends), items, nulls)?)
            }
            Values::Struct(members) => members.finish(rows, nulls)?,
        })
    }
}

impl Members {
    fn new(fields: &Fields, rows: usize) -> Result<Self, ArrowError> {
        Ok(Self {
            fields: fields.clone(),
            names: fields.iter().map(|field| Name::new(field.name())).collect(),
            index: fields.iter().enumerate().map(|(at, field)| (field.name().as_str().into(), at)).collect(),
            columns: fields.iter().map(|field| Column::new(field.data_type(), rows)).collect::<Result<_, _>>()?,
            next: 0,
        })
    }

    fn take(&mut self, cursor: &mut Cursor<'_>, row: usize) -> Result<(), Misfit> {
        cursor.expect(b'{')?;
        cursor.skip_space();
        if cursor.peek() == Some(b'}') {
            cursor.advance(1);
            return Ok(());
        }
        self.next = 0;
        loop {
            let member = self.name(cursor)?;
            cursor.skip_space();
            let column = &mut self.columns[member];
            if column.length > row {
                return Err(Misfit::Repeated(self.fields[member].name().clone()));
            }
            column.take(cursor, row)?;
            cursor.skip_space();
            match cursor.peek() {
                Some(b',') => cursor.advance(1),
                Some(b'}') => {
                    cursor.advance(1);
                    return Ok(());
                }
                _ => return Err(Misfit::Unfit),
            }
            cursor.skip_space();
        }
    }

    /// The member whose name stands at the cursor, which is moved behind the colon.
    fn name(&mut self, cursor: &mut Cursor<'_>) -> Result<usize, Misfit> {
        let rest = cursor.rest();
        for (ahead, name) in self.names.iter().skip(self.next).take(LOOK_AHEAD).enumerate() {
            if name.begins(rest) {
                cursor.advance(name.bytes.len());
                let member = self.next + ahead;
                self.next = member + 1;
                return Ok(member);
            }
        }
        let mut name = Vec::new();
        cursor.string_into(&mut name)?;
        cursor.skip_space();
        cursor.expect(b':')?;
        let name = std::str::from_utf8(&name).map_err(|_| Misfit::Unfit)?;
        let member = *self.index.get(name).ok_or(Misfit::Unfit)?;
        self.next = member + 1;
        Ok(member)
    }

    fn finish(self, rows: usize, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let columns: Vec<ArrayRef> =
            self.columns.into_iter().map(|column| column.finish(rows)).collect::<Result<_, _>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(self.fields, columns, nulls, rows)?))
    }
}

fn take_text(cursor: &mut Cursor<'_>, bytes: &mut Vec<u8>) -> Result<(), Misfit> {
    match cursor.peek() {
        Some(b'"') => cursor.string_into(bytes),
        // A text column takes numbers and booleans as they are written.
        Some(b't') => cursor.literal(b"true").map(|()| bytes.extend_from_slice(b"true")),
        Some(b'f') => cursor.literal(b"false").map(|()| bytes.extend_from_slice(b"false")),
        _ => cursor.number().map(|number| bytes.extend_from_slice(number.token)),
    }
}

fn take_timestamp(cursor: &mut Cursor<'_>) -> Result<i64, Misfit> {
    if cursor.peek() != Some(b'"') {
        return cursor.number()?.integer.and_then(timestamp_of_milliseconds).ok_or(Misfit::Unfit);
    }
    let mut text = Vec::new();
    cursor.string_into(&mut text)?;
    std::str::from_utf8(&text).ok().and_then(timestamp_of_text).ok_or(Misfit::Unfit)
}

fn take_list(cursor: &mut Cursor<'_>, items: &mut Column) -> Result<(), Misfit> {
    cursor.expect(b'[')?;
    cursor.skip_space();
    if cursor.peek() == Some(b']') {
        cursor.advance(1);
        return Ok(());
    }
    loop {
        items.take(cursor, items.length)?;
        cursor.skip_space();
        match cursor.peek() {
            Some(b',') => cursor.advance(1),
            Some(b']') => {
                cursor.advance(1);
                return Ok(());
            }
            _ => return Err(Misfit::Unfit),
        }
        cursor.skip_space();
    }
}

/// The value of a number token; what overflows to infinity is refused.
fn float(token: &[u8]) -> Result<f64, Misfit> {
    if let Some(value) = short_float(token) {
        return Ok(value);
    }
    let value: f64 = std::str::from_utf8(token).ok().and_then(|text| text.parse().ok()).ok_or(Misfit::Unfit)?;
    if value.is_finite() { Ok(value) } else { Err(Misfit::Unfit) }
}

/// Exact where the digits fit 53 bits and the power of ten is exact too: then one division rounds correctly.
fn short_float(token: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if token.len() > 16 {
        return None;
    }
    let negative = token.first() == Some(&b'-');
    let (mut digits, mut decimals, mut point) = (0_u64, 0, 0);
    for byte in &token[usize::from(negative)..] {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                decimals += point;
            }
            b'.' => point = 1,
            _ => return None,
        }
    }
    if digits >= 1 << 53 {
        return None;
    }
    let value = digits as f64 / POWERS.get(decimals)?;
    Some(if negative { -value } else { value })
}

fn last(ends: &[i32]) -> usize {
    ends.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(&ends);
    OffsetBuffer::new(ScalarBuffer::from(offsets))
}
