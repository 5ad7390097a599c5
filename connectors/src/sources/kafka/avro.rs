//! Avro bodies → JSON: with the schema of a registry, with a local one, or as container files.

mod value;

use std::path::Path;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::{Reader, Schema};
use serde_json::Value;
use tidegate_pipeline::error::Result;
use tidegate_pipeline::rows::Rejected;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::value::Names;
use super::AvroOptions;
use super::registry::Registry;

/// The longest message that is decoded, in bytes.
const LONGEST: usize = 1024 * 1024;
/// The longest message of a schema that contains itself: each of its bytes may be a level of the value.
const LONGEST_RECURSIVE: usize = 8 * 1024;
/// What the first byte of a message says that has the id of its schema behind it.
const WIRE_HEADER: u8 = 0;
/// What container files begin with.
const CONTAINER: &[u8] = b"Obj\x01";

/// Decodes Avro messages.
#[derive(Debug)]
pub(crate) struct AvroDecoder {
    local: Option<Schema>,
    registry: Option<Registry>,
    runtime: Handle,
}

/// Reads a schema.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_schema(file: &Path) -> Result<Schema, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Schema::parse_str(&text).map_err(|error| format!("it is no Avro schema: {error}"))
}

impl AvroDecoder {
    /// A decoder; must be called in a runtime, which the registry is asked on.
    ///
    /// # Errors
    /// When the registry's secrets or certificates cannot be read.
    pub(crate) fn new(options: &AvroOptions, cancel: CancellationToken) -> Result<Self> {
        // A few bytes may promise gigabytes: no value is longer than its message.
        apache_avro::util::max_allocation_bytes(16 * LONGEST);
        let registry = options.registry.as_ref().map(|registry| Registry::new(registry, cancel)).transpose()?;
        Ok(Self { local: options.local_schema.clone(), registry, runtime: Handle::current() })
    }

    /// The JSON text of a message that is called `name`, or why there is none. Blocks while the registry is asked.
    ///
    /// # Errors
    /// When the registry refuses to answer: no message can be decoded then.
    pub(crate) fn decode(&mut self, payload: &[u8], name: &str) -> Result<Result<Vec<u8>, Rejected>> {
        if payload.len() > LONGEST {
            let reason =
                format!("an Avro message of {} bytes; the longest that is decoded has {LONGEST}", payload.len());
            return Ok(Err(Rejected::new(name, reason, payload)));
        }
        let decoded = match self.registered(payload)? {
            Some(decoded) => decoded,
            None => match &self.local {
                Some(schema) => datum(payload, schema, None),
                None if payload.starts_with(CONTAINER) => container(payload),
                None => {
                    Err("no schema: neither a registry nor `avro_schema_file` has one, and it is no container file"
                        .to_owned())
                }
            },
        };
        Ok(decoded.map(|value| value.to_string().into_bytes()).map_err(|reason| Rejected::new(name, reason, payload)))
    }

    /// With the schema that the wire header names; `None` where the registry does not know one.
    fn registered(&mut self, payload: &[u8]) -> Result<Option<Result<Value, String>>> {
        let (Some(registry), Some((head, body))) = (&mut self.registry, payload.split_first_chunk::<5>()) else {
            return Ok(None);
        };
        let [WIRE_HEADER, id @ ..] = head else { return Ok(None) };
        let writer = self.runtime.block_on(registry.schema(u32::from_be_bytes(*id)))?;
        Ok(writer.map(|writer| datum(body, &writer, self.local.as_ref())))
    }
}

/// A value without a schema of its own.
fn datum(mut bytes: &[u8], writer: &Schema, reader: Option<&Schema>) -> Result<Value, String> {
    let names = Names::of(writer);
    if names.recursive && bytes.len() > LONGEST_RECURSIVE {
        return Err(format!("its schema contains itself, and it is longer than {LONGEST_RECURSIVE} bytes"));
    }
    let wrong = |error: apache_avro::Error| format!("it is not what its Avro schema says: {error}");
    let decoder = GenericDatumReader::builder(writer).maybe_reader_schema(reader).build().map_err(wrong)?;
    let value = decoder.read_value(&mut bytes).map_err(wrong)?;
    if !bytes.is_empty() {
        return Err(format!("{} bytes are left behind what its Avro schema says", bytes.len()));
    }
    let shape = reader.unwrap_or(writer);
    let names = if reader.is_some() { Names::of(shape) } else { names };
    Ok(in_a_map(names.json(value, shape)))
}

/// The first record of a container file.
fn container(bytes: &[u8]) -> Result<Value, String> {
    let wrong = |error: apache_avro::Error| format!("it is no good Avro container file: {error}");
    let mut reader = Reader::new(bytes).map_err(wrong)?;
    let schema = reader.writer_schema().clone();
    let names = Names::of(&schema);
    if names.recursive {
        return Err("container files whose schema contains itself are not decoded".to_owned());
    }
    let first = reader.next().ok_or("an Avro container file without a record")?.map_err(wrong)?;
    Ok(in_a_map(names.json(first, &schema)))
}

/// Events are maps: other values are called `value`.
fn in_a_map(value: Value) -> Value {
    if value.is_object() { value } else { serde_json::json!({ "value": value }) }
}

#[cfg(test)]
mod tests {
    use apache_avro::types::Value as AvroValue;
    use apache_avro::writer::datum::GenericDatumWriter;
    use serde_json::json;

    use super::*;

    const ORDER: &str = r#"{"type":"record","name":"Order","fields":[
        {"name":"id","type":"long"},
        {"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"note","type":["null","string"]},
        {"name":"raw","type":"bytes"}]}"#;

    fn written(schema: &Schema, value: AvroValue) -> Vec<u8> {
        GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
    }

    fn order() -> (Schema, Vec<u8>) {
        let schema = Schema::parse_str(ORDER).unwrap();
        let value = AvroValue::Record(vec![
            ("id".to_owned(), AvroValue::Long(7)),
            ("total".to_owned(), AvroValue::Decimal(vec![0xff, 0x85].into())),
            ("at".to_owned(), AvroValue::TimestampMillis(1_708_714_664_000)),
            ("note".to_owned(), AvroValue::Union(1, Box::new(AvroValue::String("x".to_owned())))),
            ("raw".to_owned(), AvroValue::Bytes(vec![0xff])),
        ]);
        let bytes = written(&schema, value);
        (schema, bytes)
    }

    async fn decode(local: Option<Schema>, payload: Vec<u8>) -> Result<Vec<u8>, Rejected> {
        let options = AvroOptions { local_schema: local, registry: None };
        let mut decoder = AvroDecoder::new(&options, CancellationToken::new()).unwrap();
        decoder.decode(&payload, "t:0:5").unwrap()
    }

    #[tokio::test]
    async fn a_record_becomes_an_object_with_readable_times_and_decimals() {
        let (schema, bytes) = order();
        let value: Value = serde_json::from_slice(&decode(Some(schema), bytes).await.unwrap()).unwrap();
        let expected =
            json!({"id": 7, "total": "-1.23", "at": "2024-02-23T18:57:44Z", "note": "x", "raw": "base64:/w=="});
        assert_eq!(value, expected);
    }

    #[tokio::test]
    async fn a_value_that_is_no_record_is_called_value() {
        let bytes = written(&Schema::Long, AvroValue::Long(5));
        assert_eq!(decode(Some(Schema::Long), bytes).await.unwrap(), b"{\"value\":5}");
    }

    #[tokio::test]
    async fn without_a_schema_container_files_are_read_and_the_rest_is_rejected() {
        let mut writer = apache_avro::Writer::new(&Schema::Long, Vec::new()).unwrap();
        writer.append_value(AvroValue::Long(5)).unwrap();
        let file = writer.into_inner().unwrap();
        assert_eq!(decode(None, file).await.unwrap(), b"{\"value\":5}");
        let rejected = decode(None, b"\x00\x00\x00\x00\x01x".to_vec()).await.unwrap_err();
        assert!(rejected.position == "t:0:5" && rejected.reason.starts_with("no schema"), "{rejected:?}");
    }

    #[tokio::test]
    async fn what_is_cut_too_long_or_deep_is_rejected() {
        let (schema, bytes) = order();
        let reason = |rejected: Result<Vec<u8>, Rejected>| rejected.unwrap_err().reason;
        assert!(reason(decode(Some(schema.clone()), bytes[..3].to_vec()).await).contains("Avro schema"));
        assert!(reason(decode(Some(schema.clone()), [bytes, vec![0]].concat()).await).contains("left behind"));
        assert!(reason(decode(Some(schema), vec![0; LONGEST + 1]).await).contains("1048577 bytes"));
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        let list = Schema::parse_str(list).unwrap();
        assert!(reason(decode(Some(list.clone()), vec![2; LONGEST]).await).contains("contains itself"));
        assert_eq!(decode(Some(list), vec![2, 0]).await.unwrap(), br#"{"next":{"next":null}}"#);
    }
}
