//! Where statements end.

/// How much of `text` is whole statements: up to and with the last `;` that is in no text, name or comment.
pub(super) fn whole(text: &str) -> usize {
    let mut end = 0;
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            ';' => end = at + 1,
            // A doubled quote ends one text and begins the next.
            quote @ ('\'' | '"') => skip(&mut rest, |character, _| character == quote),
            '-' if rest.peek().is_some_and(|(_, next)| *next == '-') => {
                skip(&mut rest, |character, _| character == '\n')
            }
            '/' if rest.next_if(|(_, next)| *next == '*').is_some() => {
                skip(&mut rest, |character, before| before == '*' && character == '/');
            }
            _ => {}
        }
    }
    end
}

fn skip(rest: &mut impl Iterator<Item = (usize, char)>, ends: impl Fn(char, char) -> bool) {
    let mut before = ' ';
    for (_, character) in rest {
        if ends(character, before) {
            return;
        }
        before = character;
    }
}

/// The statements of a text, without their `;`, and what is left behind the last.
pub(super) fn split(text: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // The first that is whole: the shortest beginning that ends with a `;` of its own.
        let first = rest.match_indices(';').map(|(at, _)| at + 1).find(|end| whole(&rest[..*end]) == *end);
        let (statement, behind) = rest.split_at(first.unwrap_or(rest.len()));
        statements.push(statement.trim().trim_end_matches(';').trim_end());
        rest = behind;
    }
    statements.retain(|statement| !statement.is_empty());
    statements
}

#[cfg(test)]
mod tests {
    use super::{split, whole};

    #[test]
    fn a_semicolon_ends_a_statement_unless_it_is_quoted() {
        for (text, is_whole) in [
            ("select 1;", true),
            ("select 1", false),
            ("select ';", false),
            ("select ';';", true),
            ("select 'it''s;", false),
            ("select \"a;b\" from t", false),
            ("select 1 -- really;", false),
            ("select 1 -- really;\n;", true),
            ("select /* ; */ 1", false),
            ("select 1 - 1;", true),
        ] {
            assert_eq!(whole(text) == text.len(), is_whole, "{text}");
        }
    }

    #[test]
    fn a_text_is_its_statements() {
        assert_eq!(split("select 1; select ';' ;\nselect 3"), ["select 1", "select ';'", "select 3"]);
        assert!(split(" ;; \n").is_empty());
    }
}
