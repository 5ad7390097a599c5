//! An event as a line of JSON.

use std::sync::Arc;

use serde_json::{Map, Value};

/// What the envelopes of a source have in common: `meta.source`.
#[derive(Debug, Clone)]
pub struct Envelope {
    source: Arc<str>,
}

/// What `meta` says of one event.
#[derive(Debug, Default)]
pub struct EventMeta {
    /// The id that its sender gave it; where it gave none, one that is derived from where it was read, or a new one.
    pub uuid: Option<String>,
    /// The hosts that it is about.
    pub hosts: Vec<String>,
    /// What else its kind says of it: `endpoint`, `headers`, `source_offset`, ….
    pub more: Map<String, Value>,
}

/// The value of a field of an event.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    /// A value.
    Value(&'a Value),
    /// The text of exactly one JSON value, as it came. The caller has checked that it is one: of `{"a":1},"b":2` a
    /// sender would make a field of its own.
    Raw(&'a [u8]),
}

impl Envelope {
    /// The envelopes of the source `node`, which is of `kind`.
    pub fn new(node: &str, kind: &str) -> Self {
        Self { source: serde_json::json!({"name": node, "type": kind}).to_string().into() }
    }

    /// An event with these fields, as one line without its end.
    pub fn line(&self, fields: &[(&str, Field<'_>)], meta: &EventMeta) -> Vec<u8> {
        let mut line = vec![b'{'];
        for (name, field) in fields {
            push_name(&mut line, name);
            match field {
                Field::Value(value) => line.extend_from_slice(value.to_string().as_bytes()),
                // Inside of texts JSON knows no line ends; elsewhere they are as good as spaces.
                Field::Raw(text) => {
                    line.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
                }
            }
            line.push(b',');
        }
        push_name(&mut line, "meta");
        line.push(b'{');
        if let Some(uuid) = &meta.uuid {
            push_name(&mut line, "uuid");
            line.extend_from_slice(Value::from(uuid.as_str()).to_string().as_bytes());
            line.push(b',');
        }
        if !meta.hosts.is_empty() {
            push_name(&mut line, "hosts");
            line.extend_from_slice(Value::from(meta.hosts.clone()).to_string().as_bytes());
            line.push(b',');
        }
        for (name, value) in &meta.more {
            push_name(&mut line, name);
            line.extend_from_slice(value.to_string().as_bytes());
            line.push(b',');
        }
        push_name(&mut line, "source");
        line.extend_from_slice(self.source.as_bytes());
        line.extend_from_slice(b"}}");
        line
    }
}

fn push_name(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(Value::from(name).to_string().as_bytes());
    line.push(b':');
}
