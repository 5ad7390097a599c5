//! A located tree → any type that serde can read, with the place of whatever is wrong.

mod access;
mod deserializer;
mod error;
mod parts;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::diagnostic::{Diagnostic, FINDINGS, Located, Place};
use super::variables::as_written;
use super::{Secret, Tree};
use deserializer::TreeDeserializer;

/// How often a type is read again to find more errors.
const ROUNDS: usize = 50;

/// What reading gave.
pub(super) struct Outcome<T> {
    /// The value, or everything that is wrong.
    pub(super) value: Result<T, Vec<Diagnostic>>,
    /// What is suspicious.
    pub(super) warnings: Vec<Diagnostic>,
    /// Where secrets stand in the text.
    pub(super) secrets: Vec<Place>,
    /// What was read as a secret, and where.
    pub(super) references: Vec<(Place, Secret)>,
}

/// Reads a tree into a type.
///
/// serde stops at the first error. To find the others, the entry that failed is hidden and the type is
/// read again, until nothing new turns up.
pub(super) fn read<T: DeserializeOwned>(tree: &Located<Tree>, source: Option<&str>) -> Outcome<T> {
    let reader = Reader { source, notes: RefCell::default() };
    let mut value = None;
    for _ in 0..ROUNDS {
        let node = TreeDeserializer { tree, reader: &reader };
        match T::deserialize(node).map_err(|error| error.at(node)) {
            Ok(read) => {
                value = Some(read);
                break;
            }
            Err(error) => {
                let culprit = error.culprit();
                if let Some(diagnostic) = error.into_diagnostic(&reader) {
                    reader.report(diagnostic);
                }
                let new = culprit.is_some_and(|offset| reader.notes.borrow_mut().hidden.insert(offset));
                if !new {
                    break;
                }
            }
        }
    }
    let mut notes = reader.notes.into_inner();
    notes.errors.sort_by_key(|diagnostic| diagnostic.place.offset);
    let value = match value {
        Some(value) if notes.errors.is_empty() => Ok(value),
        _ => Err(notes.errors),
    };
    Outcome { value, warnings: notes.warnings, secrets: notes.secrets, references: notes.references }
}

/// What all deserializers of one read share.
struct Reader<'a> {
    source: Option<&'a str>,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    secrets: Vec<Place>,
    references: Vec<(Place, Secret)>,
    /// Offsets of keys whose values have failed.
    hidden: BTreeSet<usize>,
}

impl Reader<'_> {
    fn report(&self, diagnostic: Diagnostic) {
        let mut notes = self.notes.borrow_mut();
        if notes.errors.len() < FINDINGS && !notes.errors.contains(&diagnostic) {
            notes.errors.push(diagnostic);
        }
    }

    /// The `${NAME}` as the file writes it, where a value came out of variables.
    fn variable(&self, place: Place) -> Option<&str> {
        as_written(self.source?, place)
    }

    fn is_hidden(&self, key: Place) -> bool {
        self.notes.borrow().hidden.contains(&key.offset)
    }

    fn is_secret(&self, place: Place) -> bool {
        self.notes.borrow().secrets.contains(&place)
    }

    /// Notes that the value is a secret; a literal one gives a warning.
    fn note_secret(&self, tree: &Located<Tree>) {
        if let Some(secret) = Secret::of(&tree.value) {
            self.notes.borrow_mut().references.push((tree.place, secret));
        }
        if matches!(tree.value, Tree::Map(_) | Tree::List(_) | Tree::Null) {
            return;
        }
        let warning = Diagnostic::warning(tree.place, "a secret stands in the file itself")
            .with_help("write `{env: NAME}` or `{file: PATH}` in its place")
            .without_source();
        let literal = self.variable(tree.place).is_none();
        let mut notes = self.notes.borrow_mut();
        notes.secrets.push(tree.place);
        if literal && !notes.warnings.contains(&warning) {
            notes.warnings.push(warning);
        }
    }
}
