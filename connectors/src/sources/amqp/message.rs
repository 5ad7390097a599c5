//! From messages to events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fe2o3_amqp::types::messaging::annotations::OwnedKey;
use fe2o3_amqp::types::messaging::{Body as AmqpBody, Message, MessageId, Properties};
use fe2o3_amqp::types::primitives::{SimpleValue, Value as AmqpValue};
use serde_json::{Map, Value};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::step::Position;

use crate::event::body::Body;
use crate::event::identity::Identity;
use crate::event::{Envelope, Event, EventMeta};

/// The application property by which a sender may name an event.
const UUID_PROPERTY: &str = "message_uuid";
/// How deep values may lie in one another.
const DEPTH: usize = 100;

/// The event that a message of `address` is; `number` is its place among all that were taken.
pub(super) fn event(message: &Message<AmqpBody<AmqpValue>>, address: &str, number: u64, envelope: &Envelope) -> Event {
    let at = format!("{address}#{number}");
    let position = Position(number.to_string().into());
    let content = match bytes(&message.body) {
        None => Err(Rejected::new(at.clone(), "the message's values lie too deep in one another", b"")),
        Some(bytes) => Body::of(&bytes)
            .map(|body| envelope.line(&[body.field()], &meta(message, address)))
            .map_err(|reason| Rejected::new(at.clone(), reason, &bytes)),
    };
    Event { content, at, position, reply: None }
}

/// About how many bytes a message holds.
pub(super) fn size(body: &AmqpBody<AmqpValue>) -> usize {
    match body {
        AmqpBody::Data(parts) => parts.iter().map(|part| part.0.len()).sum(),
        AmqpBody::Value(value) => match &value.0 {
            AmqpValue::String(text) => text.len(),
            AmqpValue::Binary(bytes) => bytes.len(),
            _ => std::mem::size_of::<AmqpValue>(),
        },
        AmqpBody::Sequence(_) | AmqpBody::Empty => std::mem::size_of::<AmqpValue>(),
    }
}

/// What a body holds: its bytes, its text, or its values as JSON.
fn bytes(body: &AmqpBody<AmqpValue>) -> Option<Vec<u8>> {
    Some(match body {
        AmqpBody::Data(parts) => parts.iter().flat_map(|part| part.0.iter().copied()).collect(),
        AmqpBody::Value(value) => match &value.0 {
            AmqpValue::String(text) => text.as_bytes().to_vec(),
            AmqpValue::Binary(bytes) => bytes.to_vec(),
            value => json(value, DEPTH)?.to_string().into_bytes(),
        },
        AmqpBody::Sequence(parts) => {
            let items = parts.iter().flat_map(|part| &part.0).map(|item| json(item, DEPTH));
            Value::Array(items.collect::<Option<_>>()?).to_string().into_bytes()
        }
        AmqpBody::Empty => Vec::new(),
    })
}

/// A value as JSON; `None` when it lies too deep.
fn json(value: &AmqpValue, depth: usize) -> Option<Value> {
    let deeper = depth.checked_sub(1)?;
    Some(match value {
        AmqpValue::Null => Value::Null,
        AmqpValue::Bool(value) => (*value).into(),
        AmqpValue::Ubyte(value) => (*value).into(),
        AmqpValue::Ushort(value) => (*value).into(),
        AmqpValue::Uint(value) => (*value).into(),
        AmqpValue::Ulong(value) => (*value).into(),
        AmqpValue::Byte(value) => (*value).into(),
        AmqpValue::Short(value) => (*value).into(),
        AmqpValue::Int(value) => (*value).into(),
        AmqpValue::Long(value) => (*value).into(),
        AmqpValue::Float(value) => f64::from(value.0).into(),
        AmqpValue::Double(value) => value.0.into(),
        AmqpValue::Char(value) => value.to_string().into(),
        AmqpValue::Timestamp(value) => time(value.milliseconds()),
        AmqpValue::Uuid(value) => uuid::Uuid::from_bytes(value.clone().into_inner()).to_string().into(),
        AmqpValue::Binary(value) => text(value).into(),
        AmqpValue::String(value) => value.as_str().into(),
        AmqpValue::Symbol(value) => value.as_str().into(),
        AmqpValue::List(items) => items.iter().map(|item| json(item, deeper)).collect::<Option<Vec<_>>>()?.into(),
        AmqpValue::Array(items) => items.0.iter().map(|item| json(item, deeper)).collect::<Option<Vec<_>>>()?.into(),
        AmqpValue::Map(entries) => {
            let mut map = Map::new();
            for (key, value) in entries.iter() {
                let key = match json(key, deeper)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                map.insert(key, json(value, deeper)?);
            }
            map.into()
        }
        AmqpValue::Described(described) => json(&described.value, deeper)?,
        AmqpValue::Decimal32(_) | AmqpValue::Decimal64(_) | AmqpValue::Decimal128(_) => format!("{value:?}").into(),
    })
}

/// Bytes as text; in base64 what is none.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| STANDARD.encode(bytes), str::to_owned)
}

fn time(milliseconds: i64) -> Value {
    jiff::Timestamp::from_millisecond(milliseconds).map_or_else(|_| milliseconds.into(), |time| time.to_string().into())
}

fn id(id: &MessageId) -> String {
    match id {
        MessageId::Ulong(number) => number.to_string(),
        MessageId::Uuid(uuid) => uuid::Uuid::from_bytes(uuid.clone().into_inner()).to_string(),
        MessageId::Binary(bytes) => text(bytes),
        MessageId::String(text) => text.clone(),
    }
}

fn meta(message: &Message<AmqpBody<AmqpValue>>, address: &str) -> EventMeta {
    let mut more = Map::new();
    more.insert("address".to_owned(), address.into());
    if let Some(header) = &message.header {
        more.insert("delivery_count".to_owned(), header.delivery_count.into());
    }
    let message_id = message.properties.as_ref().and_then(|properties| properties.message_id.as_ref()).map(id);
    if let Some(properties) = &message.properties {
        put_properties(properties, &mut more);
    }
    let mut named = None;
    if let Some(properties) = &message.application_properties {
        let headers: Map<String, Value> =
            properties.0.iter().map(|(name, value)| (name.clone(), Value::String(simple(value)))).collect();
        named = headers.get(UUID_PROPERTY).and_then(Value::as_str).map(str::to_owned);
        if !headers.is_empty() {
            more.insert("headers".to_owned(), headers.into());
        }
    }
    if let Some(annotations) = &message.message_annotations {
        let annotations: Map<String, Value> = annotations
            .0
            .iter()
            .filter_map(|(key, value)| {
                let OwnedKey::Symbol(key) = key else { return None };
                Some((key.as_str().to_owned(), Value::String(shown(json(value, DEPTH)?))))
            })
            .collect();
        if !annotations.is_empty() {
            more.insert("annotations".to_owned(), annotations.into());
        }
    }
    // The same message has the same id when it is sent again.
    let place = message_id.as_ref().map(|id| format!("{address}:{id}"));
    let identity = Identity::of(named.as_deref().or(message_id.as_deref()), place.as_deref());
    if let Some(id) = message_id.or(identity.message_id) {
        more.insert("message_id".to_owned(), id.into());
    }
    EventMeta { uuid: identity.uuid, more, ..EventMeta::default() }
}

fn put_properties(properties: &Properties, more: &mut Map<String, Value>) {
    let texts = [
        ("subject", properties.subject.clone()),
        ("content_type", properties.content_type.as_ref().map(|text| text.as_str().to_owned())),
        ("correlation_id", properties.correlation_id.as_ref().map(id)),
        ("reply_to", properties.reply_to.clone()),
        ("group_id", properties.group_id.clone()),
    ];
    more.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
}

/// All texts, so that the column of a property never changes its type.
fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn simple(value: &SimpleValue) -> String {
    json(&AmqpValue::from(value.clone()), DEPTH).map(shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use fe2o3_amqp::types::messaging::{AmqpSequence, AmqpValue as ValueSection, ApplicationProperties, Batch, Data};
    use serde_json::json;

    use super::*;

    fn row(body: AmqpBody<AmqpValue>) -> Value {
        let properties = Properties::builder().message_id("order 7".to_owned()).build();
        let headers = ApplicationProperties::builder().insert("tries", 3_i32).build();
        let message = Message::builder().properties(properties).application_properties(headers).body(body).build();
        let line = event(&message, "alerts", 1, &Envelope::new("in", "amqp")).content.unwrap();
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn data_values_and_sequences_become_json_or_text() {
        let data = AmqpBody::Data(Batch::new(vec![Data(b"{\"n\":".to_vec().into()), Data(b"1}".to_vec().into())]));
        assert_eq!(row(data)["body"], json!({"n": 1}));
        let text = AmqpBody::Value(ValueSection(AmqpValue::String("door open".to_owned())));
        assert_eq!(row(text)["text"], "door open");
        let map = [(AmqpValue::String("n".to_owned()), AmqpValue::Int(2))].into_iter().collect();
        assert_eq!(row(AmqpBody::Value(ValueSection(AmqpValue::Map(map))))["body"], json!({"n": 2}));
        let sequence = AmqpBody::Sequence(Batch::new(vec![AmqpSequence(vec![AmqpValue::Bool(true)])]));
        assert_eq!(row(sequence)["text"], "[true]");
        assert_eq!(row(AmqpBody::Empty)["text"], "");
    }

    #[test]
    fn an_id_that_is_no_uuid_is_kept_beside_one_that_is_derived_from_it() {
        let row = row(AmqpBody::Empty);
        assert_eq!((&row["meta"]["message_id"], &row["meta"]["headers"]["tries"]), (&json!("order 7"), &json!("3")));
        let derived = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, b"alerts:order 7").to_string();
        assert_eq!(row["meta"]["uuid"], derived.as_str());
    }
}
