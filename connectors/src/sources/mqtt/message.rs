//! From messages to events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};
use serde_json::{Map, Value, json};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::step::Position;

use crate::event::body::Body;
use crate::event::identity::Identity;
use crate::event::{Envelope, Event, EventMeta};

/// The user property by which a sender may name an event.
const UUID_PROPERTY: &str = "message_uuid";

/// The event that a message is; `number` is its place among all that were taken.
pub(super) fn event(message: &Publish, number: u64, envelope: &Envelope) -> Event {
    let topic = String::from_utf8_lossy(&message.topic);
    let at = format!("{topic}#{number}");
    let content = Body::of(&message.payload)
        .map(|body| envelope.line(&[body.field()], &meta(message, &topic)))
        .map_err(|reason| Rejected::new(at.clone(), reason, &message.payload));
    Event { content, at, position: Position(number.to_string().into()), reply: None }
}

/// What acknowledging a message needs of it.
pub(super) fn without_payload(message: &Publish) -> Publish {
    Publish { topic: Bytes::new(), payload: Bytes::new(), properties: None, ..message.clone() }
}

fn meta(message: &Publish, topic: &str) -> EventMeta {
    let mut more = Map::new();
    more.insert("topic".to_owned(), topic.into());
    more.insert("qos".to_owned(), (message.qos as u8).into());
    more.insert("retain".to_owned(), message.retain.into());
    more.insert("duplicate".to_owned(), message.dup.into());
    let mut identity = Identity::default();
    if let Some(properties) = &message.properties {
        let named = properties.user_properties.iter().find(|(name, _)| name == UUID_PROPERTY);
        identity = Identity::of(named.map(|(_, value)| value.as_str()), None);
        let properties = of_properties(properties);
        if !properties.is_empty() {
            more.insert("properties".to_owned(), properties.into());
        }
    }
    if let Some(id) = identity.message_id {
        more.insert("message_id".to_owned(), id.into());
    }
    EventMeta { uuid: identity.uuid, more, ..EventMeta::default() }
}

/// The properties that say something of the message. Bytes that are no text are in base64.
fn of_properties(given: &PublishProperties) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        properties.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("content_type", given.content_type.clone().map(Value::from));
    put("response_topic", given.response_topic.clone().map(Value::from));
    let text = |bytes: &Bytes| std::str::from_utf8(bytes).map_or_else(|_| STANDARD.encode(bytes), str::to_owned);
    put("correlation_data", given.correlation_data.as_ref().map(|bytes| text(bytes).into()));
    put("message_expiry", given.message_expiry_interval.map(|seconds| json!(seconds)));
    let user: Map<String, Value> =
        given.user_properties.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    put("user", (!user.is_empty()).then_some(Value::Object(user)));
    properties
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::QoS;

    use super::*;

    #[test]
    fn a_message_has_its_topic_and_properties_and_bytes_that_are_no_text_are_rejected_in_their_place() {
        let properties = PublishProperties {
            content_type: Some("application/json".to_owned()),
            user_properties: vec![("site".to_owned(), "north".to_owned())],
            correlation_data: Some(Bytes::from_static(b"\xff")),
            ..PublishProperties::default()
        };
        let mut message = Publish::new("a/b", QoS::AtLeastOnce, b"{\"n\":1}".to_vec(), Some(properties));
        let line = event(&message, 7, &Envelope::new("in", "mqtt")).content.unwrap();
        let row: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (&row["body"]["n"], &row["meta"]["topic"], &row["meta"]["qos"]),
            (&json!(1), &json!("a/b"), &json!(1))
        );
        let expected =
            json!({"content_type": "application/json", "correlation_data": "/w==", "user": {"site": "north"}});
        assert_eq!(row["meta"]["properties"], expected);
        message.payload = Bytes::from_static(b"\xff");
        let rejected = event(&message, 8, &Envelope::new("in", "mqtt")).content.unwrap_err();
        assert_eq!(rejected.position, "a/b#8");
    }
}
