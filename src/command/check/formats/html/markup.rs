//! Pieces of HTML.

use crate::command::check::report::Moment;

/// Text as HTML wants it, in elements and in attributes between `"`. Marks that turn the direction of what follows
/// are shown as what they are, so that no text passes for another.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\0' => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

/// A moment.
pub(super) fn time(moment: Moment) -> String {
    format!("<time datetime=\"{moment}\">{}</time>", moment.for_people())
}

/// The anchor of a control: letters, digits and `-`, as packs name controls; whatever else is written as its number.
pub(super) fn anchor(pack: &str, control: &str) -> String {
    let mut anchor = "c".to_owned();
    for character in format!("-{pack}-{control}").chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => anchor.push(character),
            other => anchor.push_str(&format!(".{:x}.", u32::from(other))),
        }
    }
    anchor
}

/// A link, where a browser may follow it; else the text alone.
pub(super) fn link(page: &str) -> String {
    let text = escaped(page);
    match page.starts_with("https://") || page.starts_with("http://") {
        true => format!("<a href=\"{text}\" rel=\"noopener noreferrer\">{text}</a>"),
        false => text,
    }
}

/// Code with a button that copies it.
pub(super) fn code(heading: &str, code: &str) -> String {
    if code.trim().is_empty() {
        return String::new();
    }
    let text = escaped(code.trim_end());
    format!(
        "<div class=\"code\"><div class=\"bar\"><span>{heading}</span><button type=\"button\" class=\"copy\">Copy</button></div>\
         <pre><code>{text}</code></pre></div>\n"
    )
}
