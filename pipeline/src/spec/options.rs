//! The options of a node, read by its kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::diagnostic::{Diagnostic, Located, Place};
use super::{Secrets, SqlText, Tree, Variables, parse, read};

/// The options of a node: the value of its kind's key.
#[derive(Debug, Clone)]
pub struct Options {
    /// The options, as written.
    pub tree: Located<Tree>,
    /// The text of the file that they stand in, where there is one.
    source: Option<Arc<str>>,
    /// What reading them has shown.
    noted: Arc<Mutex<Noted>>,
    secrets: Secrets,
}

#[derive(Debug, Default)]
struct Noted {
    warnings: Vec<Diagnostic>,
    /// Offsets of values that are secrets.
    secrets: BTreeSet<usize>,
}

impl Options {
    /// Options that stand in no file.
    pub fn new(tree: Located<Tree>) -> Self {
        Self { tree, source: None, noted: Arc::default(), secrets: Secrets::default() }
    }

    /// Options that stand in a file with this text.
    pub fn in_source(tree: Located<Tree>, source: Arc<str>) -> Self {
        Self { source: Some(source), ..Self::new(tree) }
    }

    /// The same, as a part of a pipeline whose other nodes note their secrets in the same list.
    #[must_use]
    pub(super) fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// The secrets of the whole pipeline that these options belong to, as far as options have been read.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Options that are a YAML text of their own, without variables.
    ///
    /// # Errors
    /// Everything that is wrong with the YAML.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self::in_source(parse(text, &Variables::none())?, text.into()))
    }

    /// Reads the options into a type.
    ///
    /// Every key that the type does not know is an error, also without `deny_unknown_fields`. Fields of type
    /// [`Located`] get their place; use [`super::OneOrMany`], [`super::Named`] and [`Option`] rather than untagged
    /// enums, inside which places are lost. Nothing at all (`drop:`) reads as an empty map.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Diagnostic>> {
        let outcome = read::read(&self.tree, self.source.as_deref());
        for (place, secret) in outcome.references {
            self.secrets.note(place, secret);
        }
        let mut noted = self.noted.lock();
        noted.secrets.extend(outcome.secrets.iter().map(|place| place.offset));
        for warning in outcome.warnings {
            if !noted.warnings.contains(&warning) {
                noted.warnings.push(warning);
            }
        }
        outcome.value
    }

    /// The warnings of all reads so far (literal secrets).
    pub fn warnings(&self) -> Vec<Diagnostic> {
        self.noted.lock().warnings.clone()
    }

    /// The place of `length` bytes at byte `offset` inside a text of these options, as exactly as it is known.
    pub fn place_in<T: AsRef<str>>(&self, text: &Located<T>, offset: usize, length: usize) -> Place {
        match &self.source {
            Some(source) => text.place_at(source, offset, length),
            None => text.place,
        }
    }

    /// A text of these options as SQL: what is wrong inside it gets its exact place.
    pub fn sql(&self, text: &Located<impl AsRef<str>>) -> SqlText {
        let (value, place) = (text.value.as_ref(), text.place);
        match &self.source {
            Some(source) => SqlText::in_yaml(value, place, Arc::clone(source)),
            None => SqlText::new(value, place),
        }
    }

    /// Takes over these keys from the options of another node, where they are there and not here.
    pub(crate) fn take_over(&mut self, other: &Self, keys: &[&str]) {
        let Tree::Map(theirs) = &other.tree.value else { return };
        if self.tree.value == Tree::Null {
            self.tree.value = Tree::Map(Vec::new());
        }
        let Tree::Map(own) = &mut self.tree.value else { return };
        for (key, value) in theirs.iter().filter(|(key, _)| keys.contains(&&*key.value)) {
            if own.iter().all(|(there, _)| there.value != key.value) {
                own.push((key.clone(), value.clone()));
            }
        }
    }

    /// Whether the value at this place has been read as a secret.
    pub(super) fn is_secret(&self, place: Place) -> bool {
        self.noted.lock().secrets.contains(&place.offset)
    }
}
