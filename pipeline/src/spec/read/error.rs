//! serde's complaints in sentences.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use super::Reader;
use super::deserializer::TreeDeserializer;
use crate::spec::Tree;
use crate::spec::diagnostic::{Diagnostic, Located, Place};

/// What is wrong with a value; learns its place and its name on the way out.
#[derive(Debug)]
pub(super) struct ReadError(Box<Found>);

#[derive(Debug)]
struct Found {
    wrong: Wrong,
    place: Option<Place>,
    /// What the value is called: `` `size` `` or ``item 2 of `keys` ``.
    subject: Option<String>,
    item: Option<usize>,
    /// The offset of the innermost key whose value failed.
    culprit: Option<usize>,
    /// Follows from an error that has been reported.
    consequence: bool,
}

#[derive(Debug)]
enum Wrong {
    Type { expected: String, found: String },
    UnknownKey { key: String, expected: Vec<String> },
    UnknownVariant { variant: String, expected: Vec<String> },
    Missing(&'static str),
    Message(String),
}

impl ReadError {
    fn new(wrong: Wrong) -> Self {
        let found = Found { wrong, place: None, subject: None, item: None, culprit: None, consequence: false };
        Self(Box::new(found))
    }

    /// The error of a key that a map should not have.
    pub(super) fn unknown_key(key: &str, expected: &[&str]) -> Self {
        Self::new(Wrong::UnknownKey { key: key.into(), expected: owned(expected) })
    }

    /// Gives it the place of a value, unless it has one, and says what stands there.
    pub(super) fn at(mut self, node: TreeDeserializer<'_>) -> Self {
        if self.0.place.is_none() {
            self.0.place = Some(node.tree.place);
            let written = node.reader.variable(node.tree.place);
            match &mut self.0.wrong {
                Wrong::Type { found, .. } => *found = describe(node.tree, node.reader),
                Wrong::UnknownVariant { variant, .. } => {
                    if let Some(written) = written {
                        *variant = written.into();
                    }
                }
                Wrong::Message(message) => {
                    if let (Some(written), Tree::Text(value)) = (written, &node.tree.value) {
                        *message = message.replace(value.as_ref(), written);
                    }
                }
                Wrong::UnknownKey { .. } | Wrong::Missing(_) => {}
            }
        }
        self
    }

    /// Gives it the place of a key, unless it has one.
    pub(super) fn at_key(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }

    /// The value that failed is an item of a list.
    pub(super) fn in_item(mut self, index: usize) -> Self {
        self.0.item.get_or_insert(index);
        self
    }

    /// The value that failed is, or is inside of, the value of this key.
    pub(super) fn in_entry(mut self, key: &str, place: Place) -> Self {
        let name = || match self.0.item {
            Some(index) => format!("item {} of `{key}`", index + 1),
            None => format!("`{key}`"),
        };
        if self.0.subject.is_none() {
            self.0.subject = Some(name());
        }
        self.0.culprit.get_or_insert(place.offset);
        self
    }

    /// Keeps quiet about a key that is missing only because its entry is known to be wrong.
    pub(super) fn unless_known(mut self, is_known: impl FnOnce(&str) -> bool) -> Self {
        if let Wrong::Missing(key) = self.0.wrong
            && self.0.place.is_none()
        {
            self.0.consequence = is_known(key);
        }
        self
    }

    /// The offset of the innermost key whose value failed.
    pub(super) fn culprit(&self) -> Option<usize> {
        self.0.culprit
    }

    /// The finding, unless it only follows from another.
    pub(super) fn into_diagnostic(self, reader: &Reader<'_>) -> Option<Diagnostic> {
        let Found { wrong, place, subject, consequence, .. } = *self.0;
        if consequence {
            return None;
        }
        let place = place.unwrap_or_default();
        let diagnostic = match wrong {
            Wrong::Type { expected, found } => {
                let expected = in_words(&expected);
                Diagnostic::error(
                    place,
                    match subject {
                        Some(subject) => format!("{subject} wants {expected}, not {found}"),
                        None => format!("{expected} is wanted here, not {found}"),
                    },
                )
            }
            Wrong::UnknownKey { key, expected } => {
                Diagnostic::error(place, format!("unknown key `{key}`")).with_expected(&key, expected)
            }
            Wrong::UnknownVariant { variant, expected } => Diagnostic::error(
                place,
                match subject {
                    Some(subject) => format!("{subject} cannot be `{variant}`"),
                    None => format!("`{variant}` cannot stand here"),
                },
            )
            .with_expected(&variant, expected),
            Wrong::Missing(key) => Diagnostic::error(
                place,
                match subject {
                    Some(subject) => format!("{subject} lacks the key `{key}`"),
                    None => format!("the key `{key}` is missing"),
                },
            ),
            Wrong::Message(message) => Diagnostic::error(
                place,
                match subject {
                    Some(subject) => format!("{subject}: {message}"),
                    None => message,
                },
            ),
        };
        Some(if reader.is_secret(place) { diagnostic.without_source() } else { diagnostic })
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What stands there; never the value of a variable or a secret.
fn describe(tree: &Located<Tree>, reader: &Reader<'_>) -> String {
    if let Some(written) = reader.variable(tree.place) {
        return format!("the value of `{written}`");
    }
    let shown = |value: &dyn Display| if reader.is_secret(tree.place) { String::new() } else { format!(" {value}") };
    match &tree.value {
        Tree::Null => "nothing".into(),
        Tree::Bool(value) => format!("`{value}`"),
        Tree::Integer(number) => format!("the number{}", shown(number)),
        Tree::Float(number) => format!("the number{}", shown(number)),
        Tree::Text(text) => format!("the text{}", shown(&format!("`{}`", shorten(text)))),
        Tree::List(_) => "a list".into(),
        Tree::Map(_) => "a map".into(),
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(40).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

/// serde's names for what it expects.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a string" | "a borrowed string" | "path string" | "string" | "a character" => "text".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "unit" => "nothing".into(),
        _ if expected.starts_with("a nonzero") => "a whole number other than 0".into(),
        _ if expected.starts_with("struct ") => "a map".into(),
        _ if expected.starts_with("tuple ") || expected.starts_with("an array") => "a list".into(),
        _ if expected.starts_with("enum ") => "one of its names, or a map with one of them".into(),
        _ => expected.into(),
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.wrong)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Wrong::Message(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Wrong::Type { expected: expected.to_string(), found: found.to_string() })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::custom(format!("{} are wanted, not {length}", in_words(&expected.to_string())))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Wrong::UnknownVariant { variant: variant.into(), expected: owned(expected) })
    }

    fn unknown_field(key: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown_key(key, expected)
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Wrong::Missing(key))
    }
}
