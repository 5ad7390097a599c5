//! A line while it is written: keys change it.

/// What a person at the terminal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Character(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Ctrl-C: away with the line.
    Interrupt,
    /// Ctrl-D: the end, where the line is empty; else as Delete.
    Close,
    /// Ctrl-K, Ctrl-U, Ctrl-W: delete to the end, to the beginning, the word before.
    KillToEnd,
    KillToStart,
    KillWord,
    /// Ctrl-L: a clean screen.
    Clear,
    /// What no key here means.
    Unknown,
}

/// The characters of a line, and where the next one goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    characters: Vec<char>,
    cursor: usize,
}

impl Line {
    /// A line with the cursor at its end.
    pub(super) fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        Self { cursor: characters.len(), characters }
    }

    pub(super) fn text(&self) -> String {
        self.characters.iter().collect()
    }

    /// The text before the cursor.
    pub(super) fn before(&self) -> String {
        self.characters[..self.cursor].iter().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.characters.is_empty()
    }

    /// Puts `text` in the place of the `count` characters before the cursor.
    pub(super) fn replace_before(&mut self, count: usize, text: &str) {
        let start = self.cursor.saturating_sub(count);
        self.characters.splice(start..self.cursor, text.chars());
        self.cursor = start + text.chars().count();
    }

    /// Does what a key does to a line. Keys that do nothing to it are left to the caller.
    pub(super) fn press(&mut self, key: Key) {
        match key {
            Key::Character(character) => self.replace_before(0, character.encode_utf8(&mut [0; 4])),
            Key::Backspace => self.replace_before(1, ""),
            Key::Delete | Key::Close if self.cursor < self.characters.len() => {
                self.characters.remove(self.cursor);
            }
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.characters.len()),
            Key::WordLeft => self.cursor = self.word_before(),
            Key::WordRight => self.cursor = self.word_behind(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.characters.len(),
            Key::KillToEnd => self.characters.truncate(self.cursor),
            Key::KillToStart => self.replace_before(self.cursor, ""),
            Key::KillWord => self.replace_before(self.cursor - self.word_before(), ""),
            _ => {}
        }
    }

    fn word_before(&self) -> usize {
        let mut at = self.cursor;
        while at > 0 && !self.characters[at - 1].is_alphanumeric() {
            at -= 1;
        }
        while at > 0 && self.characters[at - 1].is_alphanumeric() {
            at -= 1;
        }
        at
    }

    fn word_behind(&self) -> usize {
        let mut at = self.cursor;
        while at < self.characters.len() && !self.characters[at].is_alphanumeric() {
            at += 1;
        }
        while at < self.characters.len() && self.characters[at].is_alphanumeric() {
            at += 1;
        }
        at
    }

    /// The part of the line that fits into `width` columns, and where the cursor is in it.
    pub(super) fn window(&self, width: usize) -> (String, usize) {
        let width = width.max(1);
        let start = (self.cursor + 1).saturating_sub(width);
        let end = (start + width).min(self.characters.len());
        (self.characters[start..end].iter().collect(), self.cursor - start)
    }
}

/// Reads a key from the bytes that a terminal sends; `next` gives them, `None` at the end.
pub(super) fn read_key<E>(mut next: impl FnMut() -> Result<Option<u8>, E>) -> Result<Option<Key>, E> {
    let Some(byte) = next()? else { return Ok(None) };
    Ok(Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x7f | 0x08 => Key::Backspace,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::Close,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x0b => Key::KillToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::KillToStart,
        0x17 => Key::KillWord,
        0x1b => return escape(next).map(Some),
        byte if byte < 0x20 => Key::Unknown,
        byte if byte < 0x80 => Key::Character(char::from(byte)),
        lead => {
            let more = match lead {
                0xc0..=0xdf => 1,
                0xe0..=0xef => 2,
                _ => 3,
            };
            let mut bytes = vec![lead];
            for _ in 0..more {
                match next()? {
                    Some(byte) => bytes.push(byte),
                    None => return Ok(None),
                }
            }
            let character = std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
            character.map_or(Key::Unknown, Key::Character)
        }
    }))
}

/// What follows ESC: `[A`, `[1;5C`, `OH`, `b`.
fn escape<E>(mut next: impl FnMut() -> Result<Option<u8>, E>) -> Result<Key, E> {
    match next()? {
        Some(b'[' | b'O') => {}
        Some(b'b') => return Ok(Key::WordLeft),
        Some(b'f') => return Ok(Key::WordRight),
        _ => return Ok(Key::Unknown),
    }
    let mut parameters = String::new();
    // No terminal sends more than a few.
    while parameters.len() < 16 {
        let Some(byte) = next()? else { break };
        let control = parameters.ends_with(";5");
        match byte {
            b'0'..=b'9' | b';' => parameters.push(char::from(byte)),
            b'A' => return Ok(Key::Up),
            b'B' => return Ok(Key::Down),
            b'C' => return Ok(if control { Key::WordRight } else { Key::Right }),
            b'D' => return Ok(if control { Key::WordLeft } else { Key::Left }),
            b'H' => return Ok(Key::Home),
            b'F' => return Ok(Key::End),
            b'~' => {
                return Ok(match parameters.as_str() {
                    "1" | "7" => Key::Home,
                    "4" | "8" => Key::End,
                    "3" => Key::Delete,
                    _ => Key::Unknown,
                });
            }
            _ => return Ok(Key::Unknown),
        }
    }
    Ok(Key::Unknown)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut bytes = bytes.iter().copied();
        let mut keys = Vec::new();
        while let Some(key) = read_key(|| Ok::<_, Infallible>(bytes.next())).unwrap() {
            keys.push(key);
        }
        keys
    }

    fn typed(bytes: &[u8]) -> String {
        let mut line = Line::default();
        keys(bytes).into_iter().for_each(|key| line.press(key));
        line.text()
    }

    #[test]
    fn keys_write_and_change_a_line() {
        for (bytes, expected) in [
            (&b"abc"[..], "abc"),
            (b"abc\x7f", "ab"),
            (b"bc\x01a", "abc"),
            (b"ac\x1b[Db", "abc"),
            (b"abc\x1b[D\x1b[D\x0b", "a"),
            (b"abc\x15x", "x"),
            (b"select one\x17two", "select two"),
            (b"abc\x1b[H\x1b[3~", "bc"),
            (b"a b\x1b[1;5Dx", "a xb"),
            ("é\u{1F600}\x7f".as_bytes(), "é"),
            (b"\x7f\x1b[D\x1b[C", ""),
        ] {
            assert_eq!(typed(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn keys_that_mean_nothing_here_do_nothing() {
        assert_eq!(typed(b"a\x1b[200~\x1bz\x00b"), "ab");
        assert_eq!(keys(b"\xff\xff\xff\xff"), [Key::Unknown]);
    }

    #[test]
    fn a_long_line_is_shown_around_its_cursor() {
        let mut line = Line::of("0123456789");
        assert_eq!(line.window(20), ("0123456789".to_owned(), 10));
        assert_eq!(line.window(5), ("6789".to_owned(), 4));
        line.press(Key::Home);
        assert_eq!(line.window(5), ("01234".to_owned(), 0));
    }
}
