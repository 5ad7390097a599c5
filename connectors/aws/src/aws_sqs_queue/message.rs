//! A message as an event.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tidegate_connectors::event::{Envelope, EventMeta, Field};
use uuid::Uuid;

use super::options::BodyFormat;
use crate::fitting::Given;

/// The two forms of a message: with its body as columns where it is a JSON object or list, and as text.
pub(super) fn given(queue: &str, message: &Message, envelope: &Envelope, format: BodyFormat) -> Given {
    let id = message.message_id().unwrap_or_default();
    let body = message.body().unwrap_or_default();
    let meta = meta(id, message);
    let text = Value::from(body);
    let (columns, name) = match format {
        BodyFormat::Text => (None, "body"),
        BodyFormat::Json if !is_structured(body) => (None, "text"),
        BodyFormat::Json => (Some(envelope.line(&[("body", Field::Raw(body.as_bytes()))], &meta)), "text"),
    };
    Given { at: format!("{queue}/{id}"), columns, text: envelope.line(&[(name, Field::Value(&text))], &meta) }
}

/// Whether a body is a JSON object or list. Other JSON stays text: a number today would make the column one of
/// numbers, in which tomorrow's objects do not fit.
fn is_structured(body: &str) -> bool {
    body.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(body).is_ok()
}

fn meta(id: &str, message: &Message) -> EventMeta {
    let attribute = |name: MessageSystemAttributeName| message.attributes().and_then(|known| known.get(&name));
    let number = |name| attribute(name).and_then(|text| text.parse::<i64>().ok());
    let mut more = Map::new();
    more.insert("MessageId".to_owned(), id.into());
    more.insert("sent_at".to_owned(), number(MessageSystemAttributeName::SentTimestamp).into());
    more.insert("receive_count".to_owned(), number(MessageSystemAttributeName::ApproximateReceiveCount).into());
    more.insert("group".to_owned(), attribute(MessageSystemAttributeName::MessageGroupId).cloned().into());
    EventMeta { uuid: Some(uuid(id)), hosts: Vec::new(), more }
}

/// The id of the message; where it is no UUID, one that is derived from it.
fn uuid(id: &str) -> String {
    Uuid::parse_str(id).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(body: &str, format: BodyFormat) -> (Option<Value>, Value) {
        let message = Message::builder().message_id("m").body(body).build();
        let given = given("q", &message, &Envelope::new("in", "aws_sqs_queue"), format);
        let read = |line: &[u8]| serde_json::from_slice(line).unwrap();
        (given.columns.as_deref().map(read), read(&given.text))
    }

    #[test]
    fn objects_and_lists_are_columns_and_everything_else_is_text() {
        let (columns, text) = forms(" {\"a\":\n[1]}", BodyFormat::Json);
        assert_eq!(columns.unwrap()["body"]["a"][0], 1);
        assert_eq!(text["text"], " {\"a\":\n[1]}");
        for body in ["", "plain", "7", "null", "\"quoted\"", "{broken", "[1,"] {
            let (columns, text) = forms(body, BodyFormat::Json);
            assert_eq!((columns, &text["text"]), (None, &Value::from(body)));
        }
        let (columns, text) = forms("{\"a\":1}", BodyFormat::Text);
        assert_eq!((columns, &text["body"]), (None, &Value::from("{\"a\":1}")));
    }

    #[test]
    fn the_uuid_is_the_id_of_the_message_or_derived_from_it() {
        let own = "0b1c7a50-5d0c-4b53-9f3f-6a1f3b1e2d4c";
        assert_eq!(uuid(own), own);
        assert_eq!(uuid("m"), uuid("m"));
        assert_ne!(uuid("m"), uuid("n"));
        assert_eq!(forms("x", BodyFormat::Json).1["meta"]["MessageId"], "m");
    }
}
