//! Text against several patterns.

use super::Family;
use super::function::{Arguments, Definition, Kind, argument};
use super::wildcard::{self, Piece};

/// The functions of text.
pub(super) static FAMILY: Family = Family { title: "Text", functions: FUNCTIONS };

static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "like_any",
        aliases: &[],
        arguments: &[argument("text", Kind::Text), argument("patterns", Kind::Texts)],
        repeats: false,
        result: Kind::Boolean,
        summary: "Whether a text is LIKE one of the patterns; `x like any (array['a%', 'b%'])` is the same.",
        example: ("like_any('db-1', array['web-%', 'db-%'])", "true"),
        evaluate: |arguments| arguments.give_booleans(|row| fits(arguments, row, false)),
    },
    Definition {
        name: "ilike_any",
        aliases: &[],
        arguments: &[argument("text", Kind::Text), argument("patterns", Kind::Texts)],
        repeats: false,
        result: Kind::Boolean,
        summary: "As `like_any`, where upper and lower case are the same.",
        example: ("ilike_any('DB-1', array['db-_'])", "true"),
        evaluate: |arguments| arguments.give_booleans(|row| fits(arguments, row, true)),
    },
];

fn fits(arguments: &Arguments, row: usize, fold: bool) -> Option<bool> {
    let text = arguments.text(0, row)?;
    let patterns = arguments.texts(1, row)?;
    Some(match fold {
        false => patterns.iter().any(|pattern| like(pattern, text)),
        true => {
            let text = text.to_lowercase();
            patterns.iter().any(|pattern| like(&pattern.to_lowercase(), &text))
        }
    })
}

/// Whether `text` is LIKE `pattern`: `%` is any text, `_` one character, `\` takes the next as it is.
fn like(pattern: &str, text: &str) -> bool {
    let mut pieces = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '%' => Piece::Any,
            '_' => Piece::One,
            '\\' => Piece::Exactly(characters.next().unwrap_or('\\')),
            other => Piece::Exactly(other),
        });
    }
    wildcard::matches(&pieces, text)
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn a_percent_is_any_text_an_underscore_one_character() {
        for (pattern, text, expected) in [
            ("a%", "abc", true),
            ("a%", "ba", false),
            ("%a_", "xxab", true),
            ("a\\%", "a%", true),
            ("a\\%", "ab", false),
            ("", "", true),
            ("%", "", true),
            ("_", "", false),
            ("%ab", "aab", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
