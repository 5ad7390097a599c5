//! serde's view of a map that several structs are read from: what [`crate::spec::Together`] reads.

use std::cell::RefCell;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::deserializer::TreeDeserializer;
use super::error::ReadError;
use crate::spec::together::TOGETHER;

/// The same map again and again: first it is told the keys of every part, then it gives the parts.
pub(super) struct Parts<'a> {
    map: TreeDeserializer<'a>,
    keys: RefCell<Vec<&'static str>>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(map: TreeDeserializer<'a>) -> Self {
        Self { map, keys: RefCell::default() }
    }
}

impl<'de> SeqAccess<'de> for Parts<'_> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        seed.deserialize(Part { map: self.map, keys: &self.keys }).map(Some)
    }
}

/// One part, or the keys of one.
struct Part<'a> {
    map: TreeDeserializer<'a>,
    keys: &'a RefCell<Vec<&'static str>>,
}

impl<'de> Deserializer<'de> for Part<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.map.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == TOGETHER {
            self.keys.borrow_mut().extend(fields);
            return visitor.visit_unit();
        }
        let all = self.keys.borrow().clone();
        self.map.visit_fields(fields, &all, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
