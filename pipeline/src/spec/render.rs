//! Diagnostics for people and for programs.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Severity};

/// How many expected names are listed at most.
const NAMES: usize = 12;
/// The widest line of a file that is quoted, in columns.
const WIDTH: usize = 140;

/// Diagnostics with the lines that they are about. `file` and `text` are the pipeline's; a diagnostic about
/// another file is shown without its lines.
pub fn render(diagnostics: &[Diagnostic], file: &str, text: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(WIDTH);
    let rendered: Vec<String> = diagnostics
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.place;
            let elsewhere = diagnostic.file.as_deref().is_some_and(|other| other != file);
            if elsewhere || diagnostic.confidential || place.line == 0 || place.offset > text.len() {
                line(diagnostic, file)
            } else {
                renderer.render(&[group(diagnostic, file, text)])
            }
        })
        .collect();
    rendered.join("\n\n")
}

/// `file:line:col: error: message (help)`.
pub fn line(diagnostic: &Diagnostic, file: &str) -> String {
    let file = diagnostic.file.as_deref().unwrap_or(file);
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let notes: Vec<String> = expected(diagnostic).into_iter().chain(diagnostic.help.clone()).collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    match diagnostic.place.line {
        0 => format!("{file}: {level}: {}{notes}", diagnostic.message),
        _ => format!("{file}:{}: {level}: {}{notes}", diagnostic.place, diagnostic.message),
    }
}

/// Diagnostics as a JSON list: `severity`, `file`, `place` (`line`, `column`, `offset`, `length`), `message`,
/// `expected`, `help`.
pub fn to_json(diagnostics: &[Diagnostic], file: &str) -> Value {
    let one = |diagnostic: &Diagnostic| {
        let mut value = json!(diagnostic);
        value["file"] = diagnostic.file.as_deref().unwrap_or(file).into();
        value
    };
    diagnostics.iter().map(one).collect()
}

fn group<'a>(diagnostic: &'a Diagnostic, file: &'a str, text: &'a str) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let annotation = AnnotationKind::Primary.span(span(diagnostic, text));
    let snippet = Snippet::source(text).path(file).annotation(annotation);
    let mut group = level.primary_title(&diagnostic.message).element(snippet);
    if let Some(names) = expected(diagnostic) {
        group = group.element(Level::NOTE.message(names));
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(help)),
        None => group,
    }
}

/// The bytes to underline: never more than the first line of them.
fn span(diagnostic: &Diagnostic, text: &str) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(diagnostic.place.offset);
    let end = text.ceil_char_boundary(start.saturating_add(diagnostic.place.length));
    let first = text.get(start..end).and_then(|part| part.lines().next()).unwrap_or_default();
    start..start + first.trim_end().len()
}

/// `expected: …`, cut where the list is long.
fn expected(diagnostic: &Diagnostic) -> Option<String> {
    let names = &diagnostic.expected;
    if names.is_empty() {
        return None;
    }
    let shown: Vec<String> = names.iter().take(NAMES).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("expected: {}{more}", shown.join(", ")))
}
