//! What AWS wrote, as JSON.
//!
//! The SDK keeps of an answer what it knows; a row keeps all of it, in its column `raw`. So the bytes of each answer
//! are looked at a second time, by a reader that knows no schema: elements become objects, elements that hold only
//! `item` or `member` become lists, and so do elements that come more than once.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;
use aws_smithy_types::body::SdkBody;
use parking_lot::Mutex;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

use super::document::{self, Document};

/// How deep an answer may be nested. What is deeper is no answer of AWS.
pub(super) const DEEPEST: usize = 64;

/// Keeps the body of the newest answer of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<Option<SdkBody>>>);

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Capture {
    fn name(&self) -> &'static str {
        "Capture"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Only now is the body there as bytes. That of a failed attempt is replaced by that of the next.
        *self.0.lock() = context.response().body().try_clone();
        Ok(())
    }
}

impl Capture {
    /// All that the newest answer said; `None` where it is not to be understood, as half of one.
    pub(crate) fn take_whole(&self) -> Option<Value> {
        self.0.lock().take()?.bytes().and_then(read)
    }

    /// What the newest answer said; nothing where it is not to be understood.
    pub(crate) fn take(&self) -> Raw {
        Raw { body: self.0.lock().take(), value: OnceLock::new() }
    }
}

/// An answer. It is read when something of it is wanted: a listing can ask for its next page before.
#[derive(Debug)]
pub(crate) struct Raw {
    body: Option<SdkBody>,
    value: OnceLock<Value>,
}

impl Raw {
    /// The parts at `path`, whose names are separated by `/`. Lists on the way are gone through.
    pub(crate) fn items(&self, path: &str) -> Vec<&Value> {
        items(self.value(), path)
    }

    fn value(&self) -> &Value {
        self.value.get_or_init(|| read(self.bytes()).unwrap_or(Value::Null))
    }

    fn bytes(&self) -> &[u8] {
        self.body.as_ref().and_then(SdkBody::bytes).unwrap_or_default()
    }

    /// Goes through the elements of the list at `path`, for XML of which there is a lot. What cannot be read to its end is
    /// gone through as far as it goes.
    pub(crate) fn each<'t>(&'t self, path: &str, visit: impl FnMut(&Document<'t>)) {
        std::str::from_utf8(self.bytes()).ok().and_then(|text| document::each(text, path, visit));
    }
}

/// What AWS wrote of a row.
pub(crate) trait Original {
    /// Whether that is nothing.
    fn is_nothing(&self) -> bool;
    /// Appends it as JSON that is the same each time: AWS gives most lists in any order, so they are sorted. Elements
    /// named in `without` are left out.
    fn settle(&self, without: &[&str], text: &mut String);
}

impl Original for Value {
    fn is_nothing(&self) -> bool {
        self.is_null()
    }

    fn settle(&self, without: &[&str], text: &mut String) {
        settle(self, without, text);
    }
}

impl<T: Original> Original for Option<T> {
    fn is_nothing(&self) -> bool {
        self.as_ref().is_none_or(T::is_nothing)
    }

    fn settle(&self, without: &[&str], text: &mut String) {
        if let Some(original) = self {
            original.settle(without, text);
        }
    }
}

impl<T: Original> Original for &T {
    fn is_nothing(&self) -> bool {
        T::is_nothing(self)
    }

    fn settle(&self, without: &[&str], text: &mut String) {
        T::settle(self, without, text);
    }
}

/// The parts of a value at `path`, as [`Raw::items`].
pub(crate) fn items<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = flat(vec![value]);
    for name in path.split('/') {
        found = flat(found.into_iter().filter_map(|value| value.get(name)).collect());
    }
    found
}

/// A value as text that is the same each time: AWS gives most lists in any order, so they are sorted. Elements named
/// in `without` are left out.
pub(crate) fn settled(value: &Value, without: &[&str]) -> String {
    let mut text = String::new();
    settle(value, without, &mut text);
    text
}

fn settle(value: &Value, without: &[&str], text: &mut String) {
    match value {
        Value::Array(list) => {
            text.push('[');
            let (from, mut ends) = (text.len(), Vec::with_capacity(list.len()));
            for part in list {
                settle(part, without, text);
                ends.push(text.len() - from);
            }
            arrange(from, &ends, text);
            text.push(']');
        }
        Value::Object(children) => {
            text.push('{');
            let kept = children.iter().filter(|(name, _)| !without.contains(&name.as_str()));
            for (index, (name, part)) in kept.enumerate() {
                if index > 0 {
                    text.push(',');
                }
                quote(name, text);
                text.push(':');
                settle(part, without, text);
            }
            text.push('}');
        }
        Value::String(said) => quote(said, text),
        // Text cannot fail to be written.
        single => drop(write!(text, "{single}")),
    }
}

/// Arranges the parts that stand in a text from there on, and end where `ends` says, in their order, with commas between
/// them.
pub(super) fn arrange(from: usize, ends: &[usize], text: &mut String) {
    if ends.len() < 2 {
        return;
    }
    let parts = text.split_off(from);
    let begins = std::iter::once(0).chain(ends.iter().copied());
    let mut sorted: Vec<&str> = begins.zip(ends).filter_map(|(begin, end)| parts.get(begin..*end)).collect();
    sorted.sort_unstable();
    for (index, part) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(part);
    }
}

/// Writes text as JSON does.
pub(super) fn quote(said: &str, text: &mut String) {
    let is_plain = said.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    match is_plain {
        true => text.extend(["\"", said, "\""]),
        // Text cannot fail to be written.
        false => drop(write!(text, "{}", Value::from(said))),
    }
}

/// Lists replaced by what is in them; what is empty is left out.
fn flat(values: Vec<&Value>) -> Vec<&Value> {
    let mut found = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::Array(list) => found.extend(list),
            Value::Null => {}
            other => found.push(other),
        }
    }
    found
}

/// An answer in XML or JSON; `None` where it is neither.
pub(super) fn read(bytes: &[u8]) -> Option<Value> {
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace())? {
        b'<' => read_xml(bytes),
        _ => serde_json::from_slice(bytes).ok(),
    }
}

/// An element that is being read.
#[derive(Default)]
struct Element {
    name: String,
    children: Map<String, Value>,
    /// The children of an element that holds only `item` or `member`.
    list: Vec<Value>,
    text: String,
}

impl Element {
    fn begun(start: &BytesStart<'_>) -> Self {
        let name = start.local_name().as_ref().to_owned();
        let mut children = Map::new();
        for attribute in start.attributes().flatten() {
            // The type of a grantee in S3 is an attribute; namespaces say nothing.
            if !attribute.key.as_ref().starts_with("xmlns") {
                let key = format!("@{}", attribute.key.local_name().as_ref());
                children.insert(key, Value::String(attribute.value.into_owned()));
            }
        }
        Self { name, children, ..Self::default() }
    }

    fn add(&mut self, child: Self) {
        let (name, value) = child.finished();
        if name == "item" || name == "member" {
            self.list.push(value);
            return;
        }
        match self.children.get_mut(&name) {
            None => drop(self.children.insert(name, value)),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }

    fn finished(self) -> (String, Value) {
        let Self { name, mut children, list, text } = self;
        let value = match (list.is_empty(), children.is_empty()) {
            (false, true) => Value::Array(list),
            (false, false) => {
                children.insert("item".to_owned(), Value::Array(list));
                Value::Object(children)
            }
            (true, false) => Value::Object(children),
            (true, true) if text.trim().is_empty() => Value::Null,
            (true, true) => Value::String(text.trim().to_owned()),
        };
        (name, value)
    }
}

/// What is in the outermost element.
fn read_xml(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader::from_str(std::str::from_utf8(bytes).ok()?);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                open.push(Element::begun(&start));
                if open.len() > DEEPEST {
                    return None;
                }
            }
            Event::Empty(start) => open.last_mut()?.add(Element::begun(&start)),
            Event::End(_) => {
                let ended = open.pop()?;
                open.last_mut()?.add(ended);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text),
            Event::CData(text) => open.last_mut()?.text.push_str(&text),
            Event::GeneralRef(reference) => open.last_mut()?.text.push_str(&resolved(&reference)?),
            Event::Eof => break,
            _ => {}
        }
    }
    let outside = open.pop().filter(|_| open.is_empty())?;
    outside.children.into_iter().next().map(|(_, answer)| answer)
}

/// What a reference stands for; nothing where that is not known.
pub(super) fn resolved(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref().ok()? {
        Some(character) => Some(character.to_string()),
        None => quick_xml::escape::resolve_predefined_entity(reference).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ANSWER: &str = r#"<?xml version="1.0"?>
        <DescribeThingsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
          <reservationSet>
            <item><id>r-1</id><things><item><id>a</id><tags/></item><item><id>b &amp; c&#33;</id></item></things></item>
            <item><id>r-2</id><things><item><id>d</id></item></things></item>
          </reservationSet>
          <Buckets><Bucket xsi:type="x"><Name>one</Name></Bucket></Buckets>
        </DescribeThingsResponse>"#;

    fn raw(text: &str) -> Raw {
        Capture(Arc::new(Mutex::new(Some(SdkBody::from(text))))).take()
    }

    #[test]
    fn lists_are_gone_through_in_the_order_in_which_they_were_written() {
        let raw = raw(ANSWER);
        let ids: Vec<&Value> = raw.items("reservationSet/things").iter().map(|thing| &thing["id"]).collect();
        assert_eq!(ids, [&json!("a"), &json!("b & c!"), &json!("d")]);
        assert_eq!(raw.items("Buckets/Bucket"), [&json!({"@type": "x", "Name": "one"})]);
        assert_eq!(raw.items("reservationSet/things")[0], &json!({"id": "a", "tags": null}));
        assert!(raw.items("nothing/here").is_empty());
    }

    #[test]
    fn a_row_keeps_the_same_text_whatever_the_order_of_lists_and_without_what_is_not_to_be_kept() {
        let one = json!({"id": "a\"b", "tags": [{"k": "x"}, {"k": "w", "secret": 1}], "n": [3], "secret": {"deep": []}, "e": null});
        let other = json!({"id": "a\"b", "tags": [{"k": "w"}, {"k": "x"}], "n": [3], "e": null});
        assert_eq!(settled(&one, &["secret"]), r#"{"id":"a\"b","tags":[{"k":"w"},{"k":"x"}],"n":[3],"e":null}"#);
        assert_eq!(settled(&one, &["secret"]), settled(&other, &[]));
    }

    #[test]
    fn what_comes_more_than_once_is_a_list() {
        let raw = raw("<r><G><P><n>1</n></P><P><n>2</n></P></G></r>");
        assert_eq!(raw.items("G/P"), [&json!({"n": "1"}), &json!({"n": "2"})]);
    }

    #[test]
    fn an_answer_that_is_not_to_be_understood_has_no_parts_and_does_no_harm() {
        let deep = "<a>".repeat(100_000);
        for broken in ["", "   ", "<a><b></a>", "<a>", "{", "no", deep.as_str()] {
            assert_eq!(read(broken.as_bytes()), None, "{broken:.20}");
        }
        assert_eq!(raw("{\"Items\": [{\"x\": 1}]}").items("Items"), [&json!({"x": 1})]);
    }
}
