//! Avro values as JSON.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::types::Value as AvroValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

/// The named types of a schema.
pub(super) struct Names<'a> {
    types: HashMap<String, &'a Schema>,
    /// Whether a type contains itself.
    pub(super) recursive: bool,
}

impl<'a> Names<'a> {
    /// Those of `schema`.
    pub(super) fn of(schema: &'a Schema) -> Self {
        let mut names = Self { types: HashMap::new(), recursive: false };
        names.collect(schema, &mut Vec::new());
        names
    }

    fn collect(&mut self, schema: &'a Schema, within: &mut Vec<String>) {
        match schema {
            Schema::Record(record) => {
                let name = record.name.to_string();
                self.types.insert(name.clone(), schema);
                within.push(name);
                for field in &record.fields {
                    self.collect(&field.schema, within);
                }
                within.pop();
            }
            Schema::Array(array) => self.collect(&array.items, within),
            Schema::Map(map) => self.collect(&map.types, within),
            Schema::Union(union) => {
                for variant in union.variants() {
                    self.collect(variant, within);
                }
            }
            Schema::Ref { name } => self.recursive |= within.contains(&name.to_string()),
            _ => {}
        }
    }

    fn named(&self, schema: &'a Schema) -> &'a Schema {
        match schema {
            Schema::Ref { name } => self.types.get(&name.to_string()).copied().unwrap_or(schema),
            other => other,
        }
    }

    /// `value`, which has this schema, as JSON. Decimals and bytes are text, times as RFC 3339 writes them.
    pub(super) fn json(&self, value: AvroValue, schema: &'a Schema) -> Value {
        match (value, self.named(schema)) {
            (AvroValue::Union(at, value), Schema::Union(union)) => {
                let variant = union.variants().get(at as usize).unwrap_or(schema);
                self.json(*value, variant)
            }
            (AvroValue::Array(items), Schema::Array(array)) => {
                items.into_iter().map(|item| self.json(item, &array.items)).collect()
            }
            (AvroValue::Map(entries), Schema::Map(map)) => {
                // The order of a hash map is not that of the message, and not twice the same.
                let mut entries: Vec<_> = entries.into_iter().collect();
                entries.sort_by(|one, other| one.0.cmp(&other.0));
                let json = |(name, value)| (name, self.json(value, &map.types));
                Value::Object(entries.into_iter().map(json).collect())
            }
            (AvroValue::Record(fields), Schema::Record(record)) => {
                let mut object = Map::new();
                for (at, (name, value)) in fields.into_iter().enumerate() {
                    let value = match record.fields.get(at) {
                        Some(field) => self.json(value, &field.schema),
                        None => plain(value, 0),
                    };
                    object.insert(name, value);
                }
                Value::Object(object)
            }
            (value, Schema::Decimal(decimal)) => plain(value, decimal.scale),
            (value, _) => plain(value, 0),
        }
    }
}

/// A value without members; `scale` is that of decimals.
fn plain(value: AvroValue, scale: usize) -> Value {
    match value {
        AvroValue::Boolean(value) => value.into(),
        AvroValue::Int(value) => value.into(),
        AvroValue::Long(value) => value.into(),
        AvroValue::Float(value) => Value::from(value),
        AvroValue::Double(value) => Value::from(value),
        AvroValue::Bytes(bytes) | AvroValue::Fixed(_, bytes) => text_of(bytes),
        AvroValue::String(text) | AvroValue::Enum(_, text) => text.into(),
        AvroValue::Union(_, value) => plain(*value, scale),
        AvroValue::Decimal(decimal) => Vec::<u8>::try_from(&decimal).map_or(Value::Null, |bytes| scaled(&bytes, scale)),
        AvroValue::BigDecimal(decimal) => decimal.to_string().into(),
        AvroValue::Uuid(uuid) => uuid.to_string().into(),
        AvroValue::Date(days) => utc(Timestamp::from_second(i64::from(days) * 86_400), |at| at.date().to_string()),
        AvroValue::TimeMillis(time) => utc(Timestamp::from_millisecond(i64::from(time)), |at| at.time().to_string()),
        AvroValue::TimeMicros(time) => utc(Timestamp::from_microsecond(time), |at| at.time().to_string()),
        AvroValue::TimestampMillis(time) => utc(Timestamp::from_millisecond(time), |at| at.timestamp().to_string()),
        AvroValue::TimestampMicros(time) => utc(Timestamp::from_microsecond(time), |at| at.timestamp().to_string()),
        AvroValue::TimestampNanos(time) => {
            utc(Timestamp::from_nanosecond(i128::from(time)), |at| at.timestamp().to_string())
        }
        AvroValue::LocalTimestampMillis(time) => utc(Timestamp::from_millisecond(time), |at| at.datetime().to_string()),
        AvroValue::LocalTimestampMicros(time) => utc(Timestamp::from_microsecond(time), |at| at.datetime().to_string()),
        AvroValue::LocalTimestampNanos(time) => {
            utc(Timestamp::from_nanosecond(i128::from(time)), |at| at.datetime().to_string())
        }
        AvroValue::Duration(duration) => serde_json::json!({
            "months": u32::from(duration.months()),
            "days": u32::from(duration.days()),
            "millis": u32::from(duration.millis()),
        }),
        AvroValue::Null | AvroValue::Array(_) | AvroValue::Map(_) | AvroValue::Record(_) => Value::Null,
    }
}

/// Bytes that are text as that text, others in base64, marked as such.
fn text_of(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => format!("base64:{}", STANDARD.encode(error.as_bytes())).into(),
    }
}

/// A whole number in two's complement, with `scale` of its digits behind the point.
fn scaled(bytes: &[u8], scale: usize) -> Value {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let Some(missing) = 16_usize.checked_sub(bytes.len()) else {
        return format!("base64:{}", STANDARD.encode(bytes)).into();
    };
    let mut whole = [fill; 16];
    whole[missing..].copy_from_slice(bytes);
    let number = i128::from_be_bytes(whole);
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (before, behind) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{before}").into() } else { format!("{sign}{before}.{behind}").into() }
}

fn utc(time: Result<Timestamp, jiff::Error>, text: impl FnOnce(jiff::Zoned) -> String) -> Value {
    time.map_or(Value::Null, |time| text(time.to_zoned(TimeZone::UTC)).into())
}
