//! From messages to events.

use async_nats::Message;
use serde_json::{Map, Value};
use tidegate_pipeline::rows::Rejected;
use tidegate_pipeline::step::Position;

use crate::event::body::Body;
use crate::event::identity::Identity;
use crate::event::{Envelope, Event, EventMeta};

/// The header by which senders name a message, so that a stream takes it once.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Where a message of a stream stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) stream: String,
    pub(super) sequence: u64,
    /// How often it has been sent.
    pub(super) delivered: i64,
}

/// The event that a message is; `seen` is its number among those of subjects without a stream.
pub(super) fn event(
    message: &Message,
    place: Option<&Place>,
    seen: u64,
    position: Position,
    envelope: &Envelope,
) -> Event {
    let at = match place {
        Some(place) => format!("{}:{}", place.stream, place.sequence),
        None => format!("{}#{seen}", message.subject),
    };
    let content = Body::of(&message.payload)
        .map(|body| envelope.line(&[body.field()], &meta(message, place, &at)))
        .map_err(|reason| Rejected::new(at.clone(), reason, &message.payload));
    Event { content, at, position, reply: None }
}

fn meta(message: &Message, place: Option<&Place>, at: &str) -> EventMeta {
    let mut more = Map::new();
    more.insert("subject".to_owned(), message.subject.as_str().into());
    if let Some(reply) = &message.reply
        && place.is_none()
    {
        more.insert("reply".to_owned(), reply.as_str().into());
    }
    if let Some(place) = place {
        more.insert("stream".to_owned(), place.stream.as_str().into());
        more.insert("sequence".to_owned(), place.sequence.into());
        more.insert("delivered".to_owned(), place.delivered.into());
    }
    let mut given = None;
    if let Some(headers) = &message.headers {
        given = headers.get(MESSAGE_ID).map(|id| id.as_str().to_owned());
        let value = |values: &[async_nats::HeaderValue]| {
            Value::from(values.iter().map(async_nats::HeaderValue::as_str).collect::<Vec<_>>().join(", "))
        };
        let headers: Map<String, Value> =
            headers.iter().map(|(name, values)| (name.to_string(), value(values))).collect();
        more.insert("headers".to_owned(), headers.into());
    }
    let identity = Identity::of(given.as_deref(), place.map(|_| at));
    if let Some(id) = identity.message_id {
        more.insert("message_id".to_owned(), id.into());
    }
    EventMeta { uuid: identity.uuid, more, ..EventMeta::default() }
}
