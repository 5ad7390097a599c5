//! SQL text that knows where each part of it stands.

use std::sync::Arc;

use super::diagnostic::{Located, Place};

/// SQL text with the place of each of its parts in the file that wrote it.
#[derive(Debug, Clone)]
pub struct SqlText {
    text: Arc<str>,
    place: Place,
    origin: Origin,
}

/// What the text came out of.
#[derive(Debug, Clone)]
enum Origin {
    /// Nothing that could be looked up.
    Unknown,
    /// A scalar of a YAML file with this text.
    Scalar(Arc<str>),
    /// A file that is SQL and nothing else.
    File,
}

impl SqlText {
    /// SQL that came out of no file that is known: every part of it stands at `place`.
    pub fn new(text: impl Into<Arc<str>>, place: Place) -> Self {
        Self { text: text.into(), place, origin: Origin::Unknown }
    }

    /// SQL that is the scalar at `place` of a YAML file whose text is `source`.
    pub fn in_yaml(text: impl Into<Arc<str>>, place: Place, source: Arc<str>) -> Self {
        Self { text: text.into(), place, origin: Origin::Scalar(source) }
    }

    /// SQL that is the whole of a file.
    pub fn in_file(text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        Self { place: Place::in_text(&text, 0, 0), text, origin: Origin::File }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the whole of it stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The place of `length` bytes from a line and column (characters, both from 1) of the text, as exactly as it
    /// is known. Line 0 is the text as a whole.
    pub fn place_at(&self, line: u64, column: u64, length: usize) -> Place {
        if line == 0 {
            return self.place;
        }
        let offset = self.offset(line, column);
        match &self.origin {
            Origin::Unknown => self.place,
            Origin::Scalar(source) => Located::new(self.as_str(), self.place).place_at(source, offset, length),
            Origin::File => Place::in_text(&self.text, offset, length),
        }
    }

    /// How many bytes precede a line and column.
    pub(crate) fn offset(&self, line: u64, column: u64) -> usize {
        let before = |number: u64| usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let lines = self.text.split_inclusive('\n');
        let start: usize = lines.take(before(line)).map(str::len).sum();
        let rest = self.text.get(start..).unwrap_or_default();
        start + rest.chars().take(before(column)).map(char::len_utf8).sum::<usize>()
    }
}

impl AsRef<str> for SqlText {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters() {
        let sql = SqlText::in_file("é\nü = x");
        let place = sql.place_at(2, 5, 1);
        assert_eq!((place.line, place.column, place.offset), (2, 5, 8));
        assert_eq!(sql.place_at(0, 0, 0), sql.place());
        assert_eq!(sql.place_at(9, 9, 1).offset, 9, "beyond the text is its end");
    }

    #[test]
    fn without_a_file_every_part_has_the_place_of_the_whole() {
        let place = Place { line: 3, column: 4, offset: 5, length: 6 };
        assert_eq!(SqlText::new("a b", place).place_at(1, 3, 1), place);
    }
}
