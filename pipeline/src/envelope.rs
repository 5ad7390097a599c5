//! The envelope of events: the column `meta`, which says of each event what it is and where it came from.
//!
//! A source writes it before the journal; the engine completes it behind the journal, from the header of the step,
//! so that a replay gives the same. As Ansible EDA's `insert_meta_info`, what is there is never overwritten.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray};
use arrow::compute::is_null;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use uuid::Uuid;

use crate::error::Result;
use crate::step::StepHeader;

/// The name of the column.
pub const META: &str = "meta";
/// The member that names the event: text, a UUID.
pub const UUID: &str = "uuid";
/// The member that says when the event was received: the time of its step, a timestamp in µs, UTC.
pub const RECEIVED_AT: &str = "received_at";
/// The member that says what it was received from: a struct of `name` (the node) and `type` (the kind).
pub const SOURCE: &str = "source";
/// The member that names the hosts that the event is about: a list of text.
pub const HOSTS: &str = "hosts";

/// The column `meta` of a source whose events have these `more` members.
pub fn meta_field(more: impl IntoIterator<Item = Field>) -> Field {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let hosts = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    let members = [
        text(UUID),
        Field::new(RECEIVED_AT, received_at_type(), true),
        Field::new(SOURCE, DataType::Struct(Fields::from(vec![text("name"), text("type")])), true),
        Field::new(HOSTS, hosts, true),
    ];
    Field::new(META, DataType::Struct(members.into_iter().chain(more).collect()), true)
}

fn received_at_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// `rows` with `meta` completed: `received_at` is the step's time where it is NULL; `uuid` is derived from
/// pipeline, step and row where it is NULL. `first` is the index of the first row in its step. Rows without such a
/// column are given back as they are.
///
/// # Errors
/// Only for failures of the engine itself.
pub fn complete(rows: &RecordBatch, header: &StepHeader, pipeline: &str, first: usize) -> Result<RecordBatch> {
    let schema = rows.schema_ref();
    let Ok(at) = schema.index_of(META) else { return Ok(rows.clone()) };
    let Some(meta) = rows.column(at).as_struct_opt() else { return Ok(rows.clone()) };
    let (fields, mut members, nulls) = meta.clone().into_parts();
    for (field, member) in fields.iter().zip(&mut members) {
        *member = match (field.name().as_str(), field.data_type()) {
            (UUID, DataType::Utf8) => with_uuids(member, header, pipeline, first)?,
            (RECEIVED_AT, kind) if *kind == received_at_type() => with_time(member, header)?,
            _ => continue,
        };
    }
    let completed: ArrayRef = Arc::new(StructArray::try_new(fields, members, nulls)?);
    let mut columns = rows.columns().to_vec();
    columns[at] = completed;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn with_time(times: &ArrayRef, header: &StepHeader) -> Result<ArrayRef> {
    let time = header.time.0.saturating_mul(1000);
    if times.null_count() == times.len() {
        return Ok(Arc::new(TimestampMicrosecondArray::from(vec![time; times.len()]).with_timezone("UTC")));
    }
    if times.null_count() == 0 {
        return Ok(Arc::clone(times));
    }
    let now = TimestampMicrosecondArray::new_scalar(time).into_inner().with_timezone("UTC");
    Ok(zip(&is_null(times)?, &arrow::array::Scalar::new(now), times)?)
}

fn with_uuids(uuids: &ArrayRef, header: &StepHeader, pipeline: &str, first: usize) -> Result<ArrayRef> {
    if uuids.null_count() == 0 {
        return Ok(Arc::clone(uuids));
    }
    let name = |row: usize| format!("{pipeline}/{}/{}", header.number, first + row);
    let derived = |row: usize| Uuid::new_v5(&Uuid::NAMESPACE_OID, name(row).as_bytes()).to_string();
    let filled = uuids.as_string::<i32>().iter().enumerate();
    let filled = filled.map(|(row, uuid)| uuid.map_or_else(|| derived(row), str::to_owned));
    Ok(Arc::new(StringArray::from_iter_values(filled)))
}

/// The schema of events that have nothing but their envelope so far, and these `members` before it.
pub fn envelope_schema(members: impl IntoIterator<Item = Field>, more: impl IntoIterator<Item = Field>) -> SchemaRef {
    Arc::new(Schema::new(members.into_iter().chain([meta_field(more)]).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use arrow::json::ReaderBuilder;

    use super::*;
    use crate::step::{SchemaVersion, StepNumber, StepTime, Unit};

    fn header() -> StepHeader {
        StepHeader {
            number: StepNumber(7),
            time: StepTime(1_000),
            source: "in".into(),
            unit: Unit::Rows,
            schema_version: SchemaVersion::default(),
            watermark: None,
        }
    }

    fn completed(lines: &str) -> serde_json::Value {
        let schema = envelope_schema([Field::new("n", DataType::Int64, true)], []);
        let rows = ReaderBuilder::new(schema).build(lines.as_bytes()).unwrap().next().unwrap().unwrap();
        let done = complete(&rows, &header(), "p", 0).unwrap();
        let mut text = arrow::json::ArrayWriter::new(Vec::new());
        text.write(&done).unwrap();
        text.finish().unwrap();
        serde_json::from_slice(&text.into_inner()).unwrap()
    }

    #[test]
    fn what_the_source_did_not_say_comes_from_the_step_and_what_it_said_stays() {
        let mine = "0192d3a0-0000-7000-8000-000000000000";
        let given = format!(
            "{{\"n\":1,\"meta\":{{\"uuid\":\"{mine}\",\"received_at\":\"1970-01-02T00:00:00Z\"}}}}\n{{\"n\":2,\"meta\":{{}}}}"
        );
        let rows = completed(&given);
        assert_eq!(rows[0]["meta"]["uuid"], mine);
        assert_eq!(rows[0]["meta"]["received_at"], "1970-01-02T00:00:00Z");
        assert_eq!(rows[1]["meta"]["received_at"], "1970-01-01T00:00:01Z");
        let derived = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"p/7/1").to_string();
        assert_eq!(rows[1]["meta"]["uuid"], derived);
    }

    #[test]
    fn rows_without_an_envelope_stay_as_they_are() {
        let schema = Arc::new(Schema::new(vec![Field::new(META, DataType::Int64, true)]));
        let rows = RecordBatch::new_empty(schema);
        assert_eq!(complete(&rows, &header(), "p", 0).unwrap(), rows);
    }
}
