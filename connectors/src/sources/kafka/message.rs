//! From messages to lines of events.

use std::fmt::Write as _;

use arrow::datatypes::DataType;
use memchr::memmem::Finder;
use rdkafka::message::{Headers, Message};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use tidegate_pipeline::rows::Rejected;
use uuid::Uuid;

use super::options::{BodyForm, Encoding, Tombstones};

/// The field of a body, and the header, that name an event.
const MESSAGE_UUID: &str = "message_uuid";

/// What the column `body` is, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyColumn {
    Undecided,
    Object,
    Text,
}

/// A body as it goes into a line.
enum Body<'a> {
    /// There is none.
    Missing,
    /// JSON text that is one object.
    Object(&'a [u8]),
    /// Anything else.
    Text(&'a str),
}

/// Writes messages as lines: `{"body":…,"meta":{…}}`.
pub(super) struct LineWriter {
    source: String,
    encoding: Encoding,
    tombstones: Tombstones,
    column: BodyColumn,
    /// The form was chosen by the user: what does not have it needs no warning.
    chosen: bool,
    uuid_field: Finder<'static>,
    told_uuid: bool,
    told_body: bool,
}

impl LineWriter {
    /// A writer for the source `node`; `known` is the type that the column `body` has already.
    pub(super) fn new(
        node: &str,
        encoding: Encoding,
        tombstones: Tombstones,
        form: BodyForm,
        known: Option<&DataType>,
    ) -> Self {
        let column = match (form, known) {
            (BodyForm::Object, _) | (BodyForm::Auto, Some(DataType::Struct(_))) => BodyColumn::Object,
            (BodyForm::Text, _) | (BodyForm::Auto, Some(DataType::Utf8)) => BodyColumn::Text,
            (BodyForm::Auto, _) => BodyColumn::Undecided,
        };
        Self {
            source: serde_json::json!({"name": node, "type": "kafka"}).to_string(),
            encoding,
            tombstones,
            column,
            chosen: form != BodyForm::Auto,
            uuid_field: Finder::new(MESSAGE_UUID),
            told_uuid: false,
            told_body: false,
        }
    }

    /// Appends the event of `message`, which is called `name`, to `out`, without the end of the line. Nothing is
    /// appended for a message that is skipped.
    ///
    /// # Errors
    /// Why the message is no event; nothing is appended then.
    pub(super) fn write(&mut self, message: &impl Message, name: &str, out: &mut Vec<u8>) -> Result<(), Rejected> {
        match message.payload() {
            None => self.write_body(message, Body::Missing, name, out),
            Some(payload) => self.write_payload(message, payload, name, out),
        }
        .map_err(|reason| Rejected::new(name, reason, message.payload().unwrap_or_default()))
    }

    /// The same for a message whose payload means the JSON text `json`.
    pub(super) fn write_json(
        &mut self,
        message: &impl Message,
        json: &[u8],
        name: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Rejected> {
        self.write_payload(message, json, name, out)
            .map_err(|reason| Rejected::new(name, reason, message.payload().unwrap_or_default()))
    }

    fn write_payload(
        &mut self,
        message: &impl Message,
        payload: &[u8],
        name: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if self.encoding == Encoding::Latin1 {
            let text: String = payload.iter().map(|byte| char::from(*byte)).collect();
            return self.write_body(message, body(&text), name, out);
        }
        if self.encoding == Encoding::Ascii && !payload.is_ascii() {
            return Err("the body is not ASCII".to_owned());
        }
        let text = std::str::from_utf8(payload).map_err(|error| format!("the body is not UTF-8: {error}"))?;
        self.write_body(message, body(text), name, out)
    }

    fn write_body(
        &mut self,
        message: &impl Message,
        body: Body<'_>,
        name: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if matches!(body, Body::Missing) && self.tombstones == Tombstones::Skip {
            return Ok(());
        }
        let (uuid, message_id) = self.identity(message, &body, name);
        out.push(b'{');
        self.push_body(&body, name, out);
        out.extend_from_slice(b"\"meta\":{\"uuid\":\"");
        out.extend_from_slice(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        out.extend_from_slice(b"\",\"source_offset\":");
        push_text(out, name);
        if let Some(time) = message.timestamp().to_millis().filter(|time| *time >= 0) {
            out.extend_from_slice(b",\"produced_at\":");
            push_number(out, time);
        }
        push_headers(out, message);
        if let Some(id) = message_id {
            out.extend_from_slice(b",\"message_id\":");
            push_text(out, &id);
        }
        push_key(out, message);
        out.extend_from_slice(b",\"source\":");
        out.extend_from_slice(self.source.as_bytes());
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// `"body":…,`, and what does not fit that column as `"body_text":…,`.
    fn push_body(&mut self, body: &Body<'_>, name: &str, out: &mut Vec<u8>) {
        let first = match body {
            Body::Missing => return,
            Body::Object(_) => BodyColumn::Object,
            Body::Text(_) => BodyColumn::Text,
        };
        if self.column == BodyColumn::Undecided {
            self.column = first;
        }
        if self.column != first && !self.chosen && !std::mem::replace(&mut self.told_body, true) {
            tracing::warn!(
                message = name,
                "Bodies are JSON objects and other things in turn: say `body: object` or `body: text`."
            );
        }
        match (self.column, body) {
            (BodyColumn::Object, Body::Object(json)) => {
                out.extend_from_slice(b"\"body\":");
                // Inside of texts JSON knows no line ends; elsewhere they are as good as spaces.
                let start = out.len();
                out.extend_from_slice(json);
                for byte in &mut out[start..] {
                    if matches!(byte, b'\n' | b'\r') {
                        *byte = b' ';
                    }
                }
            }
            (BodyColumn::Text, Body::Object(json)) => {
                out.extend_from_slice(b"\"body\":");
                push_text(out, &String::from_utf8_lossy(json));
            }
            (column, Body::Text(text)) => {
                let name: &[u8] = if column == BodyColumn::Object { b"\"body_text\":" } else { b"\"body\":" };
                out.extend_from_slice(name);
                push_text(out, text);
            }
            (_, Body::Missing | Body::Object(_)) => {}
        }
        out.push(b',');
    }

    /// The id of an event: the header, else the field of the body, else one that is derived from where it was read.
    /// What is given and no UUID comes along as `message_id`.
    fn identity(&mut self, message: &impl Message, body: &Body<'_>, name: &str) -> (Uuid, Option<String>) {
        let derived = || Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
        let Some(given) = header_uuid(message).or_else(|| self.body_uuid(body)) else {
            return (derived(), None);
        };
        match Uuid::parse_str(given.trim()) {
            Ok(uuid) => (uuid, None),
            Err(error) => {
                if !std::mem::replace(&mut self.told_uuid, true) {
                    tracing::warn!(message = name, %error, "A `message_uuid` is no UUID: it is kept as `meta.message_id`.");
                }
                (derived(), Some(given))
            }
        }
    }

    fn body_uuid(&self, body: &Body<'_>) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            message_uuid: Option<Value>,
        }
        let Body::Object(json) = body else { return None };
        // Few bodies have it: the whole of the others is not read for it.
        self.uuid_field.find(json)?;
        match serde_json::from_slice::<Named>(json).ok()?.message_uuid? {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}

/// What a body is.
fn body(text: &str) -> Body<'_> {
    let trimmed = text.trim_start_matches([' ', '\t', '\r', '\n']);
    // It is put into a line of JSON as it is, so it has to be exactly one value: anything else could forge `meta`.
    if trimmed.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return Body::Object(text.as_bytes());
    }
    Body::Text(text)
}

fn header_uuid(message: &impl Message) -> Option<String> {
    let headers = message.headers()?;
    let named = headers.iter().filter(|header| header.key == MESSAGE_UUID).last()?;
    std::str::from_utf8(named.value?).ok().map(str::to_owned)
}

/// `,"headers":{…}`; nothing when one of them is no text. Of several with one name the last counts.
fn push_headers(out: &mut Vec<u8>, message: &impl Message) {
    let Some(headers) = message.headers() else { return };
    let mut kept: Vec<(&str, Option<&str>)> = Vec::with_capacity(headers.count());
    for header in headers.iter() {
        let Ok(value) = header.value.map(std::str::from_utf8).transpose() else { return };
        match kept.iter_mut().find(|(name, _)| *name == header.key) {
            Some((_, known)) => *known = value,
            None => kept.push((header.key, value)),
        }
    }
    let mut before: &[u8] = b",\"headers\":{";
    for (name, value) in &kept {
        out.extend_from_slice(before);
        push_text(out, name);
        out.push(b':');
        match value {
            Some(value) => push_text(out, value),
            None => out.extend_from_slice(b"null"),
        }
        before = b",";
    }
    if !kept.is_empty() {
        out.push(b'}');
    }
}

/// `,"key":…`, or `,"key_hex":…` for one that is no text.
fn push_key(out: &mut Vec<u8>, message: &impl Message) {
    let Some(key) = message.key() else { return };
    match std::str::from_utf8(key) {
        Ok(text) => {
            out.extend_from_slice(b",\"key\":");
            push_text(out, text);
        }
        Err(_) => {
            let mut hex = String::with_capacity(key.len() * 2);
            for byte in key {
                let _ = write!(hex, "{byte:02x}");
            }
            out.extend_from_slice(b",\"key_hex\":");
            push_text(out, &hex);
        }
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn push_number(out: &mut Vec<u8>, number: i64) {
    let _ = serde_json::to_writer(out, &number);
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
    use serde_json::json;

    use super::*;

    fn message(payload: Option<&[u8]>, headers: Option<OwnedHeaders>) -> OwnedMessage {
        let (payload, key) = (payload.map(<[u8]>::to_vec), Some(b"k".to_vec()));
        OwnedMessage::new(payload, key, "t".to_owned(), Timestamp::CreateTime(1_708_714_664_000), 0, 5, headers)
    }

    fn writer(form: BodyForm) -> LineWriter {
        LineWriter::new("in", Encoding::Utf8, Tombstones::Skip, form, None)
    }

    fn line(writer: &mut LineWriter, payload: &[u8]) -> Value {
        let mut out = Vec::new();
        writer.write(&message(Some(payload), None), "t:0:5", &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_event_says_where_when_and_under_which_key_it_was_produced() {
        let row = line(&mut writer(BodyForm::Auto), b"{\"a\":\n1}");
        let uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, b"t:0:5").to_string();
        assert_eq!(
            row,
            json!({"body": {"a": 1}, "meta": {"uuid": uuid, "source_offset": "t:0:5",
                "produced_at": 1_708_714_664_000_i64, "key": "k", "source": {"name": "in", "type": "kafka"}}})
        );
    }

    #[test]
    fn the_header_names_an_event_before_its_body_and_what_is_no_uuid_is_kept_beside() {
        let (one, other) = ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b811-9dad-11d1-80b4-00c04fd430c8");
        let mut writer = writer(BodyForm::Auto);
        let named = format!("{{\"message_uuid\":\"{one}\"}}");
        assert_eq!(line(&mut writer, named.as_bytes())["meta"]["uuid"], one);
        let nested = line(&mut writer, b"{\"x\":{\"message_uuid\":\"nested\"}}");
        assert!(nested["meta"].get("message_id").is_none(), "only the body's own field names it");
        let headers = |value: &str| OwnedHeaders::new().insert(Header { key: MESSAGE_UUID, value: Some(value) });
        let mut out = Vec::new();
        writer.write(&message(Some(named.as_bytes()), Some(headers(other))), "t:0:5", &mut out).unwrap();
        let row: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&row["meta"]["uuid"], &row["meta"]["headers"]), (&json!(other), &json!({MESSAGE_UUID: other})));
        let wrong = line(&mut writer, br#"{"message_uuid": 17}"#);
        assert_eq!(wrong["meta"]["message_id"], "17");
        assert_eq!(wrong["meta"]["uuid"], Uuid::new_v5(&Uuid::NAMESPACE_OID, b"t:0:5").to_string());
    }

    #[test]
    fn falsy_bodies_are_events_too() {
        let mut objects = writer(BodyForm::Object);
        assert_eq!(line(&mut objects, b"{}")["body"], json!({}));
        for falsy in ["0", "\"\"", "[]", "false", ""] {
            assert_eq!(line(&mut objects, falsy.as_bytes())["body_text"], falsy);
            assert_eq!(line(&mut writer(BodyForm::Auto), falsy.as_bytes())["body"], falsy);
        }
    }

    #[test]
    fn the_first_body_says_what_the_column_is_and_what_does_not_fit_is_text_beside_it() {
        let mut objects = writer(BodyForm::Auto);
        assert_eq!(line(&mut objects, b"{\"a\":1}")["body"], json!({"a": 1}));
        let other = line(&mut objects, b"{broken");
        assert!(other.get("body").is_none() && other["body_text"] == "{broken");
        let mut texts = writer(BodyForm::Auto);
        assert_eq!(line(&mut texts, b"hello")["body"], "hello");
        assert_eq!(line(&mut texts, b"{\"a\":1}")["body"], "{\"a\":1}");
    }

    #[test]
    fn a_body_cannot_forge_what_stands_beside_it() {
        let forged = br#"{"a":1},"meta":{"uuid":"x"},"z":{"b":1}"#;
        let row = line(&mut writer(BodyForm::Object), forged);
        assert_eq!(row["body_text"].as_str().unwrap().as_bytes(), forged);
        assert_eq!(row["meta"]["source_offset"], "t:0:5");
    }

    #[test]
    fn undecodable_bytes_are_rejected_in_their_place_and_tombstones_are_skipped_or_kept() {
        let mut out = Vec::new();
        let rejected = writer(BodyForm::Auto).write(&message(Some(b"\xff"), None), "t:0:5", &mut out).unwrap_err();
        assert!(rejected.position == "t:0:5" && rejected.reason.contains("not UTF-8") && out.is_empty());
        writer(BodyForm::Auto).write(&message(None, None), "t:0:5", &mut out).unwrap();
        assert!(out.is_empty());
        let mut keeping = LineWriter::new("in", Encoding::Latin1, Tombstones::Keep, BodyForm::Auto, None);
        keeping.write(&message(None, None), "t:0:5", &mut out).unwrap();
        let row: Value = serde_json::from_slice(&out).unwrap();
        assert!(row.get("body").is_none() && row["meta"]["key"] == "k");
        assert_eq!(line(&mut keeping, b"\xe9")["body"], "é");
    }

    #[test]
    fn headers_that_are_no_text_are_left_out_and_the_last_of_a_name_counts() {
        let with = |value: &[u8]| {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "a", value: Some("1") })
                .insert(Header { key: "a", value: Some(value) });
            let mut out = Vec::new();
            writer(BodyForm::Auto).write(&message(Some(b"x"), Some(headers)), "t:0:5", &mut out).unwrap();
            serde_json::from_slice::<Value>(&out).unwrap()["meta"].get("headers").cloned()
        };
        assert_eq!(with(b"2"), Some(json!({"a": "2"})));
        assert_eq!(with(b"\xff"), None);
    }
}
