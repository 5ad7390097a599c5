//! What stands at a path in a JSON text, without building the rest.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// The name of a member; the index of an element where it is a whole number and there is an array.
    Name(&'a str),
    /// The index of an element, from 0; from the end where negative.
    Index(i64),
}

/// The value at the end of `path`. `None` where there is none, and where `text` is no JSON.
pub(super) fn get(text: &str, path: &[Key<'_>]) -> Option<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Walk(path).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    found
}

struct Walk<'p>(&'p [Key<'p>]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => serde::Deserialize::deserialize(reader).map(Some),
            // An element counted from the end is known when the end is.
            [Key::Index(index), rest @ ..] if *index < 0 => {
                let value: Value = serde::Deserialize::deserialize(reader)?;
                Ok(from_end(&value, *index).and_then(|value| descend(value, rest)).cloned())
            }
            _ => reader.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let [key, rest @ ..] = self.0 else { return Ok(None) };
        let mut found = None;
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            match key {
                // Of members with the same name the last counts.
                Key::Name(wanted) if *wanted == name => found = members.next_value_seed(Walk(rest))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let [key, rest @ ..] = self.0 else { return Ok(None) };
        let wanted = match key {
            Key::Index(index) => usize::try_from(*index).ok(),
            Key::Name(name) => name.parse().ok(),
        };
        let mut found = None;
        let mut position = 0;
        loop {
            if wanted == Some(position) {
                match elements.next_element_seed(Walk(rest))? {
                    Some(value) => found = value,
                    None => return Ok(None),
                }
            } else if elements.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            position += 1;
        }
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

fn from_end(value: &Value, index: i64) -> Option<&Value> {
    let elements = value.as_array()?;
    let back = usize::try_from(index.unsigned_abs()).ok()?;
    elements.get(elements.len().checked_sub(back)?)
}

fn descend<'v>(value: &'v Value, path: &[Key<'_>]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| match (key, value) {
        (Key::Name(name), Value::Object(members)) => members.get(*name),
        (Key::Name(name), Value::Array(elements)) => elements.get(name.parse::<usize>().ok()?),
        (Key::Index(index), Value::Array(_)) if *index < 0 => from_end(value, *index),
        (Key::Index(index), Value::Array(elements)) => elements.get(usize::try_from(*index).ok()?),
        _ => None,
    })
}
