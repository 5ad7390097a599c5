//! Patterns with wildcards.

/// Whether `pattern` makes up the whole `text`: `*` is any text, also none, `?` one character, and nothing else is special.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let piece = |character| match character {
        '*' => Piece::Any,
        '?' => Piece::One,
        other => Piece::Exactly(other),
    };
    matches(&pattern.chars().map(piece).collect::<Vec<_>>(), text)
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Piece {
    /// This character.
    Exactly(char),
    /// Any one character.
    One,
    /// Any text, also none.
    Any,
}

/// Whether the pieces make up the whole `text`. Takes at most as many steps as the product of their lengths.
pub(super) fn matches(pieces: &[Piece], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut read) = (0, 0);
    // Where the last `Any` stands, and up to where it has taken text.
    let mut any: Option<(usize, usize)> = None;
    while read < text.len() {
        match (pieces.get(at), any) {
            (Some(Piece::Any), _) => {
                any = Some((at, read));
                at += 1;
            }
            (Some(piece), _) if *piece == Piece::One || *piece == Piece::Exactly(text[read]) => {
                at += 1;
                read += 1;
            }
            (_, Some((position, taken))) => {
                any = Some((position, taken + 1));
                at = position + 1;
                read = taken + 1;
            }
            (_, None) => return false,
        }
    }
    pieces[at..].iter().all(|rest| *rest == Piece::Any)
}
