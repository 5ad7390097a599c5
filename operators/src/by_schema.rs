//! What an operator has worked out for a schema. A stream has few of them: each widening makes one.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

/// How many schemas are remembered.
const SCHEMAS: usize = 8;

/// Values by schema, the most recently used first.
#[derive(Debug)]
pub(crate) struct BySchema<T> {
    known: Vec<(SchemaRef, T)>,
}

impl<T> Default for BySchema<T> {
    fn default() -> Self {
        Self { known: Vec::new() }
    }
}

impl<T> BySchema<T> {
    /// The value for `schema`, made if there is none yet.
    pub(crate) fn get_or_insert(&mut self, schema: &SchemaRef, make: impl FnOnce(&SchemaRef) -> T) -> &T {
        let same = |(known, _): &(SchemaRef, T)| Arc::ptr_eq(known, schema) || known == schema;
        match self.known.iter().position(same) {
            Some(index) => self.known[..=index].rotate_right(1),
            None => {
                self.known.truncate(SCHEMAS - 1);
                self.known.insert(0, (Arc::clone(schema), make(schema)));
            }
        }
        &self.known[0].1
    }
}
