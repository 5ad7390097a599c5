//! From an offset inside a piece of text back to the place in the file that wrote it.

use super::diagnostic::{Located, Place};

impl<T: AsRef<str>> Located<T> {
    /// The place of `length` bytes at byte `offset` of this text, in the file whose text is `source`.
    ///
    /// Exact for plain and quoted scalars (on several lines too) and for blocks (`|` and `>`), as far as the value is
    /// what the file says. Where it is not (a variable was filled in, an escape), the whole scalar's place.
    pub fn place_at(&self, source: &str, offset: usize, length: usize) -> Place {
        self.mapped(source, offset, length).unwrap_or(self.place)
    }

    fn mapped(&self, source: &str, offset: usize, length: usize) -> Option<Place> {
        let value = self.value.as_ref();
        let raw = source.get(self.place.offset..self.place.offset.checked_add(self.place.length)?)?;
        let indentation = usize::try_from(self.place.column).ok()?.saturating_sub(1);
        let origins = match raw.chars().next()? {
            '\'' => Decoded::single_quoted(raw),
            '"' => Decoded::double_quoted(raw),
            _ => Decoded::folded(raw.trim_end(), 0),
        }
        .filter(|decoded| decoded.says(value))
        .or_else(|| Some(Decoded::literal(raw, indentation)).filter(|decoded| decoded.says(value)))
        .or_else(|| Some(Decoded::folded_block(raw, indentation)).filter(|decoded| decoded.says(value)))?
        .origins;
        let first = *origins.get(offset).or_else(|| origins.last())?;
        let last = *origins.get((offset + length.max(1) - 1).min(origins.len().checked_sub(1)?))?;
        let width = raw.get(last..)?.chars().next().map_or(0, char::len_utf8);
        Some(Place::in_text(source, self.place.offset + first, (last + width).saturating_sub(first)))
    }
}

/// A scalar's text, and for each of its bytes the offset in the raw text that it came from.
#[derive(Default)]
struct Decoded {
    text: String,
    origins: Vec<usize>,
}

impl Decoded {
    /// Whether this is the value, but for line breaks at the end.
    fn says(&self, value: &str) -> bool {
        !self.text.is_empty() && self.text.trim_end_matches('\n') == value.trim_end_matches('\n')
    }

    fn push(&mut self, character: char, origin: usize) {
        self.text.push(character);
        let end = origin + character.len_utf8();
        self.origins.extend((origin..end).take(character.len_utf8()));
    }

    fn single_quoted(raw: &str) -> Option<Self> {
        let inner = raw.strip_prefix('\'')?.strip_suffix('\'')?;
        let folded = Self::folded(inner, 1);
        let mut decoded = Self::default();
        let mut characters = folded?.characters().into_iter().peekable();
        while let Some((character, origin)) = characters.next() {
            decoded.push(character, origin);
            if character == '\'' {
                characters.next_if(|(next, _)| *next == '\'');
            }
        }
        Some(decoded)
    }

    /// Knows the escapes `\\` and `\"`; any other makes the text differ, and so is not mapped.
    fn double_quoted(raw: &str) -> Option<Self> {
        let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
        let mut decoded = Self::default();
        let mut characters = Self::folded(inner, 1)?.characters().into_iter();
        while let Some((character, origin)) = characters.next() {
            let (character, origin) = if character == '\\' { characters.next()? } else { (character, origin) };
            decoded.push(character, origin);
        }
        Some(decoded)
    }

    fn characters(&self) -> Vec<(char, usize)> {
        let origin = |(at, character)| self.origins.get(at).map(|origin| (character, *origin));
        self.text.char_indices().filter_map(origin).collect()
    }

    /// Line folding: a single line break is a space, each further one a line break; blanks around are dropped.
    fn folded(raw: &str, shift: usize) -> Option<Self> {
        let mut decoded = Self::default();
        let mut start = 0;
        let mut breaks = 0;
        let count = raw.split('\n').count();
        for (index, line) in raw.split('\n').enumerate() {
            let trimmed = if index == 0 { line } else { line.trim_start_matches([' ', '\t']) };
            let skipped = line.len() - trimmed.len();
            let trimmed = if index + 1 < count { trimmed.trim_end_matches([' ', '\t', '\r']) } else { trimmed };
            if index > 0 {
                breaks += 1;
            }
            if !trimmed.is_empty() || index + 1 == count {
                let join = if breaks == 1 { " ".to_owned() } else { "\n".repeat(breaks.max(1) - 1) };
                join.chars().for_each(|character| decoded.push(character, shift + start + skipped));
                trimmed
                    .char_indices()
                    .for_each(|(at, character)| decoded.push(character, shift + start + skipped + at));
                breaks = 0;
            }
            start += line.len() + 1;
        }
        Some(decoded)
    }

    /// A `>` block: as [`Decoded::folded`], but breaks beside lines that are indented further stay breaks.
    fn folded_block(raw: &str, indentation: usize) -> Self {
        let mut decoded = Self::default();
        let (mut start, mut breaks, mut was_deeper, mut any) = (0, 0, false, false);
        for (index, line) in raw.split('\n').enumerate() {
            let blank = line.len() - line.trim_start_matches(' ').len();
            let skipped = if index == 0 { 0 } else { blank.min(indentation) };
            let text = line.get(skipped..).unwrap_or_default().trim_end_matches('\r');
            if !text.is_empty() {
                let deeper = text.starts_with([' ', '\t']);
                let folds = any && !was_deeper && !deeper;
                let kept = if folds { breaks - 1 } else { breaks };
                let join = if folds && kept == 0 { " ".to_owned() } else { "\n".repeat(kept) };
                join.chars().for_each(|character| decoded.push(character, start + skipped));
                let origin = start + skipped;
                text.char_indices().for_each(|(at, character)| decoded.push(character, origin + at));
                (breaks, was_deeper, any) = (0, deeper, true);
            }
            breaks += 1;
            start += line.len() + 1;
        }
        decoded
    }

    fn literal(raw: &str, indentation: usize) -> Self {
        let mut decoded = Self::default();
        let mut start = 0;
        for (index, line) in raw.split_inclusive('\n').enumerate() {
            let blank = line.len() - line.trim_start_matches(' ').len();
            let skipped = if index == 0 { 0 } else { blank.min(indentation) };
            let text = line.get(skipped..).unwrap_or_default();
            for (at, character) in text.char_indices().filter(|(_, character)| *character != '\r') {
                decoded.push(character, start + skipped + at);
            }
            start += line.len();
        }
        decoded
    }
}
