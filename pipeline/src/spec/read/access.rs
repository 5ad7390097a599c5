//! serde's view of lists, maps, variants and places.

use std::sync::Arc;

use serde::de::value::SeqDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::Reader;
use super::deserializer::{KeyDeserializer, TreeDeserializer};
use super::error::ReadError;
use crate::spec::Tree;
use crate::spec::diagnostic::{Located, Place};

type Entry = (Located<Arc<str>>, Located<Tree>);

/// The items of a list.
pub(super) struct Items<'a> {
    items: std::iter::Enumerate<std::slice::Iter<'a, Located<Tree>>>,
    reader: &'a Reader<'a>,
}

impl<'a> Items<'a> {
    pub(super) fn new(items: &'a [Located<Tree>], reader: &'a Reader<'a>) -> Self {
        Self { items: items.iter().enumerate(), reader }
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        let Some((index, tree)) = self.items.next() else { return Ok(None) };
        let node = TreeDeserializer { tree, reader: self.reader };
        seed.deserialize(node).map(Some).map_err(|error| error.at(node).in_item(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The entries of a map that are not hidden.
pub(super) struct Entries<'a> {
    entries: std::slice::Iter<'a, Entry>,
    reader: &'a Reader<'a>,
    shown: &'a dyn Fn(&str) -> bool,
    current: Option<&'a Entry>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(entries: &'a [Entry], reader: &'a Reader<'a>, shown: &'a dyn Fn(&str) -> bool) -> Self {
        Self { entries: entries.iter(), reader, shown, current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        let (shown, reader) = (self.shown, self.reader);
        self.current = self.entries.find(|(key, _)| shown(key) && !reader.is_hidden(key.place));
        let Some((key, _)) = self.current else { return Ok(None) };
        let place = key.place;
        let read = seed.deserialize(KeyDeserializer { key, place });
        read.map(Some).map_err(|error| error.at_key(place).in_entry(key, place))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let Some((key, tree)) = self.current.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let node = TreeDeserializer { tree, reader: self.reader };
        seed.deserialize(node).map_err(|error| error.at(node).in_entry(key, key.place))
    }
}

/// `{variant: value}`.
pub(super) struct Variant<'a> {
    /// The name of the variant.
    pub(super) key: &'a Located<Arc<str>>,
    /// Its contents.
    pub(super) value: TreeDeserializer<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = ReadError;
    type Variant = Contents<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Contents<'a>), ReadError> {
        let place = self.key.place;
        let name = seed.deserialize(KeyDeserializer { key: self.key, place }).map_err(|error| error.at_key(place))?;
        Ok((name, Contents { key: self.key, value: self.value }))
    }
}

/// What a variant holds.
pub(super) struct Contents<'a> {
    key: &'a Located<Arc<str>>,
    value: TreeDeserializer<'a>,
}

impl Contents<'_> {
    fn name(&self, error: ReadError) -> ReadError {
        error.at(self.value).in_entry(self.key, self.key.place)
    }
}

impl<'de> VariantAccess<'de> for Contents<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.value.tree.value {
            Tree::Null => Ok(()),
            _ => Err(de::Error::custom(format!("`{}` takes no value", self.key.value))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ReadError> {
        seed.deserialize(self.value).map_err(|error| self.name(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.value.deserialize_tuple(length, visitor).map_err(|error| self.name(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.value.visit_fields(fields, fields, visitor).map_err(|error| self.name(error))
    }
}

/// A place, then the value that stands there: what [`Located`] reads.
pub(super) struct PlaceAndValue<D> {
    place: Option<Place>,
    value: Option<D>,
}

impl<'a> PlaceAndValue<TreeDeserializer<'a>> {
    pub(super) fn new(value: TreeDeserializer<'a>) -> Self {
        Self { place: Some(value.tree.place), value: Some(value) }
    }
}

impl<'a> PlaceAndValue<KeyDeserializer<'a>> {
    pub(super) fn of_key(value: KeyDeserializer<'a>) -> Self {
        Self { place: Some(value.place), value: Some(value) }
    }
}

impl<'de, D: Deserializer<'de, Error = ReadError>> SeqAccess<'de> for PlaceAndValue<D> {
    type Error = ReadError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ReadError> {
        if let Some(place) = self.place.take() {
            let long = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
            let numbers = [u64::from(place.line), u64::from(place.column), long(place.offset), long(place.length)];
            return seed.deserialize(SeqDeserializer::new(numbers.into_iter())).map(Some);
        }
        self.value.take().map(|value| seed.deserialize(value)).transpose()
    }
}
