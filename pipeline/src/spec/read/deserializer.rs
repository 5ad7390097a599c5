//! serde's view of one value of the tree.

use serde::de::{self, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::Reader;
use super::access::{Entries, Items, PlaceAndValue, Variant};
use super::error::ReadError;
use super::parts::Parts;
use crate::spec::Tree;
use crate::spec::containers::{LOCATED, ONE_OR_MANY};
use crate::spec::diagnostic::{Located, Place, closest};
use crate::spec::secret::SECRET;
use crate::spec::together::TOGETHER;

/// Reads one value.
#[derive(Clone, Copy)]
pub(super) struct TreeDeserializer<'a> {
    /// The value.
    pub(super) tree: &'a Located<Tree>,
    /// What the whole read shares.
    pub(super) reader: &'a Reader<'a>,
}

impl<'a> TreeDeserializer<'a> {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let visited: Result<_, ReadError> = match &self.tree.value {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Integer(number) => visitor.visit_i64(*number),
            Tree::Float(number) => visitor.visit_f64(*number),
            Tree::Text(text) => visitor.visit_str(text),
            Tree::List(items) => visitor.visit_seq(Items::new(items, self.reader)),
            Tree::Map(entries) => {
                let hidden = |(key, _): &&(Located<_>, _)| self.reader.is_hidden(key.place);
                let likes = |key: &str, missing: &str| key == missing || closest(key, &[missing.to_owned()]).is_some();
                let known = |missing: &str| entries.iter().filter(hidden).any(|(key, _)| likes(key, missing));
                let visited = visitor.visit_map(Entries::new(entries, self.reader, &|_| true));
                visited.map_err(|error: ReadError| error.unless_known(known))
            }
        };
        visited.map_err(|error| error.at(self))
    }

    /// Text that a variable gave in quotes, as inside `{…}`, where a plain `${…}` cannot stand.
    fn text_of_variable(self) -> Option<&'a str> {
        match &self.tree.value {
            Tree::Text(text) if self.reader.variable(self.tree.place).is_some() => Some(text),
            _ => None,
        }
    }

    /// A map with the keys of a struct: reports the keys that it does not know and hides them. Those in `all` are known
    /// too, and read by others.
    pub(super) fn visit_fields<'de, V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        all: &[&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let entries = match &self.tree.value {
            Tree::Map(entries) => entries.as_slice(),
            Tree::Null => &[],
            Tree::List(_) => {
                let error: ReadError = de::Error::invalid_type(Unexpected::Seq, &visitor);
                return Err(error.at(self));
            }
            _ => return self.visit(visitor),
        };
        let mut known: Vec<String> = Vec::new();
        for (key, _) in entries {
            if fields.contains(&key.as_ref()) {
                if self.reader.is_hidden(key.place) {
                    known.push(key.to_string());
                }
                continue;
            }
            if all.contains(&key.as_ref()) {
                continue;
            }
            let names: Vec<String> = all.iter().map(|field| (*field).to_owned()).collect();
            known.extend(closest(key, &names).map(str::to_owned));
            let error = ReadError::unknown_key(key, all).at_key(key.place);
            if let Some(diagnostic) = error.into_diagnostic(self.reader) {
                self.reader.report(diagnostic);
            }
        }
        let is_field = |key: &str| fields.contains(&key);
        let visited = visitor.visit_map(Entries::new(entries, self.reader, &is_field));
        visited.map_err(|error| error.unless_known(|missing| known.iter().any(|key| key == missing)).at(self))
    }
}

/// Numbers and the like: what a variable gave as text is read as the type that is wanted.
macro_rules! through_variables {
    ($($deserialize:ident $visit:ident $type:ty)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.text_of_variable().and_then(|text| text.parse::<$type>().ok()) {
                Some(value) => visitor.$visit(value).map_err(|error: ReadError| error.at(self)),
                None => self.visit(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for TreeDeserializer<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.visit(visitor)
    }

    through_variables! {
        deserialize_bool visit_bool bool
        deserialize_i8 visit_i64 i64
        deserialize_i16 visit_i64 i64
        deserialize_i32 visit_i64 i64
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_i64 i64
        deserialize_u16 visit_i64 i64
        deserialize_u32 visit_i64 i64
        deserialize_u64 visit_i64 i64
        deserialize_f32 visit_f64 f64
        deserialize_f64 visit_f64 f64
    }

    /// A whole number that a variable gave is text again where text is wanted.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.tree.value {
            Tree::Integer(number) if self.reader.variable(self.tree.place).is_some() => {
                visitor.visit_string(number.to_string()).map_err(|error: ReadError| error.at(self))
            }
            _ => self.visit(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.tree.value {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self).map_err(|error: ReadError| error.at(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let visited = match (name, &self.tree.value) {
            (LOCATED, _) => visitor.visit_seq(PlaceAndValue::new(self)),
            (ONE_OR_MANY, Tree::List(items)) => visitor.visit_seq(Items::new(items, self.reader)),
            (ONE_OR_MANY, _) => visitor.visit_some(self),
            (TOGETHER, _) => visitor.visit_seq(Parts::new(self)),
            (SECRET, _) => {
                self.reader.note_secret(self.tree);
                visitor.visit_newtype_struct(self)
            }
            _ => visitor.visit_newtype_struct(self),
        };
        visited.map_err(|error: ReadError| error.at(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.visit_fields(fields, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let visited = match &self.tree.value {
            Tree::Text(text) => visitor.visit_enum(de::value::StrDeserializer::new(text)),
            Tree::Map(entries) => match entries.as_slice() {
                [(key, value)] => visitor.visit_enum(Variant { key, value: Self { tree: value, ..self } }),
                _ => Err(de::Error::custom(format!("exactly one key is wanted here, not {}", entries.len()))),
            },
            _ => {
                let expected = format!("one of {}", list(variants));
                Err(de::Error::invalid_type(Unexpected::Unit, &expected.as_str()))
            }
        };
        visited.map_err(|error: ReadError| error.at(self))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Reads a key.
pub(super) struct KeyDeserializer<'a> {
    /// The key.
    pub(super) key: &'a str,
    /// Where it stands.
    pub(super) place: Place,
}

impl<'de> Deserializer<'de> for KeyDeserializer<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_str(self.key).map_err(|error: ReadError| error.at_key(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let place = self.place;
        let visited = match name {
            LOCATED => visitor.visit_seq(PlaceAndValue::of_key(self)),
            _ => visitor.visit_newtype_struct(self),
        };
        visited.map_err(|error: ReadError| error.at_key(place))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let key: de::value::StrDeserializer<'_, ReadError> = self.key.into_deserializer();
        visitor.visit_enum(key).map_err(|error: ReadError| error.at_key(self.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}
