//! What is wrong with a pipeline's text, and exactly where.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

/// A place in a text file. Lines and columns count characters from 1; `offset` and `length` are bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Offset of the first byte in the file.
    pub offset: usize,
    /// Length in bytes.
    pub length: usize,
}

/// A value and the place where the file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> Located<T> {
    /// A value at a place.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// Another value at the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), place: self.place }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pipeline can run, but probably does not do what is meant.
    Warning,
    /// The pipeline cannot run.
    Error,
}

/// One finding about a file, with what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, where it is not the pipeline's own (a pack, a query).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    /// Where in the file.
    pub place: Place,
    /// What is wrong, in one sentence without a final period.
    pub message: String,
    /// The names that would have been right there, if there is such a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<String>,
    /// What to do, in one sentence: a did-you-mean or a remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: Place, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { severity: Severity::Error, file: None, place, message, expected: Vec::new(), help: None }
    }

    /// A warning at a place.
    pub fn warning(place: Place, message: impl fmt::Display) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// Adds a remedy.
    #[must_use]
    pub fn with_help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// Says which names would have been right, and proposes the one closest to `found`.
    #[must_use]
    pub fn with_expected<S: Into<String>>(mut self, found: &str, names: impl IntoIterator<Item = S>) -> Self {
        self.expected = names.into_iter().map(Into::into).collect();
        if self.help.is_none() {
            self.help = closest(found, &self.expected).map(|name| format!("did you mean `{name}`?"));
        }
        self
    }
}

/// The name most like `found`, if one is like it at all.
pub fn closest<'a>(found: &str, names: &'a [String]) -> Option<&'a str> {
    let found = found.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&found, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().max(found.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.as_str())
}
