//! Patterns of names as Python's `fnmatch` has them: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`; upper and lower case differ.

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamePattern(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Character(char),
    Set { not: bool, ranges: Vec<(char, char)> },
}

impl NamePattern {
    /// The pattern that `text` writes. Every text is one: a `[` without its `]` means itself.
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().collect();
        let mut pieces = Vec::new();
        let mut at = 0;
        while let Some(c) = text.get(at) {
            at += 1;
            pieces.push(match c {
                '*' => Piece::Any,
                '?' => Piece::One,
                '[' => match set(&text[at..]) {
                    Some((piece, length)) => {
                        at += length;
                        piece
                    }
                    None => Piece::Character('['),
                },
                c => Piece::Character(*c),
            });
        }
        Self(pieces)
    }

    /// Whether all of `name` is what the pattern means.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // Where the last `*` stands, and how far it reaches by now.
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.0.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(other) if other.takes(name[at]) => (piece, at) = (piece + 1, at + 1),
                _ => match &mut star {
                    Some((behind, reaches)) => {
                        *reaches += 1;
                        (piece, at) = (*behind + 1, *reaches);
                    }
                    None => return false,
                },
            }
        }
        self.0[piece..].iter().all(|piece| *piece == Piece::Any)
    }
}

impl Piece {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Character(own) => *own == c,
            Self::Set { not, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *not,
        }
    }
}

/// The set that begins behind a `[`, and how many characters it takes, its `]` among them.
fn set(text: &[char]) -> Option<(Piece, usize)> {
    let not = text.first() == Some(&'!');
    let start = usize::from(not);
    // A `]` that comes first is one of the set.
    let end = start + 1 + text.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        match text.get(at..at + 3) {
            Some([from, '-', to]) if at + 2 < end => {
                ranges.push((*from, *to));
                at += 3;
            }
            _ => {
                ranges.push((text[at], text[at]));
                at += 1;
            }
        }
    }
    Some((Piece::Set { not, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_python_means_by_them() {
        let cases = [
            ("*", "", true),
            ("*_url", "clone_url", true),
            ("*_url", "clone_urls", false),
            ("a*b*c", "a-b-b-c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[ab]x", "bx", true),
            ("[!ab]x", "bx", false),
            ("[a-c]*", "cat", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[a", "[a", true),
            ("A", "a", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, matches) in cases {
            assert_eq!(NamePattern::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }
}
