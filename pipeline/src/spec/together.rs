//! Options of several kinds, beside those of each kind's own.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

/// The name by which [`Together`] asks the tree's deserializer for two readings of one map.
pub(super) const TOGETHER: &str = "$tidegate::Together";

/// Two structs that are read from the keys of one map, so that kinds can share options: `options.read()` gives
/// `Together(own, shared)`. serde's `flatten` would lose the places of what is wrong, and which keys are unknown.
/// Only the tree of a specification can be read so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Together<A, B>(pub A, pub B);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Deserialize<'de> for Together<A, B> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TOGETHER, Both(PhantomData))
    }
}

struct Both<A, B>(PhantomData<(A, B)>);

impl<'de, A: Deserialize<'de>, B: Deserialize<'de>> Visitor<'de> for Both<A, B> {
    type Value = Together<A, B>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("options")
    }

    /// From the tree: it is told which keys there are altogether, then it gives each part.
    fn visit_seq<S: SeqAccess<'de>>(self, mut parts: S) -> Result<Self::Value, S::Error> {
        let missing = || S::Error::custom("options that are read together have two parts");
        for keys in [keys_of::<A>(), keys_of::<B>()] {
            parts.next_element_seed(Keys(keys))?.ok_or_else(missing)?;
        }
        let first = parts.next_element()?.ok_or_else(missing)?;
        let second = parts.next_element()?.ok_or_else(missing)?;
        Ok(Together(first, second))
    }
}

/// Tells the tree's deserializer keys that are known.
struct Keys(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = IgnoredAny;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<IgnoredAny, D::Error> {
        deserializer.deserialize_struct(TOGETHER, self.0, IgnoredAny)
    }
}

/// The keys that a struct reads.
fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let keys = Cell::new([].as_slice());
    // It asks for its keys, and gets nothing.
    let _ = T::deserialize(Asked(&keys));
    keys.get()
}

struct Asked<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("only keys are asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.set(fields);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Together<A, B> {
    fn schema_name() -> Cow<'static, str> {
        A::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("{TOGETHER}<{}, {}>", A::schema_id(), B::schema_id()).into()
    }

    /// One object with the members of both: first what is required, then the own ones. It is described as the own is.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (mut both, mut shared) = (A::json_schema(generator), B::json_schema(generator));
        let mut required = list(shared.remove("required"));
        required.extend(list(both.remove("required")));
        let mut rest = members(both.remove("properties"));
        rest.extend(members(shared.remove("properties")));
        let mut properties = Map::new();
        for name in required.iter().filter_map(Value::as_str) {
            properties.extend(rest.shift_remove_entry(name));
        }
        properties.extend(rest);
        both.insert("properties".to_owned(), properties.into());
        if !required.is_empty() {
            both.insert("required".to_owned(), required.into());
        }
        both
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    if let Some(Value::Array(items)) = value { items } else { Vec::new() }
}

fn members(value: Option<Value>) -> Map<String, Value> {
    if let Some(Value::Object(members)) = value { members } else { Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Options;
    use crate::spec::diagnostic::Place;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether they can be read is of interest")]
    struct Shared {
        /// Where.
        host: String,
        port: Option<u16>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only whether they can be read is of interest")]
    struct Own {
        /// Which.
        topic: String,
        #[serde(default)]
        limit: u8,
    }

    fn read(text: &str) -> Result<Together<Own, Shared>, Vec<String>> {
        let options = Options::parse(text).unwrap();
        options.read().map_err(|found| {
            let shown = |place: Place, message: &str| format!("{}:{} {message}", place.line, place.column);
            found.into_iter().map(|found| shown(found.place, &found.message)).collect()
        })
    }

    #[test]
    fn both_are_read_from_the_keys_of_one_map() {
        let Together(own, shared) = read("{topic: t, host: h, limit: 7}").unwrap();
        assert_eq!((shared.host.as_str(), own.topic.as_str(), own.limit), ("h", "t", 7));
    }

    #[test]
    fn what_is_wrong_in_either_is_found_in_one_go_with_its_place() {
        let found = read("host: h\nport: many\ntopic: t\nlimit: 1000\n").unwrap_err();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("2:7 ") && found[1].starts_with("4:8 "), "{found:?}");
        assert_eq!(read("{topic: t, hots: h}").unwrap_err(), ["1:12 unknown key `hots`"]);
        let missing = read("{topic: t}").unwrap_err();
        assert!(missing.len() == 1 && missing[0].contains("`host`"), "{missing:?}");
    }

    #[test]
    fn the_schema_has_the_members_of_both() {
        let schema = schemars::schema_for!(Together<Own, Shared>);
        let names: Vec<&String> = schema.get("properties").unwrap().as_object().unwrap().keys().collect();
        assert_eq!(names, ["host", "topic", "limit", "port"]);
        assert_eq!(schema.get("required").unwrap(), &serde_json::json!(["host", "topic"]));
        assert_eq!(schema.get("additionalProperties").unwrap(), false);
    }
}
