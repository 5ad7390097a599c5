//! What the YAML parser complains about, in words that help.

use granit_parser::{ErrorKind, ScanError};

use super::diagnostic::{Diagnostic, Place};
use super::parse::DEPTH_LIMIT;

/// A diagnostic for text that is not YAML.
pub(super) fn diagnostic(text: &str, error: &ScanError) -> Diagnostic {
    let marker = error.marker();
    let offset = marker.byte_offset().unwrap_or_else(|| byte_offset(text, marker.index()));
    if let Some(tab) = tab_in_indentation(text, offset) {
        return Diagnostic::error(Place::in_text(text, tab, 1), "a tab indents this line; YAML wants spaces")
            .with_help("replace the tab with spaces");
    }
    let (message, help) = explain(error.kind(), text, offset);
    let diagnostic = Diagnostic::error(Place::in_text(text, offset, 1), message);
    match help {
        Some(help) => diagnostic.with_help(help),
        None => diagnostic,
    }
}

fn byte_offset(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(offset, _)| offset)
}

/// The first tab in the indentation of the line of `offset`, or of the next line: the parser often notices
/// only the end of the line before.
fn tab_in_indentation(text: &str, offset: usize) -> Option<usize> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    let mut line_start = start;
    for line in text.get(start..)?.split_inclusive('\n').take(2) {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indentation).and_then(|blank| blank.find('\t')) {
            return Some(line_start + tab);
        }
        line_start += line.len();
    }
    None
}

fn explain(kind: &ErrorKind, text: &str, offset: usize) -> (String, Option<String>) {
    let before = text.get(..offset).unwrap_or_default();
    let quote = Some("put the text in quotes".to_owned());
    match kind {
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            let variable = before.ends_with('$');
            let help =
                if variable { "inside `{…}` and `[…]` a `${…}` needs quotes" } else { "separate entries by `,`" };
            ("the entry does not end where it should".into(), Some(help.into()))
        }
        ErrorKind::MappingValueNotAllowed => ("a `:` stands where no key can be".into(), quote),
        ErrorKind::MissingAnchorOrAliasName => {
            ("text that begins with `*` or `&` is a YAML alias or anchor".into(), quote)
        }
        ErrorKind::UnexpectedCharacter { character } => {
            (format!("plain text cannot begin with `{}`", character.escape_debug()), quote)
        }
        ErrorKind::UnclosedFlowCollection { open } => (format!("this `{open}` is never closed"), None),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            (format!("this `{close}` does not close the `{open}` that is open"), None)
        }
        ErrorKind::MisplacedFlowCollectionEnd => ("this bracket closes nothing".into(), None),
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed".into(), None),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("text follows the closing quote".into(), Some("quote the whole text".into()))
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("a key wants `:` after it".into(), Some("write `key: value`, with a space after the `:`".into()))
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => {
            ("the indentation of this line fits nothing above it".into(), None)
        }
        ErrorKind::RecursionLimitExceeded => (format!("more than {DEPTH_LIMIT} levels are nested here"), None),
        ErrorKind::UnknownQuotedScalarEscape => (
            "this `\\` does not begin an escape that YAML knows".into(),
            Some("use single quotes, where `\\` is an ordinary character, or write `\\\\`".into()),
        ),
        other => (format!("this is not YAML: {other}"), None),
    }
}
