//! Text in lines that are no wider than a page.

/// `text` in lines of at most `width` characters, broken between words.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < room => {
                line.push(' ');
                line.push_str(word);
                room -= length + 1;
            }
            _ => {
                lines.push(word.to_owned());
                room = width.saturating_sub(length);
            }
        }
    }
    lines
}

/// Text without the characters by which a terminal is commanded, and without the marks that turn the direction of what
/// follows: an inventory holds what strangers wrote.
pub(super) fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        character if character.is_control() => Some(' '),
        character => Some(character),
    };
    text.chars().filter_map(shown).collect()
}
