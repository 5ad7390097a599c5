//! `${NAME}`, `${NAME:-default}` and `${NAME:?message}` in a pipeline's text.

use std::collections::BTreeMap;
use std::fmt;

use super::diagnostic::Place;

/// The values that `${NAME}` stands for. They may be confidential: nothing here prints them.
#[derive(Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    /// Nothing is replaced at all.
    literal: bool,
}

impl Variables {
    /// No variables at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// A text in which `${NAME}` means nothing: it stays as it is.
    pub fn literal() -> Self {
        Self { literal: true, ..Self::default() }
    }

    /// The variables of this process's environment; what is not UTF-8 is left out.
    pub fn of_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self { values: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(), literal: false }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// The text at a place as the file writes it, where it came out of variables.
pub(super) fn as_written(source: &str, place: Place) -> Option<&str> {
    let raw = source.get(place.offset..place.offset.checked_add(place.length)?)?;
    (raw.contains("${") && !raw.starts_with(['\'', '{', '['])).then_some(raw)
}

/// What is wrong with a reference, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadReference {
    /// In one sentence.
    pub(super) message: String,
    /// In one sentence.
    pub(super) help: String,
}

/// Replaces every reference in `text`; `$$` becomes `$`, a `$` before anything else stays.
/// `None` when there is nothing to replace.
pub(super) fn substitute(text: &str, variables: &Variables) -> Result<Option<String>, BadReference> {
    if variables.literal || !text.contains("${") && !text.contains("$$") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = &from[1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let (reference, after) = inside.split_once('}').ok_or_else(unclosed)?;
            out.push_str(value_of(reference, variables)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn unclosed() -> BadReference {
    BadReference {
        message: "`${` has no closing `}`".into(),
        help: "close it, or write `$${` for the characters themselves".into(),
    }
}

fn value_of<'a>(reference: &'a str, variables: &'a Variables) -> Result<&'a str, BadReference> {
    let end = reference.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(reference.len());
    let (name, rule) = reference.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(BadReference {
            message: format!("`${{{reference}}}` does not name a variable"),
            help: "a name has letters, digits and `_`; write `$${` for the characters `${` themselves".into(),
        });
    }
    if let Some(default) = rule.strip_prefix(":-") {
        return Ok(variables.get(name).filter(|value| !value.is_empty()).unwrap_or(default));
    }
    if let Some(message) = rule.strip_prefix(":?") {
        return variables.get(name).filter(|value| !value.is_empty()).ok_or_else(|| BadReference {
            message: format!("the variable `{name}` is not set: {message}"),
            help: format!("set `{name}` in the environment"),
        });
    }
    if !rule.is_empty() {
        return Err(BadReference {
            message: format!("`${{{reference}}}` is not a reference to a variable"),
            help: format!("write `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`"),
        });
    }
    variables.get(name).ok_or_else(|| BadReference {
        message: format!("the variable `{name}` is not set"),
        help: format!("set `{name}` in the environment, or write `${{{name}:-default}}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(text: &str) -> Result<String, String> {
        let variables = Variables::from_iter([("HOST", "db1"), ("EMPTY", "")]);
        match substitute(text, &variables) {
            Ok(replaced) => Ok(replaced.unwrap_or_else(|| text.into())),
            Err(bad) => Err(bad.message),
        }
    }

    #[test]
    fn references_are_replaced() {
        assert_eq!(replaced("a ${HOST}:${PORT:-5000} b"), Ok("a db1:5000 b".into()));
        assert_eq!(replaced("${EMPTY}|${EMPTY:-x}"), Ok("|x".into()));
        assert_eq!(replaced("${HOST:?is needed}"), Ok("db1".into()));
    }

    #[test]
    fn a_doubled_dollar_is_one_and_a_lone_one_stays() {
        assert_eq!(replaced("$${HOST} ^a$ $1 $$"), Ok("${HOST} ^a$ $1 $".into()));
    }

    #[test]
    fn a_missing_variable_is_named() {
        assert_eq!(replaced("${NOPE}"), Err("the variable `NOPE` is not set".into()));
        assert_eq!(replaced("${NOPE:?ask ops}"), Err("the variable `NOPE` is not set: ask ops".into()));
    }

    #[test]
    fn a_broken_reference_is_an_error() {
        assert!(replaced("${HOST").is_err());
        assert!(replaced("${}").is_err());
        assert!(replaced("${HOST-x}").is_err());
    }

    #[test]
    fn the_values_are_never_printed() {
        assert_eq!(format!("{:?}", Variables::from_iter([("TOKEN", "hunter2")])), r#"{"TOKEN"}"#);
    }
}
