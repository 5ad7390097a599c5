//! What is wrong with a pipeline's text, and exactly where.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;

/// How many findings about one file are collected: nobody reads more, and hostile files could have millions.
pub const FINDINGS: usize = 100;

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

impl Place {
    /// The place of `length` bytes at `offset` of a file with this text. What lies beyond the text is cut.
    pub fn in_text(text: &str, offset: usize, length: usize) -> Self {
        let offset = text.floor_char_boundary(offset);
        let end = text.ceil_char_boundary(offset.saturating_add(length));
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let in_line = before.get(line_start..).unwrap_or_default().trim_start_matches('\u{feff}');
        Self {
            line: one_based(count_breaks(before)),
            column: one_based(in_line.chars().count()),
            offset,
            length: end - offset,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Line breaks as YAML counts them: `\n`, `\r\n` and a lone `\r`.
fn count_breaks(text: &str) -> usize {
    let bytes = text.as_bytes();
    let lone = |at: usize| bytes.get(at) == Some(&b'\r') && bytes.get(at + 1) != Some(&b'\n');
    bytes.iter().enumerate().filter(|(at, byte)| **byte == b'\n' || lone(*at)).count()
}

fn one_based(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX - 1) + 1
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
    /// The line holds a secret: a rendering must not quote it.
    #[serde(skip)]
    pub confidential: bool,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(place: Place, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self {
            severity: Severity::Error,
            file: None,
            place,
            message,
            expected: Vec::new(),
            help: None,
            confidential: false,
        }
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

    /// Keeps the line out of renderings: it holds a secret.
    #[must_use]
    pub fn without_source(mut self) -> Self {
        self.confidential = true;
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

/// What to do about a name that is not known: the one that is most like it, or all that there are of its `kind`, which
/// is a plural.
pub fn remedy_for(found: &str, kind: &str, known: &[String]) -> String {
    match closest(found, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the {kind} are {}", known.join(", ")),
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
